/* SPDX-License-Identifier: MIT */
/*
 * Migration of folios between nodes, while the guest runs.
 *
 *	collect: lock, and find frames on the target		 for a batch
 *	  -> copy early, where that pays (migrate_early.c)
 *	  -> try_to_migrate		--+
 *	  -> one zap			  |  the window: a guest that touches
 *	  -> copy, runs of neighbours	  |  a page of the batch waits
 *	  -> the new folio takes the identity (index, mapping, flags, caches)
 *	  -> remove_migration_ptes	--+
 *	  -> to the lists, and free the sources, all at once
 *
 * The window is bounded by time. The number of frames in a batch follows what the
 * last batches took, so that a window takes about MIGRATE_WINDOW_NS; one that
 * unmaps for longer than half of that goes on with what it has (a page with a
 * thousand sharers takes its time), and one that copies for too long gives the
 * rest back to be tried again. A batch ends where the frames of a 2 MiB block of
 * the host's end, so that most zaps cover such blocks whole.
 *
 * Anything that goes wrong before the identity moves (somebody holds a
 * reference, the copy fails, no frame) restores the entries to the source.
 *
 * This file moves folios that are isolated already; which ones, migrate.c says.
 */
#include "rmap/migrate.h"

#include <time.h>

#define FIRST_LIMIT 64u
/* Items further on whose folios are fetched beforehand. */
#define AHEAD 8u
/* The clock is read every so many entries. */
#define LOOK_EVERY 256u

uint64_t migrate_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ul + (uint64_t)t.tv_nsec;
}

/* ---- one folio ------------------------------------------------------------------ */

/* References that remain when nothing maps the folio: ours and the cache's. */
static int expected_refs(const struct folio *f)
{
	return 1 + (folio_test(f, PG_swapcache) ? 1 : 0) + (folio_file_mapping(f) ? 1 : 0);
}

static void count_stays(struct migration *m, struct folio *f, uint64_t *why)
{
	if (!m->stays || m->stays(m, f, why))
		*why += folio_nr(f);
}

void migrate_put_back(struct migration *m, struct folio *f, uint64_t *why)
{
	count_stays(m, f, why);
	folio_unlock(m->sys, f);
	lru_putback(m->sys, f, folio_test(f, PG_active));
}

/* Locked source: is it something that can move? */
static bool can_move(struct migration *m, struct folio *f)
{
	if (folio_pincount(f)) {
		migrate_put_back(m, f, &m->res->pinned);
		return false;
	}
	if (!folio_mapping_raw(f) ||
	    (!folio_mapped(f) && !folio_test(f, PG_swapcache) && !folio_file_mapping(f))) {
		migrate_put_back(m, f, &m->res->busy);
		return false;
	}
	return true;
}

static void count_anon_end(struct migration *m)
{
	if (m->nr_anon)
		__atomic_fetch_add(&m->anon_node->nr_anon, m->nr_anon, __ATOMIC_RELAXED);
	m->nr_anon = 0;
}

/* Nobody but the migration looks for it: neither a file nor the swap cache nor KSM. */
static bool only_mapped(const struct folio *f)
{
	return folio_test_anon(f) && !folio_test_ksm(f) && !folio_test(f, PG_swapcache);
}

static void copy_flags(const struct migrate_item *it)
{
	uint32_t travel = (1u << PG_uptodate) | (1u << PG_dirty) | (1u << PG_referenced) |
			  (1u << PG_young) | (1u << PG_idle) | (1u << PG_active) |
			  (1u << PG_swapbacked) | POLICY_NOTE_MASK;

	if (!it->frozen) {
		__atomic_fetch_or(&it->dst->flags, folio_flags(it->src) & travel, __ATOMIC_ACQ_REL);
		return;
	}
	/* What its entry says when it comes back is true, this only spares to set it then. */
	if (it->refs && only_mapped(it->src))
		travel |= 1u << PG_anon_exclusive;
	folio_lock_new(it->dst, folio_flags(it->src) & travel);
}

/* References of the caller and of the entries to come: with the lock, the others may find it. */
static void publish_target(const struct migrate_item *it)
{
	int refs = (int)it->refs;

	if (it->frozen)
		folio_ref_unfreeze(it->dst, 1 + refs);
	else if (refs)
		folio_get_many(it->dst, refs);
}

/* Targets of a batch are on one node: its count is changed once. */
static void count_anon(struct migration *m, const struct folio *dst)
{
	struct mm_node *n = folio_node(m->sys, dst);

	if (m->anon_node != n)
		count_anon_end(m);
	m->anon_node = n;
	m->nr_anon += folio_nr(dst);
}

