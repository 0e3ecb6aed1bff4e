/* SPDX-License-Identifier: MIT */
/* Reclaim looks at large folios page by page: what little of them was used stays. */
#include "tests/unit/walks.h"

#define ORDER  4u
#define FOLIO  (1ul << ORDER)
#define FOLIOS 4u
#define PAGES  (FOLIOS * FOLIO)

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

static struct setup open_large(uint64_t swap_slots)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.max_anon_order = ORDER;
	config.fault_around = FOLIO;
	config.swap_slots = swap_slots;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_large(s.h, s.mm, PAGES, ORDER, 1);
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	mm_put(s->mm);
	unit_close(s->h);
}

static void forget_use(struct setup *s, struct mm *mm)
{
	for (uint64_t i = 0; i < PAGES; i++)
		__atomic_fetch_and(fake_entry_slot(s->h, mm->root, page_at(s->addr, i)),
				   ~PTE_ACCESSED, __ATOMIC_ACQ_REL);
	fake_mmu_zap(s->h, &(struct frame_range){ .pfn = s->h->node_base[0], .nr = 4096 }, 1);
}

/* From now on only the first @nr pages of each folio count as used. */
static void use_some(struct setup *s, uint64_t nr)
{
	forget_use(s, s->mm);
	for (uint64_t i = 0; i < PAGES; i++) {
		if (i % FOLIO < nr)
			unit_get(s->h, s->mm, page_at(s->addr, i));
	}
}

static struct reclaim_result reclaim(struct setup *s, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = -1 };
	struct reclaim_result r;

	CU_ASSERT_EQUAL(mm_reclaim(s->h->sys, &req, &r), 0);
	unit_check(s->h);
	return r;
}

static uint64_t splits(struct setup *s)
{
	return mm_sys_event(s->h->sys, EV_THP_SPLIT_FOLIO);
}

/* How many pages are mapped whose place in their folio is in [from, to). */
static uint64_t in_memory(struct setup *s, uint64_t from, uint64_t to)
{
	uint64_t nr = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		nr += i % FOLIO >= from && i % FOLIO < to &&
		      unit_mapped(s->h, s->mm, page_at(s->addr, i));
	return nr;
}

/*
 * All folios are in one batch and one stretch of a table: what is seen around the used
 * pages of one does not hide how little of the next was used.
 */
static void test_little_used(void)
{
	struct setup s = open_large(4096);
	struct reclaim_result r;

	use_some(&s, 3);
	r = reclaim(&s, FOLIOS * (FOLIO - 3));
	CU_ASSERT_EQUAL(r.freed, FOLIOS * (FOLIO - 3));
	CU_ASSERT_EQUAL(r.scanned, PAGES);
	CU_ASSERT_EQUAL(splits(&s), FOLIOS);
	CU_ASSERT_EQUAL(in_memory(&s, 0, 3), FOLIOS * 3);
	CU_ASSERT_EQUAL(in_memory(&s, 3, FOLIO), 0);
	CU_ASSERT_EQUAL(unit_folio(s.h, s.mm, s.addr)->order, 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

/* Half of it is the most; and the folio that a fault has just filled counts as used. */
static void test_mostly_used(void)
{
	struct setup s = open_large(4096);

	reclaim(&s, 1);
	CU_ASSERT_EQUAL(splits(&s), 0);
	use_some(&s, FOLIO / 2 + 1);
	reclaim(&s, 1);
	CU_ASSERT_EQUAL(splits(&s), 0);
	use_some(&s, FOLIO / 2);
	reclaim(&s, 1);
	CU_ASSERT_TRUE(splits(&s) > 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

static void test_not_used(void)
{
	struct setup s = open_large(4096);

	use_some(&s, 0);
	CU_ASSERT_EQUAL(reclaim(&s, PAGES).freed, PAGES);
	CU_ASSERT_EQUAL(splits(&s), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

/* Without swap nothing can be won; and of some use the place is not known. */
static void test_left_whole(void)
{
	struct setup s = open_large(0);

	use_some(&s, 1);
	reclaim(&s, 1);
	CU_ASSERT_EQUAL(splits(&s), 0);
	close_setup(&s);
	s = open_large(4096);
	use_some(&s, 1);
	for (uint64_t i = 0; i < PAGES; i += FOLIO) {
		page_idle_clear_pte_refs(s.h->sys, unit_folio(s.h, s.mm, page_at(s.addr, i)));
		unit_get(s.h, s.mm, page_at(s.addr, i + 1));
	}
	reclaim(&s, 1);
	CU_ASSERT_EQUAL(splits(&s), 0);
	close_setup(&s);
}

/* Parts that nobody maps any more are freed at once, and take no slot. */
static void test_partly_mapped(void)
{
	struct setup s = open_large(4096);
	uint64_t free_before = frames_nr_free(s.h->sys), swapped;

	unit_advise(s.mm, page_at(s.addr, 8), 8, MADV_DONTNEED);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before);
	forget_use(&s, s.mm);
	for (uint64_t i = 0; i < FOLIO; i += 4)
		unit_get(s.h, s.mm, page_at(s.addr, i < 8 ? i : FOLIO + i));
	unit_reclaim(s.h, s.mm, page_at(s.addr, 2 * FOLIO), 2 * FOLIO);
	free_before = frames_nr_free(s.h->sys);
	swapped = reclaim(&s, FOLIO).swapped;
	CU_ASSERT_TRUE(swapped > 0);
	CU_ASSERT_TRUE(frames_nr_free(s.h->sys) >= free_before + swapped + 8);
	CU_ASSERT_TRUE(splits(&s) >= 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 8);
	close_setup(&s);
}

/* Two processes share the folios; each used pages of its own. */
static void test_shared(void)
{
	struct setup s = open_large(4096);
	struct mm *child = unit_fork(s.mm);

	forget_use(&s, child);
	use_some(&s, 2);
	for (uint64_t i = 0; i < FOLIOS; i++)
		unit_get(s.h, child, page_at(s.addr, i * FOLIO + 5));
	reclaim(&s, FOLIOS * (FOLIO - 3));
	CU_ASSERT_EQUAL(splits(&s), FOLIOS);
	CU_ASSERT_EQUAL(in_memory(&s, 0, 2), FOLIOS * 2);
	CU_ASSERT_EQUAL(in_memory(&s, 5, 6), FOLIOS);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	mm_put(child);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "little used: the rest goes", test_little_used },
		{ "mostly used: stays whole", test_mostly_used },
		{ "not used: goes whole", test_not_used },
		{ "left whole where nothing is won", test_left_whole },
		{ "partly mapped: the rest is free", test_partly_mapped },
		{ "shared by two processes", test_shared },
	};

	return unit_run("shrink_split", tests, ARRAY_LEN(tests), argc, argv);
}
