/* SPDX-License-Identifier: MIT */
/*
 * mseal: areas whose place, size and protection nobody changes any more until the
 * process ends or starts another program. Who would, asks vma_sealed() or
 * range_sealed() first and answers EPERM. As Linux 6.12 has it: munmap, mremap
 * and mmap over a sealed area do nothing at all, mprotect stops at it.
 *
 * Memory management behind the program's back (reclaim, migration, merging)
 * changes nothing that the program can see, and goes on.
 *
 * Locks: mmap_lock for writing.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

bool range_sealed(struct mm *mm, gva_t start, gva_t end)
{
	for (struct vma *v = vma_find(mm, start); v && v->start.v < end.v; v = vma_next(v))
		if (vma_sealed(v))
			return true;
	return false;
}

static bool advice_discards(int advice)
{
	switch (advice) {
	case MADV_FREE:
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_REMOVE:
	case MADV_DONTFORK:
	case MADV_WIPEONFORK:
		return true;
	default:
		return false;
	}
}

bool advice_sealed(const struct vma *vma, int advice)
{
	if (!vma_sealed(vma) || !advice_discards(advice))
		return false;
	/* Who may write can wipe it with stores; a file's pages come back as they were. */
	return vma_is_anonymous(vma) && !(vma->flags & VM_WRITE);
}

/* All of it is mapped. */
static int check_range(struct mm *mm, gva_t start, gva_t end)
{
	while (start.v < end.v) {
		struct vma *vma = vma_find_exact(mm, start);

		if (!vma)
			return -ENOMEM;
		start = vma->end;
	}
	return 0;
}

/* What was sealed before an area could not be split stays so: -ENOMEM, as on Linux. */
static int seal_range(struct mm *mm, gva_t start, gva_t end)
{
	int ret = check_range(mm, start, end);

	while (!ret && start.v < end.v) {
		struct vma *vma = vma_find_exact(mm, start);
		gva_t stop = gva_min(vma->end, end);

		if (!vma_sealed(vma))
			ret = vma_change_flags(&vma, start, stop, vma->flags | VM_SEALED);
		start = stop;
	}
	return ret;
}

int mm_mseal(struct mm *mm, gva_t addr, uint64_t len, uint64_t flags)
{
	uint64_t size = page_align_up(len);
	int ret;

	if (flags || (addr.v & ~UMM_PAGE_MASK) || (len && !size) || addr.v + size < addr.v)
		return -EINVAL;
	if (!size)
		return 0;
	umm_write_lock(&mm->mmap_lock);
	ret = seal_range(mm, addr, gva_add(addr, size));
	umm_write_unlock(&mm->mmap_lock);
	return ret;
}
