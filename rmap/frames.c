/* SPDX-License-Identifier: MIT */
/*
 * Free frames: one buddy allocator a node.
 *
 * A free block of 2^order frames is described by its first frame: PG_buddy,
 * its order, and what is known of its content. PG_zeroed: reads as zero.
 * PG_discarded: the host keeps no memory behind it, so handing it out must
 * populate it first (one host call for the block instead of one host fault a
 * frame). Discarded blocks queue at the tail of their list: memory that the
 * host has already given is used before new memory is asked for.
 *
 * Frames from node->fresh on were never handed out: they are free blocks of the
 * largest order that have not been entered anywhere yet, so that a large guest
 * starts without touching all of its frame table.
 *
 * Below the node's lowest watermark (rmap/watermark.c) only those get frames who
 * cannot wait for reclaim, which are those that reclaim and migrate. With a limit
 * below the size of the node, the frames beyond it stay in the lists ("hidden"):
 * they are not told as free, not handed out, and the host has their memory.
 */
#include "rmap/internal.h"

#include <limits.h>
#include <time.h>

/*
 * How often an allocation reclaims, and how often without any gain, before it
 * gives up. What could go may just be in the hands of another who reclaims or
 * migrates; to say too early that there is no memory costs a process its life.
 */
#define RECLAIM_TRIES 32
#define RECLAIM_IDLE  8
/* Host memory is asked for in pieces of this order: a call for each frame would cost more. */
#define POPULATE_ORDER 4u

static struct mm_node *node_of_pfn(const struct mm_sys *sys, pfn_t pfn)
{
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		struct mm_node *n = &sys->nodes[i];

		if (pfn.v - n->base.v < n->nr_frames)
			return n;
	}
	return NULL;
}

int sys_node_of(const struct mm_sys *sys, pfn_t pfn)
{
	return node_of_pfn(sys, pfn)->id;
}

struct folio *sys_frame(const struct mm_sys *sys, pfn_t pfn)
{
	struct mm_node *n = node_of_pfn(sys, pfn);

	return n ? &n->frames[pfn.v - n->base.v] : NULL;
}

pfn_t folio_pfn(const struct mm_sys *sys, const struct folio *f)
{
	const struct mm_node *n = &sys->nodes[f->node];

	return pfn_add(n->base, (uint64_t)(f - n->frames));
}

void *frame_hva(const struct mm_sys *sys, pfn_t pfn)
{
	const struct mm_node *n = node_of_pfn(sys, pfn);

	return (char *)n->hva + ((pfn.v - n->base.v) << UMM_PAGE_SHIFT);
}

uint64_t frames_nr_free(const struct mm_sys *sys)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		if (mm_node_state(sys, (int)i) == MM_NODE_ONLINE)
			sum += node_nr_free(&sys->nodes[i]);
	}
	return sum;
}

void frames_set_state(struct mm_sys *sys, int node, enum mm_node_state state)
{
	struct mm_node *n = &sys->nodes[node];

	umm_mutex_lock(&n->free_lock);
	__atomic_store_n(&n->state, state, __ATOMIC_RELAXED);
	umm_mutex_unlock(&n->free_lock);
	if (state == MM_NODE_ONLINE)
		__atomic_fetch_or(&sys->online, 1ul << node, __ATOMIC_ACQ_REL);
	else
		__atomic_fetch_and(&sys->online, ~(1ul << node), __ATOMIC_ACQ_REL);
}

uint64_t nodes_online(const struct mm_sys *sys, uint64_t nodes)
{
	uint64_t online = __atomic_load_n(&sys->online, __ATOMIC_ACQUIRE);

	return nodes & online ? nodes & online : online;
}

#define BLOCK_KNOWN ((1u << PG_zeroed) | (1u << PG_discarded))

static void block_insert(struct mm_node *n, struct folio *f, unsigned int order, uint32_t known)
{
	__atomic_store_n(&f->flags, (1u << PG_buddy) | known, __ATOMIC_RELEASE);
	__atomic_store_n(&f->order, (uint8_t)order, __ATOMIC_RELAXED); /* migrate.c peeks */
	n->nr_blocks[order]++;
	if (known & (1u << PG_discarded)) {
		n->nr_discarded += 1ul << order;
		list_add_tail(&f->lru, &n->free[order]);
	} else {
		list_add(&f->lru, &n->free[order]);
	}
}

static void block_remove(struct mm_node *n, struct folio *f)
{
	n->nr_blocks[f->order]--;
	if (folio_test(f, PG_discarded))
		n->nr_discarded -= folio_nr(f);
	list_del(&f->lru);
	__atomic_store_n(&f->flags, 0, __ATOMIC_RELEASE);
}

