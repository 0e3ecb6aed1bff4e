/* SPDX-License-Identifier: MIT */
/*
 * 2 MiB leaves: made by faults, split, shared, moved, and what each caller does
 * with a whole one. The host keeps copies of leaves until tables are flushed, and
 * tells if another entry is used in their place before.
 */
#include "tests/unit/walks.h"

#define LEAF  UMM_PTRS_PER_TABLE
#define WHERE 0x40000000ul

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t at;
	struct folio *f;
	struct mm *child; /* some tests */
};

static uint64_t leaf_entry(struct setup *s, struct mm *mm, gva_t addr)
{
	bool huge;
	uint64_t e = fake_entry(s->h, mm->root, addr, &huge);

	return huge ? e : 0;
}

static struct folio *leaf_folio(struct setup *s, struct mm *mm, gva_t addr)
{
	uint64_t e = leaf_entry(s, mm, addr);

	return e ? sys_frame(s->h->sys, pte_pfn(e)) : NULL;
}

static struct fake_config leaf_config(void)
{
	struct fake_config config = unit_config();

	config.max_anon_order = UMM_PMD_ORDER;
	config.shadow_paging = true;
	return config;
}

/* An area of @leaves leaves, all there, filled with key 1. */
static struct setup open_leaves(uint64_t leaves)
{
	struct fake_config config = leaf_config();
	struct setup s = { .h = unit_open_with(&config) };

	s.mm = unit_mm(s.h);
	s.at = unit_map_at(s.mm, WHERE, leaves * LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, s.at, leaves * LEAF, 1);
	s.f = leaf_folio(&s, s.mm, s.at);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.f);
	return s;
}

static void test_fault_makes_leaf(void)
{
	struct setup s = open_leaves(2);
	uint64_t e = leaf_entry(&s, s.mm, s.at);

	CU_ASSERT_TRUE((e & PTE_WRITE) && (e & PTE_DIRTY) && (e & PTE_ACCESSED));
	CU_ASSERT_EQUAL(s.f->order, UMM_PMD_ORDER);
	CU_ASSERT_EQUAL(folio_mapcount(s.f), 1);
	CU_ASSERT_EQUAL(folio_refcount(s.f), 1);
	CU_ASSERT_EQUAL(s.f[1].large.entire_mapcount, 1);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 2 * LEAF);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_THP_FAULT_ALLOC), 2);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_FAULT), 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 2 * LEAF, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_modes(void)
{
	struct fake_config config = leaf_config();
	struct setup s = { .h = unit_open_with(&config) };
	gva_t b, c;

	CU_ASSERT_EQUAL(mm_sys_set_thp(s.h->sys, UMM_PMD_ORDER, THP_MADVISE), 0);
	CU_ASSERT_EQUAL(mm_sys_set_thp(s.h->sys, 0, THP_ALWAYS), -EINVAL);
	CU_ASSERT_EQUAL(mm_sys_set_thp(s.h->sys, UMM_MAX_ORDER + 1, THP_ALWAYS), -EINVAL);
	s.mm = unit_mm(s.h);
	s.at = unit_map_at(s.mm, WHERE, LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_put(s.h, s.mm, s.at, 1);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	b = unit_map_at(s.mm, WHERE + 2 * UMM_PMD_SIZE, LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_advise(s.mm, b, LEAF, MADV_HUGEPAGE);
	unit_put(s.h, s.mm, b, 1);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, b), 0);
	CU_ASSERT_EQUAL(mm_sys_set_thp(s.h->sys, UMM_PMD_ORDER, THP_ALWAYS), 0);
	c = unit_map_at(s.mm, WHERE + 4 * UMM_PMD_SIZE, 2 * LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_advise(s.mm, c, LEAF, MADV_NOHUGEPAGE);
	unit_put(s.h, s.mm, c, 1);
	unit_put(s.h, s.mm, page_at(c, LEAF), 1);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, c), 0);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, page_at(c, LEAF)), 0);
	/* An area that has not all of the 2 MiB. */
	unit_unmap(s.mm, s.at, LEAF);
	s.at = unit_map_at(s.mm, WHERE + UMM_PAGE_SIZE, LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_put(s.h, s.mm, s.at, 1);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	unit_end(s.h, s.mm);
}

