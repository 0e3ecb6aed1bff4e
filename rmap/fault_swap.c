/* SPDX-License-Identifier: MIT */
/*
 * Swap-in. One fault brings back the swapped neighbours of the address in the
 * same window (rmap/swap_window.c) too: their slots were handed out together and are
 * read in one request, and mapping them now saves an exit for each.
 *
 * The transfer is waited for without mmap_lock (fault_wait.c); what was read is mapped
 * when the fault starts over, wherever the entries are still the same.
 *
 * An entry that was exclusive comes back exclusive. One that was not may be
 * writable only if, with its slot freed, nobody else refers to the folio.
 *
 * The slot of a page that was merged (KSM) is named by unrelated processes, at unrelated
 * offsets. While the merged folio is in the swap cache it is mapped again: its stable
 * node knows all their places. One that was read back is an ordinary folio, which
 * belongs to whom it was mapped by first; the others get copies of their own.
 */
#include "rmap/fault_wait.h"

/* Collect the swap entries around the fault, the faulting one first. */
static unsigned int collect(struct fault *f, struct swap_neighbour *n)
{
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(f->mm, f->addr, &ptl);
	gva_t lo = f->addr, hi = f->addr;
	unsigned int nr = 1;

	n[0] = (struct swap_neighbour){ f->addr, f->orig };
	if (!ptep)
		return 0;
	if (pte_read(ptep) != f->orig) {
		umm_mutex_unlock(ptl);
		return 0;
	}
	if (!(f->flags & FAULT_FLAG_SINGLE))
		swap_window_choose(f->vma, f->addr, &lo, &hi);
	for (uint64_t at = lo.v; at < hi.v && nr < SWAP_READ_MAX; at += UMM_PAGE_SIZE) {
		uint64_t e = pte_read(ptep + (int64_t)(at - f->addr.v) / (int64_t)UMM_PAGE_SIZE);

		if (at != f->addr.v && pte_is_swap(e) && swp_is_area(pte_to_swp(e)))
			n[nr++] = (struct swap_neighbour){ gva_make(at), e };
	}
	umm_mutex_unlock(ptl);
	return nr;
}

static uint64_t swapin_entry(struct fault *f, struct folio *frame, uint64_t swp, bool exclusive,
			     bool write)
{
	uint64_t vf = vma_flags(f->vma), p = vm_page_prot(vf) | PTE_ACCESSED;

	if (swp & PTE_SWP_SOFT_DIRTY)
		p |= PTE_SOFT_DIRTY;
	if (exclusive && write && (vf & VM_WRITE))
		p |= PTE_DIRTY | PTE_SOFT_DIRTY;
	if (exclusive)
		p |= pte_write_bit(vf, p);
	return pte_make(folio_pfn(f->mm->sys, frame), p);
}

/* Folio locked. The frame of the folio that holds slot @s; NULL if it does not. */
static struct folio *frame_for_slot(struct folio *folio, swp_entry_t s)
{
	swp_entry_t base = { folio->swap };
	uint64_t at = swp_offset(s) - swp_offset(base);

	if (!folio_test(folio, PG_swapcache) || swp_type(s) != swp_type(base) ||
	    at >= folio_nr(folio))
		return NULL;
	return folio + at;
}

/*
 * Folio locked. May the folio be mapped at @addr, so that the reverse walk finds it there?
 * A merged one, whose places are known; one that nobody maps, which is made this area's;
 * one of this area's family, at the same index.
 */
static bool belongs_here(struct fault *f, struct folio *folio, struct folio *frame,
			 const struct swap_neighbour *n)
{
	gva_t at;

	if (!folio_test_anon(folio) || folio_test_ksm(folio) || (n->entry & PTE_SWP_EXCLUSIVE))
		return true;
	if (!folio->order && !folio_mapped(folio)) {
		folio_rehome_anon(folio, f->vma, n->addr);
		return true;
	}
	return !page_address_in_vma(f->mm->sys, frame, f->vma, &at) && at.v == n->addr.v;
}

/* Mapped elsewhere, and not to be found here: the entry at @n gets @copy, a new folio. */
static bool map_copy(struct fault *f, struct folio *copy, const struct swap_neighbour *n,
		     bool write)
{
	struct mm_sys *sys = f->mm->sys;
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(f->mm, n->addr, &ptl);
	bool same = ptep && pte_read(ptep) == n->entry;

	if (same) {
		folio_get(copy);
		folio_add_new_anon_rmap(sys, copy, f->vma, n->addr);
		pte_set(ptep, swapin_entry(f, copy, n->entry, true, write));
		mm_count(f->mm, MM_SWAPENTS, -1);
		mm_count(f->mm, MM_ANONPAGES, 1);
	}
	if (ptep)
		umm_mutex_unlock(ptl);
	return same;
}

/* Folio locked and up to date. */
static enum fault_result copy_swapped(struct fault *f, struct folio *frame,
				      const struct swap_neighbour *n, bool write)
{
	struct mm_sys *sys = f->mm->sys;
	struct folio *copy = folio_alloc_at(sys, place_for(f->vma, n->addr, 0), 0, 0);

	if (!copy)
		return FAULT_OOM;
	if (sys->ops->copy_frames(sys->ctx, folio_pfn(sys, copy), folio_pfn(sys, frame), 1)) {
		folio_put(sys, copy);
		return FAULT_OOM;
	}
	folio_set(copy, PG_uptodate);
	folio_set(copy, PG_dirty);
	if (map_copy(f, copy, n, write)) {
		lru_add(sys, copy, false);
		sys_count(sys, EV_KSM_SWPIN_COPY, 1);
		swap_put(sys, pte_to_swp(n->entry));
	}
	folio_put(sys, copy);
	return FAULT_DONE;
}

