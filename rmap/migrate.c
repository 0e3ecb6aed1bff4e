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
 * a page on its way waits for the batch. A batch ends at about BATCH frames, or
 * when unmapping has taken BATCH_NS: a wait stays within a few milliseconds.
 *
 * Anything that goes wrong before the identity moves (somebody holds a
 * reference, the copy fails, no frame) restores the entries to the source.
 */
#include "rmap/internal.h"

#include <time.h>

#define BATCH    256u
#define BATCH_NS 1000000ul

struct item {
	struct folio *src, *dst;
	struct anon_vma *av; /* keeps the source's anon_vma while nothing maps it */
	bool failed;
};

struct migration {
	struct mm_sys *sys;
	const struct migrate_request *req;
	struct migrate_result *res;
	struct zap_batch zap;
	struct item items[BATCH];
	unsigned int nr;
	uint64_t ns_alloc; /* since the batch began */
};

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

static void put_back(struct migration *m, struct folio *f, uint64_t *why)
{
	*why += folio_nr(f);
	folio_unlock(m->sys, f);
	lru_putback(m->sys, f, folio_test(f, PG_active));
}

static struct folio *target_frame(struct migration *m, struct folio *src)
{
	uint64_t start = now_ns();
	unsigned int flags = ALLOC_THISNODE | ALLOC_NORECLAIM;
	struct folio *dst = folio_alloc(m->sys, m->req->to, src->order, flags);

	if (!dst && src->order && !folio_split(m->sys, src))
		dst = folio_alloc(m->sys, m->req->to, 0, flags);
	m->ns_alloc += now_ns() - start;
	return dst;
}

/* Locked source: is it something that can move, and somewhere to move it to? */
static bool start_item(struct migration *m, struct folio *f, struct item *it)
{
	*it = (struct item){ .src = f };
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
	if (!folio_trylock(it->dst))
		mm_assert(false);
	if (folio_mapped(f) && folio_test_anon(f))
		it->av = folio_get_anon_vma(f);
	return true;
}

static void unmap_item(struct migration *m, struct item *it)
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

static void restore_source(struct migration *m, struct item *it, uint64_t *why)
{
	struct mm_sys *sys = m->sys;

	if (it->av || folio_file_mapping(it->src))
		remove_migration_ptes(sys, it->src, it->src, false);
	folio_unlock(sys, it->dst);
	folio_put(sys, it->dst);
	put_back(m, it->src, why);
}

