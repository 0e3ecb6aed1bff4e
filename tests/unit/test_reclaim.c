/* SPDX-License-Identifier: MIT */
/* Reclaim on request and in the fault: victims, figures, limits. */
#include "tests/unit/walks.h"

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

static struct setup open_filled(uint64_t pages)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, pages, 1);
	return s;
}

static uint64_t count_mapped(struct setup *s, struct mm *mm, gva_t addr, uint64_t pages)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < pages; i++)
		n += unit_mapped(s->h, mm, page_at(addr, i));
	return n;
}

/* About as much as asked for, and it is really free. */
static void test_amount(void)
{
	struct setup s = open_filled(512);
	struct reclaim_request req = { .nr_frames = 100, .node = -1, .ignore_references = true };
	uint64_t free_before = frames_nr_free(s.h->sys);
	struct reclaim_result r;

	CU_ASSERT_EQUAL(mm_reclaim(s.h->sys, &req, &r), 0);
	CU_ASSERT_TRUE(r.freed >= 100 && r.freed <= 400);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before + r.freed);
	CU_ASSERT_EQUAL(count_mapped(&s, s.mm, s.addr, 512), 512 - r.freed);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 512, 1), 0);
	unit_end(s.h, s.mm);
}

/* Only the pages of one process, only a range. */
static void test_target(void)
{
	struct setup s = open_filled(64);
	struct mm *other = unit_mm(s.h);
	gva_t b = unit_map_filled(s.h, other, 64, 2);

	unit_reclaim(s.h, other, page_at(b, 16), 16);
	CU_ASSERT_EQUAL(count_mapped(&s, other, b, 64), 48);
	CU_ASSERT_EQUAL(count_mapped(&s, other, page_at(b, 16), 16), 0);
	CU_ASSERT_EQUAL(count_mapped(&s, s.mm, s.addr, 64), 64);
	unit_reclaim(s.h, other, gva_make(0), 0);
	CU_ASSERT_EQUAL(count_mapped(&s, other, b, 64), 0);
	CU_ASSERT_EQUAL(count_mapped(&s, s.mm, s.addr, 64), 64);
	CU_ASSERT_EQUAL(unit_verify(s.h, other, b, 64, 2), 0);
	mm_put(other);
	unit_end(s.h, s.mm);
}

/* What is in use survives one round, what is not goes. */
static void test_referenced_stay(void)
{
	struct setup s = open_filled(64);
	struct reclaim_request req = { .nr_frames = 32, .node = -1 };
	struct reclaim_result r;
	uint64_t used = 0, unused = 0;

	for (uint64_t i = 0; i < 64; i++) {
		uint64_t *pte = fake_entry_slot(s.h, s.mm->root, page_at(s.addr, i));
		struct folio *f = unit_folio(s.h, s.mm, page_at(s.addr, i));

		folio_clear(f, PG_referenced);
		folio_clear(f, PG_active);
		if (i % 2)
			__atomic_fetch_and(pte, ~PTE_ACCESSED, __ATOMIC_ACQ_REL);
	}
	CU_ASSERT_EQUAL(mm_reclaim(s.h->sys, &req, &r), 0);
	CU_ASSERT_TRUE(r.referenced > 0);
	for (uint64_t i = 0; i < 64; i++)
		*(i % 2 ? &unused : &used) += unit_mapped(s.h, s.mm, page_at(s.addr, i));
	CU_ASSERT_TRUE(used > unused);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 64, 1), 0);
	unit_end(s.h, s.mm);
}

/* Pages that hold zeroes need no slot on the disk. */
static void test_zero_pages(void)
{
	struct setup s = open_filled(4);
	uint64_t io;

	for (uint64_t i = 0; i < 4; i++)
		unit_put(s.h, s.mm, gva_add(page_at(s.addr, i), i * 8), 0);
	io = fake_calls(s.h, FAKE_SWAP_IO);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).zero, 4);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_SWAP_IO), io);
	CU_ASSERT_EQUAL(count_mapped(&s, s.mm, s.addr, 4), 0);
	for (uint64_t i = 0; i < 4; i++)
		for (uint64_t w = 0; w < 512; w += 31)
			CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(page_at(s.addr, i), 8 * w)), 0);
	unit_fill(s.h, s.mm, s.addr, 4, 2);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 4, 2), 0);
	unit_end(s.h, s.mm);
}

static void test_swap_full(void)
{
	struct fake_config config = unit_config();
	struct setup s;
	struct reclaim_result r;

	config.swap_slots = 16;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, 64, 1);
	r = unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_TRUE(r.swapped > 0 && r.swapped <= 16);
	CU_ASSERT_TRUE(r.no_swap > 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 64, 1), 0);
	unit_check(s.h);
	unit_fill(s.h, s.mm, s.addr, 64, 2);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 64, 2), 0);
	unit_end(s.h, s.mm);
}

static void test_no_swap_at_all(void)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.swap_slots = 0;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, 16, 1);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).freed, 0);
	CU_ASSERT_EQUAL(count_mapped(&s, s.mm, s.addr, 16), 16);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 16, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_write_fails(void)
{
	struct setup s = open_filled(64);
	struct reclaim_request req = { .nr_frames = UINT64_MAX,
				       .node = -1,
				       .ignore_references = true };
	struct reclaim_result r;

	fake_fail_nth(s.h, FAKE_SWAP_IO, 1);
	(void)!mm_reclaim(s.h->sys, &req, &r);
	CU_ASSERT_TRUE(r.io_error >= 1);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 64, 1), 0);
	unit_end(s.h, s.mm);
}

