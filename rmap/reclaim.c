/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: from cold folios to free frames.
 *
 *	isolate -> referenced? -> slot in the swap cache -> try_to_unmap (batch)
 *	  -> one zap for the batch -> write what is dirty (one request)
 *	  -> out of swap or page cache -> free -> discard the host memory
 *
 * A folio stays locked from the reference check to the end, so that whoever
 * faults on it meanwhile waits and then finds either the folio as it was or its
 * slot, written. A batch is about BATCH frames: that bounds such a wait to the zap and
 * the write of a megabyte.
 *
 * Who is a victim, the node's policy says (umm/reclaim_policy.h). One that was used
 * goes back to it, and the folios of a batch whose A bits were cleared are zapped
 * with the batch, as cached translations would hide their next use.
 *
 * With tiering on, reclaim that nobody asked for by name demotes instead: the cold
 * folios of a fast node move to a slow one (rmap/tier.c), after the batch.
 */
#include <umm/placement.h>
#include "rmap/internal.h"

#include <sched.h>

#define BATCH SWAP_BATCH

struct shrink {
	struct mm_sys *sys;
	const struct reclaim_request *req;
	struct reclaim_result *res;
	struct zap_batch zap;
	/* Unmapped, locked, waiting for the zap. */
	struct folio *folios[BATCH];
	unsigned int nr;
	struct list_head demoted; /* on their way to a slow node */
	enum { DEMOTE_NEVER, DEMOTE_FIRST, DEMOTE_ONLY } demote;
	enum { BY_REQUEST, BY_KSWAPD, BY_ALLOCATION } by;
	int error; /* first hard one */
};

static void keep(struct shrink *s, struct folio *f, uint64_t *why, bool active)
{
	*why += folio_nr(f);
	folio_unlock(s->sys, f);
	lru_putback(s->sys, f, active);
}

/* Locked. True: leave it, it was put back. */
static bool still_wanted(struct shrink *s, struct folio *f)
{
	uint64_t vm_flags;
	int refs;

	if (folio_pincount(f)) {
		keep(s, f, &s->res->pinned, false);
		return true;
	}
	if (s->req->ignore_references || lru_is_blind(s->sys, f))
		return false;
	refs = folio_referenced_around(s->sys, f, &vm_flags, &s->zap);
	if (vm_flags & VM_LOCKED) {
		folio_mark_mlocked(s->sys, f);
		keep(s, f, &s->res->mlocked, true);
	} else if (refs < 0) {
		keep(s, f, &s->res->busy, false);
	} else if (refs > 0) {
		zap_batch_add(&s->zap, folio_pfn(s->sys, f), folio_nr(f));
		keep(s, f, &s->res->referenced, true);
	} else {
		return false;
	}
	return true;
}

static bool wants_slot(const struct folio *f)
{
	return folio_test(f, PG_swapbacked) && !folio_test(f, PG_swapcache);
}

/* Locked. Make sure that the content has somewhere to go. */
static bool give_slot(struct shrink *s, struct folio *f)
{
	int ret;

	/* It could not be written there; once no entry names the slot, another may do. */
	if (folio_test(f, PG_swapcache) && folio_test(f, PG_dirty) && swap_slot_is_bad(s->sys, f))
		swap_try_free(s->sys, f);
	if (!wants_slot(f))
		return true;
	ret = swap_add_folio(s->sys, f);
	if (ret == -ENOSPC && f->order && !folio_split(s->sys, f))
		ret = swap_add_folio(s->sys, f);
	if (ret)
		return false;
	/* The slot has nothing yet. */
	folio_set(f, PG_dirty);
	return true;
}

/* The folio could not be unmapped: take it out of the swap cache again if that is free. */
static void give_up(struct shrink *s, struct folio *f)
{
	uint64_t *why = &s->res->busy;

	if (folio_test(f, PG_mlocked))
		why = &s->res->mlocked;
	else if (folio_pincount(f))
		why = &s->res->pinned;
	swap_try_free(s->sys, f);
	keep(s, f, why, true);
}

