/* SPDX-License-Identifier: MIT */
/* What try_to_unmap() and try_to_migrate() have in common. */
#ifndef RMAP_UNMAP_WALK_H
#define RMAP_UNMAP_WALK_H

#include "rmap/internal.h"

enum unmap_verdict {
	UNMAP_DONE,
	UNMAP_SPLIT,
	UNMAP_REFUSED, /* the entry stays, and the walk ends */
};

struct unmap_walk {
	struct mm_sys *sys;
	unsigned int flags;      /* TTU_* */
	struct zap_batch *batch; /* where zaps go: the caller's, or `own` */
	struct zap_batch own;
	/*
	 * The entry at which the walk stands, locked. Of a 2 MiB leaf (no w->pte) the
	 * answer may be SPLIT: the walk then comes again, for each of its pages.
	 */
	enum unmap_verdict (*entry)(struct unmap_walk *u, struct folio *f,
				    struct page_vma_mapped_walk *w);
	bool (*invalid_vma)(struct vma *vma, void *arg); /* may be NULL */
};

/*
 * Visit every entry of a locked folio until nothing maps it, and zap: at the end,
 * or with TTU_BATCH_FLUSH whenever the caller flushes @batch.
 */
void unmap_walk_run(struct unmap_walk *u, struct folio *f, struct zap_batch *batch);

/*
 * migration_entries.c: replace the leaf at @pmd, lock held, by a 2 MiB migration
 * entry; returns what it was.
 */
uint64_t migration_leaf_make(const struct folio *f, uint64_t *pmd);
/* The migration entry for entry @e of @frame. */
static inline uint64_t migration_entry_make(const struct folio *f, const struct folio *frame,
					    uint64_t e)
{
	unsigned int type = SWP_MIGRATION_READ;
	uint64_t entry;

	if (e & PTE_WRITE)
		type = SWP_MIGRATION_WRITE;
	else if (folio_test_anon(f) && folio_test(frame, PG_anon_exclusive))
		type = SWP_MIGRATION_READ_EXCLUSIVE;
	entry = swp_to_pte(swp_make(type, pte_pfn(e).v));
	if (e & PTE_ACCESSED)
		entry |= PTE_SWP_YOUNG;
	if (e & PTE_DIRTY)
		entry |= PTE_SWP_DIRTY;
	if (e & PTE_SOFT_DIRTY)
		entry |= PTE_SWP_SOFT_DIRTY;
	return entry;
}

/*
 * What it becomes again, for frame @pfn of @dst in an area with the flags @vf, which
 * allow @p, vm_page_prot(vf).
 */
static inline uint64_t migration_entry_undo(const struct folio *dst, uint64_t vf, uint64_t p,
					    pfn_t pfn, uint64_t entry)
{
	if (entry & PTE_SWP_YOUNG)
		p |= PTE_ACCESSED;
	if ((entry & PTE_SWP_DIRTY) && folio_test(dst, PG_dirty))
		p |= PTE_DIRTY;
	if (entry & PTE_SWP_SOFT_DIRTY)
		p |= PTE_SOFT_DIRTY;
	if (swp_type(pte_to_swp(entry)) == SWP_MIGRATION_WRITE)
		p |= pte_write_bit(vf, p);
	return pte_make(pfn, p);
}

/* An entry of @frame is about to come back: @frame is exclusive no more if @s says so. */
static inline void migration_settle_exclusive(struct folio *frame, swp_entry_t s)
{
	if (swp_type(s) == SWP_MIGRATION_READ && folio_test(frame, PG_anon_exclusive))
		folio_clear(frame, PG_anon_exclusive);
}

#endif
