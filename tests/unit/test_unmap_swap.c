/* SPDX-License-Identifier: MIT */
/* try_to_unmap, swapping out and in, MADV_FREE, stale translations. Rows 53 to 68. */
#include "tests/unit/walks.h"

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

/* @pages pages of private anonymous memory, filled with key 1. */
static struct setup open_filled(uint64_t pages)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, pages, 1);
	return s;
}

static uint64_t swap_used(struct fake_host *h)
{
	struct swap_info info;

	swap_get_info(h->sys, &info);
	return info.used;
}

#define SHARERS 3

static void test_row53_shared_round_trip(void)
{
	struct setup s = open_filled(8);
	struct mm *mm[SHARERS] = { s.mm };

	for (int i = 1; i < SHARERS; i++)
		mm[i] = unit_fork(s.mm);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).swapped, 8);
	for (int i = 0; i < SHARERS; i++) {
		for (uint64_t p = 0; p < 8; p++)
			CU_ASSERT_TRUE(unit_swapped(s.h, mm[i], page_at(s.addr, p)));
		CU_ASSERT_EQUAL(mm[i]->counters[MM_SWAPENTS], 8);
		CU_ASSERT_EQUAL(mm[i]->counters[MM_ANONPAGES], 0);
	}
	CU_ASSERT_EQUAL(swap_used(s.h), 8);
	unit_check(s.h);
	for (int i = SHARERS - 1; i >= 0; i--) {
		CU_ASSERT_EQUAL(unit_verify(s.h, mm[i], s.addr, 8, 1), 0);
		unit_check(s.h);
	}
	/* Each may still change its own. */
	for (int i = 0; i < SHARERS; i++)
		unit_fill(s.h, mm[i], s.addr, 8, 10 + (uint64_t)i);
	for (int i = 0; i < SHARERS; i++)
		CU_ASSERT_EQUAL(unit_verify(s.h, mm[i], s.addr, 8, 10 + (uint64_t)i), 0);
	for (int i = 1; i < SHARERS; i++)
		mm_put(mm[i]);
	unit_end(s.h, s.mm);
}

/* Neighbours go by one walk: but a pinned page stays, and pages that a sharer copied are its own. */
static void test_row53_run_of_neighbours(void)
{
	struct setup s = open_filled(32);
	struct mm *child = unit_fork(s.mm);
	gva_t pinned = page_at(s.addr, 5), copied = page_at(s.addr, 9),
	      locked = page_at(s.addr, 20);
	struct mm_pin_vec vec[1];
	unsigned int nr;
	uint64_t walks;
	size_t bytes;

	unit_put(s.h, child, copied, 99);
	CU_ASSERT_EQUAL(mm_mlock(child, locked, UMM_PAGE_SIZE, false), 0);
	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, pinned, 8, false, vec, 1, &nr, &bytes), 0);
	walks = mm_sys_event(s.h->sys, EV_RMAP_WALKS);
	unit_reclaim(s.h, s.mm, s.addr, 32);
	walks = mm_sys_event(s.h->sys, EV_RMAP_WALKS) - walks;
	/* Alone each would take one. */
	CU_ASSERT_TRUE(walks < 16);
	for (uint64_t p = 0; p < 32; p++) {
		bool stays = p == 5, own = p == 9 || p == 20;

		CU_ASSERT_EQUAL(unit_swapped(s.h, s.mm, page_at(s.addr, p)), !stays);
		CU_ASSERT_EQUAL(unit_swapped(s.h, child, page_at(s.addr, p)), !stays && !own);
	}
	CU_ASSERT_EQUAL(s.mm->counters[MM_SWAPENTS], 31);
	CU_ASSERT_EQUAL(child->counters[MM_SWAPENTS], 29);
	unit_check(s.h);
	mm_unpin(s.mm, vec, nr, false);
	CU_ASSERT_EQUAL(unit_get(s.h, child, copied), 99);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 32, 1), 0);
	unit_put(s.h, child, copied, unit_get(s.h, s.mm, copied));
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 9, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_row53_madvise_pageout(void)
{
	struct setup s = open_filled(8);

	unit_advise(s.mm, s.addr, 8, MADV_PAGEOUT);
	for (uint64_t p = 0; p < 8; p++)
		CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, page_at(s.addr, p)));
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	unit_end(s.h, s.mm);
}

