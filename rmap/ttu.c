/* SPDX-License-Identifier: MIT */
/*
 * try_to_unmap: take a folio out of every page table.
 *
 *	anonymous, swap cache	swap entry, which says whether the page was exclusive
 *	anonymous, lazyfree	nothing is left, unless it was written after MADV_FREE
 *	poisoned		a poison entry
 *	file, shared memory	nothing is left; the page cache has it
 *	2 MiB leaf		a table of swap entries, or nothing; else split first
 *
 * Where nothing is left in the entry, its zap cannot be put off: nobody could
 * tell any more that an old translation may linger (see zap_batch_add_hidden()).
 */
#include "rmap/unmap_walk.h"

static void zap_now(struct unmap_walk *u, pfn_t pfn, uint32_t nr)
{
	struct zap_batch b;

	zap_batch_init(&b, u->sys);
	zap_batch_add(&b, pfn, nr);
	zap_batch_destroy(&b);
}

static bool swap_out_entry(struct unmap_walk *u, struct folio *f, struct folio *frame,
			   struct vma *vma, uint64_t *ptep, uint64_t e)
{
	swp_entry_t s = swp_make(swp_type((swp_entry_t){ f->swap }),
				 swp_offset((swp_entry_t){ f->swap }) + (uint64_t)(frame - f));
	uint64_t entry;

	if (!folio_test(f, PG_swapcache) || swap_dup(u->sys, s))
		return false;
	entry = swp_to_pte(s);
	if (folio_test_clear(frame, PG_anon_exclusive))
		entry |= PTE_SWP_EXCLUSIVE;
	if (e & PTE_SOFT_DIRTY)
		entry |= PTE_SWP_SOFT_DIRTY;
	if (e & PTE_DIRTY)
		folio_mark_dirty(f);
	pte_set(ptep, entry);
	zap_batch_add(u->batch, pte_pfn(e), 1);
	mm_count(vma->mm, MM_ANONPAGES, -1);
	mm_count(vma->mm, MM_SWAPENTS, 1);
	return true;
}

/*
 * The process said that it can do without the page: unless it wrote to it since.
 * @e, which is zapped, tells.
 */
static bool may_drop_lazyfree(struct folio *f, uint64_t e)
{
	if ((e & PTE_DIRTY) || folio_test(f, PG_dirty)) {
		folio_mark_dirty(f);
		folio_set(f, PG_swapbacked);
		return false;
	}
	/* Entries and the caller; anybody else may be using it. */
	return folio_refcount(f) == folio_mapcount(f) + 1;
}

static bool drop_lazyfree(struct unmap_walk *u, struct folio *f, struct vma *vma, uint64_t e)
{
	zap_now(u, pte_pfn(e), 1);
	if (!may_drop_lazyfree(f, e))
		return false;
	mm_count(vma->mm, MM_ANONPAGES, -1);
	return true;
}

static bool unmap_anon(struct unmap_walk *u, struct folio *f, struct folio *frame, struct vma *vma,
		       uint64_t *ptep, uint64_t e)
{
	/* A host access in progress must find its page where it is. */
	if (folio_pincount(f))
		return false;
	if (!folio_test(f, PG_swapbacked))
		return drop_lazyfree(u, f, vma, e);
	return swap_out_entry(u, f, frame, vma, ptep, e);
}

static void unmap_file(struct unmap_walk *u, struct folio *f, struct vma *vma, uint64_t e)
{
	if (e & PTE_DIRTY)
		folio_mark_dirty(f);
	zap_now(u, pte_pfn(e), 1);
	mm_count(vma->mm, folio_counter(f), -1);
}

static void unmap_poisoned(struct unmap_walk *u, struct folio *f, struct vma *vma, uint64_t *ptep,
			   uint64_t e)
{
	pte_set(ptep, swp_to_pte(swp_make(SWP_HWPOISON, pte_pfn(e).v)));
	zap_batch_add(u->batch, pte_pfn(e), 1);
	mm_count(vma->mm, folio_counter(f), -1);
}

/* ---- a whole leaf --------------------------------------------------------------- */

