/* SPDX-License-Identifier: MIT */
/*
 * Entry-level halves of madvise, mincore, mlock and smaps: each visits the
 * entries of one area's range, a page table at a time.
 */
#include "rmap/internal.h"

/* An entry that maps @nr pages from @addr on: 1, or as much of a 2 MiB leaf as is asked about. */
typedef void (*entry_fn)(struct vma *vma, uint64_t *ptep, gva_t addr, uint64_t nr, void *arg);

static bool visit_leaf(struct vma *vma, gva_t addr, gva_t next, entry_fn fn, void *arg)
{
	gva_t base = gva_make(addr.v & UMM_PMD_MASK);
	struct umm_mutex *ptl;
	uint64_t *pmd = pmd_lock_leaf(vma->mm, addr, base, gva_add(base, UMM_PMD_SIZE), &ptl);

	if (!pmd)
		return false;
	fn(vma, pmd, addr, (next.v - addr.v) >> UMM_PAGE_SHIFT, arg);
	umm_mutex_unlock(ptl);
	return true;
}

/* @fn for every entry that is not empty, with the page-table lock held. */
static void for_each_entry(struct vma *vma, gva_t start, gva_t end, entry_fn fn, void *arg)
{
	for (gva_t addr = tables_from(vma->mm, start, end), next; addr.v < end.v;
	     addr = tables_from(vma->mm, next, end)) {
		struct umm_mutex *ptl;
		uint64_t *ptep;

		next = table_end(addr, end);
		if (visit_leaf(vma, addr, next, fn, arg))
			continue;
		ptep = pte_lock(vma->mm, addr, &ptl);
		if (!ptep)
			continue;
		for (; addr.v < next.v; addr.v += UMM_PAGE_SIZE, ptep++) {
			if (!pte_none(pte_read(ptep)))
				fn(vma, ptep, addr, 1, arg);
		}
		umm_mutex_unlock(ptl);
	}
}

/* ---- MADV_FREE ----------------------------------------------------------- */

/*
 * An entry that maps @nr pages. Folios of which it maps a part, shared ones and those
 * in use keep their content.
 */
static bool may_lazyfree(struct mm_sys *sys, struct folio *f, uint64_t nr)
{
	if (!folio_test_anon(f) || folio_test_ksm(f) || folio_nr(f) != nr || folio_mapcount(f) != 1)
		return false;
	if (!folio_trylock(f))
		return false;
	swap_try_free(sys, f);
	if (!folio_test(f, PG_swapcache))
		return true;
	folio_unlock(sys, f);
	return false;
}

static void free_entry(struct vma *vma, uint64_t *ptep, gva_t addr, uint64_t nr, void *arg)
{
	struct mmu_gather *g = arg;
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_read(ptep);
	struct folio *f;

	(void)addr;
	if (pte_is_swap(e)) {
		if (swp_is_area(pte_to_swp(e))) {
			zap_batch_add_hidden(&g->zap, e);
			pte_set(ptep, 0);
			mm_count(vma->mm, MM_SWAPENTS, -1);
			swap_put(sys, pte_to_swp(e));
		}
		return;
	}
	f = folio_head(sys_frame(sys, pte_pfn(e)));
	if (!may_lazyfree(sys, f, nr))
		return;
	/* Clean from now on; the next store sets D and takes the page back. */
	e = __atomic_fetch_and(ptep, ~(PTE_DIRTY | PTE_ACCESSED), __ATOMIC_ACQ_REL);
	if (e & (PTE_DIRTY | PTE_ACCESSED))
		zap_batch_add(&g->zap, pte_pfn(e), (uint32_t)nr);
	folio_clear(f, PG_dirty);
	folio_clear(f, PG_referenced);
	folio_clear(f, PG_swapbacked);
	folio_unlock(sys, f);
}

void madvise_free_range(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end)
{
	for_each_entry(vma, start, end, free_entry, g);
}

/* ---- large folios of which a part is meant ------------------------------------ */