/* Locked. True: it is put aside to be demoted, or back if that is all that may be done. */
static bool demoted(struct shrink *s, struct folio *f)
{
	if (s->demote == DEMOTE_NEVER)
		return false;
	if (demotion_target(s->sys, f) >= 0) {
		folio_unlock(s->sys, f);
		list_add_tail(&f->lru, &s->demoted);
		return true;
	}
	if (s->demote == DEMOTE_FIRST)
		return false;
	keep(s, f, &s->res->no_swap, false);
	return true;
}

/* One isolated folio, on to the batch or back to its list. */
static void shrink_one(struct shrink *s, struct folio *f)
{
	s->res->scanned += folio_nr(f);
	if (!folio_trylock(f)) {
		s->res->busy += folio_nr(f);
		lru_putback(s->sys, f, folio_test(f, PG_active));
		return;
	}
	if (still_wanted(s, f) || demoted(s, f))
		return;
	if (!give_slot(s, f)) {
		/* Out of the way: what has no slot must not hide the rest of the list. */
		keep(s, f, &s->res->no_swap, true);
		return;
	}
	try_to_unmap(s->sys, f, TTU_BATCH_FLUSH | (f->order ? TTU_SYNC : 0), &s->zap);
	if (folio_mapped(f)) {
		give_up(s, f);
		return;
	}
	if (folio_file_mapping(f) && !folio_file_mapping(f)->ops && !shmem_swapout(s->sys, f)) {
		give_up(s, f);
		return;
	}
	s->folios[s->nr++] = f;
}

/* ---- after the zap ---------------------------------------------------------- */

/* Write the dirty swap-cache folios of the batch in one request. */
static void write_swap(struct shrink *s)
{
	struct folio *out[BATCH];
	int errors[BATCH];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < s->nr; i++) {
		if (folio_test(s->folios[i], PG_swapcache) && folio_test(s->folios[i], PG_dirty))
			out[nr++] = s->folios[i];
	}
	if (!nr)
		return;
	swap_write_folios(s->sys, out, errors, nr);
	for (unsigned int i = 0; i < nr; i++) {
		if (!errors[i]) {
			folio_clear(out[i], PG_dirty);
			s->res->swapped += folio_nr(out[i]);
		} else {
			s->res->io_error += folio_nr(out[i]);
			s->error = s->error ? s->error : errors[i];
		}
	}
}

static bool free_swap_folio(struct shrink *s, struct folio *f)
{
	/* The swap cache's reference and ours. */
	if (folio_test(f, PG_dirty) || !folio_ref_freeze(f, 2))
		return false;
	swap_del_frozen_folio(s->sys, f);
	folio_unlock(s->sys, f);
	folio_free(s->sys, f);
	return true;
}

static bool free_file_folio(struct shrink *s, struct folio *f)
{
	if (folio_test(f, PG_dirty)) {
		int err = pagecache_write(s->sys, f);

		if (err) {
			s->res->io_error++;
			s->error = s->error ? s->error : err;
			return false;
		}
		s->res->written++;
	}
	if (!pagecache_remove(s->sys, f, false))
		return false;
	folio_unlock(s->sys, f);
	folio_put(s->sys, f);
	return true;
}

/* Lazyfree, or of an object that was truncated: nobody else should hold it. */
static bool free_orphan(struct shrink *s, struct folio *f)
{
	if (!folio_ref_freeze(f, 1))
		return false;
	folio_unlock(s->sys, f);
	folio_free(s->sys, f);
	return true;
}

static void free_batch(struct shrink *s)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		struct folio *f = s->folios[i];
		struct shadow_place place = shadow_place(f);
		unsigned int nr = folio_nr(f);
		int node = f->node;
		bool freed;

		if (folio_test(f, PG_swapcache))
			freed = free_swap_folio(s, f);
		else if (folio_file_mapping(f))
			freed = free_file_folio(s, f);
		else
			freed = free_orphan(s, f);
		if (freed) {
			s->res->freed += nr;
			shadow_evicted(s->sys, node, &place, nr);
		} else {
			/* What could not be written must not hide the rest of the list. */
			bool unwritten = folio_test(f, PG_dirty);

			s->res->busy += nr;
			folio_unlock(s->sys, f);
			lru_putback(s->sys, f, unwritten);
		}
	}
	s->nr = 0;
}

