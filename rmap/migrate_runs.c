/* SPDX-License-Identifier: MIT */
/*
 * One rmap walk for many neighbours.
 *
 * Most of what moves are folios of one frame that lie side by side in the same
 * areas. Looking for each of them alone costs a lock and a search of the tree, a
 * descent through the page tables and a lock of the table a page, which together
 * take longer than the copy. Such a run, items of one anon_vma with consecutive
 * indexes, is looked for at once: every area that overlaps the run, every table in
 * it, and there every entry that names the folio which the index says.
 *
 * The contracts are those of try_to_migrate() and remove_migration_ptes(), which
 * see to all that is no part of a run. The folio locks keep folio->mapping and
 * folio->index as they are.
 */
#include "rmap/migrate.h"
#include "rmap/unmap_walk.h"
#include "rmap/walk_ahead.h"

/* In one go, as the clock is read between: so many folios, so many entries of them. */
#define RUN_MAX     64u
#define RUN_ENTRIES 2048u

struct run {
	struct migration *m;
	struct migrate_item *items;
	unsigned int nr;
	void (*entry)(struct run *r, struct migrate_item *it, struct vma *vma, gva_t addr,
		      uint64_t *ptep);
};

static bool may_join(const struct migrate_item *it)
{
	return it->av && !it->src->order;
}

unsigned int migrate_run_length(const struct migrate_item *items, unsigned int nr)
{
	unsigned int n = 1, max = RUN_MAX, sharers;

	if (!may_join(items))
		return 1;
	/* On the way back nothing maps them yet, but the runs are not longer for that. */
	sharers = items->sharers;
	if (sharers * max > RUN_ENTRIES)
		max = RUN_ENTRIES / sharers + 1;
	while (n < nr && n < max && may_join(&items[n]) && items[n].av == items->av &&
	       items[n].src->index.v == items->src->index.v + n)
		n++;
	return n;
}

/* Entries of one table from @addr to @end; @at is the item for @addr. */
static void walk_table(struct run *r, struct vma *vma, gva_t addr, gva_t end, unsigned int at)
{
	struct umm_mutex *ptl;
	uint64_t *pmd = pmd_find(vma->mm, addr, &ptl), *ptep, e = pmd ? pte_read(pmd) : 0;

	/* A leaf maps a larger folio, none of ours. */
	if (!pmd_is_table(e))
		return;
	ptep = pte_lock_below(vma->mm->sys, pmd, addr, &ptl);
	if (!ptep)
		return;
	for (; addr.v < end.v; addr.v += UMM_PAGE_SIZE, ptep++, at++)
		r->entry(r, &r->items[at], vma, addr, ptep);
	umm_mutex_unlock(ptl);
}

static void walk_area(struct run *r, struct vma *vma)
{
	pgoff_t first = r->items->src->index;
	gva_t addr, end = vma_address_end(vma, first, r->nr);
	uint64_t at;

	if (vma_address(vma, first, r->nr, &addr))
		return;
	at = vma->pgoff.v + ((addr.v - vma->start.v) >> UMM_PAGE_SHIFT) - first.v;
	for (gva_t next; addr.v < end.v; addr = next) {
		next = table_end(addr, end);
		walk_table(r, vma, addr, next, (unsigned int)at);
		at += (next.v - addr.v) >> UMM_PAGE_SHIFT;
	}
}

static void walk_run(struct run *r, bool all_areas)
{
	struct anon_vma *av = r->items->av;
	uint64_t first = r->items->src->index.v, last = first + r->nr - 1;
	struct walk_ahead w;

	anon_vma_lock_read(av);
	sys_count(r->m->sys, EV_RMAP_WALKS, 1);
	w.next = itree_first(&av->tree, first, last);
	while (walk_ahead_anon(&w, first, last)) {
		sys_count(r->m->sys, EV_RMAP_VISITS, w.nr);
		for (unsigned int i = 0; i < w.nr; i++) {
			/* An exec in progress moves its stack about: leave its entries. */
			if (all_areas || !(vma_flags(w.vmas[i]) & VM_STACK_INCOMPLETE_SETUP))
				walk_area(r, w.vmas[i]);
		}
	}
	anon_vma_unlock_read(av);
}

/* ---- from mappings to migration entries ------------------------------------------ */

static void unmap_entry(struct run *r, struct migrate_item *it, struct vma *vma, gva_t addr,
			uint64_t *ptep)
{
	struct mm_sys *sys = r->m->sys;
	uint64_t e = pte_read(ptep);
	struct folio *f = it->src;

	(void)vma;
	(void)addr;
	/* A host access in progress must find its page where it is. */
	if (!pte_present(e) || pte_pfn(e).v != folio_pfn(sys, f).v || folio_pincount(f))
		return;
	e = pte_xchg(ptep, 0);
	pte_set(ptep, migration_entry_make(f, f, e));
	if ((e & PTE_DIRTY) && !folio_test(f, PG_dirty))
		folio_mark_dirty(f);
	if (folio_test(f, PG_anon_exclusive))
		folio_clear(f, PG_anon_exclusive);
	it->zap = true;
	folio_remove_rmap_pte(sys, f, f);
	folio_put(sys, f);
}

void migrate_unmap_run(struct migration *m, struct migrate_item *items, unsigned int nr)
{
	struct run r = { .m = m, .items = items, .nr = nr, .entry = unmap_entry };

	walk_run(&r, false);
	/* Once, however many entries it had. */
	for (unsigned int i = 0; i < nr; i++) {
		if (items[i].zap)
			zap_batch_add(&m->zap, folio_pfn(m->sys, items[i].src), 1);
		items[i].zap = false;
	}
}

/* ---- and back -------------------------------------------------------------------- */

static void restore_entry(struct run *r, struct migrate_item *it, struct vma *vma, gva_t addr,
			  uint64_t *ptep)
{
	struct mm_sys *sys = r->m->sys;
	uint64_t entry = pte_read(ptep);
	swp_entry_t s = pte_to_swp(entry);
	struct folio *f = it->moved ? it->dst : it->src;

	if (!pte_is_swap(entry) || !swp_is_migration(s) ||
	    swp_pfn(s).v != folio_pfn(sys, it->src).v)
		return;
	folio_get(f);
	folio_add_anon_rmap_pte(sys, f, f, vma, addr, swp_type(s) != SWP_MIGRATION_READ);
	pte_set(ptep, migration_entry_undo(f, vma, folio_pfn(sys, f), entry));
}

void migrate_restore_run(struct migration *m, struct migrate_item *items, unsigned int nr)
{
	struct run r = { .m = m, .items = items, .nr = nr, .entry = restore_entry };

	walk_run(&r, true);
}
