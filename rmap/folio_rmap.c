/* SPDX-License-Identifier: MIT */
/*
 * Map counts, and whose anon_vma a folio belongs to.
 *
 * frame->mapcount counts the 4 KiB entries that map this frame; the head's
 * total_mapcount counts all entries of the folio, 2 MiB leaves included
 * (entire_mapcount counts those alone). A folio is partly mapped when fewer
 * frames are mapped than it has and no leaf maps it.
 *
 * All changes are made with the page-table lock of the entry held, so an
 * entry and its count are never seen apart by somebody who holds that lock.
 */
#include "rmap/internal.h"

/*
 * Bind an anonymous folio to @vma's anon_vma, or to the root when the page is
 * not exclusive to this process: the other owners may hang elsewhere in the
 * tree, and all of them are below the root.
 */
static void folio_set_anon(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr,
			   bool exclusive)
{
	struct anon_vma *av = vma->anon_vma;

	mm_assert(av);
	if (!exclusive)
		av = __atomic_load_n(&av->root, __ATOMIC_RELAXED);
	/* Reports read it without a lock. */
	__atomic_store_n(&f->index.v, vma->pgoff.v + ((addr.v - vma->start.v) >> UMM_PAGE_SHIFT),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&f->mapping, (uintptr_t)av | FOLIO_MAPPING_ANON, __ATOMIC_RELEASE);
	__atomic_fetch_add(&folio_node(sys, f)->nr_anon, folio_nr(f), __ATOMIC_RELAXED);
}

static void count_frame(struct folio *f, struct folio *frame)
{
	int32_t old = __atomic_fetch_add(&frame->mapcount, 1, __ATOMIC_RELAXED);

	mm_assert(old >= 0 && old < INT32_MAX);
	if (!old && f->order)
		__atomic_fetch_add(&f[1].large.nr_frames_mapped, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&f->total_mapcount, 1, __ATOMIC_ACQ_REL);
}

void folio_add_new_anon_rmap(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr)
{
	unsigned int nr = folio_nr(f);

	folio_set_anon(sys, f, vma, addr, true);
	folio_set(f, PG_swapbacked);
	for (unsigned int i = 0; i < nr; i++) {
		__atomic_store_n(&f[i].mapcount, 1, __ATOMIC_RELAXED);
		folio_set(&f[i], PG_anon_exclusive);
	}
	if (f->order)
		__atomic_store_n(&f[1].large.nr_frames_mapped, (int32_t)nr, __ATOMIC_RELAXED);
	__atomic_store_n(&f->total_mapcount, (int32_t)nr, __ATOMIC_RELEASE);
	if (vma_flags(vma) & VM_LOCKED)
		folio_mark_mlocked(sys, f);
}

void folio_add_anon_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame,
			     struct vma *vma, gva_t addr, bool exclusive)
{
	if (!folio_test_anon(f)) {
		gva_t head = gva_make(addr.v - ((uint64_t)(frame - f) << UMM_PAGE_SHIFT));

		folio_set_anon(sys, f, vma, head, exclusive);
	}
	if (exclusive)
		folio_set(frame, PG_anon_exclusive);
	count_frame(f, frame);
	if (vma_flags(vma) & VM_LOCKED)
		folio_mark_mlocked(sys, f);
}

void folio_add_file_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame)
{
	(void)sys;
	count_frame(f, frame);
}

void folio_dup_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame)
{
	(void)sys;
	count_frame(f, frame);
}

void folio_remove_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame)
{
	int32_t left = __atomic_sub_fetch(&frame->mapcount, 1, __ATOMIC_RELAXED);

	(void)sys;
	mm_assert(left >= 0);
	if (!left && f->order)
		__atomic_fetch_sub(&f[1].large.nr_frames_mapped, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&f->total_mapcount, 1, __ATOMIC_ACQ_REL);
}

/*
 * The two below spare locked operations. All who count a mapping of an anonymous folio
 * have the lock of the folio or of the table of an entry that maps it. So whoever has
 * both is alone, if no entry maps it or only this one.
 */
void folio_add_first_anon_rmap(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr,
			       bool exclusive)
{
	if (f->order || !folio_test_anon(f) || folio_mapped(f)) {
		folio_add_anon_rmap_pte(sys, f, f, vma, addr, exclusive);
		return;
	}
	mm_assert(folio_test(f, PG_locked) && !f->mapcount);
	if (exclusive && !folio_test(f, PG_anon_exclusive))
		folio_set(f, PG_anon_exclusive);
	__atomic_store_n(&f->mapcount, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&f->total_mapcount, 1, __ATOMIC_RELEASE);
	if (vma_flags(vma) & VM_LOCKED)
		folio_mark_mlocked(sys, f);
}

