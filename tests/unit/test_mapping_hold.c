/* SPDX-License-Identifier: MIT */
/* Files that are changed, and read, past the cache while pages of them are written back. */
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/walks.h"

#define PAGES 4
#define WORD  sizeof(uint64_t)

/* What a write or a hole of the file does besides, once. */
static struct {
	void (*in_write)(void);
	void (*in_punch)(void);
} besides;

static void call_once(void (**what)(void))
{
	void (*call)(void) = *what;

	*what = NULL;
	if (call)
		call();
}

static int busy_write(void *file, uint64_t off, const void *hva, size_t len)
{
	call_once(&besides.in_write);
	return fake_file_ops.write(file, off, hva, len);
}

static int busy_punch(void *file, uint64_t off, uint64_t len)
{
	memset(((struct fake_file *)file)->bytes + off, 0, len);
	call_once(&besides.in_punch);
	return 0;
}

static struct setup {
	struct mapping_ops ops;
	struct fake_host *h;
	struct fake_file *file;
	struct address_space *mapping;
	struct mm *mm;
	gva_t addr;
} s;

static void open_mapped(void)
{
	s.ops = fake_file_ops;
	s.ops.write = busy_write;
	s.ops.punch = busy_punch;
	s.h = unit_open();
	s.file = fake_file_create(s.h, PAGES * UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL_FATAL(mapping_create(s.h->sys, &s.ops, s.file, 0, &s.mapping), 0);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_file(s.mm, s.mapping, 0, PAGES, PROT_RW, MAP_SHARED);
}

static void close_mapped(void)
{
	struct unit_file file = { .file = s.file, .mapping = s.mapping };

	unit_check(s.h);
	mm_put(s.mm);
	unit_file_close(&file);
	unit_close(s.h);
}

static gva_t word_at(uint64_t page, uint64_t i)
{
	return gva_add(page_at(s.addr, page), i * WORD);
}

static void change_file(uint64_t page, uint64_t i, uint64_t value)
{
	memcpy(s.file->bytes + page * UMM_PAGE_SIZE + i * WORD, &value, WORD);
}

static int sync_all(void)
{
	return mm_msync(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, MS_SYNC);
}

/* A store next to what write() writes, and a writeback, before the page is read again. */
static void test_write_beside_a_store(void)
{
	struct mapping_hold hold;

	open_mapped();
	unit_put(s.h, s.mm, word_at(1, 0), 10);
	CU_ASSERT_EQUAL(mapping_flush(s.mapping, UMM_PAGE_SIZE + 16 * WORD, WORD), 0);
	mapping_hold(s.mapping, &hold, UMM_PAGE_SIZE + 16 * WORD, WORD);
	CU_ASSERT_TRUE(mapping_changing(s.mapping));
	change_file(1, 16, 77);
	unit_put(s.h, s.mm, word_at(1, 15), 15);
	unit_put(s.h, s.mm, word_at(1, 17), 17);
	CU_ASSERT_EQUAL(sync_all(), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 1, 15), 15);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 1, 16), 77);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 1, 17), 17);
	CU_ASSERT_EQUAL(mapping_refresh(s.mapping, UMM_PAGE_SIZE + 16 * WORD, WORD), 0);
	mapping_unhold(s.mapping, &hold);
	CU_ASSERT_FALSE(mapping_changing(s.mapping));
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, word_at(1, 16)), 77);
	close_mapped();
}

/* Held bytes are not lost: they are written when nobody holds them. */
static void test_held_stays_dirty(void)
{
	struct mapping_hold first, second;

	open_mapped();
	mapping_hold(s.mapping, &first, 0, UMM_PAGE_SIZE + 2 * WORD);
	mapping_hold(s.mapping, &second, UMM_PAGE_SIZE + WORD, UINT64_MAX - UMM_PAGE_SIZE - WORD);
	for (uint64_t page = 0; page < PAGES; page++)
		unit_put(s.h, s.mm, word_at(page, 3), 30 + page);
	CU_ASSERT_EQUAL(sync_all(), 0);
	CU_ASSERT_EQUAL(s.file->writes, 0);
	mapping_unhold(s.mapping, &second);
	CU_ASSERT_EQUAL(sync_all(), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 0, 3), fake_file_word(0, 3));
	CU_ASSERT_EQUAL(fake_file_read(s.file, 1, 3), 31);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 2, 3), 32);
	mapping_unhold(s.mapping, &first);
	CU_ASSERT_EQUAL(sync_all(), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 0, 3), 30);
	close_mapped();
}