/* Where the caller leaves the place to the system. */
static void test_place(void)
{
	struct fake_config config = leaf_config();
	struct setup s = { .h = unit_open_with(&config) };
	gva_t a, b, c;

	s.mm = unit_mm(s.h);
	a = unit_map(s.mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	b = unit_map(s.mm, 2 * LEAF, PROT_RW, MAP_ANON_PRIVATE);
	c = unit_map(s.mm, 2 * LEAF, PROT_READ, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(b.v % UMM_PMD_SIZE, 0);
	CU_ASSERT_TRUE(b.v + 2 * UMM_PMD_SIZE <= a.v && a.v - b.v < 4 * UMM_PMD_SIZE);
	CU_ASSERT_EQUAL(c.v % UMM_PMD_SIZE, 0);
	unit_end(s.h, s.mm);
}

/* Each way to give up a part of a leaf. */
static void test_partial_unmap(void)
{
	struct setup s = open_leaves(3);

	unit_advise(s.mm, page_at(s.at, 10), 5, MADV_DONTNEED);
	unit_check(s.h);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	CU_ASSERT_EQUAL(folio_mapcount(s.f), LEAF - 5);
	CU_ASSERT_EQUAL(s.f[1].large.entire_mapcount, 0);
	CU_ASSERT_EQUAL(s.f[1].large.nr_frames_mapped, LEAF - 5);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 10, 1), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, 12)), 0);
	/* The end of one leaf and the start of the next. */
	unit_unmap(s.mm, page_at(s.at, 2 * LEAF - 3), 6);
	unit_check(s.h);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, page_at(s.at, LEAF)), 0);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, page_at(s.at, 2 * LEAF + 5)), 0);
	/* One page more: read again where it was dropped. */
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 3 * LEAF - 5 - 6 + 1);
	unit_end(s.h, s.mm);
}

/* Taken out, and filled again: tables are flushed before, and only then. */
static void test_refill_flushes(void)
{
	struct setup s = open_leaves(2);
	uint64_t flushes = fake_calls(s.h, FAKE_FLUSH);
	struct folio *again;

	unit_advise(s.mm, s.at, 2 * LEAF, MADV_DONTNEED);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 0);
	unit_check(s.h);
	/* Something else takes the frames, so that the leaf comes back with others. */
	again = folio_alloc(s.h->sys, 0, UMM_PMD_ORDER, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(again);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, 7)), 0);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	/* One flush serves all that was taken out before it. */
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, LEAF + 7)), 0);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	folio_put(s.h->sys, again);
	unit_end(s.h, s.mm);
}

/* Small entries in the place of a leaf need the flush just as well. */
static void test_refill_small_flushes(void)
{
	struct setup s = open_leaves(1);
	uint64_t flushes = fake_calls(s.h, FAKE_FLUSH);

	unit_advise(s.mm, s.at, LEAF, MADV_DONTNEED);
	CU_ASSERT_EQUAL(mm_sys_set_thp(s.h->sys, UMM_PMD_ORDER, THP_NEVER), 0);
	unit_fill(s.h, s.mm, page_at(s.at, 3), 20, 9);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, page_at(s.at, 3), 20, 9), 0);
	unit_end(s.h, s.mm);
}

