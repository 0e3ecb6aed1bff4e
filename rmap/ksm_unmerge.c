/* SPDX-License-Identifier: MIT */
/*
 * KSM: which areas are mergeable, and how merged pages are taken apart again: as by a
 * store of their owner, page by page (fault_wp.c).
 */
#include "rmap/ksm.h"

/* Private memory of an ordinary kind; all else ignores the advice, as on Linux. */
static bool flags_compatible(uint64_t flags)
{
	return !(flags & (VM_SHARED | VM_MAYSHARE | VM_DONTEXPAND | VM_STACK_INCOMPLETE_SETUP));
}

uint64_t ksm_new_flags(const struct mm *mm, uint64_t flags)
{
	return mm->merge_any && flags_compatible(flags) ? VM_MERGEABLE : 0;
}

/* ---- taking apart ----------------------------------------------------------------- */

/* What is at @addr: *e is the entry if it maps a merged page. */
enum sort { SORT_OTHER, SORT_MERGED, SORT_MOVING };

static enum sort sort_entry(struct vma *vma, gva_t addr, uint64_t *e)
{
	struct mm_sys *sys = vma->mm->sys;
	enum sort sort = SORT_OTHER;
	struct umm_mutex *lock;

	if (!entry_lock(vma->mm, addr, &lock, e))
		return SORT_OTHER;
	if (pte_present(*e))
		sort = folio_test_ksm(folio_head(sys_frame(sys, pte_pfn(*e)))) ? SORT_MERGED
									       : SORT_OTHER;
	else if (pte_is_swap(*e) && swp_is_migration(pte_to_swp(*e)))
		sort = SORT_MOVING;
	umm_mutex_unlock(lock);
	return sort;
}

static int break_page(struct vma *vma, gva_t addr)
{
	for (;;) {
		struct fault f = {
			.mm = vma->mm,
			.vma = vma,
			.addr = addr,
			.flags = FAULT_FLAG_WRITE | FAULT_FLAG_FORCE | FAULT_FLAG_SINGLE,
		};

		switch (sort_entry(vma, addr, &f.orig)) {
		case SORT_OTHER:
			return 0;
		case SORT_MOVING:
			migration_entry_wait(vma->mm, addr);
			break;
		case SORT_MERGED:
			if (fault_wp(&f) != FAULT_DONE)
				return -ENOMEM;
		}
	}
}

/* mmap_lock held. -ENOMEM, half done. */
static int break_range(struct vma *vma, gva_t start, gva_t end)
{
	int ret = 0;

	for (gva_t addr = tables_from(vma->mm, start, end), next; !ret && addr.v < end.v;
	     addr = tables_from(vma->mm, next, end)) {
		struct umm_mutex *lock;
		uint64_t *pmd = pmd_find(vma->mm, addr, &lock);

		next = table_end(addr, end);
		/* Leaves map no merged pages. */
		if (!pmd || !pmd_is_table(pte_read(pmd)))
			continue;
		for (; !ret && addr.v < next.v; addr.v += UMM_PAGE_SIZE)
			ret = break_page(vma, addr);
	}
	return ret;
}

/* mmap_lock held for reading. Also where the advice was taken back while pages were in swap. */
static int break_mm(struct mm *mm)
{
	int ret = 0;

	for (struct vma *v = vma_first(mm); v && !ret; v = vma_next(v)) {
		if (__atomic_load_n(&v->anon_vma, __ATOMIC_ACQUIRE))
			ret = break_range(v, v->start, v->end);
	}
	return ret;
}

/* One that was not taken apart in this pass, with a user; NULL: all were. */
static struct mm *next_to_break(struct ksm *k, uint64_t pass, struct ksm_mm **out)
{
	struct ksm_mm *owner;
	struct mm *mm = NULL;

	umm_mutex_lock(&k->lock);
	list_for_each_entry(owner, &k->mms, link)
	{
		if (owner->unmerged == pass)
			continue;
		owner->unmerged = pass;
		if (owner->mm && mm_try_get(owner->mm)) {
			mm = owner->mm;
			*out = owner;
			break;
		}
	}
	umm_mutex_unlock(&k->lock);
	return mm;
}

int ksm_unmerge_all(struct ksm *k)
{
	uint64_t pass = ++k->unmerge_passes;
	struct ksm_mm *owner;
	struct mm *mm;
	int ret = 0;

	while (!ret && (mm = next_to_break(k, pass, &owner))) {
		umm_read_lock(&mm->mmap_lock);
		ret = break_mm(mm);
		umm_read_unlock(&mm->mmap_lock);
		ksm_mm_forget(k, owner);
		mm_put(mm);
	}
	unstable_tree_forget(k);
	umm_mutex_lock(&k->lock);
	k->here = k->cursor = NULL;
	umm_mutex_unlock(&k->lock);
	ksm_reap(k);
	return ret;
}

/* ---- advice --------------------------------------------------------------------------- */

int ksm_advise(struct vma *vma, gva_t start, gva_t end, bool merge, uint64_t *flags)
{
	int ret = 0;

	if (merge && !(*flags & VM_MERGEABLE) && flags_compatible(*flags)) {
		ret = ksm_enter(vma->mm);
		if (!ret)
			*flags |= VM_MERGEABLE;
	} else if (!merge && (*flags & VM_MERGEABLE)) {
		ret = break_range(vma, start, end);
		if (!ret)
			*flags &= ~VM_MERGEABLE;
	}
	return ret;
}

/* mmap_lock held for writing. */
static int set_all(struct mm *mm, bool on)
{
	int ret = 0;

	for (struct vma *v = vma_first(mm); v && !ret; v = vma_next(v)) {
		uint64_t flags = vma_flags(v);

		ret = ksm_advise(v, v->start, v->end, on, &flags);
		if (!ret && flags != vma_flags(v)) {
			vma_set_flags(v, flags);
			v = vma_merge_around(v);
		}
	}
	return ret;
}

int mm_set_merge_any(struct mm *mm, bool on)
{
	int ret = 0;

	umm_write_lock(&mm->mmap_lock);
	if (on != mm->merge_any) {
		/* On from before there is any area, off only once there is none. */
		ret = on ? ksm_enter(mm) : 0;
		if (!ret)
			ret = set_all(mm, on);
		if (!ret)
			__atomic_store_n(&mm->merge_any, on, __ATOMIC_RELAXED);
	}
	umm_write_unlock(&mm->mmap_lock);
	return ret;
}

bool mm_merge_any(const struct mm *mm)
{
	return __atomic_load_n(&mm->merge_any, __ATOMIC_RELAXED);
}
