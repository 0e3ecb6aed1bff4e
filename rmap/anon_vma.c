/* SPDX-License-Identifier: MIT */
/*
 * anon_vma: which areas may map an anonymous folio.
 *
 * A folio names one anon_vma; that one's tree lists every area which may hold
 * an entry for the folio. Three rules keep that true:
 *   - an area is in the tree of its own anon_vma, where its new folios go;
 *   - fork puts the child's area in every tree that the parent's area is in
 *     (the shared folios are there), and gives it an anon_vma of its own below
 *     the parent's (its new folios go there, and nobody else looks at them);
 *   - split and mremap put the new area in every tree that the old one is in.
 * All areas of a family are thus under one root, whose lock guards all of it.
 *
 *	parent area --- root        child area --- root
 *	                                      `--- child's own (parent: root)
 *
 * Left alone, a process that forks, and whose child forks and exits its parent
 * and so on, would drag along one empty anon_vma a generation. So fork takes an
 * ancestor's anon_vma again when no area calls it its own any more
 * (num_active_vmas == 0) and at most one anon_vma hangs below it
 * (num_children < 2; a root counts itself). The first condition alone is what
 * makes this safe: an anon_vma with an owner must not get a second one that did
 * not come from a split of the first, or a merge would find "equal" anon_vmas in
 * areas whose chains differ, and drop the chain that it needed (CVE-2022-42703).
 * The second keeps the tree a tree: a generation never shares one anon_vma.
 *
 * Lifetime. refcount: one for being linked, one a child (on the root only), one
 * a walker. At zero the memory goes to the system's cache, never to the host:
 * a walker reads folio->mapping without any lock, so what it points at must
 * stay an anon_vma with a working lock, whosever it is by then. After locking,
 * the walker asks whether folio->mapping still says the same and the folio is
 * still mapped. Both true, with the lock held, means that this anon_vma is the
 * folio's and cannot be freed: unlinking the last area needs the lock for
 * writing, and comes after the area's entries are gone.
 *
 * mm->anon_lock (a leaf) publishes the first anon_vma of an area: faults hold
 * mmap_lock for reading only, so two may want to give the area one at a time.
 */
#include "rmap/vma.h"

/* ---- memory ----------------------------------------------------------- */

static struct anon_vma *root_of(const struct anon_vma *av)
{
	return __atomic_load_n(&av->root, __ATOMIC_ACQUIRE);
}

static struct anon_vma *cache_pop(struct mm_sys *sys)
{
	struct anon_vma *av;

	umm_mutex_lock(&sys->anon_cache_lock);
	av = sys->anon_cache;
	if (av)
		sys->anon_cache = av->next_free;
	umm_mutex_unlock(&sys->anon_cache_lock);
	return av;
}

static void cache_push(struct anon_vma *av)
{
	struct mm_sys *sys = av->sys;

	sys_object(sys, OBJ_ANON_VMA, -1);
	umm_mutex_lock(&sys->anon_cache_lock);
	av->next_free = sys->anon_cache;
	sys->anon_cache = av;
	umm_mutex_unlock(&sys->anon_cache_lock);
}

/* One reference, no area, its own root and parent. */
static struct anon_vma *anon_vma_alloc(struct mm_sys *sys)
{
	struct anon_vma *av = cache_pop(sys);

	if (!av) {
		av = sys_alloc(sys, sizeof(*av));
		if (!av)
			return NULL;
		av->sys = sys;
		umm_rwlock_init(&av->lock, LOCK_ANON_VMA);
	}
	sys_object(sys, OBJ_ANON_VMA, 1);
	itree_init(&av->tree);
	av->num_children = 0;
	av->num_active_vmas = 0;
	av->parent = av;
	__atomic_store_n(&av->root, av, __ATOMIC_RELEASE);
	__atomic_store_n(&av->refcount, 1, __ATOMIC_RELEASE);
	return av;
}

