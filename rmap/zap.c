/* SPDX-License-Identifier: MIT */
/*
 * Collecting frames whose translations must be dropped, and what may only
 * happen after that (law 2: no early reuse).
 *
 * A zap costs a host call a range, so neighbouring frames are joined: while
 * they are added if they come in order, and once more by sorting at the flush.
 */
#include "rmap/internal.h"

#include <stdlib.h>

#define BATCH_GROWN 1024

void zap_batch_init(struct zap_batch *b, struct mm_sys *sys)
{
	b->sys = sys;
	b->ranges = b->fixed;
	b->nr = 0;
	b->cap = sizeof(b->fixed) / sizeof(b->fixed[0]);
	b->tables = false;
}

static bool batch_grow(struct zap_batch *b)
{
	struct frame_range *r;

	if (b->ranges != b->fixed)
		return false;
	r = sys_alloc(b->sys, BATCH_GROWN * sizeof(*r));
	if (!r)
		return false;
	memcpy(r, b->fixed, b->nr * sizeof(*r));
	b->ranges = r;
	b->cap = BATCH_GROWN;
	return true;
}

void zap_batch_add(struct zap_batch *b, pfn_t pfn, uint32_t nr)
{
	if (b->nr) {
		struct frame_range *last = &b->ranges[b->nr - 1];

		/* The next of many entries of one frame. */
		if (pfn.v >= last->pfn.v && pfn.v + nr <= last->pfn.v + last->nr)
			return;
		if (last->pfn.v + last->nr == pfn.v) {
			last->nr += nr;
			return;
		}
	}
	/* Full: the entries added so far have changed already, so zap them now. */
	if (b->nr == b->cap && !batch_grow(b))
		zap_batch_flush(b);
	b->ranges[b->nr++] = (struct frame_range){ .pfn = pfn, .nr = nr };
}

void zap_batch_add_hidden(struct zap_batch *b, uint64_t entry)
{
	swp_entry_t s = pte_to_swp(entry);
	struct folio *f;

	if (swp_is_migration(s)) {
		zap_batch_add(b, swp_pfn(s), 1);
	} else if (swp_is_area(s)) {
		f = swap_cache_find(b->sys, s);
		if (!f)
			return;
		zap_batch_add(b, folio_pfn(b->sys, f), folio_nr(f));
		folio_put(b->sys, f);
	}
}

static int compare_ranges(const void *a, const void *b)
{
	const struct frame_range *x = a, *y = b;

	return x->pfn.v < y->pfn.v ? -1 : x->pfn.v > y->pfn.v;
}

/* Sorted input; joins what touches or overlaps. Returns how many are left. */
static unsigned int join_ranges(struct frame_range *r, unsigned int nr, uint64_t *frames)
{
	unsigned int out = 0;

	*frames = 0;
	for (unsigned int i = 0; i < nr; i++) {
		struct frame_range *last = out ? &r[out - 1] : NULL;

		if (last && r[i].pfn.v <= last->pfn.v + last->nr) {
			uint64_t end = r[i].pfn.v + r[i].nr;

			if (end > last->pfn.v + last->nr)
				last->nr = (uint32_t)(end - last->pfn.v);
		} else {
			r[out++] = r[i];
		}
	}
	for (unsigned int i = 0; i < out; i++)
		*frames += r[i].nr;
	return out;
}

void zap_batch_flush_tables(struct zap_batch *b)
{
	if (b->tables)
		tables_flush(b->sys);
	b->tables = false;
}

void zap_batch_flush(struct zap_batch *b)
{
	struct mm_sys *sys = b->sys;
	uint64_t frames;

	zap_batch_flush_tables(b);
	if (!b->nr)
		return;
	qsort(b->ranges, b->nr, sizeof(*b->ranges), compare_ranges);
	b->nr = join_ranges(b->ranges, b->nr, &frames);
	sys->ops->zap_frames(sys->ctx, b->ranges, b->nr);
	sys_count(sys, EV_ZAP_CALLS, 1);
	sys_count(sys, EV_ZAP_RANGES, b->nr);
	sys_count(sys, EV_ZAP_FRAMES, frames);
	b->nr = 0;
}

void zap_batch_destroy(struct zap_batch *b)
{
	zap_batch_flush(b);
	if (b->ranges != b->fixed)
		sys_free(b->sys, b->ranges, BATCH_GROWN * sizeof(*b->ranges));
	b->ranges = b->fixed;
}

/* ---- mmu_gather -------------------------------------------------------- */

#define GATHER_GROWN 4096

void mmu_gather_init(struct mmu_gather *g, struct mm *mm)
{
	g->mm = mm;
	zap_batch_init(&g->zap, mm->sys);
	g->folios = g->fixed;
	g->nr = 0;
	g->cap = sizeof(g->fixed) / sizeof(g->fixed[0]);
}

/* A folio that only the swap cache still holds, for slots that nobody needs. */
static void drop_dead_swap(struct mm_sys *sys, struct folio *f)
{
	if (!folio_test(f, PG_swapcache) || folio_mapped(f) || !folio_trylock(f))
		return;
	swap_try_free(sys, f);
	folio_unlock(sys, f);
}

static void release_folios(struct mmu_gather *g)
{
	struct mm_sys *sys = g->mm->sys;

	for (unsigned int i = 0; i < g->nr; i++) {
		drop_dead_swap(sys, g->folios[i]);
		folio_put(sys, g->folios[i]);
	}
	g->nr = 0;
}

static bool gather_grow(struct mmu_gather *g)
{
	struct folio **f;

	if (g->folios != g->fixed)
		return false;
	f = sys_alloc(g->mm->sys, GATHER_GROWN * sizeof(*f));
	if (!f)
		return false;
	memcpy(f, g->fixed, g->nr * sizeof(*f));
	g->folios = f;
	g->cap = GATHER_GROWN;
	return true;
}

void mmu_gather_folio(struct mmu_gather *g, struct folio *f)
{
	if (g->nr == g->cap && !gather_grow(g)) {
		zap_batch_flush(&g->zap);
		release_folios(g);
	}
	g->folios[g->nr++] = f;
}

void mmu_gather_finish(struct mmu_gather *g)
{
	zap_batch_destroy(&g->zap);
	release_folios(g);
	if (g->folios != g->fixed)
		sys_free(g->mm->sys, g->folios, GATHER_GROWN * sizeof(*g->folios));
	g->folios = g->fixed;
}