/* free_lock held; the figure is read without it for estimates. */
static void count_free(struct mm_node *n, int64_t delta)
{
	__atomic_store_n(&n->nr_free, n->nr_free + (uint64_t)delta, __ATOMIC_RELAXED);
}

/*
 * free_lock held. Join with free buddies as long as there are any. Memory that
 * the host has given and memory that it has not stay apart: a joined block would
 * have to be taken for neither.
 */
static void block_free(struct mm_node *n, struct folio *f, unsigned int order, uint32_t known)
{
	uint64_t idx = (uint64_t)(f - n->frames);

	count_free(n, 1l << order);
	while (order < UMM_MAX_ORDER) {
		struct folio *buddy = &n->frames[idx ^ (1ul << order)];

		if (!folio_test(buddy, PG_buddy) || buddy->order != order ||
		    ((folio_flags(buddy) ^ known) & (1u << PG_discarded)))
			break;
		known &= folio_flags(buddy);
		block_remove(n, buddy);
		idx &= ~(1ul << order);
		order++;
	}
	block_insert(n, &n->frames[idx], order, known & BLOCK_KNOWN);
}

void mm_sys_free_blocks(struct mm_sys *sys, int node, uint64_t blocks[UMM_MAX_ORDER + 1])
{
	struct mm_node *n = &sys->nodes[node];

	umm_mutex_lock(&n->free_lock);
	memcpy(blocks, n->nr_blocks, sizeof(n->nr_blocks));
	blocks[UMM_MAX_ORDER] += (n->nr_frames - n->fresh) >> UMM_MAX_ORDER;
	umm_mutex_unlock(&n->free_lock);
}

/* free_lock held. Enter the next never-used block of the largest order. */
static bool block_enter_fresh(struct mm_node *n)
{
	struct folio *f = &n->frames[n->fresh];

	if (n->fresh == n->nr_frames)
		return false;
	for (unsigned int i = 0; i < 1u << UMM_MAX_ORDER; i++)
		f[i].node = (uint8_t)n->id;
	block_insert(n, f, UMM_MAX_ORDER, BLOCK_KNOWN);
	__atomic_store_n(&n->fresh, n->fresh + (1ul << UMM_MAX_ORDER), __ATOMIC_RELEASE);
	return true;
}

/* free_lock held. The smallest free block that is large enough; NULL. */
static struct folio *block_find(struct mm_node *n, unsigned int order, bool discarded_too)
{
	for (unsigned int o = order; o <= UMM_MAX_ORDER; o++) {
		struct folio *f;

		if (list_empty(&n->free[o]))
			continue;
		f = list_first_entry(&n->free[o], struct folio, lru);
		if (discarded_too || !folio_test(f, PG_discarded))
			return f;
	}
	return NULL;
}

/*
 * free_lock held. A block of 2^order frames, *known tells of its content. Memory
 * that the host has given is used up before more is asked for.
 */
static struct folio *block_take(struct mm_node *n, unsigned int order, unsigned int flags,
				uint32_t *known)
{
	struct folio *f = block_find(n, order, false);
	unsigned int o;

	if (!f && (flags & ALLOC_POPULATED))
		return NULL;
	if (!f)
		f = block_find(n, order, true);
	if (!f && block_enter_fresh(n))
		f = block_find(n, order, true);
	if (!f)
		return NULL;
	o = f->order;
	*known = folio_flags(f) & BLOCK_KNOWN;
	block_remove(n, f);
	while (o > order) {
		o--;
		block_insert(n, f + (1ul << o), o, *known);
	}
	count_free(n, -(1l << order));
	return f;
}

/* free_lock held. Frames that the host has given memory for, used or free. */
static uint64_t nr_populated(const struct mm_node *n)
{
	return n->fresh - n->nr_discarded;
}

static struct folio *take_from(struct mm_sys *sys, struct mm_node *n, unsigned int order,
			       unsigned int flags, uint32_t *known)
{
	uint64_t keep = flags & ALLOC_NORECLAIM ? 0 : n->wmark[WMARK_MIN];
	struct folio *f = NULL;
	bool wake;

	umm_mutex_lock(&n->free_lock);
	if (n->state == MM_NODE_ONLINE && n->nr_free >= n->hidden + keep + (1ul << order))
		f = block_take(n, order, flags, known);
	wake = n->nr_free < n->hidden + n->wmark[WMARK_LOW] ||
	       nr_populated(n) + n->hidden > n->nr_frames;
	umm_mutex_unlock(&n->free_lock);
	if (wake)
		kswapd_wake(sys, n);
	return f;
}

