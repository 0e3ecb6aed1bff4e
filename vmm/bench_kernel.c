/* SPDX-License-Identifier: MIT */
/*
 * move_pages() and migrate_pages() on memory of this process, of the shape that the
 * sweep "batch" moves in a guest: as many pages of 4 KiB, private and anonymous, all of
 * them there, between two of the host's nodes, asked for in calls of as many pages.
 *
 * The bare copy beside it is that of the same pages to touched memory of the target
 * node, by the routine that copies a guest's frames (vmm/frames.c), so that both sides'
 * limits are of one kind. What differs honestly is that a guest's memory lies in huge
 * pages of the host where it has some, and a process's 4 KiB pages do not.
 *
 * Both sides' memory is bound to nodes, the guest's by umm, so the kernel's automatic
 * balancing leaves it alone. Without that it unmapped pages just moved to see who uses
 * them, and brought them back in the middle of the copy: 225 us a page, and 5 the next
 * time, in the lab.
 *
 * After each way the kernel is asked where the pages are; one that did not come is an
 * error, not a fast move.
 */
#include "vmm/bench_kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/frames.h"
#include "vmm/vm.h"

#define MAX_BATCH 512u

struct pages {
	uint8_t *memory, *other; /* the pages; room for the bare copy */
	void **addresses;
	int *targets, *status;
	uint64_t nr;
	int nodes[2], at; /* at: which of them the pages are on */
};

/* The first two nodes that this process may take memory from. */
static bool find_nodes(int nodes[2])
{
	unsigned int nr = 0;

	if (numa_available() < 0)
		return false;
	for (int node = 0; node <= numa_max_node() && nr < 2; node++) {
		if (numa_bitmask_isbitset(numa_get_mems_allowed(), (unsigned int)node) &&
		    numa_node_size64(node, NULL) > 0)
			nodes[nr++] = node;
	}
	return nr == 2;
}

/* => NULL without memory. Touched while bound to that of @nodes, then bound to both. */
static uint8_t *memory_on(uint64_t bytes, const int nodes[2], int which)
{
	unsigned long mask = 1ul << nodes[which], both = 1ul << nodes[0] | 1ul << nodes[1];
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	if (mbind(p, bytes, MPOL_BIND, &mask, 8 * sizeof(mask), 0))
		goto fail;
	memset(p, 0x5a, bytes);
	if (!mbind(p, bytes, MPOL_BIND, &both, 8 * sizeof(both), 0))
		return p;
fail:
	munmap(p, bytes);
	return NULL;
}

static void pages_destroy(struct pages *p)
{
	uint64_t bytes = p->nr * UMM_PAGE_SIZE;

	if (p->memory)
		munmap(p->memory, bytes);
	if (p->other)
		munmap(p->other, bytes);
	free(p->addresses);
	free(p->targets);
	free(p->status);
}

static int pages_create(struct pages *p, uint64_t nr, struct errmsg *e)
{
	p->nr = nr;
	p->memory = memory_on(nr * UMM_PAGE_SIZE, p->nodes, 0);
	p->other = memory_on(nr * UMM_PAGE_SIZE, p->nodes, 1);
	p->addresses = calloc(nr, sizeof(*p->addresses));
	p->targets = calloc(nr, sizeof(*p->targets));
	p->status = calloc(nr, sizeof(*p->status));
	if (!p->memory || !p->other || !p->addresses || !p->targets || !p->status) {
		pages_destroy(p);
		return errmsg_set(e, -ENOMEM, "no memory for %" PRIu64 " pages on nodes %d and %d",
				  nr, p->nodes[0], p->nodes[1]);
	}
	for (uint64_t i = 0; i < nr; i++)
		p->addresses[i] = p->memory + i * UMM_PAGE_SIZE;
	return 0;
}

static int check_arrival(const struct pages *p, int node, const char *how, struct errmsg *e)
{
	uint64_t away = 0;

	if (move_pages(0, p->nr, p->addresses, NULL, p->status, 0))
		return errmsg_set(e, -errno, "move_pages, asking: %s", strerror(errno));
	for (uint64_t i = 0; i < p->nr; i++)
		away += p->status[i] != node;
	return away ? errmsg_set(e, -EIO, "%s left %" PRIu64 " of %" PRIu64 " pages", how, away,
				 p->nr)
		    : 0;
}

/* @batch pages a call; 0: all that the process has, by one migrate_pages(). */
static int move_once(struct pages *p, uint64_t batch, double *us, struct errmsg *e)
{
	int to = p->nodes[!p->at];
	unsigned long from_mask = 1ul << p->nodes[p->at], to_mask = 1ul << to;
	const char *how = batch ? "move_pages" : "migrate_pages";
	uint64_t start = vm_now_ns();
	long rc = 0;

	for (uint64_t i = 0; i < p->nr; i++)
		p->targets[i] = to;
	if (!batch)
		rc = migrate_pages(0, 8 * sizeof(to_mask), &from_mask, &to_mask);
	for (uint64_t i = 0, nr; batch && i < p->nr && rc >= 0; i += nr) {
		nr = p->nr - i < batch ? p->nr - i : batch;
		rc = move_pages(0, nr, p->addresses + i, p->targets, p->status, MPOL_MF_MOVE);
	}
	*us = (double)(vm_now_ns() - start) / 1e3;
	if (rc < 0)
		return errmsg_set(e, -errno, "%s: %s", how, strerror(errno));
	p->at = !p->at;
	return check_arrival(p, to, how, e);
}

static double copy_once(const struct pages *p)
{
	uint64_t start = vm_now_ns();

	frames_copy_bytes(p->other, p->memory, p->nr * UMM_PAGE_SIZE);
	return (double)(vm_now_ns() - start) / 1e3;
}

static int measure(struct pages *p, struct sweep_point *point, uint64_t batch, unsigned int repeat,
		   struct errmsg *e)
{
	double us, pages = (double)p->nr;

	fprintf(stderr, "umm bench: the kernel's %s %" PRIu64 "\n", point->sweep, batch);
	point->pages = p->nr;
	for (unsigned int i = 0; i < repeat; i++) {
		int rc = move_once(p, batch, &us, e);

		if (rc)
			return rc;
		samples_add(&point->umm, us / pages);
		samples_add(&point->whole_us, us);
		samples_add(&point->bare, copy_once(p) / pages);
	}
	return 0;
}

int bench_kernel(struct sweep_set *set, struct bench_report *r, uint64_t nr, bool quick,
		 struct errmsg *e)
{
	struct pages p = { .nr = 0 };
	struct bench_row *row;
	int rc;

	if (!find_nodes(p.nodes)) {
		row = report_add(r, "the kernel's move_pages, migrate_pages", "us/page", "");
		row->skipped = true;
		snprintf(row->note, sizeof(row->note),
			 "this host has one NUMA node, so the kernel has nowhere to move "
			 "pages to and there is nothing to compare with (make lab has more)");
		return 0;
	}
	rc = pages_create(&p, nr, e);
	if (rc)
		return rc;
	for (uint64_t n = 1; n <= MAX_BATCH && !rc; n *= quick ? 8 : 2)
		rc = measure(&p, sweep_add(set, "move_pages", n), n, r->repeat, e);
	if (!rc)
		rc = measure(&p, sweep_add(set, "migrate_pages", 0), 0, r->repeat, e);
	pages_destroy(&p);
	return rc;
}
