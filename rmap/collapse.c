/* SPDX-License-Identifier: MIT */
/*
 * Collapse: 512 small entries become one 2 MiB leaf.
 *
 *	mmap_lock for writing			no faults, no other change of areas
 *	anon_vma for writing			no reverse walk sees the entries go
 *	level-2 lock, then the table's		no host access, no zap of single entries
 *	  all entries: exclusive to this process, or empty; their folios locked,
 *	  with no reference but the entries' own: else nothing is done
 *	  entries out -> zap -> copy into the new folio -> table out -> flush tables
 *	  -> leaf in; the table, empty again, is the leaf's spare one
 *
 * A vCPU that touches the range meanwhile faults and waits for mmap_lock. If the
 * copy fails, all entries are put back as they were.
 */
#include "rmap/internal.h"

struct collapse {
	struct mm *mm;
	struct vma *vma;
	gva_t base;
	struct folio *huge;
	uint64_t *ptes;
	uint64_t old[UMM_PTRS_PER_TABLE];
	struct folio *locked[UMM_PTRS_PER_TABLE];
	unsigned int nr_locked, nr_none;
	uint64_t bits; /* A, D and soft-dirty of any entry */
};

/* Areas where leaves can be, if the modes allow them too or the caller insists. */
static bool area_fits(const struct vma *vma, bool forced)
{
	return vma_is_anonymous(vma) && vma->anon_vma && !(vma_flags(vma) & VM_NOHUGEPAGE) &&
	       (forced || thp_order_enabled(vma->mm->sys, vma, UMM_PMD_ORDER));
}

static bool area_allows(const struct vma *vma, gva_t base, bool forced)
{
	return base.v >= vma->start.v && base.v + UMM_PMD_SIZE <= vma->end.v &&
	       area_fits(vma, forced);
}

/* Both table locks held. Lock the folio, if it is one that nobody else uses. */
static bool take_folio(struct collapse *c, struct folio *f)
{
	struct folio *last = c->nr_locked ? c->locked[c->nr_locked - 1] : NULL;

	if (f == last)
		return true;
	if (!folio_trylock(f))
		return false;
	c->locked[c->nr_locked++] = f;
	if (folio_test(f, PG_swapcache))
		swap_try_free(c->mm->sys, f);
	return !folio_test(f, PG_swapcache) && !folio_pincount(f) &&
	       folio_refcount(f) == folio_mapcount(f);
}

static int check_entry(struct collapse *c, uint64_t e)
{
	struct folio *frame, *f;

	if (pte_none(e)) {
		c->nr_none++;
		return 0;
	}
	if (pte_is_swap(e))
		return swp_is_area(pte_to_swp(e)) ? -EAGAIN : -EBUSY;
	frame = sys_frame(c->mm->sys, pte_pfn(e));
	f = folio_head(frame);
	if (pte_protnone(e) || !folio_test_anon(f) || folio_test_ksm(f) ||
	    !folio_test(f, PG_swapbacked) || !folio_test(frame, PG_anon_exclusive) ||
	    !take_folio(c, f))
		return -EBUSY;
	return 0;
}

static int check_entries(struct collapse *c, unsigned int max_none)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < UMM_PTRS_PER_TABLE; i++)
		ret = check_entry(c, pte_read(&c->ptes[i]));
	return !ret && c->nr_none > max_none ? -EINVAL : ret;
}

static void take_entries(struct collapse *c)
{
	struct zap_batch zap;

	zap_batch_init(&zap, c->mm->sys);
	for (unsigned int i = 0; i < UMM_PTRS_PER_TABLE; i++) {
		c->old[i] = pte_xchg(&c->ptes[i], 0);
		c->bits |= c->old[i] & (PTE_ACCESSED | PTE_DIRTY | PTE_SOFT_DIRTY);
		if (c->old[i])
			zap_batch_add(&zap, pte_pfn(c->old[i]), 1);
	}
	zap_batch_destroy(&zap);
}

static void put_entries_back(struct collapse *c)
{
	for (unsigned int i = 0; i < UMM_PTRS_PER_TABLE; i++)
		pte_set(&c->ptes[i], c->old[i]);
}

/* How many entries from @i on are empty, or map consecutive frames. */
static unsigned int run_length(const struct collapse *c, unsigned int i)
{
	unsigned int n = 1;

	while (i + n < UMM_PTRS_PER_TABLE &&
	       (c->old[i] ? c->old[i + n] && pte_pfn(c->old[i + n]).v == pte_pfn(c->old[i]).v + n
			  : !c->old[i + n]))
		n++;
	return n;
}

static int copy_frames(struct collapse *c)
{
	struct mm_sys *sys = c->mm->sys;
	pfn_t to = folio_pfn(sys, c->huge);
	int ret = 0;

	for (unsigned int i = 0, run; !ret && i < UMM_PTRS_PER_TABLE; i += run) {
		run = run_length(c, i);
		if (c->old[i])
			ret = sys->ops->copy_frames(sys->ctx, pfn_add(to, i), pte_pfn(c->old[i]),
						    run);
		else
			ret = sys->ops->clear_frames(sys->ctx, pfn_add(to, i), run);
	}
	return ret;
}

