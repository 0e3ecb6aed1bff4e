/* SPDX-License-Identifier: MIT */
/*
 * The advices that bring pages in: MADV_WILLNEED reads them into the page cache
 * or the swap cache and maps nothing; MADV_POPULATE_* maps them as an access
 * would, and says why it could not.
 *
 * Locks: none held; mmap_lock for reading while areas are looked at.
 */
#include "rmap/vma.h"

/* ---- MADV_POPULATE_READ, MADV_POPULATE_WRITE ---------------------------- */

/* The end of the area at @start, clamped. -ENOMEM: a hole; -EINVAL: no such right. */
static int populate_stop(struct mm *mm, gva_t start, gva_t end, bool write, gva_t *stop)
{
	struct vma *vma;
	int ret = 0;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find_exact(mm, start);
	if (!vma)
		ret = -ENOMEM;
	else if (!(vma->flags & (write ? VM_WRITE : VM_READ)))
		ret = -EINVAL;
	else
		*stop = gva_min(vma->end, end);
	umm_read_unlock(&mm->mmap_lock);
	return ret;
}

int populate_checked(struct mm *mm, gva_t start, gva_t end, bool write)
{
	gva_t stop;
	int ret;

	for (; start.v < end.v; start = stop) {
		ret = populate_stop(mm, start, end, write, &stop);
		if (!ret)
			ret = populate_range(mm, start, stop, write, false);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- MADV_WILLNEED ------------------------------------------------------ */

/* No more than what lies free: read-ahead must not push out what is in use. */
static uint64_t readahead_budget(const struct mm_sys *sys)
{
	return frames_nr_free(sys) / 2;
}

static void read_pages(struct address_space *m, pgoff_t first, uint64_t pages)
{
	struct folio *f;

	if (pages > readahead_budget(m->sys))
		pages = readahead_budget(m->sys);
	for (uint64_t i = 0; i < pages; i++) {
		if (pagecache_get(m, pgoff_make(first.v + i), false, &f))
			return;
		folio_unlock(m->sys, f);
		folio_put(m->sys, f);
	}
}

/*
 * The slot at @addr, if the page is swapped out, with a count of our own; else 0.
 * *place: where it is to come back to.
 */
static swp_entry_t slot_get(struct mm *mm, gva_t addr, struct place *place)
{
	swp_entry_t slot = { 0 };
	struct umm_mutex *lock;
	struct vma *vma;
	uint64_t e;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find_exact(mm, addr);
	if (vma && entry_lock(mm, addr, &lock, &e)) {
		if (pte_is_swap(e) && swp_is_area(pte_to_swp(e)) &&
		    !swap_dup(mm->sys, pte_to_swp(e)))
			slot = pte_to_swp(e);
		umm_mutex_unlock(lock);
		*place = place_for(vma, addr, 0);
	}
	umm_read_unlock(&mm->mmap_lock);
	return slot;
}

static void read_slots(struct mm *mm, gva_t start, gva_t end)
{
	struct mm_sys *sys = mm->sys;
	uint64_t budget = readahead_budget(sys);

	for (start = tables_from(mm, start, end);
	     start.v < end.v && budget && !sys_caller_ends(sys);
	     start = tables_from(mm, gva_add(start, UMM_PAGE_SIZE), end)) {
		struct place place;
		swp_entry_t slot = slot_get(mm, start, &place);
		struct folio *f;

		if (!slot.v)
			continue;
		(void)!swap_read_folios(sys, &slot, &place, 1, &f);
		if (f)
			folio_put(sys, f);
		swap_put(sys, slot);
		budget--;
	}
}

/* The next area of [*start, end): its object (with a reference) and its range. */
static bool next_range(struct mm *mm, gva_t *start, gva_t end, gva_t *stop,
		       struct address_space **m, pgoff_t *first)
{
	struct vma *vma;
	bool found = false;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find(mm, *start);
	if (start->v < end.v && vma && vma->start.v < end.v) {
		if (vma->start.v > start->v)
			*start = vma->start;
		*stop = gva_min(vma->end, end);
		*m = vma->mapping ? mapping_get(vma->mapping) : NULL;
		first->v = vma->pgoff.v + ((start->v - vma->start.v) >> UMM_PAGE_SHIFT);
		found = true;
	}
	umm_read_unlock(&mm->mmap_lock);
	return found;
}

int readahead_range(struct mm *mm, gva_t start, gva_t end, bool write)
{
	struct address_space *m;
	pgoff_t first;
	gva_t stop;

	(void)write;
	for (; start.v < end.v && next_range(mm, &start, end, &stop, &m, &first); start = stop) {
		/* A private file area may have both: pages of the file, and swapped copies. */
		if (m) {
			read_pages(m, first, (stop.v - start.v) >> UMM_PAGE_SHIFT);
			mapping_put(m);
		}
		read_slots(mm, start, stop);
	}
	return 0;
}