static void test_protect(void)
{
	struct setup s = open_leaves(2);

	unit_protect(s.mm, s.at, LEAF, PROT_READ);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at) & PTE_WRITE, 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.at, 3), 1), FAULT_ACCERR);
	unit_check(s.h);
	unit_protect(s.mm, s.at, LEAF, PROT_NONE);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.at, 3), 1), FAULT_ACCERR);
	unit_check(s.h);
	unit_protect(s.mm, s.at, LEAF, PROT_RW);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, s.at) & PTE_WRITE, 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 2 * LEAF, 1), 0);
	/* Part of one: split where the area is. */
	unit_protect(s.mm, page_at(s.at, 100), 10, PROT_READ);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.at, 100), 1), FAULT_ACCERR);
	unit_put(s.h, s.mm, page_at(s.at, 99), 5);
	unit_put(s.h, s.mm, page_at(s.at, 110), 5);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, page_at(s.at, LEAF)), 0);
	unit_end(s.h, s.mm);
}

static void test_fork_and_copy(void)
{
	struct setup s = open_leaves(2);
	uint64_t flushes = fake_calls(s.h, FAKE_FLUSH);
	struct mm *child = unit_fork(s.mm);

	/* Two leaves were narrowed. */
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	CU_ASSERT_PTR_EQUAL(leaf_folio(&s, child, s.at), s.f);
	CU_ASSERT_EQUAL(folio_mapcount(s.f), 2);
	CU_ASSERT_EQUAL(s.f[1].large.entire_mapcount, 2);
	CU_ASSERT_EQUAL(child->counters[MM_ANONPAGES], 2 * LEAF);
	unit_check(s.h);
	/* A store copies one page: of the storing process's leaf only entries are left. */
	unit_put(s.h, child, page_at(s.at, 9), 77);
	CU_ASSERT_EQUAL(leaf_entry(&s, child, s.at), 0);
	CU_ASSERT_PTR_EQUAL(leaf_folio(&s, s.mm, s.at), s.f);
	CU_ASSERT_EQUAL(folio_mapcount(s.f), 1 + LEAF - 1);
	CU_ASSERT_EQUAL(unit_get(s.h, child, page_at(s.at, 9)), 77);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 2 * LEAF, 1), 0);
	unit_check(s.h);
	mm_put(child);
	/* Alone again: the whole leaf becomes writable at once. */
	unit_put(s.h, s.mm, page_at(s.at, 3), 5);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, s.at) & PTE_WRITE, 0);
	CU_ASSERT_TRUE(folio_test(s.f + 100, PG_anon_exclusive));
	unit_end(s.h, s.mm);
}

static void test_fork_pinned(void)
{
	struct setup s = open_leaves(1);
	struct mm_pin_vec vec[4];
	struct mm *child;
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL(
		mm_pin(s.mm, page_at(s.at, 5), 2 * UMM_PAGE_SIZE, true, vec, 4, &nr, &bytes), 0);
	/* A pin of two pages of a leaf is one piece, and splits nothing. */
	CU_ASSERT_EQUAL(nr, 1);
	CU_ASSERT_EQUAL(bytes, 2 * UMM_PAGE_SIZE);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.f->node).pinned, LEAF);
	child = unit_fork(s.mm);
	unit_check(s.h);
	*(uint64_t *)vec[0].hva = 4711;
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, 5)), 4711);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.at, LEAF, 1), 0);
	mm_unpin(s.mm, vec, nr, true);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_remap(void)
{
	struct setup s = open_leaves(2);
	gva_t to = gva_make(WHERE + 8 * UMM_PMD_SIZE);

	/* To another place for leaves: whole, and back, over what was taken out. */
	to = unit_remap(s.mm, s.at, 2 * LEAF, 2 * LEAF, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CU_ASSERT_PTR_EQUAL(leaf_folio(&s, s.mm, to), s.f);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, 2 * LEAF, 1), 0);
	unit_check(s.h);
	s.at = unit_remap(s.mm, to, 2 * LEAF, 2 * LEAF, MREMAP_MAYMOVE | MREMAP_FIXED, s.at);
	CU_ASSERT_PTR_EQUAL(leaf_folio(&s, s.mm, s.at), s.f);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 2 * LEAF, 1), 0);
	unit_check(s.h);
	/* By a page: entry by entry. */
	to = unit_remap(s.mm, s.at, 2 * LEAF, 2 * LEAF, MREMAP_MAYMOVE | MREMAP_FIXED,
			gva_add(to, UMM_PAGE_SIZE));
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, to), 0);
	CU_ASSERT_EQUAL(folio_mapcount(s.f), LEAF);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, 2 * LEAF, 1), 0);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.f->node).moved, 2 * LEAF);
	unit_end(s.h, s.mm);
}

