/* SPDX-License-Identifier: MIT */
/*
 * Guest program: shapes PRIVATE SHARED FILE. Memory of every shape that migration has
 * to tell apart: private to one of two processes (PRIVATE pages each), a shared file,
 * shared anonymous memory, and memory that a fork shares until somebody writes (SHARED
 * pages each). All begins at multiples of 2 MiB.
 *
 * All but the last are beacons: one process counts in each page and fails if
 * the count is not what it stored last; the other process of a shared page
 * fails if a count goes back. The forked memory is only read, so that it stays
 * shared, and holds a pattern. Says where everything is, a line for each
 * process that maps it, then `ready`; goes on until SIGTERM. PASS or FAIL.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/beacon.h"

#define PAGE         BEACON_PAGE_SIZE
#define ALIGNMENT    (2ul << 20)
#define PAUSE_US     20000
#define PATTERN_STEP 0x9e3779b97f4a7c15ull

struct area {
	const char *name;
	char *start;
	uint64_t pages;
	enum beacon_kind kind;
	uint64_t round; /* of the process that counts here */
	uint64_t *seen; /* of one that only reads: the count of each page */
};

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
	(void)number;
	stop = 1;
}

static volatile struct beacon *beacon(const struct area *a, uint64_t i)
{
	return (volatile struct beacon *)(a->start + i * PAGE);
}

static bool beacon_right(const struct area *a, uint64_t i)
{
	const volatile struct beacon *b = beacon(a, i);

	return b->magic == BEACON_MAGIC && b->kind == (uint32_t)a->kind && b->index == i;
}

static int count_round(struct area *a)
{
	uint64_t i;

	for (i = 0; i < a->pages; i++) {
		volatile struct beacon *b = beacon(a, i);

		if (!beacon_right(a, i) || b->count != a->round) {
			printf("FAIL %s: page %lu counts %lu, not %lu\n", a->name, i, b->count,
			       a->round);
			return 1;
		}
		b->count = a->round + 1;
	}
	a->round++;
	return 0;
}

static int watch_round(struct area *a)
{
	uint64_t i, count;

	for (i = 0; i < a->pages; i++) {
		count = beacon(a, i)->count;
		if (!beacon_right(a, i) || count < a->seen[i]) {
			printf("FAIL %s: page %lu counts %lu, %lu before\n", a->name, i, count,
			       a->seen[i]);
			return 1;
		}
		a->seen[i] = count;
	}
	return 0;
}

static int pattern_round(const struct area *a)
{
	const volatile uint64_t *w = (const volatile uint64_t *)a->start;
	uint64_t i;

	for (i = 0; i < a->pages * (PAGE / sizeof(*w)); i++) {
		if (w[i] != (i + 1) * PATTERN_STEP) {
			printf("FAIL %s: word %lu is %#lx\n", a->name, i, w[i]);
			return 1;
		}
	}
	return 0;
}

/*
 * Aligned as a large folio wants it, so that no folio belongs to two areas.
 * @fd -1: anonymous. => NULL after a message.
 */
static char *area_map(uint64_t pages, int flags, int fd)
{
	uint64_t bytes = pages * PAGE;
	char *room = mmap(NULL, bytes + ALIGNMENT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start = room + (-(uintptr_t)room & (ALIGNMENT - 1));

	if (room == MAP_FAILED ||
	    mmap(start, bytes, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0) == MAP_FAILED) {
		perror("shapes: mmap");
		return NULL;
	}
	return start;
}

static int area_init(struct area *a, const char *name, enum beacon_kind kind, uint64_t pages,
		     int flags, int fd)
{
	uint64_t i;

	*a = (struct area){ .name = name, .kind = kind, .pages = pages };
	a->start = area_map(pages, flags, fd);
	a->seen = calloc(pages, sizeof(*a->seen));
	if (!a->start || !a->seen)
		return 1;
	for (i = 0; i < pages; i++) {
		volatile struct beacon *b = beacon(a, i);

		b->kind = kind;
		b->index = (uint32_t)i;
		b->magic = BEACON_MAGIC;
	}
	return 0;
}

static int forked_init(struct area *a, uint64_t pages)
{
	uint64_t *w, i;

	*a = (struct area){ .name = "forked", .pages = pages };
	a->start = area_map(pages, MAP_PRIVATE, -1);
	if (!a->start)
		return 1;
	w = (uint64_t *)a->start;
	for (i = 0; i < pages * (PAGE / sizeof(*w)); i++)
		w[i] = (i + 1) * PATTERN_STEP;
	return 0;
}

static void area_print(const struct area *a)
{
	printf("%s %d %lx-%lx\n", a->name, getpid(), (unsigned long)a->start,
	       (unsigned long)(a->start + a->pages * PAGE));
}

/* One process's work until SIGTERM. => its exit status. */
static int run(struct area *private, struct area *counted, struct area *watched,
	       const struct area *forked)
{
	/* The first look at each page belongs to what has to be there before anything moves. */
	int failed = count_round(private) || count_round(counted) || watch_round(watched) ||
		     pattern_round(forked);

	area_print(private);
	area_print(counted);
	area_print(watched);
	area_print(forked);
	printf("ready\n");
	fflush(stdout);
	while (!failed && !stop) {
		failed = count_round(private) || count_round(counted) || watch_round(watched) ||
			 pattern_round(forked);
		usleep(PAUSE_US);
	}
	fflush(stdout);
	return failed;
}

static int wait_child(pid_t child)
{
	int status;

	kill(child, SIGTERM);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("FAIL: the child ended with status %#x\n", (unsigned int)status);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t own_pages = argc == 4 ? strtoul(argv[1], NULL, 0) : 0;
	uint64_t pages = argc == 4 ? strtoul(argv[2], NULL, 0) : 0;
	struct sigaction action = { .sa_handler = on_stop };
	struct area own, file, shm, forked;
	int fd, failed;
	pid_t child;

	if (!own_pages || own_pages > BEACON_MAX_PAGES || !pages || pages > BEACON_MAX_PAGES) {
		fprintf(stderr, "usage: shapes PRIVATE SHARED FILE\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE))) {
		perror(argv[3]);
		return 2;
	}
	if (area_init(&file, "file", BEACON_FILE, pages, MAP_SHARED, fd) ||
	    area_init(&shm, "shm", BEACON_SHM, pages, MAP_SHARED, -1) ||
	    forked_init(&forked, pages))
		return 2;
	child = fork();
	if (child < 0) {
		perror("shapes: fork");
		return 2;
	}
	if (!child)
		_exit(area_init(&own, "child", BEACON_CHILD, own_pages, MAP_PRIVATE, -1) ||
		      run(&own, &shm, &file, &forked));
	failed = area_init(&own, "parent", BEACON_PARENT, own_pages, MAP_PRIVATE, -1) ||
		 run(&own, &file, &shm, &forked);
	failed |= wait_child(child);
	printf("%s after %lu rounds\n", failed ? "FAIL" : "PASS", own.round);
	return failed;
}
