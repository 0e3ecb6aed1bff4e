/* SPDX-License-Identifier: MIT */
/*
 * Users of the walk that look at, and clear, the A and D bits:
 * folio_referenced, folio_is_young, page_idle_clear_pte_refs, folio_mkclean.
 *
 * Zaps. Clearing A takes effect only where no vCPU keeps a translation; with
 * shadow paging a kept one hides all later accesses.
 *	folio_referenced	no zap here: reclaim zaps the referenced folios of a
 *				batch at once (rmap/shrink.c)
 *	page_idle_...		none: see umm/rmap.h
 *	folio_is_young		none, it clears nothing
 *	folio_mkclean		one zap a folio, before it returns: what is stored
 *				after that must fault
 */
#include "rmap/internal.h"

/* Clear A in the entry the walk stands at; was it set? */
static bool clear_young(struct page_vma_mapped_walk *w)
{
	uint64_t *e = w->pte ? w->pte : w->pmd;

	return __atomic_fetch_and(e, ~PTE_ACCESSED, __ATOMIC_ACQ_REL) & PTE_ACCESSED;
}

/* ---- folio_referenced ----------------------------------------------------- */

struct referenced {
	int mapcount; /* mappings not seen yet */
	int referenced;
	uint64_t vm_flags;
	bool locked; /* a VM_LOCKED area maps it: stop */
	bool exiting;
	/* NULL: do not look around; else where the neighbours' zaps go. */
	struct mm_sys *sys;
	struct zap_batch *zap;
};

static bool gives_no_recency(struct vma *vma, void *arg)
{
	(void)arg;
	return vma_flags(vma) & (VM_SEQ_READ | VM_RAND_READ);
}

static bool wholly_in_vma(struct folio *f, struct vma *vma)
{
	uint64_t first = folio_index(f).v, end = first + folio_nr(f);

	return first >= vma->pgoff.v && end <= vma->pgoff.v + vma_pages(vma);
}

static bool referenced_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct referenced *r = arg;
	struct page_vma_mapped_walk w;
	uint64_t vf = vma_flags(vma);
	bool young = false, seen = false;

	pvmw_init(&w, f, vma, addr, 0);
	while (page_vma_mapped_walk(&w)) {
		/* A large folio counts as locked only if the area has all of it. */
		if ((vf & VM_LOCKED) && (!f->order || wholly_in_vma(f, vma))) {
			page_vma_mapped_walk_done(&w);
			r->vm_flags |= VM_LOCKED;
			r->locked = true;
			return false;
		}
		/* Private to a process that is going away: its accesses are no reason. */
		if (__atomic_load_n(&vma->mm->exiting, __ATOMIC_ACQUIRE) && folio_test_anon(f) &&
		    folio_test(f, PG_swapbacked) && folio_pages_mapped(f) <= folio_nr(f)) {
			page_vma_mapped_walk_done(&w);
			r->exiting = true;
			return false;
		}
		seen = true;
		if (clear_young(&w)) {
			young = true;
			if (r->zap && w.pte)
				policy_look_around(r->sys, folio_node(r->sys, f), &w, r->zap);
		}
		r->mapcount--;
	}
	if (young)
		folio_clear(f, PG_idle);
	if (folio_test_clear(f, PG_young) && seen)
		young = true;
	if (young) {
		r->referenced++;
		r->vm_flags |= vf & ~VM_LOCKED;
	}
	return r->mapcount > 0;
}

static int referenced(struct mm_sys *sys, struct folio *f, bool is_locked, uint64_t *vm_flags,
		      struct zap_batch *around)
{
	struct referenced r = { .mapcount = folio_mapcount(f), .sys = sys, .zap = around };
	struct rmap_walk_control rwc = {
		.arg = &r,
		.try_lock = true,
		.rmap_one = referenced_one,
		.anon_lock = folio_lock_anon_vma_read,
		.invalid_vma = gives_no_recency,
	};
	bool lock_it = !is_locked && (!folio_test_anon(f) || folio_test_ksm(f));

	*vm_flags = 0;
	if (!r.mapcount)
		return 0;
	if (lock_it && !folio_trylock(f))
		return 1;
	rmap_walk(f, &rwc);
	if (lock_it)
		folio_unlock(sys, f);
	*vm_flags = r.vm_flags;
	return rwc.contended || r.exiting ? -1 : r.referenced;
}

