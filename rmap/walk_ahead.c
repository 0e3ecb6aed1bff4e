/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead for reverse walks.
 *
 * From an area to its entry the way is area -> mm -> (root -> level 3 ->) level 2 ->
 * leaf table and its lock (the mm knows some of its level-2 tables): each address is
 * known only when the one before has been read, and with a thousand processes none of them is in the processor's cache. One
 * after the other that is most of what a walk takes. So areas are taken in groups,
 * and each step is made for the whole group before the next: its misses then go on
 * at the same time.
 *
 * Nothing here decides anything. Tables are read without their locks and may be
 * freed and used for something else meanwhile, so that what looks like a table is
 * asked whether it can be one; the walk looks again, properly.
 */
#include "rmap/walk_ahead.h"

/* Below this a group is not worth the steps. */
#define WORTH_IT 4u

static void fetch(const void *p)
{
	__builtin_prefetch(p, 0, 3);
}

static const uint64_t *entry_in(const struct mm_sys *sys, pfn_t table, gva_t addr, int level)
{
	uint64_t i = (addr.v >> (UMM_PAGE_SHIFT + 9 * level)) % UMM_PTRS_PER_TABLE;

	/* Also what is below the first table. */
	if (table.v - sys->config.table_base.v >= sys->config.nr_tables)
		return NULL;
	return table_entries(sys, table) + i;
}

/* From the entry, if it leads to a table, to the one below. */
static const uint64_t *entry_below(const struct mm_sys *sys, const uint64_t *e, gva_t addr,
				   int level)
{
	uint64_t v = e ? pte_read(e) : 0;

	return pmd_is_table(v) ? entry_in(sys, pte_pfn(v), addr, level) : NULL;
}

static void fetch_entries(const struct walk_ahead *w, uint64_t first)
{
	const uint64_t *e[WALK_AHEAD];
	gva_t addr[WALK_AHEAD];
	bool known[WALK_AHEAD], all_known = true;
	const struct mm_sys *sys;
	pfn_t table;

	for (unsigned int i = 0; i < w->nr; i++)
		fetch(w->vmas[i]);
	for (unsigned int i = 0; i < w->nr; i++)
		fetch(w->vmas[i]->mm);
	sys = w->vmas[0]->mm->sys;
	for (unsigned int i = 0; i < w->nr; i++) {
		const struct vma *vma = w->vmas[i];

		addr[i] = vma->start;
		if (first > vma->pgoff.v)
			addr[i].v += (first - vma->pgoff.v) << UMM_PAGE_SHIFT;
		known[i] = level2_known(vma->mm, addr[i], &table);
		all_known &= known[i];
		e[i] = known[i] ? entry_in(sys, table, addr[i], 1)
				: entry_in(sys, vma->mm->root, addr[i], 3);
		fetch(e[i]);
	}
	for (int level = 2; level >= 1 && !all_known; level--) {
		for (unsigned int i = 0; i < w->nr; i++) {
			if (known[i])
				continue;
			e[i] = entry_below(sys, e[i], addr[i], level);
			if (e[i])
				fetch(e[i]);
		}
	}
	for (unsigned int i = 0; i < w->nr; i++) {
		const uint64_t *leaf = entry_below(sys, e[i], addr[i], 0);

		if (!leaf)
			continue;
		fetch(leaf);
		fetch(table_lock_of(sys, pte_pfn(pte_read(e[i]))));
	}
}

static bool next_group(struct walk_ahead *w, uint64_t first, uint64_t last,
		       struct vma *(*vma_of)(struct itree_node *n))
{
	struct itree_node *n = w->next;

	for (w->nr = 0; n && w->nr < WALK_AHEAD; n = itree_next(n, first, last))
		w->vmas[w->nr++] = vma_of(n);
	w->next = n;
	if (w->nr >= WORTH_IT)
		fetch_entries(w, first);
	return w->nr;
}

static struct vma *vma_of_chain(struct itree_node *n)
{
	return container_of(n, struct anon_vma_chain, node)->vma;
}

static struct vma *vma_of_file(struct itree_node *n)
{
	return container_of(n, struct vma, shared);
}

bool walk_ahead_anon(struct walk_ahead *w, uint64_t first, uint64_t last)
{
	return next_group(w, first, last, vma_of_chain);
}

bool walk_ahead_file(struct walk_ahead *w, uint64_t first, uint64_t last)
{
	return next_group(w, first, last, vma_of_file);
}
