/* SPDX-License-Identifier: MIT */
/* Swap areas that come and go while programs use what is in them. */
#include "rmap/swap.h"
#include "tests/unit/util.h"

#define PAGES 2400

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

static struct setup open_swapped(uint64_t frames)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.nr_nodes = 1;
	config.frames_per_node = frames;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, PAGES, 1);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	return s;
}

/* The host's area. */
static void *area(struct setup *s)
{
	return s->h->sys->swap->areas[0].host;
}

static uint64_t used(struct setup *s)
{
	struct swap_info info;

	swap_get_info(s->h->sys, &info);
	return info.used;
}

static void test_everything_comes_back(void)
{
	struct setup s = open_swapped(4096);
	void *host = area(&s);
	struct swap_area_info info;
	struct swap_info sum;

	CU_ASSERT_TRUE(used(&s) >= PAGES);
	CU_ASSERT_TRUE(swap_get_nth(s.h->sys, 0, &info));
	CU_ASSERT_EQUAL(swap_off(s.h->sys, host, NULL), 0);
	CU_ASSERT_FALSE(swap_get_nth(s.h->sys, 0, &info));
	swap_get_info(s.h->sys, &sum);
	CU_ASSERT_EQUAL(sum.nr_slots, 0);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_TRUE(unit_mapped(s.h, s.mm, page_at(s.addr, i)));
	unit_check(s.h);
	/* Nothing is left to swap to, and then there is again. */
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).freed, 0);
	CU_ASSERT_EQUAL(swap_off(s.h->sys, host, NULL), -ENOENT);
	CU_ASSERT_EQUAL(swap_on(s.h->sys, host, s.h->swap.nr_slots, 0), 0);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).freed, PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

/* Shared by fork, swapped out shared memory, and pages in memory that keep a slot. */
static void test_all_kinds(void)
{
	struct setup s = open_swapped(4096);
	gva_t shared = unit_map(s.mm, 32, PROT_RW, MAP_ANON_SHARED);
	struct mm *child = unit_fork(s.mm);

	unit_fill(s.h, s.mm, shared, 32, 7);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	unit_reclaim(s.h, child, gva_make(0), 0);
	for (uint64_t i = 0; i < 50; i++)
		unit_get(s.h, s.mm, page_at(s.addr, i));
	CU_ASSERT_EQUAL(swap_off(s.h->sys, area(&s), NULL), 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, shared, 32, 7), 0);
	CU_ASSERT_EQUAL(__atomic_load_n(&s.mm->counters[MM_SWAPENTS], __ATOMIC_RELAXED), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* More is in the area than memory has room for: refused at once, nothing read. */
static void test_no_room(void)
{
	struct setup s = open_swapped(1024);
	uint64_t before = used(&s), reads = fake_calls(s.h, FAKE_SWAP_IO);
	struct swap_area_info info;

	CU_ASSERT_EQUAL(swap_off(s.h->sys, area(&s), NULL), -ENOMEM);
	CU_ASSERT_EQUAL(used(&s), before);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_SWAP_IO), reads);
	CU_ASSERT_TRUE(swap_get_nth(s.h->sys, 0, &info) && !info.leaving);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static bool stop_after(void *arg, uint64_t done, uint64_t total)
{
	CU_ASSERT_TRUE(done <= total);
	return !--*(int *)arg;
}

static void test_stopped(void)
{
	struct setup s = open_swapped(4096);
	int calls = 2;
	struct swap_off_request req = { .progress = stop_after, .arg = &calls };

	CU_ASSERT_EQUAL(swap_off(s.h->sys, area(&s), &req), -EINTR);
	CU_ASSERT_TRUE(used(&s) > 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(swap_off(s.h->sys, area(&s), NULL), 0);
	unit_end(s.h, s.mm);
}

/* Any call of the host's fails: an error and the area as before, or it is gone; no loss. */
static void test_failures(void)
{
	bool done = false;

	for (uint64_t nth = 1; !done && nth < 4000; nth += nth < 40 ? 1 : 37) {
		struct setup s = open_swapped(4096);
		int ret;

		fake_fail_nth(s.h, FAKE_ANY, nth);
		ret = swap_off(s.h->sys, area(&s), NULL);
		done = !s.h->failures;
		fake_fail_nth(s.h, FAKE_ANY, 0);
		CU_ASSERT_TRUE(!ret || ret == -EIO || ret == -ENOMEM || ret == -EBUSY);
		unit_check(s.h);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
		unit_end(s.h, s.mm);
	}
	CU_ASSERT_TRUE(done);
}

/* A disk that reads nothing any more: refused, and all is there when it does again. */
static void test_disk_gone(void)
{
	struct setup s = open_swapped(4096);

	fake_fail_from(s.h, FAKE_SWAP_IO, 3);
	CU_ASSERT_EQUAL(swap_off(s.h->sys, area(&s), NULL), -EIO);
	fake_fail_from(s.h, FAKE_SWAP_IO, 0);
	CU_ASSERT_TRUE(used(&s) > 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

/* ---- beside a program --------------------------------------------------------------- */

struct user {
	struct setup *s;
	bool stop; /* a */
	uint64_t wrong;
};

/* Keeps rewriting, reading back and forking. */
static void *use_memory(void *arg)
{
	struct user *u = arg;
	uint64_t value;

	for (uint64_t round = 2; !__atomic_load_n(&u->stop, __ATOMIC_RELAXED); round++) {
		for (uint64_t i = 0; i < PAGES; i++)
			u->wrong += fake_store(u->s->h, u->s->mm, 1, page_at(u->s->addr, i),
					       round + i) != FAULT_DONE;
		for (uint64_t i = 0; i < PAGES; i++)
			u->wrong += fake_load(u->s->h, u->s->mm, 1, page_at(u->s->addr, i),
					      &value) != FAULT_DONE ||
				    value != round + i;
	}
	return NULL;
}

static void test_beside_a_program(void)
{
	struct fake_config config = unit_config();
	struct setup s;
	struct user u = { .s = &s };
	pthread_t thread;
	void *host;

	config.nr_nodes = 1;
	config.frames_per_node = 4096;
	config.concurrent = true;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	host = area(&s);
	pthread_create(&thread, NULL, use_memory, &u);
	for (int round = 0; round < 20; round++) {
		unit_reclaim(s.h, s.mm, gva_make(0), 0);
		CU_ASSERT_EQUAL(swap_off(s.h->sys, host, NULL), 0);
		CU_ASSERT_EQUAL(swap_on(s.h->sys, host, s.h->swap.nr_slots, 0), 0);
	}
	__atomic_store_n(&u.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(u.wrong, 0);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "all of it comes back, and the area can return", test_everything_comes_back },
		{ "forks, shared memory, pages that keep a slot", test_all_kinds },
		{ "no room: refused, nothing touched", test_no_room },
		{ "stopped half way", test_stopped },
		{ "the Nth host call fails", test_failures },
		{ "the disk reads no more", test_disk_gone },
		{ "off and on beside a program", test_beside_a_program },
	};

	return unit_run("swapoff", tests, ARRAY_LEN(tests), argc, argv);
}
