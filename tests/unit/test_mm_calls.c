/* SPDX-License-Identifier: MIT */
/* The heap, stacks, limits, locks and advice: what each call leaves behind. */
#include <stdlib.h>
#include "rmap/vma.h"
#include "tests/unit/util.h"

#define BASE 0x10000000ul
#define PAGE UMM_PAGE_SIZE

/* An mm in a system, as every test here needs. */
struct one {
	struct fake_host *h;
	struct mm *mm;
};

static struct one one_open(void)
{
	struct one o = { .h = unit_open() };

	o.mm = unit_mm(o.h);
	return o;
}

static void one_close(struct one *o)
{
	unit_check(o->h);
	CU_ASSERT_TRUE(vma_tree_valid(o->mm));
	mm_put(o->mm);
	unit_close(o->h);
}

static uint64_t resident(struct one *o, gva_t a, uint64_t pages)
{
	uint64_t nr = 0;

	for (uint64_t i = 0; i < pages; i++)
		nr += unit_mapped(o->h, o->mm, page_at(a, i));
	return nr;
}

static int map_with(struct mm *mm, uint64_t addr, uint64_t pages, int flags)
{
	struct mm_map_request req = {
		.addr = gva_make(addr), .len = pages * PAGE, .prot = PROT_RW, .flags = flags
	};
	gva_t out;

	return mm_mmap(mm, &req, &out);
}

/* ---- mmap ---------------------------------------------------------------------- */

/* No page of hugetlb ever comes to be, so no walk can meet one. */
static void test_no_hugetlb(void)
{
	struct one o = one_open();

	CU_ASSERT_EQUAL(map_with(o.mm, BASE, 512, MAP_ANON_PRIVATE | MAP_HUGETLB), -ENOMEM);
	CU_ASSERT_EQUAL(map_with(o.mm, BASE, 512,
				 MAP_ANON_PRIVATE | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT),
			-ENOMEM);
	CU_ASSERT_EQUAL(map_with(o.mm, BASE, 512,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | 22 << MAP_HUGE_SHIFT),
			-EINVAL);
	CU_ASSERT_EQUAL(o.mm->nr_vmas, 0);
	one_close(&o);
}

/* ---- brk ----------------------------------------------------------------------- */

static void test_brk(void)
{
	struct one o = one_open();
	gva_t start = gva_make(BASE + 100);

	o.mm->start_brk = o.mm->brk = start;
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(0)).v, start.v);
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 5 * PAGE)).v, BASE + 5 * PAGE);
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 9 * PAGE + 1)).v, BASE + 9 * PAGE + 1);
	CU_ASSERT_EQUAL(o.mm->nr_vmas, 1);
	CU_ASSERT_EQUAL(unit_vma(o.mm, gva_make(BASE + PAGE))->end.v, BASE + 10 * PAGE);
	unit_put(o.h, o.mm, gva_make(BASE + 8 * PAGE), 7);
	/* Growing again after a store still gives one area; shrinking drops the page. */
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 20 * PAGE)).v, BASE + 20 * PAGE);
	CU_ASSERT_EQUAL(o.mm->nr_vmas, 1);
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 8 * PAGE)).v, BASE + 8 * PAGE);
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 9 * PAGE)).v, BASE + 9 * PAGE);
	CU_ASSERT_EQUAL(unit_get(o.h, o.mm, gva_make(BASE + 8 * PAGE)), 0);
	/* Another area in the way, one page of distance included. */
	unit_map_at(o.mm, BASE + 12 * PAGE, 1, PROT_READ, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 12 * PAGE)).v, BASE + 9 * PAGE);
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 11 * PAGE)).v, BASE + 11 * PAGE);
	o.mm->rlim_data = 11 * PAGE;
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(start.v - 1)).v, BASE + 11 * PAGE);
	o.mm->rlim_data = 2 * PAGE;
	CU_ASSERT_EQUAL(mm_brk(o.mm, gva_make(BASE + 11 * PAGE + 1)).v, BASE + 11 * PAGE);
	one_close(&o);
}

/* ---- stacks --------------------------------------------------------------------- */