/* Reclaim leaves such pages where they are, and does not call it an error. */
static void test_reclaim_leaves_held(void)
{
	struct reclaim_request req = { .nr_frames = UINT64_MAX,
				       .node = -1,
				       .ignore_references = true };
	struct mapping_hold hold;
	struct reclaim_result r;

	open_mapped();
	unit_put(s.h, s.mm, word_at(0, 0), 1);
	unit_put(s.h, s.mm, word_at(1, 0), 2);
	mapping_hold(s.mapping, &hold, 0, WORD);
	CU_ASSERT_EQUAL(mm_reclaim(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.io_error, 0);
	CU_ASSERT_EQUAL(mapping_nr_cached(s.mapping), 1);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 1, 0), 2);
	mapping_unhold(s.mapping, &hold);
	CU_ASSERT_EQUAL(mm_reclaim(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(mapping_nr_cached(s.mapping), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file, 0, 0), 1);
	close_mapped();
}

/* ---- what is being written ------------------------------------------------------------- */

static pthread_t other;
static bool arrived;      /* a  the write is done */
static bool seen_arrived; /* what the other thread saw when it was let go on */

static void *flush_meanwhile(void *arg)
{
	(void)arg;
	CU_ASSERT_EQUAL(mapping_flush(s.mapping, 0, WORD), 0);
	seen_arrived = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE);
	return NULL;
}

static void *hold_meanwhile(void *arg)
{
	struct mapping_hold hold;

	(void)arg;
	mapping_hold(s.mapping, &hold, 0, WORD);
	seen_arrived = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE);
	mapping_unhold(s.mapping, &hold);
	return NULL;
}

/* A slow device: who does not wait for it is through long before it. */
static void write_slowly(void *(*meanwhile)(void *))
{
	__atomic_store_n(&arrived, false, __ATOMIC_RELEASE);
	pthread_create(&other, NULL, meanwhile, NULL);
	usleep(50000);
	__atomic_store_n(&arrived, true, __ATOMIC_RELEASE);
}

static void slow_and_flush(void)
{
	write_slowly(flush_meanwhile);
}

static void slow_and_hold(void)
{
	write_slowly(hold_meanwhile);
}

static void check_waits(void (*in_write)(void))
{
	open_mapped();
	unit_put(s.h, s.mm, word_at(0, 0), 5);
	seen_arrived = false;
	besides.in_write = in_write;
	CU_ASSERT_EQUAL(sync_all(), 0);
	CU_ASSERT_PTR_NULL(besides.in_write);
	pthread_join(other, NULL);
	CU_ASSERT_TRUE(seen_arrived);
	CU_ASSERT_FALSE(mapping_changing(s.mapping));
	close_mapped();
}

static void test_flush_waits(void)
{
	check_waits(slow_and_flush);
}

static void test_hold_waits(void)
{
	check_waits(slow_and_hold);
}

/* ---- holes, and files that others change -------------------------------------------------- */

/* The hole is there; its page is not dropped yet. */
static void store_and_sync(void)
{
	unit_put(s.h, s.mm, word_at(2, 9), 99);
	CU_ASSERT_EQUAL(sync_all(), 0);
}

static void test_punch_beside_a_store(void)
{
	open_mapped();
	unit_put(s.h, s.mm, word_at(2, 8), 88);
	besides.in_punch = store_and_sync;
	CU_ASSERT_EQUAL(mm_madvise(s.mm, page_at(s.addr, 2), UMM_PAGE_SIZE, MADV_REMOVE), 0);
	CU_ASSERT_PTR_NULL(besides.in_punch);
	for (uint64_t i = 0; i < 16; i++) {
		CU_ASSERT_EQUAL(fake_file_read(s.file, 2, i), 0);
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, word_at(2, i)), 0);
	}
	CU_ASSERT_FALSE(mapping_changing(s.mapping));
	close_mapped();
}

/* Stored since: the store stays. Not stored: what the file has now. */
static void test_reread(void)
{
	open_mapped();
	unit_put(s.h, s.mm, word_at(0, 0), 1);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, word_at(1, 0)), fake_file_word(1, 0));
	change_file(0, 0, 1000);
	change_file(1, 0, 1001);
	CU_ASSERT_EQUAL(mapping_reread(s.mapping), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, word_at(0, 0)), 1);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, word_at(1, 0)), 1001);
	close_mapped();
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "write() beside a store to the same page", test_write_beside_a_store },
		{ "what is held stays dirty", test_held_stays_dirty },
		{ "reclaim leaves what is held", test_reclaim_leaves_held },
		{ "a flush waits for what is being written", test_flush_waits },
		{ "a hold waits for what is being written", test_hold_waits },
		{ "a hole beside a store", test_punch_beside_a_store },
		{ "reading again loses no store", test_reread },
	};

	return unit_run("mapping_hold", tests, ARRAY_LEN(tests), argc, argv);
}
