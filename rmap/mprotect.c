/* SPDX-License-Identifier: MIT */
/*
 * mprotect: area by area in address order; what was changed before an error
 * stays changed, as on Linux.
 *
 * Locks: mmap_lock for writing; populating is done without it.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

#ifndef PROT_SEM
#define PROT_SEM 0x8
#endif
#define PROT_GROWS (PROT_GROWSDOWN | PROT_GROWSUP)

/* Pages of a locked private area that became writable: own copies are made at once. */
struct late_populate {
	gva_t start, end;
};

/* The flags that @vma gets with @prot. -EACCES, -EPERM, -ENOMEM. */
static int new_flags(const struct vma *vma, int prot, uint64_t pages, uint64_t *out)
{
	const struct mm *mm = vma->mm;
	uint64_t old = vma->flags;
	uint64_t new = (old & ~VM_ACCESS_FLAGS) | ((uint64_t)prot & VM_ACCESS_FLAGS);

	/* VM_MAYx stands four bits above VM_x. */
	if (new & ~(new >> 4) & VM_ACCESS_FLAGS)
		return -EACCES;
	if (vma_sealed(vma))
		return -EPERM;
	if (new &VM_WRITE) {
		if (!mm_may_expand(mm, new, pages) && mm_may_expand(mm, old, pages))
			return -ENOMEM;
		if (!(old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE))) {
			if (!mm_overcommit_ok(mm, pages))
				return -ENOMEM;
			new |= VM_ACCOUNT;
		}
	} else if ((old & VM_ACCOUNT) && vma_is_anonymous(vma) && !vma->anon_vma) {
		/* Never written, and cannot be now: nothing is promised any more. */
		new &= ~VM_ACCOUNT;
	}
	*out = new;
	return 0;
}

/* The part of *vma inside [start, end). */
static int protect_area(struct mmu_gather *g, struct vma **vma, gva_t start, gva_t end, int prot,
			struct late_populate *late)
{
	uint64_t old = (*vma)->flags, new;
	int ret;

	ret = new_flags(*vma, prot, (end.v - start.v) >> UMM_PAGE_SHIFT, &new);
	if (ret || new == old)
		return ret;
	ret = vma_change_flags(vma, start, end, new);
	if (ret)
		return ret;
	change_protection(g, *vma, start, end);
	if ((new &VM_LOCKED) && (new & ~old &VM_WRITE) && !(new &VM_SHARED)) {
		if (!late->end.v)
			late->start = start;
		late->end = end;
	}
	return 0;
}

/* Where to begin: PROT_GROWSDOWN reaches down to the start of the stack. */
static int find_start(struct mm *mm, gva_t *start, gva_t end, int grows)
{
	struct vma *vma = vma_find(mm, *start);

	if (!vma)
		return -ENOMEM;
	if (!(grows & PROT_GROWSDOWN)) {
		if (vma->start.v > start->v)
			return -ENOMEM;
		/* No area grows up on this processor. */
		return grows & PROT_GROWSUP ? -EINVAL : 0;
	}
	if (vma->start.v >= end.v)
		return -ENOMEM;
	if (!(vma->flags & VM_GROWSDOWN))
		return -EINVAL;
	*start = vma->start;
	return 0;
}

static int protect_locked(struct mm *mm, gva_t start, gva_t end, int prot,
			  struct late_populate *late)
{
	struct mmu_gather g;
	int ret;

	ret = find_start(mm, &start, end, prot & PROT_GROWS);
	if (ret)
		return ret;
	mmu_gather_init(&g, mm);
	while (!ret && start.v < end.v) {
		struct vma *vma = vma_find_exact(mm, start);
		gva_t stop;

		if (!vma) {
			ret = -ENOMEM;
			break;
		}
		stop = gva_min(vma->end, end);
		ret = protect_area(&g, &vma, start, stop, prot, late);
		start = stop;
	}
	mmu_gather_finish(&g);
	return ret;
}

int mm_mprotect(struct mm *mm, gva_t addr, uint64_t len, int prot)
{
	struct late_populate late = { 0 };
	int ret;

	if ((prot & PROT_GROWS) == PROT_GROWS || (addr.v & ~UMM_PAGE_MASK))
		return -EINVAL;
	if (!len)
		return 0;
	len = page_align_up(len);
	if (addr.v + len <= addr.v)
		return -ENOMEM;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWS))
		return -EINVAL;
	umm_write_lock(&mm->mmap_lock);
	ret = protect_locked(mm, addr, gva_add(addr, len), prot, &late);
	umm_write_unlock(&mm->mmap_lock);
	if (late.end.v)
		(void)!populate_locked(mm, late.start, late.end);
	return ret;
}
