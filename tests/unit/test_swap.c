/* SPDX-License-Identifier: MIT */
/* Swap slots and the swap cache. */
#include "tests/unit/walks.h"

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

static struct setup open_swapped(uint64_t pages)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, pages, 1);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	for (uint64_t i = 0; i < pages; i++)
		CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, page_at(s.addr, i)));
	return s;
}

static swp_entry_t entry_of(struct setup *s, uint64_t page)
{
	return pte_to_swp(unit_pte(s->h, s->mm, page_at(s->addr, page)));
}

static uint64_t used(struct fake_host *h)
{
	struct swap_info info;

	swap_get_info(h->sys, &info);
	CU_ASSERT_TRUE(info.cached <= info.used && info.used <= info.nr_slots);
	return info.used;
}

/* A slot lives as long as entries name it. */
static void test_counts(void)
{
	struct setup s = open_swapped(4);
	struct mm *child;

	CU_ASSERT_EQUAL(used(s.h), 4);
	CU_ASSERT_EQUAL(swap_count(s.h->sys, entry_of(&s, 0)), 1);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(swap_count(s.h->sys, entry_of(&s, 0)), 2);
	CU_ASSERT_EQUAL(used(s.h), 4);
	unit_unmap(s.mm, s.addr, 2);
	CU_ASSERT_EQUAL(used(s.h), 4);
	unit_unmap(child, s.addr, 1);
	CU_ASSERT_EQUAL(used(s.h), 3);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 4, 1), 1);
	mm_put(child);
	unit_unmap(s.mm, s.addr, 4);
	CU_ASSERT_EQUAL(used(s.h), 0);
	unit_end(s.h, s.mm);
}

/* Neighbours go to neighbouring slots, so that they are written and read together. */
static void test_clusters(void)
{
	struct setup s = open_swapped(16);
	uint64_t near = 0;

	for (uint64_t i = 1; i < 16; i++) {
		uint64_t a = swp_offset(entry_of(&s, i - 1)), b = swp_offset(entry_of(&s, i));

		near += b == a + 1 || a == b + 1;
	}
	CU_ASSERT_TRUE(near >= 12);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_SWAP_CALL), 1);
	unit_end(s.h, s.mm);
}

/* Read back and not changed: dropped again without another write. */
static void test_clean_cache_not_written_again(void)
{
	struct setup s = open_swapped(8);
	struct mm *child = unit_fork(s.mm);
	uint64_t written;

	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	written = mm_sys_event(s.h->sys, EV_PGSWAPOUT);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	for (uint64_t i = 0; i < 8; i++)
		CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, page_at(s.addr, i)));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), written);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 8, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* The only copy may be in memory: it is written again rather than dropped. */
static void test_doubtful_written_again(void)
{
	struct setup s = open_swapped(8);
	struct mm *child = unit_fork(s.mm);
	uint64_t written;

	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	written = mm_sys_event(s.h->sys, EV_PGSWAPOUT);
	s.h->swap.doubtful = true;
	memset(s.h->swap.bytes, 0xee, s.h->swap.nr_slots * UMM_PAGE_SIZE);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), written + 8);
	s.h->swap.doubtful = false;
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 8, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* Changed after it was read back: the new bytes are what is on swap next time. */
static void test_redirtied_written_again(void)
{
	struct setup s = open_swapped(8);

	for (uint64_t round = 2; round < 8; round++) {
		unit_fill(s.h, s.mm, s.addr, 8, round);
		unit_reclaim(s.h, s.mm, gva_make(0), 0);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, round), 0);
		CU_ASSERT_TRUE(used(s.h) <= 8);
	}
	unit_end(s.h, s.mm);
}

/* One slot read by two sharers is one page in memory. */
static void test_cache_shared(void)
{
	struct setup s = open_swapped(1);
	struct mm *child = unit_fork(s.mm);
	uint64_t reads;

	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 1, 1), 0);
	reads = mm_sys_event(s.h->sys, EV_PGSWAPIN);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 1, 1), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPIN), reads);
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, s.mm, s.addr), unit_folio(s.h, child, s.addr));
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_slot_reuse(void)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.swap_slots = 32;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	for (uint64_t i = 0; i < 20; i++) {
		s.addr = unit_map_filled(s.h, s.mm, 24, i);
		CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).swapped, 24);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 12, i), 0);
		unit_unmap(s.mm, s.addr, 24);
		CU_ASSERT_EQUAL(used(s.h), 0);
	}
	unit_end(s.h, s.mm);
}

static void test_move_and_protect_swapped(void)
{
	struct setup s = open_swapped(8);
	gva_t to = gva_make(0x550000000000);

	unit_remap(s.mm, s.addr, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	unit_check(s.h);
	s.addr = to;
	unit_protect(s.mm, s.addr, 4, PROT_READ);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, s.addr, 1), FAULT_ACCERR);
	unit_put(s.h, s.mm, page_at(s.addr, 6), 66);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 6)), 66);
	unit_end(s.h, s.mm);
}

