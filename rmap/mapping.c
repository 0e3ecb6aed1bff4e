/* SPDX-License-Identifier: MIT */
/* The life of an address_space; truncation and invalidation. */
#include "rmap/internal.h"

int mapping_create(struct mm_sys *sys, const struct mapping_ops *ops, void *file,
		   uint64_t shmem_size, struct address_space **out)
{
	struct address_space *m = sys_alloc(sys, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->sys = sys;
	m->ops = ops;
	m->file = file;
	m->shmem_size = shmem_size;
	m->refcount = 1;
	umm_rwlock_init(&m->i_mmap_lock, LOCK_I_MMAP);
	umm_mutex_init(&m->tree_lock, LOCK_TREE);
	itree_init(&m->i_mmap);
	radix_init(&m->pages, sys->ops, sys->ctx);
	list_init(&m->policies);
	list_init(&m->holds);
	umm_mutex_lock(&sys->mappings_lock);
	list_add_tail(&m->all, &sys->mappings);
	umm_mutex_unlock(&sys->mappings_lock);
	sys_object(sys, OBJ_ADDRESS_SPACE, 1);
	*out = m;
	return 0;
}

struct address_space *mapping_get(struct address_space *m)
{
	__atomic_fetch_add(&m->refcount, 1, __ATOMIC_RELAXED);
	return m;
}

bool mapping_try_get(struct address_space *m)
{
	int32_t ref = __atomic_load_n(&m->refcount, __ATOMIC_ACQUIRE);

	while (ref > 0) {
		if (__atomic_compare_exchange_n(&m->refcount, &ref, ref + 1, true, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

/* Take one folio out of the cache for good; who holds it keeps a page of no object. */
static void drop_folio(struct address_space *m, struct folio *f)
{
	struct mm_sys *sys = m->sys;

	folio_lock(sys, f);
	/* A fault may have mapped it again until the lock was ours. */
	while (folio_file_mapping(f) == m && !pagecache_remove(sys, f, true))
		unmap_mapping_range(m, f->index, f->index, false);
	folio_unlock(sys, f);
}

/* Swapped-out pages of shared memory in [first, last]. */
static void drop_swapped(struct address_space *m, pgoff_t first, pgoff_t last)
{
	pgoff_t index = first;
	uintptr_t v;

	umm_mutex_lock(&m->tree_lock);
	for (; (v = radix_next(&m->pages, &index.v)) && index.v <= last.v; index.v++) {
		if (!(v & 1))
			continue;
		radix_clear(&m->pages, index.v);
		umm_mutex_unlock(&m->tree_lock);
		swap_put(m->sys, shmem_entry(v));
		umm_mutex_lock(&m->tree_lock);
	}
	umm_mutex_unlock(&m->tree_lock);
}

/* Everything in [first, last] leaves the cache. */
static void drop_pages(struct address_space *m, pgoff_t first, pgoff_t last)
{
	struct mm_sys *sys = m->sys;
	pgoff_t index = first;
	struct folio *f;

	while ((f = pagecache_next(m, &index, last))) {
		umm_read_lock(&sys->work_lock);
		drop_folio(m, f);
		umm_read_unlock(&sys->work_lock);
		folio_put(sys, f);
		index.v++;
	}
	if (!m->ops)
		drop_swapped(m, first, last);
}

void mapping_put(struct address_space *m)
{
	struct mm_sys *sys = m->sys;

	if (__atomic_sub_fetch(&m->refcount, 1, __ATOMIC_ACQ_REL))
		return;
	mm_assert(itree_empty(&m->i_mmap) && list_empty(&m->holds));
	/* An error here has no one left to hear it; Linux drops such pages too. */
	(void)!mapping_write_range(m, pgoff_make(0), pgoff_make(UINT64_MAX));
	drop_pages(m, pgoff_make(0), pgoff_make(UINT64_MAX));
	umm_mutex_lock(&sys->mappings_lock);
	list_del(&m->all);
	umm_mutex_unlock(&sys->mappings_lock);
	sys_commit(sys, -(int64_t)m->committed);
	if (m->ops && m->ops->release)
		m->ops->release(m->file);
	shared_policies_drop(m);
	radix_destroy(&m->pages);
	umm_mutex_destroy(&m->tree_lock);
	umm_rwlock_destroy(&m->i_mmap_lock);
	sys_free(sys, m, sizeof(*m));
	sys_object(sys, OBJ_ADDRESS_SPACE, -1);
}

/* The last page keeps its head; what lies behind @size in it reads as zero. */
static void clear_tail(struct address_space *m, uint64_t size)
{
	struct mm_sys *sys = m->sys;
	uint64_t in_page = size & ~UMM_PAGE_MASK;
	struct folio *f;

	if (!in_page)
		return;
	f = pagecache_find(m, pgoff_make(size >> UMM_PAGE_SHIFT));
	if (!f)
		return;
	umm_read_lock(&sys->work_lock);
	folio_lock(sys, f);
	if (folio_file_mapping(f) == m)
		memset((char *)frame_hva(sys, folio_pfn(sys, f)) + in_page, 0,
		       UMM_PAGE_SIZE - in_page);
	folio_unlock(sys, f);
	umm_read_unlock(&sys->work_lock);
	folio_put(sys, f);
}

/* Pages [first, last] are gone from every process, private copies too, and from the cache. */
static void drop_range(struct address_space *m, pgoff_t first, pgoff_t last)
{
	struct mm_sys *sys = m->sys;

	umm_read_lock(&sys->work_lock);
	unmap_mapping_range(m, first, last, true);
	umm_read_unlock(&sys->work_lock);
	drop_pages(m, first, last);
	/*
	 * A fault that looked at the size before it changed may have mapped a
	 * page, or copied one, since the first pass.
	 */
	umm_read_lock(&sys->work_lock);
	unmap_mapping_range(m, first, last, true);
	umm_read_unlock(&sys->work_lock);
}

void mapping_truncate(struct address_space *m, uint64_t size)
{
	pgoff_t first = pgoff_make(page_align_up(size) >> UMM_PAGE_SHIFT);

	if (!m->ops)
		__atomic_store_n(&m->shmem_size, size, __ATOMIC_SEQ_CST);
	drop_range(m, first, pgoff_make(UINT64_MAX));
	clear_tail(m, size);
}

void mapping_punch(struct address_space *m, pgoff_t first, pgoff_t last)
{
	struct mm_sys *sys = m->sys;

	/* Private copies stay: a hole in shared memory does not shorten it. */
	umm_read_lock(&sys->work_lock);
	unmap_mapping_range(m, first, last, false);
	umm_read_unlock(&sys->work_lock);
	drop_pages(m, first, last);
}

void mapping_invalidate(struct address_space *m)
{
	struct mm_sys *sys = m->sys;
	pgoff_t index = pgoff_make(0);
	struct folio *f;

	while ((f = pagecache_next(m, &index, pgoff_make(UINT64_MAX)))) {
		umm_read_lock(&sys->work_lock);
		folio_lock(sys, f);
		if (folio_file_mapping(f) == m && !folio_test(f, PG_dirty) && !folio_mapped(f))
			(void)pagecache_remove(sys, f, false);
		folio_unlock(sys, f);
		umm_read_unlock(&sys->work_lock);
		folio_put(sys, f);
		index.v++;
	}
}
