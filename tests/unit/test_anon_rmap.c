/* SPDX-License-Identifier: MIT */
/* anon_vmas through fork, COW, split, merge, exit. Rows 29 to 36, 39, 40. */
#include "tests/unit/walks.h"

static struct anon_vma *anon_vma_of(const struct folio *f)
{
	return (struct anon_vma *)(folio_mapping_raw(f) & ~FOLIO_MAPPING_FLAGS);
}

#define GENERATIONS 6

static void test_row29_generations(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm[GENERATIONS];
	struct folio *f;
	gva_t a;
	int to;

	mm[0] = unit_mm(h);
	a = unit_map_filled(h, mm[0], 4, 1);
	for (int i = 1; i < GENERATIONS; i++)
		mm[i] = unit_fork(mm[i - 1]);
	f = unit_folio(h, mm[0], a);
	CU_ASSERT_EQUAL(folio_mapcount(f), GENERATIONS);
	to = !f->node;
	/* Asked for by the youngest: all find the page at its new place. */
	CU_ASSERT_EQUAL(unit_migrate(h, mm[GENERATIONS - 1], to).moved, 4);
	for (int i = 0; i < GENERATIONS; i++) {
		for (uint64_t p = 0; p < 4; p++)
			CU_ASSERT_EQUAL(unit_node(h, mm[i], page_at(a, p)), to);
		CU_ASSERT_EQUAL(unit_verify(h, mm[i], a, 4, 1), 0);
	}
	CU_ASSERT_PTR_EQUAL(unit_folio(h, mm[0], a), unit_folio(h, mm[GENERATIONS - 1], a));
	unit_check(h);
	for (int i = 0; i < GENERATIONS; i++)
		mm_put(mm[i]);
	unit_close(h);
}

