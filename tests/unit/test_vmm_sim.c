/* SPDX-License-Identifier: MIT */
/*
 * Trace replay and Belady's optimum against naive oracles, the reader against
 * broken files, and each policy's known behaviour on known traces.
 */
#include <stdlib.h>
#include <unistd.h>

#include "guest/workloads/page_trace.h"
#include "tests/unit/util.h"
#include "vmm/bench_regret.h"
#include "vmm/sim.h"

#define MAX_PAGES 64u
#define MAX_REFS  100000u

static uint32_t refs[MAX_REFS];
static uint64_t nr_refs;

static void put(uint32_t page)
{
	refs[nr_refs++] = SIM_REF(page, page & 1);
}

static void random_refs(uint64_t seed, uint64_t nr, uint32_t pages)
{
	nr_refs = 0;
	while (nr_refs < nr) {
		uint32_t page = (uint32_t)unit_random(&seed, pages);

		/* Some locality: half of the references go to a quarter of the pages. */
		put(unit_random(&seed, 2) ? page / 4 : page);
	}
}

static struct sim_trace trace_of(uint32_t pages)
{
	struct sim_trace t;

	CU_ASSERT_FATAL(!sim_trace_make(refs, nr_refs, pages, &t));
	return t;
}

/* ---- oracles ------------------------------------------------------------------ */

/* Pages in memory in an order: the last goes first. */
struct stack {
	uint32_t page[MAX_PAGES];
	unsigned int nr;
};

static int stack_find(const struct stack *s, uint32_t page)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		if (s->page[i] == page)
			return (int)i;
	}
	return -1;
}

static void stack_cut(struct stack *s, unsigned int i)
{
	for (s->nr--; i < s->nr; i++)
		s->page[i] = s->page[i + 1];
}

static void stack_push(struct stack *s, uint32_t page)
{
	for (unsigned int i = s->nr++; i > 0; i--)
		s->page[i] = s->page[i - 1];
	s->page[0] = page;
}

static uint64_t fifo_faults(unsigned int frames)
{
	struct stack s = { .nr = 0 };
	uint64_t faults = 0;

	for (uint64_t i = 0; i < nr_refs; i++) {
		if (stack_find(&s, refs[i] >> 1) >= 0)
			continue;
		faults++;
		if (s.nr == frames)
			stack_cut(&s, s.nr - 1);
		stack_push(&s, refs[i] >> 1);
	}
	return faults;
}

static uint64_t lru_faults(unsigned int frames)
{
	struct stack s = { .nr = 0 };
	uint64_t faults = 0;

	for (uint64_t i = 0; i < nr_refs; i++) {
		int at = stack_find(&s, refs[i] >> 1);

		if (at >= 0) {
			stack_cut(&s, (unsigned int)at);
		} else {
			faults++;
			if (s.nr == frames)
				stack_cut(&s, s.nr - 1);
		}
		stack_push(&s, refs[i] >> 1);
	}
	return faults;
}

/* The textbook's: a bit and a hand. */
static uint64_t clock_faults(unsigned int frames)
{
	bool bit[MAX_PAGES] = { false };
	struct stack s = { .nr = 0 };
	uint64_t faults = 0;

	for (uint64_t i = 0; i < nr_refs; i++) {
		uint32_t page = refs[i] >> 1;

		if (stack_find(&s, page) < 0) {
			faults++;
			if (s.nr == frames) {
				while (bit[s.page[s.nr - 1]]) {
					uint32_t last = s.page[s.nr - 1];

					bit[last] = false;
					stack_cut(&s, s.nr - 1);
					stack_push(&s, last);
				}
				stack_cut(&s, s.nr - 1);
			}
			stack_push(&s, page);
		}
		bit[page] = true;
	}
	return faults;
}

static uint64_t next_use(uint32_t page, uint64_t from)
{
	while (from < nr_refs && refs[from] >> 1 != page)
		from++;
	return from;
}