/* From one of @nodes, nearest to @node first. */
static struct folio *take_nearest(struct mm_sys *sys, int node, uint64_t nodes, unsigned int order,
				  unsigned int flags, uint32_t *known)
{
	struct mm_node *n = &sys->nodes[node];
	struct folio *f = NULL;

	if (nodes & (1ul << node))
		f = take_from(sys, n, order, flags, known);
	for (unsigned int i = 0; !f && i + 1 < sys->nr_nodes; i++) {
		if (nodes & (1ul << n->fallback[i]))
			f = take_from(sys, &sys->nodes[n->fallback[i]], order, flags, known);
	}
	return f;
}

static struct folio *take_anywhere(struct mm_sys *sys, const struct place *p, unsigned int order,
				   unsigned int flags, uint32_t *known)
{
	uint64_t nodes = nodes_online(sys, p->nodes);
	struct folio *f = NULL;

	if (flags & ALLOC_THISNODE)
		return take_from(sys, &sys->nodes[p->node], order, flags, known);
	if (p->first)
		f = take_nearest(sys, p->node, p->first & nodes, order, flags, known);
	return f ? f : take_nearest(sys, p->node, nodes & ~p->first, order, flags, known);
}

static void block_give_back(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known)
{
	struct mm_node *n = folio_node(sys, f);

	umm_mutex_lock(&n->free_lock);
	block_free(n, f, order, known);
	umm_mutex_unlock(&n->free_lock);
}

/* Host memory behind the block, and zeroes in it if asked. */
static int block_make_ready(struct mm_sys *sys, struct folio *f, unsigned int order,
			    unsigned int flags, uint32_t known)
{
	pfn_t pfn = folio_pfn(sys, f);
	int ret = 0;

	if (known & (1u << PG_discarded))
		ret = sys->ops->populate_frames(sys->ctx, pfn, 1u << order);
	if (!ret && (flags & ALLOC_ZERO) && !(known & (1u << PG_zeroed)))
		ret = sys->ops->clear_frames(sys->ctx, pfn, 1u << order);
	return ret;
}

static void folio_prepare(struct folio *f, unsigned int order)
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
	__atomic_store_n(&f->refcount, 1, __ATOMIC_RELEASE);
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
	block_give_back(sys, f, order, *known);
	if (block_make_ready(sys, large, POPULATE_ORDER, 0, large_known)) {
		block_give_back(sys, large, POPULATE_ORDER, large_known);
		return NULL;
	}
	*known = large_known & ~(1u << PG_discarded);
	for (unsigned int o = order; o < POPULATE_ORDER; o++)
		block_give_back(sys, large + (1ul << o), o, *known);
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
	if (block_make_ready(sys, f, order, flags, known)) {
		block_give_back(sys, f, order, known);
		return NULL;
	}
	folio_prepare(f, order);
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
	if (block_make_ready(sys, f, block_order, flags, known)) {
		block_give_back(sys, f, block_order, known);
		return 0;
	}
	count_placed(sys, &place, f->node, 1ul << block_order);
	for (unsigned int i = 0; i < nr; i++) {
		out[i] = f + ((uint64_t)i << folio_order);
		folio_prepare(out[i], folio_order);
	}
	return nr;
}

/* All state but the frames themselves. Returns how many of them were anonymous, still to be counted. */
static int64_t folio_clear_state(struct mm_sys *sys, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);
	int64_t nr = folio_nr(f), anon = folio_test_anon(f) ? nr : 0;

	mm_assert(!folio_mapped(f) && !folio_test(f, PG_swapcache) && !folio_pincount(f));
	lru_del(sys, f);
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
	block_give_back(sys, f, f->order, known);
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

/* free_lock held. Frames [first, first + nr) in the largest aligned blocks. */
static void frames_free(struct mm_node *n, struct folio *first, uint64_t nr)
{
	uint64_t idx = (uint64_t)(first - n->frames), end = idx + nr;

	while (idx < end) {
		unsigned int order = 0;

		while (order < UMM_MAX_ORDER && !(idx & ((2ul << order) - 1)) &&
		       idx + (2ul << order) <= end)
			order++;
		block_free(n, &n->frames[idx], order, 0);
		idx += 1ul << order;
	}
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
			frames_free(n, first, frames);
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

/* Discard one free block; the lock is dropped around the host call. */
static bool discard_one(struct mm_sys *sys, struct mm_node *n, uint64_t *frames)
{
	struct folio *f = NULL;
	int ret;

	umm_mutex_lock(&n->free_lock);
	for (int o = UMM_MAX_ORDER; !f && o >= 0; o--) {
		if (list_empty(&n->free[o]))
			continue;
		f = list_first_entry(&n->free[o], struct folio, lru);
		if (folio_test(f, PG_discarded))
			f = NULL;
	}
	if (f) {
		count_free(n, -(int64_t)folio_nr(f));
		block_remove(n, f);
	}
	umm_mutex_unlock(&n->free_lock);
	if (!f)
		return false;
	ret = sys->ops->discard_frames(sys->ctx, folio_pfn(sys, f), folio_nr(f));
	if (!ret)
		*frames += folio_nr(f);
	block_give_back(sys, f, f->order, ret ? 0 : BLOCK_KNOWN);
	return !ret;
}

uint64_t frames_discard_free(struct mm_sys *sys, int node)
{
	uint64_t frames = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		if (node >= 0 && (unsigned int)node != i)
			continue;
		while (discard_one(sys, &sys->nodes[i], &frames))
			;
	}
	sys_count(sys, EV_DISCARDED, frames);
	return frames;
}

