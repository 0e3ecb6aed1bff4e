/* SPDX-License-Identifier: MIT */
/* Stacks grow down to the page that was touched, as far as limits and neighbours allow. */
#include "rmap/vma.h"

/* The area below must be a gap away, unless it is a stack itself or cannot be touched. */
static bool guard_gap_ok(struct vma *vma, gva_t addr)
{
	struct vma *prev = vma_prev(vma);

	if (!prev || (prev->flags & VM_GROWSDOWN) || !(prev->flags & VM_ACCESS_FLAGS))
		return !prev || prev->end.v <= addr.v;
	return prev->end.v <= addr.v && addr.v - prev->end.v >= STACK_GUARD_GAP;
}

int vma_expand_down(struct vma *vma, gva_t addr)
{
	struct mm *mm = vma->mm;
	uint64_t pages;

	if (!(vma->flags & VM_GROWSDOWN))
		return -EFAULT;
	addr = gva_page(addr);
	if (addr.v >= vma->start.v)
		return 0;
	if (addr.v < mmap_min_addr(mm))
		return -EFAULT;
	if (!guard_gap_ok(vma, addr))
		return -ENOMEM;
	pages = (vma->start.v - addr.v) >> UMM_PAGE_SHIFT;
	if (pages > vma->pgoff.v)
		return -ENOMEM;
	if (vma->end.v - addr.v > __atomic_load_n(&mm->rlim_stack, __ATOMIC_RELAXED) ||
	    !mm_may_expand(mm, vma->flags, pages) || !mm_lock_limit_ok(mm, vma->flags, pages))
		return -ENOMEM;
	if ((vma->flags & VM_ACCOUNT) && !mm_overcommit_ok(mm, pages))
		return -ENOMEM;
	mm_account(mm, vma->flags, (int64_t)pages);
	vma_set_range(vma, addr, vma->end, pgoff_make(vma->pgoff.v - pages));
	return 0;
}
