/* SPDX-License-Identifier: MIT */
/* A store that copies one page copies its neighbours too: which, when, and with how many zaps. */
#include <sys/mman.h>

#include "rmap/internal.h"
#include "tests/unit/util.h"

#define PAGES 16

struct setup {
	struct fake_host *h;
	struct mm *mm;
};

static struct setup open_around(unsigned int copy_around)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.copy_around = copy_around;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	return s;
}

static uint64_t count_anon(struct setup *s, struct mm *mm, gva_t addr)
{
	uint64_t nr = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		nr += unit_mapped(s->h, mm, page_at(addr, i)) &&
		      folio_test_anon(unit_folio(s->h, mm, page_at(addr, i)));
	return nr;
}

/* One fault and one zap for eight pages of a file; the file and other areas see nothing. */
static void test_file_pages(void)
{
	struct setup s = open_around(8);
	struct unit_file file = unit_file(s.h, PAGES * UMM_PAGE_SIZE);
	gva_t p = unit_map_at(s.mm, 0x10000000, PAGES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
	struct mm_map_request req = { .addr = p,
				      .len = PAGES * UMM_PAGE_SIZE,
				      .prot = PROT_READ | PROT_WRITE,
				      .flags = MAP_PRIVATE | MAP_FIXED,
				      .mapping = file.mapping };
	uint64_t faults, zaps;

	CU_ASSERT_EQUAL_FATAL(mm_mmap(s.mm, &req, &p), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(p, i)), fake_file_word(i, 0));
	CU_ASSERT_EQUAL(count_anon(&s, s.mm, p), 0);
	faults = mm_sys_event(s.h->sys, EV_FAULT_COW);
	zaps = fake_calls(s.h, FAKE_ZAP);
	unit_put(s.h, s.mm, page_at(p, 3), 1);
	/* The page itself, then all its neighbours of the aligned window together. */
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_ZAP), zaps + 2);
	CU_ASSERT_EQUAL(count_anon(&s, s.mm, p), 8);
	for (uint64_t i = 0; i < 8; i++)
		unit_put(s.h, s.mm, page_at(p, i), 100 + i);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_FAULT_COW), faults + 1);
	for (uint64_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(p, i)), 100 + i);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(p, 8)), fake_file_word(8, 0));
	CU_ASSERT_EQUAL(fake_file_read(file.file, 3, 0), fake_file_word(3, 0));
	unit_unmap(s.mm, p, PAGES);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* Fork: half as many, from the relative's pages, which stay the relative's. */
static void test_fork_pages(void)
{
	struct setup s = open_around(8);
	gva_t a = unit_map_at(s.mm, 0x10000000, PAGES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS);
	struct folio *before;
	struct mm *child;

	unit_fill(s.h, s.mm, a, PAGES, 1);
	child = unit_fork(s.mm);
	before = unit_folio(s.h, s.mm, page_at(a, 2));
	unit_put(s.h, child, page_at(a, 1), 7);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_folio(s.h, child, page_at(a, i)) ==
					unit_folio(s.h, s.mm, page_at(a, i)),
				i >= 4);
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, s.mm, page_at(a, 2)), before);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, PAGES, 1), 0);
	for (uint64_t i = 2; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, child, page_at(a, i)),
				unit_get(s.h, s.mm, page_at(a, i)));
	unit_check(s.h);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* Not where it was not asked for, nor where memory is advised to be used at random. */
static void test_limits(void)
{
	struct setup s = open_around(1);
	gva_t a = unit_map_at(s.mm, 0x10000000, PAGES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS);
	struct mm *child;

	unit_fill(s.h, s.mm, a, PAGES, 1);
	child = unit_fork(s.mm);
	unit_put(s.h, child, a, 7);
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, child, page_at(a, 1)),
			    unit_folio(s.h, s.mm, page_at(a, 1)));
	mm_put(child);
	unit_end(s.h, s.mm);

	s = open_around(8);
	a = unit_map_at(s.mm, 0x10000000, PAGES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS);
	unit_fill(s.h, s.mm, a, PAGES, 1);
	unit_advise(s.mm, a, PAGES, MADV_RANDOM);
	child = unit_fork(s.mm);
	unit_put(s.h, child, a, 7);
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, child, page_at(a, 1)),
			    unit_folio(s.h, s.mm, page_at(a, 1)));
	mm_put(child);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "file pages: one window, one zap", test_file_pages },
		{ "pages shared by fork: half a window", test_fork_pages },
		{ "not where it must not", test_limits },
	};

	return unit_run("copy_around", tests, ARRAY_LEN(tests), argc, argv);
}