void folio_remove_last_rmap(struct mm_sys *sys, struct folio *f)
{
	mm_assert(folio_test(f, PG_locked) && folio_test_anon(f));
	if (f->order || folio_mapcount(f) != 1) {
		folio_remove_rmap_pte(sys, f, f);
		return;
	}
	__atomic_store_n(&f->mapcount, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&f->total_mapcount, 0, __ATOMIC_RELEASE);
}

void folio_set_exclusive(struct folio *f)
{
	for (unsigned int i = 0; i < folio_nr(f); i++)
		folio_set(f + i, PG_anon_exclusive);
}

void folio_clear_exclusive(struct folio *f)
{
	for (unsigned int i = 0; i < folio_nr(f); i++) {
		if (folio_test(f + i, PG_anon_exclusive))
			folio_clear(f + i, PG_anon_exclusive);
	}
}

void folio_add_new_anon_rmap_pmd(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr)
{
	folio_set(f, PG_swapbacked);
	folio_add_anon_rmap_pmd(sys, f, vma, addr, true);
}

void folio_add_anon_rmap_pmd(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr,
			     bool exclusive)
{
	if (!folio_test_anon(f))
		folio_set_anon(sys, f, vma, addr, exclusive);
	if (exclusive)
		folio_set_exclusive(f);
	folio_add_rmap_pmd(sys, f);
	if (vma_flags(vma) & VM_LOCKED)
		folio_mark_mlocked(sys, f);
}

static void count_leaf(struct mm_sys *sys, struct folio *f, int64_t delta)
{
	__atomic_fetch_add(&folio_node(sys, f)->nr_anon_leaves, delta, __ATOMIC_RELAXED);
}

void folio_add_rmap_pmd(struct mm_sys *sys, struct folio *f)
{
	mm_assert(f->order == UMM_PMD_ORDER);
	if (!__atomic_fetch_add(&f[1].large.entire_mapcount, 1, __ATOMIC_RELAXED))
		count_leaf(sys, f, 1);
	__atomic_fetch_add(&f->total_mapcount, 1, __ATOMIC_ACQ_REL);
}

void folio_remove_rmap_pmd(struct mm_sys *sys, struct folio *f)
{
	if (__atomic_fetch_sub(&f[1].large.entire_mapcount, 1, __ATOMIC_RELAXED) == 1)
		count_leaf(sys, f, -1);
	__atomic_fetch_sub(&f->total_mapcount, 1, __ATOMIC_ACQ_REL);
}

void folio_rmap_pmd_to_ptes(struct mm_sys *sys, struct folio *f)
{
	int32_t newly = 0;

	/* References first: who compares both must find too many, not too few. */
	folio_get_many(f, UMM_PTRS_PER_TABLE - 1);
	for (unsigned int i = 0; i < UMM_PTRS_PER_TABLE; i++)
		newly += !__atomic_fetch_add(&f[i].mapcount, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&f[1].large.nr_frames_mapped, newly, __ATOMIC_RELAXED);
	__atomic_fetch_add(&f->total_mapcount, UMM_PTRS_PER_TABLE - 1, __ATOMIC_ACQ_REL);
	if (__atomic_fetch_sub(&f[1].large.entire_mapcount, 1, __ATOMIC_ACQ_REL) == 1)
		count_leaf(sys, f, -1);
}

void folio_rehome_anon(struct folio *f, struct vma *vma, gva_t addr)
{
	struct anon_vma *root = __atomic_load_n(&vma->anon_vma->root, __ATOMIC_RELAXED);

	mm_assert(folio_test(f, PG_locked) && !f->order && !folio_mapped(f));
	__atomic_store_n(&f->index.v, vma->pgoff.v + ((addr.v - vma->start.v) >> UMM_PAGE_SHIFT),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&f->mapping, (uintptr_t)root | FOLIO_MAPPING_ANON, __ATOMIC_RELEASE);
}

void folio_move_anon_rmap(struct folio *f, struct vma *vma)
{
	mm_assert(vma->anon_vma && folio_test(f, PG_locked));
	__atomic_store_n(&f->mapping, (uintptr_t)vma->anon_vma | FOLIO_MAPPING_ANON,
			 __ATOMIC_RELEASE);
}

enum mm_counter folio_counter(const struct folio *f)
{
	if (folio_test_anon(f))
		return MM_ANONPAGES;
	return folio_test(f, PG_swapbacked) ? MM_SHMEMPAGES : MM_FILEPAGES;
}

void folio_mark_mlocked(struct mm_sys *sys, struct folio *f)
{
	if (!folio_test_set(f, PG_mlocked))
		__atomic_fetch_add(&folio_node(sys, f)->nr_mlocked, folio_nr(f), __ATOMIC_RELAXED);
}

void folio_clear_mlocked(struct mm_sys *sys, struct folio *f)
{
	if (folio_test_clear(f, PG_mlocked))
		__atomic_fetch_sub(&folio_node(sys, f)->nr_mlocked, folio_nr(f), __ATOMIC_RELAXED);
}