static void finish_batch(struct shrink *s)
{
	uint64_t zero = mm_sys_event(s->sys, EV_PGSWAP_ZERO);

	zap_batch_flush(&s->zap);
	write_swap(s);
	s->res->zero += mm_sys_event(s->sys, EV_PGSWAP_ZERO) - zero;
	free_batch(s);
	if (!list_empty(&s->demoted))
		s->res->freed += demote_list(s->sys, &s->demoted, s->by == BY_ALLOCATION);
}

static void shrink_list(struct shrink *s, struct list_head *list)
{
	struct folio *f, *tmp;

	list_for_each_entry_safe(f, tmp, list, lru)
	{
		list_del(&f->lru);
		shrink_one(s, f);
		if (s->nr == BATCH)
			finish_batch(s);
	}
	finish_batch(s);
}

/* ---- where victims come from -------------------------------------------------- */

/* One batch of a node's victims: frames scanned, 0 when there are none. */
static uint64_t shrink_node(struct shrink *s, int node, uint64_t want)
{
	struct list_head list;
	uint64_t taken, scanned;

	list_init(&list);
	scanned = lru_isolate(s->sys, node, want < BATCH ? want : BATCH, &list, &taken);
	shrink_list(s, &list);
	return scanned;
}

/* Until enough is freed, at most twice through the lists (once for ages, once for use). */
static void shrink_whole_node(struct shrink *s, int node)
{
	uint64_t budget = 2 * lru_frames(s->sys, node) + BATCH;

	if (s->req->ignore_references)
		budget /= 2;
	while (s->res->freed < s->req->nr_frames && budget) {
		uint64_t scanned;

		umm_read_lock(&s->sys->work_lock);
		scanned = shrink_node(s, node, s->req->nr_frames - s->res->freed);
		umm_read_unlock(&s->sys->work_lock);
		if (!scanned)
			break;
		budget -= scanned < budget ? scanned : budget;
	}
}

static void shrink_mm(struct shrink *s)
{
	struct mm_cursor c;
	struct list_head list;

	mm_cursor_init(&c, s->req->mm, s->req->start, s->req->end);
	list_init(&list);
	while (s->res->freed < s->req->nr_frames && mm_cursor_isolate(&c, &list, BATCH)) {
		umm_read_lock(&s->sys->work_lock);
		shrink_list(s, &list);
		umm_read_unlock(&s->sys->work_lock);
	}
}

static void shrink_init(struct shrink *s, struct mm_sys *sys, const struct reclaim_request *req,
			struct reclaim_result *res)
{
	memset(res, 0, sizeof(*res));
	s->sys = sys;
	s->req = req;
	s->res = res;
	s->nr = 0;
	s->error = 0;
	s->demote = DEMOTE_NEVER;
	s->by = BY_REQUEST;
	list_init(&s->demoted);
	zap_batch_init(&s->zap, sys);
}

static void shrink_end(struct shrink *s)
{
	zap_batch_destroy(&s->zap);
	sys_count(s->sys, EV_PGSCAN, s->res->scanned);
	sys_count(s->sys, EV_PGSTEAL, s->res->freed);
	if (s->by == BY_REQUEST)
		return;
	sys_count(s->sys, s->by == BY_KSWAPD ? EV_PGSCAN_KSWAPD : EV_PGSCAN_DIRECT,
		  s->res->scanned);
	sys_count(s->sys, s->by == BY_KSWAPD ? EV_PGSTEAL_KSWAPD : EV_PGSTEAL_DIRECT,
		  s->res->freed);
}

int mm_reclaim(struct mm_sys *sys, const struct reclaim_request *req, struct reclaim_result *out)
{
	struct shrink *s;
	int ret;

	if (req->node >= (int)sys->nr_nodes)
		return -EINVAL;
	s = sys_alloc(sys, sizeof(*s));
	if (!s)
		return -ENOMEM;
	shrink_init(s, sys, req, out);
	if (req->mm) {
		shrink_mm(s);
	} else {
		for (unsigned int i = 0; i < sys->nr_nodes; i++) {
			if (req->node < 0 || req->node == (int)i)
				shrink_whole_node(s, (int)i);
		}
	}
	shrink_end(s);
	if (req->discard)
		frames_discard_free(sys, req->node);
	ret = s->error;
	sys_free(sys, s, sizeof(*s));
	return ret;
}

