/* SPDX-License-Identifier: MIT */
/* References, the folio lock, writeback, map counts, the LRU lists. */
#include "tests/unit/util.h"

#define PAGES 16

static void test_references(void)
{
	struct fake_host *h = unit_open();
	struct folio *f = folio_alloc(h->sys, 0, 0, 0);
	uint64_t free_before = frames_nr_free(h->sys);

	folio_get(f);
	folio_get_many(f, 3);
	CU_ASSERT_EQUAL(folio_refcount(f), 5);
	folio_put_many(h->sys, f, 4);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before);
	CU_ASSERT_TRUE(folio_try_get(f));
	folio_put(h->sys, f);
	folio_put(h->sys, f);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before + 1);
	CU_ASSERT_FALSE(folio_try_get(f));
	unit_close(h);
}

static void test_freeze(void)
{
	struct fake_host *h = unit_open();
	struct folio *f = folio_alloc(h->sys, 0, 0, 0);

	folio_get(f);
	CU_ASSERT_FALSE(folio_ref_freeze(f, 1));
	CU_ASSERT_TRUE(folio_ref_freeze(f, 2));
	CU_ASSERT_FALSE(folio_try_get(f));
	folio_ref_unfreeze(f, 2);
	CU_ASSERT_TRUE(folio_try_get(f));
	folio_put_many(h->sys, f, 3);
	unit_close(h);
}

struct lock_test {
	struct fake_host *h;
	struct folio *f;
	int stage;       /* a */
	uint64_t shared; /* the folio lock */
};

static void *lock_and_count(void *arg)
{
	struct lock_test *t = arg;

	for (int i = 0; i < 2000; i++) {
		folio_lock(t->h->sys, t->f);
		t->shared++;
		folio_unlock(t->h->sys, t->f);
	}
	return NULL;
}

/* Two threads under one lock lose no count; TSan sees whether the lock orders them. */
static void test_lock_excludes(void)
{
	struct fake_config config = unit_config();
	struct lock_test t = { 0 };
	pthread_t threads[2];

	config.concurrent = true;
	t.h = unit_open_with(&config);
	t.f = folio_alloc(t.h->sys, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, lock_and_count, &t);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(t.shared, 4000);
	folio_put(t.h->sys, t.f);
	unit_close(t.h);
}

/* Each half of the word changes as by an operation of its own, and nothing carries over. */
static void test_both_halves(void)
{
	struct fake_host *h = unit_open();
	struct folio *f = folio_alloc(h->sys, 0, 0, 0);
	uint64_t free_before = frames_nr_free(h->sys);

	folio_set(f, PG_dirty);
	folio_set(f, PG_young);
	CU_ASSERT_TRUE(folio_try_get_clearing(f, (1u << PG_young) | (1u << PG_lru)));
	CU_ASSERT_EQUAL(folio_flags(f), 1u << PG_dirty);
	CU_ASSERT_EQUAL(folio_refcount(f), 2);
	CU_ASSERT_TRUE(folio_trylock(f));
	CU_ASSERT_FALSE(folio_put_marking(h->sys, f, 1u << PG_epoch));
	CU_ASSERT_EQUAL(folio_flags(f), (1u << PG_dirty) | (1u << PG_epoch));
	CU_ASSERT_EQUAL(folio_refcount(f), 1);
	CU_ASSERT_TRUE(folio_trylock(f));
	CU_ASSERT_TRUE(folio_put_marking(h->sys, f, 1u << PG_referenced));
	CU_ASSERT_EQUAL(folio_refcount(f), 0);
	CU_ASSERT_FALSE(folio_try_get_clearing(f, 1u << PG_dirty));
	CU_ASSERT_TRUE(folio_test(f, PG_dirty));
	folio_free(h->sys, f);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before + 1);
	unit_close(h);
}

