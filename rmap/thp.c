/* SPDX-License-Identifier: MIT */
/*
 * Which folio orders anonymous memory may use: for each order a mode, as Linux
 * has it in /sys/kernel/mm/transparent_hugepage. Modes may change at any time
 * and act on the next fault or collapse.
 */
#include "rmap/internal.h"

enum thp_mode mm_sys_thp(const struct mm_sys *sys, unsigned int order)
{
	return order <= UMM_MAX_ORDER ? __atomic_load_n(&sys->thp[order], __ATOMIC_RELAXED)
				      : THP_NEVER;
}

int mm_sys_set_thp(struct mm_sys *sys, unsigned int order, enum thp_mode mode)
{
	if (!order || order > UMM_MAX_ORDER || mode > THP_ALWAYS)
		return -EINVAL;
	__atomic_store_n(&sys->thp[order], (uint8_t)mode, __ATOMIC_RELAXED);
	return 0;
}

bool thp_order_enabled(const struct mm_sys *sys, const struct vma *vma, unsigned int order)
{
	enum thp_mode mode = mm_sys_thp(sys, order);
	uint64_t vf = vma_flags(vma);

	if (vf & VM_NOHUGEPAGE)
		return false;
	return mode == THP_ALWAYS || (mode == THP_MADVISE && (vf & VM_HUGEPAGE));
}

unsigned int thp_best_order(const struct mm_sys *sys, const struct vma *vma, unsigned int order)
{
	while (order && !thp_order_enabled(sys, vma, order))
		order--;
	return order;
}