/* Every word of a page makes the trip, not only those that tests like to use. */
static void test_row53_every_byte(void)
{
	struct setup s = open_filled(1);

	for (uint64_t i = 0; i < 512; i++)
		unit_put(s.h, s.mm, gva_add(s.addr, 8 * i), ~i);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, s.addr));
	for (uint64_t i = 0; i < 512; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(s.addr, 8 * i)), ~i);
	unit_end(s.h, s.mm);
}

static void test_row54_file_written_back(void)
{
	struct setup s = open_filled(1);
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);

	unit_put(s.h, s.mm, page_at(a, 2), 4242);
	unit_get(s.h, s.mm, page_at(a, 3));
	unit_reclaim(s.h, s.mm, a, 4);
	CU_ASSERT_FALSE(unit_mapped(s.h, s.mm, page_at(a, 2)));
	CU_ASSERT_EQUAL(mapping_nr_cached(file.mapping), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 2, 0), 4242);
	CU_ASSERT_EQUAL(file.file->writes, 1);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(a, 2)), 4242);
	unit_unmap(s.mm, a, 4);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* The D bit of an entry that is dropped is found on the folio. */
static void test_row54_dirty_to_folio(void)
{
	struct setup s = open_filled(1);
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	struct folio *f;

	unit_put(s.h, s.mm, a, 4242);
	f = unit_folio(s.h, s.mm, a);
	folio_get(f);
	folio_lock(s.h->sys, f);
	folio_clear(f, PG_dirty);
	CU_ASSERT_TRUE(unit_pte(s.h, s.mm, a) & PTE_DIRTY);
	try_to_unmap(s.h->sys, f, 0, NULL);
	CU_ASSERT_FALSE(folio_mapped(f));
	CU_ASSERT_TRUE(folio_test(f, PG_dirty));
	folio_unlock(s.h->sys, f);
	folio_put(s.h->sys, f);
	unit_unmap(s.mm, a, 4);
	CU_ASSERT_EQUAL(mapping_flush(file.mapping, 0, 4 * UMM_PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), 4242);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

static void test_row55_mlocked(void)
{
	struct setup s = open_filled(4);
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 1, PROT_READ, MAP_SHARED);
	struct folio *f;

	CU_ASSERT_EQUAL(mm_mlock(s.mm, s.addr, 4 * UMM_PAGE_SIZE, 0), 0);
	CU_ASSERT_EQUAL(mm_mlock(s.mm, a, UMM_PAGE_SIZE, 0), 0);
	CU_ASSERT_TRUE(unit_reclaim(s.h, s.mm, gva_make(0), 0).mlocked >= 4);
	for (uint64_t p = 0; p < 4; p++)
		CU_ASSERT_TRUE(unit_mapped(s.h, s.mm, page_at(s.addr, p)));
	f = unit_folio(s.h, s.mm, a);
	folio_get(f);
	folio_lock(s.h->sys, f);
	try_to_unmap(s.h->sys, f, 0, NULL);
	CU_ASSERT_TRUE(folio_mapped(f));
	try_to_unmap(s.h->sys, f, TTU_IGNORE_MLOCK, NULL);
	CU_ASSERT_FALSE(folio_mapped(f));
	folio_unlock(s.h->sys, f);
	folio_put(s.h->sys, f);
	CU_ASSERT_EQUAL(mm_munlock(s.mm, s.addr, 4 * UMM_PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, s.addr, 4).swapped, 4);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 4, 1), 0);
	unit_unmap(s.mm, a, 1);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

static void test_row56_exclusive_kept(void)
{
	struct setup s = open_filled(1);
	uint64_t copies;

	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, s.addr));
	CU_ASSERT_TRUE(unit_pte(s.h, s.mm, s.addr) & PTE_SWP_EXCLUSIVE);
	copies = fake_calls(s.h, FAKE_COPY);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 1, 1), 0);
	unit_put(s.h, s.mm, s.addr, 2);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_COPY), copies);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 2);
	unit_end(s.h, s.mm);
}