static void test_stack_grows(void)
{
	struct one o = one_open();
	gva_t top = unit_map_at(o.mm, BASE, 2, PROT_RW, MAP_ANON_PRIVATE | MAP_GROWSDOWN);
	struct vma *v = unit_vma(o.mm, top);

	unit_put(o.h, o.mm, top, 1);
	unit_put(o.h, o.mm, gva_make(BASE - 5 * PAGE), 2);
	CU_ASSERT_EQUAL(v->start.v, BASE - 5 * PAGE);
	CU_ASSERT_EQUAL(v->pgoff.v, v->start.v >> UMM_PAGE_SHIFT);
	CU_ASSERT_EQUAL(o.mm->stack_vm, 7);
	CU_ASSERT_EQUAL(unit_get(o.h, o.mm, top), 1);
	/* No further than RLIMIT_STACK. */
	o.mm->rlim_stack = 10 * PAGE;
	CU_ASSERT_EQUAL(fake_store(o.h, o.mm, 0, gva_make(BASE - 9 * PAGE), 1), FAULT_MAPERR);
	CU_ASSERT_EQUAL(fake_store(o.h, o.mm, 0, gva_make(BASE - 8 * PAGE), 1), FAULT_DONE);
	one_close(&o);
}

static void test_stack_guard_gap(void)
{
	struct one o = one_open();
	uint64_t gap = STACK_GUARD_GAP;
	gva_t top = unit_map_at(o.mm, BASE, 1, PROT_RW, MAP_ANON_PRIVATE | MAP_GROWSDOWN);
	gva_t hint;

	unit_map_at(o.mm, BASE - gap - 2 * PAGE, 1, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(fake_store(o.h, o.mm, 0, gva_make(BASE - PAGE), 1), FAULT_DONE);
	CU_ASSERT_EQUAL(fake_store(o.h, o.mm, 0, gva_make(BASE - 2 * PAGE), 1), FAULT_MAPERR);
	CU_ASSERT_EQUAL(unit_vma(o.mm, top)->start.v, BASE - PAGE);
	/* What may not be touched keeps no distance. */
	unit_protect(o.mm, gva_make(BASE - gap - 2 * PAGE), 1, PROT_NONE);
	CU_ASSERT_EQUAL(fake_store(o.h, o.mm, 0, gva_make(BASE - 2 * PAGE), 1), FAULT_DONE);
	/* A hint inside the gap is not taken. */
	hint = gva_make(BASE - 20 * PAGE);
	CU_ASSERT_EQUAL(map_with(o.mm, hint.v, 1, MAP_ANON_PRIVATE), 0);
	CU_ASSERT_PTR_NULL(unit_vma(o.mm, hint));
	one_close(&o);
}

/* ---- places and limits ------------------------------------------------------------- */

static void test_places(void)
{
	struct one o = one_open();
	gva_t a, b;

	o.mm->mmap_base = gva_make(BASE);
	a = unit_map(o.mm, 4, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(a.v, BASE - 4 * PAGE);
	b = unit_map(o.mm, 2, PROT_READ, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(b.v, BASE - 6 * PAGE);
	unit_unmap(o.mm, page_at(a, 1), 2);
	CU_ASSERT_EQUAL(unit_map(o.mm, 2, PROT_READ, MAP_ANON_PRIVATE).v, page_at(a, 1).v);
	a = unit_map(o.mm, 1, PROT_READ, MAP_ANON_PRIVATE | MAP_32BIT);
	CU_ASSERT_TRUE(a.v >= 0x40000000 && a.v < 0x80000000);
	/* Nothing left below the base: above a third of the space. */
	a = unit_map(o.mm, BASE / PAGE, PROT_NONE, MAP_ANON_PRIVATE);
	CU_ASSERT_TRUE(a.v >= UMM_TASK_SIZE / 3);
	CU_ASSERT_EQUAL(map_with(o.mm, 0, UMM_TASK_SIZE / PAGE, MAP_ANON_PRIVATE | MAP_NORESERVE),
			-ENOMEM);
	CU_ASSERT_EQUAL(map_with(o.mm, MMAP_MIN_ADDR - PAGE, 1, MAP_ANON_PRIVATE | MAP_FIXED),
			-EPERM);
	one_close(&o);
}

static void test_limits(void)
{
	struct one o = one_open();
	uint64_t all = o.h->config.nr_nodes * o.h->config.frames_per_node + o.h->config.swap_slots;

	o.mm->rlim_as = 8 * PAGE;
	CU_ASSERT_EQUAL(map_with(o.mm, BASE, 8, MAP_ANON_PRIVATE | MAP_FIXED), 0);
	CU_ASSERT_EQUAL(map_with(o.mm, 0, 1, MAP_ANON_PRIVATE), -ENOMEM);
	/* What MAP_FIXED replaces makes room. */
	CU_ASSERT_EQUAL(map_with(o.mm, BASE, 8, MAP_ANON_PRIVATE | MAP_FIXED), 0);
	o.mm->rlim_as = ~0ul;
	o.mm->rlim_data = 8 * PAGE;
	CU_ASSERT_EQUAL(map_with(o.mm, 0, 1, MAP_ANON_PRIVATE), -ENOMEM);
	CU_ASSERT_EQUAL(map_with(o.mm, 0, 1, MAP_ANON_SHARED), 0);
	o.mm->rlim_data = ~0ul;
	/* More than frames and swap can hold, unless nothing is promised. */
	CU_ASSERT_EQUAL(map_with(o.mm, 0, all + 1, MAP_ANON_PRIVATE), -ENOMEM);
	CU_ASSERT_EQUAL(map_with(o.mm, 0, all + 1, MAP_ANON_PRIVATE | MAP_NORESERVE), 0);
	o.mm->rlim_memlock = 2 * PAGE;
	CU_ASSERT_EQUAL(map_with(o.mm, 0, 3, MAP_ANON_PRIVATE | MAP_LOCKED), -EAGAIN);
	CU_ASSERT_EQUAL(mm_mlock(o.mm, gva_make(BASE), 3 * PAGE, 0), -ENOMEM);
	CU_ASSERT_EQUAL(mm_mlock(o.mm, gva_make(BASE), 2 * PAGE, 0), 0);
	CU_ASSERT_EQUAL(mm_mlock(o.mm, gva_make(BASE), 2 * PAGE, 0), 0);
	o.mm->rlim_memlock = 0;
	CU_ASSERT_EQUAL(mm_mlock(o.mm, gva_make(BASE), 1, 0), -EPERM);
	CU_ASSERT_EQUAL(mm_mlockall(o.mm, MCL_CURRENT), -EPERM);
	CU_ASSERT_EQUAL(map_with(o.mm, 0, 1, MAP_ANON_PRIVATE | MAP_LOCKED), -EPERM);
	one_close(&o);
}

/* ---- locking ------------------------------------------------------------------------ */

static void test_mlock(void)
{
	struct one o = one_open();
	gva_t a = unit_map_at(o.mm, BASE, 8, PROT_RW, MAP_ANON_PRIVATE);

	CU_ASSERT_EQUAL(mm_mlock(o.mm, gva_add(a, PAGE + 1), 2 * PAGE, 0), 0);
	CU_ASSERT_EQUAL(resident(&o, a, 8), 3);
	CU_ASSERT_EQUAL(o.mm->locked_vm, 3);
	CU_ASSERT_TRUE(folio_test(unit_folio(o.h, o.mm, page_at(a, 1)), PG_mlocked));
	CU_ASSERT_EQUAL(mm_mlock(o.mm, page_at(a, 4), 2 * PAGE, MLOCK_ONFAULT), 0);
	CU_ASSERT_EQUAL(resident(&o, a, 8), 3);
	CU_ASSERT_EQUAL(mm_mlock(o.mm, page_at(a, 6), 4 * PAGE, 0), -ENOMEM);
	CU_ASSERT_EQUAL(mm_munlock(o.mm, a, 8 * PAGE), 0);
	CU_ASSERT_EQUAL(o.mm->locked_vm, 0);
	CU_ASSERT_EQUAL(o.mm->nr_vmas, 1);
	CU_ASSERT_FALSE(folio_test(unit_folio(o.h, o.mm, page_at(a, 1)), PG_mlocked));
	/* Locked, but nobody may touch it. */
	unit_protect(o.mm, a, 1, PROT_NONE);
	CU_ASSERT_EQUAL(mm_mlock(o.mm, a, PAGE, 0), -ENOMEM);
	one_close(&o);
}

static void test_mlockall(void)
{
	struct one o = one_open();
	gva_t a = unit_map_at(o.mm, BASE, 2, PROT_RW, MAP_ANON_PRIVATE), b;

	CU_ASSERT_EQUAL(mm_mlockall(o.mm, 0), -EINVAL);
	CU_ASSERT_EQUAL(mm_mlockall(o.mm, MCL_ONFAULT), -EINVAL);
	CU_ASSERT_EQUAL(mm_mlockall(o.mm, MCL_CURRENT | 8), -EINVAL);
	CU_ASSERT_EQUAL(mm_mlockall(o.mm, MCL_FUTURE), 0);
	CU_ASSERT_EQUAL(o.mm->locked_vm, 0);
	b = unit_map_at(o.mm, BASE + 64 * PAGE, 2, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(o.mm->locked_vm, 2);
	CU_ASSERT_EQUAL(resident(&o, b, 2), 2);
	CU_ASSERT_EQUAL(mm_mlockall(o.mm, MCL_CURRENT), 0);
	CU_ASSERT_EQUAL(o.mm->locked_vm, 4);
	CU_ASSERT_EQUAL(resident(&o, a, 2), 2);
	unit_map_at(o.mm, BASE + 128 * PAGE, 2, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(o.mm->locked_vm, 4); /* MCL_CURRENT took MCL_FUTURE back */
	CU_ASSERT_EQUAL(mm_munlockall(o.mm), 0);
	CU_ASSERT_EQUAL(o.mm->locked_vm, 0);
	one_close(&o);
}

/* Locks are not inherited. */
static void test_mlock_fork(void)
{
	struct one o = one_open();
	struct mm *child;

	unit_map_at(o.mm, BASE, 2, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(mm_mlockall(o.mm, MCL_CURRENT | MCL_FUTURE), 0);
	child = unit_fork(o.mm);
	CU_ASSERT_EQUAL(child->locked_vm, 0);
	CU_ASSERT_EQUAL(child->def_flags, 0);
	CU_ASSERT_EQUAL(unit_vma(child, gva_make(BASE))->flags & VM_LOCKED_MASK, 0);
	mm_put(child);
	one_close(&o);
}

/* ---- advice --------------------------------------------------------------------------- */

static void test_advice_fork(void)
{
	struct one o = one_open();
	gva_t a = unit_map_at(o.mm, BASE, 6, PROT_RW, MAP_ANON_PRIVATE);
	struct mm *child;
	uint64_t value;

	unit_fill(o.h, o.mm, a, 6, 5);
	unit_advise(o.mm, a, 2, MADV_DONTFORK);
	unit_advise(o.mm, page_at(a, 2), 2, MADV_WIPEONFORK);
	child = unit_fork(o.mm);
	CU_ASSERT_EQUAL(fake_load(o.h, child, 1, a, &value), FAULT_MAPERR);
	CU_ASSERT_EQUAL(unit_get(o.h, child, page_at(a, 2)), 0);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, a, 6, 5), 0);
	CU_ASSERT_EQUAL(unit_get(o.h, child, gva_add(page_at(a, 4), 4 * 8)),
			unit_get(o.h, o.mm, gva_add(page_at(a, 4), 4 * 8)));
	CU_ASSERT_EQUAL(child->total_vm, 4);
	mm_put(child);
	one_close(&o);
}

static void test_advice_refused(void)
{
	struct one o = one_open();
	struct unit_file f = unit_file(o.h, 4 * PAGE);
	gva_t a = unit_map_at(o.mm, BASE, 4, PROT_RW, MAP_ANON_PRIVATE), m;

	m = unit_map_file(o.mm, f.mapping, 0, 4, PROT_RW, MAP_SHARED);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, PAGE, MADV_HWPOISON), -EPERM);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, m, PAGE, MADV_MERGEABLE), 0);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, PAGE, 7777), -EINVAL);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, gva_add(a, 1), PAGE, MADV_NORMAL), -EINVAL);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, m, PAGE, MADV_FREE), -EINVAL);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, m, PAGE, MADV_WIPEONFORK), -EINVAL);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, m, PAGE, MADV_REMOVE), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, PAGE, MADV_REMOVE), -EINVAL);
	CU_ASSERT_EQUAL(mm_mlock(o.mm, a, PAGE, 0), 0);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, PAGE, MADV_DONTNEED), -EINVAL);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, PAGE, MADV_PAGEOUT), -EINVAL);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, PAGE, MADV_COLD), -EINVAL);
	CU_ASSERT_EQUAL(mm_munlockall(o.mm), 0);
	unit_unmap(o.mm, m, 4);
	unit_file_close(&f);
	one_close(&o);
}

