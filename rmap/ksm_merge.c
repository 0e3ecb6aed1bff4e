/* SPDX-License-Identifier: MIT */
/*
 * KSM: one page, from a frame of its own to a merged one.
 *
 * With the page-table lock held the entry is taken out and the frame zapped: from then
 * on no vCPU of this process stores to the frame, and relatives that share it have read-
 * only entries, as it is not exclusive then. Pins and references that are not entries
 * mean that somebody else uses the frame: the entry goes back as it was. So it does if
 * the bytes are not equal now. Else the entry names the merged folio, read-only.
 *
 * The folio lock, held throughout, keeps a store from making the entry writable again
 * (fault_wp.c reuses a page only with that lock) and reclaim and migration away.
 */
#include "rmap/ksm.h"

bool vma_may_merge(const struct vma *vma)
{
	return (vma_flags(vma) & VM_MERGEABLE) && __atomic_load_n(&vma->anon_vma, __ATOMIC_ACQUIRE);
}

struct folio *ksm_get_frame(struct vma *vma, gva_t addr)
{
	struct folio *frame = NULL, *f;
	struct umm_mutex *lock;
	uint64_t page;

	if (!entry_lock(vma->mm, addr, &lock, &page))
		return NULL;
	/* Neither PROT_NONE nor a hint. */
	if (page & PTE_PRESENT) {
		frame = sys_frame(vma->mm->sys, pte_pfn(page));
		f = folio_head(frame);
		if (folio_test_anon(f) && folio_test(f, PG_swapbacked) &&
		    !folio_test(f, PG_hwpoison) && !folio_crowded(f) &&
		    !frame_is_hole(vma->mm->sys, pte_pfn(page)))
			folio_get(f);
		else
			frame = NULL;
	}
	umm_mutex_unlock(lock);
	return frame;
}

void ksm_split(struct ksm *k, struct folio *f)
{
	struct mm_sys *sys = k->sys;

	if (!folio_trylock(f))
		goto out;
	if (folio_test(f, PG_swapcache))
		swap_try_free(sys, f);
	if (f->order && lru_isolate_folio(sys, f)) {
		/* The isolation's reference must be the only one. */
		folio_put(sys, f);
		(void)!folio_split(sys, f);
		folio_unlock(sys, f);
		lru_putback(sys, f, folio_test(f, PG_active));
		return;
	}
	folio_unlock(sys, f);
out:
	folio_put(sys, f);
}

/* ---- the entry ------------------------------------------------------------------- */

struct exchange {
	struct mm_sys *sys;
	struct vma *vma;
	gva_t addr;
	struct folio *f, *to; /* @to NULL: stay, but read-only */
};

/* Nobody but the entries, the swap cache and the caller. */
static bool only_mapped(const struct folio *f)
{
	return !folio_pincount(f) &&
	       folio_refcount(f) == folio_mapcount(f) + 1 + (folio_test(f, PG_swapcache) ? 1 : 0);
}

static void zap_frame(struct mm_sys *sys, struct folio *f)
{
	struct zap_batch zap;

	zap_batch_init(&zap, sys);
	zap_batch_add(&zap, folio_pfn(sys, f), 1);
	zap_batch_destroy(&zap);
}

/* Page-table lock held, the entry @e is out and zapped. */
static int exchange_taken(struct exchange *x, uint64_t *ptep, uint64_t e)
{
	struct mm_sys *sys = x->sys;
	uint64_t flags = e & ~(PTE_PFN_MASK | PTE_WRITE | PTE_DIRTY);
	pfn_t pfn = folio_pfn(sys, x->f);

	if (!only_mapped(x->f))
		return -EBUSY;
	if (x->to && !frames_equal(sys, pfn, folio_pfn(sys, x->to)))
		return -EAGAIN;
	if (e & PTE_DIRTY)
		folio_mark_dirty(x->f);
	folio_clear(x->f, PG_anon_exclusive);
	if (!x->to) {
		pte_set(ptep, pte_make(pfn, flags));
		return 0;
	}
	folio_get(x->to);
	folio_add_anon_rmap_pte(sys, x->to, x->to, x->vma, x->addr, false);
	pte_set(ptep, pte_make(folio_pfn(sys, x->to), flags));
	folio_remove_rmap_pte(sys, x->f, x->f);
	return 0;
}