/* References of the source are frozen: nobody finds it from here on. */
static void move_identity(struct migration *m, struct migrate_item *it)
{
	struct folio *src = it->src, *dst = it->dst;
	struct address_space *map = folio_file_mapping(src);
	struct mm_sys *sys = m->sys;

	copy_flags(it);
	publish_target(it);
	/* Reports read it without a lock. */
	__atomic_store_n(&dst->index.v, src->index.v, __ATOMIC_RELAXED);
	if (map) {
		folio_get(dst);
		pagecache_replace(map, src, dst);
	} else if (folio_test_anon(src)) {
		count_anon(m, dst);
		if (folio_test_ksm(src))
			ksm_folio_moved(sys, src, dst);
		else
			__atomic_store_n(&dst->mapping, folio_mapping_raw(src), __ATOMIC_RELEASE);
		/*
		 * The source stays anonymous until it is freed: fork and munmap ask
		 * it what kind of page a migration entry stands for.
		 */
	}
	if (folio_test(src, PG_swapcache)) {
		folio_get(dst);
		swap_cache_replace(sys, src, dst);
	}
	if (placement_has_notes(sys))
		placement_moved(sys, m->placement, src, dst);
	/* Of an anonymous one nobody asks any more. */
	if (map && folio_test(src, PG_dirty))
		folio_clear(src, PG_dirty);
	if (folio_test(src, PG_mlocked))
		folio_clear_mlocked(sys, src);
}

/* References go back many at once: neighbours have the same. */
static void put_anon_vmas(struct migration *m)
{
	if (m->put_av)
		anon_vma_put_many(m->put_av, m->put_av_refs);
	m->put_av = NULL;
	m->put_av_refs = 0;
}

static void drop_anon_vma(struct migration *m, struct migrate_item *it)
{
	if (m->put_av != it->av)
		put_anon_vmas(m);
	if (it->av) {
		m->put_av = it->av;
		m->put_av_refs++;
	}
	it->av = NULL;
}

static void drop_target(struct migration *m, struct migrate_item *it)
{
	if (it->frozen) {
		folio_free(m->sys, it->dst);
		return;
	}
	folio_unlock(m->sys, it->dst);
	folio_put(m->sys, it->dst);
}

/* The reason to stay, or NULL: the references are frozen and it may move. */
static uint64_t *why_stays(struct migration *m, struct migrate_item *it)
{
	if (folio_pincount(it->src))
		return &m->res->pinned;
	/* Some entry was not replaced: of an exec in progress, say. */
	if (folio_mapped(it->src))
		return &m->res->busy;
	if (it->failed)
		return &m->res->failed;
	if (!folio_ref_freeze(it->src, expected_refs(it->src) + (int)it->refs))
		return &m->res->busy;
	return NULL;
}

/* What becomes of the item is settled; nobody finds the folio by its entries yet. */
static void decide(struct migration *m, struct migrate_item *it)
{
	it->moved = false;
	it->why = NULL;
	if (it->step == MIGRATE_LATE)
		return;
	it->why = why_stays(m, it);
	if (it->why)
		return;
	/* The source has no reference from here on until it is freed. */
	move_identity(m, it);
	it->moved = true;
}

static void restore_entries(struct migration *m, struct migrate_item *it)
{
	struct folio *f = it->moved ? it->dst : it->src;

	if (it->av || folio_file_mapping(f) || folio_test_ksm(f))
		remove_migration_ptes(m->sys, it->src, f, false);
}

/* Of entries that did not come back, or took references of their own. */
static void put_entry_refs(struct migration *m, struct migrate_item *it)
{
	struct folio *f = it->moved ? it->dst : it->src;

	if (!it->refs)
		return;
	if (folio_test(f, PG_anon_exclusive) && !folio_mapped(f))
		folio_clear(f, PG_anon_exclusive);
	folio_put_many(m->sys, f, (int)it->refs);
	it->refs = 0;
}

/* The entries are whole again. True if it moved: the target is still locked. */
static bool finish_item(struct migration *m, struct migrate_item *it)
{
	put_entry_refs(m, it);
	if (it->moved) {
		folio_unlock(m->sys, it->src);
		m->res->moved += it->nr;
		m->res->folios++;
		m->res->early += it->copied ? it->nr : 0;
	} else {
		drop_target(m, it);
		migrate_put_back(m, it->src, it->why);
	}
	drop_anon_vma(m, it);
	return it->moved;
}

/* ---- a batch ---------------------------------------------------------------------- */

/* May @f at @pfn join the batch? */
static bool fits(const struct migration *m, const struct folio *f, pfn_t pfn)
{
	uint64_t block = 1ul << UMM_PMD_ORDER;

	if (!m->nr)
		return true;
	if (m->nr == MIGRATE_BATCH || m->frames + folio_nr(f) > m->limit)
		return false;
	return m->frames < (m->limit < block ? m->limit : block) / 2 || f->order ||
	       m->items[m->nr - 1].src_pfn.v / block == pfn.v / block;
}