static void test_advice_populate(void)
{
	struct one o = one_open();
	gva_t a = unit_map_at(o.mm, BASE, 4, PROT_READ, MAP_ANON_PRIVATE);
	gva_t b = unit_map_at(o.mm, BASE + 16 * PAGE, 4, PROT_RW, MAP_ANON_PRIVATE);

	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, 4 * PAGE, MADV_POPULATE_WRITE), -EINVAL);
	CU_ASSERT_EQUAL(resident(&o, a, 4), 0);
	unit_advise(o.mm, a, 4, MADV_POPULATE_READ);
	CU_ASSERT_EQUAL(resident(&o, a, 4), 4);
	unit_advise(o.mm, b, 4, MADV_POPULATE_WRITE);
	CU_ASSERT_FALSE(fake_would_fault(o.h, o.mm, 0, page_at(b, 3), FAKE_STORE));
	unit_protect(o.mm, a, 4, PROT_NONE);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, 4 * PAGE, MADV_POPULATE_READ), -EINVAL);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, b, 8 * PAGE, MADV_POPULATE_READ), -ENOMEM);
	one_close(&o);
}

/* A thread that was killed does not go on with what takes long. */
static void test_advice_killed(void)
{
	struct one o = one_open();
	gva_t a = unit_map(o.mm, 4, PROT_RW, MAP_ANON_PRIVATE);
	struct mm_thread t;

	mm_thread_init(&t);
	o.h->thread = &t;
	unit_advise(o.mm, a, 1, MADV_POPULATE_WRITE);
	t.ending = true;
	CU_ASSERT_EQUAL(mm_madvise(o.mm, a, 4 * PAGE, MADV_POPULATE_WRITE), -EINTR);
	CU_ASSERT_EQUAL(resident(&o, a, 4), 1);
	unit_reclaim(o.h, o.mm, a, 1);
	unit_advise(o.mm, a, 4, MADV_WILLNEED);
	CU_ASSERT_TRUE(unit_swapped(o.h, o.mm, a));
	CU_ASSERT_EQUAL(resident(&o, a, 4), 0);
	o.h->thread = NULL;
	mm_thread_destroy(&t);
	one_close(&o);
}

