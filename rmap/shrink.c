/* SPDX-License-Identifier: MIT */
/*
 * What becomes of isolated folios.
 *
 *	lock -> referenced?					each
 *	  -> slots in the swap cache				one lock
 *	  -> unmap: swap entries (reclaim_runs.c, ttu.c)	one rmap walk a run of neighbours
 *	  -> zap						one
 *	  -> write what is dirty				one request; meanwhile
 *								the next batches
 *	  -> out of swap or page cache -> free			one lock each
 *	  -> discard the host memory				later, in bulk
 *
 * A folio stays locked from the reference check to the end, so that whoever
 * faults on it meanwhile waits and then finds either the folio as it was or its
 * slot, written. A batch is about BATCH frames: that bounds such a wait to the zap and
 * the writes of a few megabytes. Where the host can write without our waiting
 * (ops->swap_start), the next batches are unmapped while one is written, and that one is
 * freed while they are written: the device need not wait for us.
 *
 * One that was used goes back to its policy, and the folios of a batch whose A bits
 * were cleared are zapped with the batch, as cached translations would hide their
 * next use.
 *
 * What a page costs is mostly what it misses in the processor's caches: its descriptor,
 * its content (is it zero?), its entry, its slot, its place in the table of evictions.
 * So each is asked for some pages ahead.
 */
#include "rmap/shrink.h"

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

/* It could not be written there; once no entry names the slot, another may do. */
static void leave_bad_slot(struct shrink *s, struct folio *f)
{
	if (folio_test(f, PG_swapcache) && folio_test(f, PG_dirty) && swap_slot_is_bad(s->sys, f))
		swap_try_free(s->sys, f);
	/* Memory may have the only copy. */
	if (folio_test(f, PG_swapcache) && swap_is_doubtful(s->sys, f))
		folio_set(f, PG_dirty);
}

