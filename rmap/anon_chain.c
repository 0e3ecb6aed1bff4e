/* SPDX-License-Identifier: MIT */
/*
 * An area's chain: the links (anon_vma_chain) that put it into the trees of
 * anon_vmas, made by the first fault, by fork, split, join and move, and undone
 * when the area goes. What the trees mean is told in anon_vma.c.
 *
 * Locks: the chain changes under mmap_lock for writing, or at the first fault
 * under mm->anon_lock; the trees change under the root's lock for writing.
 */
#include "rmap/vma.h"

static struct anon_vma_chain *chain_alloc(struct mm_sys *sys)
{
	struct anon_vma_chain *avc = sys_alloc(sys, sizeof(*avc));

	if (avc)
		sys_object(sys, OBJ_ANON_VMA_CHAIN, 1);
	return avc;
}

static void chain_free(struct mm_sys *sys, struct anon_vma_chain *avc)
{
	if (avc)
		sys_object(sys, OBJ_ANON_VMA_CHAIN, -1);
	sys_free(sys, avc, sizeof(*avc));
}

static pgoff_t last_pgoff(const struct vma *vma)
{
	return pgoff_make(vma->pgoff.v + vma_pages(vma) - 1);
}

/* Root lock held for writing. */
static void chain_link(struct vma *vma, struct anon_vma_chain *avc, struct anon_vma *av)
{
	avc->vma = vma;
	avc->anon_vma = av;
	list_add(&avc->same_vma, &vma->anon_vma_chain);
	itree_insert(&av->tree, &avc->node, vma->pgoff.v, last_pgoff(vma).v);
}

void anon_vma_trees_remove(struct vma *vma)
{
	struct anon_vma_chain *avc;

	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma)
		itree_remove(&avc->anon_vma->tree, &avc->node);
}

void anon_vma_trees_insert(struct vma *vma)
{
	struct anon_vma_chain *avc;

	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma)
		itree_insert(&avc->anon_vma->tree, &avc->node, vma->pgoff.v, last_pgoff(vma).v);
}

bool anon_vma_chain_singular(const struct vma *vma)
{
	return !list_empty(&vma->anon_vma_chain) &&
	       vma->anon_vma_chain.next == vma->anon_vma_chain.prev;
}

/*
 * The anon_vma of a neighbour with which @vma may one day be joined, so that
 * different anon_vmas do not stand in the way of that. Only from a neighbour
 * that is in one tree: the chains must be alike after the join.
 */
static struct anon_vma *neighbour_anon_vma(const struct vma *vma, const struct vma *near)
{
	const struct vma *low, *high;

	if (!near || !near->anon_vma || !anon_vma_chain_singular(near))
		return NULL;
	low = near->start.v < vma->start.v ? near : vma;
	high = low == near ? vma : near;
	if (!vma_contiguous(low, high) || ((vma_flags(low) ^ vma_flags(high)) & ~VM_ACCESS_FLAGS))
		return NULL;
	return near->anon_vma;
}

static struct anon_vma *reusable_anon_vma(struct vma *vma)
{
	struct anon_vma *av;

	umm_mutex_lock(&vma->mm->anon_lock);
	av = neighbour_anon_vma(vma, vma_next(vma));
	if (!av)
		av = neighbour_anon_vma(vma, vma_prev(vma));
	umm_mutex_unlock(&vma->mm->anon_lock);
	return av;
}

int anon_vma_prepare(struct vma *vma)
{
	struct mm_sys *sys = vma->mm->sys;
	struct anon_vma_chain *avc;
	struct anon_vma *av, *fresh = NULL;

	if (vma_anon_vma(vma))
		return 0;
	avc = chain_alloc(sys);
	if (!avc)
		return -ENOMEM;
	av = reusable_anon_vma(vma);
	if (!av) {
		av = fresh = anon_vma_alloc(sys);
		if (!av) {
			chain_free(sys, avc);
			return -ENOMEM;
		}
		av->num_children = 1;
	}
	anon_vma_lock_write(av);
	umm_mutex_lock(&vma->mm->anon_lock);
	if (!vma->anon_vma) {
		chain_link(vma, avc, av);
		av->num_active_vmas++;
		/* Last: who sees the pointer may use all of it. */
		__atomic_store_n(&vma->anon_vma, av, __ATOMIC_RELEASE);
		avc = NULL;
		fresh = NULL;
	}
	umm_mutex_unlock(&vma->mm->anon_lock);
	anon_vma_unlock_write(av);
	chain_free(sys, avc);
	if (fresh)
		anon_vma_put(fresh);
	return 0;
}

/* Root lock held: may a forked area call @av its own, although another one made it? */
static bool anon_vma_reusable(const struct anon_vma *av)
{
	return av->num_children < 2 && !av->num_active_vmas;
}

