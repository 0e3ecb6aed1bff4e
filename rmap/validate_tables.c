/* SPDX-License-Identifier: MIT */
/* The validator's forward half: areas, their trees, and every page-table entry. */
#include "rmap/validate.h"

struct table_scan {
	struct validation *v;
	struct mm *mm;
	int64_t counters[MM_NR_COUNTERS];
	int64_t tables;
};

static void check_private_write(struct table_scan *t, struct folio *frame, uint64_t at)
{
	if (!folio_test_anon(folio_head(frame)) || !folio_test(frame, PG_anon_exclusive))
		validation_error(t->v,
				 "mm %d: entry at %#lx is writable but its page is not the "
				 "process's own",
				 t->mm->id, at);
}

/* What an entry of either size says of page @frame of the folio. */
static void check_present(struct table_scan *t, struct vma *vma, uint64_t at, uint64_t e)
{
	struct folio *frame = sys_frame(t->v->sys, pte_pfn(e)), *f;
	struct address_space *m;

	if (!frame) {
		validation_error(t->v, "mm %d: entry at %#lx maps pfn %#lx, which is no frame",
				 t->mm->id, at, pte_pfn(e).v);
		return;
	}
	f = folio_head(frame);
	if (folio_refcount(f) <= 0)
		validation_error(t->v, "mm %d: entry at %#lx maps free pfn %#lx", t->mm->id, at,
				 pte_pfn(e).v);
	t->counters[folio_counter(f)]++;
	++*validation_count(t->v, frame);
	m = folio_file_mapping(f);
	if (!folio_test_anon(f) && m && m != vma->mapping)
		validation_error(t->v, "mm %d: entry at %#lx maps a page of another object",
				 t->mm->id, at);
	if (!(e & PTE_WRITE))
		return;
	if (!(vma->flags & VM_WRITE))
		validation_error(t->v, "mm %d: entry at %#lx is writable, its area is not",
				 t->mm->id, at);
	else if (!pte_write_bit(vma->flags, e))
		validation_error(t->v, "mm %d: a store to %#lx would not make it soft-dirty",
				 t->mm->id, at);
	if (!(vma->flags & VM_SHARED))
		check_private_write(t, frame, at);
	else if (m && m->ops && !folio_test(f, PG_dirty))
		validation_error(t->v, "mm %d: entry at %#lx may dirty pfn %#lx unnoticed",
				 t->mm->id, at, pte_pfn(e).v);
}

static void check_swapped(struct table_scan *t, uint64_t at, uint64_t e)
{
	swp_entry_t s = pte_to_swp(e);

	if (swp_is_area(s)) {
		if (swp_type(s) >= t->v->sys->swap->nr_areas ||
		    swp_offset(s) >= t->v->sys->swap->areas[swp_type(s)].nr) {
			validation_error(t->v, "mm %d: entry at %#lx names no swap slot", t->mm->id,
					 at);
			return;
		}
		t->counters[MM_SWAPENTS]++;
		t->v->slots[swp_type(s)][swp_offset(s)]++;
	} else if (swp_is_migration(s)) {
		validation_error(t->v, "mm %d: migration entry at %#lx, and no migration runs",
				 t->mm->id, at);
	}
}

static void check_entry(struct table_scan *t, uint64_t at, uint64_t e)
{
	struct vma *vma = vma_find(t->mm, gva_make(at));

	t->v->report->entries++;
	if (!vma || vma->start.v > at)
		validation_error(t->v, "mm %d: entry %#lx at %#lx, where there is no area",
				 t->mm->id, e, at);
	else if (pte_present(e))
		check_present(t, vma, at, e);
	else
		check_swapped(t, at, e);
}

/* A leaf: as 512 entries, but that it is one for the map count. */
static void check_leaf(struct table_scan *t, uint64_t at, uint64_t e)
{
	struct vma *vma = vma_find(t->mm, gva_make(at));
	struct folio *f = sys_frame(t->v->sys, pte_pfn(e));

	t->v->report->entries++;
	if (!vma || vma->start.v > at || vma->end.v < at + UMM_PMD_SIZE) {
		validation_error(t->v, "mm %d: the leaf at %#lx is not inside one area", t->mm->id,
				 at);
		return;
	}
	if (!f || folio_test(f, PG_tail) || f->order != UMM_PMD_ORDER) {
		validation_error(t->v, "mm %d: the leaf at %#lx maps pfn %#lx, no 2 MiB folio",
				 t->mm->id, at, pte_pfn(e).v);
		return;
	}
	for (unsigned int i = 0; i < UMM_PTRS_PER_TABLE; i++) {
		check_present(t, vma, at + i * UMM_PAGE_SIZE, leaf_page(e, i));
		/* Counted with the head's leaves instead. */
		--*validation_count(t->v, f + i);
	}
	++*validation_leaves(t->v, f);
}

