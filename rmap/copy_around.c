/* SPDX-License-Identifier: MIT */
/*
 * Private copies around a store.
 *
 * Programs write their data segments page after page as they start (relocations,
 * static objects), and stacks and small heaps after a fork; each first store would
 * cost an exit and a zap. So a store that copies a page copies its neighbours in
 * an aligned window too, with one zap for all of them:
 *	file pages	mapped read-only, or not mapped yet but cached
 *	shared with a relative	mapped read-only, in small areas only: a large
 *			process whose child saves it must not be copied eightfold
 *
 * A neighbour thus stops following the file a little earlier than on Linux; when
 * it does is unspecified for private mappings.
 */
#include "rmap/internal.h"

#define WINDOW_MAX      8u
#define ANON_AREA_PAGES 1024u

struct neighbour {
	gva_t addr;
	uint64_t entry;     /* as seen first */
	struct folio *src;  /* with a reference; locked from take_source() on */
	struct folio *copy; /* with the allocation's reference */
	bool mapped;
};

struct around {
	struct fault *f;
	unsigned int window; /* pages */
	bool anon;           /* copy what relatives share; else what is the file's */
	struct neighbour n[WINDOW_MAX];
	unsigned int nr;
};

static bool same_entry(uint64_t a, uint64_t b)
{
	return ((a ^ b) & ~PTE_ACCESSED) == 0;
}

/* A page that relatives share, neither in use by the host nor part of a larger folio. */
static bool anon_candidate(const struct folio *folio)
{
	return !folio->order && !folio_test_ksm(folio) && !folio_pincount(folio) &&
	       !folio_test(folio, PG_anon_exclusive) && folio_mapcount(folio) > 1;
}

/* Page-table lock held: is there a page to copy, or (for files) none mapped at all? */
static bool is_candidate(struct around *a, uint64_t e, struct folio **src)
{
	struct folio *folio;

	*src = NULL;
	if (pte_none(e))
		return a->f->vma->mapping && !a->anon;
	if (!(e & PTE_PRESENT) || (e & PTE_WRITE))
		return false;
	folio = folio_head(sys_frame(a->f->mm->sys, pte_pfn(e)));
	if (folio_test_anon(folio) ? !a->anon || !anon_candidate(folio) : a->anon)
		return false;
	folio_get(folio);
	*src = folio;
	return true;
}

static void collect(struct around *a)
{
	struct fault *f = a->f;
	uint64_t size = a->window * UMM_PAGE_SIZE, lo = f->addr.v & ~(size - 1), hi = lo + size;
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(f->mm, f->addr, &ptl);

	if (!ptep)
		return;
	lo = lo < f->vma->start.v ? f->vma->start.v : lo;
	hi = hi > f->vma->end.v ? f->vma->end.v : hi;
	for (uint64_t at = lo; at < hi; at += UMM_PAGE_SIZE) {
		int64_t d = ((int64_t)at - (int64_t)f->addr.v) / (int64_t)UMM_PAGE_SIZE;
		uint64_t e = pte_read(ptep + d);
		struct folio *src;

		if (d && is_candidate(a, e, &src))
			a->n[a->nr++] =
				(struct neighbour){ .addr = { at }, .entry = e, .src = src };
	}
	umm_mutex_unlock(ptl);
}

/* Folio locked: still what it was taken for? */
static bool source_valid(struct around *a, const struct folio *src, uint64_t index)
{
	if (!folio_test(src, PG_uptodate) || folio_test(src, PG_hwpoison))
		return false;
	if (a->anon)
		return folio_test_anon(src);
	return folio_file_mapping(src) == a->f->vma->mapping && src->index.v == index;
}

/* Find the page, lock it: truncation must not pass by. False: leave this one. */
static bool take_source(struct around *a, struct neighbour *n)
{
	struct vma *vma = a->f->vma;
	uint64_t index = vma->pgoff.v + ((n->addr.v - vma->start.v) >> UMM_PAGE_SHIFT);

	if (!n->src)
		n->src = pagecache_find(vma->mapping, pgoff_make(index));
	if (!n->src)
		return false;
	if (folio_trylock(n->src)) {
		if (source_valid(a, n->src, index))
			return true;
		folio_unlock(vma->mm->sys, n->src);
	}
	folio_put(vma->mm->sys, n->src);
	n->src = NULL;
	return false;
}

