/* SPDX-License-Identifier: MIT */
/*
 * Give back the private memory of a process that ends, before it has got round to
 * that itself. The process may still be in a system call that reads or writes this
 * memory: it must find nothing there rather than new pages of zeroes, so private
 * areas of a reaped mm have no more faults (FAULT_BUS).
 *
 * Locks: mmap_lock for writing, so that no fault is half-way.
 */
#include "rmap/vma.h"

void mm_reap(struct mm *mm)
{
	struct mmu_gather g;

	umm_write_lock(&mm->mmap_lock);
	mm->reaped = true;
	mmu_gather_init(&g, mm);
	for (struct vma *v = vma_find(mm, gva_make(0)); v; v = vma_next(v))
		if (vma_is_anonymous(v) || !(v->flags & VM_SHARED))
			unmap_range(&g, v, v->start, v->end);
	mmu_gather_finish(&g);
	umm_write_unlock(&mm->mmap_lock);
}
