/* SPDX-License-Identifier: MIT */
/*
 * Folios: made of free blocks, on the node that a place asks for or near it, with reclaim in
 * between where that is allowed; and their end, back to the blocks.
 */
#include <time.h>

#include "rmap/buddy.h"

/*
 * How often an allocation reclaims, and how often without any gain, before it
 * gives up. What could go may just be in the hands of another who reclaims or
 * migrates; to say too early that there is no memory costs a process its life.
 */
#define RECLAIM_TRIES 32
#define RECLAIM_IDLE  8
/* Host memory is asked for in pieces of this order: a call for each frame would cost more. */
#define POPULATE_ORDER 4u

/* From one of @nodes, nearest to @node first. */
static struct folio *take_nearest(struct mm_sys *sys, int node, uint64_t nodes, unsigned int order,
				  unsigned int flags, uint32_t *known)
{
	struct mm_node *n = &sys->nodes[node];
	struct folio *f = NULL;

	if (nodes & (1ul << node))
		f = buddy_take(sys, n, order, flags, known);
	for (unsigned int i = 0; !f && i + 1 < sys->nr_nodes; i++) {
		if (nodes & (1ul << n->fallback[i]))
			f = buddy_take(sys, &sys->nodes[n->fallback[i]], order, flags, known);
	}
	return f;
}

static struct folio *take_anywhere(struct mm_sys *sys, const struct place *p, unsigned int order,
				   unsigned int flags, uint32_t *known)
{
	uint64_t nodes = nodes_online(sys, p->nodes);
	struct folio *f = NULL;

	if (flags & ALLOC_THISNODE)
		return buddy_take(sys, &sys->nodes[p->node], order, flags, known);
	if (p->first)
		f = take_nearest(sys, p->node, p->first & nodes, order, flags, known);
	return f ? f : take_nearest(sys, p->node, nodes & ~p->first, order, flags, known);
}

static void folio_prepare(struct folio *f, unsigned int order, int refs)
{
	__atomic_store_n(&f->order, (uint8_t)order, __ATOMIC_RELAXED);
	f->mapping = 0;
	f->index = pgoff_make(0);
	f->swap = 0;
	f->mapcount = 0;
	f->total_mapcount = 0;
	f->pincount = 0;
	list_init(&f->lru);
	for (unsigned int i = 1; i < 1u << order; i++) {
		struct folio *t = f + i;

		t->mapping = 0;
		t->mapcount = 0;
		t->swap = 0;
		__atomic_store_n(&t->head_offset, (uint16_t)i, __ATOMIC_RELAXED);
		__atomic_store_n(&t->flags, 1u << PG_tail, __ATOMIC_RELEASE);
	}
	if (order) {
		f[1].large.entire_mapcount = 0;
		f[1].large.nr_frames_mapped = 0;
	}
	__atomic_store_n(&f->flags, order ? 1u << PG_head : 0, __ATOMIC_RELEASE);
	__atomic_store_n(&f->refcount, refs, __ATOMIC_RELEASE);
}

/*
 * A small block that the host must first give memory for is cut from a larger
 * one, all of which is populated: the rest goes back to the lists ready for use.
 */
static struct folio *take_populated(struct mm_sys *sys, const struct place *p, unsigned int order,
				    unsigned int flags, uint32_t *known)
{
	struct folio *f = take_anywhere(sys, p, order, flags, known), *large;
	uint32_t large_known;

	if (!f || !(*known & (1u << PG_discarded)) || order >= POPULATE_ORDER)
		return f;
	large = take_anywhere(sys, p, POPULATE_ORDER, flags, &large_known);
	if (!large)
		return f;
	buddy_give_back(sys, f, order, *known);
	if (buddy_make_ready(sys, large, POPULATE_ORDER, flags & ALLOC_IN_STEAD, large_known)) {
		buddy_give_back(sys, large, POPULATE_ORDER, large_known);
		return NULL;
	}
	*known = large_known & ~(1u << PG_discarded);
	for (unsigned int o = order; o < POPULATE_ORDER; o++)
		buddy_give_back(sys, large + (1ul << o), o, *known);
	return large;
}

