/* SPDX-License-Identifier: MIT */
/*
 * The manager's part of holes (rmap/hole.c), on a host that only keeps books: which frames
 * are asked for, what pins and mlock keep, what becomes of holes whose frames are freed, and
 * who is told when one cannot be filled.
 */
#include "tests/unit/util.h"

#define NR_FRAMES 16384u

static struct {
	bool hole[NR_FRAMES];
	unsigned int protects, writes, fills, dropped;
	int protect_error, write_error, fill_error;
	struct folio *pin_at_protect; /* somebody pins it just then */
} books;

static bool *hole_of(pfn_t pfn)
{
	CU_ASSERT_FATAL(pfn.v < NR_FRAMES);
	return &books.hole[pfn.v];
}

static int book_protect(void *ctx, struct frame_hole *v, unsigned int nr)
{
	(void)ctx;
	(void)v;
	(void)nr;
	books.protects++;
	if (books.pin_at_protect)
		__atomic_store_n(&books.pin_at_protect->pincount, 1, __ATOMIC_RELEASE);
	return books.protect_error;
}

static void book_write(void *ctx, struct frame_hole *v, unsigned int nr)
{
	(void)ctx;
	books.writes++;
	for (unsigned int i = 0; i < nr; i++) {
		v[i].error = v[i].keep ? 0 : books.write_error;
		v[i].stayed = v[i].nr;
		for (unsigned int k = 0; k < v[i].nr && !v[i].keep && !v[i].error; k++) {
			*hole_of(pfn_add(v[i].pfn, k)) = true;
			v[i].punched++;
			v[i].stayed--;
		}
	}
}

static int book_fill(void *ctx, pfn_t pfn, uint32_t nr)
{
	(void)ctx;
	books.fills++;
	for (unsigned int k = 0; k < nr && !books.fill_error; k++)
		*hole_of(pfn_add(pfn, k)) = false;
	return books.fill_error;
}

static void book_drop(void *ctx, pfn_t pfn, uint32_t nr)
{
	(void)ctx;
	for (unsigned int k = 0; k < nr; k++) {
		books.dropped += *hole_of(pfn_add(pfn, k));
		*hole_of(pfn_add(pfn, k)) = false;
	}
}

static uint32_t book_here(void *ctx, pfn_t pfn, uint32_t nr)
{
	uint32_t here = 0;

	(void)ctx;
	for (unsigned int k = 0; k < nr; k++)
		here += !*hole_of(pfn_add(pfn, k));
	return here;
}

static struct mm_host_ops ops;

static struct fake_host *begin(void)
{
	struct fake_host *h = unit_open();

	memset(&books, 0, sizeof(books));
	ops = *h->sys->ops;
	ops.hole_protect = book_protect;
	ops.hole_write = book_write;
	ops.hole_fill = book_fill;
	ops.hole_drop = book_drop;
	ops.hole_here = book_here;
	h->sys->ops = &ops;
	h->sys->config.holes = true;
	return h;
}

static unsigned int nr_holes(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < NR_FRAMES; i++)
		nr += books.hole[i];
	return nr;
}

static int reclaim(struct fake_host *h, bool holes, struct reclaim_result *r)
{
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX, .node = -1, .ignore_references = true, .holes = holes
	};

	return mm_reclaim(h->sys, &req, r);
}

static gva_t touched(struct mm *mm, unsigned int pages)
{
	gva_t a = unit_map(mm, pages, PROT_RW, MAP_ANON_PRIVATE);
	uint32_t v = 42;

	for (unsigned int i = 0; i < pages; i++)
		CU_ASSERT_EQUAL(mm_copy_to_guest(mm, gva_add(a, i * UMM_PAGE_SIZE), &v, sizeof(v),
						 NULL),
				0);
	return a;
}

static void test_entries_stay(void)
{
	struct fake_host *h = begin();
	struct mm *mm = unit_mm(h);
	gva_t a = touched(mm, 40);
	struct reclaim_result r;
	uint32_t v = 0;
	uint64_t entry;
	bool present;
	pfn_t pfn;

	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 40);
	CU_ASSERT_EQUAL(r.swapped, 40);
	CU_ASSERT_EQUAL(nr_holes(), 40);
	CU_ASSERT_EQUAL(mm_query_address(mm, a, &pfn, &entry, &present), 0);
	CU_ASSERT_TRUE(present);
	CU_ASSERT_TRUE(*hole_of(pfn));
	/* There is nothing more to take, and nobody is asked to. */
	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 0);
	CU_ASSERT_EQUAL(books.protects, 1);
	/* umm's own access asks first. */
	CU_ASSERT_EQUAL(mm_copy_from_guest(mm, &v, a, sizeof(v), NULL), 0);
	CU_ASSERT_EQUAL(v, 42);
	CU_ASSERT_EQUAL(nr_holes(), 39);
	unit_check(h);
	mm_put(mm);
	CU_ASSERT_EQUAL(books.dropped, 39);
	CU_ASSERT_EQUAL(nr_holes(), 0);
	unit_close(h);
}

