/* SPDX-License-Identifier: MIT */
/* page_vma_mapped_walk: which entries it yields. Rows 18 to 28. */
#include "tests/unit/walks.h"

#define PAGES 16

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	struct folio *f;
	struct vma *vma;
};

/* A large folio of PAGES pages. */
static struct setup open_large(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;

	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_large(s.h, s.mm, PAGES, 4, 5);
	s.f = unit_folio(s.h, s.mm, s.addr);
	s.vma = unit_vma(s.mm, s.addr);
	return s;
}

/* Replace an entry, and give back what was there. */
static uint64_t swap_entry(struct mm *mm, gva_t addr, uint64_t value)
{
	struct umm_mutex *ptl;
	uint64_t *pte = pte_lock(mm, addr, &ptl), old;

	CU_ASSERT_PTR_NOT_NULL_FATAL(pte);
	old = pte_xchg(pte, value);
	umm_mutex_unlock(ptl);
	return old;
}

static void test_row18_every_page(void)
{
	struct setup s = open_large();
	struct pvmw_log log;

	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES);
	for (unsigned int i = 0; i < log.nr; i++) {
		CU_ASSERT_EQUAL(log.addr[i].v, page_at(s.addr, i).v);
		CU_ASSERT_EQUAL(pte_pfn(log.entry[i]).v, folio_pfn(s.h->sys, s.f).v + i);
	}
	CU_ASSERT_TRUE(page_mapped_in_vma(s.f, s.vma));
	unit_end(s.h, s.mm);
}

/* Each yield comes with the entry's lock; stopping early drops it. */
static void test_row18_locked_and_done(void)
{
	struct setup s = open_large();
	struct page_vma_mapped_walk w;

	pvmw_init(&w, s.f, s.vma, s.addr, 0);
	CU_ASSERT_TRUE_FATAL(page_vma_mapped_walk(&w));
	CU_ASSERT_PTR_NOT_NULL_FATAL(w.ptl);
	CU_ASSERT_FALSE(umm_mutex_trylock(w.ptl));
	page_vma_mapped_walk_done(&w);
	swap_entry(s.mm, s.addr, unit_pte(s.h, s.mm, s.addr));
	unit_end(s.h, s.mm);
}

static void test_row19_holes(void)
{
	struct setup s = open_large();
	struct pvmw_log log;

	for (uint64_t i = 0; i < PAGES; i += 2)
		unit_advise(s.mm, page_at(s.addr, i), 1, MADV_DONTNEED);
	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES / 2);
	for (unsigned int i = 0; i < log.nr; i++)
		CU_ASSERT_EQUAL(log.addr[i].v, page_at(s.addr, 2 * i + 1).v);
	unit_end(s.h, s.mm);
}

/* A large folio that mremap has moved across the border of two page tables. */
static void test_row20_crosses_tables(void)
{
	struct setup s = open_large();
	gva_t to = gva_make(0x550000200000 - 5 * UMM_PAGE_SIZE);
	struct pvmw_log log;

	to = unit_remap(s.mm, s.addr, PAGES, PAGES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, s.mm, to), s.f);
	pvmw_collect(s.f, unit_vma(s.mm, to), 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES);
	for (unsigned int i = 0; i < log.nr; i++)
		CU_ASSERT_EQUAL(log.addr[i].v, page_at(to, i).v);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.f->node).moved, PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, PAGES, 5), 0);
	/* Nothing left in the first table: the walk goes on to the second. */
	unit_advise(s.mm, to, 5, MADV_DONTNEED);
	pvmw_collect(unit_folio(s.h, s.mm, page_at(to, 5)), unit_vma(s.mm, to), 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES - 5);
	CU_ASSERT_EQUAL(log.addr[0].v, page_at(to, 5).v);
	unit_end(s.h, s.mm);
}