/* A page that cannot be read back is SIGBUS for its user, and comes when the disk does. */
static void test_read_fails(void)
{
	struct setup s = open_filled(1);
	uint64_t value;

	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, s.addr));
	fake_fail_nth(s.h, FAKE_SWAP_IO, 1);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, s.addr, &value), FAULT_BUS);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 1, 1), 0);
	unit_end(s.h, s.mm);
}

/* More memory used than there is: the fault itself reclaims. */
static void test_direct_reclaim(void)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.nr_nodes = 1;
	config.frames_per_node = 512;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map(s.mm, 1500, PROT_RW, MAP_ANON_PRIVATE);
	for (uint64_t round = 1; round <= 2; round++) {
		unit_fill(s.h, s.mm, s.addr, 1500, round);
		unit_check(s.h);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 1500, round), 0);
	}
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_DIRECT_RECLAIM) > 0);
	unit_end(s.h, s.mm);
}

/* Nothing left to reclaim: the fault says so, and what is there stays whole. */
static void test_out_of_memory(void)
{
	struct fake_config config = unit_config();
	enum fault_result r = FAULT_DONE;
	struct setup s;
	uint64_t n = 0;

	config.nr_nodes = 1;
	config.frames_per_node = 512;
	config.swap_slots = 0;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map(s.mm, 600, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE);
	while (n < 600 && (r = fake_store(s.h, s.mm, 0, page_at(s.addr, n), n + 1)) == FAULT_DONE)
		n++;
	CU_ASSERT_EQUAL(r, FAULT_OOM);
	CU_ASSERT_TRUE(n > 400 && n <= 512);
	CU_ASSERT_TRUE(mm_badness(s.mm) >= n);
	for (uint64_t i = 0; i < n; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, i)), i + 1);
	unit_check(s.h);
	unit_advise(s.mm, s.addr, 100, MADV_DONTNEED);
	unit_put(s.h, s.mm, page_at(s.addr, n), 1);
	unit_end(s.h, s.mm);
}

/* Pages that cannot go must not hide those that can: file pages in use, no swap. */
static void test_file_pages_behind_anonymous(void)
{
	struct fake_config config = unit_config();
	struct unit_file file;
	struct setup s;
	gva_t f;

	config.nr_nodes = 1;
	config.frames_per_node = 512;
	config.swap_slots = 0;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	file = unit_file(s.h, 40 * UMM_PAGE_SIZE);
	f = unit_map_file(s.mm, file.mapping, 0, 40, PROT_READ, MAP_SHARED);
	for (uint64_t i = 0; i < 40; i++) {
		struct folio *folio;

		unit_get(s.h, s.mm, page_at(f, i));
		folio = unit_folio(s.h, s.mm, page_at(f, i));
		if (lru_isolate_folio(s.h->sys, folio))
			lru_putback(s.h->sys, folio, true);
	}
	s.addr = unit_map(s.mm, 480, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE);
	unit_fill(s.h, s.mm, s.addr, 480, 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 480, 1), 0);
	CU_ASSERT_TRUE(mapping_nr_cached(file.mapping) < 40);
	unit_unmap(s.mm, f, 40);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* The host gets its memory back when asked for. */
static void test_discard(void)
{
	struct setup s = open_filled(64);
	struct reclaim_request req = { .nr_frames = UINT64_MAX,
				       .node = -1,
				       .mm = s.mm,
				       .ignore_references = true,
				       .discard = true };
	uint64_t discarded = mm_sys_event(s.h->sys, EV_DISCARDED);
	struct reclaim_result r;

	CU_ASSERT_EQUAL(mm_reclaim(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.freed, 64);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_DISCARDED) >= discarded + 64);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 64, 1), 0);
	unit_end(s.h, s.mm);
}

/* Law 6: many pages, few zaps, few transfers. */
static void test_batches(void)
{
	struct setup s = open_filled(512);
	uint64_t zaps = fake_calls(s.h, FAKE_ZAP), io = fake_calls(s.h, FAKE_SWAP_CALL);

	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).swapped, 512);
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_ZAP) - zaps <= 32);
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_SWAP_CALL) - io <= 32);
	unit_end(s.h, s.mm);
}

static void test_large_folios(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;

	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_large(s.h, s.mm, 64, 4, 1);
	unit_advise(s.mm, page_at(s.addr, 3), 2, MADV_DONTNEED);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(count_mapped(&s, s.mm, s.addr, 64), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 3, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 64, 1), 2);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "as much as asked for, and really free", test_amount },
		{ "one process, one range", test_target },
		{ "used pages stay, unused go", test_referenced_stay },
		{ "zero pages are not written", test_zero_pages },
		{ "swap full: the rest stays", test_swap_full },
		{ "no swap: anonymous pages stay", test_no_swap_at_all },
		{ "a failed write loses nothing", test_write_fails },
		{ "a failed read is SIGBUS, once", test_read_fails },
		{ "direct reclaim in the fault", test_direct_reclaim },
		{ "out of memory is told, nothing is lost", test_out_of_memory },
		{ "no swap: file pages behind anonymous ones", test_file_pages_behind_anonymous },
		{ "discard gives memory to the host", test_discard },
		{ "law 6: few zaps and transfers for many pages", test_batches },
		{ "large folios", test_large_folios },
	};

	return unit_run("reclaim", tests, ARRAY_LEN(tests), argc, argv);
}
