/* SPDX-License-Identifier: MIT */
/* Page tables: entries, locks, tables made and freed, flushes. */
#include "tests/unit/util.h"

#include <time.h>

#define ADDR 0x7f0000000000ul

/* An entry that maps nothing of a node and so needs no rmap: a marker. */
static uint64_t marker(uint64_t n)
{
	return swp_to_pte(swp_make(SWP_MARKER, n));
}

static void set_entry(struct mm *mm, uint64_t addr, uint64_t value)
{
	struct umm_mutex *ptl;
	uint64_t *pte = pte_lock_alloc(mm, gva_make(addr), &ptl);

	CU_ASSERT_PTR_NOT_NULL_FATAL(pte);
	pte_set(pte, value);
	umm_mutex_unlock(ptl);
}

static uint64_t get_entry(struct mm *mm, uint64_t addr)
{
	struct umm_mutex *ptl;
	uint64_t *pte = pte_lock(mm, gva_make(addr), &ptl), e;

	if (!pte)
		return 0;
	e = pte_read(pte);
	umm_mutex_unlock(ptl);
	return e;
}

static void test_empty(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	struct umm_mutex *ptl;

	CU_ASSERT_PTR_NULL(pte_lock(mm, gva_make(ADDR), &ptl));
	CU_ASSERT_PTR_NULL(pmd_find(mm, gva_make(ADDR), &ptl));
	CU_ASSERT_EQUAL(fake_entry(h, mm->root, gva_make(ADDR), NULL), 0);
	mm_put(mm);
	unit_close(h);
}

static uint64_t from(struct mm *mm, uint64_t addr, uint64_t end)
{
	return tables_from(mm, gva_make(addr), gva_make(end)).v;
}

/* By 512 GiB and by 1 GiB; within 1 GiB that has tables, not at all. */
static void test_tables_from(void)
{
	const uint64_t gib = 1ul << 30, end = 0x7ffffffff000;
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);

	CU_ASSERT_EQUAL(from(mm, 0x1000, end), end);
	CU_ASSERT_EQUAL(from(mm, end, end), end);
	set_entry(mm, ADDR + 5 * gib + 0x3000, marker(1));
	CU_ASSERT_EQUAL(from(mm, 0x1000, end), ADDR + 5 * gib);
	CU_ASSERT_EQUAL(from(mm, ADDR + 0x1000, end), ADDR + 5 * gib);
	CU_ASSERT_EQUAL(from(mm, ADDR + 0x1000, ADDR + 0x2000), ADDR + 0x2000);
	CU_ASSERT_EQUAL(from(mm, ADDR + 5 * gib + 0x3000, end), ADDR + 5 * gib + 0x3000);
	CU_ASSERT_EQUAL(from(mm, ADDR + 5 * gib + 0x600000, end), ADDR + 5 * gib + 0x600000);
	CU_ASSERT_EQUAL(from(mm, ADDR + 6 * gib, end), end);
	/* Nobody clears it away: a test's marker is no page. */
	set_entry(mm, ADDR + 5 * gib + 0x3000, 0);
	mm_put(mm);
	unit_close(h);
}

/* Addresses that differ in each of the four indices go to entries of their own. */
static void test_four_levels(void)
{
	static const uint64_t addrs[] = { 0x1000,
					  0x2000,
					  0x200000,
					  0x40000000,
					  0x8000000000,
					  0x7ffffffff000 - 0x1000,
					  0x7fffffe00000 - 0x1000 };
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);

	for (unsigned int i = 0; i < ARRAY_LEN(addrs); i++)
		set_entry(mm, addrs[i], marker(i + 1));
	for (unsigned int i = 0; i < ARRAY_LEN(addrs); i++) {
		CU_ASSERT_EQUAL(get_entry(mm, addrs[i]), marker(i + 1));
		CU_ASSERT_EQUAL(fake_entry(h, mm->root, gva_make(addrs[i]), NULL), marker(i + 1));
	}
	/* The top; one each of the levels below, for each GiB and 2 MiB of its own. */
	CU_ASSERT_EQUAL(mm->nr_tables, 1 + 3 + 4 + 6);
	for (unsigned int i = 0; i < ARRAY_LEN(addrs); i++)
		set_entry(mm, addrs[i], 0);
	mm_put(mm);
	unit_close(h);
}

