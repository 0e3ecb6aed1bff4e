/* SPDX-License-Identifier: MIT */
/*
 * From the page cache to the file, and from the file to the page cache.
 *
 * An entry of a shared file mapping is writable only while its folio has
 * PG_dirty: fault_wp and fault_file set the bit when they make it so. So the
 * dirty bit of folios is all that has to be looked at, and writing one starts
 * with folio_mkclean(), after which the next store faults and marks it again.
 */
#include "rmap/internal.h"

/* Locked, PG_writeback. The bytes [from, end) of the file that nobody holds. */
static int write_free_bytes(struct address_space *m, struct folio *f, uint64_t from, uint64_t end)
{
	const char *page = frame_hva(m->sys, folio_pfn(m->sys, f));
	uint64_t start = f->index.v << UMM_PAGE_SHIFT, done = from, to = end;
	bool held = false;
	int ret;

	for (; mapping_free_bytes(m, &from, &to); from = done = to, to = end) {
		held = held || from > done;
		ret = m->ops->write(m->file, from, page + (from - start), to - from);
		if (ret)
			return ret;
	}
	return held || done < end ? -EBUSY : 0;
}

/* Locked, PG_writeback, its entries clean. */
static int write_folio(struct address_space *m, struct folio *f)
{
	uint64_t off = f->index.v << UMM_PAGE_SHIFT, len = UMM_PAGE_SIZE;
	int64_t size = m->ops->size(m->file);

	if (size < 0)
		return (int)size;
	if ((uint64_t)size <= off)
		return 0; /* truncated meanwhile: nothing to write to */
	if ((uint64_t)size - off < len)
		len = (uint64_t)size - off;
	return write_free_bytes(m, f, off, off + len);
}

int pagecache_write(struct mm_sys *sys, struct folio *f)
{
	struct address_space *m = folio_file_mapping(f);
	int ret = 0;

	mm_assert(folio_test(f, PG_locked));
	if (!m || !m->ops || !folio_test(f, PG_dirty))
		return 0;
	ret = folio_fill(sys, f);
	if (ret)
		return ret;
	/* Never seen clean and not being written at once: see mapping_write_range(). */
	__atomic_fetch_add(&m->nr_writeback, 1, __ATOMIC_SEQ_CST);
	folio_set(f, PG_writeback);
	folio_mkclean(sys, f);
	folio_clear(f, PG_dirty);
	__atomic_fetch_sub(&m->nr_dirty, 1, __ATOMIC_SEQ_CST);
	ret = write_folio(m, f);
	if (ret)
		folio_mark_dirty(f); /* keep it: it is the only copy */
	else
		sys_count(sys, EV_PGFILE_WRITE, 1);
	folio_end_writeback(sys, f);
	__atomic_fetch_sub(&m->nr_writeback, 1, __ATOMIC_SEQ_CST);
	return ret;
}

/* Is anything of the cache newer than the file? What is being written still is. */
static bool has_news(const struct address_space *m)
{
	return __atomic_load_n(&m->nr_dirty, __ATOMIC_SEQ_CST) > 0 || mapping_being_written(m);
}

static bool folio_has_news(const struct folio *f)
{
	return folio_flags(f) & ((1u << PG_dirty) | (1u << PG_writeback));
}

int mapping_write_range(struct address_space *m, pgoff_t first, pgoff_t last)
{
	struct mm_sys *sys = m->sys;
	pgoff_t index = first;
	struct folio *f;
	int ret = 0;

	if (!m->ops)
		return 0;
	while (has_news(m) && (f = pagecache_next(m, &index, last))) {
		int err = 0;

		if (folio_has_news(f)) {
			umm_read_lock(&sys->work_lock);
			folio_lock(sys, f);
			if (folio_file_mapping(f) == m)
				err = pagecache_write(sys, f);
			folio_unlock(sys, f);
			umm_read_unlock(&sys->work_lock);
		}
		if (err && err != -EBUSY && !ret)
			ret = err;
		folio_put(sys, f);
		index.v++;
	}
	return ret;
}

static pgoff_t last_page(uint64_t off, uint64_t len)
{
	uint64_t end = off + len < off ? UINT64_MAX : off + len;

	return pgoff_make((end - 1) >> UMM_PAGE_SHIFT);
}

int mapping_flush(struct address_space *m, uint64_t off, uint64_t len)
{
	if (!len)
		return 0;
	return mapping_write_range(m, pgoff_make(off >> UMM_PAGE_SHIFT), last_page(off, len));
}

/* Folio locked. Bytes [off, off + len) of the file that lie in it are read again. */
static int refresh_folio(struct address_space *m, struct folio *f, uint64_t off, uint64_t len)
{
	uint64_t start = f->index.v << UMM_PAGE_SHIFT, end = start + UMM_PAGE_SIZE;
	uint64_t from = off > start ? off : start, to = off + len < end ? off + len : end;
	char *hva = frame_hva(m->sys, folio_pfn(m->sys, f));

	if (from >= to)
		return 0;
	return m->ops->read(m->file, from, hva + (from - start), to - from);
}

/* The same of every cached page of the bytes; with @clean_only not of those stored to. */
static int refresh_range(struct address_space *m, uint64_t off, uint64_t len, bool clean_only)
{
	struct mm_sys *sys = m->sys;
	pgoff_t index = pgoff_make(off >> UMM_PAGE_SHIFT), last = last_page(off, len);
	struct folio *f;
	int ret = 0;

	while ((f = pagecache_next(m, &index, last))) {
		int err = 0;

		umm_read_lock(&sys->work_lock);
		folio_lock(sys, f);
		if (folio_file_mapping(f) == m && folio_test(f, PG_uptodate) &&
		    !(clean_only && folio_test(f, PG_dirty)))
			err = refresh_folio(m, f, off, len);
		folio_unlock(sys, f);
		umm_read_unlock(&sys->work_lock);
		if (err && !ret)
			ret = err;
		folio_put(sys, f);
		index.v++;
	}
	return ret;
}

int mapping_refresh(struct address_space *m, uint64_t off, uint64_t len)
{
	return len && m->ops ? refresh_range(m, off, len, false) : 0;
}

int mapping_reread(struct address_space *m)
{
	return m->ops ? refresh_range(m, 0, UINT64_MAX, true) : 0;
}
