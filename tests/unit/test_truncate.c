/* SPDX-License-Identifier: MIT */
/* Files that shrink and grow under their mappings. Row 91. */
#include "tests/unit/walks.h"

struct setup {
	struct fake_host *h;
	struct unit_file file;
	struct mm *mm;
	gva_t shared, private;
};

#define PAGES 8

static struct setup open_mapped(void)
{
	struct setup s = { .h = unit_open() };

	s.file = unit_file(s.h, PAGES * UMM_PAGE_SIZE);
	s.mm = unit_mm(s.h);
	s.shared = unit_map_file(s.mm, s.file.mapping, 0, PAGES, PROT_RW, MAP_SHARED);
	s.private = unit_map_file(s.mm, s.file.mapping, 0, PAGES, PROT_RW, MAP_PRIVATE);
	for (uint64_t i = 0; i < PAGES; i++) {
		unit_put(s.h, s.mm, page_at(s.shared, i), 100 + i);
		unit_put(s.h, s.mm, page_at(s.private, i), 200 + i);
	}
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	mm_put(s->mm);
	unit_file_close(&s->file);
	unit_close(s->h);
}

static void cut(struct setup *s, uint64_t size)
{
	s->file.file->size = size;
	memset(s->file.file->bytes + size, 0, s->file.file->capacity - size);
	mapping_truncate(s->file.mapping, size);
}

static void test_row91_sigbus(void)
{
	struct setup s = open_mapped();
	uint64_t value;

	cut(&s, 3 * UMM_PAGE_SIZE);
	for (uint64_t i = 0; i < PAGES; i++) {
		enum fault_result want = i < 3 ? FAULT_DONE : FAULT_BUS;

		CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, page_at(s.shared, i), &value), want);
		CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, page_at(s.shared, i), i), want);
		CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 1, page_at(s.private, i), i), want);
	}
	CU_ASSERT_EQUAL(mapping_nr_cached(s.file.mapping), 3);
	close_setup(&s);
}

/* Private copies of what was cut off go too; those before the cut stay. */
static void test_row91_private_copies(void)
{
	struct setup s = open_mapped();

	cut(&s, 3 * UMM_PAGE_SIZE);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_mapped(s.h, s.mm, page_at(s.private, i)), i < 3);
	for (uint64_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.private, i)), 200 + i);
	close_setup(&s);
}

static void test_row91_private_copies_swapped(void)
{
	struct setup s = open_mapped();
	struct swap_info info;

	unit_reclaim(s.h, s.mm, s.private, PAGES);
	cut(&s, 3 * UMM_PAGE_SIZE);
	for (uint64_t i = 3; i < PAGES; i++)
		CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.private, i), i), FAULT_BUS);
	swap_get_info(s.h->sys, &info);
	CU_ASSERT_EQUAL(info.used, 3);
	for (uint64_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.private, i)), 200 + i);
	close_setup(&s);
}

/* Grown again: what was cut off reads as zero, not as what it was. */
static void test_row91_grow_again(void)
{
	struct setup s = open_mapped();

	cut(&s, 3 * UMM_PAGE_SIZE);
	s.file.file->size = PAGES * UMM_PAGE_SIZE;
	for (uint64_t i = 3; i < PAGES; i++) {
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.shared, i)), 0);
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.private, i)), 0);
	}
	close_setup(&s);
}

/* In the middle of a page: the rest of that page is zero from then on. */
static void test_row91_partial_page(void)
{
	struct setup s = open_mapped();
	gva_t last = page_at(s.shared, 2);

	unit_put(s.h, s.mm, gva_add(last, 1024), 11);
	unit_put(s.h, s.mm, gva_add(last, 2048), 22);
	cut(&s, 2 * UMM_PAGE_SIZE + 2048);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(last, 1024)), 11);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(last, 2048)), 0);
	/* What a program stores past the end is not written. */
	unit_put(s.h, s.mm, gva_add(last, 3000 & ~7ul), 33);
	CU_ASSERT_EQUAL(mm_msync(s.mm, s.shared, PAGES * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 2, 128), 11);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 2, 256), 0);
	close_setup(&s);
}

