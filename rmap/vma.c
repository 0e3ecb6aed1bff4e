/* SPDX-License-Identifier: MIT */
/*
 * The life of an area: made, linked, changed, split, joined, unlinked, freed.
 *
 * An area stands in up to three kinds of trees: mm->vmas (by address), its
 * object's i_mmap and its anon_vmas' trees (both by page offset). Walkers come
 * in through the last two without mmap_lock, so start, end and pgoff change
 * only with both of them locked for writing, the area taken out before and put
 * back after: a walker sees the area as it was or as it is.
 *
 * Locks: mmap_lock for writing; inside it i_mmap_lock, then the anon_vma root.
 */
#include "rmap/vma.h"

struct vma *vma_alloc(struct mm *mm)
{
	struct vma *vma = sys_alloc(mm->sys, sizeof(*vma));

	if (!vma)
		return NULL;
	vma->mm = mm;
	list_init(&vma->anon_vma_chain);
	sys_object(mm->sys, OBJ_VMA, 1);
	return vma;
}

void vma_free(struct vma *vma)
{
	struct mm_sys *sys = vma->mm->sys;

	mm_assert(list_empty(&vma->anon_vma_chain));
	if (vma->mapping)
		mapping_put(vma->mapping);
	mempolicy_put(vma->policy);
	sys_object(sys, OBJ_VMA, -1);
	sys_free(sys, vma, sizeof(*vma));
}

struct vma *vma_dup(const struct vma *vma, struct mm *mm)
{
	struct vma *copy = vma_alloc(mm);

	if (!copy)
		return NULL;
	copy->start = vma->start;
	copy->end = vma->end;
	copy->flags = vma->flags;
	copy->pgoff = vma->pgoff;
	if (vma->mapping)
		copy->mapping = mapping_get(vma->mapping);
	copy->policy = mempolicy_get(vma->policy);
	return copy;
}

/* ---- the rmap trees ---------------------------------------------------- */

static void lock_rmap(struct vma *vma)
{
	if (vma->mapping)
		umm_write_lock(&vma->mapping->i_mmap_lock);
	vma_lock_anon(vma);
}

static void unlock_rmap(struct vma *vma)
{
	vma_unlock_anon(vma);
	if (vma->mapping)
		umm_write_unlock(&vma->mapping->i_mmap_lock);
}

static void i_mmap_insert(struct vma *vma)
{
	if (vma->mapping)
		itree_insert(&vma->mapping->i_mmap, &vma->shared, vma->pgoff.v,
			     vma->pgoff.v + vma_pages(vma) - 1);
}

static void i_mmap_remove(struct vma *vma)
{
	if (vma->mapping)
		itree_remove(&vma->mapping->i_mmap, &vma->shared);
}

static void rmap_remove(struct vma *vma)
{
	i_mmap_remove(vma);
	anon_vma_trees_remove(vma);
}

static void rmap_insert(struct vma *vma)
{
	i_mmap_insert(vma);
	anon_vma_trees_insert(vma);
}

static void count_writable(const struct vma *vma, int32_t nr)
{
	const uint64_t both = VM_SHARED | VM_MAYWRITE;

	if (vma->mapping && (vma->flags & both) == both)
		__atomic_fetch_add(&vma->mapping->nr_writable_shared, nr, __ATOMIC_RELAXED);
}

void vma_link(struct mm *mm, struct vma *vma)
{
	vma_tree_insert(mm, vma);
	count_writable(vma, 1);
	if (!vma->mapping)
		return;
	umm_write_lock(&vma->mapping->i_mmap_lock);
	i_mmap_insert(vma);
	umm_write_unlock(&vma->mapping->i_mmap_lock);
}

void vma_unlink_rmap(struct vma *vma)
{
	count_writable(vma, -1);
	if (vma->mapping) {
		umm_write_lock(&vma->mapping->i_mmap_lock);
		i_mmap_remove(vma);
		umm_write_unlock(&vma->mapping->i_mmap_lock);
	}
	unlink_anon_vmas(vma);
}

void vma_set_range(struct vma *vma, gva_t start, gva_t end, pgoff_t pgoff)
{
	lock_rmap(vma);
	rmap_remove(vma);
	vma->start = start;
	vma->end = end;
	vma->pgoff = pgoff;
	rmap_insert(vma);
	unlock_rmap(vma);
	vma_tree_refresh(vma);
}

void vma_set_flags(struct vma *vma, uint64_t flags)
{
	__atomic_store_n(&vma->flags, flags, __ATOMIC_RELAXED);
}

