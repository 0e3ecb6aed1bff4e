/* SPDX-License-Identifier: MIT */
/*
 * 2 MiB leaves: entries of a level-2 table that map a whole folio of order 9.
 *
 *	leaf		maps the folio; counts as one entry and one reference
 *	migration entry	in its place while the folio moves
 *	mark		a leaf was taken out here; nothing may be put here before a
 *			table flush
 *
 * Each leaf has a spare leaf table in the deposit of its level-2 table, so that
 * splitting it into 512 entries cannot fail. Whoever works on single pages asks
 * for a 4 KiB entry and thereby splits; whoever can work on the whole leaf looks
 * for it first with pmd_lock_leaf(). An area begins or ends inside no leaf.
 *
 * With shadow paging the host may keep, below its copy of the level-2 table, a
 * copy of "the table" of 512 pages that a leaf stands for, and does not see that
 * the entry changes. Zapping the frames makes the pages right, not that copy:
 * filled again through an entry for other frames it would count them for the
 * wrong ones. Therefore
 *	taken out	a mark is left, with the number of the last flush that had
 *			begun by then; who fills the entry flushes if none came since
 *	migrated	one flush for the batch, before entries are restored
 *	split		the new table's entries map the same frames as the copy, so
 *			both agree as long as they stand: the table notes the number
 *			of the last flush, and who locks it to change an entry
 *			flushes if none came since. Leaves split together share one
 *	swapped out	the same, of swap entries: nothing is mapped, so both agree;
 *			the flush is left to the first fault that fills an entry
 *	narrowed	one flush with the zap
 *	widened		none: the frames are the same, and the host compares rights
 *			when an access faults
 * A and D change under a zap of the frames alone, as in small entries.
 */
#include "rmap/internal.h"

#define NO_FLUSH_YET (~0ul >> 14)

static uint64_t mark_make(uint64_t flush)
{
	return swp_to_pte(swp_make(SWP_MARKER, flush));
}

void pmd_settle(struct mm_sys *sys, uint64_t *pmd)
{
	uint64_t e = pte_read(pmd);

	if (pmd_is_mark(e) &&
	    __atomic_load_n(&sys->flush_over, __ATOMIC_SEQ_CST) <= swp_offset(pte_to_swp(e)))
		tables_flush(sys);
}

void pmd_mark(struct mm_sys *sys, uint64_t *pmd)
{
	/* The number must be read after the leaf is gone. */
	pte_set(pmd, mark_make(__atomic_load_n(&sys->flush_begun, __ATOMIC_SEQ_CST)));
}

uint64_t pmd_take(struct mm *mm, uint64_t *pmd)
{
	struct mm_sys *sys = mm->sys;
	uint64_t e = pte_xchg(pmd, mark_make(NO_FLUSH_YET));

	pmd_mark(sys, pmd);
	table_free_unused(mm, table_withdraw(sys, pmd));
	return e;
}

uint64_t *pmd_lock_leaf(struct mm *mm, gva_t addr, gva_t start, gva_t end, struct umm_mutex **lock)
{
	uint64_t base = addr.v & UMM_PMD_MASK, *pmd, e;

	if (base < start.v || end.v < UMM_PMD_SIZE || base > end.v - UMM_PMD_SIZE)
		return NULL;
	pmd = pmd_find(mm, addr, lock);
	if (!pmd || pmd_is_table(pte_read(pmd)) || pmd_is_empty(pte_read(pmd)))
		return NULL;
	umm_mutex_lock(*lock);
	e = pte_read(pmd);
	if (pmd_is_leaf(e) || pmd_is_migration(e))
		return pmd;
	umm_mutex_unlock(*lock);
	return NULL;
}

uint64_t *entry_lock(struct mm *mm, gva_t addr, struct umm_mutex **lock, uint64_t *page)
{
	uint64_t i = (addr.v >> UMM_PAGE_SHIFT) % UMM_PTRS_PER_TABLE;
	gva_t base = gva_make(addr.v & UMM_PMD_MASK);
	uint64_t *p = pmd_lock_leaf(mm, addr, base, gva_add(base, UMM_PMD_SIZE), lock);

	if (p) {
		*page = pte_read(p);
		*page = pmd_is_leaf(*page) ? leaf_page(*page, (unsigned int)i)
					   : *page + (i << UMM_PAGE_SHIFT);
		return p;
	}
	p = pte_lock(mm, addr, lock);
	if (p)
		*page = pte_read(p);
	return p;
}

void table_flush_unsettled(struct mm_sys *sys, pfn_t table)
{
	uint64_t *unsettled = table_unsettled(sys, table);

	if (__atomic_load_n(&sys->flush_over, __ATOMIC_SEQ_CST) < *unsettled)
		tables_flush(sys);
	*unsettled = 0;
}

uint64_t pmd_to_table(struct mm_sys *sys, uint64_t *pmd,
		      uint64_t (*small)(const void *arg, uint64_t e, unsigned int i),
		      const void *arg)
{
	pfn_t table = table_withdraw(sys, pmd);
	uint64_t *entries = table_entries(sys, table), e = pte_read(pmd);
	struct umm_mutex *ptl = table_lock_of(sys, table);

	umm_mutex_lock_nested(ptl);
	/* The processor may set A and D until the table stands there. */
	do {
		for (unsigned int i = 0; i < UMM_PTRS_PER_TABLE; i++)
			pte_set(&entries[i], small(arg, e, i));
	} while (!__atomic_compare_exchange_n(pmd, &e, pte_make(table, TABLE_FLAGS), false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	/* The number must be read after the leaf is gone. */
	*table_unsettled(sys, table) = __atomic_load_n(&sys->flush_begun, __ATOMIC_SEQ_CST) + 1;
	umm_mutex_unlock(ptl);
	return e;
}

/* What page @i of the entry gets of its own: a small entry, or a small migration entry. */
static uint64_t small_entry(const void *arg, uint64_t e, unsigned int i)
{
	(void)arg;
	return pmd_is_leaf(e) ? leaf_page(e, i) : e + ((uint64_t)i << UMM_PAGE_SHIFT);
}

void pmd_split(struct mm *mm, gva_t addr)
{
	struct mm_sys *sys = mm->sys;
	struct umm_mutex *lock;
	uint64_t *pmd = pmd_lock(mm, addr, &lock), e;

	if (!pmd)
		return;
	e = pte_read(pmd);
	if (pmd_is_leaf(e) || pmd_is_migration(e)) {
		if (pmd_is_leaf(e))
			folio_rmap_pmd_to_ptes(sys, sys_frame(sys, pte_pfn(e)));
		pmd_to_table(sys, pmd, small_entry, NULL);
		sys_count(sys, EV_THP_SPLIT_PMD, 1);
	}
	umm_mutex_unlock(lock);
}