static void test_row30_cow_child(void)
{
	static struct walk_log log;
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child;
	gva_t a = unit_map(mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	struct folio *f;

	unit_put(h, mm, a, 1);
	child = unit_fork(mm);
	unit_put(h, child, a, 2);
	f = unit_folio(h, child, a);
	CU_ASSERT_PTR_NOT_EQUAL(f, unit_folio(h, mm, a));
	CU_ASSERT_PTR_EQUAL(anon_vma_of(f), unit_vma(child, a)->anon_vma);
	CU_ASSERT_PTR_NOT_EQUAL(anon_vma_of(f), unit_vma(mm, a)->anon_vma);
	walk_folio(h, f, &log);
	CU_ASSERT_EQUAL(log.nr, 1);
	CU_ASSERT_PTR_EQUAL(log.vma[0], unit_vma(child, a));
	CU_ASSERT_EQUAL(unit_get(h, mm, a), 1);
	unit_check(h);
	mm_put(child);
	mm_put(mm);
	unit_close(h);
}

/*
 * A page that both own is swapped out and comes back by the child's read. It
 * must hang under the root: below the child's anon_vma the parent's mapping of
 * it would not be found.
 */
static void test_row31_shared_under_root(void)
{
	static struct walk_log log;
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child;
	gva_t a = unit_map(mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	struct folio *f;

	unit_put(h, mm, a, 1);
	child = unit_fork(mm);
	unit_reclaim(h, mm, gva_make(0), 0);
	CU_ASSERT_TRUE_FATAL(unit_swapped(h, mm, a) && unit_swapped(h, child, a));
	CU_ASSERT_EQUAL(unit_get(h, child, a), 1);
	f = unit_folio(h, child, a);
	CU_ASSERT_FALSE(folio_test(f, PG_anon_exclusive));
	CU_ASSERT_PTR_EQUAL(anon_vma_of(f), anon_vma_of(f)->root);
	CU_ASSERT_EQUAL(unit_get(h, mm, a), 1);
	CU_ASSERT_PTR_EQUAL(unit_folio(h, mm, a), f);
	walk_folio(h, f, &log);
	CU_ASSERT_TRUE(walk_saw(&log, unit_vma(mm, a)));
	CU_ASSERT_TRUE(walk_saw(&log, unit_vma(child, a)));
	unit_check(h);
	CU_ASSERT_EQUAL(unit_migrate(h, mm, !f->node).moved, 1);
	unit_check(h);
	mm_put(child);
	mm_put(mm);
	unit_close(h);
}

/* The parent is gone, a sibling has dropped the page: the last owner writes to it. */
static void test_row32_sole_survivor(void)
{
	static struct walk_log log;
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child, *sibling;
	gva_t a = unit_map(mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	struct folio *f;
	uint64_t copies;

	unit_put(h, mm, a, 1);
	child = unit_fork(mm);
	sibling = unit_fork(mm);
	f = unit_folio(h, mm, a);
	unit_advise(sibling, a, 1, MADV_DONTNEED);
	unit_advise(mm, a, 1, MADV_DONTNEED);
	walk_folio(h, f, &log);
	CU_ASSERT_EQUAL(log.nr, 3);
	copies = fake_calls(h, FAKE_COPY);
	unit_put(h, child, a, 2);
	CU_ASSERT_EQUAL(fake_calls(h, FAKE_COPY), copies);
	CU_ASSERT_PTR_EQUAL(unit_folio(h, child, a), f);
	CU_ASSERT_PTR_EQUAL(anon_vma_of(f), unit_vma(child, a)->anon_vma);
	walk_folio(h, f, &log);
	CU_ASSERT_EQUAL(log.nr, 1);
	CU_ASSERT_PTR_EQUAL(log.vma[0], unit_vma(child, a));
	unit_check(h);
	mm_put(sibling);
	mm_put(mm);
	mm_put(child);
	unit_close(h);
}

/* A process that forks and exits, and so on: ever one process alive. */
static void test_row33_fork_exit(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map(mm, 2, PROT_RW, MAP_ANON_PRIVATE);
	int64_t worst = 0, worst_links = 0;

	unit_fill(h, mm, a, 2, 1);
	for (int i = 0; i < 10000; i++) {
		struct mm *child = unit_fork(mm);

		if (i % 3)
			unit_put(h, child, a, (uint64_t)i);
		mm_put(mm);
		mm = child;
		if (mm_sys_objects(h->sys, OBJ_ANON_VMA) > worst)
			worst = mm_sys_objects(h->sys, OBJ_ANON_VMA);
		if (mm_sys_objects(h->sys, OBJ_ANON_VMA_CHAIN) > worst_links)
			worst_links = mm_sys_objects(h->sys, OBJ_ANON_VMA_CHAIN);
		if (worst > 100)
			break; /* lost already, and it would only get slower */
	}
	CU_ASSERT_TRUE(worst <= 8);
	CU_ASSERT_TRUE(worst_links <= 24);
	unit_end(h, mm);
}

/* ---- random families ------------------------------------------------------------ */

static uint64_t random_state;

#define FAMILY    8
#define AREA      32
#define AREA_BASE 0x40000000ul

static void check_family(struct fake_host *h, struct mm *const *mms)
{
	struct mm *alive[FAMILY];
	unsigned int nr = 0;

	for (int i = 0; i < FAMILY; i++)
		if (mms[i])
			alive[nr++] = mms[i];
	for (unsigned int i = 0; i < nr; i++)
		for (uint64_t p = 0; p < AREA; p++) {
			struct folio *f = unit_frame(h, alive[i], page_at(gva_make(AREA_BASE), p));

			if (f)
				walk_check(h, folio_head(f), alive, nr);
		}
	unit_check(h);
}

static void random_step(struct fake_host *h, struct mm **mms)
{
	int who = (int)unit_random(&random_state, FAMILY),
	    other = (int)unit_random(&random_state, FAMILY);
	uint64_t page = unit_random(&random_state, AREA),
		 nr = 1 + unit_random(&random_state, AREA - page);
	gva_t at = page_at(gva_make(AREA_BASE), page);

	if (!mms[who])
		return;
	switch (unit_random(&random_state, 8)) {
	case 0:
		if (!mms[other])
			mms[other] = unit_fork(mms[who]);
		break;
	case 1:
		if (who) {
			mm_put(mms[who]);
			mms[who] = NULL;
		}
		break;
	case 2:
		unit_unmap(mms[who], at, nr);
		break;
	case 3: /* Fills holes too, so that neighbours merge. */
		unit_map_at(mms[who], at.v, nr, PROT_RW, MAP_ANON_PRIVATE);
		break;
	case 4: {
		int err = mm_mprotect(mms[who], at, nr << UMM_PAGE_SHIFT,
				      unit_random(&random_state, 2) ? PROT_RW : PROT_READ);

		CU_ASSERT_TRUE(err == 0 || err == -ENOMEM);
		break;
	}
	default: {
		enum fault_result r = fake_store(h, mms[who], 0, at, random_state);

		CU_ASSERT_TRUE(r == FAULT_DONE || r == FAULT_MAPERR || r == FAULT_ACCERR);
	}
	}
}

/* Rows 34 and 35: after each few steps, every walk yields what brute force finds. */
static void test_row35_random_families(void)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct fake_host *h = unit_open();
		struct mm *mms[FAMILY] = { unit_mm(h) };

		random_state = seed * 7919;
		unit_map_at(mms[0], AREA_BASE, AREA, PROT_RW, MAP_ANON_PRIVATE);
		for (int step = 0; step < 150; step++) {
			random_step(h, mms);
			if (step % 15 == 14)
				check_family(h, mms);
		}
		check_family(h, mms);
		for (int i = 0; i < FAMILY; i++)
			if (mms[i])
				mm_put(mms[i]);
		unit_close(h);
	}
}

static void test_row35_split_and_merge(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map(mm, 12, PROT_RW, MAP_ANON_PRIVATE);
	uint64_t chains;

	unit_fill(h, mm, a, 12, 1);
	chains = (uint64_t)mm_sys_objects(h->sys, OBJ_ANON_VMA_CHAIN);
	for (uint64_t i = 1; i < 11; i++) {
		unit_protect(mm, page_at(a, i), 1, PROT_READ);
		unit_check(h);
	}
	CU_ASSERT_EQUAL(mm->nr_vmas, 3);
	unit_protect(mm, page_at(a, 5), 1, PROT_RW);
	CU_ASSERT_EQUAL(mm->nr_vmas, 5);
	for (uint64_t p = 0; p < 12; p++)
		walk_check(h, unit_folio(h, mm, page_at(a, p)), &mm, 1);
	unit_protect(mm, a, 12, PROT_RW);
	CU_ASSERT_EQUAL(mm->nr_vmas, 1);
	CU_ASSERT_EQUAL(mm_sys_objects(h->sys, OBJ_ANON_VMA_CHAIN), (int64_t)chains);
	for (uint64_t p = 0; p < 12; p++)
		walk_check(h, unit_folio(h, mm, page_at(a, p)), &mm, 1);
	CU_ASSERT_EQUAL(unit_verify(h, mm, a, 12, 1), 0);
	unit_end(h, mm);
}

/* Moved to where it could merge with an area that has an anon_vma of its own. */
static void test_row36_mremap_beside_faulted(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child;
	gva_t a = unit_map_at(mm, 0x40000000, 4, PROT_RW, MAP_ANON_PRIVATE);
	gva_t b = unit_map_at(mm, 0x50000000, 4, PROT_RW, MAP_ANON_PRIVATE);
	struct folio *f;

	unit_fill(h, mm, a, 4, 1);
	unit_remap(mm, b, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, page_at(a, 4));
	unit_fill(h, mm, page_at(a, 4), 4, 2);
	child = unit_fork(mm);
	unit_check(h);
	mm_put(mm);
	f = unit_folio(h, child, a);
	walk_check(h, f, &child, 1);
	f = unit_folio(h, child, page_at(a, 6));
	walk_check(h, f, &child, 1);
	CU_ASSERT_EQUAL(unit_verify(h, child, a, 4, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(h, child, page_at(a, 4), 4, 2), 0);
	/* Back again, between two faulted ones. */
	unit_remap(child, a, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, page_at(a, 8));
	CU_ASSERT_EQUAL(unit_verify(h, child, page_at(a, 8), 4, 1), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_migrate(h, child, !f->node).failed, 0);
	unit_end(h, child);
}

/* The Nth allocation of a fork fails: the parent is as before, nothing is left. */
static void test_row39_fork_fails(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child = NULL;
	int64_t before[OBJ_NR];
	uint64_t n = 0;
	gva_t a;
	int err;

	for (uint64_t i = 0; i < 6; i++) {
		a = unit_map_at(mm, 0x40000000 + i * UMM_PMD_SIZE, 4, PROT_RW, MAP_ANON_PRIVATE);
		unit_fill(h, mm, a, 4, i);
	}
	for (int i = 0; i < OBJ_NR; i++)
		before[i] = mm_sys_objects(h->sys, (enum mm_object)i);
	do {
		fake_fail_nth(h, FAKE_ALLOC, ++n);
		err = mm_fork(mm, &child);
		fake_fail_nth(h, FAKE_ANY, 0);
		CU_ASSERT_TRUE(err == 0 || err == -ENOMEM);
		for (int i = 0; err && i < OBJ_NR; i++)
			CU_ASSERT_EQUAL(mm_sys_objects(h->sys, (enum mm_object)i), before[i]);
		unit_check(h);
		for (uint64_t i = 0; i < 6; i++)
			CU_ASSERT_EQUAL(unit_verify(h, mm, gva_make(0x40000000 + i * UMM_PMD_SIZE),
						    4, i),
					0);
	} while (err && n < 1000);
	CU_ASSERT_EQUAL(err, 0);
	CU_ASSERT_TRUE(n > 6);
	if (!err)
		mm_put(child);
	mm_put(mm);
	unit_close(h);
}

static void test_row40_counts_return(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child;
	gva_t a = unit_map_filled(h, mm, 16, 1);

	child = unit_fork(mm);
	unit_fill(h, child, a, 8, 2);
	unit_protect(child, page_at(a, 4), 4, PROT_READ);
	unit_remap(mm, a, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(0x550000000000));
	CU_ASSERT_TRUE(mm_sys_objects(h->sys, OBJ_ANON_VMA) >= 2);
	unit_unmap(child, a, 16);
	CU_ASSERT_EQUAL(child->nr_vmas, 0);
	for (int i = 0; i < MM_NR_COUNTERS; i++)
		CU_ASSERT_EQUAL(child->counters[i], 0);
	mm_put(child);
	mm_put(mm);
	for (int i = 0; i < OBJ_NR; i++)
		CU_ASSERT_EQUAL(mm_sys_objects(h->sys, (enum mm_object)i), 0);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 29: one migration updates six generations", test_row29_generations },
		{ "row 30: a child's copy is in the child's anon_vma", test_row30_cow_child },
		{ "row 31: a shared page comes back under the root", test_row31_shared_under_root },
		{ "row 32: the sole survivor takes the folio over", test_row32_sole_survivor },
		{ "row 33: 10000 forks and exits, few anon_vmas", test_row33_fork_exit },
		{ "row 34, 35: random families against brute force", test_row35_random_families },
		{ "row 35: split, merge and mprotect keep the trees", test_row35_split_and_merge },
		{ "row 36: mremap beside a faulted neighbour", test_row36_mremap_beside_faulted },
		{ "row 39: fork fails at each allocation", test_row39_fork_fails },
		{ "row 40: all objects go at munmap and exit", test_row40_counts_return },
	};

	return unit_run("anon_rmap", tests, ARRAY_LEN(tests), argc, argv);
}
