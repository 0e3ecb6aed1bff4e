/* SPDX-License-Identifier: MIT */
/*
 * Walks over a huge area of which little is there: tables_from() lets them pass over what has
 * no tables, 1 GiB or 512 GiB at once. Pages stand where a step too long would miss them: at
 * the first and last address of 1 GiB and of 512 GiB, with and without empty ones between, and
 * at the far end. Each walk of the manager has to find each of them.
 */
#include <umm/placement.h>
#include <umm/reclaim_policy.h>

#include "rmap/hint.h"
#include "rmap/swap.h"
#include "tests/unit/ksm_util.h"

#define BASE  (16ul << 39)
#define GIB   (1ul << 30)
#define TIB   (1ul << 40)
#define BYTES (2 * TIB)
#define PAGES (BYTES >> UMM_PAGE_SHIFT)
#define LAST  UMM_PAGE_SIZE
#define ANON  (MAP_ANON_PRIVATE | MAP_NORESERVE)

static const uint64_t offsets[] = {
	0,
	GIB - LAST,
	GIB,
	5 * GIB + UMM_PMD_SIZE - LAST,
	TIB - GIB,
	TIB / 2 - LAST,
	TIB,
	TIB + 7 * GIB + UMM_PMD_SIZE,
	BYTES - GIB - LAST,
	BYTES - LAST,
};
#define NR ARRAY_LEN(offsets)

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t at[NR];
};

static struct setup open_sparse(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	CU_ASSERT_EQUAL(unit_map_at(s.mm, BASE, PAGES, PROT_RW, ANON).v, BASE);
	for (unsigned int i = 0; i < NR; i++) {
		s.at[i] = gva_make(BASE + offsets[i]);
		unit_put(s.h, s.mm, s.at[i], KSM_WORD);
	}
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	for (unsigned int i = 0; i < NR; i++)
		CU_ASSERT_EQUAL(unit_get(s->h, s->mm, s->at[i]), KSM_WORD);
	mm_put(s->mm);
	unit_close(s->h);
}

static void test_hints(void)
{
	struct setup s = open_sparse();
	uint64_t now = placement_now();
	unsigned int found = 0;

	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, "two-fault"), 0);
	mm_placement_tick(s.h->sys, now);
	mm_placement_tick(s.h->sys, now + 200 * NS_PER_S);
	for (unsigned int i = 0; i < NR; i++)
		found += pte_protnone(unit_pte(s.h, s.mm, s.at[i]));
	CU_ASSERT_EQUAL(found, NR);
	/* And the sweep that counts them, and takes them all back. */
	CU_ASSERT_EQUAL(mm_placement_count_hints(s.h->sys), NR);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, NULL), 0);
	CU_ASSERT_EQUAL(mm_placement_count_hints(s.h->sys), 0);
	for (unsigned int i = 0; i < NR; i++)
		CU_ASSERT_FALSE(pte_protnone(unit_pte(s.h, s.mm, s.at[i])));
	close_setup(&s);
}

static void test_policy_walk(void)
{
	struct setup s = open_sparse();

	CU_ASSERT_EQUAL(mm_policy_set(s.h->sys, reclaim_policy_find("mglru")), 0);
	CU_ASSERT_EQUAL(policy_walk(s.h->sys, -1), NR);
	for (unsigned int i = 0; i < NR; i++)
		CU_ASSERT_FALSE(unit_pte(s.h, s.mm, s.at[i]) & PTE_ACCESSED);
	CU_ASSERT_EQUAL(policy_walk(s.h->sys, -1), 0);
	close_setup(&s);
}

static void test_madv_cold(void)
{
	struct setup s = open_sparse();

	unit_advise(s.mm, gva_make(BASE), PAGES, MADV_COLD);
	for (unsigned int i = 0; i < NR; i++)
		CU_ASSERT_FALSE(unit_pte(s.h, s.mm, s.at[i]) & PTE_ACCESSED);
	close_setup(&s);
}