/* ---- several areas ------------------------------------------------------------ */

static uint64_t used_of(struct fake_host *h, const struct fake_swap *area)
{
	struct swap_info info;

	CU_ASSERT_EQUAL(swap_get_area_info(h->sys, area, &info), 0);
	return info.used;
}

static struct setup open_two(uint64_t pages, int priority)
{
	struct setup s = { .h = unit_open() };

	CU_ASSERT_EQUAL_FATAL(fake_swap_other(s.h, priority), 0);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, pages, 1);
	return s;
}

/* As unit_reclaim(), where writes may fail. */
static void try_reclaim(struct setup *s, uint64_t page, uint64_t nr, int want)
{
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX,
		.mm = s->mm,
		.start = page_at(s->addr, page),
		.end = page_at(s->addr, page + nr),
		.node = -1,
		.ignore_references = true,
	};
	struct reclaim_result out;

	CU_ASSERT_EQUAL(mm_reclaim(s->h->sys, &req, &out), want);
}

static void test_priority(void)
{
	for (int priority = -1; priority <= 1; priority++) {
		struct setup s = open_two(16, priority);

		unit_reclaim(s.h, s.mm, gva_make(0), 0);
		CU_ASSERT_EQUAL(used_of(s.h, &s.h->swap), priority > 0 ? 0 : 16);
		CU_ASSERT_EQUAL(used_of(s.h, &s.h->other), priority > 0 ? 16 : 0);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 16, 1), 0);
		unit_end(s.h, s.mm);
	}
}

/* An area whose host says that it has no room gets nothing, until it has some. */
static void test_no_room(void)
{
	struct setup s = open_two(16, 1);

	s.h->other.no_room = true;
	unit_reclaim(s.h, s.mm, s.addr, 8);
	CU_ASSERT_EQUAL(used_of(s.h, &s.h->swap), 8);
	s.h->other.no_room = false;
	unit_reclaim(s.h, s.mm, page_at(s.addr, 8), 8);
	CU_ASSERT_EQUAL(used_of(s.h, &s.h->other), 8);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 16, 1), 0);
	unit_end(s.h, s.mm);
}

/*
 * Room that ends in the middle: what could not be written stays in memory, the rest
 * goes to the other area, and slots that had room once are used again.
 */
static void test_full_area(void)
{
	struct setup s = open_two(64, 1);
	uint64_t calls;

	s.h->other.full_from = 40;
	for (uint64_t i = 0; i < 64; i += 16)
		try_reclaim(&s, i, 16, i == 32 ? -ENOSPC : 0);
	CU_ASSERT_EQUAL(used_of(s.h, &s.h->other), 48);
	CU_ASSERT_EQUAL(used_of(s.h, &s.h->swap), 16);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), 48);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 64, 1), 0);
	/* A third of it gets free: what had no room goes there, and not beyond. */
	unit_unmap(s.mm, s.addr, 16);
	unit_fill(s.h, s.mm, page_at(s.addr, 16), 48, 2);
	calls = mm_sys_event(s.h->sys, EV_PGSWAPOUT);
	unit_reclaim(s.h, s.mm, page_at(s.addr, 16), 48);
	CU_ASSERT_EQUAL(used_of(s.h, &s.h->other), 32);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), calls + 48);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, page_at(s.addr, 16), 48, 2), 0);
	unit_end(s.h, s.mm);
}

/* After an error the other area is tried first, and the pages are still there. */
static void test_failing_area(void)
{
	struct setup s = open_two(16, 1);

	fake_fail_nth(s.h, FAKE_SWAP_IO, 1);
	try_reclaim(&s, 0, 4, -EIO);
	try_reclaim(&s, 4, 12, 0);
	CU_ASSERT_EQUAL(used_of(s.h, &s.h->swap), 12);
	CU_ASSERT_EQUAL(used_of(s.h, &s.h->other), 4);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 16, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_empty_area(void)
{
	struct setup s = { .h = unit_open() };

	CU_ASSERT_EQUAL(swap_on(s.h->sys, &s.h->swap, 0, 0), -EINVAL);
	s.mm = unit_mm(s.h);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "a slot lives as long as entries name it", test_counts },
		{ "neighbours get neighbouring slots", test_clusters },
		{ "clean cached pages are not written again", test_clean_cache_not_written_again },
		{ "a server was lost: clean cached pages are written again",
		  test_doubtful_written_again },
		{ "pages changed since are written again", test_redirtied_written_again },
		{ "one read for all sharers", test_cache_shared },
		{ "slots are used again", test_slot_reuse },
		{ "mremap and mprotect of swapped pages", test_move_and_protect_swapped },
		{ "an area of no slots is refused", test_empty_area },
		{ "the highest priority first, of equals the oldest", test_priority },
		{ "no room: the next area", test_no_room },
		{ "full in the middle: the next area, nothing lost", test_full_area },
		{ "errors: the next area first", test_failing_area },
	};

	return unit_run("swap", tests, ARRAY_LEN(tests), argc, argv);
}
