/* SPDX-License-Identifier: MIT */
/*
 * Native program: kernel_move [--mib N] [--from A] [--to B] [--repeat R]. What the
 * kernel's own calls take to move memory between two NUMA nodes, as something to
 * compare `umm bench migrate` with: anonymous 4 KiB pages, all touched, moved
 * there and back by move_pages() in batches of 1 to 512 pages a call, and by one
 * migrate_pages() call. The bare copy of the same pages to memory of the other
 * node stands beside.
 *
 * JSON on stdout: of each way the best and the median of R rounds, in pages a
 * second and microseconds a page. After each round the nodes of the pages are
 * asked for; pages that did not come are an error.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE         4096ul
#define MAX_BATCH    512ul
#define MAX_REPEAT   64ul
#define MAX_NODE     63ul
#define MPOL_BIND    2
#define MPOL_MF_MOVE (1 << 1)

struct job {
	char *memory, *other; /* the pages to move; room on the target for the bare copy */
	void **addresses;
	int *nodes, *status;
	unsigned long pages, from, to, repeat;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int mask_bind(void *start, unsigned long bytes, unsigned long node)
{
	unsigned long mask = 1ul << node;

	return (int)syscall(SYS_mbind, start, bytes, MPOL_BIND, &mask, MAX_NODE + 2, 0);
}

/* => NULL after a message. Its pages are touched, in frames of @node, and are 4 KiB pages. */
static char *memory_on_node(unsigned long pages, unsigned long node)
{
	unsigned long bytes = pages * PAGE;
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || madvise(p, bytes, MADV_NOHUGEPAGE) || mask_bind(p, bytes, node)) {
		fprintf(stderr, "kernel_move: %lu pages on node %lu: %s\n", pages, node,
			strerror(errno));
		return NULL;
	}
	memset(p, 0x5a, bytes);
	/* A bound area's pages could not leave. */
	if (syscall(SYS_mbind, p, bytes, 0, NULL, 0, 0)) {
		perror("kernel_move: mbind to the default");
		return NULL;
	}
	return p;
}

/* => 0 if all pages are on the node, by the kernel's word. */
static int pages_check(const struct job *j, unsigned long node)
{
	unsigned long i, away = 0;

	if (syscall(SYS_move_pages, 0, j->pages, j->addresses, NULL, j->status, 0)) {
		perror("kernel_move: move_pages query");
		return 1;
	}
	for (i = 0; i < j->pages; i++)
		away += j->status[i] != (int)node;
	if (away)
		fprintf(stderr, "kernel_move: %lu of %lu pages are not on node %lu\n", away,
			j->pages, node);
	return away != 0;
}

/* One way over all the pages. => seconds, or negative. */
static double move_by_pages(const struct job *j, unsigned long to, unsigned long batch)
{
	unsigned long i, nr;
	double start;

	for (i = 0; i < j->pages; i++)
		j->nodes[i] = (int)to;
	start = now();
	for (i = 0; i < j->pages; i += nr) {
		nr = j->pages - i < batch ? j->pages - i : batch;
		if (syscall(SYS_move_pages, 0, nr, j->addresses + i, j->nodes + i, j->status + i,
			    MPOL_MF_MOVE) < 0) {
			perror("kernel_move: move_pages");
			return -1;
		}
	}
	return now() - start;
}

