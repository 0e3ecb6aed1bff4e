/* SPDX-License-Identifier: MIT */
/*
 * Swap back ends: what was written comes back, whatever else happens; memory that
 * nobody needs goes; limits hold; the coldest pages go to the file, and stay where they
 * are if it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/backend_lab.h"

static struct backend_lab lab;

static void oracle_check(const char *text, unsigned int threads, unsigned int rounds)
{
	struct swap_backend *b = lab_open(&lab, text);
	uint64_t fails;

	CU_ASSERT_EQUAL(oracle_run(&lab, b, threads, rounds, 42, &fails), 0);
	CU_ASSERT_EQUAL(fails, 0);
	swap_areas_close(&lab.areas, b);
}

static void test_oracle_ram(void)
{
	oracle_check("ram:4M", 4, 200);
}

static void test_oracle_file(void)
{
	oracle_check("4M", 4, 50);
}

static void test_oracle_lz4(void)
{
	oracle_check("lz4:16M", 4, 200);
}

static void test_oracle_zstd(void)
{
	oracle_check("zstd:16M,level=1", 4, 100);
}

/*
 * Several times more than fits: most goes through the file, and all comes back. (A copy
 * that was older than its slot came back in one run of 600 rounds of four.)
 */
static void test_oracle_writeback(void)
{
	struct swap_backend *b = lab_open(&lab, "lz4:64M,memory=8M,writeback=64M");
	uint64_t fails;

	CU_ASSERT_EQUAL(oracle_run(&lab, b, 4, 1500, 7, &fails), 0);
	CU_ASSERT_EQUAL(fails, 0);
	CU_ASSERT_TRUE(lab_figure(b, "written_back") > 1000);
	CU_ASSERT_TRUE(lab_figure(b, "memory_bytes") <= 8 << 20);
	swap_areas_close(&lab.areas, b);
}

/* ---- compressed memory ------------------------------------------------------------ */

/* Keys of pages that compress, of such that do not, and of one word. */
static uint64_t key_of(unsigned int kind, unsigned int i)
{
	return 4 * (i + 1) + kind;
}

#define WORD  0u
#define NOISE 1u
#define HEAP  2u

static int write_key(struct swap_backend *b, uint64_t slot, uint64_t key)
{
	lab_fill(&lab, 0, key);
	return lab_io(&lab, b, slot, 0, 1, true);
}

static bool reads_key(struct swap_backend *b, uint64_t slot, uint64_t key)
{
	memset(lab_page(&lab, 0), 0xee, UMM_PAGE_SIZE);
	return !lab_io(&lab, b, slot, 0, 1, false) && lab_same(&lab, 0, key);
}

static void test_kinds(void)
{
	struct swap_backend *b = lab_open(&lab, "lz4:64M");

	for (unsigned int i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(write_key(b, i, key_of(i % 3, i)), 0);
	CU_ASSERT_EQUAL(lab_figure(b, "same_filled_pages"), 100);
	CU_ASSERT_EQUAL(lab_figure(b, "incompressible_pages"), 100);
	CU_ASSERT_EQUAL(lab_figure(b, "compressed_pages"), 100);
	CU_ASSERT_EQUAL(lab_figure(b, "original_bytes"), 300 * UMM_PAGE_SIZE);
	/* The random ones as they are, the words for nothing, the others smaller. */
	CU_ASSERT_TRUE(lab_figure(b, "compressed_bytes") > 100 * UMM_PAGE_SIZE);
	CU_ASSERT_TRUE(lab_figure(b, "compressed_bytes") < 170 * UMM_PAGE_SIZE);
	for (unsigned int i = 0; i < 300; i++)
		CU_ASSERT_TRUE(reads_key(b, i, key_of(i % 3, i)));
	/* Slots in which another kind of page was before. */
	for (unsigned int i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(write_key(b, i, key_of((i + 1) % 3, i)), 0);
	for (unsigned int i = 0; i < 300; i++)
		CU_ASSERT_TRUE(reads_key(b, i, key_of((i + 1) % 3, i)));
	swap_areas_freed(b, 0, 300);
	CU_ASSERT_EQUAL(lab_figure(b, "original_bytes"), 0);
	CU_ASSERT_EQUAL(lab_figure(b, "compressed_bytes"), 0);
	CU_ASSERT_EQUAL(lab_figure(b, "memory_bytes"), 0);
	/* There is nothing in a slot that was freed. */
	CU_ASSERT_EQUAL(lab_io(&lab, b, 5, 0, 1, false), -EIO);
	swap_areas_close(&lab.areas, b);
}

/* Every 64-bit word may fill a page, and a page that differs in its last word is none. */
static void test_same_filled(void)
{
	struct swap_backend *b = lab_open(&lab, "lz4:1M");
	uint64_t *page = lab_page(&lab, 0);

	for (unsigned int i = 0; i < LAB_WORDS; i++)
		page[i] = 0xdeadbeef00c0ffeeull;
	CU_ASSERT_EQUAL(lab_io(&lab, b, 0, 0, 1, true), 0);
	page[LAB_WORDS - 1]++;
	CU_ASSERT_EQUAL(lab_io(&lab, b, 1, 0, 1, true), 0);
	CU_ASSERT_EQUAL(lab_figure(b, "same_filled_pages"), 1);
	CU_ASSERT_EQUAL(lab_figure(b, "compressed_pages"), 1);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 0, 0, 1, false), 0);
	CU_ASSERT_EQUAL(page[0], 0xdeadbeef00c0ffeeull);
	CU_ASSERT_EQUAL(page[LAB_WORDS - 1], 0xdeadbeef00c0ffeeull);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 1, 0, 1, false), 0);
	CU_ASSERT_EQUAL(page[LAB_WORDS - 1], 0xdeadbeef00c0ffefull);
	swap_areas_close(&lab.areas, b);
}

