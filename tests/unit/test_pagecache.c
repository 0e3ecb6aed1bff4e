/* SPDX-License-Identifier: MIT */
/* Pages of files and of shared memory in guest frames. */
#include "tests/unit/walks.h"

#define PAGES 16

struct setup {
	struct fake_host *h;
	struct unit_file file;
	struct mm *mm;
	gva_t addr;
};

static struct setup open_mapped(void)
{
	struct setup s = { .h = unit_open() };

	s.file = unit_file(s.h, PAGES * UMM_PAGE_SIZE);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_file(s.mm, s.file.mapping, 0, PAGES, PROT_RW, MAP_SHARED);
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	mm_put(s->mm);
	unit_file_close(&s->file);
	unit_close(s->h);
}

static void test_read(void)
{
	struct setup s = open_mapped();
	struct mm *other = unit_mm(s.h);
	gva_t b = unit_map_file(other, s.file.mapping, 4, 8, PROT_READ, MAP_PRIVATE);

	for (uint64_t i = 0; i < PAGES; i++)
		for (uint64_t w = 0; w < 512; w += 73)
			CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(page_at(s.addr, i), 8 * w)),
					fake_file_word(i, w));
	/* One copy in memory for both. */
	CU_ASSERT_EQUAL(unit_get(s.h, other, page_at(b, 2)), fake_file_word(6, 0));
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, other, page_at(b, 2)),
			    unit_folio(s.h, s.mm, page_at(s.addr, 6)));
	CU_ASSERT_EQUAL(mapping_nr_cached(s.file.mapping), PAGES);
	mm_put(other);
	close_setup(&s);
}

static void test_last_page_and_beyond(void)
{
	struct fake_host *h = unit_open();
	struct unit_file file = unit_file(h, UMM_PAGE_SIZE + 100);
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map_file(mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	uint64_t value;

	CU_ASSERT_EQUAL(unit_get(h, mm, gva_add(page_at(a, 1), 88)), fake_file_word(1, 11));
	CU_ASSERT_EQUAL(unit_get(h, mm, gva_add(page_at(a, 1), 104)), 0);
	CU_ASSERT_EQUAL(fake_load(h, mm, 0, page_at(a, 2), &value), FAULT_BUS);
	CU_ASSERT_EQUAL(fake_store(h, mm, 0, page_at(a, 3), 1), FAULT_BUS);
	unit_put(h, mm, gva_add(page_at(a, 1), 8), 9);
	CU_ASSERT_EQUAL(mm_msync(mm, a, 2 * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 1, 1), 9);
	unit_check(h);
	mm_put(mm);
	unit_file_close(&file);
	unit_close(h);
}

/* A clean page read by a mapping that may write is not written back. */
static void test_clean_not_written(void)
{
	struct setup s = open_mapped();

	for (uint64_t i = 0; i < PAGES; i++)
		unit_get(s.h, s.mm, page_at(s.addr, i));
	CU_ASSERT_EQUAL(mm_msync(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(s.file.file->writes, 0);
	CU_ASSERT_TRUE(s.file.file->syncs >= 1);
	close_setup(&s);
}

static void test_unmap_keeps_dirty(void)
{
	struct setup s = open_mapped();

	unit_put(s.h, s.mm, page_at(s.addr, 3), 33);
	unit_unmap(s.mm, s.addr, PAGES);
	s.addr = unit_map_file(s.mm, s.file.mapping, 0, PAGES, PROT_RW, MAP_SHARED);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 3)), 33);
	unit_unmap(s.mm, s.addr, PAGES);
	CU_ASSERT_EQUAL(mapping_flush(s.file.mapping, 0, PAGES * UMM_PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 3, 0), 33);
	close_setup(&s);
}

/* The last reference writes what is dirty. */
static void test_put_writes(void)
{
	struct fake_host *h = unit_open();
	struct unit_file file = unit_file(h, 4 * UMM_PAGE_SIZE);
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map_file(mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);

	unit_put(h, mm, page_at(a, 1), 11);
	mm_put(mm);
	mapping_put(file.mapping);
	CU_ASSERT_TRUE(file.file->released);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 1, 0), 11);
	fake_file_destroy(file.file);
	unit_close(h);
}

/* read() and write() beside a mapping. */
static void test_coherence(void)
{
	struct setup s = open_mapped();
	uint64_t word = 55;

	unit_put(s.h, s.mm, page_at(s.addr, 2), 22);
	CU_ASSERT_EQUAL(mapping_flush(s.file.mapping, 2 * UMM_PAGE_SIZE, 8), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 2, 0), 22);
	/* write(): flush, change the file, refresh. */
	unit_put(s.h, s.mm, gva_add(page_at(s.addr, 2), 8), 23);
	CU_ASSERT_EQUAL(mapping_flush(s.file.mapping, 2 * UMM_PAGE_SIZE, 8), 0);
	memcpy(s.file.file->bytes + 2 * UMM_PAGE_SIZE, &word, 8);
	CU_ASSERT_EQUAL(mapping_refresh(s.file.mapping, 2 * UMM_PAGE_SIZE, 8), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 2)), 55);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(page_at(s.addr, 2), 8)), 23);
	/* A store after it is not lost. */
	unit_put(s.h, s.mm, page_at(s.addr, 2), 56);
	CU_ASSERT_EQUAL(mm_msync(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 2, 0), 56);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 2, 1), 23);
	close_setup(&s);
}

