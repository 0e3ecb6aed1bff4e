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

/*
 * A 2 MiB leaf of a shared file, made by hand as the page cache has small folios
 * only: in each of two processes one entry, and so counted.
 */
static void test_row51_leaf_counts_once(void)
{
	uint64_t flags = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_HUGE | PTE_DIRTY | PTE_NX;
	struct fake_host *h = unit_open();
	struct unit_file file = unit_file(h, UMM_PMD_SIZE);
	struct folio *f = folio_alloc(h->sys, 0, UMM_PMD_ORDER, ALLOC_ZERO);
	uint64_t *pmd[2], flushes;
	struct umm_mutex *lock;
	struct mm *mm[2];

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	f->mapping = (uintptr_t)file.mapping;
	for (int i = 0; i < 2; i++) {
		struct mm_map_request req = { .addr = gva_make(0x40000000),
					      .len = UMM_PMD_SIZE,
					      .prot = PROT_RW,
					      .flags = MAP_SHARED | MAP_FIXED,
					      .mapping = file.mapping };
		gva_t at;

		mm[i] = unit_mm(h);
		CU_ASSERT_EQUAL_FATAL(mm_mmap(mm[i], &req, &at), 0);
		pmd[i] = pmd_alloc(mm[i], at, &lock);
		CU_ASSERT_PTR_NOT_NULL_FATAL(pmd[i]);
		folio_add_rmap_pmd(h->sys, f);
		pte_set(pmd[i], pte_make(folio_pfn(h->sys, f), flags));
		unit_put(h, mm[i], page_at(at, 100), 7);
	}
	folio_lock(h->sys, f);
	flushes = fake_calls(h, FAKE_FLUSH);
	CU_ASSERT_EQUAL(folio_mkclean(h->sys, f), 2);
	CU_ASSERT_FALSE((pte_read(pmd[0]) | pte_read(pmd[1])) & (PTE_WRITE | PTE_DIRTY));
	CU_ASSERT_FALSE(fake_cached(h, folio_pfn(h->sys, f), UMM_PTRS_PER_TABLE));
	CU_ASSERT_EQUAL(fake_calls(h, FAKE_FLUSH), flushes + 1);
	CU_ASSERT_EQUAL(folio_mkclean(h->sys, f), 0);
	folio_unlock(h->sys, f);
	for (int i = 0; i < 2; i++) {
		pte_set(pmd[i], 0);
		folio_remove_rmap_pmd(h->sys, f);
	}
	f->mapping = 0;
	folio_put(h->sys, f);
	fake_mmu_flush_tables(h);
	mm_put(mm[0]);
	mm_put(mm[1]);
	unit_file_close(&file);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 49: shared mappings only", test_row49_shared_only },
		{ "row 50: clean, zapped, and the next store faults",
		  test_row50_store_after_clean },
		{ "row 50: store, msync, store, msync: the file is right", test_row50_msync },
		{ "row 51: returns how many entries it cleaned", test_row51_counts },
		{ "row 51: a 2 MiB leaf counts once", test_row51_leaf_counts_once },
	};

	return unit_run("mkclean", tests, ARRAY_LEN(tests), argc, argv);
}