static void test_row21_huge_leaf(void)
{
	struct fake_config config = unit_config();
	struct setup s;
	struct pvmw_log log;
	uint64_t *pmd, vm_flags;
	struct umm_mutex *lock;

	config.max_anon_order = UMM_PMD_ORDER;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_at(s.mm, 0x40000000, 512, PROT_RW, MAP_ANON_PRIVATE);
	s.vma = unit_vma(s.mm, s.addr);
	unit_put(s.h, s.mm, page_at(s.addr, 3), 1);
	pmd = pmd_find(s.mm, s.addr, &lock);
	CU_ASSERT_TRUE_FATAL(pmd && pmd_is_leaf(pte_read(pmd)));
	s.f = sys_frame(s.h->sys, pte_pfn(pte_read(pmd)));

	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, 1);
	CU_ASSERT_EQUAL(log.huge, 1);
	CU_ASSERT_EQUAL(log.addr[0].v, s.addr.v);
	pvmw_collect(s.f, s.vma, PVMW_MIGRATION, &log);
	CU_ASSERT_EQUAL(log.nr, 0);
	CU_ASSERT_EQUAL(folio_referenced(s.h->sys, s.f, false, &vm_flags), 1);
	CU_ASSERT_FALSE(pte_read(pmd) & PTE_ACCESSED);
	/* Not zapped yet: the vCPU would use what it has. */
	fake_mmu_flush_tables(s.h);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, page_at(s.addr, 77), &vm_flags), FAULT_DONE);
	CU_ASSERT_TRUE(pte_read(pmd) & PTE_ACCESSED);
	unit_end(s.h, s.mm);
}

static void test_row22_other_frame(void)
{
	struct setup s = open_large();
	struct mm *child = unit_fork(s.mm);
	struct vma *vma = unit_vma(child, s.addr);
	struct pvmw_log log;

	unit_put(s.h, child, page_at(s.addr, 5), 99);
	pvmw_collect(s.f, vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES - 1);
	for (unsigned int i = 0; i < log.nr; i++)
		CU_ASSERT_NOT_EQUAL(log.addr[i].v, page_at(s.addr, 5).v);
	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* Frames right before and right after the folio do not count either. */
static void test_row22_neighbour_frames(void)
{
	struct setup s = open_large();
	uint64_t first = folio_pfn(s.h->sys, s.f).v;
	uint64_t flags = unit_pte(s.h, s.mm, s.addr) & ~PTE_PFN_MASK;
	uint64_t low, high;
	struct pvmw_log log;

	low = swap_entry(s.mm, s.addr, pte_make(pfn_make(first - 1), flags));
	high = swap_entry(s.mm, page_at(s.addr, PAGES - 1),
			  pte_make(pfn_make(first + PAGES), flags));
	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES - 2);
	swap_entry(s.mm, s.addr, low);
	swap_entry(s.mm, page_at(s.addr, PAGES - 1), high);
	unit_end(s.h, s.mm);
}

static void test_row23_migration_entries(void)
{
	struct setup s = open_large();
	struct pvmw_log log;

	folio_get(s.f);
	folio_lock(s.h->sys, s.f);
	pvmw_collect(s.f, s.vma, PVMW_MIGRATION, &log);
	CU_ASSERT_EQUAL(log.nr, 0);
	try_to_migrate(s.h->sys, s.f, 0, NULL);
	CU_ASSERT_FALSE(folio_mapped(s.f));
	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, 0);
	pvmw_collect(s.f, s.vma, PVMW_MIGRATION | PVMW_SYNC, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES);
	for (unsigned int i = 0; i < log.nr; i++) {
		CU_ASSERT_EQUAL(log.addr[i].v, page_at(s.addr, i).v);
		CU_ASSERT_TRUE(swp_is_migration(pte_to_swp(log.entry[i])));
	}
	remove_migration_ptes(s.h->sys, s.f, s.f, false);
	pvmw_collect(s.f, s.vma, PVMW_MIGRATION | PVMW_SYNC, &log);
	CU_ASSERT_EQUAL(log.nr, 0);
	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES);
	folio_unlock(s.h->sys, s.f);
	folio_put(s.h->sys, s.f);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 5), 0);
	unit_end(s.h, s.mm);
}

static void *collect_sync(void *arg)
{
	static struct pvmw_log log;
	struct setup *s = arg;

	pvmw_collect(s->f, s->vma, PVMW_SYNC, &log);
	return (void *)(uintptr_t)log.nr;
}

