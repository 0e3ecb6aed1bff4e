/* SPDX-License-Identifier: MIT */
/*
 * A store to a page that is mapped read-only although its area is writable.
 *
 *	shared mapping			mkwrite: the folio becomes dirty, the entry writable
 *	anonymous, exclusive		reuse: the entry becomes writable
 *	anonymous, nobody else left	reuse: the folio becomes exclusive, and moves to
 *					this area's anon_vma
 *	anything else			copy (COW)
 *
 * Making an entry wider needs no zap: a cached narrower translation faults once
 * more and the processor reads the entry again. A copy does: the entry is
 * cleared, the old frame zapped, and only then the new frame entered, so that
 * no vCPU reads the old page while another already writes the new one.
 */
#include "rmap/fault_wait.h"

/*
 * Page-table lock held. Add the bits that a store needs, keeping A and D races
 * out; the write bit only if the area allows it (a forced store does not widen).
 */
static void entry_make_writable(const struct fault *f, uint64_t *ptep)
{
	uint64_t bits = PTE_DIRTY | PTE_ACCESSED | PTE_SOFT_DIRTY;

	if (vma_flags(f->vma) & VM_WRITE)
		bits |= PTE_WRITE;
	__atomic_fetch_or(ptep, bits, __ATOMIC_ACQ_REL);
}

/* Lock the entry if it still is what the fault saw, but for A and D. */
static uint64_t *lock_same(struct fault *f, struct umm_mutex **ptl)
{
	uint64_t *ptep = pte_lock(f->mm, f->addr, ptl);
	uint64_t ignore = PTE_ACCESSED | PTE_DIRTY;

	if (!ptep)
		return NULL;
	if ((pte_read(ptep) & ~ignore) == (f->orig & ~ignore))
		return ptep;
	umm_mutex_unlock(*ptl);
	return NULL;
}

static enum fault_result wp_shared(struct fault *f, struct folio *folio)
{
	struct mm_sys *sys = f->mm->sys;
	struct umm_mutex *ptl;
	uint64_t *ptep;

	/* It may be on its way to the file. */
	if (!folio_trylock(folio)) {
		fault_wait_unlock(f, folio, true);
		return FAULT_DONE;
	}
	if (folio_file_mapping(folio) == f->vma->mapping) {
		ptep = lock_same(f, &ptl);
		if (ptep) {
			folio_mark_dirty(folio);
			entry_make_writable(f, ptep);
			umm_mutex_unlock(ptl);
		}
	}
	folio_unlock(sys, folio);
	return FAULT_DONE;
}

/*
 * Page-table lock held. Do all the folio's entries, and all references to it,
 * belong to this area? Then no other process can see it.
 */
static bool sole_owner(struct fault *f, struct folio *folio, uint64_t *ptep)
{
	struct mm_sys *sys = f->mm->sys;
	uint64_t head = folio_pfn(sys, folio).v, nr = folio_nr(folio);
	uint64_t at = pte_pfn(pte_read(ptep)).v - head,
		 slot = (f->addr.v >> UMM_PAGE_SHIFT) % UMM_PTRS_PER_TABLE;
	int mine = 0;

	/* One reference more is the caller's own. */
	if (folio_refcount(folio) != folio_mapcount(folio) + 1)
		return false;
	if (slot < at || slot - at + nr > UMM_PTRS_PER_TABLE)
		return folio_mapcount(folio) == 1;
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t e = pte_read(ptep - at + i), addr = f->addr.v + (i - at) * UMM_PAGE_SIZE;

		/* Entries of an area split off this one may allow less. */
		mine += addr >= f->vma->start.v && addr < f->vma->end.v && pte_present(e) &&
			pte_pfn(e).v == head + i;
	}
	return mine == folio_mapcount(folio);
}

static void reuse_all(struct fault *f, struct folio *folio, uint64_t *ptep)
{
	uint64_t head = folio_pfn(f->mm->sys, folio).v, nr = folio_nr(folio);
	uint64_t at = pte_pfn(pte_read(ptep)).v - head;
	bool whole = folio_mapcount(folio) > 1;

	folio_move_anon_rmap(folio, f->vma);
	for (uint64_t i = whole ? 0 : at; i < (whole ? nr : at + 1); i++) {
		uint64_t *p = ptep - at + i;
		uint64_t e = pte_read(p);

		if (!pte_present(e) || pte_pfn(e).v != head + i)
			continue;
		folio_set(folio + i, PG_anon_exclusive);
		__atomic_fetch_or(p, pte_write_bit(vma_flags(f->vma), e), __ATOMIC_ACQ_REL);
	}
	entry_make_writable(f, ptep);
}