static void test_migrate_whole(void)
{
	struct setup s = open_leaves(2);
	struct mm *child = unit_fork(s.mm), *third = unit_fork(child);
	struct migrate_result r;

	for (int round = 0; round < 3; round++) {
		int from = leaf_folio(&s, s.mm, s.at)->node;

		r = unit_migrate(s.h, s.mm, !from);
		CU_ASSERT_EQUAL(r.moved, 2 * LEAF);
		s.f = leaf_folio(&s, s.mm, s.at);
		CU_ASSERT_PTR_NOT_NULL_FATAL(s.f);
		CU_ASSERT_EQUAL(s.f->node, !from);
		CU_ASSERT_EQUAL(s.f[1].large.entire_mapcount, 3);
		CU_ASSERT_PTR_EQUAL(leaf_folio(&s, third, s.at), s.f);
		CU_ASSERT_EQUAL(unit_verify(s.h, third, s.at, 2 * LEAF, 1), 0);
		unit_check(s.h);
	}
	mm_put(third);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* Unmapped and copied: one flush for all, before the leaves stand for other frames. */
static void test_migrate_flushes(void)
{
	struct setup s = open_leaves(2);
	struct migrate_request req = { .to = !s.f->node, .mm = s.mm, .mode = MIGRATE_STOP };
	uint64_t flushes = fake_calls(s.h, FAKE_FLUSH);
	struct migrate_result r;

	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, 2 * LEAF);
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_FLUSH) > flushes);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 2 * LEAF, 1), 0);
	unit_end(s.h, s.mm);
}

/* What a leaf was comes back: permission, exclusiveness, A and D. */
static void test_migrate_keeps(void)
{
	struct setup s = open_leaves(3);
	struct mm *child;
	uint64_t e;

	unit_protect(s.mm, page_at(s.at, LEAF), LEAF, PROT_READ);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.f->node).moved, 3 * LEAF);
	e = leaf_entry(&s, s.mm, s.at);
	CU_ASSERT_TRUE((e & PTE_WRITE) && (e & PTE_ACCESSED));
	/* Copied while it was mapped, the folio alone says so. */
	CU_ASSERT_TRUE((e & PTE_DIRTY) || folio_test(leaf_folio(&s, s.mm, s.at), PG_dirty));
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, page_at(s.at, LEAF)) & PTE_WRITE, 0);
	s.f = leaf_folio(&s, s.mm, page_at(s.at, LEAF));
	CU_ASSERT_TRUE(folio_test(s.f, PG_anon_exclusive));
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.f->node).moved, 3 * LEAF);
	s.f = leaf_folio(&s, s.mm, s.at);
	CU_ASSERT_FALSE(folio_test(s.f, PG_anon_exclusive));
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at) & PTE_WRITE, 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* The target has frames, but no 2 MiB of them in one piece. */
static void test_migrate_splits(void)
{
	struct setup s = open_leaves(1);
	struct folio *hold[16], *extra = NULL;
	struct mm_sys *sys = s.h->sys;
	struct migrate_result r;
	unsigned int nr = 0;
	int to = !s.f->node;

	/* One small folio of each 2 MiB: allocate all, give back the rest. */
	while (nr < ARRAY_LEN(hold) &&
	       (hold[nr] = folio_alloc(sys, to, UMM_PMD_ORDER, ALLOC_THISNODE | ALLOC_NORECLAIM)))
		nr++;
	CU_ASSERT_EQUAL(nr, 8);
	folio_put(sys, hold[0]);
	extra = folio_alloc(sys, to, 0, ALLOC_THISNODE | ALLOC_NORECLAIM);
	folio_put(sys, hold[1]);
	hold[0] = folio_alloc(sys, to, UMM_PMD_ORDER - 1, ALLOC_THISNODE | ALLOC_NORECLAIM);
	hold[1] = folio_alloc(sys, to, UMM_PMD_ORDER - 1, ALLOC_THISNODE | ALLOC_NORECLAIM);
	r = unit_migrate(s.h, s.mm, to);
	unit_check(s.h);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	CU_ASSERT_TRUE(r.moved > 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF, 1), 0);
	CU_ASSERT_TRUE(mm_sys_event(sys, EV_THP_SPLIT_FOLIO) == 1);
	folio_put(sys, extra);
	for (unsigned int i = 0; i < nr; i++)
		folio_put(sys, hold[i]);
	unit_end(s.h, s.mm);
}