/* Shared memory loses the pages for everybody; the others stay. */
static void test_advice_remove(void)
{
	struct one o = one_open();
	gva_t a = unit_map(o.mm, 8, PROT_RW, MAP_ANON_SHARED);
	struct mm *child;

	unit_fill(o.h, o.mm, a, 8, 9);
	child = unit_fork(o.mm);
	unit_advise(o.mm, page_at(a, 2), 3, MADV_REMOVE);
	CU_ASSERT_EQUAL(unit_verify(o.h, child, a, 8, 9), 3);
	CU_ASSERT_EQUAL(unit_get(o.h, child, gva_add(page_at(a, 3), 3 * 8)), 0);
	mm_put(child);
	one_close(&o);
}

static void test_advice_willneed(void)
{
	struct one o = one_open();
	struct unit_file f = unit_file(o.h, 16 * PAGE);
	gva_t m = unit_map_file(o.mm, f.mapping, 0, 16, PROT_READ, MAP_SHARED);
	gva_t a = unit_map(o.mm, 4, PROT_RW, MAP_ANON_PRIVATE);
	uint8_t vec[4];

	unit_advise(o.mm, m, 16, MADV_WILLNEED);
	CU_ASSERT_EQUAL(mapping_nr_cached(f.mapping), 16);
	CU_ASSERT_EQUAL(resident(&o, m, 16), 0);
	unit_fill(o.h, o.mm, a, 4, 6);
	unit_reclaim(o.h, o.mm, a, 4);
	CU_ASSERT_TRUE(unit_swapped(o.h, o.mm, a));
	CU_ASSERT_EQUAL(mm_mincore(o.mm, a, 4 * PAGE, vec), 0);
	CU_ASSERT_EQUAL(vec[0] | vec[1] | vec[2] | vec[3], 0);
	unit_advise(o.mm, a, 4, MADV_WILLNEED);
	CU_ASSERT_EQUAL(mm_mincore(o.mm, a, 4 * PAGE, vec), 0);
	CU_ASSERT_EQUAL(vec[0] & vec[1] & vec[2] & vec[3], 1);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, a, 4, 6), 0);
	unit_unmap(o.mm, m, 16);
	unit_file_close(&f);
	one_close(&o);
}