static void *put_marking_and_count(void *arg)
{
	struct lock_test *t = arg;

	for (int i = 0; i < 2000; i++) {
		if (!folio_try_get_clearing(t->f, 0))
			continue;
		folio_lock(t->h->sys, t->f);
		t->shared++;
		(void)!folio_put_marking(t->h->sys, t->f, 0);
	}
	return NULL;
}

/* Who waits for the lock is woken by this way out of it too. */
static void test_put_marking_wakes(void)
{
	struct fake_config config = unit_config();
	struct lock_test t = { 0 };
	pthread_t threads[2];

	config.concurrent = true;
	t.h = unit_open_with(&config);
	t.f = folio_alloc(t.h->sys, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, i ? lock_and_count : put_marking_and_count, &t);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(t.shared, 4000);
	CU_ASSERT_EQUAL(folio_refcount(t.f), 1);
	folio_put(t.h->sys, t.f);
	unit_close(t.h);
}

static void *wait_for_writeback(void *arg)
{
	struct lock_test *t = arg;

	__atomic_store_n(&t->stage, 1, __ATOMIC_RELEASE);
	folio_wait_writeback(t->h->sys, t->f);
	__atomic_store_n(&t->stage, 2, __ATOMIC_RELEASE);
	return NULL;
}

static void test_writeback_wait(void)
{
	struct fake_config config = unit_config();
	struct lock_test t = { 0 };
	pthread_t thread;

	config.concurrent = true;
	t.h = unit_open_with(&config);
	t.f = folio_alloc(t.h->sys, 0, 0, 0);
	folio_set(t.f, PG_writeback);
	pthread_create(&thread, NULL, wait_for_writeback, &t);
	while (__atomic_load_n(&t.stage, __ATOMIC_ACQUIRE) < 1)
		unit_sleep_ms(1);
	unit_sleep_ms(20);
	CU_ASSERT_EQUAL(__atomic_load_n(&t.stage, __ATOMIC_ACQUIRE), 1);
	folio_end_writeback(t.h->sys, t.f);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(t.stage, 2);
	folio_put(t.h->sys, t.f);
	unit_close(t.h);
}

static void test_trylock(void)
{
	struct fake_host *h = unit_open();
	struct folio *f = folio_alloc(h->sys, 0, 0, 0);

	CU_ASSERT_TRUE_FATAL(folio_trylock(f));
	CU_ASSERT_FALSE(folio_trylock(f));
	folio_unlock(h->sys, f);
	CU_ASSERT_TRUE_FATAL(folio_trylock(f));
	folio_unlock(h->sys, f);
	folio_put(h->sys, f);
	unit_close(h);
}

