/* SPDX-License-Identifier: MIT */
/*
 * Host program: live_nodes [--each] [--then COMMAND] PID PAGES. On which NUMA nodes does
 * the host memory lie in which the beacons (beacon.h) of guest programs of the umm process
 * PID count, PAGES pages in all?
 *
 * Independent of what umm says of itself: finds the beacons' pages by content
 * in the memory of the process, tells the ones in use from copies left behind
 * by their growing counts, and asks the kernel for their nodes with a
 * move_pages() query. Prints for each area `NAME N node0 A node1 B ...`, or with
 * --each the node of each page in their order (beacon_print_nodes()), by name; a
 * page is counted once even where it is mapped twice. COMMAND, for a shell, is run when
 * all pages were seen once: it may make programs count that do not by themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/beacon.h"

#define PAGE        BEACON_PAGE_SIZE
#define BATCH       512
#define PRESENT     (1ull << 63) /* in /proc/PID/pagemap */
#define MAX_NODES   64
#define MAX_SIGHTED (16 * BEACON_MAX_PAGES)
#define TRIES       300       /* a busy emulator takes its time */
#define WAIT_NS     100000000 /* between tries */

#define MAX_AREAS 64

struct area {
	char name[BEACON_NAME_MAX];
	uint64_t pages;             /* as many as were sighted: the highest index + 1 */
	int node[BEACON_MAX_PAGES]; /* of each; NOWHERE: not seen alive */
};

#define NOWHERE (-1)

struct sighting {
	uintptr_t address;
	struct area *area;
	uint64_t index, count;
};

static struct sighting sightings[MAX_SIGHTED];
static size_t nr_sightings;
static struct area areas[MAX_AREAS];
static size_t nr_areas;
static size_t nr_live;

/*
 * Read the head of each of @nr pages, at most BATCH; a page that went away in between
 * reads as zero. As few calls as can be: under emulation one costs tens of microseconds.
 */
static void read_heads(pid_t pid, const uintptr_t *addresses, struct beacon *heads, size_t nr)
{
	struct iovec here[BATCH], there[BATCH];
	size_t i, done = 0;
	ssize_t got;

	memset(heads, 0, nr * sizeof(*heads));
	for (i = 0; i < nr; i++) {
		here[i] = (struct iovec){ &heads[i], sizeof(heads[i]) };
		there[i] = (struct iovec){ (void *)addresses[i], sizeof(heads[i]) };
	}
	while (done < nr) {
		got = process_vm_readv(pid, here + done, nr - done, there + done, nr - done, 0);
		/* It stops at a page that cannot be read; go on behind that. */
		done += got > 0 ? (size_t)got / sizeof(*heads) : 0;
		if (done < nr)
			memset(&heads[done++], 0, sizeof(*heads));
	}
}

/* The area that the beacon names, a new one if need be; NULL: it names none. */
static struct area *area_of(const struct beacon *b)
{
	struct area *a;
	size_t i;

	if (b->magic != BEACON_MAGIC || b->index >= BEACON_MAX_PAGES ||
	    b->area[BEACON_NAME_MAX - 1])
		return NULL;
	for (a = areas; a < areas + nr_areas; a++)
		if (!strcmp(a->name, b->area))
			break;
	if (a == areas + MAX_AREAS)
		return NULL;
	if (a == areas + nr_areas) {
		nr_areas++;
		memcpy(a->name, b->area, sizeof(a->name));
		for (i = 0; i < BEACON_MAX_PAGES; i++)
			a->node[i] = NOWHERE;
	}
	if (b->index >= a->pages)
		a->pages = b->index + 1;
	return a;
}

static void note_sightings(const uintptr_t *addresses, const struct beacon *heads, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		struct area *a = area_of(&heads[i]);

		if (a && nr_sightings < MAX_SIGHTED)
			sightings[nr_sightings++] = (struct sighting){ addresses[i], a,
								       heads[i].index,
								       heads[i].count };
	}
}

/* Only pages that are present are read: a missing one might wait on userfaultfd. */
static void scan_range(pid_t pid, int pagemap, uintptr_t start, uintptr_t end)
{
	uint64_t entries[BATCH];
	uintptr_t addresses[BATCH];
	struct beacon heads[BATCH];
	ssize_t got;
	size_t i, nr;

	for (; start < end; start += got / 8 * PAGE) {
		size_t want = (end - start) / PAGE < BATCH ? (end - start) / PAGE : BATCH;

		got = pread(pagemap, entries, want * 8, (off_t)(start / PAGE * 8));
		if (got < 8)
			return;
		for (i = 0, nr = 0; i < (size_t)got / 8; i++)
			if (entries[i] & PRESENT)
				addresses[nr++] = start + i * PAGE;
		read_heads(pid, addresses, heads, nr);
		note_sightings(addresses, heads, nr);
	}
}