/* ---- moving --------------------------------------------------------------------------- */

/* Rows 15 and 16: what was written keeps its offsets, what never was gets new ones. */
static void test_mremap_pgoff(void)
{
	struct one o = one_open();
	gva_t a = unit_map_at(o.mm, BASE, 4, PROT_RW, MAP_ANON_PRIVATE);
	gva_t b = unit_map_at(o.mm, BASE + 16 * PAGE, 4, PROT_RW, MAP_ANON_PRIVATE);
	uint64_t to = BASE + 64 * PAGE;

	unit_fill(o.h, o.mm, a, 4, 2);
	unit_remap(o.mm, a, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(to));
	CU_ASSERT_EQUAL(unit_vma(o.mm, gva_make(to))->pgoff.v, BASE >> UMM_PAGE_SHIFT);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, gva_make(to), 4, 2), 0);
	unit_remap(o.mm, b, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(to + 32 * PAGE));
	CU_ASSERT_EQUAL(unit_vma(o.mm, gva_make(to + 32 * PAGE))->pgoff.v,
			(to + 32 * PAGE) >> UMM_PAGE_SHIFT);
	one_close(&o);
}

/* MREMAP_DONTUNMAP leaves an area as if it had never been touched. */
static void test_mremap_dontunmap(void)
{
	struct one o = one_open();
	gva_t a = unit_map_at(o.mm, BASE, 4, PROT_RW, MAP_ANON_PRIVATE);
	gva_t b = gva_make(BASE + 64 * PAGE), c = gva_make(BASE + 128 * PAGE);
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

	unit_fill(o.h, o.mm, a, 4, 3);
	unit_remap(o.mm, a, 4, 4, flags, b);
	CU_ASSERT_PTR_NULL(unit_vma(o.mm, a)->anon_vma);
	CU_ASSERT_EQUAL(resident(&o, a, 4), 0);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, b, 4, 3), 0);
	unit_remap(o.mm, b, 4, 4, flags, c);
	CU_ASSERT_EQUAL(unit_vma(o.mm, b)->pgoff.v, b.v >> UMM_PAGE_SHIFT);
	CU_ASSERT_EQUAL(unit_vma(o.mm, c)->pgoff.v, a.v >> UMM_PAGE_SHIFT);
	unit_fill(o.h, o.mm, a, 4, 4);
	unit_fill(o.h, o.mm, b, 4, 5);
	unit_migrate(o.h, o.mm, 1);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, a, 4, 4), 0);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, b, 4, 5), 0);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, c, 4, 3), 0);
	CU_ASSERT_EQUAL(o.mm->total_vm, 12);
	one_close(&o);
}