struct folio *folio_alloc_at(struct mm_sys *sys, struct place place, unsigned int order,
			     unsigned int flags)
{
	uint32_t known = 0;
	struct folio *f = take_populated(sys, &place, order, flags, &known);

	/* Large folios are a gain, not a need: nobody is reclaimed for them. */
	for (int tries = 0, idle = 0; !f && !order && !(flags & ALLOC_NORECLAIM); tries++) {
		struct mm_thread *stalled = stall_begin(sys);

		if (!reclaim_direct(sys, place, 64))
			idle++;
		stall_end(sys, stalled);
		if (reclaim_is_futile(sys))
			break;
		f = take_populated(sys, &place, order, flags, &known);
		if (f || tries == RECLAIM_TRIES || idle == RECLAIM_IDLE)
			break;
		if (idle)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	if (!f)
		return NULL;
	if (buddy_make_ready(sys, f, order, flags, known)) {
		buddy_give_back(sys, f, order, known);
		return NULL;
	}
	folio_prepare(f, order, 1);
	count_placed(sys, &place, f->node, 1ul << order);
	return f;
}

struct folio *folio_alloc(struct mm_sys *sys, int node, unsigned int order, unsigned int flags)
{
	return folio_alloc_at(sys, place_on_node(node), order, flags);
}

unsigned int folio_alloc_run(struct mm_sys *sys, struct place place, unsigned int block_order,
			     unsigned int folio_order, unsigned int flags, struct folio **out)
{
	unsigned int nr = 1u << (block_order - folio_order);
	uint32_t known = 0;
	struct folio *f = take_anywhere(sys, &place, block_order, flags, &known);

	if (!f)
		return 0;
	if (buddy_make_ready(sys, f, block_order, flags, known)) {
		buddy_give_back(sys, f, block_order, known);
		return 0;
	}
	count_placed(sys, &place, f->node, 1ul << block_order);
	for (unsigned int i = 0; i < nr; i++) {
		out[i] = f + ((uint64_t)i << folio_order);
		folio_prepare(out[i], folio_order, flags & ALLOC_FROZEN ? 0 : 1);
	}
	return nr;
}

void frames_return_block(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known)
{
	f->swap = 0;
	buddy_give_back(sys, f, order, known);
}

int frames_use_block(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known)
{
	int ret = buddy_make_ready(sys, f, order, ALLOC_IN_STEAD, known);

	if (!ret)
		folio_prepare(f, order, 1);
	return ret;
}

/* All state but the frames themselves. Returns how many of them were anonymous, still to be counted. */
static int64_t folio_clear_state(struct mm_sys *sys, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);
	int64_t nr = folio_nr(f), anon = folio_test_anon(f) ? nr : 0;

	mm_assert(!folio_mapped(f) && !folio_test(f, PG_swapcache) && !folio_pincount(f));
	lru_del(sys, f);
	if (placement_has_notes(sys))
		placement_forget(sys, f);
	if (folio_test_ksm(f))
		ksm_folio_freed(sys, f);
	if (folio_test(f, PG_mlocked))
		__atomic_fetch_sub(&n->nr_mlocked, nr, __ATOMIC_RELAXED);
	__atomic_store_n(&f->mapping, 0, __ATOMIC_RELEASE);
	for (int64_t i = 0; i < nr; i++)
		__atomic_store_n(&f[i].flags, 0, __ATOMIC_RELEASE);
	return anon;
}

static void uncount_anon(struct mm_node *n, int64_t nr)
{
	if (nr)
		__atomic_fetch_sub(&n->nr_anon, nr, __ATOMIC_RELAXED);
}

void folio_free(struct mm_sys *sys, struct folio *f)
{
	uint32_t known = folio_drop_holes(sys, f) ? BLOCK_KNOWN : 0;

	uncount_anon(folio_node(sys, f), folio_clear_state(sys, f));
	buddy_give_back(sys, f, f->order, known);
}

/* Those with holes one by one; returns how many are left in f[]. */
static unsigned int free_holed(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int left = 0;

	for (unsigned int k = 0; k < nr; k++) {
		if (folio_test(f[k], PG_holed))
			folio_free(sys, f[k]);
		else
			f[left++] = f[k];
	}
	return left;
}

void folio_free_list(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int i = 0;

	nr = free_holed(sys, f, nr);
	while (i < nr) {
		struct mm_node *n = folio_node(sys, f[i]);
		int64_t anon = 0;

		for (unsigned int k = i; k < nr && folio_node(sys, f[k]) == n; k++)
			anon += folio_clear_state(sys, f[k]);
		uncount_anon(n, anon);
		umm_mutex_lock(&n->free_lock);
		while (i < nr && folio_node(sys, f[i]) == n) {
			struct folio *first = f[i];
			uint64_t frames = 0;

			/* Neighbours are one block at once, not after many joins. */
			for (; i < nr && f[i] == first + frames && folio_node(sys, f[i]) == n; i++)
				frames += folio_nr(f[i]);
			buddy_free_run(n, first, frames);
		}
		umm_mutex_unlock(&n->free_lock);
	}
}

void folio_put_list(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int freed = 0;

	for (unsigned int k = 0; k < nr; k++) {
		int32_t left = __atomic_sub_fetch(&f[k]->refcount, 1, __ATOMIC_ACQ_REL);

		mm_assert(left >= 0);
		if (!left)
			f[freed++] = f[k];
	}
	folio_free_list(sys, f, freed);
}