/* The large folio, isolated, that maps @addr and the page before it alike; or NULL. */
static struct folio *folio_across(struct vma *vma, gva_t addr)
{
	struct mm_sys *sys = vma->mm->sys;
	gva_t base = gva_make(addr.v & UMM_PMD_MASK);
	struct folio *f = NULL;
	struct umm_mutex *ptl;
	uint64_t *ptep = pmd_lock_leaf(vma->mm, addr, base, gva_add(base, UMM_PMD_SIZE), &ptl), e;

	if (ptep && addr.v == base.v) {
		umm_mutex_unlock(ptl);
		return NULL;
	}
	if (!ptep)
		ptep = pte_lock(vma->mm, addr, &ptl);
	if (!ptep)
		return NULL;
	e = pte_read(ptep);
	if (pte_present(e)) {
		struct folio *frame = sys_frame(sys, pte_pfn(e));

		f = folio_head(frame);
		if (!f->order || (f == frame && !pmd_is_leaf(e)) || !folio_test_anon(f) ||
		    folio_pages_mapped(f) > folio_nr(f) || !lru_isolate_folio(sys, f))
			f = NULL;
	}
	umm_mutex_unlock(ptl);
	return f;
}

static void split_at(struct vma *vma, gva_t addr)
{
	struct mm_sys *sys = vma->mm->sys;
	struct folio *f = folio_across(vma, addr);

	if (!f)
		return;
	umm_read_lock(&sys->work_lock);
	if (folio_trylock(f)) {
		(void)!folio_split(sys, f); /* in use: then the advice is for all of it */
		folio_unlock(sys, f);
	}
	lru_putback(sys, f, folio_test(f, PG_active));
	umm_read_unlock(&sys->work_lock);
}

void madvise_split_edges(struct vma *vma, gva_t start, gva_t end)
{
	split_at(vma, start);
	if (end.v < vma->end.v)
		split_at(vma, end);
}

/* ---- MADV_COLD ------------------------------------------------------------ */

static void cool_entry(struct vma *vma, uint64_t *ptep, gva_t addr, uint64_t nr, void *arg)
{
	struct mmu_gather *g = arg;
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_read(ptep);
	struct folio *f;

	(void)addr;
	if (!pte_present(e) || (pmd_is_leaf(e) && nr < UMM_PTRS_PER_TABLE))
		return;
	f = folio_head(sys_frame(sys, pte_pfn(e)));
	if (folio_pages_mapped(f) > folio_nr(f))
		return;
	if (__atomic_fetch_and(ptep, ~PTE_ACCESSED, __ATOMIC_ACQ_REL) & PTE_ACCESSED)
		zap_batch_add(&g->zap, pte_pfn(e), (uint32_t)nr);
	folio_clear(f, PG_referenced);
	folio_clear(f, PG_young);
	if (lru_isolate_folio(sys, f)) {
		lru_deactivate(sys, f);
		mmu_gather_folio(g, f);
	}
}

void madvise_cold_range(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end)
{
	madvise_split_edges(vma, start, end);
	for_each_entry(vma, start, end, cool_entry, g);
}

/* ---- residency -------------------------------------------------------------- */

struct mincore {
	uint8_t *vec;
	gva_t start;
};

static void core_entry(struct vma *vma, uint64_t *ptep, gva_t addr, uint64_t nr, void *arg)
{
	struct mincore *m = arg;
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_read(ptep);
	uint8_t in = 1;

	if (pte_is_swap(e) && swp_is_area(pte_to_swp(e))) {
		struct folio *f = swap_cache_find(sys, pte_to_swp(e));

		in = f && folio_test(f, PG_uptodate);
		if (f)
			folio_put(sys, f);
	}
	memset(&m->vec[(addr.v - m->start.v) >> UMM_PAGE_SHIFT], in, nr);
}

