/* SPDX-License-Identifier: MIT */
/*
 * Migration's use of the walk of a run (anon_run.h): to replace all entries of many
 * neighbours by migration entries, and to restore them.
 *
 * The contracts are those of try_to_migrate() and remove_migration_ptes(), which
 * see to all that is no part of a run.
 */
#include "rmap/anon_run.h"
#include "rmap/migrate.h"
#include "rmap/unmap_walk.h"

/* In one go, as the clock is read between: so many folios, so many entries of them. */
#define RUN_MAX     64u
#define RUN_ENTRIES 2048u

struct item_run {
	struct anon_run run;
	struct migrate_item *items;
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

static void walk_items(struct migration *m, struct migrate_item *items, unsigned int nr,
		       uint64_t not_in,
		       void (*entries)(struct anon_run *run, struct vma *vma, gva_t addr,
				       uint64_t *ptep, unsigned int at, unsigned int nr))
{
	struct item_run r = {
		.run = {
			.sys = m->sys,
			.av = items->av,
			.first = items->src->index,
			.nr = nr,
			.left = nr,
			.not_in = not_in,
			.entries = entries,
		},
		.items = items,
	};

	anon_vma_lock_read(items->av);
	anon_run_walk(&r.run);
	anon_vma_unlock_read(items->av);
}

/*
 * ---- from mappings to migration entries ------------------------------------------
 *
 * PG_anon_exclusive of the folio stays as it is. Nobody acts by it while no entry maps
 * the page, and what is so when the entry comes back (fork may have been there) is
 * settled then.
 */

static void unmap_entry(struct mm_sys *sys, struct migrate_item *it, uint64_t *ptep)
{
	uint64_t e = pte_read(ptep);
	struct folio *f = it->src;

	/* A host access in progress must find its page where it is. */
	if (!pte_present(e) || pte_pfn(e).v != it->src_pfn.v || folio_pincount(f))
		return;
	e = pte_xchg(ptep, 0);
	pte_set(ptep, migration_entry_make(f, f, e));
	if ((e & PTE_DIRTY) && !folio_test(f, PG_dirty))
		folio_mark_dirty(f);
	it->zap = true;
	it->refs++;
	folio_remove_last_rmap(sys, f);
}

static void unmap_entries(struct anon_run *run, struct vma *vma, gva_t addr, uint64_t *ptep,
			  unsigned int at, unsigned int nr)
{
	struct migrate_item *it = container_of(run, struct item_run, run)->items + at;

	(void)vma;
	(void)addr;
	for (unsigned int i = 0; i < nr; i++)
		unmap_entry(run->sys, it + i, ptep + i);
}

/* Each once, however many entries it had; neighbours together. */
static void zap_items(struct migration *m, struct migrate_item *items, unsigned int nr)
{
	pfn_t first = items->src_pfn;
	uint32_t joined = 0;

	for (unsigned int i = 0; i < nr; i++) {
		if (!items[i].zap)
			continue;
		items[i].zap = false;
		if (joined && items[i].src_pfn.v == first.v + joined) {
			joined++;
			continue;
		}
		if (joined)
			zap_batch_add(&m->zap, first, joined);
		first = items[i].src_pfn;
		joined = 1;
	}
	if (joined)
		zap_batch_add(&m->zap, first, joined);
}

void migrate_unmap_run(struct migration *m, struct migrate_item *items, unsigned int nr)
{
	/* An exec in progress moves its stack about: leave its entries. */
	walk_items(m, items, nr, VM_STACK_INCOMPLETE_SETUP, unmap_entries);
	zap_items(m, items, nr);
}

/* ---- and back -------------------------------------------------------------------- */

/* An area, by its flags and what they allow. */
struct area_bits {
	struct vma *vma;
	uint64_t flags, prot;
};

static void restore_entry(struct mm_sys *sys, struct migrate_item *it, const struct area_bits *area,
			  gva_t addr, uint64_t *ptep)
{
	uint64_t entry = pte_read(ptep);
	swp_entry_t s = pte_to_swp(entry);
	struct folio *f = it->moved ? it->dst : it->src;
	pfn_t pfn = it->moved ? it->dst_pfn : it->src_pfn;

	if (!pte_is_swap(entry) || !swp_is_migration(s) || swp_pfn(s).v != it->src_pfn.v)
		return;
	if (it->refs)
		it->refs--;
	else
		folio_get(f);
	migration_settle_exclusive(f, s);
	folio_add_first_anon_rmap(sys, f, area->vma, addr, swp_type(s) != SWP_MIGRATION_READ);
	pte_set(ptep, migration_entry_undo(f, area->flags, area->prot, pfn, entry));
}

static void restore_entries(struct anon_run *run, struct vma *vma, gva_t addr, uint64_t *ptep,
			    unsigned int at, unsigned int nr)
{
	struct migrate_item *it = container_of(run, struct item_run, run)->items + at;
	/* Who changes the flags changes the entries after that, for which the lock is needed. */
	struct area_bits area = { .vma = vma, .flags = vma_flags(vma) };

	area.prot = vm_page_prot(area.flags);
	for (unsigned int i = 0; i < nr; i++, addr.v += UMM_PAGE_SIZE)
		restore_entry(run->sys, it + i, &area, addr, ptep + i);
}

void migrate_restore_run(struct migration *m, struct migrate_item *items, unsigned int nr)
{
	walk_items(m, items, nr, 0, restore_entries);
}