static double move_by_process(const struct job *j, unsigned long from, unsigned long to)
{
	unsigned long from_mask = 1ul << from, to_mask = 1ul << to;
	double start = now();

	if (syscall(SYS_migrate_pages, 0, MAX_NODE + 2, &from_mask, &to_mask) < 0) {
		perror("kernel_move: migrate_pages");
		return -1;
	}
	(void)j;
	return now() - start;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_times(const char *name, unsigned long batch, unsigned long pages, double *seconds,
			unsigned long nr, bool first)
{
	double best, median;

	qsort(seconds, nr, sizeof(*seconds), compare_doubles);
	best = seconds[0];
	median = seconds[nr / 2];
	printf("%s    {\"name\": \"%s\", ", first ? "" : ",\n", name);
	if (batch)
		printf("\"batch\": %lu, ", batch);
	printf("\"pages_per_s\": %.0f, \"best_pages_per_s\": %.0f, \"us_per_page\": %.3f}",
	       (double)pages / median, (double)pages / best, median * 1e6 / (double)pages);
}

/* There and back, R times; @batch 0: migrate_pages. => 0, or 1 after a message. */
static int bench_moves(const struct job *j, const char *name, unsigned long batch)
{
	double seconds[2 * MAX_REPEAT];
	unsigned long round, nr = 0, from, to;

	for (round = 0; round < 2 * j->repeat; round++) {
		from = round & 1 ? j->to : j->from;
		to = round & 1 ? j->from : j->to;
		seconds[nr] = batch ? move_by_pages(j, to, batch) : move_by_process(j, from, to);
		if (seconds[nr++] < 0 || pages_check(j, to))
			return 1;
	}
	print_times(name, batch, j->pages, seconds, nr, false);
	return 0;
}

static void bench_copy(const struct job *j)
{
	double seconds[2 * MAX_REPEAT], start;
	unsigned long round, i;

	for (round = 0; round < 2 * j->repeat; round++) {
		start = now();
		for (i = 0; i < j->pages; i++)
			memcpy(j->other + i * PAGE, j->memory + i * PAGE, PAGE);
		seconds[round] = now() - start;
	}
	print_times("bare copy", 0, j->pages, seconds, 2 * j->repeat, true);
}

static int bench(struct job *j)
{
	unsigned long i, batch;
	int failed = 0;

	j->memory = memory_on_node(j->pages, j->from);
	j->other = memory_on_node(j->pages, j->to);
	j->addresses = calloc(j->pages, sizeof(*j->addresses));
	j->nodes = calloc(j->pages, sizeof(*j->nodes));
	j->status = calloc(j->pages, sizeof(*j->status));
	if (!j->memory || !j->other || !j->addresses || !j->nodes || !j->status)
		return 1;
	for (i = 0; i < j->pages; i++)
		j->addresses[i] = j->memory + i * PAGE;
	if (pages_check(j, j->from))
		return 1;
	printf("{\n  \"what\": \"the kernel's own calls on a native process\",\n"
	       "  \"pages\": %lu, \"from\": %lu, \"to\": %lu, \"rounds\": %lu,\n  \"ways\": [\n",
	       j->pages, j->from, j->to, 2 * j->repeat);
	bench_copy(j);
	/* What migrate_pages moves is the whole process. */
	munmap(j->other, j->pages * PAGE);
	for (batch = 1; batch <= MAX_BATCH && !failed; batch *= 2)
		failed = bench_moves(j, "move_pages", batch);
	failed = failed || bench_moves(j, "migrate_pages", 0);
	printf("\n  ]\n}\n");
	return failed;
}

static bool take_number(const char *text, unsigned long min, unsigned long max, unsigned long *to)
{
	char *end;

	errno = 0;
	*to = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *to >= min && *to <= max;
}

int main(int argc, char **argv)
{
	struct job j = { .from = 0, .to = 1, .repeat = 3 };
	unsigned long mib = 16;
	int i;

	for (i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!(!strcmp(argv[i], "--mib")      ? take_number(value, 1, 1ul << 20, &mib)
		      : !strcmp(argv[i], "--from")   ? take_number(value, 0, MAX_NODE, &j.from)
		      : !strcmp(argv[i], "--to")     ? take_number(value, 0, MAX_NODE, &j.to)
		      : !strcmp(argv[i], "--repeat") ? take_number(value, 1, MAX_REPEAT, &j.repeat)
						     : false)) {
			fprintf(stderr, "usage: kernel_move [--mib N] [--from NODE] [--to NODE] "
					"[--repeat 1-64]\n");
			return 2;
		}
	}
	if (j.from == j.to) {
		fprintf(stderr, "kernel_move: from node %lu to node %lu moves nothing\n", j.from,
			j.to);
		return 2;
	}
	j.pages = (mib << 20) / PAGE;
	return bench(&j);
}