/* The empty table goes out and becomes the spare one of the leaf. */
static void install_leaf(struct collapse *c, uint64_t *pmd)
{
	uint64_t flags = vm_page_prot(vma_flags(c->vma)) | PTE_HUGE | c->bits;
	struct mm_sys *sys = c->mm->sys;
	pfn_t table = pte_pfn(pte_read(pmd));

	flags |= pte_write_bit(vma_flags(c->vma), flags);
	pte_set(pmd, 0);
	tables_flush(sys);
	table_deposit(sys, pmd, table);
	folio_set(c->huge, PG_uptodate);
	folio_set(c->huge, PG_dirty);
	folio_get(c->huge);
	folio_add_new_anon_rmap_pmd(sys, c->huge, c->vma, c->base);
	mm_count(c->mm, MM_ANONPAGES, c->nr_none);
	pte_set(pmd, pte_make(folio_pfn(sys, c->huge), flags));
}

/* All locks held. */
static int exchange(struct collapse *c, uint64_t *pmd, unsigned int max_none)
{
	int ret = check_entries(c, max_none);

	if (ret)
		return ret;
	take_entries(c);
	ret = copy_frames(c);
	if (ret)
		put_entries_back(c);
	else
		install_leaf(c, pmd);
	return ret;
}

/* The old frames: no entry, no translation. */
static void release_frames(struct collapse *c, bool done)
{
	struct mm_sys *sys = c->mm->sys;

	for (unsigned int i = 0; done && i < UMM_PTRS_PER_TABLE; i++) {
		struct folio *frame = c->old[i] ? sys_frame(sys, pte_pfn(c->old[i])) : NULL;

		if (frame)
			folio_remove_rmap_pte(sys, folio_head(frame), frame);
	}
	for (unsigned int i = 0; i < c->nr_locked; i++)
		folio_unlock(sys, c->locked[i]);
	for (unsigned int i = 0; done && i < UMM_PTRS_PER_TABLE; i++) {
		if (c->old[i])
			folio_put(sys, folio_head(sys_frame(sys, pte_pfn(c->old[i]))));
	}
}

static int collapse_table(struct collapse *c, unsigned int max_none)
{
	struct umm_mutex *lock, *ptl;
	uint64_t *pmd = pmd_lock(c->mm, c->base, &lock), e = pmd ? pte_read(pmd) : 0;
	int ret;

	if (pmd && !pmd_is_table(e))
		umm_mutex_unlock(lock);
	if (!pmd || pmd_is_empty(e))
		return -EINVAL;
	if (!pmd_is_table(e))
		return pmd_is_leaf(e) ? -EEXIST : -EBUSY;
	ptl = table_lock_of(c->mm->sys, pte_pfn(e));
	umm_mutex_lock_nested(ptl);
	table_settle(c->mm->sys, pte_pfn(e));
	c->ptes = table_entries(c->mm->sys, pte_pfn(e));
	ret = exchange(c, pmd, max_none);
	umm_mutex_unlock(ptl);
	umm_mutex_unlock(lock);
	release_frames(c, !ret);
	return ret;
}

/* mmap_lock held for writing. */
static int collapse_locked(struct collapse *c, unsigned int max_none, bool forced)
{
	struct mm_sys *sys = c->mm->sys;
	int ret;

	c->vma = vma_find_exact(c->mm, c->base);
	if (!c->vma || !area_allows(c->vma, c->base, forced))
		return -EINVAL;
	c->huge = folio_alloc_at(sys, place_for(c->vma, c->base, UMM_PMD_ORDER), UMM_PMD_ORDER, 0);
	if (!c->huge) {
		sys_count(sys, EV_THP_COLLAPSE_FAILED, 1);
		return -ENOMEM;
	}
	vma_lock_anon(c->vma);
	ret = collapse_table(c, max_none);
	vma_unlock_anon(c->vma);
	if (!ret) {
		lru_add(sys, c->huge, true);
		sys_count(sys, EV_THP_COLLAPSE_ALLOC, 1);
	}
	folio_put(sys, c->huge);
	return ret;
}

int mm_collapse(struct mm *mm, gva_t base, unsigned int max_none, bool forced)
{
	struct collapse c = { .mm = mm, .base = base };
	int ret;

	umm_write_lock(&mm->mmap_lock);
	ret = collapse_locked(&c, max_none, forced);
	umm_write_unlock(&mm->mmap_lock);
	return ret;
}

/* ---- a range, for MADV_COLLAPSE --------------------------------------------- */

/* What is left of the range, and what the call is to say of what was passed over. */
struct range {
	uint64_t at, end;
	int ret;
};