/*
 * => mmap_lock of dst's mm held for writing, or dst not visible yet; its start,
 *    end and pgoff are set.
 * => dst->anon_vma is src's (a split or a move) or NULL (fork: an ancestor's
 *    that can be taken again is set).
 * => on failure dst is in no tree and has no anon_vma.
 */
int anon_vma_clone(struct vma *dst, const struct vma *src)
{
	struct mm_sys *sys = dst->mm->sys;
	struct anon_vma *root;
	int ret = 0;

	if (!src->anon_vma)
		return 0;
	root = anon_vma_root(src->anon_vma);
	umm_write_lock(&root->lock);
	for (const struct list_head *l = src->anon_vma_chain.prev; l != &src->anon_vma_chain;
	     l = l->prev) {
		struct anon_vma *av = list_entry(l, struct anon_vma_chain, same_vma)->anon_vma;
		struct anon_vma_chain *avc = chain_alloc(sys);

		if (!avc) {
			ret = -ENOMEM;
			break;
		}
		chain_link(dst, avc, av);
		if (!dst->anon_vma && anon_vma_reusable(av))
			dst->anon_vma = av;
	}
	if (!ret && dst->anon_vma)
		dst->anon_vma->num_active_vmas++;
	umm_write_unlock(&root->lock);
	if (ret) {
		dst->anon_vma = NULL;
		unlink_anon_vmas(dst);
	}
	return ret;
}

/* => mmap_lock of both mms held for writing. On failure the child is in no tree. */
int anon_vma_fork(struct vma *child, const struct vma *parent)
{
	struct mm_sys *sys = child->mm->sys;
	struct anon_vma_chain *avc;
	struct anon_vma *av;
	int ret;

	child->anon_vma = NULL;
	if (!parent->anon_vma)
		return 0;
	ret = anon_vma_clone(child, parent);
	if (ret || child->anon_vma)
		return ret;
	av = anon_vma_alloc(sys);
	avc = chain_alloc(sys);
	if (!av || !avc) {
		chain_free(sys, avc);
		if (av)
			anon_vma_put(av);
		unlink_anon_vmas(child);
		return -ENOMEM;
	}
	av->parent = parent->anon_vma;
	__atomic_store_n(&av->root, anon_vma_root(parent->anon_vma), __ATOMIC_RELEASE);
	anon_vma_get(av->root);
	anon_vma_lock_write(av);
	chain_link(child, avc, av);
	av->num_active_vmas = 1;
	av->parent->num_children++;
	child->anon_vma = av;
	anon_vma_unlock_write(av);
	return 0;
}

/*
 * Two passes: anon_vmas that lost their last area are put after the lock is
 * released, as the root, whose lock it is, may be among them.
 * => no entry of the area is left; mmap_lock held for writing.
 */
void unlink_anon_vmas(struct vma *vma)
{
	struct mm_sys *sys = vma->mm->sys;
	struct anon_vma_chain *avc, *tmp;
	struct anon_vma *root;

	if (list_empty(&vma->anon_vma_chain))
		return;
	avc = list_first_entry(&vma->anon_vma_chain, struct anon_vma_chain, same_vma);
	root = anon_vma_root(avc->anon_vma);
	umm_write_lock(&root->lock);
	list_for_each_entry_safe(avc, tmp, &vma->anon_vma_chain, same_vma)
	{
		struct anon_vma *av = avc->anon_vma;

		itree_remove(&av->tree, &avc->node);
		if (itree_empty(&av->tree)) {
			av->parent->num_children--;
			continue;
		}
		list_del(&avc->same_vma);
		chain_free(sys, avc);
	}
	if (vma->anon_vma)
		vma->anon_vma->num_active_vmas--;
	vma->anon_vma = NULL;
	umm_write_unlock(&root->lock);

	list_for_each_entry_safe(avc, tmp, &vma->anon_vma_chain, same_vma)
	{
		mm_assert(!avc->anon_vma->num_children && !avc->anon_vma->num_active_vmas);
		anon_vma_put(avc->anon_vma);
		list_del(&avc->same_vma);
		chain_free(sys, avc);
	}
}

/* The area was joined to one with the same chain and is in no tree any more. */
void anon_vma_chain_drop(struct vma *vma)
{
	struct anon_vma_chain *avc, *tmp;

	if (!vma->anon_vma)
		return;
	vma_lock_anon(vma);
	vma->anon_vma->num_active_vmas--;
	vma_unlock_anon(vma);
	vma->anon_vma = NULL;
	list_for_each_entry_safe(avc, tmp, &vma->anon_vma_chain, same_vma)
	{
		list_del(&avc->same_vma);
		chain_free(vma->mm->sys, avc);
	}
}