static void test_copy_fails(void)
{
	struct setup s = open_leaves(1);
	int from = s.f->node;

	fake_fail_nth(s.h, FAKE_COPY, 1);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !from).failed, LEAF);
	CU_ASSERT_PTR_EQUAL(leaf_folio(&s, s.mm, s.at), s.f);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_reclaim(void)
{
	struct setup s = open_leaves(2);
	struct mm *child = unit_fork(s.mm);

	unit_reclaim(s.h, s.mm, s.at, 2 * LEAF);
	unit_check(s.h);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 0);
	CU_ASSERT_EQUAL(s.mm->counters[MM_SWAPENTS], 2 * LEAF);
	CU_ASSERT_EQUAL(child->counters[MM_SWAPENTS], 2 * LEAF);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 2 * LEAF, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.at, 2 * LEAF, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* Swapping leaves out takes no flush; the first page that comes back takes one for all. */
static void test_reclaim_flushes(void)
{
	struct setup s = open_leaves(3);
	uint64_t flushes = fake_calls(s.h, FAKE_FLUSH);
	struct folio *other;

	unit_reclaim(s.h, s.mm, s.at, 3 * LEAF);
	CU_ASSERT_EQUAL(s.mm->counters[MM_SWAPENTS], 3 * LEAF);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes);
	/* The pages come back to other frames than the leaves had. */
	other = folio_alloc(s.h->sys, 0, UMM_PMD_ORDER, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	for (unsigned int i = 0; i < 3; i++) {
		unit_put(s.h, s.mm, page_at(s.at, i * LEAF + 7), 0x1234);
		CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	}

	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 3 * LEAF, 1), 0);
	folio_put(s.h->sys, other);
	unit_end(s.h, s.mm);
}

/* Leaves that are split together share the flush. */
static void test_split_flushes(void)
{
	struct setup s = open_leaves(3);
	uint64_t flushes = fake_calls(s.h, FAKE_FLUSH);

	for (unsigned int i = 0; i < 3; i++)
		pmd_split(s.mm, page_at(s.at, i * LEAF));
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes);
	unit_check(s.h);
	for (unsigned int i = 0; i < 3; i++) {
		unit_unmap(s.mm, page_at(s.at, i * LEAF), 1);
		CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	}
	unit_end(s.h, s.mm);
}

