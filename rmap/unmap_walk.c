/* SPDX-License-Identifier: MIT */
/* The walk under try_to_unmap and try_to_migrate. */
#include "rmap/unmap_walk.h"

static bool unmap_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct unmap_walk *u = arg;
	struct page_vma_mapped_walk w;

	pvmw_init(&w, f, vma, addr, u->flags & TTU_SYNC ? PVMW_SYNC : 0);
	while (page_vma_mapped_walk(&w)) {
		enum unmap_verdict verdict = u->entry(u, f, &w);

		if (verdict == UNMAP_DONE)
			continue;
		page_vma_mapped_walk_done(&w);
		if (verdict == UNMAP_REFUSED)
			return false;
		pmd_split(vma->mm, w.address);
	}
	return true;
}

static bool not_mapped(struct folio *f)
{
	return !folio_mapped(f);
}

void unmap_walk_run(struct unmap_walk *u, struct folio *f, struct zap_batch *batch)
{
	struct rmap_walk_control rwc = {
		.arg = u,
		.rmap_one = unmap_one,
		.done = not_mapped,
		.anon_lock = folio_lock_anon_vma_read,
		.invalid_vma = u->invalid_vma,
	};

	mm_assert(folio_test(f, PG_locked));
	zap_batch_init(&u->own, u->sys);
	u->batch = u->flags & TTU_BATCH_FLUSH ? batch : &u->own;
	if (u->flags & TTU_RMAP_LOCKED)
		rmap_walk_locked(f, &rwc);
	else
		rmap_walk(f, &rwc);
	zap_batch_destroy(&u->own);
}