/* ...and lost at fork: then both own it. */
static void test_row56_fork_of_swapped(void)
{
	struct setup s = open_filled(1);
	struct mm *child;

	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	child = unit_fork(s.mm);
	CU_ASSERT_FALSE(unit_pte(s.h, s.mm, s.addr) & PTE_SWP_EXCLUSIVE);
	CU_ASSERT_FALSE(unit_pte(s.h, child, s.addr) & PTE_SWP_EXCLUSIVE);
	unit_check(s.h);
	unit_put(s.h, s.mm, s.addr, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 1, 1), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 2);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_row57_pinned(void)
{
	struct setup s = open_filled(1);
	struct mm_pin_vec vec[1];
	struct reclaim_result r;
	unsigned int nr;
	uint64_t entry;
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, s.addr, 64, true, vec, 1, &nr, &bytes), 0);
	entry = unit_pte(s.h, s.mm, s.addr);
	r = unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(r.swapped, 0);
	CU_ASSERT_TRUE(r.pinned + r.busy >= 1);
	CU_ASSERT_EQUAL(unit_pte(s.h, s.mm, s.addr) & ~PTE_ACCESSED, entry & ~PTE_ACCESSED);
	memset(vec[0].hva, 0x5a, 8);
	mm_unpin(s.mm, vec, nr, true);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 0x5a5a5a5a5a5a5a5a);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).swapped, 1);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 0x5a5a5a5a5a5a5a5a);
	unit_end(s.h, s.mm);
}

/* Asked directly, past what reclaim looks at first: the entry comes back whole. */
static void test_row57_pinned_entry_restored(void)
{
	struct setup s = open_filled(1);
	struct folio *f = unit_folio(s.h, s.mm, s.addr);
	struct mm_pin_vec vec[1];
	unsigned int nr;
	uint64_t entry;
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, s.addr, 64, true, vec, 1, &nr, &bytes), 0);
	entry = unit_pte(s.h, s.mm, s.addr);
	folio_lock(s.h->sys, f);
	CU_ASSERT_EQUAL_FATAL(swap_add_folios(s.h->sys, &f, 1), 1);
	try_to_unmap(s.h->sys, f, 0, NULL);
	CU_ASSERT_EQUAL(folio_mapcount(f), 1);
	CU_ASSERT_EQUAL(unit_pte(s.h, s.mm, s.addr), entry);
	CU_ASSERT_TRUE(folio_test(f, PG_anon_exclusive));
	try_to_migrate(s.h->sys, f, 0, NULL);
	CU_ASSERT_EQUAL(folio_mapcount(f), 1);
	CU_ASSERT_EQUAL(unit_pte(s.h, s.mm, s.addr), entry);
	swap_try_free(s.h->sys, f);
	folio_unlock(s.h->sys, f);
	mm_unpin(s.mm, vec, nr, true);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 1, 1), 0);
	unit_end(s.h, s.mm);
}

static void set_soft_dirty(struct setup *s)
{
	uint64_t *pte = fake_entry_slot(s->h, s->mm->root, s->addr);

	__atomic_fetch_or(pte, PTE_SOFT_DIRTY, __ATOMIC_ACQ_REL);
}

static void test_row58_soft_dirty(void)
{
	struct setup s = open_filled(1);

	set_soft_dirty(&s);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, s.addr));
	CU_ASSERT_TRUE(unit_pte(s.h, s.mm, s.addr) & PTE_SWP_SOFT_DIRTY);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 1, 1), 0);
	CU_ASSERT_TRUE(unit_pte(s.h, s.mm, s.addr) & PTE_SOFT_DIRTY);
	unit_migrate(s.h, s.mm, !unit_node(s.h, s.mm, s.addr));
	CU_ASSERT_TRUE(unit_pte(s.h, s.mm, s.addr) & PTE_SOFT_DIRTY);
	unit_end(s.h, s.mm);
}

/* ---- MADV_FREE --------------------------------------------------------------------- */

static void test_row60_free_clean(void)
{
	struct setup s = open_filled(8);
	uint64_t written;

	unit_advise(s.mm, s.addr, 8, MADV_FREE);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	written = mm_sys_event(s.h->sys, EV_PGSWAPOUT);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), written);
	for (uint64_t p = 0; p < 8; p++) {
		CU_ASSERT_EQUAL(unit_pte(s.h, s.mm, page_at(s.addr, p)), 0);
		for (uint64_t i = 0; i < 512; i += 8)
			CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(page_at(s.addr, p), 8 * i)), 0);
	}
	CU_ASSERT_EQUAL(swap_used(s.h), 0);
	unit_end(s.h, s.mm);
}

