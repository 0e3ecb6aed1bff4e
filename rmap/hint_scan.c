/* SPDX-License-Identifier: MIT */
/*
 * The scanner: sets hints in the areas of a process, a window at a time.
 *
 *	   block of 16 pages, one hint a block	....h...........|.......h........|
 *	   every page of a block		hhhhhhhhhhhhhhhh|hhhhhhhhhhhhhhhh|
 *
 * A fault on a hint costs an exit, some 40 us, so one speaks for its block: the
 * pages of it that are on the same node share the decision. With one hint a
 * block its place changes with every pass, as a block is seldom used evenly;
 * with all of them the first use of the block shows, which tells how old it is.
 *
 * Hints are set with mmap_lock held for reading, and zapped before it is given
 * back (rmap/hint.h says why that is needed and enough).
 *
 * A 2 MiB leaf is a block by itself and gets one hint, in the leaf: by rmap/huge.c
 * a leaf that is narrowed needs a table flush with its zap, so there is one flush
 * for all the leaves of a window. Taking the hint back widens, and needs none.
 */
#include "rmap/hint.h"

/* A new process runs that long before it is looked at; most end sooner. */
#define FIRST_DELAY NS_PER_S

struct window {
	struct placement *p;
	const struct placement_policy *policy;
	struct mm *mm;
	struct hint_scan *scan;
	struct scan_window size;
	struct zap_batch zap;
	uint32_t now_ms;
	uint64_t hints;
	uint64_t passed; /* pages */
};

/* ---- which pages ------------------------------------------------------------------ */

/* Read-only pages of files are libraries, most of all: shared, and cached by processors. */
static bool area_takes_hints(const struct vma *vma)
{
	uint64_t vf = vma_flags(vma);

	if (!(vf & VM_ACCESS_FLAGS) || (vf & VM_STACK_INCOMPLETE_SETUP))
		return false;
	/* The program said where it wants its pages. */
	if (vma->policy && !(vma->policy->flags & POLICY_F_NUMA_BALANCING))
		return false;
	return !vma->mapping || (vf & VM_WRITE);
}

/* Pages shared by fork will be copied by those who write them; others are nobody's own. */
static bool page_takes_hint(struct window *w, struct folio *f, struct placement_page *page)
{
	if (placement_for_node(w->mm->sys, f->node) != w->p)
		return false;
	if (hint_shared_by_fork(f))
		return false;
	if (folio_test_ksm(f) || !placement_page_init(w->p, f, page))
		return false;
	page->touched = w->scan->touched;
	return !w->policy->scan_page || w->policy->scan_page(w->p, page);
}

/* ---- entries ------------------------------------------------------------------------- */

