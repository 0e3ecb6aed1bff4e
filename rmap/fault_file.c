/* SPDX-License-Identifier: MIT */
/*
 * Faults on files and shared memory.
 *
 *	read			map the cached page, and its cached neighbours
 *	write, private		copy the cached page into an anonymous one
 *	write, shared		map the cached page writable and mark it dirty
 *
 * A private store copies neighbours too (copy_around.c).
 *
 * Mapping neighbours is limited to pages that are in the cache already, in this
 * area and this page table; each is only tried for its lock. An exit costs far
 * more than mapping pages in vain.
 *
 * What is not cached, or locked by others, is waited for without mmap_lock.
 */
#include "rmap/fault_wait.h"

#define AROUND_PAGES 256u
#define COPY_PAGES   8u

static pgoff_t fault_index(const struct fault *f)
{
	return pgoff_make(f->vma->pgoff.v + ((f->addr.v - f->vma->start.v) >> UMM_PAGE_SHIFT));
}

/* Folio locked, page-table lock held, entry empty. */
static void enter_page(struct fault *f, struct folio *folio, uint64_t *ptep, bool write)
{
	struct mm_sys *sys = f->mm->sys;
	uint64_t vf = vma_flags(f->vma), p = vm_page_prot(vf) | PTE_ACCESSED;

	if (write) {
		p |= PTE_DIRTY | PTE_SOFT_DIRTY;
		folio_mark_dirty(folio);
	}
	/* Shared memory has no file to keep clean: writable from the start. */
	if ((vf & VM_SHARED) && (write || !f->vma->mapping->ops))
		p |= pte_write_bit(vf, p);
	folio_get(folio);
	folio_add_file_rmap_pte(sys, folio, folio);
	if (vf & VM_LOCKED)
		folio_mark_mlocked(sys, folio);
	mm_count(f->mm, folio_counter(folio), 1);
	pte_set(ptep, pte_make(folio_pfn(sys, folio), p));
	sys_count(sys, EV_FRAMES_MAPPED, 1);
}

/* Page-table lock held. The cached page for an empty entry, if it is free to map. */
static void map_neighbour(struct fault *f, pgoff_t index, uint64_t *ptep)
{
	struct mm_sys *sys = f->mm->sys;
	struct folio *folio = pagecache_find(f->vma->mapping, index);

	if (!folio)
		return;
	if (folio_trylock(folio)) {
		if (folio_file_mapping(folio) == f->vma->mapping && !folio_crowded(folio) &&
		    folio_test(folio, PG_uptodate) && !folio_test(folio, PG_hwpoison))
			enter_page(f, folio, ptep, false);
		folio_unlock(sys, folio);
	}
	folio_put(sys, folio);
}

static void map_around(struct fault *f, uint64_t *ptep)
{
	uint64_t size = AROUND_PAGES * UMM_PAGE_SIZE, lo = f->addr.v & ~(size - 1), hi = lo + size;

	if ((f->flags & FAULT_FLAG_SINGLE) || (vma_flags(f->vma) & VM_RAND_READ))
		return;
	lo = lo < f->vma->start.v ? f->vma->start.v : lo;
	hi = hi > f->vma->end.v ? f->vma->end.v : hi;
	for (uint64_t at = lo; at < hi; at += UMM_PAGE_SIZE) {
		int64_t d = ((int64_t)at - (int64_t)f->addr.v) / (int64_t)UMM_PAGE_SIZE;

		if (d && pte_none(pte_read(ptep + d)))
			map_neighbour(f, pgoff_make(fault_index(f).v + (uint64_t)d), ptep + d);
	}
}

static enum fault_result map_cached(struct fault *f, struct folio *folio, bool write)
{
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(f->mm, f->addr, &ptl);

	if (!ptep)
		return FAULT_DONE;
	if (pte_none(pte_read(ptep))) {
		enter_page(f, folio, ptep, write);
		if (!write)
			map_around(f, ptep);
	}
	umm_mutex_unlock(ptl);
	return FAULT_DONE;
}

