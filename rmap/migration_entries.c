/* SPDX-License-Identifier: MIT */
/*
 * try_to_migrate and remove_migration_ptes: from mappings to migration entries
 * and back.
 *
 * A migration entry holds the source's pfn and all that the mapping was: write,
 * exclusive, A, D, soft-dirty. It holds no reference and no map count; whoever
 * put it there keeps the source locked and referenced until it is gone, and
 * faults wait for that lock. The process's RSS keeps counting the page.
 */
#include "rmap/unmap_walk.h"

/* In one step: who looks without the lock must not take the entry for empty. */
uint64_t migration_leaf_make(const struct folio *f, uint64_t *pmd)
{
	uint64_t e = pte_read(pmd);

	while (!__atomic_compare_exchange_n(pmd, &e, migration_entry_make(f, f, e), false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	return e;
}

/* A 2 MiB leaf becomes one entry of its own kind. */
static void migrate_leaf(struct unmap_walk *u, struct folio *f, uint64_t *pmd)
{
	uint64_t e = migration_leaf_make(f, pmd);

	if (e & PTE_DIRTY)
		folio_mark_dirty(f);
	folio_clear_exclusive(f);
	zap_batch_add(u->batch, pte_pfn(e), UMM_PTRS_PER_TABLE);
	u->batch->tables = true;
	folio_remove_rmap_pmd(u->sys, f);
	folio_put(u->sys, f);
}

static enum unmap_verdict migrate_entry(struct unmap_walk *u, struct folio *f,
					struct page_vma_mapped_walk *w)
{
	struct folio *frame;
	uint64_t e;

	/* A host access in progress must find its page where it is. */
	if (folio_pincount(f))
		return UNMAP_REFUSED;
	if (!w->pte && (u->flags & TTU_SPLIT_HUGE_PMD))
		return UNMAP_SPLIT;
	if (!w->pte) {
		migrate_leaf(u, f, w->pmd);
		return UNMAP_DONE;
	}
	e = pte_xchg(w->pte, 0);
	frame = sys_frame(u->sys, pte_pfn(e));
	pte_set(w->pte, migration_entry_make(f, frame, e));
	if (e & PTE_DIRTY)
		folio_mark_dirty(f);
	folio_clear(frame, PG_anon_exclusive);
	zap_batch_add(u->batch, pte_pfn(e), 1);
	folio_remove_rmap_pte(u->sys, f, frame);
	folio_put(u->sys, f);
	return UNMAP_DONE;
}

/* An exec in progress moves its stack about: its entries are left alone. */
static bool temporary_stack(struct vma *vma, void *arg)
{
	(void)arg;
	return vma_flags(vma) & VM_STACK_INCOMPLETE_SETUP;
}

void try_to_migrate(struct mm_sys *sys, struct folio *f, unsigned int flags,
		    struct zap_batch *batch)
{
	struct unmap_walk u = {
		.sys = sys,
		.flags = flags,
		.entry = migrate_entry,
		.invalid_vma = temporary_stack,
	};

	unmap_walk_run(&u, f, batch);
}

/* ---- and back ---------------------------------------------------------------- */

struct restore {
	struct mm_sys *sys;
	struct folio *src, *dst;
};

static void restore_small(struct restore *r, struct page_vma_mapped_walk *w)
{
	uint64_t entry = pte_read(w->pte);
	swp_entry_t s = pte_to_swp(entry);
	uint64_t at = swp_pfn(s).v - folio_pfn(r->sys, r->src).v;
	pfn_t dst = pfn_add(folio_pfn(r->sys, r->dst), at);
	uint64_t vf = vma_flags(w->vma);

	folio_get(r->dst);
	migration_settle_exclusive(r->dst + at, s);
	if (folio_test_anon(r->dst))
		folio_add_anon_rmap_pte(r->sys, r->dst, r->dst + at, w->vma, w->address,
					swp_type(s) != SWP_MIGRATION_READ);
	else
		folio_add_file_rmap_pte(r->sys, r->dst, r->dst + at);
	pte_set(w->pte, migration_entry_undo(r->dst, vf, vm_page_prot(vf), dst, entry));
}

/* Tables were flushed since the leaf became a migration entry. */
static void restore_leaf(struct restore *r, struct page_vma_mapped_walk *w)
{
	uint64_t entry = pte_read(w->pmd);
	pfn_t dst = folio_pfn(r->sys, r->dst);
	uint64_t vf = vma_flags(w->vma);

	mm_assert(r->dst->order == UMM_PMD_ORDER);
	folio_get(r->dst);
	folio_add_anon_rmap_pmd(r->sys, r->dst, w->vma, w->address,
				swp_type(pte_to_swp(entry)) != SWP_MIGRATION_READ);
	pte_set(w->pmd, migration_entry_undo(r->dst, vf, vm_page_prot(vf), dst, entry) | PTE_HUGE);
}

static bool restore_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct restore *r = arg;
	struct page_vma_mapped_walk w;

	pvmw_init(&w, f, vma, addr, PVMW_SYNC | PVMW_MIGRATION);
	w.pfn = folio_pfn(r->sys, r->src);
	while (page_vma_mapped_walk(&w)) {
		if (w.pte)
			restore_small(r, &w);
		else
			restore_leaf(r, &w);
	}
	return true;
}

void remove_migration_ptes(struct mm_sys *sys, struct folio *src, struct folio *dst, bool locked)
{
	struct restore r = { .sys = sys, .src = src, .dst = dst };
	struct rmap_walk_control rwc = {
		.arg = &r,
		.rmap_one = restore_one,
	};

	if (locked)
		rmap_walk_locked(dst, &rwc);
	else
		rmap_walk(dst, &rwc);
}
