/* SPDX-License-Identifier: MIT */
/*
 * Soft-dirty: after clear_refs the pages that were stored to, and no others, have bit 55
 * in pagemap, whatever happens to them. Few kernels are built with it, so what is right
 * stands in tests/guest/soft_dirty.txt, after Documentation/admin-guide/mm/soft-dirty.rst
 * and fs/proc/task_mmu.c. Swap is needed: what PAGEOUT takes must come back as it was.
 *
 *	d	soft-dirty	.	not
 *	s	in swap, not soft-dirty	S	in swap, soft-dirty
 *
 * soft_dirty loop SECONDS: stores to random pages between clearings until then, while
 * somebody moves and reclaims its memory; the pages noted must be those stored to.
 */
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>

#include "progs.h"

#define RW      (PROT_READ | PROT_WRITE)
#define PAGES   8u
#define MANY    256u
#define DIRTY   (1ul << 55)
#define SWAPPED (1ul << 62)
/* Of PAGEMAP_SCAN. */
#define SCAN_SWAPPED    (1u << 4)
#define SCAN_SOFT_DIRTY (1u << 7)

static void pages_of(const void *p, uint64_t *e, unsigned int nr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, e, nr * 8, (off_t)((uintptr_t)p / PAGE * 8)) != (ssize_t)nr * 8) {
		perror("pagemap");
		exit(2);
	}
	close(fd);
}

/* PAGEMAP_SCAN of the same must say the same: a region a run of pages of a kind. */
static void scan_must_agree(const void *p, const uint64_t *e)
{
	struct {
		uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, masks[3], told;
	} s = { 0 };
	struct {
		uint64_t start, end, categories;
	} found[PAGES];
	uint64_t bits[PAGES] = { 0 };
	int n, i;

	s.size = sizeof(s);
	s.start = (uintptr_t)p;
	s.end = s.start + PAGES * PAGE;
	s.vec = (uintptr_t)found;
	s.vec_len = PAGES;
	s.told = SCAN_SWAPPED | SCAN_SOFT_DIRTY;
	n = open("/proc/self/pagemap", O_RDONLY);
	i = ioctl(n, _IOWR('f', 16, s), &s);
	close(n);
	for (n = i, i = 0; i < n; i++)
		for (uint64_t at = found[i].start; at < found[i].end; at += PAGE)
			bits[(at - s.start) / PAGE] = found[i].categories;
	for (i = 0; i < (int)PAGES; i++)
		if (!(bits[i] & SCAN_SWAPPED) != !(e[i] & SWAPPED) ||
		    !(bits[i] & SCAN_SOFT_DIRTY) != !(e[i] & DIRTY))
			printf("page %d: the scan says %#" PRIx64 "\n", i, bits[i]);
}

static void show(const char *what, const void *p)
{
	uint64_t e[PAGES];
	char text[PAGES + 1] = "";

	pages_of(p, e, PAGES);
	scan_must_agree(p, e);
	for (unsigned int i = 0; i < PAGES; i++)
		text[i] = e[i] & SWAPPED ? (e[i] & DIRTY ? 'S' : 's') : e[i] & DIRTY ? 'd' : '.';
	printf("%-40s %s\n", what, text);
}

static void clear(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY);

	if (fd < 0 || write(fd, "4", 1) != 1) {
		perror("clear_refs");
		exit(2);
	}
	close(fd);
}

static char sum(const volatile char *p)
{
	char s = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		s = (char)(s + p[i * PAGE]);
	return s;
}

static void show_flag(const char *what, const void *p)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512], start[32];
	bool inside = false;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)p);
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, start, strlen(start)))
			inside = true;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			break;
	}
	printf("%-40s %s\n", what, inside && strstr(line, " sd ") ? "sd" : "no sd");
	if (file)
		fclose(file);
}

