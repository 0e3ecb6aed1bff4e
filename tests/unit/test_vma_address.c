/* SPDX-License-Identifier: MIT */
/* From a page offset to an address: arithmetic, then real areas. Rows 11 to 17. */
#include "tests/unit/walks.h"

#define START 0x40000000ul

/* An area of @pages pages at START whose first page has offset @pgoff. */
static struct vma area(uint64_t pages, uint64_t pgoff)
{
	return (struct vma){
		.start = gva_make(START),
		.end = gva_make(START + (pages << UMM_PAGE_SHIFT)),
		.pgoff = pgoff_make(pgoff),
	};
}

/* The page of the area that vma_address() answers with, or its error. */
static int64_t page_of(const struct vma *v, uint64_t pgoff, uint64_t nr)
{
	gva_t addr = { 0 };
	int err = vma_address(v, pgoff_make(pgoff), nr, &addr);

	if (err)
		return err;
	CU_ASSERT_EQUAL(addr.v % UMM_PAGE_SIZE, 0);
	CU_ASSERT_TRUE(addr.v >= v->start.v && addr.v < v->end.v);
	return (int64_t)((addr.v - v->start.v) >> UMM_PAGE_SHIFT);
}

static void test_row11_inside(void)
{
	struct vma v = area(16, 100);

	CU_ASSERT_EQUAL(page_of(&v, 100, 1), 0);
	CU_ASSERT_EQUAL(page_of(&v, 107, 1), 7);
	CU_ASSERT_EQUAL(page_of(&v, 107, 4), 7);
	CU_ASSERT_EQUAL(page_of(&v, 115, 1), 15);
	CU_ASSERT_EQUAL(page_of(&v, 115, 16), 15);
}

static void test_row12_starts_before(void)
{
	struct vma v = area(16, 100);

	CU_ASSERT_EQUAL(page_of(&v, 99, 2), 0);
	CU_ASSERT_EQUAL(page_of(&v, 90, 16), 0);
	CU_ASSERT_EQUAL(page_of(&v, 0, 101), 0);
	CU_ASSERT_EQUAL(page_of(&v, 0, 512), 0);
}

static void test_row13_outside(void)
{
	struct vma v = area(16, 100);

	CU_ASSERT_EQUAL(page_of(&v, 99, 1), -EFAULT);
	CU_ASSERT_EQUAL(page_of(&v, 0, 100), -EFAULT);
	CU_ASSERT_EQUAL(page_of(&v, 116, 1), -EFAULT);
	CU_ASSERT_EQUAL(page_of(&v, 1000, 512), -EFAULT);
}

/* Differences so large that bytes wrap around to an address inside the area. */
static void test_row13_wraps(void)
{
	struct vma v = area(16, 100), high = area(16, ~0ul - 15);

	CU_ASSERT_EQUAL(page_of(&v, 100 + (1ul << 52), 1), -EFAULT);
	CU_ASSERT_EQUAL(page_of(&v, 103 + (1ul << 52), 8), -EFAULT);
	CU_ASSERT_EQUAL(page_of(&v, 100 + (1ul << 52) - (START >> 12), 1), -EFAULT);
	CU_ASSERT_EQUAL(page_of(&v, ~0ul, 1), -EFAULT);
	CU_ASSERT_EQUAL(page_of(&v, ~0ul - 511, 512), -EFAULT);
	/* The area's own offsets end where the numbers do. */
	CU_ASSERT_EQUAL(page_of(&high, ~0ul, 1), 15);
	CU_ASSERT_EQUAL(page_of(&high, ~0ul - 15, 16), 0);
	CU_ASSERT_EQUAL(page_of(&high, 0, 1), -EFAULT);
}

static void test_row14_end_clamped(void)
{
	struct vma v = area(16, 100);

	CU_ASSERT_EQUAL(vma_address_end(&v, pgoff_make(104), 4).v, START + 8 * UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL(vma_address_end(&v, pgoff_make(108), 16).v, v.end.v);
	CU_ASSERT_EQUAL(vma_address_end(&v, pgoff_make(96), 8).v, START + 4 * UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL(vma_address_end(&v, pgoff_make(96), 512).v, v.end.v);
	CU_ASSERT_EQUAL(vma_address_end(&v, pgoff_make(100), 16).v, v.end.v);
}

/* ---- with real areas ------------------------------------------------------------ */

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

/* One large folio of 16 pages, alone in its area. */
static struct setup open_large(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;

	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_large(s.h, s.mm, 16, 4, 5);
	return s;
}

/* Split the area into three: each page is found where it is, in the right part. */
static void test_row11_split(void)
{
	struct setup s = open_large();

	unit_protect(s.mm, page_at(s.addr, 5), 6, PROT_READ);
	CU_ASSERT_EQUAL(s.mm->nr_vmas, 3);
	for (uint64_t i = 0; i < 16; i++) {
		gva_t at = page_at(s.addr, i), found = { 0 };
		struct folio *frame = unit_frame(s.h, s.mm, at);

		CU_ASSERT_EQUAL(page_address_in_vma(s.h->sys, frame, unit_vma(s.mm, at), &found),
				0);
		CU_ASSERT_EQUAL(found.v, at.v);
		/* And in no other part. */
		CU_ASSERT_EQUAL(page_address_in_vma(s.h->sys, frame,
						    unit_vma(s.mm, page_at(s.addr, (i + 8) % 16)),
						    &found) == -EFAULT,
				unit_vma(s.mm, at) !=
					unit_vma(s.mm, page_at(s.addr, (i + 8) % 16)));
	}
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 16, 5), 0);
	unit_end(s.h, s.mm);
}

