/* SPDX-License-Identifier: MIT */
/*
 * Shared anonymous memory: an object without a file. Its pages are in the page
 * cache or, swapped out, in the slot that stands in their place in the tree.
 */
#include "rmap/internal.h"

/* Locked folio of the swap cache: back into the object, if @v still stands there. */
static int take_back(struct address_space *m, pgoff_t index, uintptr_t v, struct folio *f)
{
	struct mm_sys *sys = m->sys;
	int ret = -EAGAIN;

	if (!folio_test(f, PG_swapcache) || f->swap != shmem_entry(v).v)
		return -EAGAIN;
	umm_mutex_lock(&m->tree_lock);
	if (radix_get(&m->pages, index.v) == v) {
		ret = radix_set(&m->pages, index.v, (uintptr_t)f);
		if (!ret) {
			folio_get(f);
			f->index = index;
			__atomic_store_n(&f->mapping, (uintptr_t)m, __ATOMIC_RELEASE);
			__atomic_fetch_add(&folio_node(sys, f)->nr_shmem, 1, __ATOMIC_RELAXED);
		}
	}
	umm_mutex_unlock(&m->tree_lock);
	if (!ret) {
		swap_put(sys, shmem_entry(v));
		swap_try_free(sys, f);
	}
	return ret;
}

static int swap_back(struct address_space *m, pgoff_t index, uintptr_t v)
{
	struct mm_sys *sys = m->sys;
	swp_entry_t e = shmem_entry(v);
	struct place place = place_for_page(m, index);
	struct folio *f;
	int ret = swap_read_folios(sys, &e, &place, 1, &f);

	if (!f)
		return ret == -ENOMEM || ret == -EIO ? ret : 0;
	/* The validator must not look between the tree and the slot's count. */
	umm_read_lock(&sys->work_lock);
	folio_lock(sys, f);
	ret = take_back(m, index, v, f);
	folio_unlock(sys, f);
	umm_read_unlock(&sys->work_lock);
	folio_put(sys, f);
	return ret == -EAGAIN ? 0 : ret;
}

static bool past_end(const struct address_space *m, pgoff_t index)
{
	uint64_t size = __atomic_load_n(&m->shmem_size, __ATOMIC_SEQ_CST);

	return index.v >= page_align_up(size) >> UMM_PAGE_SHIFT;
}

static int make_page(struct address_space *m, pgoff_t index)
{
	struct mm_sys *sys = m->sys;
	struct folio *f = folio_alloc_at(sys, place_for_page(m, index), 0, ALLOC_ZERO);
	int ret;

	if (!f)
		return -ENOMEM;
	if (!folio_trylock(f))
		mm_assert(false);
	folio_set(f, PG_swapbacked);
	folio_set(f, PG_uptodate);
	ret = pagecache_insert(m, index, f);
	/* Truncated since it was asked for, perhaps before the page was there to be found. */
	if (!ret && past_end(m, index)) {
		pagecache_remove(sys, f, true);
		ret = -EFAULT;
	}
	if (!ret)
		lru_add(sys, f, false);
	folio_unlock(sys, f);
	folio_put(sys, f);
	return ret == -EEXIST ? 0 : ret;
}

int shmem_fill(struct address_space *m, pgoff_t index)
{
	uintptr_t v;

	if (past_end(m, index))
		return -EFAULT;
	umm_mutex_lock(&m->tree_lock);
	v = radix_get(&m->pages, index.v);
	umm_mutex_unlock(&m->tree_lock);
	if (v & 1)
		return swap_back(m, index, v);
	return v ? 0 : make_page(m, index);
}

bool shmem_swapout(struct mm_sys *sys, struct folio *f)
{
	struct address_space *m = folio_file_mapping(f);
	swp_entry_t e = { f->swap };
	bool moved = false;

	mm_assert(folio_test(f, PG_locked) && folio_test(f, PG_swapcache) && m && !m->ops);
	if (swap_dup(sys, e))
		return false;
	umm_mutex_lock(&m->tree_lock);
	/* Both caches' references and the caller's. */
	if (folio_ref_freeze(f, 3)) {
		int ret = radix_set(&m->pages, f->index.v, shmem_value(e));

		mm_assert(!ret);
		(void)ret;
		__atomic_store_n(&f->mapping, 0, __ATOMIC_RELEASE);
		__atomic_fetch_sub(&folio_node(sys, f)->nr_shmem, 1, __ATOMIC_RELAXED);
		folio_ref_unfreeze(f, 2);
		moved = true;
	}
	umm_mutex_unlock(&m->tree_lock);
	if (!moved)
		swap_put(sys, e);
	return moved;
}