/* A folio of an area, its sharers come and go: one count for each entry. */
static void test_mapcount_small(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child[3];
	gva_t a = unit_map(mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	struct folio *f;

	unit_put(h, mm, a, 1);
	f = unit_folio(h, mm, a);
	CU_ASSERT_EQUAL(folio_mapcount(f), 1);
	CU_ASSERT_TRUE(folio_test(f, PG_anon_exclusive));
	for (int i = 0; i < 3; i++) {
		child[i] = unit_fork(mm);
		CU_ASSERT_EQUAL(folio_mapcount(f), 2 + i);
		CU_ASSERT_FALSE(folio_test(f, PG_anon_exclusive));
	}
	unit_put(h, child[0], a, 2);
	CU_ASSERT_EQUAL(folio_mapcount(f), 3);
	for (int i = 0; i < 3; i++)
		mm_put(child[i]);
	CU_ASSERT_EQUAL(folio_mapcount(f), 1);
	unit_end(h, mm);
}

/* Row 83 in small: a large folio, unmapped page by page. */
static void test_mapcount_large(void)
{
	struct fake_config config = unit_config_large();
	struct fake_host *h;
	struct mm *mm;
	struct folio *f;
	gva_t a;

	h = unit_open_with(&config);
	mm = unit_mm(h);
	a = unit_map_large(h, mm, PAGES, 4, 7);
	f = unit_folio(h, mm, a);
	CU_ASSERT_EQUAL(folio_mapcount(f), PAGES);
	CU_ASSERT_EQUAL(f[1].large.nr_frames_mapped, PAGES);
	CU_ASSERT_EQUAL(f[1].large.entire_mapcount, 0);
	for (int i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(f[i].mapcount, 1);
	for (int i = 0; i < PAGES / 2; i++) {
		unit_advise(mm, page_at(a, 2 * (uint64_t)i), 1, MADV_DONTNEED);
		CU_ASSERT_EQUAL(f[2 * i].mapcount, 0);
		CU_ASSERT_EQUAL(folio_mapcount(f), PAGES - 1 - i);
		CU_ASSERT_EQUAL(f[1].large.nr_frames_mapped, PAGES - 1 - i);
		unit_check(h);
	}
	mm_put(mm);
	unit_close(h);
}

static void test_lru_isolate(void)
{
	struct fake_host *h = unit_open();
	struct folio *f = folio_alloc(h->sys, 0, 2, 0);
	struct list_head out;
	uint64_t taken = 0;

	list_init(&out);
	lru_add(h->sys, f, false);
	CU_ASSERT_EQUAL(lru_frames(h->sys, 0), 4);
	CU_ASSERT_TRUE_FATAL(lru_isolate_folio(h->sys, f));
	CU_ASSERT_FALSE(lru_isolate_folio(h->sys, f));
	CU_ASSERT_EQUAL(folio_refcount(f), 2);
	lru_putback(h->sys, f, true);
	CU_ASSERT_EQUAL(folio_refcount(f), 1);
	CU_ASSERT_EQUAL(lru_frames(h->sys, 0), 4);
	CU_ASSERT_TRUE(folio_test(f, PG_active));
	/* Only an active one is there: it is aged and taken. */
	CU_ASSERT_TRUE(lru_isolate(h->sys, 0, 8, &out, &taken) >= 4);
	CU_ASSERT_EQUAL(taken, 4);
	CU_ASSERT_PTR_EQUAL(list_first_entry(&out, struct folio, lru), f);
	CU_ASSERT_FALSE(folio_test(f, PG_lru));
	list_del(&f->lru);
	folio_put_many(h->sys, f, 2);
	CU_ASSERT_EQUAL(lru_frames(h->sys, 0), 0);
	unit_close(h);
}

/* The oldest leave first. */
static void test_lru_order(void)
{
	struct fake_host *h = unit_open();
	struct folio *f[8];
	struct list_head out;
	uint64_t taken = 0;

	list_init(&out);
	for (int i = 0; i < 8; i++) {
		f[i] = folio_alloc(h->sys, 0, 0, 0);
		lru_add(h->sys, f[i], false);
	}
	lru_isolate(h->sys, 0, 3, &out, &taken);
	CU_ASSERT_EQUAL_FATAL(taken, 3);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_PTR_EQUAL(list_first_entry(&out, struct folio, lru), f[i]);
		list_del(&f[i]->lru);
		folio_put(h->sys, f[i]);
	}
	for (int i = 0; i < 8; i++)
		folio_put(h->sys, f[i]);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "references: get, try_get, put, free at zero", test_references },
		{ "a frozen folio gives no reference", test_freeze },
		{ "trylock fails on a locked folio", test_trylock },
		{ "the folio lock excludes", test_lock_excludes },
		{ "flags and references change together", test_both_halves },
		{ "to unlock and put in one wakes who waits", test_put_marking_wakes },
		{ "waiting for writeback ends with it", test_writeback_wait },
		{ "row 83: map count follows fork, COW, exit", test_mapcount_small },
		{ "row 83: map counts of a partly mapped large folio", test_mapcount_large },
		{ "LRU: isolated once, with a reference", test_lru_isolate },
		{ "LRU: oldest first", test_lru_order },
	};

	return unit_run("folio", tests, ARRAY_LEN(tests), argc, argv);
}