static uint64_t optimum_faults(unsigned int frames)
{
	struct stack s = { .nr = 0 };
	uint64_t faults = 0;

	for (uint64_t i = 0; i < nr_refs; i++) {
		unsigned int worst = 0;

		if (stack_find(&s, refs[i] >> 1) >= 0)
			continue;
		faults++;
		if (s.nr == frames) {
			for (unsigned int k = 1; k < s.nr; k++) {
				if (next_use(s.page[k], i) > next_use(s.page[worst], i))
					worst = k;
			}
			stack_cut(&s, worst);
		}
		stack_push(&s, refs[i] >> 1);
	}
	return faults;
}

static struct sim_result replay(const char *policy, const struct sim_trace *t, uint64_t frames)
{
	struct sim_result r = { .faults = 0 };

	CU_ASSERT_PTR_NOT_NULL_FATAL(reclaim_policy_find(policy));
	CU_ASSERT_EQUAL_FATAL(sim_replay(t, reclaim_policy_find(policy), frames, &r), 0);
	return r;
}

/* ---- tests ---------------------------------------------------------------------- */

static void test_oracles(void)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		unsigned int frames = 3 + (unsigned int)seed * 3;
		struct sim_result opt;
		struct sim_trace t;

		random_refs(seed, 1500, MAX_PAGES);
		t = trace_of(MAX_PAGES);
		CU_ASSERT_EQUAL(replay("fifo", &t, frames).faults, fifo_faults(frames));
		CU_ASSERT_EQUAL(replay("clock", &t, frames).faults, clock_faults(frames));
		CU_ASSERT_EQUAL_FATAL(sim_optimum(&t, frames, &opt), 0);
		CU_ASSERT_EQUAL(opt.faults, optimum_faults(frames));
		CU_ASSERT_EQUAL(opt.cold, t.touched);
		CU_ASSERT_EQUAL(opt.faults - opt.evicted, frames);
		CU_ASSERT_TRUE(opt.faults <= lru_faults(frames));
		sim_trace_free(&t);
	}
}

/*
 * A string of references that textbooks fill in by hand, with three frames. The optimum
 * evicts 7 (never again soon), 1, 0, 4 or 3 ... and faults at
 *
 *	7 0 1 2 0 3 0 4 2 3 0 3 2 1 2 0 1 7 0 1
 *	* * * *   *   *     *     *       *        9 faults, 6 of them cold
 *
 * FIFO faults 15 times. So the optimum brings 3 pages back, FIFO 9: a regret of 6 / 3.
 */
static void test_by_hand(void)
{
	static const uint8_t pages[] = {
		7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1
	};
	struct sim_result opt, fifo;
	struct errmsg e;
	struct sim_trace t;
	uint64_t back = 0;

	nr_refs = 0;
	for (unsigned int i = 0; i < ARRAY_LEN(pages); i++)
		refs[nr_refs++] = SIM_REF(pages[i], 0);
	t = trace_of(8);
	CU_ASSERT_EQUAL_FATAL(sim_optimum(&t, 3, &opt), 0);
	CU_ASSERT_EQUAL(opt.faults, 9);
	CU_ASSERT_EQUAL(opt.cold, 6);
	CU_ASSERT_EQUAL(regret_optimum(&t, 3, &back, &e), 0);
	CU_ASSERT_EQUAL(back, 3);
	fifo = replay("fifo", &t, 3);
	CU_ASSERT_EQUAL(fifo.faults, 15);
	CU_ASSERT_DOUBLE_EQUAL(sim_regret(&fifo, &opt), 2.0, 1e-9);
	sim_trace_free(&t);
}

/*
 * Round and round over 10 pages with 7 frames: FIFO always evicts the page that comes
 * next, so all references fault. The optimum keeps 6 pages for good and loses one frame's
 * worth of the rest: of any 9 references 10 - 7 = 3 fault, after the 10 cold ones.
 */
