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
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/beacon_area.h"

#define PAGE         BEACON_PAGE_SIZE
#define PAUSE_US     20000
#define PATTERN_STEP 0x9e3779b97f4a7c15ull

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
	(void)number;
	stop = 1;
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

static int area_init(struct area *a, const char *name, uint64_t pages, int flags, int fd)
{
	*a = (struct area){ .name = name, .pages = pages };
	a->start = area_map(pages, flags, fd);
	a->seen = calloc(pages, sizeof(*a->seen));
	if (!a->start || !a->seen)
		return 1;
	area_fill(a);
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
	int failed = area_count(private) || area_count(counted) || watch_round(watched) ||
		     pattern_round(forked);

	area_print(private);
	area_print(counted);
	area_print(watched);
	area_print(forked);
	printf("ready\n");
	fflush(stdout);
	while (!failed && !stop) {
		failed = area_count(private) || area_count(counted) || watch_round(watched) ||
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
	if (area_init(&file, "file", pages, MAP_SHARED, fd) ||
	    area_init(&shm, "shm", pages, MAP_SHARED, -1) || forked_init(&forked, pages))
		return 2;
	child = fork();
	if (child < 0) {
		perror("shapes: fork");
		return 2;
	}
	if (!child)
		_exit(area_init(&own, "child", own_pages, MAP_PRIVATE, -1) ||
		      run(&own, &shm, &file, &forked));
	failed = area_init(&own, "parent", own_pages, MAP_PRIVATE, -1) ||
		 run(&own, &file, &shm, &forked);
	failed |= wait_child(child);
	printf("%s after %lu rounds\n", failed ? "FAIL" : "PASS", own.round);
	return failed;
}