/* The folio is locked. True if the entry could be made writable in place. */
static bool try_reuse_locked(struct fault *f, struct folio *folio)
{
	struct mm_sys *sys = f->mm->sys;
	struct umm_mutex *ptl;
	uint64_t *ptep;
	bool reused = false;

	if (folio_test(folio, PG_swapcache))
		swap_try_free(sys, folio);
	ptep = lock_same(f, &ptl);
	if (!ptep)
		return true;
	if (!folio_test_ksm(folio) && sole_owner(f, folio, ptep)) {
		reuse_all(f, folio, ptep);
		reused = true;
	}
	umm_mutex_unlock(ptl);
	return reused;
}

static bool wp_reuse(struct fault *f, struct folio *folio, struct folio *frame)
{
	struct mm_sys *sys = f->mm->sys;
	struct umm_mutex *ptl;
	uint64_t *ptep;
	bool done;

	if (folio_test(frame, PG_anon_exclusive)) {
		ptep = lock_same(f, &ptl);
		if (!ptep)
			return true;
		done = folio_test(frame, PG_anon_exclusive);
		if (done)
			entry_make_writable(f, ptep);
		umm_mutex_unlock(ptl);
		return done;
	}
	if (folio_pages_mapped(folio) > folio_nr(folio) || !folio_trylock(folio))
		return false;
	done = try_reuse_locked(f, folio);
	folio_unlock(sys, folio);
	return done;
}

/* Put @copy in the place of @frame, if the entry is still what the fault saw. */
static bool replace_entry(struct fault *f, struct folio *folio, struct folio *frame,
			  struct folio *copy)
{
	struct mm_sys *sys = f->mm->sys;
	uint64_t flags = vm_page_prot(vma_flags(f->vma)) | PTE_ACCESSED | PTE_DIRTY |
			 PTE_SOFT_DIRTY;
	struct frame_range old = { .pfn = pte_pfn(f->orig), .nr = 1 };
	struct umm_mutex *ptl;
	uint64_t *ptep = lock_same(f, &ptl);

	if (!ptep)
		return false;
	if (vma_flags(f->vma) & VM_WRITE)
		flags |= PTE_WRITE;
	mm_count(f->mm, folio_counter(folio), -1);
	pte_xchg(ptep, 0);
	sys->ops->zap_frames(sys->ctx, &old, 1);
	sys_count(sys, EV_ZAP_CALLS, 1);
	sys_count(sys, EV_ZAP_RANGES, 1);
	sys_count(sys, EV_ZAP_FRAMES, 1);
	folio_get(copy);
	folio_add_new_anon_rmap(sys, copy, f->vma, f->addr);
	pte_set(ptep, pte_make(folio_pfn(sys, copy), flags));
	folio_remove_rmap_pte(sys, folio, frame);
	mm_count(f->mm, MM_ANONPAGES, 1);
	umm_mutex_unlock(ptl);
	return true;
}

static enum fault_result wp_copy(struct fault *f, struct folio *folio, struct folio *frame)
{
	struct mm_sys *sys = f->mm->sys;
	struct folio *copy;

	sys_count(sys, EV_FAULT_COW, 1);
	if (folio_test_ksm(folio))
		sys_count(sys, EV_KSM_COW, 1);
	if (anon_vma_prepare(f->vma))
		return FAULT_OOM;
	copy = folio_alloc_at(sys, place_for(f->vma, f->addr, 0), 0, 0);
	if (!copy)
		return FAULT_OOM;
	if (sys->ops->copy_frames(sys->ctx, folio_pfn(sys, copy), folio_pfn(sys, frame), 1)) {
		folio_put(sys, copy);
		return FAULT_OOM;
	}
	folio_set(copy, PG_uptodate);
	if (replace_entry(f, folio, frame, copy)) {
		lru_add(sys, copy, false);
		copy_around(f, folio_test_anon(folio));
		folio_put(sys, folio); /* the old entry's */
	}
	folio_put(sys, copy);
	return FAULT_DONE;
}

/* A reference on the folio that the entry maps, if it still does. */
static struct folio *get_mapped_frame(struct fault *f)
{
	struct folio *frame = NULL;
	struct umm_mutex *ptl;
	uint64_t *ptep = lock_same(f, &ptl);

	if (ptep) {
		frame = sys_frame(f->mm->sys, pte_pfn(f->orig));
		folio_get(folio_head(frame));
		umm_mutex_unlock(ptl);
	}
	return frame;
}

enum fault_result fault_wp(struct fault *f)
{
	struct folio *frame = get_mapped_frame(f), *folio;
	enum fault_result r = FAULT_DONE;

	if (!frame)
		return FAULT_DONE;
	folio = folio_head(frame);
	if ((vma_flags(f->vma) & VM_SHARED) && !folio_test_anon(folio))
		r = wp_shared(f, folio);
	else if (!folio_test_anon(folio) || !wp_reuse(f, folio, frame))
		r = wp_copy(f, folio, frame);
	folio_put(f->mm->sys, folio);
	return r;
}
