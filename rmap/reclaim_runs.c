/* SPDX-License-Identifier: MIT */
/*
 * One rmap walk for many neighbours, on their way to swap.
 *
 * Most of what reclaim takes are folios of one frame that lie side by side in the same
 * areas, as they were faulted in together and grew old together. As in migration
 * (migrate_runs.c) a run of them, folios of one anon_vma with consecutive indexes, is
 * looked for at once: one lock of the tree, every area that overlaps the run, every
 * table in it once, one lock of the swap map a table.
 *
 * What does not fit (large folios, files, merged pages) and what is refused here (a pin,
 * a locked area, a slot with too many users) is left to try_to_unmap(). The folio locks
 * keep folio->mapping and folio->index as they are.
 */
#include "rmap/shrink.h"
#include "rmap/walk_ahead.h"

#define RUN_MAX UMM_PTRS_PER_TABLE
/* So many entries in one go, as faults wait meanwhile. */
#define RUN_ENTRIES 4096u

struct run {
	struct mm_sys *sys;
	struct folio *const *folios;
	unsigned int nr;
	unsigned int left; /* folios that are still mapped */
	struct zap_batch *zap;
};

static bool may_join(const struct folio *f)
{
	const uint32_t must = (1u << PG_swapbacked) | (1u << PG_swapcache);

	return !f->order && (folio_flags(f) & must) == must &&
	       (folio_mapping_raw(f) & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_ANON;
}

unsigned int unmap_run_length(struct folio *const *f, unsigned int nr)
{
	uintptr_t mapping = folio_mapping_raw(f[0]);
	unsigned int n = 1, max = RUN_MAX, sharers = (unsigned int)folio_mapcount(f[0]);

	if (!may_join(f[0]))
		return 1;
	if (sharers && max > RUN_ENTRIES / sharers)
		max = RUN_ENTRIES / sharers + 1;
	while (n < nr && n < max && may_join(f[n]) && folio_mapping_raw(f[n]) == mapping &&
	       f[n]->index.v == f[0]->index.v + n)
		n++;
	return n;
}

/* Nothing but the locked entry maps the folio, and nobody can map it without its lock. */
static void drop_mapping(struct run *r, struct folio *f)
{
	if (folio_mapcount(f) == 1) {
		__atomic_store_n(&f->mapcount, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&f->total_mapcount, 0, __ATOMIC_RELEASE);
	} else {
		folio_remove_rmap_pte(r->sys, f, f);
	}
	r->left -= !folio_mapped(f);
	folio_put(r->sys, f);
}

/* The entry, whose slot is counted already, changes. */
static void swap_out(struct run *r, struct folio *f, uint64_t *ptep)
{
	uint64_t e = pte_read(ptep), entry = swp_to_pte((swp_entry_t){ f->swap });

	if (folio_test(f, PG_anon_exclusive)) {
		folio_clear(f, PG_anon_exclusive);
		entry |= PTE_SWP_EXCLUSIVE;
	}
	/* Only A and D change without the table's lock. */
	if (e & PTE_SOFT_DIRTY)
		entry |= PTE_SWP_SOFT_DIRTY;
	e = pte_xchg(ptep, entry);
	if ((e & PTE_DIRTY) && !folio_test(f, PG_dirty))
		folio_mark_dirty(f);
	zap_batch_add(r->zap, pte_pfn(e), 1);
	drop_mapping(r, f);
}

/* May this entry go? A host access in progress must find its page where it is. */
static bool is_ours(const struct run *r, const struct folio *f, uint64_t e)
{
	return pte_present(e) && pte_pfn(e).v == folio_pfn(r->sys, f).v && !folio_pincount(f);
}

/* Entries of one table from @addr to @end, lock held; @at is the folio for @addr. */
static void walk_entries(struct run *r, struct vma *vma, gva_t addr, gva_t end, uint64_t *ptep,
			 unsigned int at)
{
	unsigned int n = 0, nr = (unsigned int)((end.v - addr.v) >> UMM_PAGE_SHIFT);
	struct folio *hit[RUN_MAX];
	uint16_t where[RUN_MAX];

	for (unsigned int i = 0; i < nr; i++) {
		if (!is_ours(r, r->folios[at + i], pte_read(ptep + i)))
			continue;
		where[n] = (uint16_t)i;
		hit[n++] = r->folios[at + i];
	}
	if (!n || swap_dup_folios(r->sys, hit, n))
		return;
	for (unsigned int i = 0; i < n; i++)
		swap_out(r, hit[i], ptep + where[i]);
	mm_count(vma->mm, MM_ANONPAGES, -(int64_t)n);
	mm_count(vma->mm, MM_SWAPENTS, n);
}

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
	walk_entries(r, vma, addr, end, ptep, at);
	umm_mutex_unlock(ptl);
}

static void walk_area(struct run *r, struct vma *vma)
{
	pgoff_t first = r->folios[0]->index;
	gva_t addr, end = vma_address_end(vma, first, r->nr);
	uint64_t at;

	if ((vma_flags(vma) & VM_LOCKED) || vma_address(vma, first, r->nr, &addr))
		return;
	at = vma->pgoff.v + ((addr.v - vma->start.v) >> UMM_PAGE_SHIFT) - first.v;
	for (gva_t next; addr.v < end.v; addr = next) {
		next = table_end(addr, end);
		walk_table(r, vma, addr, next, (unsigned int)at);
		at += (next.v - addr.v) >> UMM_PAGE_SHIFT;
	}
}

void unmap_run(struct mm_sys *sys, struct folio *const *f, unsigned int nr, struct zap_batch *zap)
{
	struct run r = { .sys = sys, .folios = f, .nr = nr, .left = nr, .zap = zap };
	uint64_t first = f[0]->index.v, last = first + nr - 1;
	struct anon_vma *av = folio_lock_anon_vma_read(f[0], NULL);
	struct walk_ahead w;

	if (!av)
		return;
	sys_count(sys, EV_RMAP_WALKS, 1);
	w.next = itree_first(&av->tree, first, last);
	while (r.left && walk_ahead_anon(&w, first, last)) {
		sys_count(sys, EV_RMAP_VISITS, w.nr);
		for (unsigned int i = 0; i < w.nr; i++)
			walk_area(&r, w.vmas[i]);
	}
	anon_vma_unlock_read(av);
}
