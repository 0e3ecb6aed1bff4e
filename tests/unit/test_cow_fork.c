/* SPDX-License-Identifier: MIT */
/* fork and copy-on-write: who owns what, who copies. Rows 84 to 86. */
#include "tests/unit/walks.h"

#define PAGES 8

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

static struct setup open_filled(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, PAGES, 1);
	return s;
}

static void test_isolation(void)
{
	struct setup s = open_filled();
	struct mm *child = unit_fork(s.mm), *grandchild;

	unit_fill(s.h, child, s.addr, 4, 2);
	grandchild = unit_fork(child);
	unit_fill(s.h, s.mm, s.addr, PAGES, 3);
	unit_fill(s.h, grandchild, s.addr, 2, 4);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 3), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 4, 2), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, grandchild, s.addr, 2, 4), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, grandchild, gva_add(page_at(s.addr, 3), 24)),
			unit_get(s.h, child, gva_add(page_at(s.addr, 3), 24)));
	CU_ASSERT_EQUAL(unit_verify(s.h, grandchild, s.addr, PAGES, 1), 4);
	unit_check(s.h);
	mm_put(child);
	CU_ASSERT_EQUAL(unit_verify(s.h, grandchild, s.addr, 2, 4), 0);
	mm_put(grandchild);
	unit_end(s.h, s.mm);
}

/* Sharing costs no frame until somebody writes, and the last owner copies nothing. */
static void test_copies_only_when_shared(void)
{
	struct setup s = open_filled();
	uint64_t free_before = frames_nr_free(s.h->sys), copies;
	struct mm *child = unit_fork(s.mm);

	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before);
	unit_put(s.h, child, s.addr, 5);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before - 1);
	mm_put(child);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before);
	copies = fake_calls(s.h, FAKE_COPY);
	unit_fill(s.h, s.mm, s.addr, PAGES, 2);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_COPY), copies);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_TRUE(
			folio_test(unit_frame(s.h, s.mm, page_at(s.addr, i)), PG_anon_exclusive));
	unit_end(s.h, s.mm);
}

/* A reference that is not a mapping (a host access) forbids reuse in place. */
static void test_no_reuse_with_extra_reference(void)
{
	struct setup s = open_filled();
	struct mm *child = unit_fork(s.mm);
	struct folio *f = unit_folio(s.h, s.mm, s.addr);

	folio_get(f);
	mm_put(child);
	unit_put(s.h, s.mm, s.addr, 9);
	CU_ASSERT_PTR_NOT_EQUAL(unit_folio(s.h, s.mm, s.addr), f);
	CU_ASSERT_EQUAL(folio_mapcount(f), 0);
	folio_put(s.h->sys, f);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 9);
	unit_end(s.h, s.mm);
}

static void test_shared_memory_is_shared(void)
{
	struct setup s = open_filled();
	gva_t shm = unit_map(s.mm, 4, PROT_RW, MAP_ANON_SHARED);
	struct mm *child;

	unit_put(s.h, s.mm, shm, 1);
	child = unit_fork(s.mm);
	unit_put(s.h, child, shm, 2);
	unit_put(s.h, child, page_at(shm, 2), 3);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, shm), 2);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(shm, 2)), 3);
	unit_reclaim(s.h, s.mm, shm, 4);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_get(s.h, child, shm), 2);
	unit_put(s.h, s.mm, shm, 4);
	CU_ASSERT_EQUAL(unit_get(s.h, child, shm), 4);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_private_file_copy(void)
{
	struct setup s = open_filled();
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t p = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_PRIVATE);
	gva_t sh = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	struct mm *child;

	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, p), fake_file_word(0, 0));
	unit_put(s.h, s.mm, p, 1);
	child = unit_fork(s.mm);
	unit_put(s.h, child, p, 2);
	unit_put(s.h, child, page_at(p, 1), 3);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, p), 1);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(p, 1)), fake_file_word(1, 0));
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, sh), fake_file_word(0, 0));
	/* What is still the file's page follows the file. */
	unit_put(s.h, s.mm, page_at(sh, 2), 77);
	CU_ASSERT_EQUAL(unit_get(s.h, child, page_at(p, 2)), 77);
	unit_check(s.h);
	mm_put(child);
	unit_unmap(s.mm, p, 4);
	unit_unmap(s.mm, sh, 4);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), fake_file_word(0, 0));
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

