/* SPDX-License-Identifier: MIT */
/*
 * First touch of private anonymous memory.
 *
 * One exit costs as much as clearing and mapping a hundred pages, so one fault
 * fills a window around the address: the longest run of empty entries in it,
 * limited to the area and to one page table. The window of an area starts at
 * AROUND_FIRST pages and doubles each time a fault continues where the last
 * window ended; large areas start larger, as a program that reserves much
 * touches much. When memory is short the window is one page, and where faults go on
 * in order up to AROUND_SHORT: those pages would be asked for next in any case.
 *
 *	   area   |---------------------------------------------|
 *	   window            |----------------|
 *	   entries .....xxxx.xx...............xx......
 *	   filled                ^^^^^addr^^^^
 *
 * The run is cut into naturally aligned blocks, each a block of the buddy
 * allocator, carved into folios of the largest order that is enabled (rmap/thp.c). New entries have A
 * set, and D if the access was a store: the page-table walker (KVM, under
 * shadow paging) would otherwise trap once more for each bit.
 */
#include "rmap/internal.h"

#define AROUND_FIRST 16u
/* No more than this where memory is short. */
#define AROUND_SHORT 16u
/* An area of n pages starts with a window of n / AROUND_SHARE. */
#define AROUND_SHARE 128u

static unsigned int ilog2(uint64_t v)
{
	return 63u - (unsigned int)__builtin_clzl(v);
}

bool memory_is_short(const struct mm_sys *sys)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		total += node_limit(&sys->nodes[i]);
	return frames_nr_free(sys) < total / 16 + 2 * UMM_PTRS_PER_TABLE;
}

static unsigned int window_size(struct fault *f)
{
	struct vma *vma = f->vma;
	uint32_t limit = f->mm->sys->config.fault_around;
	uint64_t nr = __atomic_load_n(&vma->around_nr, __ATOMIC_RELAXED);
	uint64_t share = vma_pages(vma) / AROUND_SHARE;

	bool goes_on = nr && __atomic_load_n(&vma->around_next, __ATOMIC_RELAXED) == f->addr.v;

	if ((f->flags & FAULT_FLAG_SINGLE) || (vma_flags(vma) & VM_RAND_READ))
		return 1;
	/* Who tracks stores wants to know of those that were made. */
	if ((f->flags & FAULT_FLAG_WRITE) && !(vma_flags(vma) & VM_SOFTDIRTY))
		return 1;
	if (memory_is_short(f->mm->sys)) {
		if (!goes_on)
			return 1;
		limit = limit < AROUND_SHORT ? limit : AROUND_SHORT;
	}
	if (goes_on)
		nr *= 2;
	else
		nr = vma_flags(vma) & VM_NORESERVE ? AROUND_FIRST
						   : (share > AROUND_FIRST ? share : AROUND_FIRST);
	if (nr > limit)
		nr = limit;
	return 1u << ilog2(nr);
}

/* The window around the fault, clamped to the area and the page table. */
static void window_bounds(struct fault *f, gva_t *start, gva_t *end)
{
	uint64_t size = (uint64_t)window_size(f) << UMM_PAGE_SHIFT;
	uint64_t s = f->addr.v & ~(size - 1), e = s + size;

	if (s < f->vma->start.v)
		s = f->vma->start.v;
	if (e > f->vma->end.v)
		e = f->vma->end.v;
	*start = gva_make(s);
	*end = gva_make(e);
}

/* Page-table lock held, @ptep for f->addr. Shrink the window to empty entries. */
static bool empty_run(struct fault *f, uint64_t *ptep, gva_t *start, gva_t *end)
{
	uint64_t lo = f->addr.v, hi = f->addr.v + UMM_PAGE_SIZE;
	uint64_t *p;

	if (!pte_none(pte_read(ptep)))
		return false;
	for (p = ptep - 1; lo > start->v && pte_none(pte_read(p)); p--)
		lo -= UMM_PAGE_SIZE;
	for (p = ptep + 1; hi < end->v && pte_none(pte_read(p)); p++)
		hi += UMM_PAGE_SIZE;
	*start = gva_make(lo);
	*end = gva_make(hi);
	return true;
}

static uint64_t new_entry_flags(const struct fault *f)
{
	uint64_t vf = vma_flags(f->vma), p = vm_page_prot(vf) | PTE_ACCESSED;

	if (f->flags & FAULT_FLAG_WRITE)
		p |= PTE_DIRTY | PTE_SOFT_DIRTY;
	return p | pte_write_bit(vf, p);
}

