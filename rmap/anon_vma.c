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

struct anon_vma *anon_vma_alloc(struct mm_sys *sys)
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
	anon_vma_get_many(av, 1);
}

void anon_vma_get_many(struct anon_vma *av, int32_t nr)
{
	__atomic_fetch_add(&av->refcount, nr, __ATOMIC_RELAXED);
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
	anon_vma_put_many(av, 1);
}

void anon_vma_put_many(struct anon_vma *av, int32_t nr)
{
	struct anon_vma *root = anon_vma_root(av);

	if (__atomic_sub_fetch(&av->refcount, nr, __ATOMIC_ACQ_REL))
		return;
	cache_push(av);
	if (root != av)
		anon_vma_put(root);
}

/* ---- locks ------------------------------------------------------------ */

void anon_vma_lock_read(struct anon_vma *av)
{
	umm_read_lock(&anon_vma_root(av)->lock);
}

bool anon_vma_trylock_read(struct anon_vma *av)
{
	return umm_read_trylock(&anon_vma_root(av)->lock);
}

void anon_vma_unlock_read(struct anon_vma *av)
{
	umm_read_unlock(&anon_vma_root(av)->lock);
}

void anon_vma_lock_write(struct anon_vma *av)
{
	umm_write_lock(&anon_vma_root(av)->lock);
}

void anon_vma_unlock_write(struct anon_vma *av)
{
	umm_write_unlock(&anon_vma_root(av)->lock);
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
		root = anon_vma_root(av);
		if (!umm_read_trylock(&root->lock)) {
			if (rwc && rwc->try_lock) {
				rwc->contended = true;
				return NULL;
			}
			umm_read_lock(&root->lock);
		}
		if (folio_mapping_raw(folio) == mapping && anon_vma_root(av) == root) {
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