static void test_dontfork_wipeonfork(void)
{
	struct setup s = open_filled();
	struct mm *child;
	uint64_t value;

	unit_advise(s.mm, s.addr, 2, MADV_DONTFORK);
	unit_advise(s.mm, page_at(s.addr, 4), 2, MADV_WIPEONFORK);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(fake_load(s.h, child, 0, s.addr, &value), FAULT_MAPERR);
	CU_ASSERT_EQUAL(fake_load(s.h, child, 0, page_at(s.addr, 1), &value), FAULT_MAPERR);
	CU_ASSERT_EQUAL(unit_get(s.h, child, gva_add(page_at(s.addr, 4), 32)), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, child, gva_add(page_at(s.addr, 5), 40)), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 4);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* Row 85: what the host is writing into must not become shared. */
static void test_row85_pinned_copied(void)
{
	struct setup s = open_filled();
	struct mm_pin_vec vec[1];
	struct mm *child;
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, s.addr, UMM_PAGE_SIZE, true, vec, 1, &nr, &bytes), 0);
	child = unit_fork(s.mm);
	CU_ASSERT_PTR_NOT_EQUAL(unit_frame(s.h, child, s.addr), unit_frame(s.h, s.mm, s.addr));
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, s.mm, s.addr), vec[0].folio);
	memset(vec[0].hva, 0x33, 8);
	/* The parent's own store goes to the pinned frame too. */
	unit_put(s.h, s.mm, gva_add(s.addr, 8), 44);
	CU_ASSERT_EQUAL(((uint64_t *)vec[0].hva)[1], 44);
	mm_unpin(s.mm, vec, nr, true);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 0x3333333333333333);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* Row 86 in one thread: a forced write to a private read-only mapping of a file. */
static void test_row86_forced_write(void)
{
	struct setup s = open_filled();
	struct unit_file file = unit_file(s.h, 2 * UMM_PAGE_SIZE);
	gva_t p = unit_map_file(s.mm, file.mapping, 0, 2, PROT_READ, MAP_PRIVATE);
	uint64_t value = 1234;

	for (int round = 0; round < 3; round++) {
		CU_ASSERT_EQUAL(mm_poke_guest(s.mm, p, &value, sizeof(value), NULL), 0);
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, p), 1234);
		/* Once more, now that the page is the process's own: still read-only for it. */
		CU_ASSERT_EQUAL(mm_poke_guest(s.mm, p, &value, sizeof(value), NULL), 0);
		CU_ASSERT_FALSE(unit_pte(s.h, s.mm, p) & PTE_WRITE);
		CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, p, 1), FAULT_ACCERR);
		unit_advise(s.mm, p, 1, MADV_DONTNEED);
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, p), fake_file_word(0, 0));
	}
	unit_unmap(s.mm, p, 2);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), fake_file_word(0, 0));
	CU_ASSERT_EQUAL(file.file->writes, 0);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

static void test_large_folio_cow(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;
	struct mm *child;

	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_large(s.h, s.mm, 32, 4, 1);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(folio_mapcount(unit_folio(s.h, s.mm, s.addr)), 32);
	unit_fill(s.h, child, page_at(s.addr, 3), 1, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 32, 1), 0);
	unit_check(s.h);
	unit_put(s.h, s.mm, page_at(s.addr, 20), 3);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, page_at(s.addr, 3), 1, 2), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, 3, 1), 0);
	unit_check(s.h);
	mm_put(s.mm);
	s.mm = child;
	unit_fill(s.h, s.mm, s.addr, 32, 5);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 32, 5), 0);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "three generations see their own stores only", test_isolation },
		{ "a copy only while shared", test_copies_only_when_shared },
		{ "no reuse in place under an extra reference",
		  test_no_reuse_with_extra_reference },
		{ "shared anonymous memory stays shared", test_shared_memory_is_shared },
		{ "private file pages: copied at the first store", test_private_file_copy },
		{ "MADV_DONTFORK and MADV_WIPEONFORK", test_dontfork_wipeonfork },
		{ "row 85: a pinned page is copied at fork", test_row85_pinned_copied },
		{ "row 86: a forced write never reaches the file", test_row86_forced_write },
		{ "large folios: copied page by page", test_large_folio_cow },
	};

	return unit_run("cow_fork", tests, ARRAY_LEN(tests), argc, argv);
}
