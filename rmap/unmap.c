/* SPDX-License-Identifier: MIT */
/* Dropping the entries of an address range: munmap, exit, MADV_DONTNEED, truncate. */
#include "rmap/internal.h"

/* What unmap_entries() should leave alone. */
struct unmap_filter {
	bool keep_anon; /* private copies of file pages */
};

static void unmap_present(struct mmu_gather *g, struct vma *vma, uint64_t *ptep)
{
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_xchg(ptep, 0);
	struct folio *frame = sys_frame(sys, pte_pfn(e));
	struct folio *f = folio_head(frame);

	if (!folio_test_anon(f)) {
		if (e & PTE_DIRTY)
			folio_mark_dirty(f);
		if ((e & PTE_ACCESSED) && !(vma_flags(vma) & (VM_SEQ_READ | VM_RAND_READ)))
			folio_set(f, PG_referenced);
	}
	mm_count(vma->mm, folio_counter(f), -1);
	folio_remove_rmap_pte(sys, f, frame);
	zap_batch_add(&g->zap, pte_pfn(e), 1);
	mmu_gather_folio(g, f);
}

static void unmap_swap(struct mmu_gather *g, struct vma *vma, uint64_t *ptep, uint64_t e)
{
	struct mm_sys *sys = vma->mm->sys;
	swp_entry_t s = pte_to_swp(e);

	zap_batch_add_hidden(&g->zap, e);
	pte_set(ptep, 0);
	if (swp_is_area(s)) {
		mm_count(vma->mm, MM_SWAPENTS, -1);
		swap_put(sys, s);
	} else if (swp_is_migration(s)) {
		/* The migrator holds the folio; the entry was counted as resident. */
		mm_count(vma->mm, folio_counter(folio_head(sys_frame(sys, swp_pfn(s)))), -1);
	}
}

/* The leaf's lock held. */
static void unmap_leaf(struct mmu_gather *g, struct vma *vma, uint64_t *pmd)
{
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pmd_take(vma->mm, pmd);
	struct folio *f;

	if (pmd_is_leaf(e)) {
		f = sys_frame(sys, pte_pfn(e));
		zap_batch_add(&g->zap, pte_pfn(e), UMM_PTRS_PER_TABLE);
		folio_remove_rmap_pmd(sys, f);
		mmu_gather_folio(g, f);
	} else {
		f = sys_frame(sys, swp_pfn(pte_to_swp(e)));
		zap_batch_add(&g->zap, swp_pfn(pte_to_swp(e)), UMM_PTRS_PER_TABLE);
	}
	mm_count(vma->mm, folio_counter(f), -(int64_t)UMM_PTRS_PER_TABLE);
}

static bool entry_is_anon(struct mm_sys *sys, uint64_t e)
{
	if (pte_present(e))
		return folio_test_anon(folio_head(sys_frame(sys, pte_pfn(e))));
	if (swp_is_migration(pte_to_swp(e)))
		return folio_test_anon(folio_head(sys_frame(sys, swp_pfn(pte_to_swp(e)))));
	return swp_is_area(pte_to_swp(e));
}

static void unmap_entries(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end,
			  const struct unmap_filter *filter)
{
	struct mm *mm = vma->mm;

	for (gva_t addr = tables_from(mm, start, end), next; addr.v < end.v;
	     addr = tables_from(mm, next, end)) {
		struct umm_mutex *ptl;
		uint64_t *ptep;

		next = table_end(addr, end);
		/* Leaves are anonymous. */
		ptep = pmd_lock_leaf(mm, addr, start, end, &ptl);
		if (ptep) {
			if (!filter->keep_anon)
				unmap_leaf(g, vma, ptep);
			umm_mutex_unlock(ptl);
			continue;
		}
		ptep = pte_lock(mm, addr, &ptl);
		if (!ptep)
			continue;
		for (; addr.v < next.v; addr.v += UMM_PAGE_SIZE, ptep++) {
			uint64_t e = pte_read(ptep);

			if (pte_none(e) || (filter->keep_anon && entry_is_anon(mm->sys, e)))
				continue;
			if (pte_present(e))
				unmap_present(g, vma, ptep);
			else
				unmap_swap(g, vma, ptep, e);
		}
		umm_mutex_unlock(ptl);
	}
}

void unmap_range(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end)
{
	static const struct unmap_filter all = { .keep_anon = false };

	unmap_entries(g, vma, start, end, &all);
}

static void unmap_file_pages(struct vma *vma, pgoff_t first, pgoff_t last, bool even_cows)
{
	struct unmap_filter filter = { .keep_anon = !even_cows };
	uint64_t vma_last = vma->pgoff.v + vma_pages(vma) - 1;
	uint64_t from = first.v > vma->pgoff.v ? first.v : vma->pgoff.v;
	uint64_t to = last.v < vma_last ? last.v : vma_last;
	struct mmu_gather g;

	mmu_gather_init(&g, vma->mm);
	unmap_entries(&g, vma, gva_add(vma->start, (from - vma->pgoff.v) << UMM_PAGE_SHIFT),
		      gva_add(vma->start, (to - vma->pgoff.v + 1) << UMM_PAGE_SHIFT), &filter);
	mmu_gather_finish(&g);
}

void unmap_mapping_range(struct address_space *m, pgoff_t first, pgoff_t last, bool even_cows)
{
	struct itree_node *n;

	umm_read_lock(&m->i_mmap_lock);
	itree_for_each(n, &m->i_mmap, first.v, last.v)
		unmap_file_pages(container_of(n, struct vma, shared), first, last, even_cows);
	umm_read_unlock(&m->i_mmap_lock);
}