/* The first 2 MiB of the area's part of the range that have a table, or 0. */
static uint64_t next_in_area(struct range *r, struct vma *vma)
{
	uint64_t from = vma->start.v > r->at ? vma->start.v : r->at;
	gva_t end = gva_make((vma->end.v < r->end ? vma->end.v : r->end) & UMM_PMD_MASK);
	gva_t first = gva_make((from + UMM_PMD_SIZE - 1) & UMM_PMD_MASK), at;
	struct umm_mutex *lock;
	uint64_t *pmd;

	for (at = tables_from(vma->mm, first, end); at.v < end.v;
	     at = tables_from(vma->mm, gva_add(at, UMM_PMD_SIZE), end)) {
		pmd = pmd_find(vma->mm, at, &lock);
		if (pmd && !pmd_is_empty(pte_read(pmd)))
			break;
	}
	if (first.v < at.v)
		r->ret = -EINVAL;
	return at.v < end.v ? at.v : 0;
}

static bool area_holds_leaf(const struct vma *vma)
{
	uint64_t first = (vma->start.v + UMM_PMD_SIZE - 1) & UMM_PMD_MASK;

	return first + UMM_PMD_SIZE <= vma->end.v;
}

/* Holes are passed over; an area that cannot have leaves ends the range. */
static uint64_t next_in_range(struct mm *mm, struct range *r)
{
	uint64_t base = 0;

	umm_read_lock(&mm->mmap_lock);
	for (struct vma *v = vma_find(mm, gva_make(r->at)); v && v->start.v < r->end && !base;
	     v = vma_next(v)) {
		if (!area_fits(v, true) || !area_holds_leaf(v)) {
			r->ret = -EINVAL;
			break;
		}
		base = next_in_area(r, v);
	}
	umm_read_unlock(&mm->mmap_lock);
	r->at = base + UMM_PMD_SIZE;
	return base;
}

int mm_collapse_range(struct mm *mm, gva_t start, gva_t end)
{
	struct range r = { .at = start.v, .end = end.v };
	uint64_t base;

	while ((base = next_in_range(mm, &r))) {
		gva_t at = gva_make(base);
		int err = mm_collapse(mm, at, UMM_PTRS_PER_TABLE, true);

		/* Swapped out in part: bring that back first. */
		if (err == -EAGAIN) {
			err = populate_range(mm, at, gva_add(at, UMM_PMD_SIZE), false, false);
			if (!err)
				err = mm_collapse(mm, at, UMM_PTRS_PER_TABLE, true);
		}
		if (err && err != -EEXIST)
			r.ret = err;
		if (err == -ENOMEM || sys_caller_ends(mm->sys))
			break;
	}
	return r.ret;
}

/* ---- the scanner ------------------------------------------------------------ */

/* The next 2 MiB at or above @at that a leaf could map and a table does; 0: none. */
static uint64_t next_candidate(struct mm *mm, uint64_t at)
{
	for (struct vma *v = vma_find(mm, gva_make(at)); v; v = vma_next(v)) {
		uint64_t base = (v->start.v > at ? v->start.v : at) + UMM_PMD_SIZE - 1;

		base &= UMM_PMD_MASK;
		while (base = tables_from(mm, gva_make(base), v->end).v,
		       area_allows(v, gva_make(base), false)) {
			struct umm_mutex *lock;
			uint64_t *pmd = pmd_find(mm, gva_make(base), &lock);

			if (pmd && pmd_is_table(pte_read(pmd)))
				return base;
			base += UMM_PMD_SIZE;
		}
	}
	return 0;
}

unsigned int mm_collapse_scan(struct mm *mm, gva_t *cursor, unsigned int nr, unsigned int max_none)
{
	unsigned int done = 0;

	for (; nr; nr--) {
		uint64_t base;

		umm_read_lock(&mm->mmap_lock);
		base = next_candidate(mm, cursor->v);
		umm_read_unlock(&mm->mmap_lock);
		cursor->v = base ? base + UMM_PMD_SIZE : 0;
		if (!base)
			break;
		done += !mm_collapse(mm, gva_make(base), max_none, false);
	}
	return done;
}

static int32_t mm_id(const struct mm *mm)
{
	return __atomic_load_n(&mm->id, __ATOMIC_RELAXED);
}

/* The mm with the lowest id at or above @id, with a reference; NULL. */
static struct mm *next_mm(struct mm_sys *sys, int32_t id)
{
	struct mm *mm, *found = NULL;
	int32_t lowest = INT32_MAX;

	umm_mutex_lock(&sys->mms_lock);
	list_for_each_entry(mm, &sys->mms, all)
	{
		int32_t it = mm_id(mm);

		if (it >= id && it <= lowest) {
			found = mm;
			lowest = it;
		}
	}
	if (found && !mm_try_get(found))
		found = NULL;
	umm_mutex_unlock(&sys->mms_lock);
	return found;
}

unsigned int mm_sys_collapse_scan(struct mm_sys *sys, struct collapse_cursor *at, unsigned int nr,
				  unsigned int max_none)
{
	struct mm *mm = next_mm(sys, at->mm_id);
	unsigned int done = 0;
	int32_t id;

	if (!mm) {
		*at = (struct collapse_cursor){ 0 };
		return 0;
	}
	id = mm_id(mm);
	if (id != at->mm_id)
		at->addr = gva_make(0);
	done = mm_collapse_scan(mm, &at->addr, nr, max_none);
	at->mm_id = at->addr.v ? id : id + 1;
	mm_put(mm);
	return done;
}