static bool map_copy(struct fault *f, struct folio *copy)
{
	struct mm_sys *sys = f->mm->sys;
	uint64_t p = vm_page_prot(vma_flags(f->vma)) | PTE_ACCESSED | PTE_DIRTY | PTE_SOFT_DIRTY;
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(f->mm, f->addr, &ptl);
	bool mapped = false;

	if (!ptep)
		return false;
	if (vma_flags(f->vma) & VM_WRITE)
		p |= PTE_WRITE;
	if (pte_none(pte_read(ptep))) {
		folio_get(copy);
		folio_add_new_anon_rmap(sys, copy, f->vma, f->addr);
		pte_set(ptep, pte_make(folio_pfn(sys, copy), p));
		mm_count(f->mm, MM_ANONPAGES, 1);
		sys_count(sys, EV_FRAMES_MAPPED, 1);
		mapped = true;
	}
	umm_mutex_unlock(ptl);
	return mapped;
}

/* Folio locked: truncation unmaps private copies too, so it must not pass by. */
static enum fault_result cow_cached(struct fault *f, struct folio *folio, struct folio *copy)
{
	struct mm_sys *sys = f->mm->sys;

	if (sys->ops->copy_frames(sys->ctx, folio_pfn(sys, copy), folio_pfn(sys, folio), 1))
		return FAULT_OOM;
	folio_set(copy, PG_uptodate);
	if (map_copy(f, copy))
		lru_add(sys, copy, false);
	return FAULT_DONE;
}

/* Folio locked, and of the page. @copy: where a private store goes. */
static enum fault_result fault_cached(struct fault *f, struct folio *folio, struct folio *copy)
{
	if (folio_test(folio, PG_hwpoison))
		return FAULT_HWPOISON;
	if (copy)
		return cow_cached(f, folio, copy);
	if (folio_crowded(folio))
		return FAULT_OOM;
	return map_cached(f, folio, f->flags & FAULT_FLAG_WRITE);
}

/* The cached page, locked, with a reference; NULL: it must be waited for. */
static struct folio *get_cached(struct fault *f)
{
	struct address_space *m = f->vma->mapping;
	struct folio *folio = pagecache_find(m, fault_index(f));

	if (!folio) {
		fault_wait_file(f, fault_index(f));
		return NULL;
	}
	if (!folio_trylock(folio)) {
		fault_wait_unlock(f, folio, true);
	} else if (pagecache_is(m, fault_index(f), folio)) {
		return folio;
	} else {
		folio_unlock(m->sys, folio);
		fault_wait_file(f, fault_index(f));
	}
	folio_put(m->sys, folio);
	return NULL;
}

static enum fault_result fault_read(struct fault *f, struct folio *copy)
{
	struct folio *folio = get_cached(f);
	enum fault_result r;

	if (!folio)
		return FAULT_DONE;
	r = fault_cached(f, folio, copy);
	folio_unlock(f->mm->sys, folio);
	folio_put(f->mm->sys, folio);
	return r;
}

enum fault_result fault_file(struct fault *f)
{
	bool copying = (f->flags & FAULT_FLAG_WRITE) && !(vma_flags(f->vma) & VM_SHARED);
	struct mm_sys *sys = f->mm->sys;
	struct folio *copy = NULL;
	enum fault_result r;

	if (!f->wait->again) {
		sys_count(sys, EV_FAULT_FILE, 1);
		sys_count(sys, EV_FAULT_COW, copying);
	}
	if (copying) {
		copy = folio_alloc_at(sys, place_for(f->vma, f->addr, 0), 0, 0);
		if (!copy)
			return FAULT_OOM;
	}
	r = fault_read(f, copy);
	if (copying) {
		folio_put(sys, copy);
		if (r == FAULT_DONE && !fault_must_wait(f->wait))
			copy_around(f, false);
	}
	return r;
}