/* At the limit writes are refused with ENOSPC; what is in stays; freeing makes room. */
static void test_limit(void)
{
	struct swap_backend *b = lab_open(&lab, "lz4:64M,memory=8M");
	unsigned int n = 0;

	while (n < 4096 && !write_key(b, n, key_of(NOISE, n)))
		n++;
	CU_ASSERT_TRUE(n > 1900 && n < 2048);
	CU_ASSERT_EQUAL(write_key(b, n, key_of(NOISE, n)), -ENOSPC);
	CU_ASSERT_TRUE(lab_figure(b, "memory_bytes") <= 8 << 20);
	for (unsigned int i = 0; i < n; i++)
		CU_ASSERT_TRUE(reads_key(b, i, key_of(NOISE, i)));
	swap_areas_freed(b, 0, 16);
	CU_ASSERT_EQUAL(write_key(b, n, key_of(NOISE, n)), 0);
	CU_ASSERT_TRUE(reads_key(b, n, key_of(NOISE, n)));
	CU_ASSERT_TRUE(reads_key(b, 16, key_of(NOISE, 16)));
	swap_areas_close(&lab.areas, b);
}

/* Most of what was stored is freed, scattered: the memory comes back all the same. */
static void test_compaction(void)
{
	struct swap_backend *b = lab_open(&lab, "lz4:64M");
	uint64_t full, data;

	for (unsigned int i = 0; i < 8000; i++)
		CU_ASSERT_EQUAL(write_key(b, i, key_of(HEAP, i)), 0);
	full = lab_figure(b, "memory_bytes");
	for (unsigned int i = 0; i < 8000; i++)
		if (i % 10)
			swap_areas_freed(b, i, 1);
	/* Whole blocks rarely got empty by that. */
	for (unsigned int i = 0; i < 1200 && lab_figure(b, "memory_bytes") > full / 5; i++)
		usleep(50000);
	data = lab_figure(b, "compressed_bytes");
	CU_ASSERT_TRUE(lab_figure(b, "memory_bytes") <= full / 5);
	CU_ASSERT_TRUE(data < full / 8);
	CU_ASSERT_TRUE(lab_figure(b, "compaction_moved") > 0);
	for (unsigned int i = 0; i < 8000; i += 10)
		CU_ASSERT_TRUE(reads_key(b, i, key_of(HEAP, i)));
	swap_areas_close(&lab.areas, b);
}

/* ---- write-back --------------------------------------------------------------------- */

/* It has not changed for a while: what was begun is done. */
static uint64_t settled_figure(struct swap_backend *b, const char *name)
{
	uint64_t figure = lab_figure(b, name), last;
	unsigned int same = 0, i;

	for (i = 0; same < 20 && i < 3000; i++) {
		usleep(20000);
		last = figure;
		figure = lab_figure(b, name);
		same = figure == last ? same + 1 : 0;
	}
	CU_ASSERT_EQUAL(same, 20);
	return figure;
}