/* Length 0 is a second view of shared memory. */
static void test_mremap_duplicate(void)
{
	struct one o = one_open();
	gva_t a = unit_map(o.mm, 4, PROT_RW, MAP_ANON_SHARED), b, out;

	unit_fill(o.h, o.mm, a, 4, 8);
	b = unit_remap(o.mm, a, 0, 4, MREMAP_MAYMOVE, gva_make(0));
	CU_ASSERT_NOT_EQUAL(a.v, b.v);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, b, 4, 8), 0);
	unit_put(o.h, o.mm, b, 77);
	CU_ASSERT_EQUAL(unit_get(o.h, o.mm, a), 77);
	a = unit_map(o.mm, 4, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(mm_mremap(o.mm, a, 0, 4 * PAGE, MREMAP_MAYMOVE, gva_make(0), &out),
			-EINVAL);
	one_close(&o);
}

/* Growing may move; all bytes come along, also when any allocation on the way fails. */
static void test_mremap_fails(void)
{
	struct one o = one_open();
	gva_t a = unit_map_at(o.mm, BASE, 6, PROT_RW, MAP_ANON_PRIVATE), out;
	uint64_t to = BASE + (1ul << 30);
	int err = -1;

	unit_fill(o.h, o.mm, a, 6, 1);
	for (uint64_t n = 1; err; n++) {
		fake_fail_nth(o.h, FAKE_ALLOC, n);
		err = mm_mremap(o.mm, page_at(a, 2), 2 * PAGE, 2 * PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(to), &out);
		fake_fail_nth(o.h, FAKE_ALLOC, 0);
		CU_ASSERT_TRUE(vma_tree_valid(o.mm));
		CU_ASSERT_TRUE(!err || err == -ENOMEM);
		if (err)
			CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, a, 6, 1), 0);
		CU_ASSERT_TRUE_FATAL(n < 100);
	}
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, a, 2, 1), 0);
	CU_ASSERT_EQUAL(resident(&o, gva_make(to), 2), 2);
	one_close(&o);
}

