/* SPDX-License-Identifier: MIT */
/*
 * mlock, mlock2, munlock, mlockall, munlockall: the flags of areas, then their
 * pages. Two passes: all flags under mmap_lock for writing, so that whatever is
 * faulted in from then on is locked; then the pages without it.
 *
 * RLIMIT_MEMLOCK binds who has not the privilege to lock without limit: struct mm_thread
 * of the caller says so.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

/*
 * The next part of [*start, end) to fault in; false if there is none. Read-locks.
 * *blocked: nobody may touch this one, so it cannot be faulted in.
 */
static bool next_locked(struct mm *mm, gva_t *start, gva_t end, gva_t *stop, bool *blocked)
{
	struct vma *v;
	bool found = false;

	umm_read_lock(&mm->mmap_lock);
	v = start->v < end.v ? vma_find(mm, *start) : NULL;
	for (; v && v->start.v < end.v; v = vma_next(v)) {
		if ((v->flags & VM_LOCKED_MASK) != VM_LOCKED)
			continue;
		if (v->start.v > start->v)
			*start = v->start;
		*stop = gva_min(v->end, end);
		*blocked = !(v->flags & VM_ACCESS_FLAGS);
		found = true;
		break;
	}
	umm_read_unlock(&mm->mmap_lock);
	return found;
}

int populate_locked(struct mm *mm, gva_t start, gva_t end)
{
	bool blocked;
	gva_t stop;
	int ret = 0;

	for (; next_locked(mm, &start, end, &stop, &blocked); start = stop) {
		int err = blocked ? -EFAULT : populate_range(mm, start, stop, false, true);

		if (!ret)
			ret = err;
	}
	return ret;
}

/* mmap_lock held for writing; *vma has some of [start, end). */
static int lock_area(struct vma **vma, gva_t start, gva_t end, uint64_t lock_flags)
{
	uint64_t old = (*vma)->flags;
	uint64_t new = (old & ~VM_LOCKED_MASK) | lock_flags;
	int ret;

	if (new == old)
		return 0;
	ret = vma_change_flags(vma, start, end, new);
	if (ret)
		return ret;
	if ((old ^ new) & VM_LOCKED)
		mlock_range(*vma, start, end, new &VM_LOCKED);
	return 0;
}

static int lock_range(struct mm *mm, gva_t start, gva_t end, uint64_t lock_flags)
{
	int ret = 0;

	while (!ret && start.v < end.v) {
		struct vma *vma = vma_find_exact(mm, start);
		gva_t stop;

		if (!vma)
			return -ENOMEM;
		stop = gva_min(vma->end, end);
		ret = lock_area(&vma, start, stop, lock_flags);
		start = stop;
	}
	return ret;
}

/* How much of [start, end) is locked already and so asks for nothing. */
static uint64_t locked_pages(struct mm *mm, gva_t start, gva_t end)
{
	uint64_t nr = 0;

	for (struct vma *v = vma_find(mm, start); v && v->start.v < end.v; v = vma_next(v))
		if (v->flags & VM_LOCKED)
			nr += (gva_min(v->end, end).v -
			       (v->start.v > start.v ? v->start.v : start.v)) >>
			      UMM_PAGE_SHIFT;
	return nr;
}

/* Whole pages around [addr, addr + len). -EINVAL where that wraps. */
static int page_bounds(gva_t addr, uint64_t len, gva_t *start, gva_t *end)
{
	len = page_align_up(len + (addr.v & ~UMM_PAGE_MASK));
	*start = gva_page(addr);
	*end = gva_add(*start, len);
	return end->v < start->v ? -EINVAL : 0;
}

int mm_mlock(struct mm *mm, gva_t addr, uint64_t len, int mlock2_flags)
{
	uint64_t flags = VM_LOCKED, pages;
	gva_t start, end;
	int ret;

	if (mlock2_flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	if (mlock2_flags & MLOCK_ONFAULT)
		flags |= VM_LOCKONFAULT;
	if (!mm_may_lock(mm))
		return -EPERM;
	ret = page_bounds(addr, len, &start, &end);
	if (ret)
		return ret;
	umm_write_lock(&mm->mmap_lock);
	pages = (end.v - start.v) >> UMM_PAGE_SHIFT;
	if (mm_lock_limit_ok(mm, VM_LOCKED, pages) ||
	    mm_lock_limit_ok(mm, VM_LOCKED, pages - locked_pages(mm, start, end)))
		ret = lock_range(mm, start, end, flags);
	else
		ret = -ENOMEM;
	umm_write_unlock(&mm->mmap_lock);
	if (ret)
		return ret;
	ret = populate_locked(mm, start, end);
	if (ret == -EFAULT)
		return -ENOMEM;
	return ret == -ENOMEM ? -EAGAIN : ret;
}

int mm_munlock(struct mm *mm, gva_t addr, uint64_t len)
{
	gva_t start, end;
	int ret;

	ret = page_bounds(addr, len, &start, &end);
	if (ret)
		return ret;
	umm_write_lock(&mm->mmap_lock);
	ret = lock_range(mm, start, end, 0);
	umm_write_unlock(&mm->mmap_lock);
	return ret;
}

/* All areas; one that cannot be split or changed is passed over, as on Linux. */
static void lock_all(struct mm *mm, uint64_t lock_flags)
{
	gva_t at = gva_make(0);
	struct vma *vma;

	while ((vma = vma_find(mm, at))) {
		at = vma->end;
		(void)!lock_area(&vma, vma->start, vma->end, lock_flags);
	}
}

int mm_mlockall(struct mm *mm, int flags)
{
	uint64_t lock_flags = VM_LOCKED;
	int ret = 0;

	if (!(flags & (MCL_CURRENT | MCL_FUTURE)) ||
	    (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)))
		return -EINVAL;
	if (!mm_may_lock(mm))
		return -EPERM;
	if (flags & MCL_ONFAULT)
		lock_flags |= VM_LOCKONFAULT;
	umm_write_lock(&mm->mmap_lock);
	if ((flags & MCL_CURRENT) &&
	    !mm_lock_limit_ok(mm, VM_LOCKED, mm->total_vm - mm->locked_vm)) {
		ret = -ENOMEM;
	} else {
		mm->def_flags &= ~VM_LOCKED_MASK;
		if (flags & MCL_FUTURE)
			mm->def_flags |= lock_flags;
		if (flags & MCL_CURRENT)
			lock_all(mm, lock_flags);
	}
	umm_write_unlock(&mm->mmap_lock);
	if (!ret && (flags & MCL_CURRENT))
		(void)!populate_locked(mm, gva_make(0), gva_make(UMM_TASK_SIZE));
	return ret;
}

int mm_munlockall(struct mm *mm)
{
	umm_write_lock(&mm->mmap_lock);
	mm->def_flags &= ~VM_LOCKED_MASK;
	lock_all(mm, 0);
	umm_write_unlock(&mm->mmap_lock);
	return 0;
}
