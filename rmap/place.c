/* SPDX-License-Identifier: MIT */
/*
 * Where a new area goes. A hint is taken if it is free; else the highest hole
 * below mmap_base, and if that part of the space is full the lowest hole above
 * a third of it, as on Linux (the legacy base). Stacks keep a guard gap below.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

#define UNMAPPED_BASE page_align_up(UMM_TASK_SIZE / 3)
/* MAP_32BIT: where non-PIE code can reach. */
#define BASE_32BIT 0x40000000ul
#define END_32BIT  0x80000000ul

static int fixed_place(const struct mm *mm, gva_t addr, uint64_t len, gva_t *out)
{
	if (addr.v > UMM_TASK_SIZE - len)
		return -ENOMEM;
	if (addr.v & ~UMM_PAGE_MASK)
		return -EINVAL;
	if (addr.v < mmap_min_addr(mm))
		return -EPERM;
	*out = addr;
	return 0;
}

static bool hint_is_free(struct mm *mm, gva_t addr, uint64_t len)
{
	struct vma *next;

	if (addr.v > UMM_TASK_SIZE - len || addr.v < mmap_min_addr(mm))
		return false;
	next = vma_find(mm, addr);
	return !next || addr.v + len <= vma_start_gap(next);
}

/*
 * A place for 2 MiB leaves: of the highest hole that has 2 MiB too many, the upper
 * end. -ENOMEM: there is no such hole; any place must do.
 */
static int huge_place(struct mm *mm, uint64_t len, gva_t *out)
{
	int ret = vma_gap_topdown(mm, len + UMM_PMD_SIZE, mmap_min_addr(mm), mm->mmap_base.v, out);

	if (!ret)
		out->v = (out->v + UMM_PMD_SIZE) & UMM_PMD_MASK;
	return ret;
}

int vma_find_huge_place(struct mm *mm, gva_t hint, uint64_t len, int map_flags, gva_t *out)
{
	bool placed = map_flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT);

	if (!placed && !hint.v && len <= UMM_TASK_SIZE && !(len & ~UMM_PMD_MASK) &&
	    mm_sys_thp(mm->sys, UMM_PMD_ORDER) != THP_NEVER && !huge_place(mm, len, out))
		return 0;
	return vma_find_place(mm, hint, len, map_flags, out);
}

int vma_find_place(struct mm *mm, gva_t hint, uint64_t len, int map_flags, gva_t *out)
{
	if (len > UMM_TASK_SIZE)
		return -ENOMEM;
	if (map_flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		return fixed_place(mm, hint, len, out);
	hint = gva_page(hint);
	if (hint.v && hint.v < mmap_min_addr(mm))
		hint.v = mmap_min_addr(mm);
	if (map_flags & MAP_32BIT) {
		if (len > END_32BIT - BASE_32BIT)
			return -ENOMEM;
		if (hint.v && hint.v <= END_32BIT - len && hint_is_free(mm, hint, len)) {
			*out = hint;
			return 0;
		}
		return vma_gap_bottomup(mm, len, BASE_32BIT, END_32BIT, out);
	}
	if (hint.v && hint_is_free(mm, hint, len)) {
		*out = hint;
		return 0;
	}
	if (!vma_gap_topdown(mm, len, mmap_min_addr(mm), mm->mmap_base.v, out))
		return 0;
	return vma_gap_bottomup(mm, len, UNMAPPED_BASE, UMM_TASK_SIZE, out);
}
