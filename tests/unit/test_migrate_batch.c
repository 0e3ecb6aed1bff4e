/* SPDX-License-Identifier: MIT */
/*
 * The engine of migration: its batches, their bound in time, copies that fail in
 * the middle, and copies made while the guest goes on storing.
 */
#include "tests/unit/walks.h"

#include <time.h>

/* Few enough for one window, also with a sanitizer. */
#define PAGES 24

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	int from;
};

/* Touched in such an order that no two neighbours have neighbouring frames. */
static struct setup open_scattered(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	for (uint64_t i = 0; i < PAGES; i++)
		unit_put(s.h, s.mm, page_at(s.addr, i * 7 % PAGES), 1);
	unit_fill(s.h, s.mm, s.addr, PAGES, 1);
	s.from = unit_node(s.h, s.mm, s.addr);
	return s;
}

static struct migrate_result migrate(struct setup *s, enum migrate_mode mode)
{
	struct migrate_request req = { .to = !s->from, .mm = s->mm, .mode = mode };
	struct migrate_result r;

	CU_ASSERT_EQUAL(mm_migrate(s->h->sys, &req, &r), 0);
	return r;
}

static uint64_t pages_on(struct setup *s, int node)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		n += unit_node(s->h, s->mm, page_at(s->addr, i)) == node;
	return n;
}

/* ---- batches --------------------------------------------------------------------- */

/* Targets come in blocks: what was scattered lies together afterwards. */
static void test_targets_are_neighbours(void)
{
	struct setup s = open_scattered();
	struct migrate_result r;
	uint64_t joined = 0, calls = fake_calls(s.h, FAKE_COPY);

	CU_ASSERT_EQUAL(migrate(&s, MIGRATE_STOP).moved, PAGES);
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_COPY) - calls >= PAGES);
	for (uint64_t i = 1; i < PAGES; i++)
		joined += pte_pfn(unit_pte(s.h, s.mm, page_at(s.addr, i))).v ==
			  pte_pfn(unit_pte(s.h, s.mm, page_at(s.addr, i - 1))).v + 1;
	/* A busy machine may have made it two windows. */
	CU_ASSERT_TRUE(joined >= PAGES / 2);
	/* So the way back is a few runs. */
	s.from = !s.from;
	calls = fake_calls(s.h, FAKE_COPY);
	r = migrate(&s, MIGRATE_STOP);
	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_COPY) - calls < PAGES || r.late);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

/* A host that holds back who wants more memory must not hold back a migration. */
static void test_targets_are_in_stead(void)
{
	struct setup s = open_scattered();
	uint64_t anew, in_stead;

	frames_discard_free(s.h->sys, !s.from);
	anew = s.h->populated[0];
	in_stead = s.h->populated[1];
	CU_ASSERT_EQUAL(migrate(&s, MIGRATE_STOP).moved, PAGES);
	CU_ASSERT_EQUAL(s.h->populated[0], anew);
	CU_ASSERT_TRUE(s.h->populated[1] - in_stead >= PAGES);
	unit_end(s.h, s.mm);
}

static void test_requested_batch(void)
{
	struct setup s = open_scattered();
	struct migrate_request req = { .to = !s.from, .mm = s.mm, .batch = 8 };
	struct migrate_result r;
	uint64_t zaps = fake_calls(s.h, FAKE_ZAP);

	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_TRUE(r.batches >= PAGES / 8);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_ZAP) - zaps, r.batches);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static void slow_copy(struct fake_host *h, enum fake_op op, void *arg)
{
	struct timespec t = { .tv_nsec = 1000000 };

	(void)h;
	(void)arg;
	if (op == FAKE_COPY)
		nanosleep(&t, NULL);
}

