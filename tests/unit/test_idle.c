/* SPDX-License-Identifier: MIT */
/* Page idle tracking and folio_referenced. Rows 41 to 48. */
#include "tests/unit/walks.h"

#define SHARERS 3

/* One page, used by three processes. */
struct setup {
	struct fake_host *h;
	struct mm *mm[SHARERS];
	gva_t addr;
	struct folio *f;
};

static struct setup open_shared(void)
{
	struct setup s = { .h = unit_open() };

	s.mm[0] = unit_mm(s.h);
	s.addr = unit_map(s.mm[0], 1, PROT_RW, MAP_ANON_PRIVATE);
	unit_put(s.h, s.mm[0], s.addr, 1);
	for (int i = 1; i < SHARERS; i++)
		s.mm[i] = unit_fork(s.mm[0]);
	s.f = unit_folio(s.h, s.mm[0], s.addr);
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	for (int i = 0; i < SHARERS; i++)
		mm_put(s->mm[i]);
	unit_close(s->h);
}

static bool accessed(struct setup *s, int i)
{
	return unit_pte(s->h, s->mm[i], s->addr) & PTE_ACCESSED;
}

/* Use the page as a vCPU without a cached translation does. */
static void touch(struct setup *s, int i)
{
	struct frame_range r = { folio_pfn(s->h->sys, s->f), folio_nr(s->f) };

	fake_mmu_zap(s->h, &r, 1);
	CU_ASSERT_EQUAL(unit_get(s->h, s->mm[i], s->addr), 1);
	CU_ASSERT_TRUE(accessed(s, i));
}

static void touch_all(struct setup *s)
{
	for (int i = 0; i < SHARERS; i++)
		touch(s, i);
}

static void clear_references(struct setup *s)
{
	uint64_t vm_flags;

	folio_referenced(s->h->sys, s->f, false, &vm_flags);
	folio_clear(s->f, PG_young);
	folio_clear(s->f, PG_referenced);
}

static void test_row41_clears_all(void)
{
	struct setup s = open_shared();

	touch_all(&s);
	folio_set(s.f, PG_idle);
	page_idle_clear_pte_refs(s.h->sys, s.f);
	for (int i = 0; i < SHARERS; i++)
		CU_ASSERT_FALSE(accessed(&s, i));
	CU_ASSERT_FALSE(folio_test(s.f, PG_idle));
	CU_ASSERT_TRUE(folio_test(s.f, PG_young));
	/* Nobody touches it: idle it stays. */
	folio_set(s.f, PG_idle);
	page_idle_clear_pte_refs(s.h->sys, s.f);
	CU_ASSERT_TRUE(folio_test(s.f, PG_idle));
	/* One touch by one of them is enough. */
	touch(&s, SHARERS - 1);
	page_idle_clear_pte_refs(s.h->sys, s.f);
	CU_ASSERT_FALSE(folio_test(s.f, PG_idle));
	close_setup(&s);
}

static void test_row42_young_counts(void)
{
	struct setup s = open_shared();
	uint64_t vm_flags = 0;

	clear_references(&s);
	CU_ASSERT_EQUAL(folio_referenced(s.h->sys, s.f, false, &vm_flags), 0);
	touch(&s, 1);
	folio_set(s.f, PG_idle);
	page_idle_clear_pte_refs(s.h->sys, s.f);
	CU_ASSERT_FALSE(accessed(&s, 1));
	CU_ASSERT_EQUAL(folio_referenced(s.h->sys, s.f, false, &vm_flags), 1);
	CU_ASSERT_EQUAL(folio_referenced(s.h->sys, s.f, false, &vm_flags), 0);
	close_setup(&s);
}

/* Idle tracking never zaps: the stale A is the documented price. */
static void test_row43_no_flush(void)
{
	struct setup s = open_shared();
	uint64_t zaps;

	touch_all(&s);
	zaps = fake_calls(s.h, FAKE_ZAP);
	page_idle_clear_pte_refs(s.h->sys, s.f);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_ZAP), zaps);
	CU_ASSERT_TRUE(fake_cached(s.h, folio_pfn(s.h->sys, s.f), 1));
	/* So a vCPU that goes on with what it has cached (the last toucher's) is not seen. */
	folio_set(s.f, PG_idle);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm[SHARERS - 1], s.addr), 1);
	page_idle_clear_pte_refs(s.h->sys, s.f);
	CU_ASSERT_TRUE(folio_test(s.f, PG_idle));
	close_setup(&s);
}

static void *idle_in_thread(void *arg)
{
	struct setup *s = arg;

	page_idle_clear_pte_refs(s->h->sys, s->f);
	return NULL;
}

static void test_row44_busy_file_skipped(void)
{
	struct setup s = open_shared();
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	struct setup t = s;
	gva_t a = unit_map_file(s.mm[0], file.mapping, 0, 4, PROT_READ, MAP_SHARED);

	unit_get(s.h, s.mm[0], a);
	t.f = unit_folio(s.h, s.mm[0], a);
	folio_lock(s.h->sys, t.f);
	unit_in_thread(idle_in_thread, &t);
	CU_ASSERT_TRUE(unit_pte(s.h, s.mm[0], a) & PTE_ACCESSED);
	folio_unlock(s.h->sys, t.f);
	unit_in_thread(idle_in_thread, &t);
	CU_ASSERT_FALSE(unit_pte(s.h, s.mm[0], a) & PTE_ACCESSED);
	unit_unmap(s.mm[0], a, 4);
	unit_file_close(&file);
	close_setup(&s);
}

