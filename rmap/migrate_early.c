/* SPDX-License-Identifier: MIT */
/*
 * The optimistic way: the copy is made while the guest goes on using the page,
 * so that a fault waits for two walks and a zap, and not for the copy.
 *
 *	clear D in every entry -> zap -> copy
 *	  -> (the window) migration entries -> zap
 *	  -> D was set again?	copy once more, now that nobody can store
 *	     else		the early copy holds
 *
 * Why no store is lost. A store that the early copy may have missed comes after
 * the first zap, so through a translation made from an entry whose D was clear:
 * the processor, or KVM for it, sets D in the entry, atomically, before the store
 * is made. The exchange for the migration entry therefore sees D. A store that
 * comes later still finds no entry. The host's own stores set D with the page-
 * table lock held, or pin the folio, which the walk and the exchange both look at.
 *
 * D is cleared and not write permission: a store would exit otherwise.
 *
 * Only D of the entries and PG_dirty of the folio may tell of a store here, so
 * PG_dirty is cleared with them and given back in the window. It is the folio
 * lock that makes this safe: who frees, swaps out or writes back looks at it
 * with that lock. Only anonymous memory that goes to swap can come this way; a
 * file's pages are cleaned by their own write-back, MADV_FREE clears D itself.
 */
#include "rmap/migrate.h"

/* A folio whose copy takes longer than this is copied early of its own accord. */
#define EARLY_COPY_NS (MIGRATE_WINDOW_NS / 2)

struct clean_walk {
	struct mm_sys *sys;
	bool dirty, refused;
};

static bool clean_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct clean_walk *c = arg;
	struct page_vma_mapped_walk w;

	pvmw_init(&w, f, vma, addr, PVMW_SYNC);
	while (page_vma_mapped_walk(&w)) {
		uint64_t *e = w.pte ? w.pte : w.pmd;

		/* Pins are taken with this lock held, and set D before. */
		c->refused |= folio_pincount(f) > 0;
		c->dirty |= (__atomic_fetch_and(e, ~PTE_DIRTY, __ATOMIC_ACQ_REL) & PTE_DIRTY) != 0;
	}
	return true;
}

static bool can_copy_early(const struct migrate_item *it)
{
	const struct folio *f = it->src;

	return it->av && folio_test(f, PG_swapbacked) && folio_mapped(f) && !folio_pincount(f);
}

static void clean_item(struct migration *m, struct migrate_item *it)
{
	struct clean_walk c = { .sys = m->sys };
	struct rmap_walk_control rwc = {
		.arg = &c,
		.rmap_one = clean_one,
		.anon_lock = folio_lock_anon_vma_read,
	};

	it->was_dirty = folio_test_clear(it->src, PG_dirty);
	rmap_walk(it->src, &rwc);
	it->was_dirty |= c.dirty;
	it->copied = !c.refused;
	if (c.refused && it->was_dirty)
		folio_set(it->src, PG_dirty);
	/* Whether or not D was set: a translation may be older than its entry. */
	zap_batch_add(&m->zap, folio_pfn(m->sys, it->src), folio_nr(it->src));
}

static bool is_early(const struct migrate_item *it)
{
	return it->copied && !it->failed;
}

/*
 * Stopping is the default although guests that run lose more speed by it: stalls
 * are not measured well enough yet (docs/architecture.md has the figures).
 */
bool migrate_wants_early(const struct migration *m)
{
	const struct folio *first = m->items[0].src;

	if (m->req->mode != MIGRATE_AUTO)
		return m->req->mode == MIGRATE_OPTIMISTIC;
	return first->order && folio_nr(first) * m->ns_copy_frame > EARLY_COPY_NS;
}

void migrate_copy_early(struct migration *m)
{
	uint64_t start = migrate_now_ns(), cleaned;

	for (unsigned int i = 0; i < m->nr; i++) {
		if (can_copy_early(&m->items[i]))
			clean_item(m, &m->items[i]);
	}
	cleaned = migrate_now_ns();
	zap_batch_flush(&m->zap);
	m->res->ns_unmap += cleaned - start;
	m->res->ns_zap += migrate_now_ns() - cleaned;
	migrate_copy(m, is_early, 0);
}

void migrate_check_early(struct migration *m)
{
	for (unsigned int i = 0; i < m->nr; i++) {
		struct migrate_item *it = &m->items[i];
		bool stored;

		if (!it->copied)
			continue;
		stored = folio_test_clear(it->src, PG_dirty);
		if (stored || it->was_dirty)
			folio_set(it->src, PG_dirty);
		if (it->step == MIGRATE_UNMAPPED && !stored && !folio_mapped(it->src))
			continue;
		it->copied = false;
		m->res->stale += stored ? folio_nr(it->src) : 0;
	}
}
