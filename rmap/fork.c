/* SPDX-License-Identifier: MIT */
/*
 * fork's entry half: the child gets the parent's entries, private pages become
 * read-only and shared in both.
 *
 * The parent's entries that lose their write bit are zapped once, when the whole
 * copy is done; until then its other threads may go on storing to pages that the
 * child already shares, which is as if they had stored before the fork.
 *
 * File pages are copied too, where Linux leaves them to be faulted in again: a
 * fault costs an exit here, an entry costs a few dozen nanoseconds.
 */
#include "rmap/internal.h"

struct copy {
	struct mmu_gather *gather; /* of the parent */
	struct vma *src, *dst;
};

/* A pinned page must stay the parent's own: the child gets its own copy at once. */
static int copy_pinned(struct copy *c, struct folio *frame, uint64_t e, gva_t addr, uint64_t *dst)
{
	struct mm_sys *sys = c->dst->mm->sys;
	struct folio *f = folio_alloc_at(sys, place_for(c->dst, addr, 0), 0, ALLOC_NORECLAIM);
	uint64_t keep = PTE_PFN_MASK | PTE_ACCESSED | PTE_DIRTY;

	if (!f)
		return -ENOMEM;
	if (sys->ops->copy_frames(sys->ctx, folio_pfn(sys, f), folio_pfn(sys, frame), 1)) {
		folio_put(sys, f);
		return -ENOMEM;
	}
	folio_set(f, PG_uptodate);
	folio_add_new_anon_rmap(sys, f, c->dst, addr);
	pte_set(dst, pte_make(folio_pfn(sys, f), (e & ~keep) | PTE_DIRTY));
	mm_count(c->dst->mm, MM_ANONPAGES, 1);
	lru_add(sys, f, false);
	return 0;
}

static void write_protect(struct copy *c, uint64_t *src, uint64_t *e)
{
	uint64_t old = __atomic_fetch_and(src, ~PTE_WRITE, __ATOMIC_ACQ_REL);

	if (old & PTE_WRITE)
		zap_batch_add(&c->gather->zap, pte_pfn(old), 1);
	*e = old & ~PTE_WRITE;
}

static int copy_present(struct copy *c, uint64_t *src, uint64_t *dst, gva_t addr)
{
	struct mm_sys *sys = c->dst->mm->sys;
	uint64_t e = pte_read(src);
	struct folio *frame = sys_frame(sys, pte_pfn(e)), *f = folio_head(frame);

	if (folio_crowded(f))
		return -ENOMEM;
	if (folio_test_anon(f)) {
		if (folio_pincount(f) && folio_test(frame, PG_anon_exclusive))
			return copy_pinned(c, frame, e, addr, dst);
		folio_clear(frame, PG_anon_exclusive);
	}
	if (!(vma_flags(c->src) & VM_SHARED))
		write_protect(c, src, &e);
	else
		e &= ~PTE_DIRTY; /* the parent's entry, or the folio, keeps it */
	folio_get(f);
	folio_dup_rmap_pte(sys, f, frame);
	mm_count(c->dst->mm, folio_counter(f), 1);
	pte_set(dst, e & ~PTE_ACCESSED);
	return 0;
}

static int copy_swap(struct copy *c, uint64_t *src, uint64_t *dst)
{
	struct mm_sys *sys = c->dst->mm->sys;
	uint64_t e = pte_read(src);
	swp_entry_t s = pte_to_swp(e);
	int ret;

	zap_batch_add_hidden(&c->gather->zap, e);
	if (swp_is_area(s)) {
		ret = swap_dup(sys, s);
		if (ret)
			return ret;
		e &= ~PTE_SWP_EXCLUSIVE;
		pte_set(src, e);
		mm_count(c->dst->mm, MM_SWAPENTS, 1);
	} else if (swp_is_migration(s)) {
		struct folio *f = folio_head(sys_frame(sys, swp_pfn(s)));
		bool shared = vma_flags(c->src) & VM_SHARED;

		if (!shared && swp_type(s) != SWP_MIGRATION_READ) {
			s = swp_make(SWP_MIGRATION_READ, swp_offset(s));
			e = swp_to_pte(s) | (e & ~SWP_KEEP_MASK);
			pte_set(src, e);
		}
		mm_count(c->dst->mm, folio_counter(f), 1);
	}
	pte_set(dst, e);
	return 0;
}