static void test_row45_counts_sharers(void)
{
	struct setup s = open_shared();
	uint64_t vm_flags = 0;

	clear_references(&s);
	touch_all(&s);
	CU_ASSERT_EQUAL(folio_referenced(s.h->sys, s.f, false, &vm_flags), SHARERS);
	CU_ASSERT_FALSE(vm_flags & VM_LOCKED);
	for (int i = 0; i < SHARERS; i++)
		CU_ASSERT_FALSE(accessed(&s, i));
	CU_ASSERT_EQUAL(folio_referenced(s.h->sys, s.f, false, &vm_flags), 0);
	close_setup(&s);
}

static void test_row45_mlocked(void)
{
	struct setup s = open_shared();
	uint64_t vm_flags = 0;
	struct vma *first;

	clear_references(&s);
	touch_all(&s);
	/* The flag alone, as mlock() would also fault a private copy in. */
	first = unit_vma(s.mm[0], s.addr);
	first->flags |= VM_LOCKED;
	folio_referenced(s.h->sys, s.f, false, &vm_flags);
	CU_ASSERT_TRUE(vm_flags & VM_LOCKED);
	/* The oldest is visited first, and the walk ends there. */
	for (int i = 0; i < SHARERS; i++)
		CU_ASSERT_TRUE(accessed(&s, i));
	first->flags &= ~VM_LOCKED;
	close_setup(&s);
}

/* A large folio only partly in a locked area: the walk goes on and counts. */
static void test_row46_partly_mlocked(void)
{
	struct fake_config config = unit_config_large();
	uint64_t vm_flags = 0;
	struct fake_host *h;
	struct folio *f;
	struct mm *mm;
	gva_t a;

	h = unit_open_with(&config);
	mm = unit_mm(h);
	a = unit_map_large(h, mm, 16, 4, 1);
	f = unit_folio(h, mm, a);
	CU_ASSERT_EQUAL(mm_mlock(mm, page_at(a, 4), 4 * UMM_PAGE_SIZE, 0), 0);
	CU_ASSERT_PTR_EQUAL(unit_folio(h, mm, a), f);
	folio_referenced(h->sys, f, false, &vm_flags);
	CU_ASSERT_FALSE(unit_pte(h, mm, a) & PTE_ACCESSED);
	CU_ASSERT_FALSE(unit_pte(h, mm, page_at(a, 12)) & PTE_ACCESSED);
	unit_end(h, mm);
}

static void test_row47_exiting(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map(mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	uint64_t vm_flags = 0;

	unit_put(h, mm, a, 1);
	__atomic_store_n(&mm->exiting, true, __ATOMIC_RELEASE);
	CU_ASSERT_EQUAL(folio_referenced(h->sys, unit_folio(h, mm, a), false, &vm_flags), -1);
	__atomic_store_n(&mm->exiting, false, __ATOMIC_RELEASE);
	CU_ASSERT_TRUE(folio_referenced(h->sys, unit_folio(h, mm, a), false, &vm_flags) >= 0);
	mm_put(mm);
	unit_close(h);
}

static void check_no_recency(int advice)
{
	struct fake_host *h = unit_open();
	struct unit_file file = unit_file(h, 4 * UMM_PAGE_SIZE);
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map_file(mm, file.mapping, 0, 4, PROT_READ, MAP_SHARED);
	uint64_t vm_flags = 0;
	struct folio *f;

	unit_advise(mm, a, 4, advice);
	unit_get(h, mm, a);
	f = unit_folio(h, mm, a);
	folio_clear(f, PG_young);
	CU_ASSERT_EQUAL(folio_referenced(h->sys, f, false, &vm_flags), 0);
	mm_put(mm);
	unit_file_close(&file);
	unit_close(h);
}

static void test_row48_no_recency(void)
{
	check_no_recency(MADV_SEQUENTIAL);
	check_no_recency(MADV_RANDOM);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 41: A is cleared in every mapping", test_row41_clears_all },
		{ "row 42: young keeps the reference for reclaim", test_row42_young_counts },
		{ "row 43: idle tracking does not zap", test_row43_no_flush },
		{ "row 44: a busy file folio is skipped", test_row44_busy_file_skipped },
		{ "row 45: folio_referenced counts sharers", test_row45_counts_sharers },
		{ "row 45: VM_LOCKED is reported and stops", test_row45_mlocked },
		{ "row 46: a large folio partly in a locked area", test_row46_partly_mlocked },
		{ "row 47: private to an exiting process: -1", test_row47_exiting },
		{ "row 48: SEQUENTIAL and RANDOM give no recency", test_row48_no_recency },
	};

	return unit_run("idle", tests, ARRAY_LEN(tests), argc, argv);
}
