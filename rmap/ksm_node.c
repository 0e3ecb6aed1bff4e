/* SPDX-License-Identifier: MIT */
/* KSM: merged folios, their stable nodes, and the places that share them. */
#include "rmap/ksm.h"

struct folio *ksm_node_get_folio(struct ksm *k, struct ksm_stable_node *node)
{
	struct folio *f;

	umm_mutex_lock(&k->lock);
	f = node->folio;
	if (f && !folio_try_get(f))
		f = NULL;
	umm_mutex_unlock(&k->lock);
	return f;
}

bool ksm_node_has_room(const struct ksm *k, const struct ksm_stable_node *node)
{
	return __atomic_load_n(&node->nr_items, __ATOMIC_RELAXED) <
	       ksm_get(k->sys, KSM_MAX_PAGE_SHARING);
}

/* ---- places ------------------------------------------------------------------- */

static void item_free(struct mm_sys *sys, struct ksm_rmap_item *item)
{
	list_del(&item->link);
	anon_vma_put(item->anon_vma);
	sys_free(sys, item, sizeof(*item));
}

static void count_items(struct ksm_stable_node *node, int32_t delta)
{
	__atomic_fetch_add(&node->nr_items, (uint32_t)delta, __ATOMIC_RELAXED);
}

static struct ksm_rmap_item *item_find(struct ksm_stable_node *node, const struct anon_vma *root,
				       uint64_t index)
{
	struct ksm_rmap_item *item;

	list_for_each_entry(item, &node->items, link)
	{
		if (item->anon_vma == root && item->index.v == index)
			return item;
	}
	return NULL;
}

static int item_add(struct mm_sys *sys, struct ksm_stable_node *node, struct mm *mm,
		    struct anon_vma *root, uint64_t index)
{
	struct ksm_rmap_item *item = sys_alloc(sys, sizeof(*item));

	if (!item)
		return -ENOMEM;
	anon_vma_get(root);
	*item = (struct ksm_rmap_item){ .mm = mm, .anon_vma = root, .index = pgoff_make(index) };
	list_add(&item->link, &node->items);
	count_items(node, 1);
	return 0;
}

int ksm_node_add_place(struct ksm *k, struct folio *f, struct mm *mm, struct anon_vma *av,
		       uint64_t index, bool *added)
{
	struct ksm_stable_node *node = folio_stable_node(f);
	struct anon_vma *root = anon_vma_root(av);
	int ret;

	mm_assert(folio_test(f, PG_locked));
	*added = false;
	if (item_find(node, root, index))
		return 0;
	if (!ksm_node_has_room(k, node))
		return -EBUSY;
	ret = item_add(k->sys, node, mm, root, index);
	*added = !ret;
	return ret;
}

void ksm_node_drop_place(struct ksm *k, struct folio *f, struct anon_vma *av, uint64_t index)
{
	struct ksm_stable_node *node = folio_stable_node(f);
	struct ksm_rmap_item *item = item_find(node, anon_vma_root(av), index);

	mm_assert(folio_test(f, PG_locked));
	if (!item)
		return;
	count_items(node, -1);
	item_free(k->sys, item);
}

/* ---- a folio becomes merged, and ordinary again ----------------------------------- */

int ksm_node_make(struct ksm *k, struct folio *f, struct mm *mm)
{
	struct ksm_stable_node *node;
	struct anon_vma *av;
	int ret = -ENOMEM;

	mm_assert(folio_test(f, PG_locked) && !f->order);
	av = folio_get_anon_vma(f);
	if (!av)
		return -EAGAIN;
	node = sys_alloc(k->sys, sizeof(*node));
	if (!node)
		goto out;
	list_init(&node->items);
	/* All that map the folio now are in the root's tree, under its own index. */
	ret = item_add(k->sys, node, mm, anon_vma_root(av), f->index.v);
	if (ret) {
		sys_free(k->sys, node, sizeof(*node));
		goto out;
	}
	node->folio = f;
	umm_mutex_lock(&k->lock);
	list_add_tail(&node->all, &k->nodes);
	umm_mutex_unlock(&k->lock);
	/* Swap must write it, and nobody takes it for free of content. */
	folio_set(f, PG_dirty);
	__atomic_store_n(&f->mapping, (uintptr_t)node | FOLIO_MAPPING_KSM, __ATOMIC_RELEASE);
out:
	anon_vma_put(av);
	return ret;
}

/* The folio is not the node's any more; the scanner frees the node. */
static void node_bury(struct ksm *k, struct ksm_stable_node *node)
{
	umm_mutex_lock(&k->lock);
	node->folio = NULL;
	list_move_tail(&node->all, &k->dead);
	umm_mutex_unlock(&k->lock);
}

