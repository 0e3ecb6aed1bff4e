/* SPDX-License-Identifier: MIT */
/*
 * Compaction: free blocks of 2 MiB on one node.
 *
 *	frames  0  |  B, evacuated  ->   ...   <-  T, filled up  |  end
 *
 * Two scanners walk towards each other in blocks of 2 MiB. The low one takes each
 * block whose frames can all move, the high one finds free frames in blocks that
 * are in use anyway. A step is one block B:
 *
 *	take B's free frames, and free frames of as many T as B needs, out of the
 *	allocator -> isolate B's folios, a place reserved for each -> the engine
 *	moves them -> join B, give everything back
 *
 * in one hold of work_lock, which the validator waits for: frames that are in no
 * list are known to nobody else. A folio is never split for want of a block as
 * large as itself; then B stays as it is.
 *
 * Parts of B that the host has given memory for and parts that it has not never
 * join by themselves (buddy.c); a block of both is discarded whole.
 */
#include "rmap/migrate.h"

/* How often a block is evacuated, if some of it stays that looks as if it could move. */
#define BLOCK_TRIES 3

#define BLOCK     (1ul << UMM_MAX_ORDER)
#define DISCARDED (1u << PG_discarded)

struct compaction {
	struct mm_sys *sys;
	struct mm_node *n;
	struct node_compact_result *out;
	struct migration *m;
	uint64_t low, high;                         /* blocks: B, and below T */
	struct list_head pieces[UMM_MAX_ORDER + 1]; /* free frames for B's folios */
	struct list_head ready[UMM_MAX_ORDER + 1];  /* of these, reserved */
};

/* ---- places to move to ---------------------------------------------------------------- */

static void piece_add(struct list_head *lists, struct folio *f, unsigned int order, uint64_t known)
{
	__atomic_store_n(&f->order, (uint8_t)order, __ATOMIC_RELAXED);
	f->swap = known;
	list_add_tail(&f->lru, &lists[order]);
}

/* The smallest piece that will do, cut to size. */
static struct folio *piece_take(struct compaction *c, unsigned int order)
{
	for (unsigned int o = order; o <= UMM_MAX_ORDER; o++) {
		struct folio *f;

		if (list_empty(&c->pieces[o]))
			continue;
		f = list_first_entry(&c->pieces[o], struct folio, lru);
		list_del(&f->lru);
		while (o > order) {
			o--;
			piece_add(c->pieces, f + (1ul << o), o, f->swap);
		}
		__atomic_store_n(&f->order, (uint8_t)order, __ATOMIC_RELAXED);
		return f;
	}
	return NULL;
}

static bool block_is_free(const struct mm_node *n, uint64_t block)
{
	const struct folio *f = &n->frames[block * BLOCK];

	return folio_test(f, PG_buddy) &&
	       __atomic_load_n(&f->order, __ATOMIC_RELAXED) == UMM_MAX_ORDER;
}

/* The free frames of the next block from above that is not wholly free. */
static bool pieces_refill(struct compaction *c)
{
	while (c->high > c->low + 1) {
		struct list_head list;
		struct folio *f, *tmp;
		uint64_t taken;

		c->high--;
		if (block_is_free(c->n, c->high))
			continue;
		list_init(&list);
		taken = frames_isolate_free(c->n, c->high * BLOCK, &list);
		list_for_each_entry_safe(f, tmp, &list, lru)
		{
			list_del(&f->lru);
			piece_add(c->pieces, f, f->order, f->swap);
		}
		if (taken)
			return true;
	}
	return false;
}

static bool place_reserve(struct compaction *c, unsigned int order)
{
	struct folio *f = piece_take(c, order);

	while (!f && pieces_refill(c))
		f = piece_take(c, order);
	if (f)
		piece_add(c->ready, f, order, f->swap);
	return f;
}

/*
 * The engine asks for what was reserved; and again, if it ran out of time and gave
 * the first place back.
 */
static struct folio *place_use(struct migration *m, struct folio *src, unsigned int order)
{
	struct compaction *c = m->request;
	struct folio *f;

	(void)src;
	if (list_empty(&c->ready[order]) && !place_reserve(c, order))
		return NULL;
	f = list_first_entry(&c->ready[order], struct folio, lru);
	list_del(&f->lru);
	if (!frames_use_block(c->sys, f, order, (uint32_t)f->swap))
		return f;
	piece_add(c->pieces, f, order, f->swap);
	return NULL;
}

static void return_lists(struct compaction *c, struct list_head *lists)
{
	for (unsigned int o = 0; o <= UMM_MAX_ORDER; o++) {
		while (!list_empty(&lists[o])) {
			struct folio *f = list_first_entry(&lists[o], struct folio, lru);

			list_del(&f->lru);
			frames_return_block(c->sys, f, o, (uint32_t)f->swap);
		}
	}
}

/* ---- the block to be evacuated -------------------------------------------------------- */

/*
 * Frames in use, if all of them look as if they could move and are no large block
 * already; else BLOCK + 1. Free as a whole: also that, there is nothing to gain.
 */
static uint64_t block_used(struct compaction *c, uint64_t block)
{
	uint64_t used = 0;

	if (block_is_free(c->n, block))
		return BLOCK + 1;
	for (uint64_t i = 0; i < BLOCK;) {
		struct folio *f = &c->n->frames[block * BLOCK + i];
		unsigned int order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);

		if (order > UMM_MAX_ORDER)
			return BLOCK + 1;
		if (!folio_test(f, PG_buddy) && folio_refcount(f) > 0) {
			if (order == UMM_MAX_ORDER || folio_pincount(f) || !folio_test(f, PG_lru))
				return BLOCK + 1;
			used += 1ul << order;
		} else if (!folio_test(f, PG_buddy)) {
			order = 0;
		}
		i += 1ul << order;
	}
	return used;
}

