/* SPDX-License-Identifier: MIT */
/*
 * The validator finds what is wrong: each test damages one thing by hand, sees
 * it told, repairs it and sees that all is well again. Law 1 above all.
 */
#include "tests/unit/walks.h"

struct setup {
	struct fake_host *h;
	struct mm *mm, *child;
	gva_t addr;
	struct folio *f;
};

/* A shared page, a private one, one on swap. */
static struct setup open_small(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, 3, 1);
	unit_reclaim(s.h, s.mm, page_at(s.addr, 2), 1);
	s.child = unit_fork(s.mm);
	unit_put(s.h, s.child, page_at(s.addr, 1), 1);
	s.f = unit_folio(s.h, s.mm, s.addr);
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	mm_put(s->child);
	mm_put(s->mm);
	unit_close(s->h);
}

/* Something is wrong, and the report says so in words. */
static void expect_told(struct setup *s)
{
	struct mm_validate_report report;

	CU_ASSERT_EQUAL(mm_validate(s->h->sys, &report), -EUCLEAN);
	CU_ASSERT_TRUE(report.errors > 0);
	CU_ASSERT_TRUE(report.first[0] != '\0');
}

static void test_clean(void)
{
	struct setup s = open_small();
	struct mm_validate_report report;

	CU_ASSERT_EQUAL(mm_validate(s.h->sys, &report), 0);
	CU_ASSERT_EQUAL(report.errors, 0);
	CU_ASSERT_EQUAL(report.mms, 2);
	CU_ASSERT_EQUAL(report.vmas, 2);
	CU_ASSERT_TRUE(report.entries >= 4);
	CU_ASSERT_TRUE(report.frames > 0);
	close_setup(&s);
}

static void test_mapcount(void)
{
	struct setup s = open_small();

	s.f->mapcount++;
	expect_told(&s);
	s.f->mapcount--;
	s.f->total_mapcount--;
	expect_told(&s);
	s.f->total_mapcount++;
	close_setup(&s);
}

static void test_refcount(void)
{
	struct setup s = open_small();

	s.f->refcount--;
	expect_told(&s);
	s.f->refcount++;
	close_setup(&s);
}

/* Forward, not reverse: the page hangs where the walk does not find its entries. */
static void test_wrong_anon_vma(void)
{
	struct setup s = open_small();
	uintptr_t mapping = s.f->mapping;

	s.f->mapping = (uintptr_t)unit_vma(s.child, s.addr)->anon_vma | FOLIO_MAPPING_ANON;
	CU_ASSERT_NOT_EQUAL(s.f->mapping, mapping);
	expect_told(&s);
	s.f->mapping = mapping;
	close_setup(&s);
}

static void test_wrong_index(void)
{
	struct setup s = open_small();

	s.f->index.v += 2;
	expect_told(&s);
	s.f->index.v -= 2;
	close_setup(&s);
}

static void test_counters(void)
{
	struct setup s = open_small();

	for (int i = 0; i < MM_NR_COUNTERS; i++) {
		s.mm->counters[i]++;
		expect_told(&s);
		s.mm->counters[i]--;
	}
	close_setup(&s);
}

static void test_writable_shared_page(void)
{
	struct setup s = open_small();
	uint64_t *pte = fake_entry_slot(s.h, s.child->root, s.addr);

	*pte |= PTE_WRITE;
	expect_told(&s);
	*pte &= ~PTE_WRITE;
	close_setup(&s);
}

/* An entry that nobody counted, for a frame that is in use elsewhere. */
static void test_extra_entry(void)
{
	struct setup s = open_small();
	gva_t b = unit_map(s.mm, 2, PROT_RW, MAP_ANON_PRIVATE);
	uint64_t *pte;

	unit_put(s.h, s.mm, b, 1);
	pte = fake_entry_slot(s.h, s.mm->root, page_at(b, 1));
	*pte = unit_pte(s.h, s.mm, s.addr);
	expect_told(&s);
	*pte = 0;
	close_setup(&s);
}

static void test_swap_counts(void)
{
	struct setup s = open_small();
	swp_entry_t e = pte_to_swp(unit_pte(s.h, s.mm, page_at(s.addr, 2)));

	CU_ASSERT_EQUAL(swap_dup(s.h->sys, e), 0);
	expect_told(&s);
	swap_put(s.h->sys, e);
	close_setup(&s);
}

static void test_interval_tree(void)
{
	struct setup s = open_small();
	struct vma *vma = unit_vma(s.mm, s.addr);
	struct anon_vma_chain *avc =
		list_first_entry(&vma->anon_vma_chain, struct anon_vma_chain, same_vma);

	avc->node.last -= 1;
	expect_told(&s);
	avc->node.last += 1;
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "nothing wrong", test_clean },
		{ "law 1: a map count is wrong", test_mapcount },
		{ "law 1: the walk misses an entry, wrong anon_vma", test_wrong_anon_vma },
		{ "law 1: the walk misses an entry, wrong index", test_wrong_index },
		{ "law 1: an entry that nobody counted", test_extra_entry },
		{ "law 1: a tree does not know an area's size", test_interval_tree },
		{ "a reference is missing", test_refcount },
		{ "a process's counters are wrong", test_counters },
		{ "a shared page is writable", test_writable_shared_page },
		{ "a swap slot is counted too often", test_swap_counts },
	};

	return unit_run("validate", tests, ARRAY_LEN(tests), argc, argv);
}
