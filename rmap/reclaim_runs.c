/* SPDX-License-Identifier: MIT */
/*
 * Reclaim's use of the walk of a run (anon_run.h): to replace the entries of many
 * neighbours by swap entries, with one lock of the swap map a table.
 *
 * What does not fit (large folios, files, merged pages) and what is refused here (a pin,
 * a locked area, a slot with too many users) is left to try_to_unmap().
 */
#include "rmap/anon_run.h"
#include "rmap/shrink.h"

#define RUN_MAX UMM_PTRS_PER_TABLE
/* So many entries in one go, as faults wait meanwhile. */
#define RUN_ENTRIES 4096u

struct folio_run {
	struct anon_run run; /* ->left: folios that are still mapped */
	struct folio *const *folios;
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
static void drop_mapping(struct anon_run *run, struct folio *f)
{
	if (folio_mapcount(f) == 1) {
		__atomic_store_n(&f->mapcount, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&f->total_mapcount, 0, __ATOMIC_RELEASE);
	} else {
		folio_remove_rmap_pte(run->sys, f, f);
	}
	run->left -= !folio_mapped(f);
	folio_put(run->sys, f);
}

/* The entry, whose slot is counted already, changes. */
static void swap_out(struct folio_run *r, struct folio *f, uint64_t *ptep)
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
	drop_mapping(&r->run, f);
}

/* May this entry go? A host access in progress must find its page where it is. */
static bool is_ours(const struct mm_sys *sys, const struct folio *f, uint64_t e)
{
	return pte_present(e) && pte_pfn(e).v == folio_pfn(sys, f).v && !folio_pincount(f);
}

static void swap_out_entries(struct anon_run *run, struct vma *vma, gva_t addr, uint64_t *ptep,
			     unsigned int at, unsigned int nr)
{
	struct folio_run *r = container_of(run, struct folio_run, run);
	struct folio *const *f = r->folios + at;
	struct folio *hit[RUN_MAX];
	uint16_t where[RUN_MAX];
	unsigned int n = 0;

	(void)addr;
	for (unsigned int i = 0; i < nr; i++) {
		if (!is_ours(run->sys, f[i], pte_read(ptep + i)))
			continue;
		where[n] = (uint16_t)i;
		hit[n++] = f[i];
	}
	if (!n || swap_dup_folios(run->sys, hit, n))
		return;
	for (unsigned int i = 0; i < n; i++)
		swap_out(r, hit[i], ptep + where[i]);
	mm_count(vma->mm, MM_ANONPAGES, -(int64_t)n);
	mm_count(vma->mm, MM_SWAPENTS, n);
}

void unmap_run(struct mm_sys *sys, struct folio *const *f, unsigned int nr, struct zap_batch *zap)
{
	struct anon_vma *av = folio_lock_anon_vma_read(f[0], NULL);
	struct folio_run r = {
		.run = {
			.sys = sys,
			.av = av,
			.first = f[0]->index,
			.nr = nr,
			.left = nr,
			.not_in = VM_LOCKED,
			.entries = swap_out_entries,
		},
		.folios = f,
		.zap = zap,
	};

	if (!av)
		return;
	anon_run_walk(&r.run);
	anon_vma_unlock_read(av);
}