static void test_coldest_first(void)
{
	struct swap_backend *b = lab_open(&lab, "lz4:64M,memory=8M,writeback=64M");
	uint64_t before;
	unsigned int n;

	/* A few that are read again and again, and many that are not. */
	for (n = 0; n < 64; n++)
		CU_ASSERT_EQUAL(write_key(b, n, key_of(NOISE, n)), 0);
	for (n = 64; n < 6000; n++) {
		CU_ASSERT_EQUAL(write_key(b, n, key_of(NOISE, n)), 0);
		CU_ASSERT_TRUE(reads_key(b, n % 64, key_of(NOISE, n % 64)));
	}
	CU_ASSERT_TRUE(lab_figure(b, "writeback_pages") > 3000);
	CU_ASSERT_TRUE(lab_figure(b, "memory_bytes") <= 8 << 20);
	/* Those are in memory still: freeing them leaves the number in the file. */
	before = settled_figure(b, "writeback_pages");
	swap_areas_freed(b, 0, 64);
	CU_ASSERT_EQUAL(lab_figure(b, "writeback_pages"), before);
	swap_areas_freed(b, 64, 64);
	CU_ASSERT_EQUAL(lab_figure(b, "writeback_pages"), before - 64);
	for (n = 128; n < 6000; n++)
		CU_ASSERT_TRUE(reads_key(b, n, key_of(NOISE, n)));
	swap_areas_close(&lab.areas, b);
}

/* The file is full as well: ENOSPC, and all that was taken comes back. */
static void test_writeback_full(void)
{
	struct swap_backend *b = lab_open(&lab, "lz4:64M,memory=8M,writeback=4M");
	unsigned int n = 0;

	/* Memory may be full while there is room in the file: the keeper is behind then. */
	for (unsigned int tries = 0; n < 8000 && tries < 200;) {
		tries = write_key(b, n, key_of(NOISE, n)) ? tries + 1 : 0;
		n += !tries;
		if (tries)
			usleep(1000);
	}
	CU_ASSERT_TRUE(n > 2900 && n <= 3072);
	for (unsigned int i = 0; i < n; i++)
		CU_ASSERT_TRUE(reads_key(b, i, key_of(NOISE, i)));
	swap_areas_freed(b, 0, 256);
	CU_ASSERT_EQUAL(write_key(b, n, key_of(NOISE, n)), 0);
	swap_areas_close(&lab.areas, b);
}

/*
 * The file shrank behind our back, so that reading past its end fails, and it may not
 * grow, so that writing does: pages in memory stay, each lost page is an error. How many
 * the keeper wrote before is a matter of luck, that no more fit than memory and file hold
 * is not.
 */
static void test_writeback_fails(void)
{
	static bool taken[8000];
	char path[] = "/var/tmp/umm-writeback-XXXXXX", text[128];
	unsigned int n, lost = 0, wrong = 0, fails = 0, limit = (8 << 20) / UMM_PAGE_SIZE;
	struct rlimit none = { 0, RLIM_INFINITY }, old;
	struct swap_backend *b;
	int fd = mkstemp(path);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 8 << 20), 0);
	snprintf(text, sizeof(text), "lz4:64M,memory=8M,writeback=%s", path);
	b = lab_open(&lab, text);
	for (n = 0; n < 2500; n++) {
		taken[n] = !write_key(b, n, key_of(NOISE, n));
		CU_ASSERT_TRUE(taken[n]);
	}
	getrlimit(RLIMIT_FSIZE, &old);
	none.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &none);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	for (; n < 8000; n++) {
		taken[n] = !write_key(b, n, key_of(NOISE, n));
		fails += !taken[n];
	}
	CU_ASSERT_TRUE(lab_figure(b, "writeback_errors") > 0);
	for (n = 0; n < 8000; n++) {
		memset(lab_page(&lab, 0), 0xee, UMM_PAGE_SIZE);
		if (lab_io(&lab, b, n, 0, 1, false))
			lost += taken[n];
		else
			wrong += !taken[n] || !lab_same(&lab, 0, key_of(NOISE, n));
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_TRUE(lost > 0 && lost < limit);
	CU_ASSERT_EQUAL(lost, lab_figure(b, "writeback_pages"));
	CU_ASSERT_TRUE(fails >= 8000 - limit - lost);
	swap_areas_close(&lab.areas, b);
	setrlimit(RLIMIT_FSIZE, &old);
	close(fd);
	unlink(path);
}