/* Page-table lock held. Map the folio at @addr if all its entries are empty. */
static bool map_new_folio(struct fault *f, struct folio *folio, gva_t addr, uint64_t *ptep)
{
	struct mm_sys *sys = f->mm->sys;
	uint64_t flags = new_entry_flags(f);
	unsigned int nr = folio_nr(folio);
	pfn_t pfn = folio_pfn(sys, folio);

	for (unsigned int i = 0; i < nr; i++) {
		if (!pte_none(pte_read(ptep + i)))
			return false;
	}
	folio_set(folio, PG_uptodate);
	folio_get_many(folio, (int)nr);
	folio_add_new_anon_rmap(sys, folio, f->vma, addr);
	for (unsigned int i = 0; i < nr; i++)
		pte_set(ptep + i, pte_make(pfn_add(pfn, i), flags));
	mm_count(f->mm, MM_ANONPAGES, nr);
	return true;
}

/* Page-table lock held. Map folios at consecutive places; those that do not fit are freed. */
static void map_block(struct fault *f, struct folio **folios, unsigned int nr, gva_t addr)
{
	struct mm_sys *sys = f->mm->sys;
	unsigned int mapped = 0;
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(f->mm, addr, &ptl);

	for (unsigned int i = 0; i < nr; i++) {
		unsigned int pages = folio_nr(folios[i]);
		struct folio *folio = folios[i];

		if (ptep && map_new_folio(f, folio, addr, ptep)) {
			folios[i] = folios[mapped];
			folios[mapped++] = folio;
		}
		addr = gva_add(addr, (uint64_t)pages << UMM_PAGE_SHIFT);
		ptep = ptep ? ptep + pages : NULL;
	}
	if (ptep)
		umm_mutex_unlock(ptl);
	lru_add_many(sys, folios, mapped);
	for (unsigned int i = 0; i < mapped; i++)
		sys_count(sys, EV_FRAMES_MAPPED, folio_nr(folios[i]));
	/* The entries hold their own references; this one was the allocation's. */
	for (unsigned int i = 0; i < nr; i++)
		folio_put(sys, folios[i]);
}

/* Fill the block of 2^order pages at @addr: false if there is no such block. */
static bool fill_block(struct fault *f, gva_t addr, unsigned int order)
{
	struct folio *folios[UMM_PTRS_PER_TABLE];
	struct mm_sys *sys = f->mm->sys;
	unsigned int folio_order = thp_best_order(sys, f->vma, order);
	unsigned int nr;
	struct place place;

	place = place_for(f->vma, addr, folio_order);
	/* Pages that interleave come one folio at a time, and small ones. */
	if (place.spread && order)
		return false;
	nr = folio_alloc_run(sys, place, order, folio_order, ALLOC_ZERO, folios);
	if (!nr)
		return false;
	map_block(f, folios, nr, addr);
	return true;
}

/* Around the faulting page memory may be refused; for the page itself it may not. */
static enum fault_result fill_single(struct fault *f)
{
	struct folio *folio =
		folio_alloc_at(f->mm->sys, place_for(f->vma, f->addr, 0), 0, ALLOC_ZERO);

	if (!folio)
		return FAULT_OOM;
	map_block(f, &folio, 1, f->addr);
	return FAULT_DONE;
}

static enum fault_result fill_run(struct fault *f, gva_t start, gva_t end)
{
	bool done = false;

	for (gva_t addr = start; addr.v < end.v;) {
		uint64_t pages = (end.v - addr.v) >> UMM_PAGE_SHIFT;
		unsigned int align =
			(unsigned int)__builtin_ctzl(addr.v >> UMM_PAGE_SHIFT | UMM_PTRS_PER_TABLE);
		unsigned int order = ilog2(pages) < align ? ilog2(pages) : align;
		uint64_t bytes;

		while (!fill_block(f, addr, order)) {
			if (!order--)
				return done ? FAULT_DONE : fill_single(f);
		}
		bytes = UMM_PAGE_SIZE << order;
		done |= f->addr.v - addr.v < bytes;
		addr = gva_add(addr, bytes);
	}
	return FAULT_DONE;
}

enum fault_result fault_anon(struct fault *f)
{
	gva_t start, end;
	struct umm_mutex *ptl;
	uint64_t *ptep;
	bool empty;

	sys_count(f->mm->sys, EV_FAULT_ANON, 1);
	window_bounds(f, &start, &end);
	ptep = pte_lock(f->mm, f->addr, &ptl);
	if (!ptep)
		return FAULT_DONE;
	empty = empty_run(f, ptep, &start, &end);
	umm_mutex_unlock(ptl);
	if (!empty)
		return FAULT_DONE;
	__atomic_store_n(&f->vma->around_next, end.v, __ATOMIC_RELAXED);
	__atomic_store_n(&f->vma->around_nr, (uint32_t)((end.v - start.v) >> UMM_PAGE_SHIFT),
			 __ATOMIC_RELAXED);
	return fill_run(f, start, end);
}
