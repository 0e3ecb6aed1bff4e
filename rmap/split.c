/* SPDX-License-Identifier: MIT */
/*
 * Splitting a large anonymous folio into folios of one frame.
 *
 * Migration entries stand in for its mappings meanwhile: they name frames, not
 * folios, so restoring them afterwards maps each frame as its own folio.
 */
#include "rmap/internal.h"

/* References frozen, nothing maps it: the descriptors change their kind. */
static void split_descriptors(struct mm_sys *sys, struct folio *f)
{
	unsigned int nr = folio_nr(f);
	uint32_t inherit =
		folio_flags(f) &
		((1u << PG_uptodate) | (1u << PG_dirty) | (1u << PG_referenced) | (1u << PG_young) |
		 (1u << PG_idle) | (1u << PG_swapbacked) | (1u << PG_mlocked) | (1u << PG_holed));
	uintptr_t mapping = folio_mapping_raw(f);

	(void)sys;
	for (unsigned int i = nr - 1; i > 0; i--) {
		struct folio *t = f + i;

		t->index = pgoff_make(f->index.v + i);
		__atomic_store_n(&t->order, 0, __ATOMIC_RELAXED);
		/* Faults that find a migration entry of the split look for the head meanwhile. */
		__atomic_store_n(&t->head_offset, 0, __ATOMIC_RELAXED);
		t->swap = 0;
		t->pincount = 0;
		t->total_mapcount = 0;
		list_init(&t->lru);
		__atomic_store_n(&t->mapping, mapping, __ATOMIC_RELEASE);
		/* Locked like the head until its entries are restored. */
		__atomic_store_n(&t->flags, inherit | (1u << PG_locked), __ATOMIC_RELEASE);
		__atomic_store_n(&t->refcount, 1, __ATOMIC_RELEASE);
		lock_rank_push(LOCK_FOLIO, false);
	}
	folio_clear(f, PG_head);
	/* Those who pick frames peek at it. */
	__atomic_store_n(&f->order, 0, __ATOMIC_RELAXED);
}

/* The parts but the first, locked: to their policies, or still isolated onto @rest. */
static void hand_out(struct mm_sys *sys, struct folio *f, unsigned int nr, struct list_head *rest)
{
	for (unsigned int i = 1; i < nr; i++) {
		struct folio *t = f + i;

		if (rest && folio_mapped(t)) {
			list_add_tail(&t->lru, rest);
			folio_unlock(sys, t);
			continue;
		}
		lru_add(sys, t, false);
		folio_unlock(sys, t);
		/* Parts that nobody maps are free from here on. */
		folio_put(sys, t);
	}
}

int folio_split_onto(struct mm_sys *sys, struct folio *f, struct list_head *rest)
{
	struct anon_vma *av;
	unsigned int nr = folio_nr(f);
	struct zap_batch zap;

	mm_assert(folio_test(f, PG_locked));
	if (!f->order || !folio_test_anon(f) || folio_test(f, PG_swapcache) ||
	    folio_test(f, PG_lru) || folio_pincount(f))
		return -EAGAIN;
	av = folio_get_anon_vma(f);
	if (!av)
		return -EAGAIN;
	zap_batch_init(&zap, sys);
	try_to_migrate(sys, f, TTU_SYNC | TTU_BATCH_FLUSH | TTU_SPLIT_HUGE_PMD, &zap);
	zap_batch_destroy(&zap);
	if (folio_mapped(f) || !folio_ref_freeze(f, 1)) {
		remove_migration_ptes(sys, f, f, false);
		anon_vma_put(av);
		return -EAGAIN;
	}
	split_descriptors(sys, f);
	sys_count(sys, EV_THP_SPLIT_FOLIO, 1);
	folio_ref_unfreeze(f, 1);
	for (unsigned int i = 0; i < nr; i++)
		remove_migration_ptes(sys, f + i, f + i, false);
	anon_vma_put(av);
	hand_out(sys, f, nr, rest);
	return 0;
}

int folio_split(struct mm_sys *sys, struct folio *f)
{
	return folio_split_onto(sys, f, NULL);
}