static void finish_item(struct migration *m, struct item *it)
{
	struct mm_sys *sys = m->sys;
	struct folio *src = it->src, *dst = it->dst;

	if (folio_mapped(src) || folio_pincount(src)) {
		restore_source(m, it, &m->res->pinned);
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

static bool follows(const struct mm_sys *sys, const struct item *a, const struct item *b)
{
	return !b->failed &&
	       folio_pfn(sys, a->src).v + folio_nr(a->src) == folio_pfn(sys, b->src).v &&
	       folio_pfn(sys, a->dst).v + folio_nr(a->dst) == folio_pfn(sys, b->dst).v;
}

static void copy_batch(struct migration *m)
{
	struct mm_sys *sys = m->sys;

	for (unsigned int i = 0, run; i < m->nr; i += run) {
		struct item *it = &m->items[i];
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

/* Isolated folios: move them, in one batch or more. */
static void migrate_list(struct migration *m, struct list_head *list)
{
	struct folio *f, *tmp;
	uint64_t start = now_ns();

	list_for_each_entry_safe(f, tmp, list, lru)
	{
		list_del(&f->lru);
		if (!folio_trylock(f)) {
			m->res->busy += folio_nr(f);
			lru_putback(m->sys, f, folio_test(f, PG_active));
			continue;
		}
		if (!start_item(m, f, &m->items[m->nr]))
			continue;
		unmap_item(m, &m->items[m->nr]);
		m->nr++;
		if (m->nr == BATCH || now_ns() - start > BATCH_NS) {
			count_unmap_time(m, start);
			finish_batch(m);
			start = now_ns();
		}
	}
	count_unmap_time(m, start);
	finish_batch(m);
}

/* ---- where folios come from --------------------------------------------------------- */

static bool stopped(struct migration *m, uint64_t done, uint64_t total)
{
	return m->req->progress && m->req->progress(m->req->arg, done, total);
}

static void migrate_mm(struct migration *m)
{
	struct list_head list;
	struct mm_cursor c;
	uint64_t total = 0;

	for (int i = 0; i < MM_NR_COUNTERS; i++) {
		if (i != MM_SWAPENTS)
			total += (uint64_t)__atomic_load_n(&m->req->mm->counters[i],
							   __ATOMIC_RELAXED);
	}
	mm_cursor_init(&c, m->req->mm, m->req->start, m->req->end);
	c.to = m->req->to;
	c.from_mask = m->req->from_mask;
	c.private_only = !m->req->move_shared;
	list_init(&list);
	while (mm_cursor_isolate(&c, &list, BATCH)) {
		umm_read_lock(&m->sys->work_lock);
		migrate_list(m, &list);
		umm_read_unlock(&m->sys->work_lock);
		if (stopped(m, c.seen, total))
			break;
	}
	m->res->total = c.seen;
	m->res->already_there = c.already_there;
	m->res->shared = c.shared;
	m->res->busy += c.busy;
}

/* Isolate what is in use among frames [first, first + nr) of the node. */
static uint64_t isolate_frames(struct migration *m, struct mm_node *n, uint64_t *at,
			       struct list_head *list)
{
	uint64_t taken = 0;

	uint64_t end = __atomic_load_n(&n->fresh, __ATOMIC_ACQUIRE);

	while (*at < end && taken < BATCH) {
		struct folio *f = &n->frames[*at];
		uint32_t flags = folio_flags(f);

		/* Of a free block that is being split or joined only its first frame is passed. */
		if (flags & (1u << PG_buddy)) {
			unsigned int order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);

			*at += order <= UMM_MAX_ORDER ? 1ul << order : 1;
			continue;
		}
		++*at;
		if ((flags & (1u << PG_tail)) || !folio_refcount(f))
			continue;
		if (lru_isolate_folio(m->sys, f)) {
			list_add_tail(&f->lru, list);
			taken += folio_nr(f);
			m->res->total += folio_nr(f);
		}
	}
	return taken;
}

static void migrate_node(struct migration *m, struct mm_node *n, uint64_t *done, uint64_t total)
{
	struct list_head list;

	list_init(&list);
	for (uint64_t at = 0; at < __atomic_load_n(&n->fresh, __ATOMIC_ACQUIRE);) {
		uint64_t first = at;

		umm_read_lock(&m->sys->work_lock);
		if (isolate_frames(m, n, &at, &list))
			migrate_list(m, &list);
		umm_read_unlock(&m->sys->work_lock);
		*done += at - first;
		if (stopped(m, *done, total))
			break;
	}
}

static void migrate_nodes(struct migration *m)
{
	struct mm_sys *sys = m->sys;
	uint64_t mask = m->req->from_mask ? m->req->from_mask : ~0ul, done = 0, total = 0;

	mask &= ~(1ul << m->req->to);
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		total += mask & (1ul << i) ? __atomic_load_n(&sys->nodes[i].fresh, __ATOMIC_ACQUIRE)
					   : 0;
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		if (mask & (1ul << i))
			migrate_node(m, &sys->nodes[i], &done, total);
	}
}

int mm_migrate(struct mm_sys *sys, const struct migrate_request *req, struct migrate_result *out)
{
	struct migration *m;

	if (req->to < 0 || req->to >= (int)sys->nr_nodes)
		return -EINVAL;
	m = sys_alloc(sys, sizeof(*m));
	if (!m)
		return -ENOMEM;
	memset(out, 0, sizeof(*out));
	m->sys = sys;
	m->req = req;
	m->res = out;
	zap_batch_init(&m->zap, sys);
	if (req->mm)
		migrate_mm(m);
	else
		migrate_nodes(m);
	zap_batch_destroy(&m->zap);
	sys_count(sys, EV_MIGRATE_OK, out->moved);
	sys_count(sys, EV_MIGRATE_FAIL, out->failed + out->busy + out->pinned + out->no_memory);
	sys_free(sys, m, sizeof(*m));
	return 0;
}
