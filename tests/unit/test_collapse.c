/* SPDX-License-Identifier: MIT */
/* Collapse: small entries become a 2 MiB leaf, by request or by the scanner. Row 38. */
#include "tests/unit/walks.h"

#define LEAF  UMM_PTRS_PER_TABLE
#define WHERE 0x40000000ul

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t at;
};

/* The leaf, 0: there are small entries. */
static uint64_t leaf_entry(struct setup *s)
{
	bool huge;
	uint64_t e = fake_entry(s->h, s->mm->root, s->at, &huge);

	return huge ? e : 0;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int collapse(struct setup *s)
{
	return mm_madvise(s->mm, s->at, UMM_PMD_SIZE, MADV_COLLAPSE);
}

/* 2 MiB of small entries, filled but for 100 pages. */
static struct setup open_small(void)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.max_anon_order = UMM_PMD_ORDER;
	config.shadow_paging = true;
	s.h = unit_open_with(&config);

	CU_ASSERT_EQUAL(mm_sys_set_thp(s.h->sys, UMM_PMD_ORDER, THP_NEVER), 0);
	s.mm = unit_mm(s.h);
	s.at = unit_map_at(s.mm, WHERE, LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, s.at, LEAF - 100, 1);
	CU_ASSERT_EQUAL(leaf_entry(&s), 0);
	return s;
}

static void test_collapse(void)
{
	struct setup s = open_small();
	uint64_t e;

	CU_ASSERT_EQUAL(mm_collapse(s.mm, s.at, LEAF, false), -EINVAL);
	CU_ASSERT_EQUAL(mm_collapse(s.mm, s.at, 99, true), -EINVAL);
	unit_check(s.h);
	CU_ASSERT_EQUAL(collapse(&s), 0);
	e = leaf_entry(&s);
	CU_ASSERT_TRUE((e & PTE_WRITE) && (e & PTE_DIRTY) && (e & PTE_ACCESSED));
	unit_check(s.h);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], LEAF);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF - 100, 1), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, LEAF - 1)), 0);
	CU_ASSERT_EQUAL(collapse(&s), 0);
	/* And apart again. */
	unit_advise(s.mm, page_at(s.at, 7), 1, MADV_DONTNEED);
	CU_ASSERT_EQUAL(collapse(&s), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, 7)), 0);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, 1).failed, 0);
	unit_end(s.h, s.mm);
}

/*
 * A range over more: what lies between areas, and where nothing was ever touched, is
 * passed over; an area that can have no leaves ends it.
 */
static void test_collapse_range(void)
{
	const uint64_t size = 64ul << 40;
	struct setup s = open_small();
	gva_t far = unit_map_at(s.mm, WHERE + (4ul << 40), 2 * LEAF, PROT_RW, MAP_ANON_PRIVATE);
	gva_t shared = unit_map_at(s.mm, WHERE + (5ul << 40), LEAF, PROT_RW, MAP_ANON_SHARED);
	struct umm_mutex *lock;

	unit_put(s.h, s.mm, page_at(far, LEAF + 1), 5);
	unit_put(s.h, s.mm, shared, 6);
	CU_ASSERT_EQUAL(mm_collapse_range(s.mm, s.at, gva_add(s.at, 4ul << 40)), 0);
	CU_ASSERT_NOT_EQUAL(leaf_entry(&s), 0);
	CU_ASSERT_EQUAL(mm_collapse_range(s.mm, gva_add(s.at, 4096), far), 0);
	CU_ASSERT_EQUAL(mm_collapse_range(s.mm, s.at, gva_add(s.at, size)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(pmd_lock_leaf(s.mm, page_at(far, LEAF), page_at(far, LEAF),
					     page_at(far, 2 * LEAF), &lock));
	umm_mutex_unlock(lock);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(far, LEAF + 1)), 5);
	unit_end(s.h, s.mm);
}

/* What a reverse walk sees while the entries are out. */
static struct {
	struct folio *folio;
	bool walked, kept_out;
} walk_beside;

static bool walk_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	(void)f;
	(void)vma;
	(void)addr;
	(void)arg;
	return true;
}

