/* SPDX-License-Identifier: MIT */
/*
 * Host program: live_nodes PID PAGES. On which NUMA nodes does the host memory
 * lie in which the beacons (shapes.c), a guest program of the umm process PID
 * with PAGES pages in all, count?
 *
 * Independent of what umm says of itself: finds the beacons' pages by content
 * in the memory of the process, tells the ones in use from copies left behind
 * by their growing counts, and asks the kernel for their nodes with a
 * move_pages() query. Prints for each kind `NAME N node0 A node1 B ...`; a page
 * is counted once even where it is mapped twice.
 */
#include <errno.h>
#include <fcntl.h>
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
#define TRIES       50
#define WAIT_NS     100000000 /* between tries */

struct sighting {
	uintptr_t address;
	struct beacon seen;
};

static struct sighting sightings[MAX_SIGHTED];
static size_t nr_sightings;
static int node_of[BEACON_KINDS][BEACON_MAX_PAGES]; /* node + 1, 0: not seen alive */
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

static void note_sightings(const uintptr_t *addresses, const struct beacon *heads, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (heads[i].magic != BEACON_MAGIC || heads[i].index >= BEACON_MAX_PAGES ||
		    heads[i].kind >= BEACON_KINDS)
			continue;
		if (nr_sightings < MAX_SIGHTED)
			sightings[nr_sightings++] = (struct sighting){ addresses[i], heads[i] };
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
		int *known = &node_of[grown[i]->seen.kind][grown[i]->seen.index];

		if (nodes[i] >= 0 && !*known) {
			*known = nodes[i] + 1;
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
		const struct beacon *seen = &old[i]->seen;

		if (now[i].magic == BEACON_MAGIC && now[i].kind == seen->kind &&
		    now[i].index == seen->index && now[i].count != seen->count)
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
		if (!node_of[sightings[i].seen.kind][sightings[i].seen.index])
			unknown[nr++] = &sightings[i];
		if (nr == BATCH || (nr && i + 1 == nr_sightings)) {
			query_batch(pid, unknown, nr);
			nr = 0;
		}
	}
}

static void print_kind(const char *name, const int *nodes)
{
	unsigned long live = 0, on[MAX_NODES] = { 0 };
	size_t i;

	for (i = 0; i < BEACON_MAX_PAGES; i++) {
		if (nodes[i] && nodes[i] <= MAX_NODES) {
			live++;
			on[nodes[i] - 1]++;
		}
	}
	printf("%s %lu", name, live);
	for (i = 0; i < MAX_NODES; i++)
		if (on[i])
			printf(" node%zu %lu", i, on[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static const char *const names[] = BEACON_NAMES;
	struct timespec wait = { .tv_nsec = WAIT_NS };
	pid_t pid = argc == 3 ? atoi(argv[1]) : 0;
	size_t wanted = argc == 3 ? strtoul(argv[2], NULL, 0) : 0;
	int ret, kind, tries;

	if (pid <= 0 || !wanted) {
		fprintf(stderr, "usage: live_nodes PID PAGES\n");
		return 2;
	}
	ret = scan_process(pid);
	if (ret) {
		fprintf(stderr, "live_nodes: /proc/%d: %s\n", pid, strerror(-ret));
		return 2;
	}
	for (tries = 0; tries < TRIES && nr_live < wanted; tries++) {
		nanosleep(&wait, NULL);
		query_live(pid);
	}
	for (kind = 0; kind < BEACON_KINDS; kind++)
		print_kind(names[kind], node_of[kind]);
	return nr_live != wanted;
}
