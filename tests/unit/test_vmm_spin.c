/* SPDX-License-Identifier: MIT */
/* Looking for an answer before sleeping for it: when, and that nothing is lost by it. */
#include "tests/unit/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/swapio.h"

static void setup(struct spin *s, unsigned int max)
{
	spin_init(s);
	s->max = max;
}

static bool would_spin(struct spin *s)
{
	bool yes = spin_begin(s);

	if (yes)
		spin_end(s);
	return yes;
}

static void test_few_at_a_time(void)
{
	struct spin s;

	setup(&s, 2);
	CU_ASSERT_TRUE(spin_begin(&s));
	CU_ASSERT_TRUE(spin_begin(&s));
	CU_ASSERT_FALSE(spin_begin(&s));
	CU_ASSERT_FALSE(spin_begin(&s));
	spin_end(&s);
	CU_ASSERT_TRUE(spin_begin(&s));
	setup(&s, 0);
	CU_ASSERT_FALSE(spin_begin(&s));
}

static void test_slow_device(void)
{
	unsigned int looks = 0, quick = 0;
	struct spin s;

	setup(&s, 1);
	for (unsigned int i = 0; i < 1000; i++) {
		looks += would_spin(&s);
		spin_learn(&s, 5000000);
	}
	CU_ASSERT_TRUE(looks >= 1 && looks < 10);
	/* It becomes quick: seen by those who sleep. */
	for (; !would_spin(&s) && quick < 1000; quick++)
		spin_learn(&s, 80000);
	CU_ASSERT_TRUE(quick >= 1 && quick < 20);
}

/* One read that is late now and then changes nothing. */
static void test_late_at_times(void)
{
	struct spin s;

	setup(&s, 1);
	for (unsigned int i = 0; i < 1000; i++) {
		CU_ASSERT_TRUE(would_spin(&s));
		spin_learn(&s, i % 10 ? 80000 : 3000000);
	}
}

/* ---- reading with it -------------------------------------------------------------------- */

#define PAGES 16u

struct reads {
	struct swap_engine engine;
	FILE *file;
	char *pages, *buf;
};

static void reads_setup(struct reads *r, unsigned int max)
{
	size_t bytes = PAGES * UMM_PAGE_SIZE;

	swap_engine_init(&r->engine);
	r->engine.spin.max = max;
	r->file = tmpfile();
	r->pages = malloc(bytes);
	r->buf = malloc(bytes);
	CU_ASSERT_FATAL(r->file && r->pages && r->buf);
	for (size_t i = 0; i < bytes; i++)
		r->pages[i] = (char)(i * 31 + i / UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL(write(fileno(r->file), r->pages, bytes), (ssize_t)bytes);
}

static void reads_end(struct reads *r)
{
	CU_ASSERT_EQUAL(atomic_load(&r->engine.spin.now), 0);
	swap_engine_destroy(&r->engine);
	fclose(r->file);
	free(r->pages);
	free(r->buf);
}

static int read_pages(struct reads *r, unsigned int page, unsigned int nr)
{
	struct file_io io = {
		.fd = fileno(r->file),
		.buf = r->buf,
		.offset = page * UMM_PAGE_SIZE,
		.len = nr * UMM_PAGE_SIZE,
	};

	memset(r->buf, 0xee, io.len);
	return swap_engine_run(&r->engine, &io, 1);
}

static void check_reads(struct reads *r)
{
	for (unsigned int i = 0; i + 2 < PAGES; i++) {
		CU_ASSERT_EQUAL(read_pages(r, i, 1 + i % 2), 0);
		CU_ASSERT_FALSE(
			memcmp(r->buf, r->pages + i * UMM_PAGE_SIZE, (1 + i % 2) * UMM_PAGE_SIZE));
	}
	/* Half of it is past the end, then all of it. */
	CU_ASSERT_EQUAL(read_pages(r, PAGES - 1, 2), -EIO);
	CU_ASSERT_EQUAL(read_pages(r, PAGES, 1), -EIO);
}

static void test_reads(void)
{
	struct reads r;

	reads_setup(&r, 1);
	check_reads(&r);
	CU_ASSERT_PTR_NOT_NULL(r.engine.idle);
	reads_end(&r);
}

/* Those who sleep, and those who read much, do so without a ring. */
static void test_sleeps(void)
{
	struct reads r;

	reads_setup(&r, 0);
	check_reads(&r);
	r.engine.spin.max = 1;
	CU_ASSERT_EQUAL(read_pages(&r, 0, PAGES), 0);
	CU_ASSERT_FALSE(memcmp(r.buf, r.pages, PAGES * UMM_PAGE_SIZE));
	CU_ASSERT_PTR_NULL(r.engine.idle);
	reads_end(&r);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "on so many processors at a time", test_few_at_a_time },
		{ "not where answers take long", test_slow_device },
		{ "one late answer changes nothing", test_late_at_times },
		{ "reads that are looked for", test_reads },
		{ "reads that are slept for", test_sleeps },
	};

	return unit_run("spin", tests, ARRAY_LEN(tests), argc, argv);
}
