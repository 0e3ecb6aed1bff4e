/* SPDX-License-Identifier: MIT */
/* The pacing of migrations, on a clock of our own; and lists of pages. */
#include "tests/unit/util.h"

#include <stdio.h>
#include <unistd.h>

#include "vmm/bench_moves.h"
#include "vmm/page_list.h"
#include "vmm/pace.h"

#define SECOND 1000000000ull

/* Work that takes @work_ns a piece, at @rate: bytes done in one second. */
static uint64_t bytes_in_a_second(uint64_t rate, uint64_t work_ns, uint64_t stall_at,
				  uint64_t stall_ns)
{
	uint64_t now = 12345, end = now + SECOND, bytes = 0;
	struct pacer p;

	pacer_start(&p, rate, now);
	while (now < end) {
		now += work_ns;
		if (stall_ns && bytes > stall_at) {
			now += stall_ns;
			stall_ns = 0;
		}
		bytes += (uint64_t)pacer_piece(&p) * UMM_PAGE_SIZE;
		now += pacer_wait(&p, bytes, now);
	}
	return bytes;
}

static void test_rate_is_kept(void)
{
	static const uint64_t rates[] = { 1ull << 20, 100ull << 20, 500ull << 20, 2ull << 30 };

	for (unsigned int i = 0; i < ARRAY_LEN(rates); i++) {
		uint64_t got = bytes_in_a_second(rates[i], 100000, 0, 0);

		CU_ASSERT_TRUE(got <= rates[i] + rates[i] / 50);
		CU_ASSERT_TRUE(got >= rates[i] - rates[i] / 50);
	}
}

static void test_pieces_are_small(void)
{
	struct pacer p;

	pacer_start(&p, 500ull << 20, 0);
	CU_ASSERT_TRUE(pacer_piece(&p) * UMM_PAGE_SIZE <= (500ull << 20) / 100);
	pacer_start(&p, 1, 0);
	CU_ASSERT_EQUAL(pacer_piece(&p), 1);
	CU_ASSERT_EQUAL(pacer_wait(&p, UMM_PAGE_SIZE, 0), UMM_PAGE_SIZE * SECOND);
	pacer_start(&p, 0, 0);
	CU_ASSERT_EQUAL(pacer_piece(&p), 0);
	CU_ASSERT_EQUAL(pacer_wait(&p, 1ull << 40, 5), 0);
}

/* Half a second in which nothing ran is not made up for. */
static void test_no_burst_after_a_stall(void)
{
	uint64_t rate = 100ull << 20, got = bytes_in_a_second(rate, 1000, rate / 4, SECOND / 2);

	CU_ASSERT_TRUE(got <= rate / 2 + rate / 20);
	CU_ASSERT_TRUE(got >= rate / 2 - rate / 20);
}

/* What pieces cost the guest is a tenth of its time. */
static void test_gentle(void)
{
	struct pace_cost piece = { .ns = 2000000, .folios = 8, .guest_frames = 65536 };
	uint64_t idle = pace_gentle_rest(&piece), flushed;

	CU_ASSERT_TRUE(idle >= 9 * piece.ns && idle <= 10 * piece.ns);
	piece.flushes = 1;
	flushed = pace_gentle_rest(&piece);
	CU_ASSERT_TRUE(flushed > idle);
	/* A larger guest has more to find again. */
	piece.guest_frames *= 4;
	CU_ASSERT_TRUE(pace_gentle_rest(&piece) > 2 * flushed);
	/* A quarter of its time: three times the cost. */
	piece = (struct pace_cost){ .ns = 2000000, .guest_frames = 65536, .percent = 25 };
	CU_ASSERT_EQUAL(pace_gentle_rest(&piece), 6000000);
	piece.ns = 60 * SECOND;
	CU_ASSERT_EQUAL(pace_gentle_rest(&piece), SECOND / 2);
}

