/* SPDX-License-Identifier: MIT */
/*
 * try_to_unmap: take a folio out of every page table.
 *
 *	anonymous, swap cache	swap entry, which says whether the page was exclusive
 *	anonymous, lazyfree	nothing is left, unless it was written after MADV_FREE
 *	poisoned		a poison entry
 *	file, shared memory	nothing is left; the page cache has it
 *
 * Where nothing is left in the entry, its zap cannot be put off: nobody could
 * tell any more that an old translation may linger (see zap_batch_add_hidden()).
 */
#include "rmap/internal.h"

struct ttu {
	struct mm_sys *sys;
	unsigned int flags;
	struct zap_batch *batch;	/* with TTU_BATCH_FLUSH */
	struct zap_batch own;
};

static void zap_now(struct ttu *t, pfn_t pfn)
{
	struct zap_batch b;

	zap_batch_init(&b, t->sys);
	zap_batch_add(&b, pfn, 1);
	zap_batch_destroy(&b);
}

static void zap_later(struct ttu *t, pfn_t pfn)
{
	zap_batch_add(t->flags & TTU_BATCH_FLUSH ? t->batch : &t->own, pfn, 1);
}

static bool swap_out_entry(struct ttu *t, struct folio *f, struct folio *frame, struct vma *vma,
			   uint64_t *ptep, uint64_t e)
{
	swp_entry_t s = swp_make(swp_type((swp_entry_t){ f->swap }),
				 swp_offset((swp_entry_t){ f->swap }) + (uint64_t)(frame - f));
	uint64_t entry;

	if (!folio_test(f, PG_swapcache) || swap_dup(t->sys, s))
		return false;
	entry = swp_to_pte(s);
	if (folio_test_clear(frame, PG_anon_exclusive))
		entry |= PTE_SWP_EXCLUSIVE;
	if (e & PTE_SOFT_DIRTY)
		entry |= PTE_SWP_SOFT_DIRTY;
	if (e & PTE_DIRTY)
		folio_mark_dirty(f);
	pte_set(ptep, entry);
	zap_later(t, pte_pfn(e));
	mm_count(vma->mm, MM_ANONPAGES, -1);
	mm_count(vma->mm, MM_SWAPENTS, 1);
	return true;
}

/* The process said that it can do without the page: unless it wrote to it since. */
static bool drop_lazyfree(struct ttu *t, struct folio *f, struct vma *vma, uint64_t e)
{
	zap_now(t, pte_pfn(e));
	if ((e & PTE_DIRTY) || folio_test(f, PG_dirty)) {
		folio_mark_dirty(f);
		folio_set(f, PG_swapbacked);
		return false;
	}
	/* Entries and the caller; anybody else may be using it. */
	if (folio_refcount(f) != folio_mapcount(f) + 1)
		return false;
	mm_count(vma->mm, MM_ANONPAGES, -1);
	return true;
}

static bool unmap_anon(struct ttu *t, struct folio *f, struct folio *frame, struct vma *vma,
		       uint64_t *ptep, uint64_t e)
{
	/* A host access in progress must find its page where it is. */
	if (folio_pincount(f))
		return false;
	if (!folio_test(f, PG_swapbacked))
		return drop_lazyfree(t, f, vma, e);
	return swap_out_entry(t, f, frame, vma, ptep, e);
}

static void unmap_file(struct ttu *t, struct folio *f, struct vma *vma, uint64_t e)
{
	if (e & PTE_DIRTY)
		folio_mark_dirty(f);
	zap_now(t, pte_pfn(e));
	mm_count(vma->mm, folio_counter(f), -1);
}

static void unmap_poisoned(struct ttu *t, struct folio *f, struct vma *vma, uint64_t *ptep,
			   uint64_t e)
{
	pte_set(ptep, swp_to_pte(swp_make(SWP_HWPOISON, pte_pfn(e).v)));
	zap_later(t, pte_pfn(e));
	mm_count(vma->mm, folio_counter(f), -1);
}

/* The entry the walk stands at. False: it stays, and the walk ends. */
static bool unmap_entry(struct ttu *t, struct folio *f, struct vma *vma, uint64_t *ptep)
{
	uint64_t e = pte_xchg(ptep, 0);
	struct folio *frame = sys_frame(t->sys, pte_pfn(e));
	bool ok = true;

	if ((t->flags & TTU_HWPOISON) && folio_test(f, PG_hwpoison))
		unmap_poisoned(t, f, vma, ptep, e);
	else if (folio_test_anon(f))
		ok = unmap_anon(t, f, frame, vma, ptep, e);
	else
		unmap_file(t, f, vma, e);
	if (!ok) {
		pte_set(ptep, e);
		return false;
	}
	folio_remove_rmap_pte(t->sys, f, frame);
	folio_put(t->sys, f);
	return true;
}

static bool try_to_unmap_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct ttu *t = arg;
	struct page_vma_mapped_walk w;

	pvmw_init(&w, f, vma, addr, t->flags & TTU_SYNC ? PVMW_SYNC : 0);
	while (page_vma_mapped_walk(&w)) {
		if (!(t->flags & TTU_IGNORE_MLOCK) && (vma_flags(vma) & VM_LOCKED)) {
			folio_mark_mlocked(t->sys, f);
			page_vma_mapped_walk_done(&w);
			return false;
		}
		mm_assert(w.pte);
		if (!unmap_entry(t, f, vma, w.pte)) {
			page_vma_mapped_walk_done(&w);
			return false;
		}
	}
	return true;
}

static bool not_mapped(struct folio *f)
{
	return !folio_mapped(f);
}

void try_to_unmap(struct mm_sys *sys, struct folio *f, unsigned int flags,
		  struct zap_batch *batch)
{
	struct ttu t = { .sys = sys, .flags = flags, .batch = batch };
	struct rmap_walk_control rwc = {
		.arg = &t,
		.rmap_one = try_to_unmap_one,
		.done = not_mapped,
		.anon_lock = folio_lock_anon_vma_read,
	};

	mm_assert(folio_test(f, PG_locked));
	zap_batch_init(&t.own, sys);
	if (flags & TTU_RMAP_LOCKED)
		rmap_walk_locked(f, &rwc);
	else
		rmap_walk(f, &rwc);
	zap_batch_destroy(&t.own);
}