/* Accesses from the host, residency, usage: none of them splits. */
static void test_looking_does_not_split(void)
{
	struct setup s = open_leaves(1);
	static uint8_t vec[LEAF];
	struct vma_usage u;
	struct vma *vma;
	uint64_t word = 0, splits = mm_sys_event(s.h->sys, EV_THP_SPLIT_PMD);
	uint32_t old;

	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, &word, page_at(s.at, 33), 8, NULL), 0);
	CU_ASSERT_EQUAL(word, unit_get(s.h, s.mm, page_at(s.at, 33)));
	word = 99;
	CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, page_at(s.at, 34), &word, 8, NULL), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, 34)), 99);
	CU_ASSERT_EQUAL(mm_poke_guest(s.mm, page_at(s.at, 35), &word, 8, NULL), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, 35)), 99);
	CU_ASSERT_EQUAL(mm_cmpxchg_u32(s.mm, page_at(s.at, 35), 99, 7, &old), 0);
	CU_ASSERT_EQUAL(mm_mincore(s.mm, page_at(s.at, 1), 100 * UMM_PAGE_SIZE, vec), 0);
	CU_ASSERT_TRUE(vec[0] == 1 && vec[99] == 1 && vec[100] == 0);
	vma = unit_vma(s.mm, s.at);
	umm_read_lock(&s.mm->mmap_lock);
	usage_range(vma, &u);
	umm_read_unlock(&s.mm->mmap_lock);
	CU_ASSERT_EQUAL(u.rss, LEAF);
	CU_ASSERT_EQUAL(u.anon_huge, LEAF);
	CU_ASSERT_EQUAL(u.private_dirty, LEAF);
	CU_ASSERT_EQUAL(mm_mlock(s.mm, page_at(s.at, 0), LEAF * UMM_PAGE_SIZE, 0), 0);
	CU_ASSERT_TRUE(folio_test(s.f, PG_mlocked));
	CU_ASSERT_EQUAL(mm_munlock(s.mm, s.at, LEAF * UMM_PAGE_SIZE), 0);
	unit_advise(s.mm, s.at, LEAF, MADV_COLD);
	unit_advise(s.mm, s.at, LEAF, MADV_WILLNEED);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_THP_SPLIT_PMD), splits);
	CU_ASSERT_PTR_EQUAL(leaf_folio(&s, s.mm, s.at), s.f);
	unit_end(s.h, s.mm);
}

/* Given up whole: dropped, unless a page of it was stored to again. */
static void test_row63_lazyfree(void)
{
	struct setup s = open_leaves(3);
	struct reclaim_result r;

	unit_advise(s.mm, s.at, 2 * LEAF, MADV_FREE);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	CU_ASSERT_FALSE(folio_test(s.f, PG_swapbacked));
	unit_check(s.h);
	unit_put(s.h, s.mm, page_at(s.at, LEAF + 9), 4711);
	/* A part of a leaf stays as it is. */
	unit_advise(s.mm, page_at(s.at, 2 * LEAF), 5, MADV_FREE);
	r = unit_reclaim(s.h, s.mm, s.at, 2 * LEAF);
	CU_ASSERT_TRUE(r.freed >= LEAF);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, 3)), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, LEAF + 9)), 4711);
	unit_end(s.h, s.mm);
}

/* A walker that stands at a leaf has it split and goes on with its entries. */
static void test_row25_restart(void)
{
	struct setup s = open_leaves(1);
	struct vma *vma = unit_vma(s.mm, s.at);
	struct page_vma_mapped_walk w;
	unsigned int nr = 0;

	pvmw_init(&w, s.f, vma, s.at, 0);
	CU_ASSERT_TRUE_FATAL(page_vma_mapped_walk(&w));
	CU_ASSERT_PTR_NULL(w.pte);
	CU_ASSERT_PTR_NOT_NULL(w.pmd);
	page_vma_mapped_walk_done(&w);
	pmd_split(s.mm, w.address);
	while (page_vma_mapped_walk(&w)) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(w.pte);
		CU_ASSERT_EQUAL(w.address.v, page_at(s.at, nr).v);
		nr++;
	}
	CU_ASSERT_EQUAL(nr, LEAF);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF, 1), 0);
	unit_end(s.h, s.mm);
}

/* A 2 MiB migration entry: split by somebody in mid-migration, and restored. */
static void *split_by_calls(void *arg)
{
	struct setup *s = arg;

	unit_protect(s->mm, page_at(s->at, 20), 10, PROT_READ);
	unit_unmap(s->mm, page_at(s->at, 100), 28);
	return NULL;
}