void mincore_range(struct vma *vma, gva_t start, gva_t end, uint8_t *vec)
{
	struct mincore m = { .vec = vec, .start = start };
	uint64_t pages = (end.v - start.v) >> UMM_PAGE_SHIFT;
	uint64_t first = vma->pgoff.v + ((start.v - vma->start.v) >> UMM_PAGE_SHIFT);

	for (uint64_t i = 0; i < pages; i++) {
		struct folio *f = NULL;

		if (vma->mapping)
			f = pagecache_find(vma->mapping, pgoff_make(first + i));
		vec[i] = f && folio_test(f, PG_uptodate);
		if (f)
			folio_put(vma->mm->sys, f);
	}
	for_each_entry(vma, start, end, core_entry, &m);
}

/* ---- mlock -------------------------------------------------------------------- */

static void lock_entry(struct vma *vma, uint64_t *ptep, gva_t addr, uint64_t nr, void *arg)
{
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_read(ptep);
	bool *lock = arg;

	(void)addr;
	(void)nr;
	if (!pte_present(e))
		return;
	if (*lock)
		folio_mark_mlocked(sys, folio_head(sys_frame(sys, pte_pfn(e))));
	else
		folio_clear_mlocked(sys, folio_head(sys_frame(sys, pte_pfn(e))));
}

void mlock_range(struct vma *vma, gva_t start, gva_t end, bool lock)
{
	for_each_entry(vma, start, end, lock_entry, &lock);
}

/* ---- smaps ------------------------------------------------------------------------ */

static void use_present(struct vma_usage *u, struct folio *f, struct folio *frame, uint64_t e,
			uint64_t nr)
{
	int count = __atomic_load_n(&frame->mapcount, __ATOMIC_RELAXED);
	bool dirty = (e & PTE_DIRTY) || folio_test(f, PG_dirty);

	if (f->order == UMM_PMD_ORDER)
		count += __atomic_load_n(&f[1].large.entire_mapcount, __ATOMIC_RELAXED);
	u->rss += nr;
	u->pss_x4096 += nr * 4096 / (uint64_t)(count > 0 ? count : 1);
	if (count > 1)
		*(dirty ? &u->shared_dirty : &u->shared_clean) += nr;
	else
		*(dirty ? &u->private_dirty : &u->private_clean) += nr;
	if ((e & PTE_ACCESSED) || folio_test(f, PG_young) || folio_test(f, PG_referenced))
		u->referenced += nr;
	if (folio_test_anon(f))
		u->anonymous += nr;
	if (folio_test_anon(f) && !folio_test(f, PG_swapbacked) && !dirty)
		u->lazyfree += nr;
	if (folio_test_ksm(f))
		u->ksm += nr;
	if (pmd_is_leaf(e))
		u->anon_huge += nr;
	u->on_node[f->node] += nr;
	if (count > 0 && (uint64_t)count > u->mapmax)
		u->mapmax = (uint64_t)count;
	if (folio_test(f, PG_swapcache))
		u->swapcache += nr;
	if (folio_test(f, PG_active) || folio_test(f, PG_mlocked))
		u->active += nr;
	if (folio_test(f, PG_writeback))
		u->writeback += nr;
}

static void use_entry(struct vma *vma, uint64_t *ptep, gva_t addr, uint64_t nr, void *arg)
{
	struct mm_sys *sys = vma->mm->sys;
	uint64_t e = pte_read(ptep);
	struct vma_usage *u = arg;

	if (pte_present(e)) {
		struct folio *frame = sys_frame(sys, pte_pfn(e));

		if (nr > 1 || pmd_is_leaf(e))
			frame += (addr.v & ~UMM_PMD_MASK) >> UMM_PAGE_SHIFT;
		use_present(u, folio_head(frame), frame, e, nr);
	} else if (swp_is_area(pte_to_swp(e))) {
		u->swap++;
	}
}

void usage_range(struct vma *vma, struct vma_usage *u)
{
	memset(u, 0, sizeof(*u));
	for_each_entry(vma, vma->start, vma->end, use_entry, u);
	if (vma_flags(vma) & VM_LOCKED)
		u->locked = u->rss;
}