/* Locked, and none was found: may its parts have slots? */
static bool give_slot_in_parts(struct shrink *s, struct folio *f)
{
	return f->order && !swap_is_full(s->sys) && !folio_split(s->sys, f) &&
	       swap_add_folios(s->sys, &f, 1);
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

/* Locked. false: it was put back. Unmapping finds out about mlock() by itself. */
static bool wants_hole(struct shrink *s, struct folio *f)
{
	uint64_t vm_flags = 0;

	if (folio_is_hole(s->sys, f)) {
		keep(s, f, &s->res->busy, true);
		return false;
	}
	if (s->req->ignore_references)
		(void)folio_referenced(s->sys, f, true, &vm_flags);
	if (!folio_test(f, PG_mlocked) && !(vm_flags & VM_LOCKED))
		return true;
	folio_mark_mlocked(s->sys, f);
	keep(s, f, &s->res->mlocked, true);
	return false;
}

/* One isolated folio, on to the victims or back to its list; parts of it onto @rest. */
static void shrink_one(struct shrink *s, struct folio *f, struct list_head *rest)
{
	s->res->scanned += folio_nr(f);
	if (!folio_trylock(f)) {
		s->res->busy += folio_nr(f);
		lru_putback(s->sys, f, folio_test(f, PG_active));
		return;
	}
	if (s->req->holes && !wants_hole(s, f))
		return;
	shrink_split(s, f, rest);
	if (still_wanted(s, f) || demoted(s, f))
		return;
	if (balance_spares(s, f)) {
		/* Out of the way: it must not hide the rest of the list. */
		keep(s, f, &s->spared, true);
		return;
	}
	if (!s->req->holes && folio_fill(s->sys, f)) {
		s->error = s->error ? s->error : -EIO;
		keep(s, f, &s->res->io_error, true);
		return;
	}
	s->victims[s->nr_victims++] = f;
}

/* Make sure that the content of each has somewhere to go. */
static void give_slots(struct shrink *s)
{
	struct folio *without[BATCH];
	unsigned int nr = 0, left = 0;

	for (unsigned int i = 0; i < s->nr_victims; i++) {
		leave_bad_slot(s, s->victims[i]);
		if (wants_slot(s->victims[i]))
			without[nr++] = s->victims[i];
	}
	if (!nr || swap_add_folios(s->sys, without, nr) == nr)
		return;
	for (unsigned int i = 0; i < s->nr_victims; i++) {
		struct folio *f = s->victims[i];

		if (!wants_slot(f) || give_slot_in_parts(s, f))
			s->victims[left++] = f;
		else /* Out of the way: what has no slot must not hide the rest of the list. */
			keep(s, f, &s->res->no_swap, true);
	}
	s->nr_victims = left;
}

static void unmap_victims(struct shrink *s)
{
	for (unsigned int i = 0, n; i < s->nr_victims; i += n) {
		n = unmap_run_length(&s->victims[i], s->nr_victims - i);
		if (n > 1)
			unmap_run(s->sys, &s->victims[i], n, &s->zap);
		for (unsigned int k = i; k < i + n; k++) {
			struct folio *f = s->victims[k];

			if (folio_mapped(f))
				try_to_unmap(s->sys, f, TTU_BATCH_FLUSH | (f->order ? TTU_SYNC : 0),
					     &s->zap);
		}
	}
}

/* Locked. Nothing maps it, and no object holds it but the swap cache or its file. */
static bool is_unmapped(struct shrink *s, struct folio *f)
{
	struct address_space *m = folio_file_mapping(f);

	return !folio_mapped(f) && (!m || m->ops || shmem_swapout(s->sys, f));
}

/* The victims become the batch. */
static void take_victims(struct shrink *s, struct shrink_batch *b)
{
	give_slots(s);
	unmap_victims(s);
	for (unsigned int i = 0; i < s->nr_victims; i++) {
		struct folio *f = s->victims[i];

		if (is_unmapped(s, f))
			b->folios[b->nr++] = f;
		else
			give_up(s, f);
	}
	s->nr_victims = 0;
}

/* ---- after the zap ---------------------------------------------------------- */

/* Write the dirty swap-cache folios of the batch in one request, which then is under way. */
static void start_writes(struct shrink *s, struct shrink_batch *b)
{
	struct swap_write *w = &b->write;

	w->nr = 0;
	for (unsigned int i = 0; i < b->nr; i++) {
		const uint32_t both = (1u << PG_swapcache) | (1u << PG_dirty);

		if ((folio_flags(b->folios[i]) & both) == both)
			w->folios[w->nr++] = b->folios[i];
	}
	if (!w->nr)
		return;
	swap_write_start(s->sys, w);
	s->res->zero += w->zero;
}

static void finish_writes(struct shrink *s, struct shrink_batch *b)
{
	struct swap_write *w = &b->write;

	if (!w->nr)
		return;
	swap_write_finish(s->sys, w);
	for (unsigned int i = 0; i < w->nr; i++) {
		struct folio *f = w->folios[i];

		if (!w->errors[i]) {
			shadow_prefetch(s->sys, f);
			folio_clear(f, PG_dirty);
			s->res->swapped += folio_nr(f);
		} else {
			s->res->io_error += folio_nr(f);
			s->error = s->error ? s->error : w->errors[i];
		}
	}
}

static bool free_file_folio(struct shrink *s, struct folio *f)
{
	if (folio_test(f, PG_dirty)) {
		int err = pagecache_write(s->sys, f);

		if (err == -EBUSY)
			return false; /* the file is being changed there */
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

/* Not freed after all. What could not be written must not hide the rest of the list. */
static void keep_unmapped(struct shrink *s, struct folio *f)
{
	keep(s, f, &s->res->busy, folio_test(f, PG_dirty));
}

static void note_freed(struct shrink *s, const struct shadow_place *place, int node,
		       unsigned int nr)
{
	s->res->freed += nr;
	shadow_evicted(s->sys, node, place, nr);
}

/* Anything but a page in the swap cache. */
static void free_one(struct shrink *s, struct folio *f)
{
	struct shadow_place place = shadow_place(f);
	unsigned int nr = folio_nr(f);
	int node = f->node;

	if (folio_file_mapping(f) ? free_file_folio(s, f) : free_orphan(s, f))
		note_freed(s, &place, node, nr);
	else
		keep_unmapped(s, f);
}

static void free_batch(struct shrink *s, struct shrink_batch *b)
{
	struct folio *gone[BATCH];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < b->nr; i++) {
		struct folio *f = b->folios[i];

		if (!folio_test(f, PG_swapcache)) {
			free_one(s, f);
		} else if (!folio_test(f, PG_dirty) && folio_ref_freeze(f, 2)) {
			/* The swap cache's reference and ours. */
			struct shadow_place place = shadow_place(f);

			note_freed(s, &place, f->node, folio_nr(f));
			gone[nr++] = f;
		} else {
			keep_unmapped(s, f);
		}
	}
	b->nr = 0;
	if (!nr)
		return;
	swap_del_frozen_folios(s->sys, gone, nr);
	for (unsigned int i = 0; i < nr; i++)
		folio_unlock(s->sys, gone[i]);
	folio_free_list(s->sys, gone, nr);
}

static bool is_being_written(const struct shrink_batch *b)
{
	return b->write.nr && b->write.started;
}

/* Wait for the oldest batches until only @most are under way, and free them. */
static void complete(struct shrink *s, unsigned int most)
{
	while (s->nr_under_way > most) {
		struct shrink_batch *b = &s->batches[s->oldest];

		finish_writes(s, b);
		free_batch(s, b);
		s->oldest = (s->oldest + 1) % SHRINK_BATCHES;
		s->nr_under_way--;
	}
}

static void finish_batch(struct shrink *s)
{
	struct shrink_batch *b = &s->batches[(s->oldest + s->nr_under_way) % SHRINK_BATCHES];

	if (s->req->holes) {
		zap_batch_flush(&s->zap);
		hole_victims(s);
		return;
	}
	take_victims(s, b);
	zap_batch_flush(&s->zap);
	start_writes(s, b);
	s->nr_under_way++;
	complete(s, SHRINK_BATCHES - 1);
	while (s->nr_under_way && !is_being_written(&s->batches[s->oldest]))
		complete(s, s->nr_under_way - 1);
}

void shrink_list(struct shrink *s, struct list_head *list)
{
	while (!list_empty(list)) {
		struct folio *f = list_first_entry(list, struct folio, lru);

		list_del(&f->lru);
		shrink_one(s, f, list);
		if (s->nr_victims == BATCH)
			finish_batch(s);
	}
	finish_batch(s);
	/* Nothing stays locked: who called may have to wait for locks that come before. */
	complete(s, 0);
	if (!list_empty(&s->demoted))
		s->res->freed += demote_list(s->sys, &s->demoted, s->by == BY_ALLOCATION);
}

void shrink_init(struct shrink *s, struct mm_sys *sys, const struct reclaim_request *req,
		 struct reclaim_result *res)
{
	memset(res, 0, sizeof(*res));
	s->sys = sys;
	s->req = req;
	s->res = res;
	s->nr_victims = 0;
	for (unsigned int i = 0; i < SHRINK_BATCHES; i++)
		s->batches[i].nr = 0;
	s->oldest = s->nr_under_way = 0;
	s->error = 0;
	s->turn[0] = s->turn[1] = s->spared = 0;
	s->spares_none = false;
	s->demote = DEMOTE_NEVER;
	s->by = BY_REQUEST;
	list_init(&s->demoted);
	zap_batch_init(&s->zap, sys);
}

void shrink_end(struct shrink *s)
{
	zap_batch_destroy(&s->zap);
	sys_count(s->sys, EV_PGSCAN, s->res->scanned);
	if (s->req->holes)
		return; /* frames are as taken as before; the host counts holes */
	sys_count(s->sys, EV_PGSTEAL, s->res->freed);
	if (s->by == BY_REQUEST)
		return;
	sys_count(s->sys, s->by == BY_KSWAPD ? EV_PGSCAN_KSWAPD : EV_PGSCAN_DIRECT,
		  s->res->scanned);
	sys_count(s->sys, s->by == BY_KSWAPD ? EV_PGSTEAL_KSWAPD : EV_PGSTEAL_DIRECT,
		  s->res->freed);
}
