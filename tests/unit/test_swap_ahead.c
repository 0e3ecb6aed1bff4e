/* SPDX-License-Identifier: MIT */
/* Reading swapped memory ahead of a program: what a reader does, and what goes on beside it. */
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/util.h"

#define PAGES 1536

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	pthread_t reader;
	pid_t reader_tid; /* a */
	bool running;
	uint32_t reads;  /* a  transfers by the reader */
	uint32_t hold;   /* a  it stays in its next one while this is set, and counts: */
	uint32_t inside; /* a */
	bool stop;       /* a */
	uint64_t wrong;  /* a */
};

static void *reader_main(void *arg)
{
	struct setup *s = arg;

	__atomic_store_n(&s->reader_tid, gettid(), __ATOMIC_RELEASE);
	mm_swap_reader(s->h->sys);
	return NULL;
}

/* It has nothing to do. */
static void await_reader(struct setup *s)
{
	pid_t tid;

	while (!(tid = __atomic_load_n(&s->reader_tid, __ATOMIC_ACQUIRE)))
		unit_sleep_ms(1);
	unit_await_sleep(tid);
}

static void at_transfer(struct fake_host *h, enum fake_op op, void *arg)
{
	struct setup *s = arg;

	(void)h;
	if (op != FAKE_SWAP_CALL || !s->running || !pthread_equal(pthread_self(), s->reader))
		return;
	__atomic_fetch_add(&s->reads, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&s->hold, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&s->inside, 1, __ATOMIC_RELEASE);
		unit_sleep_ms(1);
	}
}

static void open_swapped(struct setup *s, bool reader, uint64_t frames)
{
	struct fake_config config = unit_config();

	memset(s, 0, sizeof(*s));
	config.nr_nodes = 1;
	config.frames_per_node = frames;
	config.concurrent = true;
	s->h = unit_open_with(&config);
	s->mm = unit_mm(s->h);
	s->addr = unit_map_filled(s->h, s->mm, PAGES, 1);
	unit_reclaim(s->h, s->mm, gva_make(0), 0);
	if (reader) {
		CU_ASSERT_EQUAL(pthread_create(&s->reader, NULL, reader_main, s), 0);
		/* Until it is there nothing is read ahead. */
		await_reader(s);
		s->running = true;
		s->h->hook_arg = s;
		s->h->hook = at_transfer;
	}
}

static void stop_reader(struct setup *s)
{
	if (!s->running)
		return;
	mm_swap_readers_stop(s->h->sys);
	pthread_join(s->reader, NULL);
	s->h->hook = NULL;
	s->running = false;
}

static uint64_t slots_used(struct setup *s)
{
	struct swap_info info;

	swap_get_info(s->h->sys, &info);
	return info.used;
}

static void close_setup(struct setup *s)
{
	stop_reader(s);
	unit_check(s->h);
	mm_put(s->mm);
	/* What was read for nobody is not left in the cache. */
	CU_ASSERT_EQUAL(slots_used(s), 0);
	unit_close(s->h);
}

static uint64_t faults(struct setup *s)
{
	return mm_sys_event(s->h->sys, EV_FAULT_SWAP);
}

static void test_in_order(void)
{
	struct setup s;
	uint64_t value;

	open_swapped(&s, true, 4096);
	/* It is asked for the next pages only when it is done with the last ones. */
	for (uint64_t page = 0; page < PAGES; page++) {
		CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, page_at(s.addr, page), &value), FAULT_DONE);
		await_reader(&s);
	}
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	/* All but the first windows, of 4 + 8 + 16 + 32 + 64 pages, and the last of tables. */
	CU_ASSERT_TRUE(s.reads >= (PAGES - 256) / SWAP_READ_MAX);
	/* Each page was read once, and neighbours were mapped with it. */
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPIN), PAGES);
	CU_ASSERT_TRUE(faults(&s) <= 8 + PAGES / 32);
	close_setup(&s);
}

static void test_no_reader(void)
{
	struct setup s;

	open_swapped(&s, false, 4096);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPIN), PAGES);
	close_setup(&s);
}

/* It does not read what nobody asked for: one page here, one there. */
static void test_jumping(void)
{
	struct setup s;
	uint64_t state = 7;

	open_swapped(&s, true, 4096);
	for (int i = 0; i < 200; i++)
		unit_get(s.h, s.mm, page_at(s.addr, unit_random(&state, PAGES)));
	CU_ASSERT_EQUAL(s.reads, 0);
	close_setup(&s);
}