/* ---- split ------------------------------------------------------------- */

int vma_split_nolimit(struct vma *vma, gva_t addr, struct vma **tail)
{
	struct vma *new = vma_dup(vma, vma->mm);
	int ret;

	mm_assert(vma->start.v < addr.v && addr.v < vma->end.v);
	if (!new)
		return -ENOMEM;
	/* An area ends inside no leaf. */
	if (addr.v & ~UMM_PMD_MASK)
		pmd_split(vma->mm, addr);
	new->start = addr;
	new->pgoff.v += (addr.v - vma->start.v) >> UMM_PAGE_SHIFT;
	new->anon_vma = vma->anon_vma;
	ret = anon_vma_clone(new, vma);
	if (ret) {
		vma_free(new);
		return ret;
	}
	count_writable(new, 1);
	lock_rmap(vma);
	rmap_remove(vma);
	vma->end = addr;
	rmap_insert(vma);
	i_mmap_insert(new);
	unlock_rmap(vma);
	vma_tree_refresh(vma);
	vma_tree_insert(vma->mm, new);
	*tail = new;
	return 0;
}

int vma_split(struct vma *vma, gva_t addr, struct vma **tail)
{
	if (vma->mm->nr_vmas >= max_map_count(vma->mm))
		return -ENOMEM;
	return vma_split_nolimit(vma, addr, tail);
}

int vma_carve(struct vma **vma, gva_t start, gva_t end)
{
	struct vma *rest;
	int ret = 0;

	if ((*vma)->start.v < start.v)
		ret = vma_split(*vma, start, vma);
	if (!ret && end.v < (*vma)->end.v)
		ret = vma_split(*vma, end, &rest);
	return ret;
}

/* ---- join -------------------------------------------------------------- */

bool vma_contiguous(const struct vma *low, const struct vma *high)
{
	return low->end.v == high->start.v && low->mapping == high->mapping &&
	       low->pgoff.v + vma_pages(low) == high->pgoff.v;
}

/*
 * The joined area has one chain. Equal anon_vmas mean equal chains (see
 * anon_vma.c); an area without one joins whatever is in a single tree.
 */
static bool anon_vmas_joinable(const struct vma *low, const struct vma *high)
{
	if (low->anon_vma == high->anon_vma)
		return true;
	if (low->anon_vma && high->anon_vma)
		return false;
	return anon_vma_chain_singular(low->anon_vma ? low : high);
}

/* All but VM_SOFTDIRTY must be equal: the joined area has it if either has, so nothing is missed. */
static bool flags_joinable(const struct vma *low, const struct vma *high)
{
	return !((low->flags ^ high->flags) & ~VM_SOFTDIRTY);
}

static bool vma_joinable(const struct vma *low, const struct vma *high)
{
	return vma_contiguous(low, high) && flags_joinable(low, high) &&
	       !(low->flags & VM_DONTEXPAND) && mempolicy_equal(low->policy, high->policy) &&
	       anon_vmas_joinable(low, high);
}

/* @low takes over what @high covers; @high is freed. -ENOMEM: nothing happened. */
static int vma_join(struct vma *low, struct vma *high)
{
	if (!low->anon_vma && high->anon_vma) {
		low->anon_vma = high->anon_vma;
		if (anon_vma_clone(low, high))
			return -ENOMEM;
	}
	vma_set_flags(low, low->flags | high->flags);
	vma_tree_remove(low->mm, high);
	count_writable(high, -1);
	lock_rmap(low);
	rmap_remove(high);
	rmap_remove(low);
	low->end = high->end;
	rmap_insert(low);
	unlock_rmap(low);
	vma_tree_refresh(low);
	anon_vma_chain_drop(high);
	vma_free(high);
	return 0;
}

struct vma *vma_merge_around(struct vma *vma)
{
	struct vma *prev = vma_prev(vma), *next;

	if (prev && vma_joinable(prev, vma) && !vma_join(prev, vma))
		vma = prev;
	next = vma_next(vma);
	if (next && vma_joinable(vma, next))
		(void)!vma_join(vma, next);
	return vma;
}

int vma_change_flags(struct vma **vma, gva_t start, gva_t end, uint64_t flags)
{
	struct vma *v = *vma;
	int64_t pages;
	int ret;

	ret = vma_carve(&v, start, end);
	if (ret)
		return ret;
	pages = (int64_t)vma_pages(v);
	mm_account(v->mm, v->flags, -pages);
	mm_account(v->mm, flags, pages);
	vma_set_flags(v, flags);
	*vma = vma_merge_around(v);
	return 0;
}