static void mid_migration_split(struct fake_host *h, enum fake_op op, void *arg)
{
	if (op != FAKE_COPY)
		return;
	h->hook = NULL;
	unit_in_thread(split_by_calls, arg);
}

static void test_row79_migration_entry_split(void)
{
	struct setup s = open_leaves(2);

	s.h->hook = mid_migration_split;
	s.h->hook_arg = &s;
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.f->node).failed, 0);
	CU_ASSERT_PTR_NULL(s.h->hook);
	unit_check(s.h);
	CU_ASSERT_EQUAL(leaf_entry(&s, s.mm, s.at), 0);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s, s.mm, page_at(s.at, LEAF)), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.at, 20), 1), FAULT_ACCERR);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 100, 1), 0);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 2 * LEAF - 28);
	unit_end(s.h, s.mm);
}

static void *fork_it(void *arg)
{
	struct setup *s = arg;

	s->child = unit_fork(s->mm);
	return NULL;
}

static void mid_migration_fork(struct fake_host *h, enum fake_op op, void *arg)
{
	if (op != FAKE_COPY)
		return;
	h->hook = NULL;
	unit_in_thread(fork_it, arg);
}

static void test_row79_migration_entry_forked(void)
{
	struct setup s = open_leaves(1);
	int to = !s.f->node;

	s.h->hook = mid_migration_fork;
	s.h->hook_arg = &s;
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, to).moved, LEAF);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.child, s.at, LEAF, 1), 0);
	unit_put(s.h, s.child, page_at(s.at, 8), 3);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF, 1), 0);
	mm_put(s.child);
	unit_end(s.h, s.mm);
}

/* fork fails at each allocation, table frames included: nothing is left of it. */
static void test_no_tables(void)
{
	struct fake_config config = leaf_config();
	struct setup s;
	struct mm *child[8];
	unsigned int nr = 0;

	config.nr_tables = 16;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.at = unit_map_at(s.mm, WHERE, 3 * LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, s.at, 3 * LEAF, 1);
	while (nr < 8 && !mm_fork(s.mm, &child[nr]))
		nr++;
	CU_ASSERT_TRUE(nr > 0 && nr < 8);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, 3 * LEAF, 1), 0);
	while (nr)
		mm_put(child[--nr]);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "a fault makes a leaf", test_fault_makes_leaf },
		{ "always, madvise, never", test_modes },
		{ "large areas are aligned", test_place },
		{ "a part is given up", test_partial_unmap },
		{ "filled again after a flush", test_refill_flushes },
		{ "filled again by small entries", test_refill_small_flushes },
		{ "mprotect, whole and part", test_protect },
		{ "fork shares a leaf, a store copies a page", test_fork_and_copy },
		{ "fork of a pinned leaf", test_fork_pinned },
		{ "mremap, whole and entry by entry", test_remap },
		{ "migration moves it whole for all mappers", test_migrate_whole },
		{ "migration flushes tables", test_migrate_flushes },
		{ "migration keeps permission, exclusiveness, A, D", test_migrate_keeps },
		{ "migration splits for want of room", test_migrate_splits },
		{ "a failing copy restores it", test_copy_fails },
		{ "reclaim swaps its pages", test_reclaim },
		{ "leaves are swapped out without a flush", test_reclaim_flushes },
		{ "leaves split together share a flush", test_split_flushes },
		{ "who only looks does not split", test_looking_does_not_split },
		{ "row 25: a leaf is split under the walk", test_row25_restart },
		{ "row 63: MADV_FREE of a leaf, one stored to again", test_row63_lazyfree },
		{ "row 79, 80: a 2 MiB migration entry is split, and unmapped in part",
		  test_row79_migration_entry_split },
		{ "row 79: a 2 MiB migration entry is forked", test_row79_migration_entry_forked },
		{ "no table frames left", test_no_tables },
	};

	return unit_run("huge", tests, ARRAY_LEN(tests), argc, argv);
}