/* Isolated folios from the list: locked, and with frames to move to. */
static void collect(struct migration *m)
{
	unsigned int from = m->nr;
	uint64_t start = migrate_now_ns();

	while (!list_empty(m->list)) {
		struct folio *f = list_first_entry(m->list, struct folio, lru);
		pfn_t pfn = folio_first_pfn(m->sys, f);

		if (!fits(m, f, pfn))
			break;
		list_del(&f->lru);
		if (!folio_trylock(f)) {
			count_stays(m, f, &m->res->busy);
			lru_putback(m->sys, f, folio_test(f, PG_active));
		} else if (can_move(m, f)) {
			m->items[m->nr++] = (struct migrate_item){
				.src = f, .src_pfn = pfn, .sharers = (uint32_t)folio_mapcount(f)
			};
			m->frames += folio_nr(f);
		}
	}
	m->res->ns_find += migrate_now_ns() - start;
	migrate_find_targets(m, from);
}

/* What a walk for a whole run did not find is looked for alone. */
static void unmap_item(struct migration *m, struct migrate_item *it)
{
	if (folio_mapped(it->src))
		try_to_migrate(m->sys, it->src, TTU_SYNC | TTU_BATCH_FLUSH, &m->zap);
	it->step = MIGRATE_UNMAPPED;
}

/*
 * As many as half the window and the limit (which is smaller now than what is late
 * from before, perhaps) allow, at least one: returns how many.
 */
static unsigned int unmap_items(struct migration *m, uint64_t start)
{
	unsigned int i, run, frames = 0;
	uint64_t entries = 0;

	for (i = 0; i < m->nr; i += run) {
		unsigned int room = m->limit > frames ? m->limit - frames : 1;

		run = migrate_run_length(m->items + i, room < m->nr - i ? room : m->nr - i);
		frames += run * m->items[i].nr;
		if (i && frames > m->limit)
			break;
		if (entries >= LOOK_EVERY) {
			entries = 0;
			if (migrate_now_ns() - start > MIGRATE_WINDOW_NS / 2)
				break;
		}
		if (run > 1)
			migrate_unmap_run(m, m->items + i, run);
		for (unsigned int k = i; k < i + run; k++)
			unmap_item(m, &m->items[k]);
		/* A folio that nothing maps is not for free either. */
		entries += run * (m->items[i].sharers + 8ul);
	}
	return i;
}

static bool wants_copy(const struct migrate_item *it)
{
	return it->step == MIGRATE_UNMAPPED && !it->copied && !it->failed &&
	       !folio_mapped(it->src) && !folio_pincount(it->src);
}

/* Not even begun: back to the list as it came, unlocked. */
static void release_item(struct migration *m, struct migrate_item *it)
{
	drop_target(m, it);
	drop_anon_vma(m, it);
	folio_unlock(m->sys, it->src);
	list_add(&it->src->lru, m->list);
}

static void keep_late(struct migration *m, struct migrate_item *it, unsigned int *kept)
{
	m->res->late += it->nr;
	put_entry_refs(m, it);
	it->step = MIGRATE_LOCKED;
	it->tries++;
	m->items[(*kept)++] = *it;
}

/* The copy has driven the descriptors out of the caches. */
static void fetch_item(const struct migration *m, unsigned int i)
{
	if (i >= m->nr)
		return;
	__builtin_prefetch(m->items[i].src, 1);
	__builtin_prefetch(m->items[i].dst, 1);
}

/*
 * Ends the window: the entries of the first @nr items are whole again. Those that
 * are late stay in the batch. Returns the frames that were looked at.
 */
static unsigned int restore_items(struct migration *m, unsigned int nr, unsigned int *kept)
{
	unsigned int done = 0, frames = 0, run;

	*kept = 0;
	for (unsigned int i = 0; i < nr; i += run) {
		run = migrate_run_length(m->items + i, nr - i);
		for (unsigned int k = i; k < i + run; k++) {
			fetch_item(m, k + AHEAD);
			decide(m, &m->items[k]);
		}
		count_anon_end(m);
		if (run > 1)
			migrate_restore_run(m, m->items + i, run);
		else
			restore_entries(m, &m->items[i]);
		for (unsigned int k = i; k < i + run; k++) {
			struct migrate_item *it = &m->items[k];

			frames += it->nr;
			if (it->step == MIGRATE_LATE) {
				keep_late(m, it, kept);
				continue;
			}
			m->put[done] = it->dst;
			m->put[MIGRATE_BATCH + done] = it->src;
			done += finish_item(m, it);
		}
	}
	if (m->req->time_copy)
		migrate_keep(m, m->put, m->put + MIGRATE_BATCH, done);
	else
		folio_free_list(m->sys, m->put + MIGRATE_BATCH, done);
	lru_putback_locked(m->sys, m->put, done);
	return frames;
}