uint64_t reclaim_demote(struct mm_sys *sys, int node, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = node };
	struct reclaim_result res;
	struct shrink *s = sys_alloc(sys, sizeof(*s));

	if (!s)
		return 0;
	shrink_init(s, sys, &req, &res);
	s->by = BY_KSWAPD;
	s->demote = DEMOTE_ONLY;
	shrink_whole_node(s, node);
	shrink_end(s);
	sys_free(sys, s, sizeof(*s));
	return res.freed;
}

uint64_t reclaim_background(struct mm_sys *sys, int node, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = node };
	struct reclaim_result res;
	struct shrink *s = sys_alloc(sys, sizeof(*s));

	if (!s)
		return 0;
	shrink_init(s, sys, &req, &res);
	s->by = BY_KSWAPD;
	s->demote = demotion_is_on(sys) ? DEMOTE_FIRST : DEMOTE_NEVER;
	shrink_whole_node(s, node);
	shrink_end(s);
	sys_free(sys, s, sizeof(*s));
	return res.freed;
}

/*
 * Nodes in the order in which an allocation on @node would try them; but with
 * tiering slow ones first, as demotion to a slow node that is full frees nothing.
 */
static int nth_node(const struct mm_sys *sys, int node, unsigned int i)
{
	uint64_t slow = demotion_is_on(sys) ? mm_placement_slow_nodes(sys) : 0;

	for (unsigned int pass = 0; pass < 2; pass++) {
		for (unsigned int k = 0; k < sys->nr_nodes; k++) {
			int id = k ? sys->nodes[node].fallback[k - 1] : node;

			if (!(slow & (1ul << id)) == !!pass && !i--)
				return id;
		}
	}
	return node;
}

bool reclaim_direct(struct mm_sys *sys, struct place place, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = -1 };
	uint64_t nodes = nodes_online(sys, place.nodes);
	struct reclaim_result res;
	struct shrink *s;
	bool freed;

	/* The caller may hold folio locks, so it may only try; the validator is brief. */
	for (int i = 0; !umm_read_trylock(&sys->work_lock); i++) {
		if (i == 1000)
			return false;
		sched_yield();
	}
	s = sys_alloc(sys, sizeof(*s));
	if (!s) {
		umm_read_unlock(&sys->work_lock);
		return false;
	}
	sys_count(sys, EV_DIRECT_RECLAIM, 1);
	shrink_init(s, sys, &req, &res);
	s->by = BY_ALLOCATION;
	s->demote = demotion_is_on(sys) ? DEMOTE_FIRST : DEMOTE_NEVER;
	for (int pass = 0; pass < 2 && res.freed < nr; pass++) {
		req.ignore_references = pass;
		for (unsigned int i = 0; i < sys->nr_nodes && res.freed < nr; i++) {
			int id = nth_node(sys, place.node, i);
			uint64_t budget = lru_frames(sys, id) + BATCH;

			if (!(nodes & (1ul << id)))
				continue;
			while (res.freed < nr && budget) {
				uint64_t scanned = shrink_node(s, id, nr);

				if (!scanned)
					break;
				budget -= scanned < budget ? scanned : budget;
			}
		}
	}
	shrink_end(s);
	umm_read_unlock(&sys->work_lock);
	freed = res.freed > 0;
	for (unsigned int i = 0; freed && i < sys->nr_nodes; i++)
		kswapd_encourage(&sys->nodes[i]);
	sys_free(sys, s, sizeof(*s));
	return freed;
}

void madvise_pageout_range(struct vma *vma, gva_t start, gva_t end)
{
	struct mm_sys *sys = vma->mm->sys;
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX,
		.node = -1,
		.ignore_references = true,
	};
	struct reclaim_result res;
	struct list_head list;
	struct mm_cursor c;
	struct shrink *s = sys_alloc(sys, sizeof(*s));

	if (!s)
		return; /* advice */
	shrink_init(s, sys, &req, &res);
	mm_cursor_init(&c, vma->mm, start, end);
	c.private_only = true;
	c.locked = true;
	list_init(&list);
	while (mm_cursor_isolate(&c, &list, BATCH)) {
		umm_read_lock(&sys->work_lock);
		shrink_list(s, &list);
		umm_read_unlock(&sys->work_lock);
	}
	shrink_end(s);
	sys_free(sys, s, sizeof(*s));
}