/* B's folios onto @list, a place for each; false: there is none for one of them. */
static bool isolate_block(struct compaction *c, struct list_head *list)
{
	for (uint64_t i = 0; i < BLOCK;) {
		struct folio *f = &c->n->frames[c->low * BLOCK + i];
		unsigned int order;

		i++;
		if (folio_test(f, PG_tail) || folio_refcount(f) <= 0)
			continue;
		order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);
		if (order >= UMM_MAX_ORDER || !place_reserve(c, order))
			return false;
		if (!lru_isolate_folio(c->sys, f))
			return false;
		list_add_tail(&f->lru, list);
		i += folio_nr(f) - 1;
	}
	return true;
}

static void put_back_all(struct compaction *c, struct list_head *list)
{
	while (!list_empty(list)) {
		struct folio *f = list_first_entry(list, struct folio, lru);

		list_del(&f->lru);
		lru_putback(c->sys, f, folio_test(f, PG_active));
	}
}

/* All 512 frames are on @list: one block, of which the host has all or nothing. */
static void join_block(struct compaction *c, struct list_head *list)
{
	struct folio *first = &c->n->frames[c->low * BLOCK], *f;
	uint32_t all = ~0u, any = 0;

	list_for_each_entry(f, list, lru)
	{
		all &= (uint32_t)f->swap;
		any |= (uint32_t)f->swap;
	}
	list_for_each_entry(f, list, lru)
	{
		if (!((all ^ any) & DISCARDED) || (f->swap & DISCARDED))
			continue;
		if (c->sys->ops->discard_frames(c->sys->ctx, folio_pfn(c->sys, f), folio_nr(f)))
			return;
		f->swap |= DISCARDED | (1u << PG_zeroed);
	}
	all = ~0u;
	list_for_each_entry(f, list, lru) all &= (uint32_t)f->swap;
	list_init(list);
	frames_return_block(c->sys, first, UMM_MAX_ORDER, all);
}

static void return_block(struct compaction *c, struct list_head *list)
{
	while (!list_empty(list)) {
		struct folio *f = list_first_entry(list, struct folio, lru);

		list_del(&f->lru);
		frames_return_block(c->sys, f, f->order, (uint32_t)f->swap);
	}
}

static void evacuate_block(struct compaction *c)
{
	struct list_head list, mine;
	uint64_t free_frames;

	list_init(&list);
	list_init(&mine);
	free_frames = frames_isolate_free(c->n, c->low * BLOCK, &mine);
	if (isolate_block(c, &list))
		migrate_list(c->m, &list);
	else
		put_back_all(c, &list);
	free_frames += frames_isolate_free(c->n, c->low * BLOCK, &mine);
	if (free_frames == BLOCK)
		join_block(c, &mine);
	return_block(c, &mine);
	return_lists(c, c->ready);
	return_lists(c, c->pieces);
}

/* ---- a request ---------------------------------------------------------------------------- */

static void count_free(const struct mm_node *n, struct mm_sys *sys, uint64_t *frames,
		       uint64_t *huge)
{
	struct node_blocks b;

	mm_node_blocks(sys, n->id, &b);
	*frames = __atomic_load_n(&n->nr_free, __ATOMIC_RELAXED);
	*huge = b.free[UMM_MAX_ORDER];
}

/* False: B cannot be made free, or is. */
static bool step(struct compaction *c)
{
	uint64_t high = c->high;
	bool can;

	umm_read_lock(&c->sys->work_lock);
	can = block_used(c, c->low) <= BLOCK;
	if (can)
		evacuate_block(c);
	umm_read_unlock(&c->sys->work_lock);
	/* What was left over in the last T is for the next B. */
	if (c->high < high)
		c->high++;
	return can;
}

static void scan(struct compaction *c, const struct node_request *req)
{
	uint64_t end = __atomic_load_n(&c->n->fresh, __ATOMIC_ACQUIRE) / BLOCK;

	c->high = end;
	for (c->low = 0; c->low < c->high && !c->out->stopped; c->low++) {
		for (int tries = 0; tries < BLOCK_TRIES && step(c); tries++)
			;
		if (req->progress)
			c->out->stopped = req->progress(req->arg, c->low + end - c->high, end);
	}
}

int mm_node_compact(struct mm_sys *sys, const struct node_request *req,
		    struct node_compact_result *out)
{
	struct migrate_request move = { .to = req->node };
	struct migrate_result moved;
	struct compaction c = { .sys = sys, .out = out };
	int ret = -EINVAL;

	*out = (struct node_compact_result){ .stopped = false };
	if (req->node < 0 || req->node >= (int)sys->nr_nodes)
		return ret;
	if (!node_change_begin(sys))
		return -EAGAIN;
	ret = -ENODEV;
	if (mm_node_state(sys, req->node) != MM_NODE_ONLINE)
		goto out;
	ret = -ENOMEM;
	c.n = &sys->nodes[req->node];
	c.m = migration_start(sys, &move, &moved);
	if (!c.m)
		goto out;
	for (unsigned int o = 0; o <= UMM_MAX_ORDER; o++) {
		list_init(&c.pieces[o]);
		list_init(&c.ready[o]);
	}
	c.m->target = place_use;
	c.m->request = &c;
	count_free(c.n, sys, &out->free_before, &out->huge_before);
	scan(&c, req);
	count_free(c.n, sys, &out->free_after, &out->huge_after);
	out->moved = moved.moved;
	out->pinned = moved.pinned;
	out->busy = moved.busy + moved.no_memory;
	out->failed = moved.failed;
	migration_end(c.m);
	ret = 0;
out:
	node_change_end(sys);
	return ret;
}
