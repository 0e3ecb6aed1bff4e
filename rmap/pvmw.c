/* SPDX-License-Identifier: MIT */
/*
 * page_vma_mapped_walk: which entries of this area map this folio, really.
 *
 * The interval trees give areas that may map a folio. Entries may have been
 * dropped (MADV_DONTNEED), replaced by a copy (COW) or moved on since; only the
 * entry itself, under its lock, tells. One walk covers the pages of the folio
 * that lie in the area, from page table to page table.
 */
#include "rmap/internal.h"

void pvmw_init(struct page_vma_mapped_walk *w, struct folio *folio, struct vma *vma, gva_t addr,
	       unsigned int flags)
{
	*w = (struct page_vma_mapped_walk){
		.pfn = folio_pfn(vma->mm->sys, folio),
		.nr_pages = folio_nr(folio),
		.vma = vma,
		.address = addr,
		.flags = flags,
	};
	/*
	 * The address of a single frame is exact, while its index says nothing about
	 * this area if it is a merged one, and may change if it is not locked.
	 */
	if (!folio->order)
		w->pgoff = pgoff_make(vma->pgoff.v + ((addr.v - vma->start.v) >> UMM_PAGE_SHIFT));
	else
		w->pgoff = folio_index(folio);
}

void page_vma_mapped_walk_done(struct page_vma_mapped_walk *w)
{
	if (w->ptl)
		umm_mutex_unlock(w->ptl);
	w->ptl = NULL;
	w->pte = NULL;
	w->pmd = NULL;
}

static bool pfn_in_range(const struct page_vma_mapped_walk *w, pfn_t pfn, uint64_t nr)
{
	return pfn.v < w->pfn.v + w->nr_pages && w->pfn.v < pfn.v + nr;
}

static bool entry_matches(const struct page_vma_mapped_walk *w, uint64_t e)
{
	if (w->flags & PVMW_MIGRATION)
		return pte_is_swap(e) && swp_is_migration(pte_to_swp(e)) &&
		       pfn_in_range(w, swp_pfn(pte_to_swp(e)), 1);
	return pte_present(e) && pfn_in_range(w, pte_pfn(e), 1);
}

/* From w->address on to the next entry of this table that matches; lock held. */
static bool next_in_table(struct page_vma_mapped_walk *w, gva_t end)
{
	for (; w->address.v < end.v; w->address.v += UMM_PAGE_SIZE, w->pte++) {
		if (entry_matches(w, pte_read(w->pte)))
			return true;
	}
	return false;
}

/*
 * A look without the lock, to spare taking it for a table that has nothing.
 * It may miss an entry that is empty for an instant: PVMW_SYNC forgoes it.
 */
static bool worth_locking(struct page_vma_mapped_walk *w, const uint64_t *leaf, gva_t end)
{
	const uint64_t *p = leaf + ((w->address.v >> UMM_PAGE_SHIFT) % UMM_PTRS_PER_TABLE);

	if (w->flags & PVMW_SYNC)
		return true;
	for (uint64_t a = w->address.v; a < end.v; a += UMM_PAGE_SIZE, p++) {
		if (entry_matches(w, pte_read(p)))
			return true;
	}
	return false;
}

/* A leaf, or 2 MiB migration entry, of this folio; @e was read with the lock held. */
static bool huge_matches(const struct page_vma_mapped_walk *w, uint64_t e)
{
	if (w->flags & PVMW_MIGRATION)
		return pmd_is_migration(e) &&
		       pfn_in_range(w, swp_pfn(pte_to_swp(e)), UMM_PTRS_PER_TABLE);
	return pmd_is_leaf(e) && pfn_in_range(w, pte_pfn(e), UMM_PTRS_PER_TABLE);
}

/*
 * The 2 MiB entry at w->pmd, if it still is one: *is_table tells that it became
 * a table meanwhile. True with a match and its lock held.
 */
static bool enter_huge(struct page_vma_mapped_walk *w, struct umm_mutex *lock, bool *is_table)
{
	uint64_t e;

	umm_mutex_lock(lock);
	e = pte_read(w->pmd);
	*is_table = pmd_is_table(e);
	if (huge_matches(w, e)) {
		w->ptl = lock;
		return true;
	}
	umm_mutex_unlock(lock);
	return false;
}

/* The table that covers w->address: true with a match and its lock held. */
static bool enter_table(struct page_vma_mapped_walk *w, gva_t end)
{
	struct mm *mm = w->vma->mm;
	struct umm_mutex *lock;
	bool is_table;
	uint64_t e;

	w->pmd = pmd_find(mm, w->address, &lock);
	if (!w->pmd)
		return false;
	e = pte_read(w->pmd);
	/* With SYNC also an entry that is empty for an instant is looked at under the lock. */
	if (!pmd_is_table(e) && (!pmd_is_empty(e) || (w->flags & PVMW_SYNC))) {
		if (enter_huge(w, lock, &is_table))
			return true;
		if (!is_table)
			return false;
		e = pte_read(w->pmd);
	}
	if (!pmd_is_table(e) || !worth_locking(w, table_entries(mm->sys, pte_pfn(e)), end))
		return false;
	/* If it is a table no more, it is not one of ours that stands there now. */
	w->pte = pte_lock_below(mm->sys, w->pmd, w->address, &w->ptl);
	if (!w->pte) {
		w->ptl = NULL;
		return false;
	}
	return next_in_table(w, end);
}

bool page_vma_mapped_walk(struct page_vma_mapped_walk *w)
{
	gva_t end = vma_address_end(w->vma, w->pgoff, w->nr_pages);

	if (w->pmd && !w->pte) {
		/* A 2 MiB leaf was yielded; it maps all there is. */
		page_vma_mapped_walk_done(w);
		return false;
	}
	if (w->pte) {
		gva_t stop = table_end(w->address, end);

		w->address.v += UMM_PAGE_SIZE;
		w->pte++;
		if (next_in_table(w, stop))
			return true;
		page_vma_mapped_walk_done(w);
		w->address = stop;
	}
	while (w->address.v < end.v) {
		gva_t stop = table_end(w->address, end);

		if (enter_table(w, stop))
			return true;
		page_vma_mapped_walk_done(w);
		w->address = stop;
	}
	return false;
}

bool page_mapped_in_vma(struct folio *folio, struct vma *vma)
{
	struct page_vma_mapped_walk w;
	gva_t addr;

	if (vma_address(vma, folio_index(folio), folio_nr(folio), &addr))
		return false;
	pvmw_init(&w, folio, vma, addr, PVMW_SYNC);
	if (!page_vma_mapped_walk(&w))
		return false;
	page_vma_mapped_walk_done(&w);
	return true;
}