/* What was not begun goes back to the list, from the last, as that keeps the order. */
static void release_items(struct migration *m, unsigned int from, unsigned int kept)
{
	while (m->nr > from)
		release_item(m, &m->items[--m->nr]);
	put_anon_vmas(m);
	m->nr = kept;
	m->frames = 0;
	for (unsigned int i = 0; i < kept; i++)
		m->frames += m->items[i].nr;
}

static void adapt_limit(struct migration *m, uint64_t ns, unsigned int frames)
{
	uint64_t fitting = frames * MIGRATE_WINDOW_NS / (ns + 1);
	unsigned int was = m->limit > frames ? m->limit : frames;

	if (ns > m->res->ns_window)
		m->res->ns_window = ns;
	if (ns > MIGRATE_WINDOW_NS)
		m->limit = fitting < m->limit ? (unsigned int)(fitting ? fitting : 1) : m->limit;
	else if (ns < MIGRATE_WINDOW_NS / 2 && 2 * frames >= m->limit)
		m->limit = 2 * was < m->max_limit ? 2 * was : m->max_limit;
}

static void run_batch(struct migration *m)
{
	unsigned int nr, kept, frames;
	uint64_t t[6];

	if (m->req->time_walk)
		migrate_time_walks(m);
	if (migrate_wants_early(m))
		migrate_copy_early(m);
	t[0] = migrate_now_ns();
	nr = unmap_items(m, t[0]);
	t[1] = migrate_now_ns();
	zap_batch_flush_tables(&m->zap);
	t[2] = migrate_now_ns();
	zap_batch_flush(&m->zap);
	t[3] = migrate_now_ns();
	migrate_check_early(m);
	migrate_copy(m, wants_copy, t[0] + MIGRATE_LATE_NS);
	t[4] = migrate_now_ns();
	frames = restore_items(m, nr, &kept);
	t[5] = migrate_now_ns();
	release_items(m, nr, kept);
	m->res->ns_unmap += t[1] - t[0];
	m->res->ns_flush += t[2] - t[1];
	m->res->ns_zap += t[3] - t[2];
	m->res->ns_restore += t[5] - t[4];
	m->res->batches++;
	adapt_limit(m, t[5] - t[0], frames);
}

void migrate_list(struct migration *m, struct list_head *list)
{
	m->list = list;
	while (m->nr || !list_empty(list)) {
		collect(m);
		if (m->nr)
			run_batch(m);
	}
}

/* ---- a request ---------------------------------------------------------------------- */

struct migration *migration_start(struct mm_sys *sys, const struct migrate_request *req,
				  struct migrate_result *out)
{
	struct migration *m = sys_alloc(sys, sizeof(*m));

	if (!m)
		return NULL;
	memset(out, 0, sizeof(*out));
	m->sys = sys;
	m->req = req;
	m->res = out;
	m->max_limit = req->batch && req->batch < MIGRATE_BATCH_FRAMES ? req->batch
								       : MIGRATE_BATCH_FRAMES;
	m->limit = (unsigned int)__atomic_load_n(&sys->migrate_limit, __ATOMIC_RELAXED);
	m->limit = m->limit ? m->limit : FIRST_LIMIT;
	m->limit = m->limit < m->max_limit ? m->limit : m->max_limit;
	m->ns_copy_frame = __atomic_load_n(&sys->migrate_ns_frame, __ATOMIC_RELAXED);
	list_init(&m->kept);
	zap_batch_init(&m->zap, sys);
	return m;
}

void migration_end(struct migration *m)
{
	const struct migrate_result *res = m->res;

	/* The next one need not begin with small batches, each with a zap of its own. */
	if (m->max_limit == MIGRATE_BATCH_FRAMES && res->batches)
		__atomic_store_n(&m->sys->migrate_limit, m->limit, __ATOMIC_RELAXED);
	if (m->ns_copy_frame)
		__atomic_store_n(&m->sys->migrate_ns_frame, m->ns_copy_frame, __ATOMIC_RELAXED);
	migrate_time_kept(m);
	zap_batch_destroy(&m->zap);
	sys_count(m->sys, EV_MIGRATE_OK, res->moved);
	sys_count(m->sys, EV_MIGRATE_FAIL, res->failed + res->busy + res->pinned + res->no_memory);
	sys_free(m->sys, m, sizeof(*m));
}
