/* SPDX-License-Identifier: MIT */
/* How many neighbours a swap-in reads: many for those who go on, none for those who jump. */
#include "tests/unit/util.h"

#define PAGES 2048

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

static struct setup open_swapped(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, PAGES, 1);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	return s;
}

static uint64_t faults(struct setup *s)
{
	return mm_sys_event(s->h->sys, EV_FAULT_SWAP);
}

static void test_in_order(void)
{
	struct setup s = open_swapped();
	uint64_t calls = fake_calls(s.h, FAKE_SWAP_IO);

	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_TRUE(faults(&s) <= PAGES / SWAP_READ_MAX + 12);
	/* Slots in a row and frames in a row: nearly a transfer a fault. */
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_SWAP_IO) - calls <= 2 * faults(&s));
	unit_end(s.h, s.mm);
}

/* Pages that were evicted before their neighbours do not cut the transfer of those. */
static void test_evicted_apart(void)
{
	struct setup s = open_swapped();
	uint64_t calls;

	unit_fill(s.h, s.mm, s.addr, PAGES, 2);
	for (uint64_t i = 0; i < PAGES; i += SWAP_READ_MAX) {
		unit_reclaim(s.h, s.mm, page_at(s.addr, i + 20), 1);
		unit_reclaim(s.h, s.mm, page_at(s.addr, i + 40), 1);
	}
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	unit_advise(s.mm, s.addr, PAGES, MADV_SEQUENTIAL);
	calls = fake_calls(s.h, FAKE_SWAP_IO);
	for (uint64_t i = 0; i < PAGES; i += SWAP_READ_MAX)
		unit_get(s.h, s.mm, page_at(s.addr, i + 20));
	/* The others in one, and each of the two. */
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_SWAP_IO) - calls <= 3 * (PAGES / SWAP_READ_MAX) + 4);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 2), 0);
	unit_end(s.h, s.mm);
}

/* Two readers in one area do not take each other for jumps. */
static void test_two_readers(void)
{
	struct setup s = open_swapped();

	for (uint64_t i = 0; i < PAGES / 2; i++) {
		unit_get(s.h, s.mm, page_at(s.addr, i));
		unit_get(s.h, s.mm, page_at(s.addr, PAGES / 2 + i));
	}
	CU_ASSERT_TRUE(faults(&s) <= PAGES / SWAP_READ_MAX + 24);
	unit_end(s.h, s.mm);
}

static void test_jumping(void)
{
	struct setup s = open_swapped();
	uint64_t in, random = 1, before;

	for (int i = 0; i < 20; i++)
		unit_get(s.h, s.mm, page_at(s.addr, unit_random(&random, PAGES / 256) * 256 + 128));
	before = faults(&s);
	in = mm_sys_event(s.h->sys, EV_PGSWAPIN);
	for (uint64_t i = 0; i < 8; i++)
		unit_get(s.h, s.mm, page_at(s.addr, i * 256 + 17));
	CU_ASSERT_EQUAL(faults(&s) - before, 8);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_PGSWAPIN) - in <= 16);
	unit_end(s.h, s.mm);
}

static void test_advice(void)
{
	struct setup s = open_swapped();

	unit_advise(s.mm, s.addr, PAGES, MADV_RANDOM);
	for (uint64_t i = 0; i < 10; i++)
		unit_get(s.h, s.mm, page_at(s.addr, i));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPIN), 10);
	unit_advise(s.mm, s.addr, PAGES, MADV_SEQUENTIAL);
	unit_get(s.h, s.mm, page_at(s.addr, 1024));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPIN), 10 + SWAP_READ_MAX);
	unit_end(s.h, s.mm);
}

/* A neighbour that cannot be read must not cost the page that was asked for. */
static void test_bad_neighbour(void)
{
	struct setup s = open_swapped();
	uint64_t value;

	unit_advise(s.mm, s.addr, PAGES, MADV_SEQUENTIAL);
	fake_fail_nth(s.h, FAKE_SWAP_IO, 1);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, page_at(s.addr, 64), &value), FAULT_DONE);
	CU_ASSERT_EQUAL(s.h->failures, 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "in order: large windows, few transfers", test_in_order },
		{ "evicted apart: the others in one transfer", test_evicted_apart },
		{ "two readers", test_two_readers },
		{ "jumping about: single pages", test_jumping },
		{ "MADV_RANDOM, MADV_SEQUENTIAL", test_advice },
		{ "a bad neighbour", test_bad_neighbour },
	};

	return unit_run("swap_window", tests, ARRAY_LEN(tests), argc, argv);
}