static void test_row61_free_redirtied(void)
{
	struct setup s = open_filled(8);

	unit_advise(s.mm, s.addr, 8, MADV_FREE);
	unit_fill(s.h, s.mm, s.addr, 8, 2);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 2), 0);
	/* An ordinary page again, that goes to swap as others do. */
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	for (uint64_t p = 0; p < 8; p++)
		CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, page_at(s.addr, p)));
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 2), 0);
	unit_end(s.h, s.mm);
}

/* Redirtied while reclaim looks at it, or held by somebody: kept. */
static void test_row61_free_extra_reference(void)
{
	struct setup s = open_filled(1);
	struct folio *f = unit_folio(s.h, s.mm, s.addr);

	unit_advise(s.mm, s.addr, 1, MADV_FREE);
	folio_get(f);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_TRUE(unit_mapped(s.h, s.mm, s.addr));
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, s.mm, s.addr), f);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 1, 1), 0);
	folio_put(s.h->sys, f);
	unit_put(s.h, s.mm, s.addr, 3);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 3);
	unit_end(s.h, s.mm);
}

/* Not reclaimed in between: MADV_FREE changes nothing that can be seen. */
static void test_row61_free_then_read(void)
{
	struct setup s = open_filled(8);

	unit_advise(s.mm, s.addr, 8, MADV_FREE);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_row62_free_mixed(void)
{
	struct setup s = open_filled(8);

	unit_protect(s.mm, page_at(s.addr, 2), 2, PROT_READ);
	unit_advise(s.mm, s.addr, 8, MADV_FREE);
	unit_put(s.h, s.mm, page_at(s.addr, 5), 55);
	unit_protect(s.mm, page_at(s.addr, 2), 2, PROT_RW);
	unit_put(s.h, s.mm, page_at(s.addr, 3), 33);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 5)), 55);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 3)), 33);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 0)), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 2)), 0);
	unit_end(s.h, s.mm);
}

/* ---- row 67: two vCPUs keep translations, and something happens to the page ---------- */

/* Cache the page in two vCPUs, writable and dirty, so that no walk would be needed. */
static void cache_in_two(struct setup *s, gva_t at)
{
	for (unsigned int v = 0; v < 2; v++)
		CU_ASSERT_EQUAL(fake_store(s->h, s->mm, v, gva_add(at, 8 * v), 7 + v), FAULT_DONE);
	CU_ASSERT_TRUE(fake_cached(s->h, pte_pfn(unit_pte(s->h, s->mm, at)), 1));
}

static void test_row67_reclaim(void)
{
	struct setup s = open_filled(1);
	pfn_t pfn;

	cache_in_two(&s, s.addr);
	pfn = pte_pfn(unit_pte(s.h, s.mm, s.addr));
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_FALSE(fake_cached(s.h, pfn, 1));
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, gva_add(s.addr, 8), 9), FAULT_DONE);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 7);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(s.addr, 8)), 9);
	unit_end(s.h, s.mm);
}

static void test_row67_mremap(void)
{
	struct setup s = open_filled(1);
	gva_t to = gva_make(0x550000000000);

	cache_in_two(&s, s.addr);
	unit_remap(s.mm, s.addr, 1, 1, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, s.addr, 1), FAULT_MAPERR);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, to), 7);
	s.addr = to;
	unit_end(s.h, s.mm);
}

static void test_row67_truncate(void)
{
	struct setup s = open_filled(1);
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);

	cache_in_two(&s, page_at(a, 2));
	file.file->size = UMM_PAGE_SIZE;
	mapping_truncate(file.mapping, UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, page_at(a, 2), 1), FAULT_BUS);
	unit_unmap(s.mm, a, 4);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

static void test_row67_munmap_and_reuse(void)
{
	struct setup s = open_filled(1);
	gva_t b;

	for (uint64_t i = 0; i < 50; i++) {
		b = unit_map_at(s.mm, 0x60000000, 4, PROT_RW, MAP_ANON_PRIVATE);
		cache_in_two(&s, b);
		unit_unmap(s.mm, b, 4);
		CU_ASSERT_EQUAL(fake_check(s.h), 0);
		/* Somebody else gets the frame; the old translation must not reach it. */
		b = unit_map_at(s.mm, 0x70000000, 1, PROT_RW, MAP_ANON_PRIVATE);
		unit_put(s.h, s.mm, b, i);
		CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, gva_make(0x60000000), 666), FAULT_MAPERR);
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, b), i);
		unit_unmap(s.mm, b, 1);
	}
	unit_end(s.h, s.mm);
}

