/* SPDX-License-Identifier: MIT */
/* mincore: which pages an access would find without waiting for a disk. */
#include "rmap/internal.h"

int mm_mincore(struct mm *mm, gva_t addr, uint64_t len, uint8_t *vec)
{
	gva_t end;
	int ret = 0;

	if (addr.v & ~UMM_PAGE_MASK)
		return -EINVAL;
	if (addr.v > UMM_TASK_SIZE || len > UMM_TASK_SIZE - addr.v)
		return -ENOMEM;
	end = gva_add(addr, page_align_up(len));
	umm_read_lock(&mm->mmap_lock);
	while (addr.v < end.v) {
		struct vma *vma = vma_find_exact(mm, addr);
		gva_t stop;

		if (!vma) {
			ret = -ENOMEM;
			break;
		}
		stop = vma->end.v < end.v ? vma->end : end;
		mincore_range(vma, addr, stop, vec);
		vec += (stop.v - addr.v) >> UMM_PAGE_SHIFT;
		addr = stop;
	}
	umm_read_unlock(&mm->mmap_lock);
	return ret;
}