static int exchange_entry(struct exchange *x)
{
	struct umm_mutex *ptl;
	uint64_t *ptep = pte_lock(x->vma->mm, x->addr, &ptl), e;
	int ret = -EAGAIN;

	if (!ptep)
		return -EAGAIN;
	e = pte_read(ptep);
	if ((e & PTE_PRESENT) && pte_pfn(e).v == folio_pfn(x->sys, x->f).v) {
		e = pte_xchg(ptep, 0);
		zap_frame(x->sys, x->f);
		ret = exchange_taken(x, ptep, e);
		if (ret)
			pte_set(ptep, e);
	}
	umm_mutex_unlock(ptl);
	return ret;
}

/* ---- a page joins a merged folio ---------------------------------------------------- */

/* Both folios locked, mmap_lock held for reading. */
static int merge_locked(struct ksm *k, struct exchange *x)
{
	struct vma *vma = x->vma;
	uint64_t index = vma->pgoff.v + ((x->addr.v - vma->start.v) >> UMM_PAGE_SHIFT);
	bool added;
	int ret;

	if (!folio_test_ksm(x->to) || folio_test_ksm(x->f) || x->f->order || folio_crowded(x->to))
		return -EAGAIN;
	/* Before the entry: whoever finds that must find it by the walk too. */
	ret = ksm_node_add_place(k, x->to, vma->mm, vma->anon_vma, index, &added);
	if (ret)
		return ret;
	ret = exchange_entry(x);
	if (ret && added)
		ksm_node_drop_place(k, x->to, vma->anon_vma, index);
	return ret;
}

static int merge_folios(struct ksm *k, struct exchange *x)
{
	struct mm_sys *sys = k->sys;
	int ret = -EBUSY;

	if (!folio_trylock(x->f))
		return -EBUSY;
	if (folio_trylock(x->to)) {
		ret = merge_locked(k, x);
		folio_unlock(sys, x->to);
	}
	if (!ret && !folio_mapped(x->f))
		swap_try_free(sys, x->f);
	folio_unlock(sys, x->f);
	if (!ret)
		folio_put(sys, x->f); /* the old entry's */
	return ret;
}

static struct vma *find_mergeable(struct mm *mm, gva_t addr)
{
	struct vma *vma = vma_find_exact(mm, addr);

	return vma && vma_may_merge(vma) ? vma : NULL;
}

int ksm_merge_page(struct ksm *k, struct mm *mm, gva_t addr, struct folio *frame, struct folio *to)
{
	struct exchange x = { .sys = k->sys, .addr = addr, .f = frame, .to = to };
	int ret = -EAGAIN;

	umm_read_lock(&mm->mmap_lock);
	x.vma = find_mergeable(mm, addr);
	if (x.vma && frame != to)
		ret = merge_folios(k, &x);
	umm_read_unlock(&mm->mmap_lock);
	if (!ret)
		sys_count(k->sys, EV_KSM_MERGE, 1);
	return ret;
}

/* ---- a page becomes a merged folio ---------------------------------------------------- */

static int make_locked(struct ksm *k, struct exchange *x)
{
	struct folio *f = x->f;
	int ret;

	/* Its slot could bring it back to places that it does not know. */
	if (folio_test(f, PG_swapcache))
		swap_try_free(k->sys, f);
	if (folio_test(f, PG_swapcache) || folio_test_ksm(f) || f->order)
		return -EAGAIN;
	ret = exchange_entry(x);
	return ret ? ret : ksm_node_make(k, f, x->vma->mm);
}

int ksm_make_stable(struct ksm *k, struct mm *mm, gva_t addr, struct folio *frame)
{
	struct exchange x = { .sys = k->sys, .addr = addr, .f = frame };
	int ret = -EAGAIN;

	umm_read_lock(&mm->mmap_lock);
	x.vma = find_mergeable(mm, addr);
	if (x.vma && folio_trylock(frame)) {
		ret = make_locked(k, &x);
		folio_unlock(k->sys, frame);
	}
	umm_read_unlock(&mm->mmap_lock);
	return ret;
}
