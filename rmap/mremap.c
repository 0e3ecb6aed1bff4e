/* SPDX-License-Identifier: MIT */
/*
 * mremap: shrink, grow in place, or move an area with its entries.
 *
 * A moved area keeps its pgoff if it has an anon_vma: its folios know their
 * place by index, and the index is looked up in [pgoff, pgoff + pages) wherever
 * the area is now. An anonymous area that was never written to has no such
 * folios, and gets the pgoff of its new place, so that it can still be joined
 * with neighbours there. What MREMAP_DONTUNMAP leaves behind has lost all its
 * folios; when that is the whole area it starts again the same way.
 *
 * A move makes the new area first and links it, then moves the entries, then
 * unmaps the old range, then joins: at each step an entry lies in an area that
 * the reverse mapping finds.
 *
 * Locks: mmap_lock for writing; populating is done without it.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* The request while it is worked on. Lengths are page-aligned. */
struct remap_work {
	struct mm *mm;
	gva_t old, new; /* new: the place asked for, or a hint */
	uint64_t old_len, new_len;
	int flags;                    /* MREMAP_* */
	gva_t populate, populate_end; /* out: a locked area grew there */
};

static int check_request(const struct remap_work *w)
{
	if (w->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((w->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(w->flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((w->flags & MREMAP_DONTUNMAP) && w->old_len != w->new_len)
		return -EINVAL;
	if ((w->old.v & ~UMM_PAGE_MASK) || !w->new_len)
		return -EINVAL;
	return 0;
}

/* May this area become new_len long, here or elsewhere? */
static int check_area(const struct remap_work *w, const struct vma *vma)
{
	uint64_t pgoff = vma->pgoff.v + ((w->old.v - vma->start.v) >> UMM_PAGE_SHIFT);
	uint64_t more = (w->new_len - w->old_len) >> UMM_PAGE_SHIFT;

	/* Length 0 means a second mapping of the same object: private memory has none. */
	if (!w->old_len && !(vma->flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if ((w->flags & MREMAP_DONTUNMAP) && (vma->flags & VM_DONTEXPAND))
		return -EINVAL;
	if (w->old_len > vma->end.v - w->old.v)
		return -EFAULT;
	if (w->new_len == w->old_len)
		return 0;
	if (pgoff + (w->new_len >> UMM_PAGE_SHIFT) < pgoff)
		return -EINVAL;
	if (vma->flags & VM_DONTEXPAND)
		return -EFAULT;
	if (!mm_lock_limit_ok(w->mm, vma->flags, more))
		return -EAGAIN;
	if (!mm_may_expand(w->mm, vma->flags, more))
		return -ENOMEM;
	if ((vma->flags & VM_ACCOUNT) && !mm_overcommit_ok(w->mm, more))
		return -ENOMEM;
	return 0;
}

static void note_populate(struct remap_work *w, uint64_t vm_flags, gva_t at)
{
	if (!(vm_flags & VM_LOCKED) || w->new_len <= w->old_len)
		return;
	w->populate = gva_add(at, w->old_len);
	w->populate_end = gva_add(at, w->new_len);
}

/* ---- in place ---------------------------------------------------------- */

static bool room_behind(const struct vma *vma, uint64_t more)
{
	struct vma *next = vma_next((struct vma *)vma);
	uint64_t end = vma->end.v + more;

	return end > vma->end.v && end <= UMM_TASK_SIZE && (!next || end <= next->start.v);
}

static void grow_in_place(struct remap_work *w, struct vma *vma)
{
	uint64_t more = w->new_len - w->old_len;

	mm_account(w->mm, vma->flags, (int64_t)(more >> UMM_PAGE_SHIFT));
	vma_set_range(vma, vma->start, gva_add(vma->end, more), vma->pgoff);
	note_populate(w, vma->flags, w->old);
	vma_merge_around(vma);
}

/* ---- moving ------------------------------------------------------------ */

/* The area at the new place, linked and counted, without entries. */
static int target_make(struct remap_work *w, struct vma *vma, gva_t at, struct vma **out)
{
	struct vma *new = vma_dup(vma, w->mm);
	int ret;

	if (!new)
		return -ENOMEM;
	new->start = at;
	new->end = gva_add(at, w->new_len);
	new->pgoff.v += (w->old.v - vma->start.v) >> UMM_PAGE_SHIFT;
	if (vma_is_anonymous(vma) && !vma->anon_vma)
		new->pgoff = pgoff_make(at.v >> UMM_PAGE_SHIFT);
	new->anon_vma = vma->anon_vma;
	ret = anon_vma_clone(new, vma);
	if (ret) {
		vma_free(new);
		return ret;
	}
	vma_link(w->mm, new);
	mm_account(w->mm, new->flags, (int64_t)vma_pages(new));
	*out = new;
	return 0;
}

/* All of the old area's entries went: nothing ties it to its anon_vmas any more. */
static int leave_behind(struct remap_work *w, struct vma *vma)
{
	int ret;

	if (vma->flags & VM_LOCKED_MASK) {
		ret = vma_change_flags(&vma, w->old, gva_add(w->old, w->old_len),
				       vma->flags & ~VM_LOCKED_MASK);
		if (ret)
			return ret;
	}
	if (vma->start.v != w->old.v || vma->end.v != w->old.v + w->old_len)
		return 0;
	unlink_anon_vmas(vma);
	if (vma_is_anonymous(vma))
		vma->pgoff = pgoff_make(vma->start.v >> UMM_PAGE_SHIFT);
	return 0;
}

static int move_area(struct remap_work *w, struct vma *vma, gva_t at)
{
	struct vma *new;
	uint64_t moved;
	int ret;

	/* Splits on both sides and the new area itself. */
	if (w->mm->nr_vmas + 3 >= max_map_count(w->mm))
		return -ENOMEM;
	ret = target_make(w, vma, at, &new);
	if (ret)
		return ret;
	moved = move_page_tables(vma, w->old, new, at, w->old_len);
	if (moved < w->old_len) {
		/* No table frame: back with what went, where the tables still are. */
		move_page_tables(new, at, vma, w->old, moved);
		(void)!munmap_locked(w->mm, at, w->new_len);
		return -ENOMEM;
	}
	note_populate(w, new->flags, at);
	if (w->flags & MREMAP_DONTUNMAP)
		(void)!leave_behind(w, vma);
	else if (w->old_len)
		/* It may want memory for a split: then an empty area stays behind. */
		(void)!munmap_locked(w->mm, w->old, w->old_len);
	vma_merge_around(new);
	return 0;
}

/* What may be refused is refused before anything is unmapped. */
static int check_remap_to(struct remap_work *w, gva_t *out)
{
	struct mm *mm = w->mm;
	int map_flags = w->flags & MREMAP_FIXED ? MAP_FIXED : 0;
	struct vma *vma = vma_find_exact(mm, w->old);
	struct remap_work shrunk = *w;
	int ret;

	if ((w->new.v & ~UMM_PAGE_MASK) || w->new_len > UMM_TASK_SIZE ||
	    w->new.v > UMM_TASK_SIZE - w->new_len)
		return -EINVAL;
	if (w->old.v + w->old_len > w->new.v && w->new.v + w->new_len > w->old.v)
		return -EINVAL;
	if (mm->nr_vmas + 5 >= max_map_count(mm))
		return -ENOMEM;
	if (shrunk.old_len > shrunk.new_len)
		shrunk.old_len = shrunk.new_len;
	ret = check_area(&shrunk, vma);
	if (ret)
		return ret;
	if ((w->flags & MREMAP_DONTUNMAP) &&
	    !mm_may_expand(mm, vma->flags, w->old_len >> UMM_PAGE_SHIFT))
		return -ENOMEM;
	return vma_find_place(mm, w->new, w->new_len, map_flags, out);
}

/* MREMAP_FIXED or MREMAP_DONTUNMAP: the place is given, or must differ from the old one. */
static int remap_to(struct remap_work *w, gva_t *out)
{
	struct mm *mm = w->mm;
	struct vma *vma;
	int ret;

	ret = check_remap_to(w, out);
	if (ret)
		return ret;
	if (w->flags & MREMAP_FIXED) {
		ret = munmap_locked(mm, w->new, w->new_len);
		if (ret)
			return ret;
	}
	if (w->old_len > w->new_len) {
		ret = munmap_locked(mm, gva_add(w->old, w->new_len), w->old_len - w->new_len);
		if (ret)
			return ret;
		w->old_len = w->new_len;
	}
	/* Found again: unmapping may have split it, or dropped it (length 0 onto itself). */
	vma = vma_find_exact(mm, w->old);
	return vma ? move_area(w, vma, *out) : -EFAULT;
}

static int remap_locked(struct remap_work *w, gva_t *out)
{
	struct mm *mm = w->mm;
	struct vma *vma = vma_find_exact(mm, w->old);
	int ret;

	if (!vma)
		return -EFAULT;
	if (vma_sealed(vma))
		return -EPERM;
	if (w->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return remap_to(w, out);
	*out = w->old;
	if (w->old_len >= w->new_len) {
		if (w->old_len == w->new_len)
			return 0;
		return munmap_locked(mm, gva_add(w->old, w->new_len), w->old_len - w->new_len);
	}
	ret = check_area(w, vma);
	if (ret)
		return ret;
	if (w->old_len == vma->end.v - w->old.v && room_behind(vma, w->new_len - w->old_len)) {
		grow_in_place(w, vma);
		return 0;
	}
	if (!(w->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	ret = vma_find_place(mm, gva_make(0), w->new_len, 0, out);
	if (ret)
		return ret;
	return move_area(w, vma, *out);
}

int mm_mremap(struct mm *mm, gva_t old, uint64_t old_len, uint64_t new_len, int flags,
	      gva_t new_addr, gva_t *out)
{
	struct remap_work w = {
		.mm = mm,
		.old = old,
		.new = new_addr,
		.old_len = page_align_up(old_len),
		.new_len = page_align_up(new_len),
		.flags = flags,
	};
	gva_t at = old;
	int ret;

	ret = check_request(&w);
	if (ret)
		return ret;
	umm_write_lock(&mm->mmap_lock);
	ret = remap_locked(&w, &at);
	umm_write_unlock(&mm->mmap_lock);
	if (ret)
		return ret;
	if (w.populate_end.v)
		(void)!populate_locked(mm, w.populate, w.populate_end);
	*out = at;
	return 0;
}
