/* SPDX-License-Identifier: MIT */
/*
 * The page cache: pages of files and of shared memory, in guest frames.
 *
 * mapping->pages leads from a page index to a folio (of order 0), which holds
 * one reference for being there. A folio is found under tree_lock, locked, and
 * its mapping checked again: truncation may have been faster.
 *
 * A miss reads the missing pages of an aligned window in one request (one per
 * run of consecutive frames), as the neighbours will be mapped around it.
 */
#include "rmap/internal.h"

#define READ_WINDOW 64u

static bool value_is_folio(uintptr_t v)
{
	return v && !(v & 1);
}

/* tree_lock held. */
static struct folio *get_folio(uintptr_t v)
{
	struct folio *f = (struct folio *)v;

	return value_is_folio(v) && folio_try_get(f) ? f : NULL;
}

struct folio *pagecache_find(struct address_space *m, pgoff_t index)
{
	struct folio *f;

	umm_mutex_lock(&m->tree_lock);
	f = get_folio(radix_get(&m->pages, index.v));
	umm_mutex_unlock(&m->tree_lock);
	return f;
}

bool pagecache_is(const struct address_space *m, pgoff_t index, struct folio *f)
{
	return folio_file_mapping(f) == m && f->index.v == index.v && folio_test(f, PG_uptodate);
}

struct folio *pagecache_next(struct address_space *m, pgoff_t *index, pgoff_t last)
{
	struct folio *f = NULL;
	uintptr_t v;

	umm_mutex_lock(&m->tree_lock);
	while (!f && (v = radix_next(&m->pages, &index->v)) && index->v <= last.v) {
		f = get_folio(v);
		if (!f)
			index->v++;
	}
	umm_mutex_unlock(&m->tree_lock);
	return f;
}

static int64_t *cache_counter(struct mm_sys *sys, struct address_space *m, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);

	return m->ops ? &n->nr_file : &n->nr_shmem;
}

int pagecache_insert(struct address_space *m, pgoff_t index, struct folio *f)
{
	int ret;

	mm_assert(folio_test(f, PG_locked) && !f->order);
	umm_mutex_lock(&m->tree_lock);
	if (radix_get(&m->pages, index.v)) {
		ret = -EEXIST;
	} else {
		ret = radix_set(&m->pages, index.v, (uintptr_t)f);
		if (!ret) {
			folio_get(f);
			f->index = index;
			__atomic_store_n(&f->mapping, (uintptr_t)m, __ATOMIC_RELEASE);
			__atomic_fetch_add(cache_counter(m->sys, m, f), 1, __ATOMIC_RELAXED);
		}
	}
	umm_mutex_unlock(&m->tree_lock);
	return ret;
}

bool pagecache_remove(struct mm_sys *sys, struct folio *f, bool discard)
{
	struct address_space *m = folio_file_mapping(f);
	bool removed = false;

	mm_assert(folio_test(f, PG_locked));
	if (!m || folio_mapped(f) || (!discard && folio_test(f, PG_dirty)))
		return false;
	umm_mutex_lock(&m->tree_lock);
	if (discard || folio_ref_freeze(f, 2)) {
		radix_clear(&m->pages, f->index.v);
		if (folio_test_clear(f, PG_dirty) && m->ops)
			__atomic_fetch_sub(&m->nr_dirty, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&f->mapping, 0, __ATOMIC_RELEASE);
		__atomic_fetch_sub(cache_counter(sys, m, f), 1, __ATOMIC_RELAXED);
		if (!discard)
			folio_ref_unfreeze(f, 1);
		removed = true;
	}
	umm_mutex_unlock(&m->tree_lock);
	if (removed && discard)
		folio_put(sys, f);
	return removed;
}

