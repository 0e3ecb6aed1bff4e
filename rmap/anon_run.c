/* SPDX-License-Identifier: MIT */
/* The walk of a run: tree -> areas -> tables. */
#include "rmap/anon_run.h"
#include "rmap/walk_ahead.h"

static void walk_table(struct anon_run *run, struct vma *vma, gva_t addr, gva_t end,
		       unsigned int at)
{
	struct umm_mutex *ptl;
	uint64_t *pmd = pmd_find(vma->mm, addr, &ptl), *ptep, e = pmd ? pte_read(pmd) : 0;

	/* A leaf maps a larger folio, none of ours. */
	if (!pmd_is_table(e))
		return;
	ptep = pte_lock_below(run->sys, pmd, addr, &ptl);
	if (!ptep)
		return;
	run->entries(run, vma, addr, ptep, at, (unsigned int)((end.v - addr.v) >> UMM_PAGE_SHIFT));
	umm_mutex_unlock(ptl);
}

static void walk_area(struct anon_run *run, struct vma *vma)
{
	gva_t addr, end = vma_address_end(vma, run->first, run->nr);
	uint64_t at;

	if ((vma_flags(vma) & run->not_in) || vma_address(vma, run->first, run->nr, &addr))
		return;
	at = vma->pgoff.v + ((addr.v - vma->start.v) >> UMM_PAGE_SHIFT) - run->first.v;
	for (gva_t next; addr.v < end.v; addr = next) {
		next = table_end(addr, end);
		walk_table(run, vma, addr, next, (unsigned int)at);
		at += (next.v - addr.v) >> UMM_PAGE_SHIFT;
	}
}

void anon_run_walk(struct anon_run *run)
{
	uint64_t first = run->first.v, last = first + run->nr - 1;
	struct walk_ahead w;

	sys_count(run->sys, EV_RMAP_WALKS, 1);
	w.next = itree_first(&run->av->tree, first, last);
	while (run->left && walk_ahead_anon(&w, first, last)) {
		sys_count(run->sys, EV_RMAP_VISITS, w.nr);
		for (unsigned int i = 0; i < w.nr; i++)
			walk_area(run, w.vmas[i]);
	}
}