static void test_row67_dontneed_mprotect_fork(void)
{
	struct setup s = open_filled(3);
	struct mm *child;

	cache_in_two(&s, s.addr);
	unit_advise(s.mm, s.addr, 1, MADV_DONTNEED);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, gva_add(s.addr, 8), 1), FAULT_DONE);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 0);

	cache_in_two(&s, page_at(s.addr, 1));
	unit_protect(s.mm, page_at(s.addr, 1), 1, PROT_READ);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, page_at(s.addr, 1), 1), FAULT_ACCERR);

	cache_in_two(&s, page_at(s.addr, 2));
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, page_at(s.addr, 2), 1), FAULT_DONE);
	CU_ASSERT_EQUAL(unit_get(s.h, child, page_at(s.addr, 2)), 7);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* ---- rows 65 and 66: poison, and zaps that are put off ------------------------------------ */

static void test_row65_poison(void)
{
	struct setup s = open_filled(2);
	struct mm *child = unit_fork(s.mm);
	struct folio *f = unit_folio(s.h, s.mm, s.addr);
	uint64_t value;

	folio_get(f);
	folio_lock(s.h->sys, f);
	folio_set(f, PG_hwpoison);
	try_to_unmap(s.h->sys, f, TTU_HWPOISON | TTU_IGNORE_MLOCK | TTU_SYNC, NULL);
	CU_ASSERT_FALSE(folio_mapped(f));
	folio_unlock(s.h->sys, f);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, s.addr, &value), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(fake_store(s.h, child, 1, s.addr, 1), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 2, 1), 1);
	mm_put(child);
	folio_clear(f, PG_hwpoison);
	folio_put(s.h->sys, f);
	unit_end(s.h, s.mm);
}

static void *act_munmap(void *arg)
{
	struct setup *s = arg;

	return (void *)(intptr_t)mm_munmap(s->mm, s->addr, UMM_PAGE_SIZE);
}

static void *act_protect(void *arg)
{
	struct setup *s = arg;

	return (void *)(intptr_t)mm_mprotect(s->mm, s->addr, UMM_PAGE_SIZE, PROT_READ);
}

static void *act_remap(void *arg)
{
	struct setup *s = arg;
	gva_t to = gva_make(0x550000000000), out;

	return (void *)(intptr_t)mm_mremap(s->mm, s->addr, UMM_PAGE_SIZE, UMM_PAGE_SIZE,
					   MREMAP_MAYMOVE | MREMAP_FIXED, to, &out);
}

/*
 * Reclaim has taken the entry and has not zapped yet. Whoever then changes the
 * area must not return while the old translation can still be used.
 */
static void check_pending_zap(void *(*act)(void *))
{
	struct setup s = open_filled(1);
	struct zap_batch batch;
	struct folio *f;
	pfn_t pfn;

	cache_in_two(&s, s.addr);
	f = unit_folio(s.h, s.mm, s.addr);
	pfn = folio_pfn(s.h->sys, f);
	CU_ASSERT_TRUE_FATAL(lru_isolate_folio(s.h->sys, f));
	folio_lock(s.h->sys, f);
	CU_ASSERT_EQUAL_FATAL(swap_add_folios(s.h->sys, &f, 1), 1);
	zap_batch_init(&batch, s.h->sys);
	try_to_unmap(s.h->sys, f, TTU_BATCH_FLUSH, &batch);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, s.addr));
	CU_ASSERT_TRUE(fake_cached(s.h, pfn, 1));
	unit_in_thread(act, &s);
	CU_ASSERT_FALSE(fake_cached(s.h, pfn, 1));
	zap_batch_destroy(&batch);
	folio_set(f, PG_dirty);
	swap_try_free(s.h->sys, f);
	folio_unlock(s.h->sys, f);
	lru_putback(s.h->sys, f, false);
	unit_end(s.h, s.mm);
}

static void test_row66_munmap(void)
{
	check_pending_zap(act_munmap);
}

static void test_row66_mprotect(void)
{
	check_pending_zap(act_protect);
}

static void test_row66_mremap(void)
{
	check_pending_zap(act_remap);
}

/* ---- row 68 ------------------------------------------------------------------------------ */