/* The lock that comes with an entry is its table's: the same for the whole table. */
static void test_lock_of_table(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	struct umm_mutex *a, *b, *c;

	CU_ASSERT_PTR_NOT_NULL_FATAL(pte_lock_alloc(mm, gva_make(ADDR), &a));
	CU_ASSERT_FALSE(umm_mutex_trylock(a));
	umm_mutex_unlock(a);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pte_lock_alloc(mm, gva_make(ADDR + 511 * UMM_PAGE_SIZE), &b));
	umm_mutex_unlock(b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pte_lock_alloc(mm, gva_make(ADDR + UMM_PMD_SIZE), &c));
	umm_mutex_unlock(c);
	CU_ASSERT_PTR_EQUAL(a, b);
	CU_ASSERT_PTR_NOT_EQUAL(a, c);
	mm_put(mm);
	unit_close(h);
}

/* No table frame left: NULL, the rest goes on, and everything comes back. */
static void test_no_tables(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct mm *mm;
	struct umm_mutex *ptl;
	unsigned int made = 0;

	config.nr_tables = 16;
	h = unit_open_with(&config);
	mm = unit_mm(h);
	while (made < 32 && pte_lock_alloc(mm, gva_make(ADDR + made * UMM_PMD_SIZE), &ptl)) {
		umm_mutex_unlock(ptl);
		made++;
	}
	CU_ASSERT_TRUE(made > 0 && made < 16);
	CU_ASSERT_EQUAL(get_entry(mm, ADDR), 0);
	mm_put(mm);
	CU_ASSERT_EQUAL(mm_sys_objects(h->sys, OBJ_TABLE), 0);
	mm = unit_mm(h);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pte_lock_alloc(mm, gva_make(ADDR), &ptl));
	umm_mutex_unlock(ptl);
	mm_put(mm);
	unit_close(h);
}

/* A fault that gets no table says so; nothing is half mapped. */
static void test_fault_without_tables(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct mm *mm;
	unsigned int made = 0;
	gva_t a;

	config.nr_tables = 16;
	h = unit_open_with(&config);
	mm = unit_mm(h);
	a = unit_map(mm, 32 * 512, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE);
	while (made < 32 && fake_store(h, mm, 0, page_at(a, made * 512ul), made + 1) == FAULT_DONE)
		made++;
	CU_ASSERT_TRUE(made > 0 && made < 16);
	CU_ASSERT_EQUAL(fake_store(h, mm, 0, page_at(a, made * 512ul), 1), FAULT_OOM);
	for (unsigned int i = 0; i < made; i++)
		CU_ASSERT_EQUAL(unit_get(h, mm, page_at(a, i * 512ul)), i + 1);
	unit_check(h);
	mm_put(mm);
	unit_close(h);
}

/*
 * Shadow paging: tables that were freed are used again only after a flush. The
 * fake host keeps pointers to leaf tables until then, and fake_check() and the
 * values tell whether a new table took an old one's frame too early.
 */
static void test_shadow_reuse(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct mm *mm;
	gva_t a;

	config.nr_tables = 24;
	config.shadow_paging = true;
	h = unit_open_with(&config);
	mm = unit_mm(h);
	a = unit_map(mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	unit_put(h, mm, a, 77);
	for (unsigned int i = 0; i < 40; i++) {
		struct mm *child = unit_fork(mm);
		gva_t b = unit_map_at(child, 0x600000000000 + i * UMM_PMD_SIZE, 600, PROT_RW,
				      MAP_ANON_PRIVATE);

		unit_put(h, child, b, i + 1);
		unit_put(h, child, page_at(b, 599), i + 2);
		CU_ASSERT_EQUAL(unit_get(h, child, b), i + 1);
		unit_unmap(child, b, 600);
		CU_ASSERT_EQUAL(fake_load(h, child, 0, b, &(uint64_t){ 0 }), FAULT_MAPERR);
		mm_put(child);
		unit_check(h);
	}
	CU_ASSERT_TRUE(fake_calls(h, FAKE_FLUSH) > 0);
	CU_ASSERT_EQUAL(unit_get(h, mm, a), 77);
	mm_put(mm);
	unit_close(h);
}

/* Two threads that want a table while the only free ones are being flushed. */
struct latecomer {
	struct mm *mm;
	pthread_t thread;
	bool started, got;
	bool ended; /* a */
};

static void *want_table(void *arg)
{
	struct latecomer *l = arg;
	struct umm_mutex *ptl;

	l->got = pte_lock_alloc(l->mm, gva_make(ADDR), &ptl);
	if (l->got)
		umm_mutex_unlock(ptl);
	__atomic_store_n(&l->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

/* During the first flush the other one comes, and has time to say that there is no table. */
static void latecomer_comes(struct fake_host *h, enum fake_op op, void *arg)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	struct latecomer *l = arg;

	(void)h;
	if (op != FAKE_FLUSH || l->started)
		return;
	l->started = true;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&l->thread, NULL, want_table, l), 0);
	for (int i = 0; i < 200 && !__atomic_load_n(&l->ended, __ATOMIC_ACQUIRE); i++)
		nanosleep(&ms, NULL);
}