static void test_freed_memory_is_clean(void)
{
	struct fake_host *h = begin();
	struct mm *mm = unit_mm(h);
	gva_t a = touched(mm, 8);
	struct reclaim_result r;
	uint32_t v = 1;

	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	unit_unmap(mm, a, 8);
	CU_ASSERT_EQUAL(books.dropped, 8);
	/* Discarded: what comes next to these frames finds zeroes there. */
	a = unit_map(mm, 64, PROT_RW, MAP_ANON_PRIVATE);
	for (unsigned int i = 0; i < 64; i++) {
		CU_ASSERT_EQUAL(mm_copy_from_guest(mm, &v, gva_add(a, i * UMM_PAGE_SIZE), sizeof(v),
						   NULL),
				0);
		CU_ASSERT_EQUAL(v, 0);
	}
	mm_put(mm);
	unit_close(h);
}

static void test_pins(void)
{
	struct fake_host *h = begin();
	struct mm *mm = unit_mm(h);
	gva_t a = touched(mm, 2);
	struct mm_pin_vec vec[2];
	struct reclaim_result r;
	struct folio *f;
	unsigned int nr;
	size_t bytes;
	uint64_t entry;
	bool present;
	pfn_t pfn;

	CU_ASSERT_EQUAL(mm_pin(mm, a, UMM_PAGE_SIZE, true, vec, 2, &nr, &bytes), 0);
	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 1);
	CU_ASSERT(r.pinned >= 1);
	mm_unpin(mm, vec, nr, true);
	/* A pin that comes between the look at it and the protection counts, too. */
	CU_ASSERT_EQUAL(mm_query_address(mm, a, &pfn, &entry, &present), 0);
	f = sys_frame(h->sys, pfn);
	books.pin_at_protect = f;
	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 0);
	CU_ASSERT(r.pinned >= 1);
	CU_ASSERT_FALSE(*hole_of(pfn));
	__atomic_store_n(&f->pincount, 0, __ATOMIC_RELEASE);
	mm_put(mm);
	unit_close(h);
}

static void test_errors_going_out(void)
{
	struct fake_host *h = begin();
	struct mm *mm = unit_mm(h);
	struct reclaim_result r;

	(void)touched(mm, 8);
	books.write_error = -EIO;
	CU_ASSERT_EQUAL(reclaim(h, true, &r), -EIO);
	CU_ASSERT(r.io_error >= 8); /* each is met again in the same call */
	books.write_error = -ENOSPC;
	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	CU_ASSERT(r.no_swap >= 8);
	books.write_error = 0;
	books.protect_error = -ENOMEM;
	CU_ASSERT_EQUAL(reclaim(h, true, &r), -ENOMEM);
	CU_ASSERT_EQUAL(nr_holes(), 0);
	CU_ASSERT(books.protects > books.writes);
	books.protect_error = 0;
	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 8);
	mm_put(mm);
	unit_close(h);
}

static void test_errors_coming_in(void)
{
	struct fake_host *h = begin();
	struct mm *mm = unit_mm(h);
	gva_t a = touched(mm, 8);
	struct reclaim_result r;
	uint32_t v = 0;

	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	books.fill_error = -EIO;
	CU_ASSERT_EQUAL(mm_copy_from_guest(mm, &v, a, sizeof(v), NULL), -EFAULT);
	/* Nobody unmaps what nobody can write. */
	CU_ASSERT_EQUAL(reclaim(h, false, &r), -EIO);
	CU_ASSERT(r.io_error >= 8); /* each is met again in the same call */
	CU_ASSERT_EQUAL(r.freed, 0);
	books.fill_error = 0;
	CU_ASSERT_EQUAL(reclaim(h, false, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 8);
	CU_ASSERT_EQUAL(nr_holes(), 0);
	CU_ASSERT_EQUAL(mm_copy_from_guest(mm, &v, a, sizeof(v), NULL), 0);
	CU_ASSERT_EQUAL(v, 42);
	mm_put(mm);
	unit_close(h);
}

static void test_locked_memory_stays(void)
{
	struct fake_host *h = begin();
	struct mm *mm = unit_mm(h);
	gva_t a = touched(mm, 8);
	struct reclaim_result r;

	CU_ASSERT_EQUAL(mm_mlock(mm, a, 4 * UMM_PAGE_SIZE, 0), 0);
	CU_ASSERT_EQUAL(reclaim(h, true, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 4);
	CU_ASSERT_EQUAL(nr_holes(), 4);
	mm_put(mm);
	unit_close(h);
}

static void test_not_asked_for(void)
{
	struct fake_host *h = unit_open();
	struct reclaim_result r;

	CU_ASSERT_EQUAL(reclaim(h, true, &r), -EINVAL);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "entries stay", test_entries_stay },
		{ "freed memory is clean", test_freed_memory_is_clean },
		{ "pins", test_pins },
		{ "errors on the way out", test_errors_going_out },
		{ "errors on the way in", test_errors_coming_in },
		{ "locked memory stays", test_locked_memory_stays },
		{ "a host without holes", test_not_asked_for },
	};

	return unit_run("hole", tests, ARRAY_LEN(tests), argc, argv);
}