/* A copy of 1 ms a page: unbounded, all 24 in one window would take 24 ms. */
static void test_window_is_bounded(void)
{
	struct setup s = open_scattered();
	struct migrate_result r;

	s.h->hook = slow_copy;
	r = migrate(&s, MIGRATE_STOP);
	s.h->hook = NULL;
	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_TRUE(r.late > 0);
	/* Not by the clock: a busy machine can make any window long. */
	CU_ASSERT_TRUE(r.batches > 3);
	CU_ASSERT_EQUAL(pages_on(&s, !s.from), PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

/* ---- failures -------------------------------------------------------------------- */

/* The Nth run fails, for many N: its page stays, whole, and all others move. */
static void test_nth_copy_fails(void)
{
	for (uint64_t nth = 1; nth <= PAGES; nth += 7) {
		struct setup s = open_scattered();
		struct migrate_result r;

		fake_fail_nth(s.h, FAKE_COPY, nth);
		r = migrate(&s, nth % 2 ? MIGRATE_STOP : MIGRATE_OPTIMISTIC);
		CU_ASSERT_EQUAL(s.h->failures, 1);
		/* Where it took a second batch, the page may have had its second try there. */
		CU_ASSERT_TRUE(r.failed == 1 || r.batches > 1);
		CU_ASSERT_EQUAL(r.moved, PAGES - r.failed);
		CU_ASSERT_EQUAL(pages_on(&s, s.from), r.failed);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
		unit_check(s.h);
		CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), 2 * 4096 - PAGES);
		CU_ASSERT_EQUAL(migrate(&s, MIGRATE_STOP).moved, r.failed);
		unit_end(s.h, s.mm);
	}
}

static void test_memory_for_some(void)
{
	struct setup s = open_scattered();
	struct folio *taken[4097];
	struct migrate_result r;
	unsigned int nr = 0;

	while ((taken[nr] = folio_alloc(s.h->sys, !s.from, 0, ALLOC_THISNODE | ALLOC_NORECLAIM)))
		nr++;
	for (int i = 0; i < 5; i++)
		folio_put(s.h->sys, taken[--nr]);
	r = migrate(&s, MIGRATE_AUTO);
	CU_ASSERT_EQUAL(r.moved, 5);
	CU_ASSERT_EQUAL(r.no_memory, PAGES - 5);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	while (nr)
		folio_put(s.h->sys, taken[--nr]);
	unit_end(s.h, s.mm);
}

/* ---- copies made early ------------------------------------------------------------- */

static void test_early_copy_holds(void)
{
	struct setup s = open_scattered();
	uint64_t copies = fake_calls(s.h, FAKE_COPY);
	struct migrate_result r = migrate(&s, MIGRATE_OPTIMISTIC);

	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_EQUAL(r.early, PAGES);
	CU_ASSERT_EQUAL(r.stale, 0);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_COPY) - copies, PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_TRUE(folio_test(unit_folio(s.h, s.mm, page_at(s.addr, i)), PG_dirty));
	unit_end(s.h, s.mm);
}

/* What happens after the first early copy, in the middle of the batch. */
struct between {
	struct setup *s;
	uint64_t copies; /* seen */
	uint64_t at;     /* act before copy number so and so */
	void (*act)(struct setup *s);
};

/* In another thread, as the migrating one holds folio locks; it waits meanwhile. */
static void *run_act(void *arg)
{
	struct between *b = arg;

	b->act(b->s);
	return NULL;
}

static void act_between(struct fake_host *h, enum fake_op op, void *arg)
{
	struct between *b = arg;

	(void)h;
	if (op == FAKE_COPY && ++b->copies == b->at)
		unit_in_thread(run_act, b);
}

static struct migrate_result migrate_with(struct setup *s, struct between *b)
{
	struct migrate_result r;

	b->s = s;
	s->h->hook = act_between;
	s->h->hook_arg = b;
	r = migrate(s, MIGRATE_OPTIMISTIC);
	s->h->hook = NULL;
	CU_ASSERT_TRUE(b->copies >= b->at);
	return r;
}

/* By the vCPU whose dirty translations were cached before D was cleared. */
static void act_store(struct setup *s)
{
	for (uint64_t i = 0; i < 3; i++) {
		CU_ASSERT_FALSE(fake_would_fault(s->h, s->mm, 0, page_at(s->addr, i), FAKE_STORE));
		CU_ASSERT_EQUAL(fake_store(s->h, s->mm, 0, page_at(s->addr, i), 4711 + i),
				FAULT_DONE);
	}
}

static void test_store_between_is_copied_again(void)
{
	struct setup s = open_scattered();
	struct between b = { .at = PAGES, .act = act_store };
	struct migrate_result r = migrate_with(&s, &b);

	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_EQUAL(r.stale, 3);
	/* What is late on a busy machine is copied early once more. */
	CU_ASSERT_TRUE(r.early == PAGES - 3 || r.late);
	CU_ASSERT_EQUAL(pages_on(&s, !s.from), PAGES);
	for (uint64_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, i)), 4711 + i);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, page_at(s.addr, 3), PAGES - 3, 1), PAGES - 3);
	unit_end(s.h, s.mm);
}

