/* SPDX-License-Identifier: MIT */
/* The time that threads wait for memory, and the counters of reclaim that must add up. */
#include <time.h>

#include "tests/unit/util.h"

#define WAIT_MS 30

struct setup {
	struct fake_host *h;
	struct mm *mm;
	struct mm_thread thread;
	gva_t addr;
};

static void slow_disk(struct fake_host *h, enum fake_op op, void *arg)
{
	(void)h;
	(void)arg;
	if (op == FAKE_SWAP_CALL)
		unit_sleep_ms(WAIT_MS);
}

/* 64 pages in swap, and a disk that takes its time from now on. */
static void open_swapped(struct setup *s, int busy)
{
	s->h = unit_open();
	s->mm = unit_mm(s->h);
	s->addr = unit_map_filled(s->h, s->mm, 64, 1);
	unit_reclaim(s->h, s->mm, gva_make(0), 0);
	mm_thread_init(&s->thread);
	s->h->hook = slow_disk;
	mm_pressure_busy(s->h->sys, busy);
}

static void close_setup(struct setup *s)
{
	s->h->hook = NULL;
	s->h->thread = NULL;
	mm_thread_destroy(&s->thread);
	unit_end(s->h, s->mm);
}

static struct mm_pressure pressure(struct setup *s)
{
	struct mm_pressure p;

	mm_pressure_get(s->h->sys, &p);
	return p;
}

static void test_alone(void)
{
	struct setup s;
	struct mm_pressure p;

	open_swapped(&s, 1);
	s.h->thread = &s.thread;
	unit_get(s.h, s.mm, s.addr);
	p = pressure(&s);
	CU_ASSERT_TRUE(p.total_us[PRESSURE_SOME] >= WAIT_MS * 900);
	CU_ASSERT_EQUAL(p.total_us[PRESSURE_FULL], p.total_us[PRESSURE_SOME]);
	CU_ASSERT_EQUAL(s.thread.stalls, 0);
	/* And time without waits is not in it. */
	unit_sleep_ms(WAIT_MS);
	CU_ASSERT_EQUAL(pressure(&s).total_us[PRESSURE_SOME], p.total_us[PRESSURE_SOME]);
	close_setup(&s);
}

/* While another runs on, it is some, not full. */
static void test_beside_another(void)
{
	struct setup s;

	open_swapped(&s, 2);
	s.h->thread = &s.thread;
	unit_get(s.h, s.mm, s.addr);
	CU_ASSERT_TRUE(pressure(&s).total_us[PRESSURE_SOME] >= WAIT_MS * 900);
	CU_ASSERT_EQUAL(pressure(&s).total_us[PRESSURE_FULL], 0);
	close_setup(&s);
}

/* A wait within a wait is one; what is not the guest's thread loses nothing. */
static void test_whose(void)
{
	struct mm_thread *outer, *inner;
	struct setup s;

	open_swapped(&s, 1);
	unit_get(s.h, s.mm, s.addr);
	CU_ASSERT_EQUAL(pressure(&s).total_us[PRESSURE_SOME], 0);
	s.h->thread = &s.thread;
	outer = stall_begin(s.h->sys);
	inner = stall_begin(s.h->sys);
	CU_ASSERT_EQUAL(s.h->sys->pressure.stalled, 1);
	stall_end(s.h->sys, inner);
	CU_ASSERT_EQUAL(s.h->sys->pressure.stalled, 1);
	stall_end(s.h->sys, outer);
	CU_ASSERT_EQUAL(s.h->sys->pressure.stalled, 0);
	close_setup(&s);
}

/* Averages: all of 4 s, then nothing for 20. */
static void test_averages(void)
{
	struct mm_pressure p;
	struct pressure *raw;
	struct setup s;

	open_swapped(&s, 1);
	raw = &s.h->sys->pressure;
	raw->total[PRESSURE_SOME] += 4000000000ull;
	raw->period -= 4000000000ull;
	p = pressure(&s);
	CU_ASSERT_TRUE(p.avg[PRESSURE_SOME][0] > 32 && p.avg[PRESSURE_SOME][0] < 34);
	CU_ASSERT_TRUE(p.avg[PRESSURE_SOME][1] > 6 && p.avg[PRESSURE_SOME][1] < 7);
	raw->period -= 20000000000ull;
	p = pressure(&s);
	CU_ASSERT_TRUE(p.avg[PRESSURE_SOME][0] > 4 && p.avg[PRESSURE_SOME][0] < 5);
	CU_ASSERT_EQUAL(p.avg[PRESSURE_FULL][0], 0);
	close_setup(&s);
}

/* Direct reclaim is waiting too; and who scanned and freed adds up. */
static void test_reclaim(void)
{
	struct fake_config config = unit_config();
	struct setup s = { .addr = { 0 } };

	config.nr_nodes = 1;
	config.frames_per_node = 1024;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	mm_thread_init(&s.thread);
	s.h->thread = &s.thread;
	mm_pressure_busy(s.h->sys, 1);
	s.addr = unit_map(s.mm, 2000, PROT_RW, MAP_ANON_PRIVATE);
	s.h->hook = slow_disk;
	for (uint64_t i = 0; i < 1100; i++)
		unit_put(s.h, s.mm, page_at(s.addr, i), i + 1);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_DIRECT_RECLAIM) > 0);
	CU_ASSERT_TRUE(pressure(&s).total_us[PRESSURE_SOME] >= WAIT_MS * 900);
	s.h->hook = NULL;
	(void)!mm_background_round(s.h->sys, 0);
	unit_reclaim(s.h, s.mm, s.addr, 2000);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_PGSTEAL) >=
		       mm_sys_event(s.h->sys, EV_PGSTEAL_DIRECT) +
			       mm_sys_event(s.h->sys, EV_PGSTEAL_KSWAPD));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSTEAL),
			mm_sys_event(s.h->sys, EV_PGSWAPOUT) +
				mm_sys_event(s.h->sys, EV_PGSWAP_ZERO));
	CU_ASSERT_EQUAL(s.mm->counters[MM_SWAPENTS], 1100);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 0);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "alone: some and full", test_alone },
		{ "beside another: some", test_beside_another },
		{ "whose waits, and waits in waits", test_whose },
		{ "averages", test_averages },
		{ "direct reclaim, and counters that add up", test_reclaim },
	};

	return unit_run("pressure", tests, ARRAY_LEN(tests), argc, argv);
}
