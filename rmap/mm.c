/* SPDX-License-Identifier: MIT */
/*
 * The life of an address space: made empty, copied by fork, found by id, torn
 * down by the last put.
 *
 * Locks: mms_lock guards the list and is outermost; fork holds the parent's
 * mmap_lock for writing and then the child's.
 */
#include "rmap/vma.h"

/* Where mmap goes down from until exec says otherwise: below the largest usual stack. */
#define DEFAULT_MMAP_BASE ((1ul << 47) - (128ul << 20))

int mm_create(struct mm_sys *sys, struct mm **out)
{
	struct mm *mm = sys_alloc(sys, sizeof(*mm));
	int ret;

	if (!mm)
		return -ENOMEM;
	mm->sys = sys;
	mm->users = 1;
	mm->mmap_base = gva_make(DEFAULT_MMAP_BASE);
	mm->rlim_stack = mm->rlim_data = mm->rlim_as = mm->rlim_memlock = ~0ul;
	ret = pgtable_create(mm);
	if (ret) {
		sys_free(sys, mm, sizeof(*mm));
		return ret;
	}
	umm_rwlock_init(&mm->mmap_lock, LOCK_MMAP);
	umm_mutex_init(&mm->anon_lock, LOCK_LEAF);
	sys_object(sys, OBJ_MM, 1);
	umm_mutex_lock(&sys->mms_lock);
	mm->serial = ++sys->mm_serial;
	list_add_tail(&mm->all, &sys->mms);
	umm_mutex_unlock(&sys->mms_lock);
	*out = mm;
	return 0;
}

struct mm *mm_get(struct mm *mm)
{
	__atomic_fetch_add(&mm->users, 1, __ATOMIC_RELAXED);
	return mm;
}

void mm_put(struct mm *mm)
{
	struct mm_sys *sys = mm->sys;

	if (__atomic_sub_fetch(&mm->users, 1, __ATOMIC_ACQ_REL))
		return;
	__atomic_store_n(&mm->exiting, true, __ATOMIC_RELAXED);
	umm_write_lock(&mm->mmap_lock);
	unmap_all(mm);
	umm_write_unlock(&mm->mmap_lock);
	ksm_exit(mm);
	umm_mutex_lock(&sys->mms_lock);
	list_del(&mm->all);
	umm_mutex_unlock(&sys->mms_lock);
	pgtable_free(mm);
	umm_mutex_destroy(&mm->anon_lock);
	umm_rwlock_destroy(&mm->mmap_lock);
	sys_object(sys, OBJ_MM, -1);
	sys_free(sys, mm, sizeof(*mm));
}

bool mm_try_get(struct mm *mm)
{
	int32_t users = __atomic_load_n(&mm->users, __ATOMIC_RELAXED);

	while (users)
		if (__atomic_compare_exchange_n(&mm->users, &users, users + 1, true,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* @by_serial: @number is one, else an id. */
struct mm *mm_find_serial(struct mm_sys *sys, uint64_t serial)
{
	struct mm *mm, *found = NULL;

	umm_mutex_lock(&sys->mms_lock);
	list_for_each_entry(mm, &sys->mms, all)
	{
		if (mm->serial == serial && mm_try_get(mm)) {
			found = mm;
			break;
		}
	}
	umm_mutex_unlock(&sys->mms_lock);
	return found;
}

/* ---- fork -------------------------------------------------------------- */

static void copy_layout(struct mm *dst, const struct mm *src)
{
	dst->start_code = src->start_code;
	dst->end_code = src->end_code;
	dst->start_data = src->start_data;
	dst->end_data = src->end_data;
	dst->start_brk = src->start_brk;
	dst->brk = src->brk;
	dst->start_stack = src->start_stack;
	dst->mmap_base = src->mmap_base;
	dst->arg_start = src->arg_start;
	dst->arg_end = src->arg_end;
	dst->env_start = src->env_start;
	dst->env_end = src->env_end;
	dst->rlim_stack = __atomic_load_n(&src->rlim_stack, __ATOMIC_RELAXED);
	dst->rlim_data = __atomic_load_n(&src->rlim_data, __ATOMIC_RELAXED);
	dst->rlim_as = __atomic_load_n(&src->rlim_as, __ATOMIC_RELAXED);
	dst->rlim_memlock = __atomic_load_n(&src->rlim_memlock, __ATOMIC_RELAXED);
}

/* Locks are not inherited; an area wiped on fork starts again as never touched. */
static int dup_vma(struct mmu_gather *g, struct mm *dst, struct vma *parent)
{
	struct vma *child = vma_dup(parent, dst);
	bool wipe = parent->flags & VM_WIPEONFORK;
	int ret;

	if (!child)
		return -ENOMEM;
	if ((parent->flags & VM_ACCOUNT) && !mm_overcommit_ok(dst, vma_pages(parent))) {
		vma_free(child);
		return -ENOMEM;
	}
	child->flags &= ~VM_LOCKED_MASK;
	if (!wipe) {
		ret = anon_vma_fork(child, parent);
		if (ret) {
			vma_free(child);
			return ret;
		}
	}
	vma_link(dst, child);
	mm_account(dst, child->flags, (int64_t)vma_pages(child));
	return wipe ? 0 : copy_page_range(g, child, parent);
}

/*
 * An area is in all its trees before the first entry of it is made, so walkers
 * find whatever there is at any moment; on failure what was copied is left to
 * unmap_all().
 */
int dup_vmas(struct mm *dst, struct mm *src)
{
	struct mmu_gather g;
	int ret = 0;

	mmu_gather_init(&g, src);
	for (struct vma *v = vma_first(src); v && !ret; v = vma_next(v))
		if (!(v->flags & VM_DONTCOPY))
			ret = dup_vma(&g, dst, v);
	mmu_gather_finish(&g);
	return ret;
}

int mm_fork(struct mm *parent, struct mm **out)
{
	struct mm *child;
	int ret;

	ret = mm_create(parent->sys, &child);
	if (ret)
		return ret;
	umm_write_lock(&parent->mmap_lock);
	umm_write_lock_nested(&child->mmap_lock);
	copy_layout(child, parent);
	child->merge_any = parent->merge_any;
	child->reaped = parent->reaped;
	ret = parent->ksm ? ksm_enter(child) : 0;
	if (!ret)
		ret = dup_vmas(child, parent);
	umm_write_unlock(&child->mmap_lock);
	umm_write_unlock(&parent->mmap_lock);
	if (ret) {
		mm_put(child);
		return ret;
	}
	*out = child;
	return 0;
}