static void make_copy(struct around *a, struct neighbour *n)
{
	struct mm_sys *sys = a->f->mm->sys;
	struct folio *copy =
		folio_alloc_at(sys, place_for(a->f->vma, n->addr, 0), 0, ALLOC_NORECLAIM);

	if (!copy)
		return;
	if (sys->ops->copy_frames(sys->ctx, folio_pfn(sys, copy), folio_pfn(sys, n->src), 1)) {
		folio_put(sys, copy);
		return;
	}
	folio_set(copy, PG_uptodate);
	n->copy = copy;
}

/* Page-table lock held: take the old entries out, and zap them together. */
static void clear_entries(struct around *a, uint64_t *ptep)
{
	struct zap_batch zap;

	zap_batch_init(&zap, a->f->mm->sys);
	for (unsigned int i = 0; i < a->nr; i++) {
		struct neighbour *n = &a->n[i];
		int64_t d = ((int64_t)n->addr.v - (int64_t)a->f->addr.v) / (int64_t)UMM_PAGE_SIZE;

		n->mapped = n->copy && same_entry(pte_read(ptep + d), n->entry);
		if (n->mapped && !pte_none(n->entry)) {
			pte_xchg(ptep + d, 0);
			zap_batch_add(&zap, pte_pfn(n->entry), 1);
		}
	}
	zap_batch_destroy(&zap);
}

/* Page-table lock held: the copy in the place of the page, or of nothing. */
static void enter_copy(struct around *a, struct neighbour *n, uint64_t *entry)
{
	struct mm *mm = a->f->mm;
	struct mm_sys *sys = mm->sys;
	uint64_t p = vm_page_prot(vma_flags(a->f->vma)) | PTE_ACCESSED | PTE_DIRTY | PTE_SOFT_DIRTY;

	if (vma_flags(a->f->vma) & VM_WRITE)
		p |= PTE_WRITE;
	if (!pte_none(n->entry)) {
		mm_count(mm, folio_counter(n->src), -1);
		folio_remove_rmap_pte(sys, n->src, n->src);
		folio_put(sys, n->src); /* the entry's */
	}
	folio_get(n->copy);
	folio_add_new_anon_rmap(sys, n->copy, a->f->vma, n->addr);
	pte_set(entry, pte_make(folio_pfn(sys, n->copy), p));
	mm_count(mm, MM_ANONPAGES, 1);
	sys_count(sys, EV_FRAMES_MAPPED, 1);
}

static void exchange(struct around *a)
{
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(a->f->mm, a->f->addr, &ptl);

	if (!ptep)
		return;
	clear_entries(a, ptep);
	for (unsigned int i = 0; i < a->nr; i++) {
		struct neighbour *n = &a->n[i];
		int64_t d = ((int64_t)n->addr.v - (int64_t)a->f->addr.v) / (int64_t)UMM_PAGE_SIZE;

		if (n->mapped)
			enter_copy(a, n, ptep + d);
	}
	umm_mutex_unlock(ptl);
}

static void release(struct around *a)
{
	struct mm_sys *sys = a->f->mm->sys;

	for (unsigned int i = 0; i < a->nr; i++) {
		struct neighbour *n = &a->n[i];

		if (n->mapped)
			lru_add(sys, n->copy, false);
		if (n->copy)
			folio_put(sys, n->copy);
		if (n->src) {
			folio_unlock(sys, n->src);
			folio_put(sys, n->src);
		}
	}
}

void copy_around(struct fault *f, bool anon)
{
	struct mm_sys *sys = f->mm->sys;
	struct around a = { .f = f, .anon = anon, .window = sys->config.copy_around };

	if (anon)
		a.window /= 2;
	/* Copies count as written, and who tracks stores wants to know of those that were made. */
	if (!(vma_flags(f->vma) & VM_SOFTDIRTY))
		return;
	if (a.window < 2 || (f->flags & FAULT_FLAG_SINGLE) || (vma_flags(f->vma) & VM_RAND_READ) ||
	    frames_nr_free(sys) < 64 * WINDOW_MAX || (anon && vma_pages(f->vma) > ANON_AREA_PAGES))
		return;
	collect(&a);
	for (unsigned int i = 0; i < a.nr; i++) {
		if (take_source(&a, &a.n[i]))
			make_copy(&a, &a.n[i]);
	}
	exchange(&a);
	release(&a);
}
