/* SPDX-License-Identifier: MIT */
/* folio_mkclean and the round of dirty file pages. Rows 49 to 51. */
#include "tests/unit/walks.h"

struct setup {
	struct fake_host *h;
	struct unit_file file;
	struct mm *a, *b;
	gva_t at_a, at_b;
	struct folio *f;
};

/* Page 1 of a file, mapped shared and stored to by two processes. */
static struct setup open_shared(void)
{
	struct setup s = { .h = unit_open() };

	s.file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	s.a = unit_mm(s.h);
	s.b = unit_mm(s.h);
	s.at_a = page_at(unit_map_file(s.a, s.file.mapping, 0, 4, PROT_RW, MAP_SHARED), 1);
	s.at_b = unit_map_file(s.b, s.file.mapping, 1, 2, PROT_RW, MAP_SHARED);
	unit_put(s.h, s.a, s.at_a, 100);
	unit_put(s.h, s.b, gva_add(s.at_b, 8), 200);
	s.f = unit_folio(s.h, s.a, s.at_a);
	CU_ASSERT_PTR_EQUAL(s.f, unit_folio(s.h, s.b, s.at_b));
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	mm_put(s->a);
	mm_put(s->b);
	unit_file_close(&s->file);
	unit_close(s->h);
}

static int mkclean(struct setup *s)
{
	int cleaned;

	folio_lock(s->h->sys, s->f);
	cleaned = folio_mkclean(s->h->sys, s->f);
	folio_unlock(s->h->sys, s->f);
	return cleaned;
}

static void test_row49_shared_only(void)
{
	struct setup s = open_shared();
	struct mm *c = unit_mm(s.h);
	gva_t at_c = unit_map_file(c, s.file.mapping, 1, 1, PROT_RW, MAP_PRIVATE);
	uint64_t entry;

	CU_ASSERT_EQUAL(unit_get(s.h, c, at_c), 100);
	/* D as a mark: a read-only entry has nothing else that cleaning would change. */
	__atomic_fetch_or(fake_entry_slot(s.h, c->root, at_c), PTE_DIRTY, __ATOMIC_ACQ_REL);
	entry = unit_pte(s.h, c, at_c);
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, c, at_c), s.f);
	CU_ASSERT_EQUAL(mkclean(&s), 2);
	CU_ASSERT_EQUAL(unit_pte(s.h, c, at_c), entry);
	CU_ASSERT_EQUAL(folio_mapcount(s.f), 3);
	/* A private copy is another folio: not visited, still dirty and writable. */
	unit_put(s.h, c, at_c, 300);
	entry = unit_pte(s.h, c, at_c);
	CU_ASSERT_TRUE((entry & PTE_WRITE) && (entry & PTE_DIRTY));
	unit_put(s.h, s.a, s.at_a, 101);
	CU_ASSERT_EQUAL(mkclean(&s), 1);
	CU_ASSERT_EQUAL(unit_pte(s.h, c, at_c), entry);
	mm_put(c);
	close_setup(&s);
}

static void test_row50_store_after_clean(void)
{
	struct setup s = open_shared();
	uint64_t faults;

	CU_ASSERT_EQUAL(mkclean(&s), 2);
	CU_ASSERT_FALSE(unit_pte(s.h, s.a, s.at_a) & (PTE_WRITE | PTE_DIRTY));
	CU_ASSERT_FALSE(unit_pte(s.h, s.b, s.at_b) & (PTE_WRITE | PTE_DIRTY));
	CU_ASSERT_FALSE(fake_cached(s.h, folio_pfn(s.h->sys, s.f), 1));
	folio_clear(s.f, PG_dirty);
	faults = mm_sys_event(s.h->sys, EV_FAULT);
	unit_put(s.h, s.a, s.at_a, 102);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_FAULT) > faults);
	CU_ASSERT_TRUE((unit_pte(s.h, s.a, s.at_a) & PTE_DIRTY) || folio_test(s.f, PG_dirty));
	close_setup(&s);
}

/* The same as a program sees it: store, msync, store, msync. */
static void test_row50_msync(void)
{
	struct setup s = open_shared();
	gva_t page = gva_page(s.at_a);

	for (uint64_t i = 1; i <= 5; i++) {
		unit_put(s.h, s.a, s.at_a, i);
		unit_put(s.h, s.b, gva_add(s.at_b, 8), i + 1000);
		CU_ASSERT_EQUAL(mm_msync(s.a, page, UMM_PAGE_SIZE, MS_SYNC), 0);
		CU_ASSERT_EQUAL(fake_file_read(s.file.file, 1, 0), i);
		CU_ASSERT_EQUAL(fake_file_read(s.file.file, 1, 1), i + 1000);
		unit_check(s.h);
	}
	/* What nobody stored to is not written. */
	CU_ASSERT_EQUAL(s.file.file->writes, 5);
	CU_ASSERT_EQUAL(mm_msync(s.a, page, UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(s.file.file->writes, 5);
	close_setup(&s);
}

static void test_row51_counts(void)
{
	struct setup s = open_shared();

	CU_ASSERT_EQUAL(mkclean(&s), 2);
	CU_ASSERT_EQUAL(mkclean(&s), 0);
	unit_put(s.h, s.b, s.at_b, 5);
	CU_ASSERT_EQUAL(mkclean(&s), 1);
	unit_get(s.h, s.a, s.at_a);
	CU_ASSERT_EQUAL(mkclean(&s), 0);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 49: shared mappings only", test_row49_shared_only },
		{ "row 50: clean, zapped, and the next store faults",
		  test_row50_store_after_clean },
		{ "row 50: store, msync, store, msync: the file is right", test_row50_msync },
		{ "row 51: returns how many entries it cleaned", test_row51_counts },
	};

	return unit_run("mkclean", tests, ARRAY_LEN(tests), argc, argv);
}