static void test_row12_head_unmapped(void)
{
	static struct walk_log log;
	struct setup s = open_large();
	struct folio *f = unit_folio(s.h, s.mm, s.addr);
	struct vma *v;

	unit_unmap(s.mm, s.addr, 3);
	v = unit_vma(s.mm, page_at(s.addr, 3));
	walk_folio(s.h, f, &log);
	CU_ASSERT_EQUAL(log.nr, 1);
	CU_ASSERT_EQUAL(log.addr[0].v, v->start.v);
	CU_ASSERT_EQUAL(log.addr[0].v, page_at(s.addr, 3).v);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !f->node).failed, 0);
	unit_end(s.h, s.mm);
}

static void test_row14_tail_unmapped(void)
{
	struct setup s = open_large();
	struct folio *f = unit_folio(s.h, s.mm, s.addr);
	struct pvmw_log log;
	struct vma *v;

	unit_unmap(s.mm, page_at(s.addr, 13), 3);
	v = unit_vma(s.mm, s.addr);
	CU_ASSERT_EQUAL(vma_address_end(v, f->index, 16).v, v->end.v);
	pvmw_collect(f, v, 0, &log);
	CU_ASSERT_EQUAL(log.nr, 13);
	unit_end(s.h, s.mm);
}

/* After mremap the index no longer tells the address, but the area's offset does. */
static void test_row15_mremap_then_migrate(void)
{
	struct setup s = { .h = unit_open() };
	struct rmap_entry entries[4];
	struct frame_info info;
	unsigned int nr = 0;
	gva_t to = gva_make(0x550000000000);
	struct folio *f;
	int node;

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, 8, 9);
	to = unit_remap(s.mm, s.addr, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	f = unit_folio(s.h, s.mm, page_at(to, 3));
	node = f->node;
	CU_ASSERT_NOT_EQUAL(f->index.v, page_at(to, 3).v >> UMM_PAGE_SHIFT);
	CU_ASSERT_EQUAL(f->index.v, page_at(s.addr, 3).v >> UMM_PAGE_SHIFT);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !node).moved, 8);
	for (uint64_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(to, i)), !node);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, 8, 9), 0);
	f = unit_folio(s.h, s.mm, page_at(to, 3));
	CU_ASSERT_EQUAL(mm_query_frame(s.h->sys, folio_pfn(s.h->sys, f), &info, entries, 4, &nr),
			0);
	CU_ASSERT_EQUAL(nr, 1);
	CU_ASSERT_EQUAL(entries[0].addr.v, page_at(to, 3).v);
	CU_ASSERT_EQUAL(entries[0].mm_id, s.mm->id);
	unit_end(s.h, s.mm);
}

/* The old offset would let the new area answer for pages that it never had. */
static void check_moved_untouched(int flags)
{
	struct setup s = { .h = unit_open() };
	gva_t to = gva_make(0x550000000000);
	struct vma *v;

	s.mm = unit_mm(s.h);
	s.addr = unit_map(s.mm, 4, PROT_RW, MAP_ANON_PRIVATE);
	to = unit_remap(s.mm, s.addr, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED | flags, to);
	v = unit_vma(s.mm, to);
	CU_ASSERT_EQUAL(v->pgoff.v, to.v >> UMM_PAGE_SHIFT);
	if (!(flags & MREMAP_DONTUNMAP))
		s.addr = unit_map_at(s.mm, s.addr.v, 4, PROT_RW, MAP_ANON_PRIVATE);
	v = unit_vma(s.mm, s.addr);
	CU_ASSERT_EQUAL(v->pgoff.v, s.addr.v >> UMM_PAGE_SHIFT);
	unit_fill(s.h, s.mm, to, 4, 1);
	unit_fill(s.h, s.mm, s.addr, 4, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, 4, 1), 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, 1).moved, 8);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, 4, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 4, 2), 0);
	unit_end(s.h, s.mm);
}

