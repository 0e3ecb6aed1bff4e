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
#include "rmap/buddy.h"

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

struct folio *buddy_take(struct mm_sys *sys, struct mm_node *n, unsigned int order,
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

void buddy_give_back(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known)
{
	struct mm_node *n = folio_node(sys, f);

	umm_mutex_lock(&n->free_lock);
	block_free(n, f, order, known);
	umm_mutex_unlock(&n->free_lock);
}

/* Host memory behind the block, and zeroes in it if asked. */
int buddy_make_ready(struct mm_sys *sys, struct folio *f, unsigned int order, unsigned int flags,
		     uint32_t known)
{
	pfn_t pfn = folio_pfn(sys, f);
	int ret = 0;

	if (known & (1u << PG_discarded))
		ret = sys->ops->populate_frames(sys->ctx, pfn, 1u << order, flags & ALLOC_IN_STEAD);
	if (!ret && (flags & ALLOC_ZERO) && !(known & (1u << PG_zeroed)))
		ret = sys->ops->clear_frames(sys->ctx, pfn, 1u << order);
	return ret;
}

/* free_lock held. Frames [first, first + nr) in the largest aligned blocks. */
void buddy_free_run(struct mm_node *n, struct folio *first, uint64_t nr)
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
	buddy_give_back(sys, f, f->order, ret ? 0 : BLOCK_KNOWN);
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
