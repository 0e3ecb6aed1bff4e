/* SPDX-License-Identifier: MIT */
/*
 * Who changes a file itself (write(), a hole, truncation) holds these bytes, so that no
 * older ones are written back over the change from the cache.
 *
 * Nothing waits for a hold. Writing back leaves out what is held, and the page stays dirty;
 * only the beginning of a hold waits, for what is being written at that moment. Both sides
 * meet at tree_lock: pagecache_write() sets PG_writeback, then asks for each piece under
 * tree_lock; a hold is entered under it, then looks for PG_writeback.
 */
#include "rmap/internal.h"

/* tree_lock held. The hold that @at lies in, or NULL. */
static const struct mapping_hold *hold_at(const struct address_space *m, uint64_t at)
{
	struct mapping_hold *h;

	list_for_each_entry(h, &m->holds, list)
	{
		if (h->start <= at && at < h->end)
			return h;
	}
	return NULL;
}

/* tree_lock held. Where the first hold behind @at begins; @end if none does before it. */
static uint64_t next_hold(const struct address_space *m, uint64_t at, uint64_t end)
{
	struct mapping_hold *h;

	list_for_each_entry(h, &m->holds, list)
	{
		if (h->start > at && h->start < end)
			end = h->start;
	}
	return end;
}

bool mapping_free_bytes(struct address_space *m, uint64_t *from, uint64_t *to)
{
	const struct mapping_hold *h;
	uint64_t at = *from;
	bool found;

	umm_mutex_lock(&m->tree_lock);
	while (at < *to && (h = hold_at(m, at)))
		at = h->end;
	found = at < *to;
	if (found) {
		*from = at;
		*to = next_hold(m, at, *to);
	}
	umm_mutex_unlock(&m->tree_lock);
	return found;
}

bool mapping_being_written(const struct address_space *m)
{
	return __atomic_load_n(&m->nr_writeback, __ATOMIC_SEQ_CST) > 0;
}

bool mapping_changing(struct address_space *m)
{
	bool held;

	umm_mutex_lock(&m->tree_lock);
	held = !list_empty(&m->holds);
	umm_mutex_unlock(&m->tree_lock);
	return held || mapping_being_written(m);
}

/* What is on its way to the file now has got there. */
static void wait_for_writes(struct address_space *m, uint64_t start, uint64_t end)
{
	pgoff_t index = pgoff_make(start >> UMM_PAGE_SHIFT);
	pgoff_t last = pgoff_make((end - 1) >> UMM_PAGE_SHIFT);
	struct folio *f;

	while (mapping_being_written(m) && (f = pagecache_next(m, &index, last))) {
		folio_wait_writeback(m->sys, f);
		folio_put(m->sys, f);
		index.v++;
	}
}

void mapping_hold(struct address_space *m, struct mapping_hold *h, uint64_t off, uint64_t len)
{
	h->start = off;
	h->end = off + len < off ? UINT64_MAX : off + len;
	umm_mutex_lock(&m->tree_lock);
	list_add_tail(&h->list, &m->holds);
	umm_mutex_unlock(&m->tree_lock);
	if (len)
		wait_for_writes(m, h->start, h->end);
}

void mapping_unhold(struct address_space *m, struct mapping_hold *h)
{
	umm_mutex_lock(&m->tree_lock);
	list_del(&h->list);
	umm_mutex_unlock(&m->tree_lock);
}