static void test_row16_mremap_untouched(void)
{
	check_moved_untouched(0);
}

static void test_row16_dontunmap_untouched(void)
{
	check_moved_untouched(MREMAP_DONTUNMAP);
}

/* Touched, moved with MREMAP_DONTUNMAP, and the old place touched again. */
static void test_row16_dontunmap_touched(void)
{
	struct setup s = { .h = unit_open() };
	gva_t to = gva_make(0x550000000000);

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, 4, 1);
	to = unit_remap(s.mm, s.addr, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
	for (uint64_t i = 0; i < 4; i++) {
		CU_ASSERT_FALSE(unit_mapped(s.h, s.mm, page_at(s.addr, i)));
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, i)), 0);
	}
	unit_fill(s.h, s.mm, s.addr, 4, 2);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, 1).moved, 8);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, 4, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 4, 2), 0);
	unit_end(s.h, s.mm);
}

static void test_row17_unrelated(void)
{
	struct setup s = { .h = unit_open() };
	struct mm *other, *child;
	struct folio *frame;
	gva_t found;

	s.mm = unit_mm(s.h);
	s.addr = unit_map_at(s.mm, START, 4, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, s.addr, 4, 1);
	child = unit_fork(s.mm);
	/* The same addresses, so the same offsets, in a process of another family. */
	other = unit_mm(s.h);
	unit_map_at(other, START, 4, PROT_RW, MAP_ANON_PRIVATE);
	frame = unit_frame(s.h, s.mm, s.addr);
	CU_ASSERT_EQUAL(page_address_in_vma(s.h->sys, frame, unit_vma(other, s.addr), &found),
			-EFAULT);
	unit_fill(s.h, other, s.addr, 4, 2);
	CU_ASSERT_EQUAL(page_address_in_vma(s.h->sys, frame, unit_vma(other, s.addr), &found),
			-EFAULT);
	CU_ASSERT_EQUAL(page_address_in_vma(s.h->sys, frame, unit_vma(child, s.addr), &found), 0);
	CU_ASSERT_EQUAL(found.v, s.addr.v);
	mm_put(other);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_row17_file(void)
{
	struct setup s = { .h = unit_open() };
	struct unit_file one = unit_file(s.h, 8 * UMM_PAGE_SIZE);
	struct unit_file two = unit_file(s.h, 8 * UMM_PAGE_SIZE);
	struct folio *frame;
	gva_t a, b, found = { 0 };

	s.mm = unit_mm(s.h);
	a = unit_map_file(s.mm, one.mapping, 2, 4, PROT_READ, MAP_SHARED);
	b = unit_map_file(s.mm, two.mapping, 2, 4, PROT_READ, MAP_SHARED);
	unit_get(s.h, s.mm, page_at(a, 1));
	frame = unit_frame(s.h, s.mm, page_at(a, 1));
	CU_ASSERT_EQUAL(page_address_in_vma(s.h->sys, frame, unit_vma(s.mm, a), &found), 0);
	CU_ASSERT_EQUAL(found.v, page_at(a, 1).v);
	CU_ASSERT_EQUAL(page_address_in_vma(s.h->sys, frame, unit_vma(s.mm, b), &found), -EFAULT);
	unit_check(s.h);
	mm_put(s.mm);
	unit_file_close(&one);
	unit_file_close(&two);
	unit_close(s.h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 11: the range starts inside", test_row11_inside },
		{ "row 11: a split area, page by page", test_row11_split },
		{ "row 12: the range starts before the area", test_row12_starts_before },
		{ "row 12: head of a large folio unmapped", test_row12_head_unmapped },
		{ "row 13: outside", test_row13_outside },
		{ "row 13: where sums wrap", test_row13_wraps },
		{ "row 14: the end is clamped", test_row14_end_clamped },
		{ "row 14: tail of a large folio unmapped", test_row14_tail_unmapped },
		{ "row 15: fault, mremap, migrate", test_row15_mremap_then_migrate },
		{ "row 16: mremap before the first fault", test_row16_mremap_untouched },
		{ "row 16: MREMAP_DONTUNMAP before the first fault",
		  test_row16_dontunmap_untouched },
		{ "row 16: MREMAP_DONTUNMAP, both places used", test_row16_dontunmap_touched },
		{ "row 17: an unrelated anonymous area", test_row17_unrelated },
		{ "row 17: an area of another file", test_row17_file },
	};

	return unit_run("vma_address", tests, ARRAY_LEN(tests), argc, argv);
}
