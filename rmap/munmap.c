/* SPDX-License-Identifier: MIT */
/*
 * munmap and the end of an address space. Entries first, then the zap, then the
 * areas leave the reverse mapping: a walker may find an area without entries,
 * never an entry without its area.
 *
 * Locks: mmap_lock for writing.
 */
#include "rmap/vma.h"

/* Split at both ends, so that the range is made of whole areas. */
static int range_isolate(struct mm *mm, gva_t start, gva_t end)
{
	struct vma *first = vma_find(mm, start), *last, *rest;
	int ret;

	if (!first || first->start.v >= end.v)
		return 0;
	/* Only a hole in the middle leaves one area more than there was. */
	if (first->start.v < start.v && end.v < first->end.v && mm->nr_vmas >= max_map_count(mm))
		return -ENOMEM;
	if (first->start.v < start.v) {
		ret = vma_split_nolimit(first, start, &rest);
		if (ret)
			return ret;
	}
	last = vma_find_exact(mm, end);
	if (!last || last->start.v == end.v)
		return 0;
	return vma_split_nolimit(last, end, &rest);
}

static void areas_unmap(struct mm *mm, gva_t start, gva_t end)
{
	struct mmu_gather g;
	struct vma *v, *next;

	mmu_gather_init(&g, mm);
	for (v = vma_find(mm, start); v && v->start.v < end.v; v = vma_next(v))
		unmap_range(&g, v, v->start, v->end);
	mmu_gather_finish(&g);
	for (v = vma_find(mm, start); v && v->start.v < end.v; v = next) {
		next = vma_next(v);
		mm_account(mm, v->flags, -(int64_t)vma_pages(v));
		vma_tree_remove(mm, v);
		vma_unlink_rmap(v);
		vma_free(v);
	}
}

int munmap_locked(struct mm *mm, gva_t addr, uint64_t len)
{
	gva_t end;
	int ret;

	if ((addr.v & ~UMM_PAGE_MASK) || addr.v > UMM_TASK_SIZE || len > UMM_TASK_SIZE - addr.v)
		return -EINVAL;
	len = page_align_up(len);
	if (!len)
		return -EINVAL;
	end = gva_add(addr, len);
	if (range_sealed(mm, addr, end))
		return -EPERM;
	ret = range_isolate(mm, addr, end);
	if (ret)
		return ret;
	areas_unmap(mm, addr, end);
	return 0;
}

int mm_munmap(struct mm *mm, gva_t addr, uint64_t len)
{
	int ret;

	umm_write_lock(&mm->mmap_lock);
	ret = munmap_locked(mm, addr, len);
	umm_write_unlock(&mm->mmap_lock);
	return ret;
}

void unmap_all(struct mm *mm)
{
	areas_unmap(mm, gva_make(0), gva_make(UMM_TASK_SIZE));
	mm_assert(!mm->vmas && !mm->total_vm && !mm->locked_vm);
}