static void *walk_in_between(void *arg)
{
	struct rmap_walk_control rwc = { .try_lock = true, .rmap_one = walk_one };

	(void)arg;
	rmap_walk(walk_beside.folio, &rwc);
	walk_beside.kept_out = rwc.contended;
	return NULL;
}

static void walk_at_copy(struct fake_host *h, enum fake_op op, void *arg)
{
	(void)h;
	(void)arg;
	if (op != FAKE_COPY || walk_beside.walked)
		return;
	walk_beside.walked = true;
	unit_in_thread(walk_in_between, NULL);
}

/* Between the old entries and the leaf no walk may find a page that nothing maps. */
static void test_row38_collapse_keeps_walks_out(void)
{
	struct setup s = open_small();

	walk_beside.folio = unit_folio(s.h, s.mm, s.at);
	s.h->hook = walk_at_copy;
	CU_ASSERT_EQUAL(collapse(&s), 0);
	s.h->hook = NULL;
	CU_ASSERT_TRUE(walk_beside.walked);
	CU_ASSERT_TRUE(walk_beside.kept_out);
	unit_end(s.h, s.mm);
}

static void test_collapse_refused(void)
{
	struct setup s = open_small();
	struct mm_pin_vec vec[1];
	struct mm *child;
	unsigned int nr;
	size_t bytes;

	/* Shared with a child, pinned, swapped, and the copy failing. */
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(collapse(&s), -EBUSY);
	mm_put(child);
	unit_fill(s.h, s.mm, s.at, LEAF - 100, 1);
	CU_ASSERT_EQUAL(mm_pin(s.mm, page_at(s.at, 50), 8, true, vec, 1, &nr, &bytes), 0);
	CU_ASSERT_EQUAL(collapse(&s), -EBUSY);
	mm_unpin(s.mm, vec, nr, true);
	fake_fail_nth(s.h, FAKE_COPY, 1);
	CU_ASSERT_EQUAL(collapse(&s), -EIO);
	fake_fail_nth(s.h, FAKE_COPY, 0);
	CU_ASSERT_EQUAL(leaf_entry(&s), 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF - 100, 1), 0);
	unit_reclaim(s.h, s.mm, page_at(s.at, 30), 20);
	CU_ASSERT_EQUAL(mm_collapse(s.mm, s.at, LEAF, true), -EAGAIN);
	CU_ASSERT_EQUAL(collapse(&s), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF - 100, 1), 0);
	CU_ASSERT_EQUAL(mm_collapse(s.mm, s.at, LEAF, true), -EEXIST);
	unit_end(s.h, s.mm);
}

static void test_collapse_scan(void)
{
	struct setup s = open_small();
	gva_t cursor = gva_make(0), b;

	b = unit_map_at(s.mm, WHERE + 3 * UMM_PMD_SIZE, 2 * LEAF, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, b, 2 * LEAF, 3);
	CU_ASSERT_EQUAL(mm_collapse_scan(s.mm, &cursor, 8, 64), 0);
	CU_ASSERT_EQUAL(mm_sys_set_thp(s.h->sys, UMM_PMD_ORDER, THP_ALWAYS), 0);
	cursor.v = 0;
	/* The first has more than 64 empty entries. */
	CU_ASSERT_EQUAL(mm_collapse_scan(s.mm, &cursor, 2, 64), 1);
	CU_ASSERT_EQUAL(cursor.v, b.v + UMM_PMD_SIZE);
	CU_ASSERT_EQUAL(mm_collapse_scan(s.mm, &cursor, 2, 64), 1);
	CU_ASSERT_EQUAL(cursor.v, 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, b, 2 * LEAF, 3), 0);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "collapse", test_collapse },
		{ "a range with holes and empty parts", test_collapse_range },
		{ "row 38: collapse keeps walks out", test_row38_collapse_keeps_walks_out },
		{ "what is shared or in use is not collapsed", test_collapse_refused },
		{ "the scanner collapses what is full", test_collapse_scan },
	};

	return unit_run("collapse", tests, ARRAY_LEN(tests), argc, argv);
}
