/* SPDX-License-Identifier: MIT */
/*
 * Migration of folios between nodes, while the guest runs.
 *
 *	isolate -> lock, frame on the target, try_to_migrate	 for a batch
 *	  -> one zap for the batch
 *	  -> copy, runs of neighbours at once
 *	  -> the new folio takes the identity (index, mapping, flags, caches)
 *	  -> remove_migration_ptes -> free the source
 *
 * The source is locked from the first step to the last, so a guest that touches
 * a page on its way waits for the batch. A batch ends at about MIGRATE_BATCH
 * frames, or when unmapping has taken BATCH_NS: a wait stays within a few
 * milliseconds.
 *
 * Anything that goes wrong before the identity moves (somebody holds a
 * reference, the copy fails, no frame) restores the entries to the source.
 *
 * This file moves folios that are isolated already; which ones, migrate.c says.
 */
#include "rmap/migrate.h"

#include <time.h>

#define BATCH_NS 1000000ul

static uint64_t now_ns(void)
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

static void put_back(struct migration *m, struct folio *f, uint64_t *why)
{
	count_stays(m, f, why);
	folio_unlock(m->sys, f);
	lru_putback(m->sys, f, folio_test(f, PG_active));
}

static struct folio *target_alloc(struct migration *m, struct folio *src, unsigned int order)
{
	if (m->target)
		return m->target(m, src, order);
	return folio_alloc(m->sys, m->req->to, order, ALLOC_THISNODE | ALLOC_NORECLAIM);
}

/* Locked. @src keeps its first frame, the others join what is still to do. */
static bool split_source(struct migration *m, struct folio *src)
{
	unsigned int nr = folio_nr(src);

	if (folio_split(m->sys, src))
		return false;
	for (unsigned int i = nr - 1; i > 0; i--) {
		if (lru_isolate_folio(m->sys, src + i))
			list_add(&src[i].lru, m->list);
	}
	return true;
}

static struct folio *target_frame(struct migration *m, struct folio *src)
{
	uint64_t start = now_ns();
	struct folio *dst = target_alloc(m, src, src->order);

	if (!dst && src->order && split_source(m, src))
		dst = target_alloc(m, src, 0);
	m->ns_alloc += now_ns() - start;
	return dst;
}

/* Locked source: is it something that can move, and somewhere to move it to? */
static bool start_item(struct migration *m, struct folio *f, struct migrate_item *it)
{
	*it = (struct migrate_item){ .src = f };
	if (folio_pincount(f)) {
		put_back(m, f, &m->res->pinned);
		return false;
	}
	if (folio_test_ksm(f) || !folio_mapping_raw(f) ||
	    (!folio_mapped(f) && !folio_test(f, PG_swapcache) && !folio_file_mapping(f))) {
		put_back(m, f, &m->res->busy);
		return false;
	}
	it->dst = target_frame(m, f);
	if (!it->dst) {
		put_back(m, f, &m->res->no_memory);
		return false;
	}
	if (!folio_trylock(it->dst)) {
		/* Somebody asks about this frame, whose it was before. */
		folio_put(m->sys, it->dst);
		put_back(m, f, &m->res->busy);
		return false;
	}
	if (folio_mapped(f) && folio_test_anon(f))
		it->av = folio_get_anon_vma(f);
	return true;
}

static void unmap_item(struct migration *m, struct migrate_item *it)
{
	if (folio_mapped(it->src))
		try_to_migrate(m->sys, it->src, TTU_SYNC | TTU_BATCH_FLUSH, &m->zap);
	it->failed = folio_mapped(it->src) || folio_pincount(it->src);
}

static void copy_flags(struct folio *dst, const struct folio *src)
{
	static const enum folio_flag travel[] = { PG_uptodate, PG_dirty,  PG_referenced, PG_young,
						  PG_idle,     PG_active, PG_swapbacked };

	for (unsigned int i = 0; i < sizeof(travel) / sizeof(travel[0]); i++) {
		if (folio_test(src, travel[i]))
			folio_set(dst, travel[i]);
	}
}

