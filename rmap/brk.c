/* SPDX-License-Identifier: MIT */
/*
 * brk: the heap's end. The heap is an ordinary anonymous area; growing it makes
 * a new one that joins the old one below it.
 *
 * Locks: mmap_lock for writing.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

static bool data_limit_ok(const struct mm *mm, gva_t brk)
{
	uint64_t limit = __atomic_load_n(&mm->rlim_data, __ATOMIC_RELAXED);

	return (brk.v - mm->start_brk.v) + (mm->end_data.v - mm->start_data.v) <= limit;
}

static int heap_grow(struct mm *mm, gva_t start, uint64_t len)
{
	uint64_t pages = len >> UMM_PAGE_SHIFT;
	uint64_t flags = VM_READ | VM_WRITE | VM_MAY_FLAGS | VM_ACCOUNT | VM_SOFTDIRTY |
			 mm->def_flags;
	struct vma *next = vma_find(mm, start), *vma;
	gva_t place;

	flags |= ksm_new_flags(mm, flags);
	/* One page stays free between the heap and what follows it. */
	if (next && start.v + len + UMM_PAGE_SIZE > vma_start_gap(next))
		return -ENOMEM;
	if (vma_find_place(mm, start, len, MAP_FIXED, &place))
		return -ENOMEM;
	if (!mm_lock_limit_ok(mm, flags, pages))
		return -EAGAIN;
	if (!mm_may_expand(mm, flags, pages) || mm->nr_vmas > max_map_count(mm) ||
	    !mm_overcommit_ok(mm, pages))
		return -ENOMEM;
	vma = vma_alloc(mm);
	if (!vma)
		return -ENOMEM;
	vma->start = place;
	vma->end = gva_add(place, len);
	vma->flags = flags;
	vma->pgoff = pgoff_make(place.v >> UMM_PAGE_SHIFT);
	vma_link(mm, vma);
	mm_account(mm, flags, (int64_t)pages);
	vma_merge_around(vma);
	return 0;
}

gva_t mm_brk(struct mm *mm, gva_t brk)
{
	uint64_t old_end, new_end;
	bool populate = false;
	gva_t now;

	umm_write_lock(&mm->mmap_lock);
	if (brk.v < mm->start_brk.v || brk.v > UMM_TASK_SIZE || !data_limit_ok(mm, brk))
		goto out;
	old_end = page_align_up(mm->brk.v);
	new_end = page_align_up(brk.v);
	if (new_end < old_end && munmap_locked(mm, gva_make(new_end), old_end - new_end))
		goto out;
	if (new_end > old_end) {
		if (heap_grow(mm, gva_make(old_end), new_end - old_end))
			goto out;
		populate = (mm->def_flags & VM_LOCKED_MASK) == VM_LOCKED;
	}
	mm->brk = brk;
out:
	now = mm->brk;
	umm_write_unlock(&mm->mmap_lock);
	if (populate)
		(void)!populate_range(mm, gva_make(old_end), gva_make(new_end), false, true);
	return now;
}
