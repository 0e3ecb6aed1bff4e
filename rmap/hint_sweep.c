/* SPDX-License-Identifier: MIT */
/*
 * Hints as entries, whoever set them: what an entry is without its hint, and
 * taking hints back by ranges and everywhere.
 *
 * Taking one back only widens an entry, so nothing is zapped; of a 2 MiB leaf
 * neither, as it maps the same frames as before.
 */
#include "rmap/hint.h"

uint64_t hint_restored(const struct vma *vma, uint64_t e)
{
	return (e & ~(PTE_PROTNONE | PTE_PRESENT | PTE_NX | PTE_USER)) |
	       vm_page_prot(vma_flags(vma));
}

bool hint_shared_by_fork(const struct folio *f)
{
	return folio_test_anon(f) && folio_pages_mapped(f) > (int64_t)folio_nr(f);
}

uint64_t *hint_lock_leaf(struct mm *mm, gva_t addr, struct umm_mutex **lock)
{
	gva_t base = gva_make(addr.v & UMM_PMD_MASK);

	return pmd_lock_leaf(mm, addr, base, gva_add(base, UMM_PMD_SIZE), lock);
}

void hints_take_back(const struct placement *p, const struct vma *vma, uint64_t *ptep,
		     uint64_t pages)
{
	struct mm_sys *sys = vma->mm->sys;

	for (uint64_t i = 0; i < pages; i++) {
		uint64_t e = pte_read(&ptep[i]);

		if (pte_protnone(e) &&
		    (!p || placement_for_node(sys, sys_node_of(sys, pte_pfn(e))) == p))
			pte_set(&ptep[i], hint_restored(vma, e));
	}
}

/* ---- everywhere ------------------------------------------------------------------- */

static uint64_t sweep_range(const struct vma *vma, gva_t start, gva_t end, bool take_back)
{
	uint64_t pages = (end.v - start.v) >> UMM_PAGE_SHIFT, found = 0;
	struct umm_mutex *ptl;
	uint64_t *ptep = hint_lock_leaf(vma->mm, start, &ptl);

	if (ptep)
		pages = 1;
	else
		ptep = pte_lock(vma->mm, start, &ptl);
	if (!ptep)
		return 0;
	for (uint64_t i = 0; i < pages; i++)
		found += pte_protnone(pte_read(&ptep[i]));
	if (take_back)
		hints_take_back(NULL, vma, ptep, pages);
	umm_mutex_unlock(ptl);
	return found;
}

static uint64_t sweep_mm(struct mm *mm, bool take_back)
{
	uint64_t found = 0;

	umm_read_lock(&mm->mmap_lock);
	for (struct vma *vma = vma_first(mm); vma; vma = vma_next(vma)) {
		if (!(vma_flags(vma) & VM_ACCESS_FLAGS))
			continue;
		for (gva_t at = tables_from(mm, vma->start, vma->end), next; at.v < vma->end.v;
		     at = tables_from(mm, next, vma->end)) {
			next = table_end(at, vma->end);
			found += sweep_range(vma, at, next, take_back);
		}
	}
	umm_read_unlock(&mm->mmap_lock);
	return found;
}

/*
 * The list is held throughout, oldest mm first: a child whose fork is under way
 * comes after its parent, which is held for writing until the copy is done.
 */
uint64_t hints_sweep(struct mm_sys *sys, bool take_back)
{
	uint64_t found = 0;
	struct mm *mm;

	umm_mutex_lock(&sys->mms_lock);
	list_for_each_entry(mm, &sys->mms, all) found += sweep_mm(mm, take_back);
	umm_mutex_unlock(&sys->mms_lock);
	return found;
}

uint64_t mm_placement_count_hints(struct mm_sys *sys)
{
	return hints_sweep(sys, false);
}
