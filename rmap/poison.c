/* SPDX-License-Identifier: MIT */
/*
 * Memory failure. One walk notes who maps the frame, another takes it out of their
 * tables, and what kind of page it is says what is left there:
 *
 *	file, clean		nothing: the next fault reads it again
 *	file, dirty		poison entries; the cache forgets the page
 *	swap cache, clean	swap entries; the cache forgets the page, the slot has it
 *	swap cache, dirty	swap entries; the page stays in the cache, poisoned
 *	shared memory		nothing; the page stays in the cache, poisoned
 *	anonymous, merged	poison entries
 *
 * The frame keeps a reference for ever, so the allocator never sees it again.
 *
 * Locks: work_lock for reading, the folio lock.
 */
#include <umm/poison.h>

#include "rmap/internal.h"

/* Somebody may be about to give the folio back to its list. */
#define TRIES 100

struct note {
	struct poison_mapper *mappers;
	unsigned int max, nr;
};

static bool note_mapper(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct page_vma_mapped_walk w;
	struct note *n = arg;

	pvmw_init(&w, f, vma, addr, PVMW_SYNC);
	while (page_vma_mapped_walk(&w)) {
		if (n->nr < n->max)
			n->mappers[n->nr] = (struct poison_mapper){ vma->mm->id, w.address };
		n->nr++;
	}
	return true;
}

static void note_mappers(struct folio *f, struct note *n)
{
	struct rmap_walk_control rwc = {
		.arg = n,
		.rmap_one = note_mapper,
		.anon_lock = folio_lock_anon_vma_read,
	};

	if (folio_mapped(f))
		rmap_walk(f, &rwc);
}

/* ---- what kind of page ----------------------------------------------------------- */

static enum poison_outcome outcome_of(const struct folio *f)
{
	const struct address_space *m = folio_file_mapping(f);

	if (folio_test(f, PG_swapcache) || (m && !m->ops))
		return POISON_IN_CACHE;
	return m && !folio_test(f, PG_dirty) ? POISON_READ_AGAIN : POISON_LOST;
}

/* Unmapped: out of the caches, unless all who come must find it there. */
static enum poison_outcome leave_caches(struct mm_sys *sys, struct folio *f,
					enum poison_outcome outcome)
{
	if (folio_test(f, PG_swapcache) && !folio_test(f, PG_dirty)) {
		swap_del_folio(sys, f);
		outcome = POISON_READ_AGAIN;
	} else if (outcome != POISON_IN_CACHE && folio_file_mapping(f)) {
		(void)!pagecache_remove(sys, f, true);
	}
	/* Nobody joins it any more; its places are of no use without entries. */
	if (folio_test_ksm(f) && !folio_test(f, PG_swapcache))
		ksm_folio_poisoned(sys, f);
	return outcome;
}

/* Locked, on no list, with the caller's reference, which it keeps. */
static int poison_locked(struct mm_sys *sys, struct folio *f, struct note *n,
			 struct poison_result *out)
{
	unsigned int flags = TTU_IGNORE_MLOCK | TTU_SYNC;

	folio_wait_writeback(sys, f);
	out->anon = folio_test_anon(f);
	out->ksm = folio_test_ksm(f);
	out->file = folio_file_mapping(f) != NULL;
	out->outcome = outcome_of(f);
	note_mappers(f, n);
	out->nr_mappers = n->nr;
	folio_set(f, PG_hwpoison);
	if (out->outcome == POISON_LOST)
		flags |= TTU_HWPOISON;
	try_to_unmap(sys, f, flags, NULL);
	if (folio_mapped(f)) {
		folio_clear(f, PG_hwpoison);
		return -EBUSY;
	}
	out->outcome = leave_caches(sys, f, out->outcome);
	__atomic_fetch_add(&sys->nr_poisoned, 1, __ATOMIC_RELAXED);
	sys_count(sys, EV_MEMORY_FAILURE, 1);
	return 0;
}

/* ---- one frame --------------------------------------------------------------------- */

/* With a reference, which it uses up: pages of the folio become folios of their own. */
static void split_folio(struct mm_sys *sys, struct folio *f)
{
	bool mine;

	folio_lock(sys, f);
	if (folio_test(f, PG_swapcache))
		swap_try_free(sys, f);
	mine = f->order && lru_isolate_folio(sys, f);
	if (mine) {
		folio_put(sys, f);
		(void)!folio_split(sys, f);
	}
	folio_unlock(sys, f);
	if (mine)
		lru_putback(sys, f, folio_test(f, PG_active));
	else
		folio_put(sys, f);
}

/* -EAGAIN: look again. */
static int poison_once(struct mm_sys *sys, struct folio *frame, struct note *n,
		       struct poison_result *out)
{
	struct folio *f = folio_head(frame);
	int ret = -EAGAIN;

	if (!folio_try_get(f))
		return -ENOENT;
	if (folio_head(frame) != f)
		goto out;
	if (folio_test(frame, PG_hwpoison)) {
		ret = -EHWPOISON;
		goto out;
	}
	if (f->order) {
		split_folio(sys, f);
		return -EAGAIN;
	}
	folio_lock(sys, f);
	if (folio_head(frame) == f && !f->order && folio_mapping_raw(f) &&
	    lru_isolate_folio(sys, f)) {
		folio_put(sys, f); /* the list's is kept */
		ret = poison_locked(sys, f, n, out);
		folio_unlock(sys, f);
		if (ret)
			lru_putback(sys, f, folio_test(f, PG_active));
		return ret;
	}
	folio_unlock(sys, f);
out:
	folio_put(sys, f);
	return ret;
}

int mm_poison(struct mm_sys *sys, pfn_t pfn, struct poison_mapper *mappers, unsigned int max,
	      struct poison_result *out)
{
	struct folio *frame = sys_frame(sys, pfn);
	int ret = -EAGAIN;

	memset(out, 0, sizeof(*out));
	if (!frame)
		return -EINVAL;
	for (int i = 0; ret == -EAGAIN && i < TRIES; i++) {
		struct note n = { .mappers = mappers, .max = max };

		umm_read_lock(&sys->work_lock);
		ret = poison_once(sys, frame, &n, out);
		umm_read_unlock(&sys->work_lock);
	}
	return ret == -EAGAIN ? -EBUSY : ret;
}

int mm_unpoison(struct mm_sys *sys, pfn_t pfn)
{
	struct folio *f = sys_frame(sys, pfn);

	if (!f || !folio_test_clear(f, PG_hwpoison))
		return -EINVAL;
	__atomic_fetch_sub(&sys->nr_poisoned, 1, __ATOMIC_RELAXED);
	lru_putback(sys, f, false);
	return 0;
}

uint64_t mm_sys_poisoned(const struct mm_sys *sys)
{
	return __atomic_load_n(&sys->nr_poisoned, __ATOMIC_RELAXED);
}
