/* SPDX-License-Identifier: MIT */
/*
 * mremap's entry half: entries move from one address to another, their folios
 * stay as they are (folio->index does not change: the new area has the old page
 * offsets).
 *
 * The rmap locks of the area are held over each step, so that a walker sees an
 * entry in its old place or in its new one, never in neither. The old
 * translations are zapped before the page-table locks are given back: after
 * that somebody may take the frame through its new entry and free it.
 */
#include "rmap/internal.h"

static void take_rmap_locks(struct vma *vma)
{
	if (vma->mapping)
		umm_write_lock(&vma->mapping->i_mmap_lock);
	vma_lock_anon(vma);
}

static void drop_rmap_locks(struct vma *vma)
{
	vma_unlock_anon(vma);
	if (vma->mapping)
		umm_write_unlock(&vma->mapping->i_mmap_lock);
}

/* Both places are in one leaf table each. */
static void move_entries(struct mm *mm, gva_t old, gva_t new, uint64_t pages)
{
	struct zap_batch zap;
	struct pte_pair p;

	if (!pte_pair_lock(&p, mm, old, mm, new))
		return;
	zap_batch_init(&zap, mm->sys);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t e = pte_read(&p.a[i]);

		if (pte_none(e))
			continue;
		e = pte_xchg(&p.a[i], 0);
		if (pte_present(e)) {
			zap_batch_add(&zap, pte_pfn(e), 1);
			e |= PTE_SOFT_DIRTY;
		} else {
			zap_batch_add_hidden(&zap, e);
			e |= PTE_SWP_SOFT_DIRTY;
		}
		mm_assert(pte_none(pte_read(&p.b[i])));
		pte_set(&p.b[i], e);
	}
	zap_batch_destroy(&zap);
	pte_pair_unlock(&p);
}

/*
 * A whole leaf, from one place for leaves to another: false if there is none, or
 * it must go entry by entry.
 */
static bool move_leaf(struct mm *mm, gva_t old, gva_t new)
{
	struct mm_sys *sys = mm->sys;
	struct zap_batch zap;
	struct pte_pair p;
	uint64_t e;

	if (!pmd_pair_lock(&p, mm, old, mm, new))
		return false;
	if (!pmd_is_leaf(pte_read(p.a)) || !pmd_is_empty(pte_read(p.b))) {
		pte_pair_unlock(&p);
		return false;
	}
	pmd_settle(sys, p.b);
	table_deposit(sys, p.b, table_withdraw(sys, p.a));
	e = pte_xchg(p.a, 0);
	pmd_mark(sys, p.a);
	zap_batch_init(&zap, sys);
	zap_batch_add(&zap, pte_pfn(e), UMM_PTRS_PER_TABLE);
	pte_set(p.b, e | PTE_SOFT_DIRTY);
	zap_batch_destroy(&zap);
	pte_pair_unlock(&p);
	return true;
}

/* The same, its locks and tables included. @left: bytes that are to be moved yet. */
static bool move_huge(struct vma *vma, gva_t from, gva_t to, uint64_t left)
{
	struct umm_mutex *lock;
	uint64_t *pmd = pmd_find(vma->mm, from, &lock);
	bool moved;

	if (((from.v | to.v) & ~UMM_PMD_MASK) || left < UMM_PMD_SIZE || !pmd ||
	    !pmd_is_leaf(pte_read(pmd)) || !pmd_alloc(vma->mm, to, &lock))
		return false;
	take_rmap_locks(vma);
	moved = move_leaf(vma->mm, from, to);
	drop_rmap_locks(vma);
	return moved;
}

uint64_t move_page_tables(struct vma *old_vma, gva_t old, struct vma *new_vma, gva_t new_addr,
			  uint64_t len)
{
	struct mm *mm = old_vma->mm;
	uint64_t moved = 0;

	mm_assert(new_vma->mm == mm);
	for (;;) {
		gva_t from = tables_from(mm, gva_add(old, moved), gva_add(old, len));
		gva_t to = gva_add(new_addr, from.v - old.v);
		uint64_t a = table_end(from, gva_add(old, len)).v - from.v;
		uint64_t b = table_end(to, gva_add(new_addr, len)).v - to.v;
		uint64_t step = a < b ? a : b;
		struct umm_mutex *ptl;

		moved = from.v - old.v;
		if (moved == len)
			break;
		if (move_huge(old_vma, from, to, len - moved)) {
			moved += UMM_PMD_SIZE;
			continue;
		}
		/* Nothing to move from here: then no table is needed there either. */
		if (pte_lock(mm, from, &ptl)) {
			umm_mutex_unlock(ptl);
			if (pgtable_make(mm, to))
				break;
			take_rmap_locks(old_vma);
			move_entries(mm, from, to, step >> UMM_PAGE_SHIFT);
			drop_rmap_locks(old_vma);
		}
		moved += step;
	}
	return moved;
}