static void test_invalidate(void)
{
	struct setup s = open_mapped();
	uint64_t word = 99;

	for (uint64_t i = 0; i < PAGES; i++)
		unit_get(s.h, s.mm, page_at(s.addr, i));
	unit_unmap(s.mm, s.addr, PAGES);
	mapping_invalidate(s.file.mapping);
	CU_ASSERT_EQUAL(mapping_nr_cached(s.file.mapping), 0);
	memcpy(s.file.file->bytes, &word, 8);
	s.addr = unit_map_file(s.mm, s.file.mapping, 0, PAGES, PROT_RW, MAP_SHARED);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 99);
	close_setup(&s);
}

static void test_read_error(void)
{
	struct setup s = open_mapped();
	uint64_t value;

	fake_fail_nth(s.h, FAKE_FILE_READ, 1);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, s.addr, &value), FAULT_BUS);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), fake_file_word(0, 0));
	close_setup(&s);
}

/* A failed write is reported, and the page stays dirty: the next try writes it. */
static void test_write_error(void)
{
	struct setup s = open_mapped();

	unit_put(s.h, s.mm, s.addr, 7);
	fake_fail_nth(s.h, FAKE_FILE_WRITE, 1);
	CU_ASSERT_EQUAL(mm_msync(s.mm, s.addr, UMM_PAGE_SIZE, MS_SYNC), -EIO);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 0, 0), fake_file_word(0, 0));
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 7);
	CU_ASSERT_EQUAL(mm_msync(s.mm, s.addr, UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 0, 0), 7);
	close_setup(&s);
}

static void test_write_error_in_reclaim(void)
{
	struct setup s = open_mapped();
	struct reclaim_request req = { .nr_frames = UINT64_MAX,
				       .node = -1,
				       .ignore_references = true };
	struct reclaim_result r;

	unit_put(s.h, s.mm, s.addr, 7);
	fake_fail_nth(s.h, FAKE_FILE_WRITE, 1);
	(void)!mm_reclaim(s.h->sys, &req, &r);
	CU_ASSERT_EQUAL(r.io_error, 1);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 7);
	unit_check(s.h);
	CU_ASSERT_EQUAL(mm_reclaim(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 0, 0), 7);
	close_setup(&s);
}

/* Shared memory: swapped out by one mapping, found through the object by another. */
static void test_shmem_swap(void)
{
	struct fake_host *h = unit_open();
	struct address_space *m = NULL;
	struct mm *one = unit_mm(h), *two = unit_mm(h);
	struct swap_info info;
	gva_t a, b;

	CU_ASSERT_EQUAL_FATAL(mapping_create(h->sys, NULL, NULL, 8 * UMM_PAGE_SIZE, &m), 0);
	a = unit_map_file(one, m, 0, 8, PROT_RW, MAP_SHARED);
	b = unit_map_file(two, m, 2, 4, PROT_RW, MAP_SHARED);
	unit_fill(h, one, a, 8, 1);
	CU_ASSERT_TRUE(unit_get(h, two, gva_add(b, 16)) != 0);
	unit_reclaim(h, one, gva_make(0), 0);
	CU_ASSERT_FALSE(unit_mapped(h, one, a));
	CU_ASSERT_FALSE(unit_mapped(h, two, b));
	swap_get_info(h->sys, &info);
	CU_ASSERT_EQUAL(info.used, 8);
	unit_check(h);
	unit_put(h, two, b, 5);
	CU_ASSERT_EQUAL(unit_get(h, one, page_at(a, 2)), 5);
	CU_ASSERT_EQUAL(unit_verify(h, one, a, 8, 1), 0);
	/* Without a mapping the pages live on in the object. */
	unit_reclaim(h, one, gva_make(0), 0);
	mm_put(one);
	unit_check(h);
	mm_put(two);
	one = unit_mm(h);
	a = unit_map_file(one, m, 0, 8, PROT_RW, MAP_SHARED);
	CU_ASSERT_EQUAL(unit_verify(h, one, a, 8, 1), 0);
	mm_put(one);
	mapping_put(m);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "read once, shared by all", test_read },
		{ "the last page, and past it", test_last_page_and_beyond },
		{ "clean pages are not written", test_clean_not_written },
		{ "a dirty page outlives its mapping", test_unmap_keeps_dirty },
		{ "the last reference writes dirty pages", test_put_writes },
		{ "read() and write() beside a mapping", test_coherence },
		{ "invalidate drops clean pages", test_invalidate },
		{ "a read error is SIGBUS, once", test_read_error },
		{ "a write error is told and nothing is lost", test_write_error },
		{ "a write error in reclaim loses nothing", test_write_error_in_reclaim },
		{ "shared memory through swap", test_shmem_swap },
	};

	return unit_run("pagecache", tests, ARRAY_LEN(tests), argc, argv);
}
