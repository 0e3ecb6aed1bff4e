/* SPDX-License-Identifier: MIT */
/*
 * ksm SECONDS: merge, fork, store, and look at every page all the while.
 *
 * Pages of CLASSES contents in a mergeable area; KSM is switched on through /sys. Once
 * they are merged three children are forked, and all four go on giving pages other
 * contents of the same few, and checking those of others, until the time is over. Each
 * knows what its own pages must hold. At the end all is taken apart and checked again.
 *
 *	pid PID, area ADDRESS	for whoever wants to look from outside
 *	merged N		pages_sharing before the forks
 *	PASS
 */
#include <time.h>

#include "progs.h"

#define PAGES    2048u
#define CLASSES  16u
#define CHILDREN 3
#define WORDS    (PAGE / sizeof(uint64_t))
#define KSM_DIR  "/sys/kernel/mm/ksm/"

static uint8_t class_of[PAGES];
static uint64_t *area;
static const char *role = "parent";

static void fail(const char *what)
{
	printf("FAIL %s: %s\n", role, what);
	fflush(stdout);
	_exit(1);
}

/* ---- /sys ---------------------------------------------------------------------- */

static void ksm_write(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), KSM_DIR "%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		fail(path);
	close(fd);
}

static unsigned long ksm_read(const char *name)
{
	char path[128], text[32];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), KSM_DIR "%s", name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		fail(path);
	close(fd);
	text[n] = '\0';
	return strtoul(text, NULL, 10);
}

/* ---- pages ------------------------------------------------------------------------ */

static uint64_t word_of(unsigned int class, size_t i)
{
	return (class + 1) * 0x9e3779b97f4a7c15ul + i % 7;
}

static void page_fill(unsigned int page, unsigned int class)
{
	for (size_t i = 0; i < WORDS; i++)
		area[page * WORDS + i] = word_of(class, i);
	class_of[page] = (uint8_t) class;
}

static void page_check(unsigned int page)
{
	for (size_t i = 0; i < WORDS; i += 37)
		if (area[page * WORDS + i] != word_of(class_of[page], i))
			fail("a page holds something else");
}

static void check_all(void)
{
	for (unsigned int page = 0; page < PAGES; page++)
		page_check(page);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Stores now and then, so that pages are merged in between. */
static void churn(uint64_t until, uint64_t seed)
{
	struct timespec pause = { 0, 2000000 };

	while (now_ms() < until) {
		for (int i = 0; i < 8; i++) {
			seed = seed * 6364136223846793005ul + 1442695040888963407ul;
			page_check((unsigned int)(seed >> 33) % PAGES);
			page_fill((unsigned int)(seed >> 40) % PAGES,
				  (unsigned int)(seed >> 20) % CLASSES);
		}
		nanosleep(&pause, NULL);
	}
	check_all();
}

/* ---- the whole ----------------------------------------------------------------------- */

static void wait_merged(void)
{
	struct timespec pause = { 0, 20000000 };
	uint64_t end = now_ms() + 30000;

	while (ksm_read("pages_sharing") < PAGES - 2 * CLASSES) {
		if (now_ms() > end)
			fail("nothing is merged");
		nanosleep(&pause, NULL);
	}
	printf("merged %lu\n", ksm_read("pages_sharing"));
	fflush(stdout);
}

static void start_merging(void)
{
	char word[16] = "";

	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || madvise(area, PAGES * PAGE, MADV_MERGEABLE))
		fail("no mergeable area");
	printf("pid %d\narea %#lx\n", getpid(), (unsigned long)area);
	for (unsigned int page = 0; page < PAGES; page++)
		page_fill(page, page % CLASSES);
	snprintf(word, sizeof(word), "%u", PAGES);
	ksm_write("max_page_sharing", "4096");
	ksm_write("pages_to_scan", word);
	ksm_write("sleep_millisecs", "10");
	ksm_write("run", "1");
}

int main(int argc, char **argv)
{
	uint64_t until;
	int status;

	start_merging();
	wait_merged();
	until = now_ms() + (argc > 1 ? strtoul(argv[1], NULL, 10) : 3) * 1000;
	for (int i = 0; i < CHILDREN; i++) {
		if (fork())
			continue;
		role = "child";
		churn(until, (uint64_t)i + 1);
		_exit(0);
	}
	churn(until, 77);
	for (int i = 0; i < CHILDREN; i++)
		if (wait(&status) < 0 || status)
			fail("a child failed");
	ksm_write("run", "2");
	if (ksm_read("pages_shared"))
		fail("something is merged still");
	check_all();
	puts("PASS");
	return 0;
}