/* References of the source are frozen: nobody finds it from here on. */
static void move_identity(struct migration *m, struct folio *src, struct folio *dst)
{
	struct address_space *map = folio_file_mapping(src);
	struct mm_sys *sys = m->sys;

	copy_flags(dst, src);
	dst->index = src->index;
	if (map) {
		folio_get(dst);
		pagecache_replace(map, src, dst);
	} else if (folio_test_anon(src)) {
		__atomic_fetch_add(&folio_node(sys, dst)->nr_anon, folio_nr(dst), __ATOMIC_RELAXED);
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
	folio_clear(src, PG_dirty);
	folio_clear_mlocked(sys, src);
}

static void restore_source(struct migration *m, struct migrate_item *it, uint64_t *why)
{
	struct mm_sys *sys = m->sys;

	if (it->av || folio_file_mapping(it->src))
		remove_migration_ptes(sys, it->src, it->src, false);
	folio_unlock(sys, it->dst);
	folio_put(sys, it->dst);
	put_back(m, it->src, why);
}

static void finish_item(struct migration *m, struct migrate_item *it)
{
	struct mm_sys *sys = m->sys;
	struct folio *src = it->src, *dst = it->dst;

	if (folio_pincount(src)) {
		restore_source(m, it, &m->res->pinned);
	} else if (folio_mapped(src)) {
		/* Some entry was not replaced: of an exec in progress, say. */
		restore_source(m, it, &m->res->busy);
	} else if (it->failed) {
		restore_source(m, it, &m->res->failed);
	} else if (!folio_ref_freeze(src, expected_refs(src))) {
		restore_source(m, it, &m->res->busy);
	} else {
		move_identity(m, src, dst);
		folio_ref_unfreeze(src, 1);
		if (it->av || folio_file_mapping(dst))
			remove_migration_ptes(sys, src, dst, false);
		m->res->moved += folio_nr(dst);
		folio_unlock(sys, dst);
		lru_putback(sys, dst, folio_test(dst, PG_active));
		folio_unlock(sys, src);
		folio_put(sys, src);
	}
	if (it->av)
		anon_vma_put(it->av);
}

/* ---- a batch ---------------------------------------------------------------------- */

static bool follows(const struct mm_sys *sys, const struct migrate_item *a,
		    const struct migrate_item *b)
{
	return !b->failed &&
	       folio_pfn(sys, a->src).v + folio_nr(a->src) == folio_pfn(sys, b->src).v &&
	       folio_pfn(sys, a->dst).v + folio_nr(a->dst) == folio_pfn(sys, b->dst).v;
}

static void copy_batch(struct migration *m)
{
	struct mm_sys *sys = m->sys;

	for (unsigned int i = 0, run; i < m->nr; i += run) {
		struct migrate_item *it = &m->items[i];
		uint32_t frames = folio_nr(it->src);
		int ret;

		run = 1;
		if (it->failed)
			continue;
		while (i + run < m->nr && follows(sys, it + run - 1, it + run))
			frames += folio_nr(it[run++].src);
		ret = sys->ops->copy_frames(sys->ctx, folio_pfn(sys, it->dst),
					    folio_pfn(sys, it->src), frames);
		for (unsigned int k = 0; ret && k < run; k++)
			it[k].failed = true;
	}
}

static void finish_batch(struct migration *m)
{
	uint64_t t[4];

	t[0] = now_ns();
	zap_batch_flush(&m->zap);
	t[1] = now_ns();
	copy_batch(m);
	t[2] = now_ns();
	for (unsigned int i = 0; i < m->nr; i++)
		finish_item(m, &m->items[i]);
	t[3] = now_ns();
	m->res->ns_zap += t[1] - t[0];
	m->res->ns_copy += t[2] - t[1];
	m->res->ns_restore += t[3] - t[2];
	m->nr = 0;
}

static void count_unmap_time(struct migration *m, uint64_t start)
{
	m->res->ns_unmap += now_ns() - start - m->ns_alloc;
	m->res->ns_alloc += m->ns_alloc;
	m->ns_alloc = 0;
}

void migrate_list(struct migration *m, struct list_head *list)
{
	uint64_t start = now_ns();

	m->list = list;
	while (!list_empty(list)) {
		struct folio *f = list_first_entry(list, struct folio, lru);

		list_del(&f->lru);
		if (!folio_trylock(f)) {
			count_stays(m, f, &m->res->busy);
			lru_putback(m->sys, f, folio_test(f, PG_active));
			continue;
		}
		if (!start_item(m, f, &m->items[m->nr]))
			continue;
		unmap_item(m, &m->items[m->nr]);
		m->nr++;
		if (m->nr == MIGRATE_BATCH || now_ns() - start > BATCH_NS) {
			count_unmap_time(m, start);
			finish_batch(m);
			start = now_ns();
		}
	}
	count_unmap_time(m, start);
	finish_batch(m);
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
	zap_batch_init(&m->zap, sys);
	return m;
}

void migration_end(struct migration *m)
{
	const struct migrate_result *res = m->res;

	zap_batch_destroy(&m->zap);
	sys_count(m->sys, EV_MIGRATE_OK, res->moved);
	sys_count(m->sys, EV_MIGRATE_FAIL, res->failed + res->busy + res->pinned + res->no_memory);
	sys_free(m->sys, m, sizeof(*m));
}