/* Both page-table locks held. */
static int copy_entries(struct copy *c, uint64_t *src, uint64_t *dst, gva_t addr, gva_t end)
{
	int ret = 0;

	for (; !ret && addr.v < end.v; addr.v += UMM_PAGE_SIZE, src++, dst++) {
		uint64_t e = pte_read(src);

		if (pte_none(e))
			continue;
		ret = pte_present(e) ? copy_present(c, src, dst, addr) : copy_swap(c, src, dst);
	}
	return ret;
}

/*
 * Leaves of private areas. True: the child has the leaf too, and @spare is used.
 * False: there is none, or it must be copied entry by entry.
 */
static bool copy_leaf(struct copy *c, gva_t addr, pfn_t spare)
{
	struct mm *mm = c->dst->mm;
	struct mm_sys *sys = mm->sys;
	struct pte_pair p;
	struct folio *f;
	uint64_t e;

	if (!pmd_pair_lock(&p, c->src->mm, addr, mm, addr))
		return false;
	e = pte_read(p.a);
	f = pmd_is_leaf(e) ? sys_frame(sys, pte_pfn(e)) : NULL;
	/* Of a pinned folio the child gets copies; of one shared too often, nothing. */
	if (!f || folio_crowded(f) || folio_pincount(f) || !pte_none(pte_read(p.b))) {
		pte_pair_unlock(&p);
		return false;
	}
	folio_clear_exclusive(f);
	e = __atomic_fetch_and(p.a, ~PTE_WRITE, __ATOMIC_ACQ_REL);
	if (e & PTE_WRITE) {
		zap_batch_add(&c->gather->zap, pte_pfn(e), UMM_PTRS_PER_TABLE);
		c->gather->zap.tables = true;
	}
	folio_get(f);
	folio_add_rmap_pmd(sys, f);
	mm_count(mm, folio_counter(f), UMM_PTRS_PER_TABLE);
	table_deposit(sys, p.b, spare);
	pte_set(p.b, e & ~(PTE_WRITE | PTE_ACCESSED));
	pte_pair_unlock(&p);
	return true;
}

/* 1: done; 0: not a leaf; -ENOMEM. */
static int copy_huge(struct copy *c, gva_t addr)
{
	struct umm_mutex *lock;
	uint64_t *pmd = pmd_find(c->src->mm, addr, &lock);
	pfn_t spare;

	if (!pmd || !pmd_is_leaf(pte_read(pmd)))
		return 0;
	if (!pmd_alloc(c->dst->mm, addr, &lock) || !table_alloc(c->dst->mm, &spare))
		return -ENOMEM;
	if (copy_leaf(c, addr, spare))
		return 1;
	table_free_unused(c->dst->mm, spare);
	return 0;
}

static bool table_has_entries(struct mm *mm, gva_t addr, gva_t end)
{
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(mm, addr, &ptl);
	bool any = false;

	if (!ptep)
		return false;
	for (; !any && addr.v < end.v; addr.v += UMM_PAGE_SIZE, ptep++)
		any = !pte_none(pte_read(ptep));
	umm_mutex_unlock(ptl);
	return any;
}

int copy_page_range(struct mmu_gather *g, struct vma *dst, struct vma *src)
{
	struct copy c = { .gather = g, .src = src, .dst = dst };
	int ret = 0;

	for (gva_t addr = tables_from(src->mm, src->start, src->end), next;
	     !ret && addr.v < src->end.v; addr = tables_from(src->mm, next, src->end)) {
		struct pte_pair p;

		next = table_end(addr, src->end);
		ret = copy_huge(&c, addr);
		if (ret < 0)
			return ret;
		if (ret || !table_has_entries(src->mm, addr, next)) {
			ret = 0;
			continue;
		}
		ret = pgtable_make(dst->mm, addr);
		if (!ret && pte_pair_lock(&p, src->mm, addr, dst->mm, addr)) {
			ret = copy_entries(&c, p.a, p.b, addr, next);
			pte_pair_unlock(&p);
		}
	}
	return ret;
}