/* An entry is taken out for an instant under its lock, as an unmap does. */
static void test_row24_sync(void)
{
	struct setup s = open_large();
	struct umm_mutex *ptl;
	uint64_t saved[PAGES], *pte = pte_lock(s.mm, s.addr, &ptl);
	pthread_t thread;
	void *found;

	CU_ASSERT_PTR_NOT_NULL_FATAL(pte);
	for (int i = 0; i < PAGES; i++)
		saved[i] = pte_xchg(&pte[i], 0);
	pthread_create(&thread, NULL, collect_sync, &s);
	unit_sleep_ms(50);
	for (int i = 0; i < PAGES; i++)
		pte_set(&pte[i], saved[i]);
	umm_mutex_unlock(ptl);
	pthread_join(thread, &found);
	CU_ASSERT_EQUAL((uintptr_t)found, PAGES);
	unit_end(s.h, s.mm);
}

static void test_row27_prot_none(void)
{
	struct setup s = open_large();
	struct pvmw_log log;
	uint64_t i;

	unit_protect(s.mm, s.addr, PAGES, PROT_NONE);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, s.addr, &i), FAULT_ACCERR);
	pvmw_collect(s.f, s.vma, 0, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.f->node).moved, PAGES);
	for (i = 0; i < PAGES; i++) {
		uint64_t e = unit_pte(s.h, s.mm, page_at(s.addr, i));

		CU_ASSERT_TRUE(pte_present(e));
		CU_ASSERT_FALSE(e & PTE_PRESENT);
		CU_ASSERT_TRUE(e & PTE_PROTNONE);
	}
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, s.addr, &i), FAULT_ACCERR);
	unit_protect(s.mm, s.addr, PAGES, PROT_RW);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 5), 0);
	unit_end(s.h, s.mm);
}

/* Swap, poison and marker entries, whose numbers may even be those of the folio. */
static void test_row28_not_yielded(void)
{
	static const unsigned int types[] = { 0, SWP_HWPOISON, SWP_MARKER };
	struct setup s = open_large();
	uint64_t first = folio_pfn(s.h->sys, s.f).v;
	uint64_t saved[ARRAY_LEN(types)];
	struct pvmw_log log;

	for (unsigned int i = 0; i < ARRAY_LEN(types); i++)
		saved[i] = swap_entry(s.mm, page_at(s.addr, i),
				      swp_to_pte(swp_make(types[i], first + i)));
	pvmw_collect(s.f, s.vma, PVMW_SYNC, &log);
	CU_ASSERT_EQUAL(log.nr, PAGES - ARRAY_LEN(types));
	CU_ASSERT_EQUAL(log.addr[0].v, page_at(s.addr, ARRAY_LEN(types)).v);
	pvmw_collect(s.f, s.vma, PVMW_SYNC | PVMW_MIGRATION, &log);
	CU_ASSERT_EQUAL(log.nr, 0);
	for (unsigned int i = 0; i < ARRAY_LEN(types); i++)
		swap_entry(s.mm, page_at(s.addr, i), saved[i]);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 18: every page of a large folio", test_row18_every_page },
		{ "row 18: yields hold the lock, done drops it", test_row18_locked_and_done },
		{ "row 19: holes are passed over", test_row19_holes },
		{ "row 20: across two page tables", test_row20_crosses_tables },
		{ "row 21: a 2 MiB leaf is one yield", test_row21_huge_leaf },
		{ "row 22: a COWed page is not yielded", test_row22_other_frame },
		{ "row 22: neighbours of the folio are not yielded", test_row22_neighbour_frames },
		{ "row 23: migration entries, if asked for only", test_row23_migration_entries },
		{ "row 24: PVMW_SYNC waits for an entry in flight", test_row24_sync },
		{ "row 27: PROT_NONE counts as present, and survives", test_row27_prot_none },
		{ "row 28: swap, poison, markers are not yielded", test_row28_not_yielded },
	};

	return unit_run("pvmw", tests, ARRAY_LEN(tests), argc, argv);
}