int folio_referenced(struct mm_sys *sys, struct folio *f, bool is_locked, uint64_t *vm_flags)
{
	return referenced(sys, f, is_locked, vm_flags, NULL);
}

int folio_referenced_around(struct mm_sys *sys, struct folio *f, uint64_t *vm_flags,
			    struct zap_batch *zap)
{
	/* Most often a neighbour was here before, and the entries tell nothing any more. */
	if (folio_test_clear(f, PG_referenced)) {
		*vm_flags = 0;
		return 1;
	}
	return referenced(sys, f, true, vm_flags, zap);
}

/* ---- folio_is_young ------------------------------------------------------- */

static bool young_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	bool *young = arg;
	struct page_vma_mapped_walk w;

	pvmw_init(&w, f, vma, addr, 0);
	while (page_vma_mapped_walk(&w)) {
		if (!(pte_read(w.pte ? w.pte : w.pmd) & PTE_ACCESSED))
			continue;
		page_vma_mapped_walk_done(&w);
		*young = true;
		return false;
	}
	return true;
}

bool folio_is_young(struct mm_sys *sys, struct folio *f)
{
	bool young = folio_test(f, PG_referenced) || folio_test(f, PG_young), lock_it;
	struct rmap_walk_control rwc = {
		.arg = &young,
		.rmap_one = young_one,
		.anon_lock = folio_lock_anon_vma_read,
	};

	if (young || !folio_mapped(f) || !folio_mapping_raw(f))
		return young;
	lock_it = !folio_test_anon(f) || folio_test_ksm(f);
	if (lock_it && !folio_trylock(f))
		return true;
	rmap_walk(f, &rwc);
	if (lock_it)
		folio_unlock(sys, f);
	return young;
}

/* ---- page idle tracking ----------------------------------------------------- */

static bool clear_refs_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	bool *referenced = arg;
	struct page_vma_mapped_walk w;

	pvmw_init(&w, f, vma, addr, 0);
	while (page_vma_mapped_walk(&w))
		*referenced |= clear_young(&w);
	return true;
}

void page_idle_clear_pte_refs(struct mm_sys *sys, struct folio *f)
{
	bool referenced = false, lock_it;
	struct rmap_walk_control rwc = {
		.arg = &referenced,
		.rmap_one = clear_refs_one,
		.anon_lock = folio_lock_anon_vma_read,
	};

	if (!folio_mapped(f) || !folio_mapping_raw(f))
		return;
	lock_it = !folio_test_anon(f) || folio_test_ksm(f);
	if (lock_it && !folio_trylock(f))
		return;
	rmap_walk(f, &rwc);
	if (lock_it)
		folio_unlock(sys, f);
	if (referenced) {
		folio_clear(f, PG_idle);
		/* folio_referenced() no longer finds these bits: tell it. */
		folio_set(f, PG_young);
	}
}

/* ---- folio_mkclean ------------------------------------------------------------ */

static bool not_shared(struct vma *vma, void *arg)
{
	(void)arg;
	return !(vma_flags(vma) & VM_SHARED);
}

struct mkclean {
	int cleaned;
	bool leaf; /* a 2 MiB one among them */
};

static bool mkclean_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct page_vma_mapped_walk w;
	struct mkclean *m = arg;

	pvmw_init(&w, f, vma, addr, PVMW_SYNC);
	while (page_vma_mapped_walk(&w)) {
		uint64_t *e = w.pte ? w.pte : w.pmd;

		if (__atomic_fetch_and(e, ~(PTE_WRITE | PTE_DIRTY), __ATOMIC_ACQ_REL) &
		    (PTE_WRITE | PTE_DIRTY)) {
			m->cleaned++;
			m->leaf |= !w.pte;
		}
	}
	return true;
}

int folio_mkclean(struct mm_sys *sys, struct folio *f)
{
	struct mkclean m = { .cleaned = 0 };
	struct rmap_walk_control rwc = {
		.arg = &m,
		.rmap_one = mkclean_one,
		.invalid_vma = not_shared,
	};
	struct zap_batch zap;

	mm_assert(folio_test(f, PG_locked));
	if (!folio_mapped(f) || !folio_file_mapping(f))
		return 0;
	rmap_walk(f, &rwc);
	if (m.cleaned) {
		zap_batch_init(&zap, sys);
		zap.tables = m.leaf;
		zap_batch_add(&zap, folio_pfn(sys, f), folio_nr(f));
		zap_batch_destroy(&zap);
	}
	return m.cleaned;
}