/* Memory that is nearly full is not reclaimed for it, and nobody hangs. */
static void test_short_of_memory(void)
{
	struct setup s;

	open_swapped(&s, true, 1024);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

/* It ends when its memory goes, or at the end. */
static void *go_in_order(void *arg)
{
	struct setup *s = arg;
	uint64_t value;

	for (uint64_t page = 0; page < PAGES; page++) {
		if (fake_load(s->h, s->mm, 0, page_at(s->addr, page), &value) != FAULT_DONE)
			break;
	}
	return NULL;
}

/* A program in order, in a thread of its own, until the reader is amid a transfer. */
static pthread_t go_until_inside(struct setup *s)
{
	pthread_t program;

	__atomic_store_n(&s->hold, 1, __ATOMIC_RELEASE);
	pthread_create(&program, NULL, go_in_order, s);
	for (int i = 0; i < 60000 && !__atomic_load_n(&s->inside, __ATOMIC_ACQUIRE); i++)
		unit_sleep_ms(1);
	CU_ASSERT_TRUE(__atomic_load_n(&s->inside, __ATOMIC_ACQUIRE));
	return program;
}

/* The memory goes while it is read: neither frames nor slots stay. */
static void test_unmapped(void)
{
	struct setup s;
	pthread_t program;

	open_swapped(&s, true, 4096);
	program = go_until_inside(&s);
	unit_unmap(s.mm, s.addr, PAGES);
	__atomic_store_n(&s.hold, 0, __ATOMIC_RELEASE);
	pthread_join(program, NULL);
	close_setup(&s);
}

/* Readers end when they are told to, after what was begun. */
static void test_stop(void)
{
	struct setup s;
	pthread_t program;
	uint32_t reads;

	open_swapped(&s, true, 4096);
	program = go_until_inside(&s);
	mm_swap_readers_stop(s.h->sys);
	__atomic_store_n(&s.hold, 0, __ATOMIC_RELEASE);
	pthread_join(program, NULL);
	stop_reader(&s);
	reads = s.reads;
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(s.reads, reads);
	close_setup(&s);
}

/* A page that could not be read ahead is read when it is wanted. */
static void test_errors(void)
{
	for (uint64_t n = 1; n <= 24; n++) {
		struct setup s;

		open_swapped(&s, true, 4096);
		fake_fail_nth(s.h, FAKE_SWAP_IO, n);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
		CU_ASSERT_EQUAL(s.h->failures, 1);
		close_setup(&s);
	}
}

/* ---- threads ------------------------------------------------------------------ */

struct scanner {
	struct setup *s;
	unsigned int vcpu;
	pthread_t thread;
};

static void *scan(void *arg)
{
	struct scanner *c = arg;
	struct setup *s = c->s;

	for (int round = 0; round < 3; round++) {
		for (uint64_t page = 0; page < PAGES; page++) {
			gva_t own = gva_add(page_at(s->addr, page), 64 * (1 + c->vcpu));

			if (fake_add(s->h, s->mm, c->vcpu, own, 1) != FAULT_DONE)
				__atomic_fetch_add(&s->wrong, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void *page_out(void *arg)
{
	struct setup *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		struct reclaim_request req = { .nr_frames = 256, .node = -1 };
		struct mm_validate_report report;
		struct reclaim_result res;
		struct mm *child;

		if (mm_reclaim(s->h->sys, &req, &res) || mm_validate(s->h->sys, &report))
			__atomic_fetch_add(&s->wrong, 1, __ATOMIC_RELAXED);
		if (!mm_fork(s->mm, &child))
			mm_put(child);
	}
	return NULL;
}

static void test_threads(void)
{
	struct scanner c[2];
	pthread_t out;
	struct setup s;

	open_swapped(&s, true, 1024);
	for (uint64_t page = 0; page < PAGES; page++) {
		for (unsigned int i = 0; i < 2; i++)
			unit_put(s.h, s.mm, gva_add(page_at(s.addr, page), 64 * (1 + i)), 0);
	}
	pthread_create(&out, NULL, page_out, &s);
	for (unsigned int i = 0; i < 2; i++) {
		c[i] = (struct scanner){ .s = &s, .vcpu = i };
		pthread_create(&c[i].thread, NULL, scan, &c[i]);
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(c[i].thread, NULL);
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	pthread_join(out, NULL);
	CU_ASSERT_EQUAL(s.wrong, 0);
	for (uint64_t page = 0; page < PAGES; page++) {
		for (unsigned int i = 0; i < 2; i++) {
			gva_t own = gva_add(page_at(s.addr, page), 64 * (1 + i));

			CU_ASSERT_EQUAL(unit_get(s.h, s.mm, own), 3);
		}
	}
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "in order: the reader reads, each page once", test_in_order },
		{ "without a reader nothing is left to it", test_no_reader },
		{ "jumping about: nothing is read ahead", test_jumping },
		{ "short of memory", test_short_of_memory },
		{ "unmapped while it is read", test_unmapped },
		{ "readers end after what was begun", test_stop },
		{ "the Nth transfer fails", test_errors },
		{ "two programs in order, reclaim, fork and the validator", test_threads },
	};

	return unit_run("swap ahead", tests, ARRAY_LEN(tests), argc, argv);
}