/* Folio locked and up to date. Enter it where @n says, if that is still so. */
static bool map_swapped(struct fault *f, struct folio *folio, const struct swap_neighbour *n,
			bool write)
{
	struct mm_sys *sys = f->mm->sys;
	swp_entry_t s = pte_to_swp(n->entry);
	struct folio *frame = frame_for_slot(folio, s);
	bool exclusive = n->entry & PTE_SWP_EXCLUSIVE;
	struct umm_mutex *ptl;
	uint64_t *ptep;

	if (!frame || !belongs_here(f, folio, frame, n))
		return false;
	ptep = pte_lock(f->mm, n->addr, &ptl);
	if (!ptep)
		return false;
	if (pte_read(ptep) != n->entry) {
		umm_mutex_unlock(ptl);
		return false;
	}
	/* Cache and caller hold it, one entry names the slot: nobody else knows it. */
	if (!exclusive && !folio->order && !folio_mapped(folio) && !folio_test_ksm(folio) &&
	    swap_count(sys, s) == 1 && folio_refcount(folio) == 2)
		exclusive = true;
	folio_get(folio);
	folio_add_anon_rmap_pte(sys, folio, frame, f->vma, n->addr, exclusive);
	pte_set(ptep, swapin_entry(f, frame, n->entry, exclusive, write));
	mm_count(f->mm, MM_SWAPENTS, -1);
	mm_count(f->mm, MM_ANONPAGES, 1);
	umm_mutex_unlock(ptl);
	sys_count(sys, EV_FRAMES_MAPPED, 1);
	swap_put(sys, s);
	/*
	 * A page that is being written need not keep its slot; a clean one does, as
	 * it then costs nothing to reclaim again, while there are slots enough.
	 */
	if (write || (vma_flags(f->vma) & VM_LOCKED) || swap_is_crowded(sys) ||
	    swap_is_leaving(sys, s))
		swap_try_free(sys, folio);
	return true;
}

/* Folio locked. */
static enum fault_result map_first(struct fault *f, struct folio *folio,
				   const struct swap_neighbour *n)
{
	bool write = f->flags & FAULT_FLAG_WRITE;
	struct folio *frame = frame_for_slot(folio, pte_to_swp(n->entry));

	if (folio_test(folio, PG_hwpoison))
		return FAULT_HWPOISON;
	if (!frame || !folio_test(folio, PG_uptodate))
		return FAULT_DONE;
	if (!belongs_here(f, folio, frame, n))
		return copy_swapped(f, frame, n, write);
	map_swapped(f, folio, n, write);
	return FAULT_DONE;
}

/* Of an earlier try; the area may be another by now. */
static bool in_area(const struct fault *f, const struct swap_neighbour *n)
{
	return n->addr.v >= f->vma->start.v && n->addr.v < f->vma->end.v;
}

static void map_around(struct fault *f, struct swap_in *in)
{
	struct mm_sys *sys = f->mm->sys;

	for (unsigned int i = 1; i < in->nr; i++) {
		struct folio *folio = in->folios[i];

		if (!folio || !in_area(f, &in->n[i]) || !folio_trylock(folio))
			continue;
		if (folio_test(folio, PG_uptodate) && !folio_test(folio, PG_hwpoison) &&
		    !folio_test(folio, PG_writeback))
			map_swapped(f, folio, &in->n[i], false);
		folio_unlock(sys, folio);
	}
}

/* Find or begin to read what the fault wants. False: the entry has changed. */
static bool swap_in_begin(struct fault *f, struct swap_in *in)
{
	struct place places[SWAP_READ_MAX];

	fault_wait_release(f->wait);
	in->nr = collect(f, in->n);
	for (unsigned int i = 0; i < in->nr; i++) {
		in->slots[i] = pte_to_swp(in->n[i].entry);
		places[i] = place_for(f->vma, in->n[i].addr, 0);
	}
	if (!in->nr)
		return false;
	swap_read_begin(&in->read, f->mm->sys, in->slots, places, in->nr, in->folios);
	if (in->read.nr_ios)
		fault_wait_swap(f);
	else
		swap_read_end(&in->read);
	return true;
}

/* The transfers are over. */
static enum fault_result swap_in_map(struct fault *f, struct swap_in *in)
{
	struct folio *first = in->folios[0];
	enum fault_result r;

	if (!first) {
		int err = in->read.error;

		if (err == -EAGAIN)
			fault_wait_moment(f);
		return err == -ENOMEM ? FAULT_OOM : err == -EIO ? FAULT_BUS : FAULT_DONE;
	}
	/* Read, or evicted, by somebody else. */
	if (!folio_trylock(first)) {
		fault_wait_unlock(f, first, false);
		f->wait->stall = true;
		return FAULT_DONE;
	}
	r = map_first(f, first, &in->n[0]);
	folio_unlock(f->mm->sys, first);
	map_around(f, in);
	if (in->nr > 1)
		swap_ahead(f->vma, f->addr);
	return r;
}

enum fault_result fault_swap(struct fault *f)
{
	struct swap_in *in = &f->wait->swap;
	enum fault_result r;

	if (!f->wait->again)
		sys_count(f->mm->sys, EV_FAULT_SWAP, 1);
	if (anon_vma_prepare(f->vma))
		return FAULT_OOM;
	if (!in->nr || in->n[0].addr.v != f->addr.v || in->n[0].entry != f->orig) {
		if (!swap_in_begin(f, in) || fault_must_wait(f->wait))
			return FAULT_DONE;
	}
	r = swap_in_map(f, in);
	if (!fault_must_wait(f->wait))
		fault_wait_release(f->wait);
	return r;
}