static uint64_t swap_entry_of_page(const void *arg, uint64_t e, unsigned int i)
{
	const struct folio *f = arg;
	swp_entry_t s = { f->swap };
	uint64_t entry = swp_to_pte(swp_make(swp_type(s), swp_offset(s) + i));

	if (folio_test(f + i, PG_anon_exclusive))
		entry |= PTE_SWP_EXCLUSIVE;
	if (e & PTE_SOFT_DIRTY)
		entry |= PTE_SWP_SOFT_DIRTY;
	return entry;
}

static bool swap_out_leaf(struct unmap_walk *u, struct folio *f, struct mm *mm, uint64_t *pmd)
{
	uint64_t e;

	if (!folio_test(f, PG_swapcache) ||
	    swap_dup_many(u->sys, (swp_entry_t){ f->swap }, UMM_PTRS_PER_TABLE))
		return false;
	e = pmd_to_table(u->sys, pmd, swap_entry_of_page, f);
	folio_clear_exclusive(f);
	if (e & PTE_DIRTY)
		folio_mark_dirty(f);
	zap_batch_add(u->batch, pte_pfn(e), UMM_PTRS_PER_TABLE);
	mm_count(mm, MM_SWAPENTS, UMM_PTRS_PER_TABLE);
	return true;
}

static bool drop_lazyfree_leaf(struct unmap_walk *u, struct folio *f,
			       const struct page_vma_mapped_walk *w)
{
	uint64_t *pmd = w->pmd;

	/* Who comes without the lock must not take it for empty. */
	uint64_t e = migration_leaf_make(f, pmd);

	zap_now(u, pte_pfn(e), UMM_PTRS_PER_TABLE);
	if (!may_drop_lazyfree(f, e)) {
		pte_set(pmd, e);
		return false;
	}
	pmd_take(w->vma->mm, pmd);
	return true;
}

static enum unmap_verdict unmap_leaf(struct unmap_walk *u, struct folio *f,
				     struct page_vma_mapped_walk *w)
{
	struct mm *mm = w->vma->mm;
	bool ok;

	if (folio_pincount(f))
		return UNMAP_REFUSED;
	if (!folio_test_anon(f) || ((u->flags & TTU_HWPOISON) && folio_test(f, PG_hwpoison)))
		return UNMAP_SPLIT;
	if (folio_test(f, PG_swapbacked))
		ok = swap_out_leaf(u, f, mm, w->pmd);
	else
		ok = drop_lazyfree_leaf(u, f, w);
	if (!ok)
		return UNMAP_REFUSED;
	mm_count(mm, MM_ANONPAGES, -(int64_t)UMM_PTRS_PER_TABLE);
	folio_remove_rmap_pmd(u->sys, f);
	folio_put(u->sys, f);
	return UNMAP_DONE;
}

static enum unmap_verdict unmap_entry(struct unmap_walk *u, struct folio *f,
				      struct page_vma_mapped_walk *w)
{
	struct folio *frame;
	bool ok = true;
	uint64_t e;

	if (!(u->flags & TTU_IGNORE_MLOCK) && (vma_flags(w->vma) & VM_LOCKED)) {
		folio_mark_mlocked(u->sys, f);
		return UNMAP_REFUSED;
	}
	if (!w->pte)
		return unmap_leaf(u, f, w);
	e = pte_xchg(w->pte, 0);
	frame = sys_frame(u->sys, pte_pfn(e));
	if ((u->flags & TTU_HWPOISON) && folio_test(f, PG_hwpoison))
		unmap_poisoned(u, f, w->vma, w->pte, e);
	else if (folio_test_anon(f))
		ok = unmap_anon(u, f, frame, w->vma, w->pte, e);
	else
		unmap_file(u, f, w->vma, e);
	if (!ok) {
		pte_set(w->pte, e);
		return UNMAP_REFUSED;
	}
	folio_remove_rmap_pte(u->sys, f, frame);
	folio_put(u->sys, f);
	return UNMAP_DONE;
}

void try_to_unmap(struct mm_sys *sys, struct folio *f, unsigned int flags, struct zap_batch *batch)
{
	struct unmap_walk u = { .sys = sys, .flags = flags, .entry = unmap_entry };

	unmap_walk_run(&u, f, batch);
}
