/* SPDX-License-Identifier: MIT */
/*
 * One rmap walk for many neighbours.
 *
 * Most of what moves and of what is reclaimed are folios of one frame that lie side by
 * side in the same areas, as they were faulted in together. Looking for each of them
 * alone costs a lock and a search of the tree, a descent through the page tables and a
 * lock of the table a page. Such a run, folios of one anon_vma with consecutive indexes,
 * is looked for at once: every area that overlaps it, every table in that, once each.
 *
 * What becomes of the entries is for the user to say (migrate_runs.c, reclaim_runs.c),
 * who is called once a table, not once a page.
 */
#ifndef RMAP_ANON_RUN_H
#define RMAP_ANON_RUN_H

#include "rmap/internal.h"

struct anon_run {
	struct mm_sys *sys;
	struct anon_vma *av;
	pgoff_t first;     /* index of the first folio */
	unsigned int nr;   /* folios; the last has the index first + nr - 1 */
	uint64_t not_in;   /* VM_ flags: areas with one of them are left alone */
	unsigned int left; /* the walk ends when a callback has made this 0 */
	/*
	 * @nr entries of one table, from @ptep and @addr on; the first is where folio
	 * @at of the run would be. They may hold anything.
	 * => the table's lock is held, and the anon_vma's for reading
	 */
	void (*entries)(struct anon_run *run, struct vma *vma, gva_t addr, uint64_t *ptep,
			unsigned int at, unsigned int nr);
};

/*
 * Show all entries that may map the run to run->entries.
 * => run->av locked for reading and the folios locked by the caller: their mapping and
 *    index stay
 */
void anon_run_walk(struct anon_run *run);

#endif