static void test_late_for_flush(void)
{
	struct fake_config config = unit_config();
	struct latecomer late = { 0 };
	struct mm *old, *mm;
	struct umm_mutex *ptl;
	struct fake_host *h;
	unsigned int made = 0;

	config.nr_tables = 16;
	config.shadow_paging = true;
	h = unit_open_with(&config);
	mm = unit_mm(h);
	late.mm = unit_mm(h);
	old = unit_mm(h);
	while (pte_lock_alloc(old, gva_make(ADDR + made * UMM_PMD_SIZE), &ptl)) {
		umm_mutex_unlock(ptl);
		made++;
	}
	mm_put(old);
	h->hook_arg = &late;
	h->hook = latecomer_comes;
	CU_ASSERT_PTR_NOT_NULL_FATAL(pte_lock_alloc(mm, gva_make(ADDR), &ptl));
	umm_mutex_unlock(ptl);
	CU_ASSERT_TRUE_FATAL(late.started);
	pthread_join(late.thread, NULL);
	CU_ASSERT_TRUE(late.got);
	h->hook = NULL;
	mm_put(late.mm);
	mm_put(mm);
	unit_close(h);
}

/* munmap leaves no leaf table behind for ever: mapping here and there works in few tables. */
static void test_trim(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct mm *mm;

	config.nr_tables = 24;
	h = unit_open_with(&config);
	mm = unit_mm(h);
	for (uint64_t i = 0; i < 100; i++) {
		gva_t a = unit_map_at(mm, 0x100000000000 + i * UMM_PMD_SIZE, 1, PROT_RW,
				      MAP_ANON_PRIVATE);

		unit_put(h, mm, a, i + 1);
		unit_unmap(mm, a, 1);
	}
	unit_check(h);
	mm_put(mm);
	unit_close(h);
}

static void fill_root(void *ctx, uint64_t *root)
{
	(void)ctx;
	root[511] = 0x123456789003;
}

static void test_init_root(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm, *child;
	uint64_t *root;

	h->sys->config.init_root = fill_root;
	mm = unit_mm(h);
	root = fake_hva(h, mm->root);
	CU_ASSERT_EQUAL(root[511], 0x123456789003);
	child = unit_fork(mm);
	root = fake_hva(h, child->root);
	CU_ASSERT_EQUAL(root[511], 0x123456789003);
	mm_put(child);
	mm_put(mm);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "an empty mm has no entries and no tables", test_empty },
		{ "four levels: entries of their own", test_four_levels },
		{ "what has no tables is passed over", test_tables_from },
		{ "one lock a table", test_lock_of_table },
		{ "no table frame left: NULL, all come back", test_no_tables },
		{ "no table frame left: the fault says OOM", test_fault_without_tables },
		{ "shadow paging: no table reused before a flush", test_shadow_reuse },
		{ "tables being flushed: others wait for them", test_late_for_flush },
		{ "unmapping gives leaf tables back", test_trim },
		{ "init_root fills the kernel half of each root", test_init_root },
	};

	return unit_run("pgtable", tests, ARRAY_LEN(tests), argc, argv);
}