static void test_loop_by_hand(void)
{
	struct sim_result opt, fifo;
	struct sim_trace t;

	nr_refs = 0;
	for (unsigned int i = 0; i < 10 + 90; i++)
		refs[nr_refs++] = SIM_REF(i % 10, 0);
	t = trace_of(10);
	CU_ASSERT_EQUAL_FATAL(sim_optimum(&t, 7, &opt), 0);
	CU_ASSERT_EQUAL(opt.faults, 10 + 90 / 9 * 3);
	fifo = replay("fifo", &t, 7);
	CU_ASSERT_EQUAL(fifo.faults, 100);
	/* A page goes when the one 7 further comes, and is back 3 later: 2 go in between. */
	CU_ASSERT_EQUAL(fifo.faults - fifo.cold, 90);
	CU_ASSERT_EQUAL(fifo.distance_sum, 90 * 2);
	sim_trace_free(&t);
}

static void test_optimum_not_beaten(void)
{
	for (uint64_t seed = 100; seed < 108; seed++) {
		struct sim_trace t;

		random_refs(seed, 20000, MAX_PAGES);
		t = trace_of(MAX_PAGES);
		for (uint64_t frames = 1; frames <= MAX_PAGES + 1; frames += 7) {
			const struct reclaim_policy *p;
			struct sim_result opt;

			CU_ASSERT_EQUAL_FATAL(sim_optimum(&t, frames, &opt), 0);
			for (unsigned int i = 0; (p = reclaim_policy_get(i)); i++) {
				struct sim_result r;

				CU_ASSERT_EQUAL_FATAL(sim_replay(&t, p, frames, &r), 0);
				CU_ASSERT_TRUE(r.faults >= opt.faults);
				CU_ASSERT_EQUAL(r.cold, t.touched);
				if (r.faults < opt.faults || r.cold != t.touched)
					printf("%s, %lu frames, seed %lu\n", p->name, frames, seed);
				CU_ASSERT_TRUE(sim_regret(&r, &opt) >= 0);
			}
		}
		sim_trace_free(&t);
	}
}

/* All fits: only cold faults, whoever is asked. */
static void test_enough_memory(void)
{
	const struct reclaim_policy *p;
	struct sim_trace t;

	random_refs(7, 5000, MAX_PAGES);
	t = trace_of(MAX_PAGES);
	for (unsigned int i = 0; (p = reclaim_policy_get(i)); i++) {
		struct sim_result r = replay(p->name, &t, MAX_PAGES);

		CU_ASSERT_EQUAL(r.faults, t.touched);
		CU_ASSERT_EQUAL(r.evicted, 0);
	}
	sim_trace_free(&t);
}

/* A hot set used all the time, and scans of pages that never come again. */
static void test_scan_resistance(void)
{
	const uint32_t hot = 600, frames = 1000;
	uint64_t seed = 3, fifo;
	struct sim_trace t;
	uint32_t cold = hot;

	nr_refs = 0;
	while (nr_refs + 8 < MAX_REFS) {
		for (int i = 0; i < 6; i++)
			put((uint32_t)unit_random(&seed, hot));
		put(cold++);
	}
	t = trace_of(cold);
	fifo = replay("fifo", &t, frames).faults;
	CU_ASSERT_TRUE(replay("active_inactive", &t, frames).faults < fifo);
	CU_ASSERT_TRUE(replay("mglru", &t, frames).faults < fifo);
	CU_ASSERT_TRUE(replay("clock", &t, frames).faults < fifo);
	sim_trace_free(&t);
}

/* ---- trace files ----------------------------------------------------------------- */

#define TRACED_PAGES 1000u

static void trace_path(char path[64])
{
	int fd;

	strcpy(path, "/tmp/umm-test-trace.XXXXXX");
	fd = mkstemp(path);
	CU_ASSERT_FATAL(fd >= 0);
	close(fd);
}

/* As a workload records; refs[] holds what must come out. */
static void record(const char *path)
{
	const char *base = (const char *)0x10000000;
	uint64_t seed = 5;
	struct trace t;

	nr_refs = 0;
	CU_ASSERT_FATAL(!trace_open(&t, path, "test", base, TRACED_PAGES * UMM_PAGE_SIZE));
	for (int i = 0; i < 3000; i++) {
		uint32_t page = (uint32_t)unit_random(&seed, TRACED_PAGES);
		bool write = unit_random(&seed, 2);

		trace_page(&t, base + page * UMM_PAGE_SIZE + i, write);
		/* The same page again tells nothing new. */
		trace_page(&t, base + page * UMM_PAGE_SIZE, false);
		if (nr_refs && refs[nr_refs - 1] >> 1 == page &&
		    (refs[nr_refs - 1] & 1) >= (uint32_t)write)
			continue;
		refs[nr_refs++] = SIM_REF(page, write);
	}
	CU_ASSERT_FATAL(!trace_close(&t));
}