/* All hold the same: one frame is left. MADV_UNMERGEABLE walks back over all of it. */
static void test_ksm(void)
{
	struct setup s = open_sparse();

	unit_advise(s.mm, gva_make(BASE), PAGES, MADV_MERGEABLE);
	ksm_merge_all(s.h);
	for (unsigned int i = 0; i < NR; i++)
		CU_ASSERT_TRUE(ksm_is_merged(s.h, s.mm, s.at[i]));
	CU_ASSERT_EQUAL(ksm_stats_of(s.h).pages_sharing, NR - 1);
	unit_advise(s.mm, gva_make(BASE), PAGES, MADV_UNMERGEABLE);
	for (unsigned int i = 0; i < NR; i++)
		CU_ASSERT_FALSE(ksm_is_merged(s.h, s.mm, s.at[i]));
	close_setup(&s);
}

static unsigned int nr_mapped(struct setup *s, struct mm *mm)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < NR; i++)
		nr += unit_mapped(s->h, mm, s->at[i]);
	return nr;
}

static struct setup open_swapped(void)
{
	struct setup s = open_sparse();

	unit_advise(s.mm, gva_make(BASE), PAGES, MADV_PAGEOUT);
	CU_ASSERT_EQUAL(nr_mapped(&s, s.mm), 0);
	return s;
}

static void test_swapoff(void)
{
	struct setup s = open_swapped();

	CU_ASSERT_EQUAL(swap_off(s.h->sys, s.h->sys->swap->areas[0].host, NULL), 0);
	CU_ASSERT_EQUAL(nr_mapped(&s, s.mm), NR);
	close_setup(&s);
}

/* All are read; who touches them then waits for nothing. */
static void test_willneed(void)
{
	struct setup s = open_swapped();
	uint64_t reads;

	unit_advise(s.mm, gva_make(BASE), PAGES, MADV_WILLNEED);
	reads = fake_calls(s.h, FAKE_SWAP_IO);
	for (unsigned int i = 0; i < NR; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.at[i]), KSM_WORD);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_SWAP_IO), reads);
	close_setup(&s);
}

/* fork, mprotect, and munmap in the child. */
static void test_fork(void)
{
	struct setup s = open_sparse();
	struct mm *child = unit_fork(s.mm);

	CU_ASSERT_EQUAL(nr_mapped(&s, child), NR);
	for (unsigned int i = 0; i < NR; i++)
		unit_put(s.h, child, s.at[i], KSM_WORD + 1 + i);
	unit_protect(child, gva_make(BASE), PAGES, PROT_READ);
	for (unsigned int i = 0; i < NR; i++) {
		CU_ASSERT_EQUAL(unit_get(s.h, child, s.at[i]), KSM_WORD + 1 + i);
		CU_ASSERT_FALSE(unit_pte(s.h, child, s.at[i]) & PTE_WRITE);
		CU_ASSERT_EQUAL(fake_store(s.h, child, 0, s.at[i], 1), FAULT_ACCERR);
	}
	unit_advise(child, gva_make(BASE), PAGES, MADV_DONTNEED);
	CU_ASSERT_EQUAL(nr_mapped(&s, child), 0);
	mm_put(child);
	close_setup(&s);
}

/* mremap takes all of them along, to an address that is not a multiple of 1 GiB further. */
static void test_mremap(void)
{
	struct setup s = open_sparse();
	uint64_t to = BASE + 8 * TIB + 3 * UMM_PAGE_SIZE;

	unit_remap(s.mm, gva_make(BASE), PAGES, PAGES, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(to));
	for (unsigned int i = 0; i < NR; i++)
		s.at[i] = gva_make(to + offsets[i]);
	CU_ASSERT_EQUAL(nr_mapped(&s, s.mm), NR);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "hints are set, counted and taken back", test_hints },
		{ "the reclaim policy's walk", test_policy_walk },
		{ "MADV_COLD makes all old", test_madv_cold },
		{ "pages are merged and parted", test_ksm },
		{ "swapoff after a page-out of all", test_swapoff },
		{ "MADV_WILLNEED reads all", test_willneed },
		{ "fork, mprotect, MADV_DONTNEED", test_fork },
		{ "mremap", test_mremap },
	};

	return unit_run("sparse", tests, ARRAY_LEN(tests), argc, argv);
}
