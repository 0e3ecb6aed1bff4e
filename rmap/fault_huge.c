/* SPDX-License-Identifier: MIT */
/*
 * Faults that a 2 MiB leaf resolves.
 *
 *	empty, and the area has all 2 MiB	a new zeroed folio of order 9
 *	leaf, store, exclusive			the entry becomes writable
 *	leaf, store, nobody else left		the folio becomes exclusive again
 *	leaf with a hint (rmap/hint.h)		fault_hint_leaf: take it back, perhaps move it
 *	leaf that allows the access		nothing: somebody was faster
 *	migration entry				wait until it is gone
 *
 * Everything else goes to the small entries; asking for one splits a leaf, so a
 * page of a shared leaf is copied alone, as on Linux.
 *
 * A leaf is worth more here than on Linux: with shadow paging a 2 MiB entry on
 * huge pages of the host is one translation to be made instead of 512, each of
 * which costs as much as a page fault does natively.
 */
#include "rmap/hint.h"

static uint64_t leaf_flags(const struct fault *f)
{
	uint64_t vf = vma_flags(f->vma), p = vm_page_prot(vf) | PTE_ACCESSED | PTE_HUGE;

	if (f->flags & FAULT_FLAG_WRITE)
		p |= PTE_DIRTY | PTE_SOFT_DIRTY;
	return p | pte_write_bit(vf, p);
}

static bool room_for_leaf(const struct fault *f)
{
	uint64_t base = f->addr.v & UMM_PMD_MASK;

	return vma_is_anonymous(f->vma) && base >= f->vma->start.v &&
	       base + UMM_PMD_SIZE <= f->vma->end.v &&
	       thp_order_enabled(f->mm->sys, f->vma, UMM_PMD_ORDER) &&
	       !(f->flags & FAULT_FLAG_SINGLE) && !memory_is_short(f->mm->sys);
}

/* The entry is locked and empty. */
static void map_leaf(struct fault *f, uint64_t *pmd, struct folio *folio, pfn_t spare)
{
	struct mm_sys *sys = f->mm->sys;

	pmd_settle(sys, pmd);
	folio_set(folio, PG_uptodate);
	folio_get(folio);
	folio_add_new_anon_rmap_pmd(sys, folio, f->vma, gva_make(f->addr.v & UMM_PMD_MASK));
	table_deposit(sys, pmd, spare);
	pte_set(pmd, pte_make(folio_pfn(sys, folio), leaf_flags(f)));
	mm_count(f->mm, MM_ANONPAGES, UMM_PTRS_PER_TABLE);
}

static bool fill_leaf(struct fault *f)
{
	struct mm_sys *sys = f->mm->sys;
	gva_t base = gva_make(f->addr.v & UMM_PMD_MASK);
	struct umm_mutex *lock;
	uint64_t *pmd = pmd_alloc(f->mm, f->addr, &lock);
	struct folio *folio;
	bool mapped;
	pfn_t spare;

	if (!pmd || !table_alloc(f->mm, &spare))
		return false;
	folio = folio_alloc_at(sys, place_for(f->vma, base, UMM_PMD_ORDER), UMM_PMD_ORDER,
			       ALLOC_ZERO);
	if (!folio) {
		table_free_unused(f->mm, spare);
		sys_count(sys, EV_THP_FAULT_FALLBACK, 1);
		return false;
	}
	umm_mutex_lock(lock);
	mapped = pmd_is_empty(pte_read(pmd));
	if (mapped)
		map_leaf(f, pmd, folio, spare);
	umm_mutex_unlock(lock);
	if (mapped) {
		lru_add(sys, folio, false);
		sys_count(sys, EV_FAULT_ANON, 1);
		sys_count(sys, EV_THP_FAULT_ALLOC, 1);
		sys_count(sys, EV_FRAMES_MAPPED, UMM_PTRS_PER_TABLE);
	} else {
		table_free_unused(f->mm, spare);
	}
	folio_put(sys, folio);
	/* If somebody was faster, the guest finds what is there. */
	return true;
}

/* Lock held: does this entry hold the only reference but for the caller's? */
static bool take_over(struct fault *f, struct folio *folio)
{
	if (folio_refcount(folio) != 2 || folio_mapcount(folio) != 1 ||
	    folio_test(folio, PG_swapcache) || !folio_trylock(folio))
		return false;
	folio_move_anon_rmap(folio, f->vma);
	folio_set_exclusive(folio);
	folio_unlock(f->mm->sys, folio);
	return true;
}

/* A store to a leaf without W. The lock is held and given back. True: now it has. */
static bool reuse_leaf(struct fault *f, uint64_t *pmd, struct umm_mutex *lock)
{
	struct mm_sys *sys = f->mm->sys;
	struct folio *folio = sys_frame(sys, pte_pfn(pte_read(pmd)));
	bool reuse;

	folio_get(folio);
	reuse = folio_test(folio, PG_anon_exclusive) || take_over(f, folio);
	reuse = reuse && (vma_flags(f->vma) & VM_WRITE);
	if (reuse)
		__atomic_fetch_or(pmd, PTE_WRITE | PTE_DIRTY | PTE_ACCESSED | PTE_SOFT_DIRTY,
				  __ATOMIC_ACQ_REL);
	umm_mutex_unlock(lock);
	folio_put(sys, folio);
	return reuse;
}

bool fault_huge(struct fault *f)
{
	gva_t base = gva_make(f->addr.v & UMM_PMD_MASK);
	struct umm_mutex *lock;
	uint64_t *pmd = pmd_find(f->mm, f->addr, &lock), e = pmd ? pte_read(pmd) : 0;

	if (pmd_is_empty(e))
		return room_for_leaf(f) && fill_leaf(f);
	if (pmd_is_table(e))
		return false;
	pmd = pmd_lock_leaf(f->mm, f->addr, base, gva_add(base, UMM_PMD_SIZE), &lock);
	if (!pmd)
		return false;
	e = pte_read(pmd);
	/* A store that the restored entry forbids comes back. */
	if (pmd_is_leaf(e) && pte_protnone(e) && (vma_flags(f->vma) & VM_ACCESS_FLAGS)) {
		fault_hint_leaf(f, pmd, lock);
		return true;
	}
	if (pmd_is_leaf(e) && (f->flags & FAULT_FLAG_WRITE) && !(e & PTE_WRITE))
		return reuse_leaf(f, pmd, lock);
	umm_mutex_unlock(lock);
	if (pmd_is_migration(e)) {
		sys_count(f->mm->sys, EV_FAULT_WAIT_MIGRATION, 1);
		migration_entry_wait(f->mm, f->addr);
	}
	return true;
}
