/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/pagemap: what is behind each page of a process. All is found out for each, and
 * what the caller may not or need not know is taken away at the end.
 */
#include <umm/pagemap.h>
#include "rmap/internal.h"

/* Page-table lock held. */
static uint64_t describe_present(struct mm_sys *sys, uint64_t e)
{
	struct folio *frame = sys_frame(sys, pte_pfn(e)), *f = folio_head(frame);
	uint64_t out = PM_PRESENT | (pte_pfn(e).v & PM_PFRAME_MASK);

	if (e & PTE_SOFT_DIRTY)
		out |= PM_SOFT_DIRTY;
	if (!folio_test_anon(f))
		out |= PM_FILE;
	if (folio_frame_mapcount(f, frame) == 1)
		out |= PM_MMAP_EXCLUSIVE;
	return out;
}

/* Pages on their way and poisoned ones count as swapped, with types beyond all areas'. */
static uint64_t describe_swapped(struct mm_sys *sys, uint64_t e)
{
	swp_entry_t s = pte_to_swp(e);
	uint64_t out = PM_SWAP;

	out |= (swp_type(s) | swp_offset(s) << PM_SWAP_SHIFT) & PM_PFRAME_MASK;
	if (e & PTE_SWP_SOFT_DIRTY)
		out |= PM_SOFT_DIRTY;
	if (swp_is_migration(s) && !folio_test_anon(folio_head(sys_frame(sys, swp_pfn(s)))))
		out |= PM_FILE;
	return out;
}

static uint64_t describe_entry(struct mm_sys *sys, uint64_t e)
{
	if (pte_none(e))
		return PM_SCAN_TABLE;
	return PM_SCAN_TABLE |
	       (pte_present(e) ? describe_present(sys, e) : describe_swapped(sys, e));
}

/* Without splitting a leaf: somebody only looks. */
static void describe_leaf(struct mm_sys *sys, uint64_t leaf, gva_t addr, uint64_t nr, uint64_t *out)
{
	unsigned int first = (addr.v >> UMM_PAGE_SHIFT) % UMM_PTRS_PER_TABLE;

	for (uint64_t i = 0; i < nr; i++)
		out[i] = PM_SCAN_TABLE | PM_SCAN_HUGE |
			 describe_present(sys, leaf_page(leaf, first + (unsigned int)i));
}

/* mmap_lock held. Pages of one leaf table, all in one area. */
static void describe_table(struct mm *mm, gva_t addr, uint64_t nr, uint64_t *out)
{
	gva_t base = gva_make(addr.v & UMM_PMD_MASK);
	struct umm_mutex *ptl;
	uint64_t *ptep = pmd_lock_leaf(mm, addr, base, gva_add(base, UMM_PMD_SIZE), &ptl);

	if (ptep && pmd_is_leaf(pte_read(ptep))) {
		describe_leaf(mm->sys, pte_read(ptep), addr, nr, out);
		umm_mutex_unlock(ptl);
		return;
	}
	if (ptep)
		umm_mutex_unlock(ptl);
	ptep = pte_lock(mm, addr, &ptl);
	if (!ptep)
		return;
	for (uint64_t i = 0; i < nr; i++)
		out[i] = describe_entry(mm->sys, pte_read(ptep + i));
	umm_mutex_unlock(ptl);
}

/* mmap_lock held. [addr, end) is within one leaf table; @out is all zero. */
static void describe_areas(struct mm *mm, gva_t addr, gva_t end, uint64_t keep, uint64_t *out)
{
	for (struct vma *v = vma_find(mm, addr); v && v->start.v < end.v; v = vma_next(v)) {
		uint64_t from = v->start.v > addr.v ? v->start.v : addr.v;
		uint64_t to = v->end.v < end.v ? v->end.v : end.v;
		uint64_t first = (from - addr.v) >> UMM_PAGE_SHIFT;
		uint64_t nr = (to - from) >> UMM_PAGE_SHIFT;
		uint64_t all = PM_SCAN_AREA | (vma_flags(v) & VM_SOFTDIRTY ? PM_SOFT_DIRTY : 0);

		describe_table(mm, gva_make(from), nr, out + first);
		for (uint64_t i = 0; i < nr; i++)
			out[first + i] = (out[first + i] | all) & keep;
	}
}

#define PM_SCAN_BITS (PM_SCAN_TABLE | PM_SCAN_AREA | PM_SCAN_HUGE)

void mm_pagemap(struct mm *mm, gva_t addr, uint64_t nr, bool pfns, uint64_t *out)
{
	uint64_t keep = ~(PM_SCAN_BITS | (pfns ? 0 : PM_PFRAME_MASK));
	gva_t end = gva_add(addr, nr << UMM_PAGE_SHIFT), next;

	memset(out, 0, nr * sizeof(*out));
	for (; addr.v < end.v; addr = next) {
		next = table_end(addr, end);
		umm_read_lock(&mm->mmap_lock);
		describe_areas(mm, addr, next, keep, out);
		umm_read_unlock(&mm->mmap_lock);
		out += (next.v - addr.v) >> UMM_PAGE_SHIFT;
	}
}

gva_t mm_pagemap_scan(struct mm *mm, gva_t addr, gva_t end, uint64_t *out, uint64_t *nr)
{
	struct vma *vma;
	gva_t next;

	*nr = 0;
	umm_read_lock(&mm->mmap_lock);
	vma = vma_find(mm, addr);
	if (vma && vma->start.v < end.v) {
		addr = vma->start.v > addr.v ? vma->start : addr;
		next = table_end(addr, end);
		*nr = (next.v - addr.v) >> UMM_PAGE_SHIFT;
		memset(out, 0, *nr * sizeof(*out));
		describe_areas(mm, addr, next, ~PM_PFRAME_MASK, out);
	}
	umm_read_unlock(&mm->mmap_lock);
	return addr;
}