/* The host stores through a pin that is gone when the entries are taken. */
static void act_pin_and_store(struct setup *s)
{
	struct mm_pin_vec vec[1];
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL(mm_pin(s->mm, s->addr, 8, true, vec, 1, &nr, &bytes), 0);
	*(uint64_t *)vec[0].hva = 815;
	mm_unpin(s->mm, vec, nr, true);
}

static void test_pinned_store_between(void)
{
	struct setup s = open_scattered();
	struct between b = { .at = PAGES, .act = act_pin_and_store };
	struct migrate_result r = migrate_with(&s, &b);

	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_EQUAL(r.stale, 1);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 815);
	unit_end(s.h, s.mm);
}

static struct mm *forked;

static void act_fork(struct setup *s)
{
	forked = unit_fork(s->mm);
	CU_ASSERT_EQUAL(fake_store(s->h, s->mm, 0, s->addr, 99), FAULT_DONE);
}

/* Then the parent's page is a copy of its own, and the child keeps the old one. */
static void test_fork_between(void)
{
	struct setup s = open_scattered();
	struct between b = { .at = PAGES, .act = act_fork };
	uint64_t before = unit_get(s.h, s.mm, s.addr);

	migrate_with(&s, &b);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 99);
	CU_ASSERT_EQUAL(unit_get(s.h, forked, s.addr), before);
	CU_ASSERT_EQUAL(unit_verify(s.h, forked, s.addr, PAGES, 1), 0);
	mm_put(forked);
	unit_end(s.h, s.mm);
}

static void act_unmap(struct setup *s)
{
	unit_unmap(s->mm, page_at(s->addr, 8), 8);
	CU_ASSERT_EQUAL(mm_madvise(s->mm, page_at(s->addr, 16), 8 * UMM_PAGE_SIZE, MADV_FREE), 0);
}

static void test_unmap_between(void)
{
	struct setup s = open_scattered();
	struct between b = { .at = PAGES, .act = act_unmap };

	migrate_with(&s, &b);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), 2 * 4096 - (PAGES - 8));
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 8, 1), 0);
	unit_end(s.h, s.mm);
}

/* Memory that is not anonymous, or not dirty by its entries alone, goes the other way. */
static void test_files_are_not_copied_early(void)
{
	struct setup s = open_scattered();
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	struct migrate_request req = { .to = !s.from, .mode = MIGRATE_OPTIMISTIC };
	struct migrate_result r;

	unit_put(s.h, s.mm, a, 6);
	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.early, PAGES);
	CU_ASSERT_TRUE(r.moved > PAGES);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, a), 6);
	CU_ASSERT_EQUAL(mm_msync(s.mm, a, 4 * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), 6);
	unit_unmap(s.mm, a, 4);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* ---- the bare copy --------------------------------------------------------------------- */

static void test_bare_copy_frees_all(void)
{
	struct setup s = open_scattered();
	struct migrate_request req = { .to = !s.from, .mm = s.mm, .time_copy = true };
	struct migrate_result r;

	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_TRUE(r.ns_bare > 0);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), 2 * 4096 - PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "targets are neighbours", test_targets_are_neighbours },
		{ "targets take the place of their sources", test_targets_are_in_stead },
		{ "batches of the size asked for", test_requested_batch },
		{ "a slow copy makes small batches", test_window_is_bounded },
		{ "row 73: the Nth copy fails", test_nth_copy_fails },
		{ "row 73: memory for some", test_memory_for_some },
		{ "an early copy holds", test_early_copy_holds },
		{ "a store in between is copied again", test_store_between_is_copied_again },
		{ "a pinned store in between", test_pinned_store_between },
		{ "fork in between", test_fork_between },
		{ "munmap and MADV_FREE in between", test_unmap_between },
		{ "files are not copied early", test_files_are_not_copied_early },
		{ "the bare copy leaves nothing behind", test_bare_copy_frees_all },
	};

	return unit_run("migrate_batch", tests, ARRAY_LEN(tests), argc, argv);
}