static char *area(char *at, int flags, int fd)
{
	char *p = mmap(at, PAGES * PAGE, RW, flags | MAP_FIXED, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

static void test_stores(char *p)
{
	int pipes[2];
	struct iovec out = { p + 5 * PAGE, 1 };

	show("a new area", p);
	show_flag("which has", p);
	clear();
	show("cleared", p);
	show_flag("which has", p);
	sum(p);
	show("read", p);
	p[PAGE] = 1;
	p[3 * PAGE] = 1;
	show("pages 1 and 3 stored to", p);
	if (pipe(pipes) || write(pipes[1], "a", 1) != 1 || readv(pipes[0], &out, 1) != 1)
		perror("pipe");
	show("a call stored to 5", p);
	close(pipes[0]);
	close(pipes[1]);
	pipes[0] = open("/proc/self/mem", O_RDWR);
	if (pwrite(pipes[0], "b", 1, (off_t)(uintptr_t)p + 6 * (off_t)PAGE) != 1)
		perror("mem");
	close(pipes[0]);
	show("/proc/self/mem stored to 6", p);
	mprotect(p, PAGES * PAGE, PROT_READ);
	mprotect(p, PAGES * PAGE, RW);
	show("protected and back", p);
	p[0] = 2;
	show("0 stored to", p);
	clear();
	p[0] = 3;
	show("cleared, 0 stored to", p);
	madvise(p, PAGE, MADV_DONTNEED);
	show("and given back", p);
}

static void test_fork(char *p)
{
	pid_t pid;

	clear();
	p[PAGE] = 2;
	pid = fork_flushed();
	if (!pid) {
		show("a child has", p);
		p[2 * PAGE] = 1;
		show("2 stored to there", p);
		clear();
		show("cleared there", p);
		child_exit(0);
	}
	show_child("child", pid);
	show("the parent has", p);
	p[4 * PAGE] = 1;
	show("4 stored to", p);
}

static void test_swap(char *p)
{
	memset(p, 1, PAGES * PAGE);
	clear();
	p[2 * PAGE] = 5;
	madvise(p, PAGES * PAGE, MADV_PAGEOUT);
	show("2 stored to, all paged out", p);
	sum(p);
	show("read back", p);
	p[3 * PAGE] = 5;
	show("3 stored to", p);
	madvise(p, PAGES * PAGE, MADV_PAGEOUT);
	clear();
	show("paged out, then cleared", p);
	sum(p);
	show("read back", p);
	p[4 * PAGE] = 5;
	show("4 stored to", p);
	printf("%-40s %d\n", "the bytes are right", sum(p) == 5 + 5 + 5 + 5);
}

static void test_move(char *p)
{
	char *to = p + 4 * PAGES * PAGE;

	clear();
	show("before the move", p);
	if (mremap(p, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		perror("mremap");
	show("moved: all of it is new there", to);
	clear();
	show("cleared", to);
	to[0] = 1;
	show("0 stored to", to);
	munmap(to, PAGES * PAGE);
}

static void test_merge(char *p)
{
	char *low = area(p, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	memset(low, 1, PAGES * PAGE);
	clear();
	low[PAGE] = 1;
	show("1 stored to", low);
	area(p + PAGES * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	show("a new area joins it", low);
	munmap(low, 2 * PAGES * PAGE);
}

static void test_shared(const char *what, char *at, int flags, int fd)
{
	char *p = area(at, flags, fd);

	printf("-- %s\n", what);
	memset(p, 1, PAGES * PAGE);
	clear();
	show("cleared", p);
	sum(p);
	show("read", p);
	p[PAGE] = 2;
	show("1 stored to", p);
	msync(p, PAGES * PAGE, MS_SYNC);
	p[2 * PAGE] = 2;
	show("written back, 2 stored to", p);
	munmap(p, PAGES * PAGE);
}

static void once(void)
{
	char *p = area(arena(16 * PAGES), MAP_PRIVATE | MAP_ANONYMOUS, -1);

	test_stores(p);
	test_fork(p);
	test_swap(p);
	test_move(p);
	test_merge(p);
	test_shared("shared memory", p, MAP_SHARED | MAP_ANONYMOUS, -1);
	test_shared("a file", p, MAP_SHARED, file_make("file", PAGES));
}

/* ---- while the memory moves ------------------------------------------------------------------ */

static unsigned int random_below(unsigned int *seed, unsigned int below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 8) % below;
}

static void round_of(char *p, unsigned int *seed, unsigned long *rounds)
{
	bool stored[MANY] = { false };
	uint64_t e[MANY];

	clear();
	for (unsigned int n = random_below(seed, MANY / 2); n-- > 0;) {
		unsigned int i = random_below(seed, MANY);

		p[i * PAGE + (*rounds % PAGE)]++;
		stored[i] = true;
		(void)*(volatile char *)(p + random_below(seed, MANY) * PAGE);
	}
	pages_of(p, e, MANY);
	for (unsigned int i = 0; i < MANY; i++) {
		if (stored[i] == !!(e[i] & DIRTY))
			continue;
		printf("FAIL round %lu: page %u was %s, and is %s\n", *rounds, i,
		       stored[i] ? "stored to" : "only read", e[i] & DIRTY ? "noted" : "not noted");
		exit(1);
	}
	++*rounds;
}

static void loop(long seconds)
{
	char *p = mmap(NULL, MANY * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	time_t end = time(NULL) + seconds;
	unsigned long rounds = 0;
	unsigned int seed = 1;

	memset(p, 1, MANY * PAGE);
	printf("ready\n");
	fflush(stdout);
	while (time(NULL) < end)
		round_of(p, &seed, &rounds);
	printf("PASS %lu rounds\n", rounds);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "loop"))
		loop(strtol(argv[2], NULL, 10));
	else
		once();
	return 0;
}
