/* SPDX-License-Identifier: MIT */
/*
 * Belady's optimum, in two passes: backwards, to note for each reference when its
 * page is used next; forwards, with the pages in memory in a heap by next use.
 *
 * A page that is used again leaves its old place in the heap behind, which is below
 * the present by then and never comes to the top before the valid ones: what is on
 * top with a next use that is not its page's is dropped.
 */
#include "vmm/sim.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NEVER UINT32_MAX
/* in_memory of a page that is not there. */
#define OUT (UINT32_MAX - 1)

struct entry {
	uint32_t next, page;
};

struct optimum {
	const struct sim_trace *t;
	uint32_t *next_use;  /* by reference */
	uint32_t *in_memory; /* by page: next use, or OUT */
	uint8_t *dirty;      /* by page: 1 stored to since it came, 2 was here before */
	struct entry *heap;  /* largest next first */
	uint64_t nr, cap;
};

static void heap_push(struct optimum *o, struct entry e)
{
	uint64_t i = o->nr++;

	while (i && o->heap[(i - 1) / 2].next < e.next) {
		o->heap[i] = o->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	o->heap[i] = e;
}

static void heap_sift(struct optimum *o, uint64_t i)
{
	struct entry e = o->heap[i];

	for (;;) {
		uint64_t kid = 2 * i + 1;

		if (kid + 1 < o->nr && o->heap[kid + 1].next > o->heap[kid].next)
			kid++;
		if (kid >= o->nr || o->heap[kid].next <= e.next)
			break;
		o->heap[i] = o->heap[kid];
		i = kid;
	}
	o->heap[i] = e;
}

static struct entry heap_pop(struct optimum *o)
{
	struct entry top = o->heap[0];

	o->heap[0] = o->heap[--o->nr];
	if (o->nr)
		heap_sift(o, 0);
	return top;
}

static bool is_valid(const struct optimum *o, const struct entry *e)
{
	return o->in_memory[e->page] == e->next;
}

/* Full of what is left behind: keep the valid ones, at most one a page of memory. */
static void heap_clean(struct optimum *o)
{
	uint64_t out = 0;

	for (uint64_t i = 0; i < o->nr; i++) {
		if (is_valid(o, &o->heap[i]))
			o->heap[out++] = o->heap[i];
	}
	o->nr = out;
	for (uint64_t i = out / 2; i-- > 0;)
		heap_sift(o, i);
}

static int optimum_init(struct optimum *o, const struct sim_trace *t, uint64_t frames)
{
	uint64_t refs = t->header.nr_refs, pages = t->header.nr_pages;

	memset(o, 0, sizeof(*o));
	o->t = t;
	o->cap = 2 * (frames < t->touched ? frames : t->touched) + 2;
	o->next_use = malloc(refs * sizeof(*o->next_use));
	o->in_memory = malloc(pages * sizeof(*o->in_memory));
	o->dirty = calloc(pages, 1);
	o->heap = malloc(o->cap * sizeof(*o->heap));
	if (!o->next_use || !o->in_memory || !o->dirty || !o->heap)
		return -ENOMEM;
	memset(o->in_memory, 0xff, pages * sizeof(*o->in_memory)); /* NEVER */
	for (uint64_t i = refs; i-- > 0;) {
		uint32_t page = t->refs[i] >> 1;

		o->next_use[i] = o->in_memory[page];
		o->in_memory[page] = (uint32_t)i;
	}
	for (uint64_t i = 0; i < pages; i++)
		o->in_memory[i] = OUT;
	return 0;
}

static void optimum_free(struct optimum *o)
{
	free(o->next_use);
	free(o->in_memory);
	free(o->dirty);
	free(o->heap);
}

static void evict_farthest(struct optimum *o, struct sim_result *out)
{
	for (;;) {
		struct entry e = heap_pop(o);

		if (!is_valid(o, &e))
			continue;
		o->in_memory[e.page] = OUT;
		out->evicted++;
		out->dirty += o->dirty[e.page] & 1;
		o->dirty[e.page] = 2;
		return;
	}
}

int sim_optimum(const struct sim_trace *t, uint64_t frames, struct sim_result *out)
{
	struct timespec from, to;
	struct optimum o;
	uint64_t used = 0;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!frames)
		return -EINVAL;
	clock_gettime(CLOCK_MONOTONIC, &from);
	ret = optimum_init(&o, t, frames);
	for (uint64_t i = 0; !ret && i < t->header.nr_refs; i++) {
		uint32_t page = t->refs[i] >> 1;

		if (o.in_memory[page] == OUT) {
			out->faults++;
			out->cold += !(o.dirty[page] & 2);
			o.dirty[page] = 2;
			if (used == frames)
				evict_farthest(&o, out);
			else
				used++;
		}
		o.dirty[page] |= t->refs[i] & 1;
		o.in_memory[page] = o.next_use[i];
		if (o.nr == o.cap)
			heap_clean(&o);
		heap_push(&o, (struct entry){ .next = o.next_use[i], .page = page });
	}
	optimum_free(&o);
	clock_gettime(CLOCK_MONOTONIC, &to);
	out->refs = t->header.nr_refs;
	out->seconds =
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	return ret;
}

double sim_regret(const struct sim_result *r, const struct sim_result *optimum)
{
	uint64_t warm = optimum->faults - optimum->cold;
	uint64_t more = r->faults > optimum->faults ? r->faults - optimum->faults : 0;

	if (!warm)
		return more ? INFINITY : 0;
	return (double)more / (double)warm;
}
