/* SPDX-License-Identifier: MIT */
/*
 * Swap on a file: neighbouring slots become one request of scattered frames. What was
 * written so is read page by page and the other way around, and a request that fails
 * in part fails for those pages only.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/backend_lab.h"

#define AREA_PAGES 1024u
#define MOST       256u

static struct backend_lab lab;

/* The file goes away with the area. */
static struct swap_backend *open_area(void)
{
	char path[] = "/var/tmp/umm-backend-file-XXXXXX", text[128];
	struct swap_backend *b;
	int fd = mkstemp(path);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, AREA_PAGES * UMM_PAGE_SIZE), 0);
	snprintf(text, sizeof(text), "%s", path);
	b = lab_open(&lab, text);
	close(fd);
	unlink(path);
	return b;
}

/* @nr transfers of neighbouring slots, a page each, the frames @step apart. */
static void neighbours(struct swap_io *ios, struct swap_backend *b, uint64_t slot,
		       unsigned int frame, int step, unsigned int nr, bool write)
{
	for (unsigned int i = 0; i < nr; i++)
		ios[i] = (struct swap_io){ .area = b,
					   .slot = slot + i,
					   .pfn = lab_frame(
						   (unsigned int)((int)frame + (int)i * step)),
					   .nr = 1,
					   .write = write };
}

/* At once, or begun and then waited for. False: it cannot be begun. */
static bool transfer(struct swap_io *ios, unsigned int nr, bool in_steps)
{
	void *started;

	if (!in_steps) {
		(void)!swap_areas_run(&lab.areas, ios, nr);
		return true;
	}
	started = swap_areas_start(ios, nr);
	if (started)
		swap_areas_finish(&lab.areas, started, ios, nr);
	return started;
}

static void scattered_there_and_back(struct swap_backend *b, bool in_steps, unsigned int nr,
				     uint64_t base)
{
	struct swap_io ios[MOST];
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < nr; i++)
		lab_fill(&lab, 1000 + 3 * i, base + i);
	neighbours(ios, b, 17, 1000, 3, nr, true);
	CU_ASSERT_TRUE(transfer(ios, nr, in_steps));
	for (unsigned int i = 0; i < nr; i++) {
		CU_ASSERT_EQUAL(ios[i].error, 0);
		memset(lab_page(&lab, 0), 0xee, UMM_PAGE_SIZE);
		CU_ASSERT_EQUAL(lab_io(&lab, b, 17 + i, 0, 1, false), 0);
		wrong += !lab_same(&lab, 0, base + i);
	}
	memset(lab_page(&lab, 0), 0xee, LAB_FRAMES * UMM_PAGE_SIZE);
	neighbours(ios, b, 17, 3000, -2, nr, false);
	CU_ASSERT_TRUE(transfer(ios, nr, in_steps));
	for (unsigned int i = 0; i < nr; i++) {
		CU_ASSERT_EQUAL(ios[i].error, 0);
		wrong += !lab_same(&lab, 3000 - 2 * i, base + i);
		/* Its neighbour in memory is nobody's. */
		wrong += *lab_page(&lab, 3000 - 2 * i - 1) != 0xeeeeeeeeeeeeeeee;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_scattered(void)
{
	static const unsigned int sizes[] = { 1, 2, 63, 64, 65, 128, 200, 256 };
	struct swap_backend *b = open_area();

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		scattered_there_and_back(b, false, sizes[i], 1000 * i);
		scattered_there_and_back(b, true, sizes[i], 1000 * i + 500);
	}
	swap_areas_close(&lab.areas, b);
}

/* Runs of several pages among single ones, and holes between the slots. */
static void test_mixed_runs(void)
{
	static const uint32_t runs[] = { 1, 1, 5, 70, 1, 64, 2, 3, 1, 9 };
	struct swap_backend *b = open_area();
	struct swap_io ios[10];
	uint64_t slot = 1;
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < 10; i++) {
		ios[i] = (struct swap_io){ .area = b,
					   .slot = slot,
					   .pfn = lab_frame(300 * (9 - i)),
					   .nr = runs[i],
					   .write = true };
		slot += runs[i] + (i % 4 == 3);
		for (unsigned int k = 0; k < runs[i]; k++)
			lab_fill(&lab, 300 * (9 - i) + k, 100 * i + k);
	}
	CU_ASSERT_TRUE(transfer(ios, 10, true));
	memset(lab_page(&lab, 0), 0xee, LAB_FRAMES * UMM_PAGE_SIZE);
	for (unsigned int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(ios[i].error, 0);
		ios[i].write = false;
	}
	CU_ASSERT_TRUE(transfer(ios, 10, false));
	for (unsigned int i = 0; i < 10; i++)
		for (unsigned int k = 0; k < runs[i]; k++)
			wrong += !lab_same(&lab, 300 * (9 - i) + k, 100 * i + k);
	CU_ASSERT_EQUAL(wrong, 0);
	swap_areas_close(&lab.areas, b);
}

/* Of 100 pages the last 60 are past the limit of a file's size. */
static void fails_in_part(bool in_steps)
{
	struct swap_backend *b = open_area();
	struct rlimit old, most;
	struct swap_io ios[100];
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < 100; i++)
		lab_fill(&lab, 1000 + 3 * i, i);
	neighbours(ios, b, 600, 1000, 3, 100, true);
	getrlimit(RLIMIT_FSIZE, &old);
	most = (struct rlimit){ 640 * UMM_PAGE_SIZE, old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &most);
	CU_ASSERT_TRUE(transfer(ios, 100, in_steps));
	setrlimit(RLIMIT_FSIZE, &old);
	for (unsigned int i = 0; i < 100; i++) {
		wrong += i < 40 ? ios[i].error != 0 : ios[i].error != -EFBIG;
		if (i >= 40)
			continue;
		CU_ASSERT_EQUAL(lab_io(&lab, b, 600 + i, 0, 1, false), 0);
		wrong += !lab_same(&lab, 0, i);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	swap_areas_close(&lab.areas, b);
}

static void test_fails_in_part(void)
{
	fails_in_part(false);
	fails_in_part(true);
}

/* More requests than a ring holds: they are not begun, and done all the same. */
static void test_too_many(void)
{
	struct swap_backend *b = open_area();
	struct swap_io ios[100];
	unsigned int wrong = 0;

	neighbours(ios, b, 0, 1000, 1, 100, true);
	for (unsigned int i = 0; i < 100; i++) {
		ios[i].slot = i * 7;
		lab_fill(&lab, 1000 + i, i);
	}
	CU_ASSERT_FALSE(transfer(ios, 100, true));
	CU_ASSERT_TRUE(transfer(ios, 100, false));
	for (unsigned int i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(lab_io(&lab, b, i * 7, 0, 1, false), 0);
		wrong += !lab_same(&lab, 0, i);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	swap_areas_close(&lab.areas, b);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	signal(SIGXFSZ, SIG_IGN);
	lab_init(&lab);
	CU_initialize_registry();
	suite = CU_add_suite("file", NULL, NULL);
	CU_add_test(suite, "scattered frames of neighbouring slots", test_scattered);
	CU_add_test(suite, "runs and single pages, holes between", test_mixed_runs);
	CU_add_test(suite, "a request fails in part", test_fails_in_part);
	CU_add_test(suite, "more requests than a ring holds", test_too_many);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	lab_destroy(&lab);
	return failures ? 1 : 0;
}