void frames_set_limit(struct mm_node *n, uint64_t nr)
{
	umm_mutex_lock(&n->free_lock);
	__atomic_store_n(&n->hidden, n->nr_frames - nr, __ATOMIC_RELAXED);
	umm_mutex_unlock(&n->free_lock);
}

uint64_t frames_trim(struct mm_sys *sys, struct mm_node *n)
{
	uint64_t frames = 0;
	bool more;

	do {
		umm_mutex_lock(&n->free_lock);
		more = nr_populated(n) + n->hidden > n->nr_frames;
		umm_mutex_unlock(&n->free_lock);
	} while (more && discard_one(sys, n, &frames));
	sys_count(sys, EV_DISCARDED, frames);
	return frames;
}

uint64_t frames_isolate_free(struct mm_node *n, uint64_t first, struct list_head *out)
{
	uint64_t taken = 0;

	umm_mutex_lock(&n->free_lock);
	for (uint64_t i = first; i < first + (1ul << UMM_MAX_ORDER);) {
		struct folio *f = &n->frames[i];

		i++;
		if (!folio_test(f, PG_buddy))
			continue;
		f->swap = folio_flags(f) & BLOCK_KNOWN;
		block_remove(n, f);
		list_add_tail(&f->lru, out);
		taken += folio_nr(f);
		i += folio_nr(f) - 1;
	}
	count_free(n, -(int64_t)taken);
	umm_mutex_unlock(&n->free_lock);
	return taken;
}

void frames_return_block(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known)
{
	f->swap = 0;
	block_give_back(sys, f, order, known);
}

int frames_use_block(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known)
{
	int ret = block_make_ready(sys, f, order, 0, known);

	if (!ret)
		folio_prepare(f, order);
	return ret;
}

/* The other nodes by distance, nearest first (stable for equal distances). */
static void node_order_fallback(struct mm_sys *sys, struct mm_node *n)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		unsigned int d, at;

		if ((int)i == n->id)
			continue;
		d = sys->ops->node_distance(sys->ctx, n->id, (int)i);
		for (at = nr; at > 0; at--) {
			if (sys->ops->node_distance(sys->ctx, n->id, n->fallback[at - 1]) <= d)
				break;
			n->fallback[at] = n->fallback[at - 1];
		}
		n->fallback[at] = (uint8_t)i;
		nr++;
	}
}

static int node_init(struct mm_sys *sys, struct mm_node *n, int id)
{
	const struct mm_node_config *c = &sys->config.nodes[id];

	n->id = id;
	n->base = c->base;
	n->nr_frames = c->nr_frames;
	n->hva = c->hva;
	umm_mutex_init(&n->free_lock, LOCK_FREE);
	umm_mutex_init(&n->lru_lock, LOCK_LRU);
	for (int o = 0; o <= UMM_MAX_ORDER; o++)
		list_init(&n->free[o]);
	node_order_fallback(sys, n);
	n->frames = sys_alloc(sys, n->nr_frames * sizeof(*n->frames));
	if (!n->frames)
		return -ENOMEM;
	n->nr_free = n->nr_frames;
	watermarks_set(sys, n);
	return 0;
}

int frames_init(struct mm_sys *sys)
{
	int ret = 0;

	sys->nodes = sys_alloc(sys, sys->nr_nodes * sizeof(*sys->nodes));
	if (!sys->nodes)
		return -ENOMEM;
	for (unsigned int i = 0; !ret && i < sys->nr_nodes; i++)
		ret = node_init(sys, &sys->nodes[i], (int)i);
	sys->online = sys->nr_nodes < 64 ? (1ul << sys->nr_nodes) - 1 : ~0ul;
	if (ret)
		frames_destroy(sys);
	return ret;
}

void frames_destroy(struct mm_sys *sys)
{
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		struct mm_node *n = &sys->nodes[i];

		shadows_destroy(sys, n);
		sys_free(sys, n->frames, n->nr_frames * sizeof(*n->frames));
	}
	sys_free(sys, sys->nodes, sys->nr_nodes * sizeof(*sys->nodes));
}