static void check_huge(struct table_scan *t, uint64_t at, uint64_t e)
{
	if (pmd_is_leaf(e))
		check_leaf(t, at, e);
	else
		check_swapped(t, at, e);
}

static void check_deposit(struct table_scan *t, pfn_t table, uint64_t leaves, uint64_t base)
{
	uint64_t spare = table_deposits(t->v->sys, table);

	if (leaves != spare)
		validation_error(t->v, "mm %d: from %#lx on %lu leaves, %lu spare tables",
				 t->mm->id, base, leaves, spare);
}

static void scan_level(struct table_scan *t, pfn_t table, int level, uint64_t base)
{
	uint64_t *entries = table_entries(t->v->sys, table);
	unsigned int nr = level == 3 ? UMM_PTRS_PER_TABLE / 2 : UMM_PTRS_PER_TABLE;
	uint64_t leaves = 0;

	t->tables++;
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t e = pte_read(&entries[i]);
		uint64_t at = base + ((uint64_t)i << (UMM_PAGE_SHIFT + 9 * level));

		if (pte_none(e))
			continue;
		if (level == 1 && pmd_is_mark(e))
			continue;
		if (level == 1 && !pmd_is_table(e)) {
			check_huge(t, at, e);
			leaves++;
		} else if (level) {
			scan_level(t, pte_pfn(e), level - 1, at);
		} else {
			check_entry(t, at, e);
		}
	}
	if (level == 1) {
		check_deposit(t, table, leaves, base);
		t->tables += (int64_t)table_deposits(t->v->sys, table);
	}
}

static bool tree_has(const struct itree *tree, const struct itree_node *node)
{
	struct itree_node *n;

	itree_for_each(n, tree, node->start, node->last)
	{
		if (n == node)
			return true;
	}
	return false;
}

static void check_area(struct table_scan *t, struct vma *vma)
{
	uint64_t last = vma->pgoff.v + vma_pages(vma) - 1;
	struct anon_vma_chain *avc;

	t->v->report->vmas++;
	if (vma->mapping && (!tree_has(&vma->mapping->i_mmap, &vma->shared) ||
			     vma->shared.start != vma->pgoff.v || vma->shared.last != last))
		validation_error(t->v, "mm %d: area %#lx is not right in its object's tree",
				 t->mm->id, vma->start.v);
	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma)
	{
		anon_vma_lock_read(avc->anon_vma);
		if (avc->vma != vma || !tree_has(&avc->anon_vma->tree, &avc->node) ||
		    avc->node.start != vma->pgoff.v || avc->node.last != last)
			validation_error(t->v, "mm %d: area %#lx is not right in an anon_vma",
					 t->mm->id, vma->start.v);
		if (!itree_valid(&avc->anon_vma->tree))
			validation_error(t->v, "mm %d: broken anon_vma tree at area %#lx",
					 t->mm->id, vma->start.v);
		anon_vma_unlock_read(avc->anon_vma);
	}
}

void validate_tables(struct validation *v, struct mm *mm)
{
	static const char *const names[] = { "anonymous", "file", "shared", "swap" };
	struct table_scan t = { .v = v, .mm = mm };

	if (!vma_tree_valid(mm))
		validation_error(v, "mm %d: the tree of areas is broken", mm->id);
	for (struct vma *vma = vma_first(mm); vma; vma = vma_next(vma))
		check_area(&t, vma);
	scan_level(&t, mm->root, 3, 0);
	for (int i = 0; i < MM_NR_COUNTERS; i++) {
		int64_t said = __atomic_load_n(&mm->counters[i], __ATOMIC_RELAXED);

		if (said != t.counters[i])
			validation_error(v, "mm %d: %s pages counted %ld, found %ld", mm->id,
					 names[i], said, t.counters[i]);
	}
	if (mm->nr_tables != t.tables)
		validation_error(v, "mm %d: %ld page tables counted, %ld found", mm->id,
				 mm->nr_tables, t.tables);
}