static void test_row91_every_process(void)
{
	struct setup s = open_mapped();
	struct mm *child = unit_fork(s.mm);

	unit_put(s.h, child, page_at(s.private, 5), 1);
	cut(&s, 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		CU_ASSERT_EQUAL(fake_store(s.h, child, 0, page_at(s.private, i), 1), FAULT_BUS);
		CU_ASSERT_EQUAL(fake_store(s.h, child, 0, page_at(s.shared, i), 1), FAULT_BUS);
		CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.private, i), 1), FAULT_BUS);
	}
	CU_ASSERT_EQUAL(mapping_nr_cached(s.file.mapping), 0);
	mm_put(child);
	close_setup(&s);
}

/* A file that is cut between a fault's look at its size and the page it then makes. */
static struct {
	struct address_space *mapping;
	struct fake_file *file;
	uint64_t size;
} cut_at_size;

static int64_t size_then_cut(void *file)
{
	int64_t size = fake_file_ops.size(file);

	if (cut_at_size.mapping) {
		struct address_space *m = cut_at_size.mapping;

		cut_at_size.mapping = NULL;
		cut_at_size.file->size = cut_at_size.size;
		mapping_truncate(m, cut_at_size.size);
	}
	return size;
}

static void test_row91_cut_before_the_page(void)
{
	struct mapping_ops ops = fake_file_ops;
	struct fake_host *h = unit_open();
	struct fake_file *file = fake_file_create(h, PAGES * UMM_PAGE_SIZE);
	struct mm *mm = unit_mm(h);
	struct unit_file f = { .file = file };
	uint64_t value;
	gva_t a;

	ops.size = size_then_cut;
	CU_ASSERT_EQUAL(mapping_create(h->sys, &ops, file, 0, &f.mapping), 0);
	a = unit_map_file(mm, f.mapping, 0, PAGES, PROT_RW, MAP_SHARED);
	cut_at_size.file = file;
	cut_at_size.size = 3 * UMM_PAGE_SIZE;
	cut_at_size.mapping = f.mapping;
	CU_ASSERT_EQUAL(fake_load(h, mm, 0, page_at(a, 5), &value), FAULT_BUS);
	CU_ASSERT_EQUAL(fake_store(h, mm, 0, page_at(a, 4), 1), FAULT_BUS);
	CU_ASSERT_EQUAL(mapping_nr_cached(f.mapping), 3);
	CU_ASSERT_EQUAL(unit_get(h, mm, page_at(a, 2)), fake_file_word(2, 0));
	unit_check(h);
	mm_put(mm);
	unit_file_close(&f);
	unit_close(h);
}

/* The same of shared memory, cut while its page is made. */
static void cut_shared_memory(struct fake_host *h, enum fake_op op, void *mapping)
{
	if (op == FAKE_CLEAR) {
		h->hook = NULL;
		mapping_truncate(mapping, UMM_PAGE_SIZE);
	}
}

static void test_row91_cut_before_the_shared_page(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map(mm, PAGES, PROT_RW, MAP_ANON_SHARED);
	gva_t used = unit_map(mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	struct address_space *m = unit_vma(mm, a)->mapping;
	uint64_t value;

	/* The page's frame was used before, and has to be cleared. */
	unit_fill(h, mm, used, PAGES, 1);
	unit_unmap(mm, used, PAGES);
	h->hook_arg = m;
	h->hook = cut_shared_memory;
	CU_ASSERT_EQUAL(fake_load(h, mm, 0, page_at(a, 5), &value), FAULT_BUS);
	CU_ASSERT_PTR_NULL(h->hook);
	CU_ASSERT_EQUAL(mapping_nr_cached(m), 0);
	unit_end(h, mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 91: SIGBUS past the end", test_row91_sigbus },
		{ "row 91: private copies are zapped too", test_row91_private_copies },
		{ "row 91: swapped private copies too", test_row91_private_copies_swapped },
		{ "row 91: grown again, zeroes", test_row91_grow_again },
		{ "row 91: the last page is zero past the end", test_row91_partial_page },
		{ "row 91: cut before the page is there", test_row91_cut_before_the_page },
		{ "row 91: cut before the shared page is there",
		  test_row91_cut_before_the_shared_page },
		{ "row 91: in every process", test_row91_every_process },
	};

	return unit_run("truncate", tests, ARRAY_LEN(tests), argc, argv);
}
