/* SPDX-License-Identifier: MIT */
/*
 * mprotect's entry half. Protection is narrowed at once and zapped; it is only
 * widened where that is safe without a look at the folio: a private page must be
 * exclusive, a file page goes through fault_wp so that it is marked dirty.
 */
#include "rmap/internal.h"

#define PROT_BITS (PTE_PRESENT | PTE_PROTNONE | PTE_WRITE | PTE_USER | PTE_NX)

static bool may_write(struct vma *vma, struct folio *frame, uint64_t e)
{
	uint64_t vf = vma_flags(vma);

	if (!pte_write_bit(vf, e))
		return false;
	if (vf & VM_SHARED)
		return (e & PTE_WRITE) || !vma->mapping->ops;
	return folio_test_anon(folio_head(frame)) && folio_test(frame, PG_anon_exclusive);
}

/* @nr: frames that the entry maps. */
static void protect_present(struct mmu_gather *g, struct vma *vma, uint64_t *ptep, uint32_t nr)
{
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_read(ptep), new;

	do {
		struct folio *frame = sys_frame(sys, pte_pfn(e));

		new = (e & ~PROT_BITS) | vm_page_prot(vma_flags(vma));
		if (may_write(vma, frame, e))
			new |= PTE_WRITE;
	} while (!__atomic_compare_exchange_n(ptep, &e, new, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	/* Narrower in any respect: less presence, less writing, less executing. */
	if (((e & ~new) & (PTE_PRESENT | PTE_WRITE)) || ((new & ~e) & PTE_NX)) {
		zap_batch_add(&g->zap, pte_pfn(e), nr);
		g->zap.tables |= nr > 1;
	}
}

uint64_t migration_entry_read_only(struct mm_sys *sys, uint64_t e)
{
	swp_entry_t s = pte_to_swp(e);
	bool anon;

	if (swp_type(s) != SWP_MIGRATION_WRITE)
		return e;
	anon = folio_test_anon(folio_head(sys_frame(sys, swp_pfn(s))));
	s = swp_make(anon ? SWP_MIGRATION_READ_EXCLUSIVE : SWP_MIGRATION_READ, swp_offset(s));
	return swp_to_pte(s) | (e & ~SWP_KEEP_MASK);
}

static void protect_swap(struct mmu_gather *g, struct vma *vma, uint64_t *ptep, uint64_t e)
{
	zap_batch_add_hidden(&g->zap, e);
	/* A page on its way must not come back writable. */
	if (!(vma_flags(vma) & VM_WRITE))
		pte_set(ptep, migration_entry_read_only(vma->mm->sys, e));
}

void change_protection(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end)
{
	for (gva_t addr = tables_from(vma->mm, start, end), next; addr.v < end.v;
	     addr = tables_from(vma->mm, next, end)) {
		struct umm_mutex *ptl;
		uint64_t *ptep;

		next = table_end(addr, end);
		ptep = pmd_lock_leaf(vma->mm, addr, start, end, &ptl);
		if (ptep && pmd_is_leaf(pte_read(ptep))) {
			protect_present(g, vma, ptep, UMM_PTRS_PER_TABLE);
			umm_mutex_unlock(ptl);
			continue;
		}
		if (ptep)
			umm_mutex_unlock(ptl);
		ptep = pte_lock(vma->mm, addr, &ptl);
		if (!ptep)
			continue;
		for (; addr.v < next.v; addr.v += UMM_PAGE_SIZE, ptep++) {
			uint64_t e = pte_read(ptep);

			if (pte_present(e))
				protect_present(g, vma, ptep, 1);
			else if (!pte_none(e))
				protect_swap(g, vma, ptep, e);
		}
		umm_mutex_unlock(ptl);
	}
}