/* No file descriptor is left for a ring: transfers are done all the same. */
static void test_no_ring(void)
{
	struct rlimit old, none;
	struct file_io io;
	struct swap_engine engine;
	struct errmsg e;
	FILE *f = tmpfile();

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(ftruncate(fileno(f), 1 << 20), 0);
	swap_engine_init(&engine);
	getrlimit(RLIMIT_NOFILE, &old);
	none = (struct rlimit){ (rlim_t)fileno(f), old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT_EQUAL(swap_engine_check(&engine, &e), -EMFILE);
	for (unsigned int i = 0; i < 8; i++)
		lab_fill(&lab, i, i + 1);
	io = (struct file_io){ .fd = fileno(f),
			       .write = true,
			       .buf = lab_page(&lab, 0),
			       .offset = 16 * UMM_PAGE_SIZE,
			       .len = 8 * UMM_PAGE_SIZE };
	CU_ASSERT_EQUAL(swap_engine_run(&engine, &io, 1), 0);
	memset(lab_page(&lab, 0), 0xee, 8 * UMM_PAGE_SIZE);
	io.write = false;
	CU_ASSERT_EQUAL(swap_engine_run(&engine, &io, 1), 0);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_TRUE(lab_same(&lab, i, i + 1));
	/* Past the end of the file. */
	io.offset = 1 << 20;
	CU_ASSERT_EQUAL(swap_engine_run(&engine, &io, 1), -EIO);
	setrlimit(RLIMIT_NOFILE, &old);
	swap_engine_destroy(&engine);
	fclose(f);
}

/* ---- the others ------------------------------------------------------------------------ */

static void test_null(void)
{
	struct swap_backend *b = lab_open(&lab, "null:1M");

	CU_ASSERT_EQUAL(write_key(b, 3, key_of(NOISE, 3)), 0);
	memset(lab_page(&lab, 0), 0xee, UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 3, 0, 1, false), 0);
	CU_ASSERT_TRUE(lab_same(&lab, 0, 0));
	swap_areas_close(&lab.areas, b);
}

static void test_ram_gives_back(void)
{
	struct swap_backend *b = lab_open(&lab, "ram:1M");

	for (unsigned int i = 0; i < 130; i++)
		CU_ASSERT_EQUAL(write_key(b, i, key_of(NOISE, i)), 0);
	CU_ASSERT_EQUAL(lab_figure(b, "memory_bytes"), 130 * UMM_PAGE_SIZE);
	swap_areas_freed(b, 60, 10);
	CU_ASSERT_EQUAL(lab_figure(b, "memory_bytes"), 120 * UMM_PAGE_SIZE);
	CU_ASSERT_TRUE(reads_key(b, 59, key_of(NOISE, 59)));
	CU_ASSERT_TRUE(reads_key(b, 70, key_of(NOISE, 70)));
	swap_areas_freed(b, 0, 128);
	CU_ASSERT_TRUE(reads_key(b, 129, key_of(NOISE, 129)));
	CU_ASSERT_EQUAL(lab_figure(b, "memory_bytes"), 2 * UMM_PAGE_SIZE);
	swap_areas_close(&lab.areas, b);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	signal(SIGXFSZ, SIG_IGN);
	lab_init(&lab);
	CU_initialize_registry();
	suite = CU_add_suite("backend", NULL, NULL);
	CU_add_test(suite, "oracle: ram", test_oracle_ram);
	CU_add_test(suite, "oracle: file", test_oracle_file);
	CU_add_test(suite, "oracle: lz4", test_oracle_lz4);
	CU_add_test(suite, "oracle: zstd", test_oracle_zstd);
	CU_add_test(suite, "oracle: lz4 with write-back", test_oracle_writeback);
	CU_add_test(suite, "lz4: kinds of pages", test_kinds);
	CU_add_test(suite, "lz4: pages of one word", test_same_filled);
	CU_add_test(suite, "lz4: the limit", test_limit);
	CU_add_test(suite, "lz4: compaction", test_compaction);
	CU_add_test(suite, "write-back: the coldest first", test_coldest_first);
	CU_add_test(suite, "write-back: the file is full", test_writeback_full);
	CU_add_test(suite, "write-back: the file fails", test_writeback_fails);
	CU_add_test(suite, "file: no ring to be had", test_no_ring);
	CU_add_test(suite, "null: nothing is kept", test_null);
	CU_add_test(suite, "ram: memory goes back", test_ram_gives_back);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	lab_destroy(&lab);
	return failures ? 1 : 0;
}