void pagecache_replace(struct address_space *m, struct folio *src, struct folio *dst)
{
	int ret;

	umm_mutex_lock(&m->tree_lock);
	ret = radix_set(&m->pages, src->index.v, (uintptr_t)dst);
	mm_assert(!ret); /* replacing cannot fail */
	(void)ret;
	dst->index = src->index;
	__atomic_store_n(&dst->mapping, (uintptr_t)m, __ATOMIC_RELEASE);
	__atomic_store_n(&src->mapping, 0, __ATOMIC_RELEASE);
	__atomic_fetch_sub(cache_counter(m->sys, m, src), 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(cache_counter(m->sys, m, dst), 1, __ATOMIC_RELAXED);
	umm_mutex_unlock(&m->tree_lock);
}

bool folio_mark_dirty(struct folio *f)
{
	struct address_space *m = folio_file_mapping(f);

	if (folio_test_set(f, PG_dirty))
		return false;
	if (m && m->ops)
		__atomic_fetch_add(&m->nr_dirty, 1, __ATOMIC_RELAXED);
	return true;
}

/* ---- filling from a file ------------------------------------------------ */

struct read_window {
	struct folio *folios[READ_WINDOW];
	unsigned int nr;
	unsigned int nr_read; /* of the first folios: those to read */
};

static void abandon(struct mm_sys *sys, struct folio *f)
{
	folio_unlock(sys, f);
	folio_put(sys, f);
}

/* Frames for up to @want pages: one block if there is one, else one frame. */
static unsigned int take_frames(struct address_space *m, uint64_t index, unsigned int want,
				struct folio **out)
{
	struct place place = place_for_page(m, pgoff_make(index));
	struct mm_sys *sys = m->sys;

	if (place.spread)
		want = 1;
	for (unsigned int order = 6; order > 0; order--) {
		unsigned int nr;

		if ((1u << order) > want)
			continue;
		nr = folio_alloc_run(sys, place, order, 0, 0, out);
		if (nr)
			return nr;
	}
	out[0] = folio_alloc_at(sys, place, 0, 0);
	return out[0] ? 1 : 0;
}

/* Enter the folio, locked, into the window and the cache. False: it is not needed. */
static int window_add(struct address_space *m, struct read_window *w, struct folio *f,
		      uint64_t index)
{
	int ret;

	if (!folio_trylock(f))
		return -EAGAIN;
	ret = pagecache_insert(m, pgoff_make(index), f);
	if (ret) {
		abandon(m->sys, f);
		return ret;
	}
	w->folios[w->nr++] = f;
	return 0;
}

/*
 * Put new locked folios at the missing indices of [first, last], @index among
 * them. -ENOMEM only if @index itself got none.
 */
static int window_fill(struct address_space *m, struct read_window *w, uint64_t first,
		       uint64_t last, uint64_t index)
{
	struct folio *frames[READ_WINDOW];
	unsigned int have = 0, used = 0;
	int ret = 0;

	w->nr = 0;
	for (uint64_t i = first; i <= last; i++) {
		struct folio *there = pagecache_find(m, pgoff_make(i));
		int err;

		if (there) {
			folio_put(m->sys, there);
			continue;
		}
		if (used == have) {
			used = 0;
			have = take_frames(m, i, (unsigned int)(last - i + 1), frames);
			if (!have) {
				ret = i <= index ? -ENOMEM : 0;
				break;
			}
		}
		err = window_add(m, w, frames[used++], i);
		if (err == -ENOMEM && i == index)
			ret = err;
	}
	while (used < have)
		folio_put(m->sys, frames[used++]);
	return ret;
}

/*
 * The folios are in the cache, locked. A truncation that began before has changed
 * the size already, and may have looked for pages before they were there: those
 * behind the end are not read. One that begins later finds them.
 */
static void window_cut(struct address_space *m, struct read_window *w)
{
	int64_t size = m->ops->size(m->file);
	uint64_t pages = size < 0 ? 0 : page_align_up((uint64_t)size) >> UMM_PAGE_SHIFT;

	w->nr_read = w->nr;
	while (w->nr_read && w->folios[w->nr_read - 1]->index.v >= pages)
		w->nr_read--;
}

/* Read runs of consecutive pages in consecutive frames with one call each. */
static void window_read(struct address_space *m, struct read_window *w)
{
	struct mm_sys *sys = m->sys;

	for (unsigned int i = 0, run; i < w->nr_read; i += run) {
		pfn_t pfn = folio_pfn(sys, w->folios[i]);
		uint64_t index = w->folios[i]->index.v;
		int ret;

		for (run = 1; i + run < w->nr_read; run++) {
			if (folio_pfn(sys, w->folios[i + run]).v != pfn.v + run ||
			    w->folios[i + run]->index.v != index + run)
				break;
		}
		ret = m->ops->read(m->file, index << UMM_PAGE_SHIFT, frame_hva(sys, pfn),
				   (size_t)run << UMM_PAGE_SHIFT);
		sys_count(sys, EV_PGFILE_READ, run);
		for (unsigned int k = 0; !ret && k < run; k++)
			folio_set(w->folios[i + k], PG_uptodate);
	}
}

/* Unlock; what could not be read leaves the cache again. -EIO if that hit @index. */
static int window_finish(struct address_space *m, struct read_window *w, uint64_t index)
{
	struct mm_sys *sys = m->sys;
	int ret = 0;

	for (unsigned int i = 0; i < w->nr; i++) {
		struct folio *f = w->folios[i];

		if (folio_test(f, PG_uptodate)) {
			lru_add_read(sys, f);
		} else {
			if (f->index.v == index)
				ret = -EIO;
			pagecache_remove(sys, f, true);
		}
		abandon(sys, f);
	}
	return ret;
}

static int file_fill(struct address_space *m, pgoff_t index, bool random)
{
	int64_t size = m->ops->size(m->file);
	uint64_t pages, first = index.v, last = index.v;
	struct read_window w;
	int ret;

	if (size < 0)
		return (int)size;
	pages = page_align_up((uint64_t)size) >> UMM_PAGE_SHIFT;
	if (index.v >= pages)
		return -EFAULT;
	if (!random && frames_nr_free(m->sys) > 16 * READ_WINDOW) {
		first = index.v & ~(uint64_t)(READ_WINDOW - 1);
		last = first + READ_WINDOW - 1 < pages - 1 ? first + READ_WINDOW - 1 : pages - 1;
	}
	ret = window_fill(m, &w, first, last, index.v);
	window_cut(m, &w);
	window_read(m, &w);
	if (ret) {
		(void)window_finish(m, &w, index.v);
		return ret;
	}
	return window_finish(m, &w, index.v);
}

int pagecache_get(struct address_space *m, pgoff_t index, bool random, struct folio **out)
{
	struct mm_sys *sys = m->sys;

	for (;;) {
		struct folio *f = pagecache_find(m, index);
		int ret;

		if (!f) {
			ret = m->ops ? file_fill(m, index, random) : shmem_fill(m, index);
			if (ret)
				return ret;
			continue;
		}
		folio_lock(sys, f);
		if (pagecache_is(m, index, f)) {
			*out = f;
			return 0;
		}
		folio_unlock(sys, f);
		folio_put(sys, f);
	}
}

uint64_t mapping_nr_cached(struct address_space *m)
{
	uint64_t nr = 0;
	pgoff_t index = pgoff_make(0);

	umm_mutex_lock(&m->tree_lock);
	for (uintptr_t v; (v = radix_next(&m->pages, &index.v)); index.v++)
		nr += value_is_folio(v);
	umm_mutex_unlock(&m->tree_lock);
	return nr;
}