void anon_vma_cache_destroy(struct mm_sys *sys)
{
	struct anon_vma *av;

	mm_assert(!mm_sys_objects(sys, OBJ_ANON_VMA));
	while ((av = cache_pop(sys))) {
		umm_rwlock_destroy(&av->lock);
		sys_free(sys, av, sizeof(*av));
	}
}

void anon_vma_get(struct anon_vma *av)
{
	__atomic_fetch_add(&av->refcount, 1, __ATOMIC_RELAXED);
}

static bool anon_vma_try_get(struct anon_vma *av)
{
	int32_t refs = __atomic_load_n(&av->refcount, __ATOMIC_RELAXED);

	while (refs)
		if (__atomic_compare_exchange_n(&av->refcount, &refs, refs + 1, true,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	return false;
}

void anon_vma_put(struct anon_vma *av)
{
	struct anon_vma *root = root_of(av);

	if (__atomic_sub_fetch(&av->refcount, 1, __ATOMIC_ACQ_REL))
		return;
	cache_push(av);
	if (root != av)
		anon_vma_put(root);
}

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

/* ---- locks ------------------------------------------------------------ */

void anon_vma_lock_read(struct anon_vma *av)
{
	umm_read_lock(&root_of(av)->lock);
}

bool anon_vma_trylock_read(struct anon_vma *av)
{
	return umm_read_trylock(&root_of(av)->lock);
}

void anon_vma_unlock_read(struct anon_vma *av)
{
	umm_read_unlock(&root_of(av)->lock);
}

void anon_vma_lock_write(struct anon_vma *av)
{
	umm_write_lock(&root_of(av)->lock);
}

void anon_vma_unlock_write(struct anon_vma *av)
{
	umm_write_unlock(&root_of(av)->lock);
}

void vma_lock_anon(struct vma *vma)
{
	if (vma->anon_vma)
		anon_vma_lock_write(vma->anon_vma);
}

void vma_unlock_anon(struct vma *vma)
{
	if (vma->anon_vma)
		anon_vma_unlock_write(vma->anon_vma);
}

/* ---- from a folio ----------------------------------------------------- */

static struct anon_vma *mapping_anon_vma(uintptr_t mapping)
{
	if ((mapping & FOLIO_MAPPING_FLAGS) != FOLIO_MAPPING_ANON)
		return NULL;
	return (struct anon_vma *)(mapping & ~FOLIO_MAPPING_FLAGS);
}

struct anon_vma *folio_lock_anon_vma_read(struct folio *folio, struct rmap_walk_control *rwc)
{
	for (;;) {
		uintptr_t mapping = folio_mapping_raw(folio);
		struct anon_vma *av = mapping_anon_vma(mapping), *root;

		if (!av || !folio_mapped(folio))
			return NULL;
		root = root_of(av);
		if (!umm_read_trylock(&root->lock)) {
			if (rwc && rwc->try_lock) {
				rwc->contended = true;
				return NULL;
			}
			umm_read_lock(&root->lock);
		}
		if (folio_mapping_raw(folio) == mapping && root_of(av) == root) {
			if (folio_mapped(folio))
				return av;
			umm_read_unlock(&root->lock);
			return NULL;
		}
		/* Moved to another anon_vma while we waited. */
		umm_read_unlock(&root->lock);
	}
}

struct anon_vma *folio_get_anon_vma(struct folio *folio)
{
	for (;;) {
		uintptr_t mapping = folio_mapping_raw(folio);
		struct anon_vma *av = mapping_anon_vma(mapping);

		if (!av || !folio_mapped(folio))
			return NULL;
		if (!anon_vma_try_get(av)) {
			if (folio_mapping_raw(folio) == mapping)
				return NULL;
			continue;
		}
		if (folio_mapping_raw(folio) == mapping && folio_mapped(folio))
			return av;
		anon_vma_put(av);
	}
}

/* ---- an area's chain -------------------------------------------------- */

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
	root = root_of(src->anon_vma);
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
	__atomic_store_n(&av->root, root_of(parent->anon_vma), __ATOMIC_RELEASE);
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
	root = root_of(avc->anon_vma);
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