static int add_usage(const struct vma_report *r, void *arg)
{
	struct vma_usage *sum = arg;

	sum->rss += r->usage.rss;
	sum->swap += r->usage.swap;
	sum->anonymous += r->usage.anonymous;
	if (r->mapping)
		mapping_put(r->mapping);
	return 0;
}

static void test_row68_counters_balance(void)
{
	struct setup s = open_filled(16);
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_PRIVATE);
	gva_t shm = unit_map(s.mm, 4, PROT_RW, MAP_ANON_SHARED);
	struct vma_usage sum = { 0 };
	int64_t file_pages = 0;

	unit_get(s.h, s.mm, a);
	unit_put(s.h, s.mm, page_at(a, 1), 1);
	unit_put(s.h, s.mm, shm, 1);
	unit_reclaim(s.h, s.mm, s.addr, 6);
	/* A read may map neighbours that the cache holds. */
	for (uint64_t i = 0; i < 4; i++)
		file_pages += i != 1 && unit_mapped(s.h, s.mm, page_at(a, i));
	CU_ASSERT_TRUE(file_pages >= 1);
	CU_ASSERT_EQUAL(mm_for_each_vma(s.mm, true, add_usage, &sum), 0);
	CU_ASSERT_EQUAL(s.mm->counters[MM_SWAPENTS], 6);
	CU_ASSERT_EQUAL(sum.swap, 6);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 11);
	CU_ASSERT_EQUAL(s.mm->counters[MM_FILEPAGES], file_pages);
	CU_ASSERT_EQUAL(s.mm->counters[MM_SHMEMPAGES], 1);
	CU_ASSERT_EQUAL(sum.rss, 12 + (uint64_t)file_pages);
	CU_ASSERT_EQUAL(sum.anonymous, 11);
	unit_unmap(s.mm, a, 4);
	unit_unmap(s.mm, shm, 4);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 53: out of all sharers, back in each", test_row53_shared_round_trip },
		{ "row 53: a run of neighbours, and what stays of it",
		  test_row53_run_of_neighbours },
		{ "row 53: MADV_PAGEOUT", test_row53_madvise_pageout },
		{ "row 53: every byte of a page", test_row53_every_byte },
		{ "row 54: a dirty file page is written back", test_row54_file_written_back },
		{ "row 54: D moves to the folio", test_row54_dirty_to_folio },
		{ "row 55: mlocked pages stay, TTU_IGNORE_MLOCK overrides", test_row55_mlocked },
		{ "row 56: exclusive in the swap entry: no copy", test_row56_exclusive_kept },
		{ "row 56: fork of a swapped page shares it", test_row56_fork_of_swapped },
		{ "row 57: a pinned page is not unmapped", test_row57_pinned },
		{ "row 57: the entry of a pinned page is restored",
		  test_row57_pinned_entry_restored },
		{ "row 58: soft-dirty survives swap and migration", test_row58_soft_dirty },
		{ "row 60: MADV_FREE, clean: dropped, reads zero", test_row60_free_clean },
		{ "row 61: MADV_FREE, dirtied again: kept", test_row61_free_redirtied },
		{ "row 61: MADV_FREE, extra reference: kept", test_row61_free_extra_reference },
		{ "row 61: MADV_FREE, no reclaim: kept", test_row61_free_then_read },
		{ "row 62: MADV_FREE over mixed entries", test_row62_free_mixed },
		{ "row 67: no stale translation after reclaim", test_row67_reclaim },
		{ "row 67: no stale translation after mremap", test_row67_mremap },
		{ "row 67: no stale translation after truncate", test_row67_truncate },
		{ "row 67: no stale translation into a reused frame", test_row67_munmap_and_reuse },
		{ "row 67: none after DONTNEED, mprotect, fork",
		  test_row67_dontneed_mprotect_fork },
		{ "row 65: a poisoned page is SIGBUS to every mapper", test_row65_poison },
		{ "row 66: a pending zap is done before munmap returns", test_row66_munmap },
		{ "row 66: a pending zap is done before mprotect returns", test_row66_mprotect },
		{ "row 66: a pending zap is done before mremap returns", test_row66_mremap },
		{ "row 68: counters and smaps balance", test_row68_counters_balance },
	};

	return unit_run("unmap_swap", tests, ARRAY_LEN(tests), argc, argv);
}