/* A program measured from 1.5 s on for 2 s: a request before, one across, one after it. */
static void test_moves_while_timed(void)
{
	static struct bench_moves m;

	bench_moves_begin(&m, 0);
	bench_moves_end(&m, SECOND, 9000);
	bench_moves_begin(&m, 1 * SECOND);
	bench_moves_progress(&m, 2 * SECOND, 1000);
	bench_moves_progress(&m, 3 * SECOND, 1500);
	bench_moves_end(&m, 4 * SECOND, 2500);
	bench_moves_begin(&m, 5 * SECOND);
	bench_moves_end(&m, 6 * SECOND, 7000);
	/* 500 of the first 1000, 500, and half of the last 1000. */
	CU_ASSERT_EQUAL(bench_moves_between(&m, 3 * SECOND / 2, 7 * SECOND / 2), 1500);
	CU_ASSERT_EQUAL(bench_moves_between(&m, 4 * SECOND, 5 * SECOND), 0);
	CU_ASSERT_EQUAL(bench_moves_between(&m, 0, 9 * SECOND), 18500);
}

/* What was looked at and did not move is not counted. */
static void test_moves_that_stayed(void)
{
	static struct bench_moves m;

	bench_moves_begin(&m, 0);
	bench_moves_progress(&m, SECOND, 5000);
	bench_moves_end(&m, 2 * SECOND, 100);
	CU_ASSERT_EQUAL(bench_moves_between(&m, 0, SECOND), 100);
	CU_ASSERT_EQUAL(bench_moves_between(&m, SECOND, 3 * SECOND), 0);
}

static json_t *read_text(const char *text, bool addresses, struct errmsg *e, int *rc)
{
	char path[] = "/tmp/umm-pages-XXXXXX";
	int fd = mkstemp(path);
	json_t *list = NULL;

	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	*rc = page_list_read(path, addresses, &list, e);
	unlink(path);
	return list;
}

static void test_page_list(void)
{
	struct errmsg e;
	json_t *list;
	int rc;

	list = read_text("# two\n7f0000001000\n\n  0x10000 # this\n", true, &e, &rc);
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_EQUAL(json_array_size(list), 2);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(list, 0)), "0x7f0000001000");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(list, 1)), "0x10000");
	json_decref(list);
	list = read_text("12\n0x10", false, &e, &rc);
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_EQUAL(json_integer_value(json_array_get(list, 1)), 16);
	json_decref(list);
}

static void test_page_list_errors(void)
{
	static const struct {
		const char *text, *says;
		bool addresses;
	} bad[] = {
		{ "1000\nzebra\n", ":2: 'zebra' is no address", true },
		{ "ffffffffffffffff", ":1: ", true },
		{ "-1", ":1: '-1' is no address", true },
		{ "1\n2\n7f00ab\n", ":3: '7f00ab' is no frame number", false },
		{ "99999999999999999999999", "is no frame number", false },
	};
	struct errmsg e;
	json_t *list;
	int rc;

	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++) {
		list = read_text(bad[i].text, bad[i].addresses, &e, &rc);
		CU_ASSERT_NOT_EQUAL(rc, 0);
		CU_ASSERT_PTR_NULL(list);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.text, bad[i].says));
	}
	CU_ASSERT_EQUAL(page_list_read("/nonexistent/list", true, &list, &e), -ENOENT);
	CU_ASSERT_EQUAL(page_list_read("/", true, &list, &e), -EISDIR);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "the rate is kept", test_rate_is_kept },
		{ "pieces are small", test_pieces_are_small },
		{ "no burst after a stall", test_no_burst_after_a_stall },
		{ "a gentle pace", test_gentle },
		{ "moves while a program measures", test_moves_while_timed },
		{ "moves that did not take place", test_moves_that_stayed },
		{ "lists of pages", test_page_list },
		{ "bad lists of pages", test_page_list_errors },
	};

	return unit_run("pace", tests, ARRAY_LEN(tests), argc, argv);
}