/* Page-table lock held. The processor may set A and D until the bit is gone. */
static void set_hint(struct window *w, uint64_t *ptep, struct folio *f, uint32_t nr)
{
	uint64_t e = pte_read(ptep);

	while (!__atomic_compare_exchange_n(ptep, &e, (e & ~PTE_PRESENT) | PTE_PROTNONE, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	__atomic_store_n(&folio_note(w->mm->sys, f)->hinted, w->now_ms, __ATOMIC_RELAXED);
	zap_batch_add(&w->zap, pte_pfn(e), nr);
	w->zap.tables |= nr > 1;
	w->hints++;
}

/* Page-table lock held. @nr: pages that the entry maps. True if it has a hint now. */
static bool hint_entry(struct window *w, uint64_t *ptep, uint32_t nr)
{
	uint64_t e = pte_read(ptep);
	struct placement_page page;
	struct folio *f;

	if (!pte_present(e))
		return false;
	f = folio_head(sys_frame(w->mm->sys, pte_pfn(e)));
	if (!page_takes_hint(w, f, &page))
		return false;
	if (!pte_protnone(e))
		set_hint(w, ptep, f, nr);
	return true;
}

/* Page-table lock held. @ptep: @pages entries of one block (less at an area's ends). */
static void hint_block(struct window *w, const struct vma *vma, uint64_t *ptep, uint64_t pages)
{
	if (w->size.every_page) {
		for (uint64_t i = 0; i < pages; i++)
			hint_entry(w, &ptep[i], 1);
		return;
	}
	/* One that nobody touched since the last pass gives way to the next place. */
	hints_take_back(w->p, vma, ptep, pages);
	for (uint64_t i = 0; i < pages; i++) {
		/* Odd steps visit all places of a block of 2^n pages. */
		if (hint_entry(w, &ptep[(w->scan->passes * 7 + i) % pages], 1))
			break;
	}
}

/* ---- areas ------------------------------------------------------------------------------ */

static gva_t block_end(const struct window *w, gva_t addr, gva_t end)
{
	uint64_t size = (uint64_t)w->size.block << UMM_PAGE_SHIFT;

	return gva_make((addr.v | (size - 1)) + 1 < end.v ? (addr.v | (size - 1)) + 1 : end.v);
}

/* False: there is no leaf at @addr. */
static bool scan_leaf(struct window *w, gva_t addr)
{
	struct umm_mutex *lock;
	uint64_t *pmd = hint_lock_leaf(w->mm, addr, &lock);

	if (!pmd)
		return false;
	hint_entry(w, pmd, UMM_PTRS_PER_TABLE);
	umm_mutex_unlock(lock);
	w->passed += UMM_PTRS_PER_TABLE;
	return true;
}

/* [start, end) is in one table. */
static void scan_table(struct window *w, const struct vma *vma, gva_t start, gva_t end)
{
	struct umm_mutex *ptl;
	uint64_t *ptep;

	if (scan_leaf(w, start))
		return;
	ptep = pte_lock(w->mm, start, &ptl);
	if (!ptep)
		return;
	for (gva_t at = start, next; at.v < end.v; at = next) {
		uint64_t pages;

		next = block_end(w, at, end);
		pages = (next.v - at.v) >> UMM_PAGE_SHIFT;
		hint_block(w, vma, ptep, pages);
		ptep += pages;
		w->passed += pages;
	}
	umm_mutex_unlock(ptl);
}

/* False: the window is full, or the mm is done; scan->at tells which. */
static bool scan_area(struct window *w, const struct vma *vma)
{
	gva_t at = gva_make(vma->start.v > w->scan->at.v ? vma->start.v : w->scan->at.v);

	if (area_takes_hints(vma)) {
		gva_t next;

		for (at = tables_from(w->mm, at, vma->end);
		     at.v < vma->end.v && w->passed < w->size.pages;
		     at = tables_from(w->mm, next, vma->end)) {
			next = table_end(at, vma->end);
			scan_table(w, vma, at, next);
			w->passed++; /* tables that are not there cost a little, too */
		}
	} else {
		at = vma->end;
	}
	w->scan->at = at;
	return at.v >= vma->end.v;
}

/* mmap_lock is taken. True: the pass is over. */
static bool scan_areas(struct window *w)
{
	struct vma *vma;
	bool more = true;

	umm_read_lock(&w->mm->mmap_lock);
	for (vma = vma_find(w->mm, w->scan->at); vma && more; vma = more ? vma_next(vma) : vma)
		more = scan_area(w, vma);
	zap_batch_flush(&w->zap);
	umm_read_unlock(&w->mm->mmap_lock);
	return !vma;
}

/* ---- windows ------------------------------------------------------------------------------- */

static uint64_t resident_pages(const struct mm *mm)
{
	int64_t sum = 0;

	for (int i = 0; i < MM_NR_COUNTERS; i++)
		sum += i == MM_SWAPENTS ? 0 : __atomic_load_n(&mm->counters[i], __ATOMIC_RELAXED);
	return sum > 0 ? (uint64_t)sum : 0;
}

static void end_pass(struct hint_scan *scan)
{
	scan->at = gva_make(0);
	scan->passes++;
	for (int n = 0; n < UMM_MAX_NODES; n++) {
		uint32_t touched = __atomic_load_n(&scan->touched[n], __ATOMIC_RELAXED);

		/* Faults counted in between are lost: it is a tendency, no account. */
		if (touched)
			__atomic_store_n(&scan->touched[n], touched / 2, __ATOMIC_RELAXED);
	}
}

static void scan_window(struct placement *p, struct mm *mm, uint64_t now)
{
	struct hint_scan *scan = &mm->scan[p->kind];
	struct window w = {
		.p = p,
		.policy = placement_policy_of(p),
		.mm = mm,
		.scan = scan,
		.now_ms = (uint32_t)(placement_now() / NS_PER_MS),
	};
	struct scan_report last = {
		.resident = resident_pages(mm),
		.hints = scan->hints,
		.faults = __atomic_exchange_n(&scan->faults, 0, __ATOMIC_RELAXED),
		.pass_faults = __atomic_load_n(&scan->pass_faults, __ATOMIC_RELAXED),
		.pass_local = __atomic_load_n(&scan->pass_local, __ATOMIC_RELAXED),
		.delay = scan->delay,
		.pass_done = scan->passes && !scan->at.v,
	};

	w.policy->scan_window(p, &last, &w.size);
	if (last.pass_done) {
		__atomic_store_n(&scan->pass_faults, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&scan->pass_local, 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&scan->block, w.size.block, __ATOMIC_RELAXED);
	zap_batch_init(&w.zap, mm->sys);
	if (scan_areas(&w))
		end_pass(scan);
	zap_batch_destroy(&w.zap);
	scan->hints = w.hints;
	scan->delay = w.size.delay;
	scan->due = now + w.size.delay;
	placement_count(&p->count.scanned, w.hints);
	sys_count(mm->sys, EV_NUMA_PTE_UPDATES, w.hints);
}

/* The one that waits longest, with a reference; NULL, and *next when there will be one. */
static struct mm *find_due(struct placement *p, uint64_t now, uint64_t *next)
{
	struct mm_sys *sys = p->sys;
	struct mm *mm, *found = NULL;

	umm_mutex_lock(&sys->mms_lock);
	list_for_each_entry(mm, &sys->mms, all)
	{
		struct hint_scan *scan = &mm->scan[p->kind];

		if (!scan->due)
			scan->due = now + FIRST_DELAY;
		if (scan->due > now) {
			*next = scan->due < *next ? scan->due : *next;
			continue;
		}
		if (!found || scan->due < found->scan[p->kind].due)
			found = mm;
	}
	/* On its way out: it is off the list before anything else is due. */
	if (found && !mm_try_get(found))
		found = NULL;
	umm_mutex_unlock(&sys->mms_lock);
	return found;
}

bool hint_scan_one(struct placement *p, uint64_t now, uint64_t *next)
{
	struct mm *mm = find_due(p, now, next);

	if (!mm)
		return false;
	scan_window(p, mm, now);
	if (mm->scan[p->kind].due < *next)
		*next = mm->scan[p->kind].due;
	mm_put(mm);
	return true;
}
