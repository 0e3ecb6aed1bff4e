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
/* The migration entry for entry @e of @frame, and what it becomes again. */
uint64_t migration_entry_make(const struct folio *f, const struct folio *frame, uint64_t e);
uint64_t migration_entry_undo(struct folio *dst, struct vma *vma, pfn_t pfn, uint64_t entry);

#endif