static int scan_process(pid_t pid)
{
	char path[64], line[512], perms[8];
	uintptr_t start, end;
	int pagemap, ret = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (pagemap < 0 || !maps) {
		ret = -errno;
		goto out;
	}
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, perms) == 3 &&
		    perms[0] == 'r' && !strstr(line, "[v"))
			scan_range(pid, pagemap, start, end);
	}
out:
	if (maps)
		fclose(maps);
	if (pagemap >= 0)
		close(pagemap);
	return ret;
}

/* Ask for the nodes of the @nr sighted pages whose counts have grown since. */
static void query_nodes(pid_t pid, struct sighting *const *grown, size_t nr)
{
	void *pages[BATCH];
	int nodes[BATCH];
	size_t i;

	for (i = 0; i < nr; i++)
		pages[i] = (void *)grown[i]->address;
	if (syscall(SYS_move_pages, pid, nr, pages, NULL, nodes, 0))
		return;
	for (i = 0; i < nr; i++) {
		int *known = &grown[i]->area->node[grown[i]->index];

		if (nodes[i] >= 0 && *known == NOWHERE) {
			*known = nodes[i];
			nr_live++;
		}
	}
}

/* Look at these sightings again; those that count were alive since they were seen. */
static void query_batch(pid_t pid, struct sighting *const *old, size_t nr)
{
	struct sighting *grown[BATCH];
	uintptr_t addresses[BATCH];
	struct beacon now[BATCH];
	size_t i, nr_grown = 0;

	for (i = 0; i < nr; i++)
		addresses[i] = old[i]->address;
	read_heads(pid, addresses, now, nr);
	for (i = 0; i < nr; i++) {
		if (area_of(&now[i]) == old[i]->area && now[i].index == old[i]->index &&
		    now[i].count != old[i]->count)
			grown[nr_grown++] = old[i];
	}
	if (nr_grown)
		query_nodes(pid, grown, nr_grown);
}

static void query_live(pid_t pid)
{
	struct sighting *unknown[BATCH];
	size_t i, nr = 0;

	for (i = 0; i < nr_sightings; i++) {
		if (sightings[i].area->node[sightings[i].index] == NOWHERE)
			unknown[nr++] = &sightings[i];
		if (nr == BATCH || (nr && i + 1 == nr_sightings)) {
			query_batch(pid, unknown, nr);
			nr = 0;
		}
	}
}

static void print_area(const struct area *a)
{
	unsigned long live = 0, on[MAX_NODES] = { 0 };
	size_t i;

	for (i = 0; i < a->pages; i++) {
		if (a->node[i] != NOWHERE && a->node[i] < MAX_NODES) {
			live++;
			on[a->node[i]]++;
		}
	}
	printf("%s %lu", a->name, live);
	for (i = 0; i < MAX_NODES; i++)
		if (on[i])
			printf(" node%zu %lu", i, on[i]);
	printf("\n");
}

static int by_name(const void *a, const void *b)
{
	const struct area *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void print_areas(bool each)
{
	const struct area *sorted[MAX_AREAS];
	size_t i;

	for (i = 0; i < nr_areas; i++)
		sorted[i] = &areas[i];
	qsort(sorted, nr_areas, sizeof(*sorted), by_name);
	for (i = 0; i < nr_areas; i++) {
		if (each)
			beacon_print_nodes(sorted[i]->name, sorted[i]->node, sorted[i]->pages);
		else
			print_area(sorted[i]);
	}
}

struct options {
	bool each;
	const char *then;
	pid_t pid;
	size_t pages;
};

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "each", no_argument, NULL, 'e' },
		{ "then", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == '?')
			return false;
		if (c == 'e')
			o->each = true;
		else
			o->then = optarg;
	}
	if (argc - optind != 2)
		return false;
	o->pid = atoi(argv[optind]);
	o->pages = strtoul(argv[optind + 1], NULL, 0);
	return o->pid > 0 && o->pages;
}

int main(int argc, char **argv)
{
	struct timespec wait = { .tv_nsec = WAIT_NS };
	struct options o = { .each = false };
	int ret, tries;

	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "usage: live_nodes [--each] [--then COMMAND] PID PAGES\n");
		return 2;
	}
	ret = scan_process(o.pid);
	if (ret) {
		fprintf(stderr, "live_nodes: /proc/%d: %s\n", o.pid, strerror(-ret));
		return 2;
	}
	if (o.then && system(o.then)) {
		fprintf(stderr, "live_nodes: '%s' failed\n", o.then);
		return 2;
	}
	for (tries = 0; tries < TRIES && nr_live < o.pages; tries++) {
		nanosleep(&wait, NULL);
		query_live(o.pid);
	}
	print_areas(o.each);
	return nr_live != o.pages;
}