bool ksm_node_unmake(struct ksm *k, struct folio *f)
{
	struct ksm_stable_node *node = folio_stable_node(f);
	struct ksm_rmap_item *item;

	mm_assert(folio_test(f, PG_locked) && folio_test_ksm(f));
	if (node->nr_items != 1 || folio_test(f, PG_swapcache) || !folio_mapped(f))
		return false;
	item = list_first_entry(&node->items, struct ksm_rmap_item, link);
	__atomic_store_n(&f->index.v, item->index.v, __ATOMIC_RELAXED);
	__atomic_store_n(&f->mapping, (uintptr_t)item->anon_vma | FOLIO_MAPPING_ANON,
			 __ATOMIC_RELEASE);
	count_items(node, -1);
	node_bury(k, node);
	item_free(k->sys, item);
	return true;
}

void ksm_folio_freed(struct mm_sys *sys, struct folio *f)
{
	struct ksm_stable_node *node = folio_stable_node(f);
	struct ksm_rmap_item *item, *tmp;

	/* Nobody has the folio, so nobody walks its list; the node may go once it is buried. */
	list_for_each_entry_safe(item, tmp, &node->items, link) item_free(sys, item);
	node_bury(sys->ksm, node);
}

void ksm_folio_poisoned(struct mm_sys *sys, struct folio *f)
{
	mm_assert(folio_test(f, PG_locked) && !folio_mapped(f));
	ksm_folio_freed(sys, f);
	__atomic_store_n(&f->mapping, FOLIO_MAPPING_ANON, __ATOMIC_RELEASE);
}

void ksm_folio_moved(struct mm_sys *sys, struct folio *src, struct folio *dst)
{
	struct ksm_stable_node *node = folio_stable_node(src);
	struct ksm *k = sys->ksm;

	mm_assert(!folio_refcount(src));
	umm_mutex_lock(&k->lock);
	node->folio = dst;
	umm_mutex_unlock(&k->lock);
	__atomic_store_n(&dst->mapping, (uintptr_t)node | FOLIO_MAPPING_KSM, __ATOMIC_RELEASE);
	/* Still anonymous, for whoever asks about a migration entry; but of no node. */
	__atomic_store_n(&src->mapping, FOLIO_MAPPING_ANON, __ATOMIC_RELEASE);
}

/* ---- forgetting places --------------------------------------------------------------- */

/*
 * anon_vma locked for reading. The one area that has the page maps another one there,
 * and nobody forks or moves it now: the page can come back to no area.
 */
static bool sole_area_lost_it(struct folio *f, struct vma *vma, gva_t addr)
{
	struct page_vma_mapped_walk w;
	bool mapped;

	if (!umm_read_trylock(&vma->mm->mmap_lock))
		return false;
	pvmw_init(&w, f, vma, addr, PVMW_SYNC);
	mapped = page_vma_mapped_walk(&w);
	if (mapped)
		page_vma_mapped_walk_done(&w);
	umm_read_unlock(&vma->mm->mmap_lock);
	return !mapped;
}

/* No entry maps the folio for this place, and none ever will. */
static bool item_is_dead(struct folio *f, struct ksm_rmap_item *item)
{
	struct itree_node *n;
	struct vma *vma = NULL;
	bool several = false, dead;
	gva_t addr;

	anon_vma_lock_read(item->anon_vma);
	itree_for_each(n, &item->anon_vma->tree, item->index.v, item->index.v)
	{
		several = vma;
		vma = container_of(n, struct anon_vma_chain, node)->vma;
		if (several)
			break;
	}
	dead = !vma || (!several && !vma_address(vma, item->index, 1, &addr) &&
			sole_area_lost_it(f, vma, addr));
	anon_vma_unlock_read(item->anon_vma);
	return dead;
}

void ksm_node_prune(struct ksm *k, struct ksm_stable_node *node)
{
	struct folio *f = ksm_node_get_folio(k, node);
	struct ksm_rmap_item *item, *tmp;

	if (!f)
		return;
	if (__atomic_load_n(&node->nr_items, __ATOMIC_RELAXED) <= (uint32_t)folio_mapcount(f) ||
	    !folio_trylock(f))
		goto out;
	/* It may have moved before it was locked. Swap entries may bring it back to any place. */
	if (!folio_test_ksm(f) || folio_test(f, PG_swapcache))
		goto out_unlock;
	list_for_each_entry_safe(item, tmp, &node->items, link)
	{
		if (item_is_dead(f, item)) {
			count_items(node, -1);
			item_free(k->sys, item);
		}
	}
out_unlock:
	folio_unlock(k->sys, f);
out:
	folio_put(k->sys, f);
}

/* ---- for the validator ------------------------------------------------------------------ */

const char *ksm_folio_wrong(struct mm_sys *sys, struct folio *f)
{
	struct ksm_stable_node *node = folio_stable_node(f);
	struct ksm_rmap_item *item;
	uint32_t nr = 0;

	(void)sys;
	list_for_each_entry(item, &node->items, link)
	{
		nr++;
		if (item->anon_vma->root != item->anon_vma)
			return "one of its places names no root";
		if (item_find(node, item->anon_vma, item->index.v) != item)
			return "one of its places is there twice";
	}
	if (node->folio != f)
		return "its stable node is another's";
	if (nr != node->nr_items)
		return "the number of its places is wrong";
	if (f->order || folio_test(f, PG_anon_exclusive))
		return "it is large, or exclusive to one process";
	return NULL;
}