/* ---- msync ---------------------------------------------------------------------------- */

static void test_msync(void)
{
	struct one o = one_open();
	struct unit_file f = unit_file(o.h, 8 * PAGE);
	gva_t m = unit_map_file(o.mm, f.mapping, 0, 8, PROT_RW, MAP_SHARED);

	unit_put(o.h, o.mm, page_at(m, 2), 41);
	unit_put(o.h, o.mm, page_at(m, 5), 42);
	CU_ASSERT_EQUAL(mm_msync(o.mm, page_at(m, 2), PAGE, MS_ASYNC), 0);
	CU_ASSERT_NOT_EQUAL(fake_file_read(f.file, 2, 0), 41);
	CU_ASSERT_EQUAL(mm_msync(o.mm, page_at(m, 2), PAGE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(f.file, 2, 0), 41);
	CU_ASSERT_EQUAL(f.file->syncs, 1);
	CU_ASSERT_NOT_EQUAL(fake_file_read(f.file, 5, 0), 42);
	CU_ASSERT_EQUAL(mm_sync(o.mm), 0);
	CU_ASSERT_EQUAL(fake_file_read(f.file, 5, 0), 42);
	/* The page was cleaned: a further store is seen by the next msync. */
	unit_put(o.h, o.mm, page_at(m, 2), 43);
	CU_ASSERT_EQUAL(mm_msync(o.mm, m, 8 * PAGE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(f.file, 2, 0), 43);
	/* An I/O error is the caller's; the data stays dirty for the next try. */
	unit_put(o.h, o.mm, page_at(m, 3), 44);
	fake_fail_nth(o.h, FAKE_FILE_WRITE, 1);
	CU_ASSERT_EQUAL(mm_msync(o.mm, m, 8 * PAGE, MS_SYNC), -EIO);
	CU_ASSERT_EQUAL(mm_msync(o.mm, m, 8 * PAGE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(f.file, 3, 0), 44);
	/* A hole: the rest is written, then it is told. */
	unit_put(o.h, o.mm, page_at(m, 6), 45);
	unit_unmap(o.mm, page_at(m, 4), 1);
	CU_ASSERT_EQUAL(mm_msync(o.mm, m, 8 * PAGE, MS_SYNC), -ENOMEM);
	CU_ASSERT_EQUAL(fake_file_read(f.file, 6, 0), 45);
	CU_ASSERT_EQUAL(mm_munmap(o.mm, m, 8 * PAGE), 0);
	unit_file_close(&f);
	one_close(&o);
}

/* ---- mseal ---------------------------------------------------------------------------- */

/* Pages 2 and 3 of 6 are sealed. What is refused changes nothing, whatever it began with. */
static void test_mseal(void)
{
	struct one o = one_open();
	gva_t a = gva_make(BASE), out;

	CU_ASSERT_EQUAL(map_with(o.mm, BASE, 6, MAP_ANON_PRIVATE | MAP_FIXED), 0);
	unit_fill(o.h, o.mm, a, 6, 1);
	CU_ASSERT_EQUAL(mm_mseal(o.mm, page_at(a, 2), 2 * PAGE, 1), -EINVAL);
	CU_ASSERT_EQUAL(mm_mseal(o.mm, page_at(a, 4), 3 * PAGE, 0), -ENOMEM);
	CU_ASSERT_EQUAL(mm_munmap(o.mm, page_at(a, 5), PAGE), 0);
	CU_ASSERT_EQUAL(mm_mseal(o.mm, page_at(a, 2), 2 * PAGE, 0), 0);
	CU_ASSERT_EQUAL(o.mm->nr_vmas, 3);
	CU_ASSERT_EQUAL(mm_munmap(o.mm, a, 5 * PAGE), -EPERM);
	CU_ASSERT_EQUAL(map_with(o.mm, BASE, 5, MAP_ANON_PRIVATE | MAP_FIXED), -EPERM);
	CU_ASSERT_EQUAL(mm_mremap(o.mm, page_at(a, 2), PAGE, PAGE, MREMAP_MAYMOVE, a, &out),
			-EPERM);
	CU_ASSERT_EQUAL(mm_mremap(o.mm, a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page_at(a, 3),
				  &out),
			-EPERM);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, a, 5, 1), 0);
	CU_ASSERT_EQUAL(o.mm->nr_vmas, 3);
	CU_ASSERT_EQUAL(mm_mprotect(o.mm, page_at(a, 3), 2 * PAGE, PROT_READ), -EPERM);
	CU_ASSERT_EQUAL(mm_madvise(o.mm, page_at(a, 2), PAGE, MADV_DONTNEED), 0);
	CU_ASSERT_EQUAL(resident(&o, a, 5), 4);
	/* Without memory for a split nothing is sealed by half. */
	for (uint64_t n = 1, err = 1; err; n++) {
		fake_fail_nth(o.h, FAKE_ALLOC, n);
		err = (uint64_t)-mm_mseal(o.mm, a, PAGE, 0);
		fake_fail_nth(o.h, FAKE_ALLOC, 0);
		CU_ASSERT_TRUE(!err || err == ENOMEM);
		CU_ASSERT_EQUAL(vma_sealed(vma_find(o.mm, a)), !err);
		CU_ASSERT_TRUE_FATAL(n < 100);
	}
	one_close(&o);
}

/* ---- reaping -------------------------------------------------------------------------- */

/* Private memory goes, and neither comes back as zeroes nor in a child; shared memory stays. */
static void test_reap(void)
{
	struct one o = one_open();
	gva_t a = gva_make(BASE), s = gva_make(BASE + 16 * PAGE);
	struct mm *child;

	CU_ASSERT_EQUAL(map_with(o.mm, a.v, 4, MAP_ANON_PRIVATE | MAP_FIXED | MAP_LOCKED), 0);
	CU_ASSERT_EQUAL(map_with(o.mm, s.v, 4, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED), 0);
	unit_fill(o.h, o.mm, a, 4, 1);
	unit_fill(o.h, o.mm, s, 4, 2);
	mm_reap(o.mm);
	CU_ASSERT_EQUAL(resident(&o, a, 4), 0);
	CU_ASSERT_EQUAL(o.mm->counters[MM_ANONPAGES], 0);
	CU_ASSERT_EQUAL(mm_fault(o.mm, a, 0), FAULT_BUS);
	CU_ASSERT_EQUAL(mm_fault(o.mm, a, FAULT_FLAG_WRITE), FAULT_BUS);
	CU_ASSERT_EQUAL(mm_fault(o.mm, page_at(a, 5), 0), FAULT_MAPERR);
	CU_ASSERT_EQUAL(unit_verify(o.h, o.mm, s, 4, 2), 0);
	CU_ASSERT_EQUAL_FATAL(mm_fork(o.mm, &child), 0);
	CU_ASSERT_EQUAL(mm_fault(child, a, 0), FAULT_BUS);
	mm_put(child);
	one_close(&o);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row26_no_hugetlb", test_no_hugetlb },
		{ "brk", test_brk },
		{ "stack_grows", test_stack_grows },
		{ "stack_guard_gap", test_stack_guard_gap },
		{ "places", test_places },
		{ "limits", test_limits },
		{ "mlock", test_mlock },
		{ "mlockall", test_mlockall },
		{ "mlock_is_not_inherited", test_mlock_fork },
		{ "advice_for_fork", test_advice_fork },
		{ "advice_refused", test_advice_refused },
		{ "advice_populate", test_advice_populate },
		{ "advice_killed", test_advice_killed },
		{ "advice_remove", test_advice_remove },
		{ "advice_willneed", test_advice_willneed },
		{ "row15_16_mremap_pgoff", test_mremap_pgoff },
		{ "row16_mremap_dontunmap", test_mremap_dontunmap },
		{ "mremap_duplicates_shared", test_mremap_duplicate },
		{ "mremap_fails_whole", test_mremap_fails },
		{ "msync", test_msync },
		{ "mseal", test_mseal },
		{ "reap", test_reap },
	};

	return unit_run("mm_calls", tests, ARRAY_LEN(tests), argc, argv);
}
