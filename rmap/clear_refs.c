/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/clear_refs: forget who was used, or who was written.
 *
 * Soft-dirty. A page counts as written if its entry has PTE_SOFT_DIRTY or its area
 * VM_SOFTDIRTY, which new areas have. Clearing takes both away, and the write bit with
 * them, so that the next store to each page faults; all faults that handle a store set
 * PTE_SOFT_DIRTY. One rule holds at any other time, and the validator checks it:
 *
 *	in an area without VM_SOFTDIRTY a writable entry is soft-dirty
 *
 * which is why whoever makes an entry writable asks pte_write_bit() (rmap/pte.h). Swap
 * and migration entries carry the bit, moved entries get it, fork copies it; an entry
 * that is dropped (a file's page that was reclaimed) loses it, as on Linux.
 *
 * Zaps. What loses its write bit is zapped before the area's lock is given back. So is
 * what lost A, which Linux leaves to chance: with shadow paging a kept translation
 * would hide all later accesses, not just the next.
 *
 * A pinned page, to which the host may be storing, stays as it is and counts as written.
 */
#include <umm/pagemap.h>
#include "rmap/internal.h"

struct clear {
	enum clear_refs what;
	struct zap_batch zap;
};

/* Page-table lock held, as for all that follows. @nr: frames that the entry maps. */
static void clear_soft_dirty(struct clear *c, struct vma *vma, uint64_t *entry, uint32_t nr)
{
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_read(entry);
	struct folio *f = folio_head(sys_frame(sys, pte_pfn(e)));

	if ((e & PTE_WRITE) && folio_pincount(f)) {
		__atomic_fetch_or(entry, PTE_SOFT_DIRTY, __ATOMIC_ACQ_REL);
		return;
	}
	e = __atomic_fetch_and(entry, ~(PTE_WRITE | PTE_SOFT_DIRTY), __ATOMIC_ACQ_REL);
	/* Of a file's page write-back may have taken the write bit, and zap it only later. */
	if ((e & PTE_WRITE) || (vma_flags(vma) & VM_SHARED)) {
		zap_batch_add(&c->zap, pte_pfn(e), nr);
		c->zap.tables |= nr > 1;
	}
}

static void clear_swapped(struct clear *c, struct vma *vma, uint64_t *entry)
{
	uint64_t e = pte_read(entry);

	zap_batch_add_hidden(&c->zap, e);
	pte_set(entry, migration_entry_read_only(vma->mm->sys, e & ~PTE_SWP_SOFT_DIRTY));
}

static void clear_young(struct clear *c, struct vma *vma, uint64_t *entry, uint32_t nr)
{
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = __atomic_fetch_and(entry, ~PTE_ACCESSED, __ATOMIC_ACQ_REL);
	struct folio *f = folio_head(sys_frame(sys, pte_pfn(e)));

	folio_clear(f, PG_young);
	folio_clear(f, PG_referenced);
	if (e & PTE_ACCESSED)
		zap_batch_add(&c->zap, pte_pfn(e), nr);
}

static void clear_entry(struct clear *c, struct vma *vma, uint64_t *entry, uint32_t nr)
{
	uint64_t e = pte_read(entry);

	if (c->what != CLEAR_REFS_SOFT_DIRTY) {
		if (pte_present(e))
			clear_young(c, vma, entry, nr);
	} else if (pte_present(e)) {
		clear_soft_dirty(c, vma, entry, nr);
	} else if (!pte_none(e)) {
		clear_swapped(c, vma, entry);
	}
}

static void clear_area(struct clear *c, struct vma *vma)
{
	for (gva_t addr = vma->start, next; addr.v < vma->end.v; addr = next) {
		struct umm_mutex *ptl;
		uint64_t *entry;

		next = table_end(addr, vma->end);
		entry = pmd_lock_leaf(vma->mm, addr, vma->start, vma->end, &ptl);
		if (entry && pmd_is_leaf(pte_read(entry))) {
			clear_entry(c, vma, entry, UMM_PTRS_PER_TABLE);
			umm_mutex_unlock(ptl);
			continue;
		}
		if (entry)
			umm_mutex_unlock(ptl);
		entry = pte_lock(vma->mm, addr, &ptl);
		if (!entry)
			continue;
		for (; addr.v < next.v; addr.v += UMM_PAGE_SIZE, entry++)
			clear_entry(c, vma, entry, 1);
		umm_mutex_unlock(ptl);
	}
}

static bool wanted(const struct clear *c, const struct vma *vma)
{
	if (c->what == CLEAR_REFS_ANON)
		return vma_is_anonymous(vma);
	return c->what != CLEAR_REFS_MAPPED || !vma_is_anonymous(vma);
}

/* The area that ends above @at, alone under the lock; false: there is none. */
static bool clear_next_area(struct mm *mm, struct clear *c, gva_t *at)
{
	bool write = c->what == CLEAR_REFS_SOFT_DIRTY;
	struct vma *vma;

	if (write)
		umm_write_lock(&mm->mmap_lock);
	else
		umm_read_lock(&mm->mmap_lock);
	vma = vma_find(mm, *at);
	if (vma && wanted(c, vma)) {
		if (write)
			__atomic_fetch_and(&vma->flags, ~VM_SOFTDIRTY, __ATOMIC_RELAXED);
		zap_batch_init(&c->zap, mm->sys);
		clear_area(c, vma);
		zap_batch_destroy(&c->zap);
	}
	if (vma)
		*at = vma->end;
	if (write)
		umm_write_unlock(&mm->mmap_lock);
	else
		umm_read_unlock(&mm->mmap_lock);
	return vma;
}

int mm_clear_refs(struct mm *mm, int what)
{
	struct clear c = { .what = (enum clear_refs)what };
	gva_t at = gva_make(0);

	if (what < CLEAR_REFS_ALL || what > CLEAR_REFS_PEAK_RSS)
		return -EINVAL;
	if (what == CLEAR_REFS_PEAK_RSS) {
		__atomic_store_n(&mm->peak_rss, 0, __ATOMIC_RELAXED);
		mm_note_peak(mm);
		return 0;
	}
	while (clear_next_area(mm, &c, &at))
		;
	return 0;
}