static void test_trace_round(void)
{
	char path[64];
	struct sim_trace t;
	struct errmsg e;

	trace_path(path);
	record(path);
	CU_ASSERT_EQUAL_FATAL(sim_trace_load(path, &t, &e), 0);
	CU_ASSERT_EQUAL_FATAL(t.header.nr_refs, nr_refs);
	CU_ASSERT_EQUAL(t.header.nr_pages, TRACED_PAGES);
	CU_ASSERT_STRING_EQUAL(t.header.name, "test");
	CU_ASSERT_FALSE(memcmp(t.refs, refs, nr_refs * sizeof(*refs)));
	sim_trace_free(&t);
	unlink(path);
}

/* Write @nr bytes at @at of the file, or (NULL) cut it there. */
static void damage(const char *path, long at, const void *bytes, size_t nr)
{
	FILE *f = fopen(path, "r+b");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	if (bytes)
		CU_ASSERT_FATAL(!fseek(f, at, at < 0 ? SEEK_END : SEEK_SET) &&
				fwrite(bytes, 1, nr, f) == nr);
	fclose(f);
	if (!bytes)
		CU_ASSERT_FATAL(!truncate(path, at));
}

static void expect_refused(const char *path, const char *why)
{
	struct sim_trace t;
	struct errmsg e = { .text = "" };

	CU_ASSERT_TRUE(sim_trace_load(path, &t, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, why));
	if (!strstr(e.text, why))
		printf("'%s' says nothing of '%s'\n", e.text, why);
	CU_ASSERT_PTR_NULL(t.refs);
}

static void test_trace_broken(void)
{
	static const struct {
		long at;
		const char *bytes; /* NULL: cut */
		size_t nr;
		const char *why;
	} cases[] = {
		{ 0, "UMMTRAXX", 8, "no page reference trace" },
		{ 30, NULL, 0, "no page reference trace" },
		{ 8, "\x02", 1, "version 2" },
		{ 12, "\x01\x10", 2, "page size" },
		{ 16, "\0\0\0\0\0\0\0\0", 8, "cannot be" },
		{ 16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "cannot be" },
		{ 16, "\x10\0\0\0\0\0\0\0", 8, "is to page" },
		{ 24, "\0\0\0\0\0\0\0\0", 8, "references do not fit" },
		{ 24, "\xff\xff\xff\xff\0\0\0\0", 8, "references do not fit" },
		{ 24, "\x05\0\0\0\0\0\0\0", 8, "more follows" },
		{ 64, "\x80\x80\x80\x80\x80\x01", 6, "reference 0 is broken" },
		{ 64, "\x02", 1, "is to page" }, /* one below the first */
		{ 5000, NULL, 0, "is broken" },
		{ 64, NULL, 0, "references do not fit" },
	};

	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++) {
		char path[64];

		trace_path(path);
		record(path);
		damage(path, cases[i].at, cases[i].bytes, cases[i].nr);
		expect_refused(path, cases[i].why);
		unlink(path);
	}
	expect_refused("/tmp/umm-test-no-such-trace", "No such file");
	expect_refused("/tmp", "not a file");
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "FIFO, CLOCK and the optimum fault as their oracles do", test_oracles },
		{ "the optimum is the one found by hand", test_by_hand },
		{ "the optimum of a loop is the one found by hand", test_loop_by_hand },
		{ "no policy beats the optimum, none loses a page", test_optimum_not_beaten },
		{ "with memory for all, nothing is evicted", test_enough_memory },
		{ "scans do not push the hot set out", test_scan_resistance },
		{ "a recorded trace is read as it was", test_trace_round },
		{ "a broken trace is refused, and why", test_trace_broken },
	};

	return unit_run("sim", tests, ARRAY_LEN(tests), argc, argv);
}
