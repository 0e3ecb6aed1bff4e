/* SPDX-License-Identifier: MIT */
/*
 * KSM: what is merged and what is not, and how it is taken apart. What else may happen to
 * merged pages: test_ksm_walk.c. unit_check() after each step compares the reverse walk
 * of every folio, merged ones too, with a scan of all tables.
 */
#include "tests/unit/ksm_util.h"

#define PAGES 8u

/* ---- merging ----------------------------------------------------------------- */

static void test_merge(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h);
	gva_t at_a = ksm_map_equal(h, a, PAGES, KSM_WORD),
	      at_b = ksm_map_equal(h, b, PAGES, KSM_WORD);
	uint64_t free_before = frames_nr_free(h->sys);

	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 1);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 2 * PAGES - 1);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys) - free_before, 2 * PAGES - 1);
	for (unsigned int i = 0; i < PAGES; i++) {
		CU_ASSERT_PTR_EQUAL(unit_folio(h, a, page_at(at_a, i)),
				    unit_folio(h, b, page_at(at_b, i)));
		CU_ASSERT_FALSE(unit_pte(h, a, page_at(at_a, i)) & PTE_WRITE);
	}
	CU_ASSERT_EQUAL(ksm_count_wrong(h, a, at_a, PAGES, KSM_WORD), 0);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, b, at_b, PAGES, KSM_WORD), 0);
	mm_put(a);
	unit_check(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, PAGES - 1);
	mm_put(b);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	unit_close(h);
}

/* What differs, changes, or is not asked for stays alone. */
static void test_not_merged(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = ksm_map_equal(h, mm, 2, KSM_WORD),
	      other = unit_map(mm, 2, PROT_RW, MAP_ANON_PRIVATE);
	gva_t shared = unit_map(mm, 2, PROT_RW, MAP_ANON_SHARED);

	unit_put(h, mm, page_at(at, 1), KSM_WORD + 1);
	unit_advise(mm, shared, 2, MADV_MERGEABLE); /* ignored, as on Linux */
	for (unsigned int i = 0; i < 2; i++) {
		unit_put(h, mm, page_at(other, i), KSM_WORD);
		unit_put(h, mm, page_at(shared, i), KSM_WORD);
	}
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_unshared, 2);
	for (uint64_t i = 0; i < 4; i++) {
		unit_put(h, mm, at, 2 * i);
		unit_put(h, mm, page_at(at, 1), 2 * i + 1);
		ksm_scan(h->sys, UINT64_MAX);
	}
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_volatile, 2);
	mm_put(mm);
	unit_close(h);
}

/* Equal hashes do not make pages equal: what is stored between look and merge is seen. */
struct late_store {
	unsigned int zaps; /* until it lands */
	pfn_t pfn;
};

static void store_at_zap(struct fake_host *h, enum fake_op op, void *arg)
{
	struct late_store *s = arg;

	if (op == FAKE_ZAP && s->zaps && !--s->zaps)
		*(uint64_t *)frame_hva(h->sys, s->pfn) = 1;
}

static void test_changed_meanwhile(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = ksm_map_equal(h, mm, 2, KSM_WORD);
	/* The second zap is that of the page that joins. */
	struct late_store late = { .zaps = 2, .pfn = pte_pfn(unit_pte(h, mm, page_at(at, 1))) };

	ksm_scan(h->sys, UINT64_MAX);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	h->hook = store_at_zap;
	h->hook_arg = &late;
	ksm_scan(h->sys, UINT64_MAX);
	h->hook = NULL;
	CU_ASSERT_EQUAL(late.zaps, 0);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_get(h, mm, at), KSM_WORD);
	CU_ASSERT_EQUAL(unit_get(h, mm, page_at(at, 1)), 1);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	mm_put(mm);
	unit_close(h);
}

/* ---- stores ------------------------------------------------------------------- */

static void test_cow(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h);
	gva_t at_a = ksm_map_equal(h, a, 2, KSM_WORD), at_b = ksm_map_equal(h, b, 2, KSM_WORD);

	ksm_merge_all(h);
	unit_put(h, a, at_a, 77);
	unit_check(h);
	CU_ASSERT_FALSE(ksm_is_merged(h, a, at_a));
	CU_ASSERT_EQUAL(unit_get(h, a, at_a), 77);
	CU_ASSERT_EQUAL(unit_get(h, a, page_at(at_a, 1)), KSM_WORD);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, b, at_b, 2, KSM_WORD), 0);
	/* The last sharer copies too: a merged folio is never written. */
	unit_put(h, a, page_at(at_a, 1), 78);
	unit_put(h, b, at_b, 79);
	CU_ASSERT_TRUE(ksm_is_merged(h, b, page_at(at_b, 1)));
	unit_put(h, b, page_at(at_b, 1), 80);
	CU_ASSERT_FALSE(ksm_is_merged(h, b, page_at(at_b, 1)));
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(mm_sys_event(h->sys, EV_KSM_COW), 4);
	unit_check(h);
	/* And again: the same places may join once more. */
	unit_put(h, a, at_a, KSM_WORD);
	unit_put(h, b, at_b, KSM_WORD);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 1);
	mm_put(a);
	mm_put(b);
	unit_close(h);
}

static void test_pinned(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = ksm_map_equal(h, mm, 2, KSM_WORD);
	struct mm_pin_vec vec;
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(mm_pin(mm, at, 8, true, &vec, 1, &nr, &bytes), 0);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	/* The host's store reaches the guest, as it would not if the page had gone. */
	*(uint64_t *)vec.hva = 99;
	CU_ASSERT_EQUAL(unit_get(h, mm, at), 99);
	*(uint64_t *)vec.hva = KSM_WORD;
	mm_unpin(mm, &vec, nr, true);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 1);
	mm_put(mm);
	unit_close(h);
}

/* A reference that is no entry's: somebody uses the frame. */
static void test_referenced(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = ksm_map_equal(h, mm, 2, KSM_WORD);
	struct folio *f = unit_folio(h, mm, at);

	folio_get(f);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	folio_put(h->sys, f);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 1);
	mm_put(mm);
	unit_close(h);
}

/* ---- taking apart -------------------------------------------------------------- */

static void test_unmergeable(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = ksm_map_equal(h, mm, PAGES, KSM_WORD);

	ksm_merge_all(h);
	unit_advise(mm, page_at(at, 2), 3, MADV_UNMERGEABLE);
	unit_check(h);
	for (unsigned int i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(ksm_is_merged(h, mm, page_at(at, i)), i < 2 || i > 4);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, mm, at, PAGES, KSM_WORD), 0);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, PAGES - 4);
	unit_advise(mm, at, PAGES, MADV_UNMERGEABLE);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(vma_flags(unit_vma(mm, at)) & VM_MERGEABLE, 0);
	CU_ASSERT_EQUAL(vma_pages(unit_vma(mm, at)), PAGES);
	mm_put(mm);
	unit_close(h);
}

static void test_run(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b;
	gva_t at = ksm_map_equal(h, a, PAGES, KSM_WORD);

	CU_ASSERT_EQUAL(ksm_get(h->sys, KSM_RUN), KSM_STOP);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_RUN, 3), -EINVAL);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_MAX_PAGE_SHARING, 1), -EINVAL);
	ksm_merge_all(h);
	b = unit_fork(a);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_MAX_PAGE_SHARING, 4), -EBUSY);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_RUN, KSM_UNMERGE), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(ksm_stats_of(h).rmap_items, 0);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, a, at, PAGES, KSM_WORD), 0);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, b, at, PAGES, KSM_WORD), 0);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_MAX_PAGE_SHARING, 4), 0);
	mm_put(a);
	mm_put(b);
	unit_close(h);
}

/* Four may share a frame; the fifth gets another one. */
static void test_max_sharing(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at;

	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_MAX_PAGE_SHARING, 4), 0);
	at = ksm_map_equal(h, mm, 12, KSM_WORD);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 3);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 9);
	CU_ASSERT_EQUAL(ksm_stats_of(h).stable_node_dups, 2);
	for (unsigned int i = 0; i < 12; i++)
		CU_ASSERT_EQUAL(folio_mapcount(unit_folio(h, mm, page_at(at, i))), 4);
	mm_put(mm);
	unit_close(h);
}

static void test_across_nodes(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h);

	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_MERGE_ACROSS_NODES, 0), 0);
	ksm_map_equal(h, a, 2, KSM_WORD);
	h->node = 1;
	ksm_map_equal(h, b, 2, KSM_WORD);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 2);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 2);
	mm_put(a);
	mm_put(b);
	unit_close(h);
}

static void test_merge_any(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b;
	gva_t at = unit_map(a, 2, PROT_RW, MAP_ANON_PRIVATE), later;

	CU_ASSERT_EQUAL(mm_set_merge_any(a, true), 0);
	CU_ASSERT_TRUE(mm_merge_any(a));
	later = unit_map(a, 2, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_ANON_PRIVATE);
	CU_ASSERT_NOT_EQUAL(vma_flags(unit_vma(a, at)) & VM_MERGEABLE, 0);
	CU_ASSERT_NOT_EQUAL(vma_flags(unit_vma(a, later)) & VM_MERGEABLE, 0);
	for (unsigned int i = 0; i < 2; i++) {
		unit_put(h, a, page_at(at, i), KSM_WORD);
		unit_put(h, a, page_at(later, i), KSM_WORD);
	}
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 3);
	b = unit_fork(a);
	CU_ASSERT_TRUE(mm_merge_any(b));
	CU_ASSERT_EQUAL(mm_set_merge_any(b, false), 0);
	CU_ASSERT_FALSE(ksm_is_merged(h, b, at));
	CU_ASSERT_TRUE(ksm_is_merged(h, a, at));
	CU_ASSERT_EQUAL(mm_set_merge_any(a, false), 0);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	unit_check(h);
	mm_put(a);
	mm_put(b);
	unit_close(h);
}

/* ---- large folios, 2 MiB leaves -------------------------------------------------------- */

static void merge_large(unsigned int order, uint64_t pages)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct mm *a;
	gva_t at;

	config.max_anon_order = order;
	config.fault_around = 512;
	h = unit_open_with(&config);
	a = unit_mm(h);
	at = unit_map_at(a, 0x10000000, pages, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(h, a, at, pages, 3);
	unit_advise(a, at, pages, MADV_MERGEABLE);
	/* All pages differ: nothing is split for nothing. */
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(mm_sys_event(h->sys, EV_THP_SPLIT_FOLIO), 0);
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int w = 0; w < 512; w++)
			unit_put(h, a, gva_add(page_at(at, i), 8ul * w), KSM_WORD);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 2);
	CU_ASSERT_EQUAL(mm_sys_event(h->sys, EV_THP_SPLIT_FOLIO), 1);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, a, at, 3, KSM_WORD), 0);
	unit_unmap(a, at, 3);
	mm_put(a);
	unit_close(h);
}

static void test_large(void)
{
	merge_large(4, 32);
}

static void test_leaf(void)
{
	merge_large(UMM_PMD_ORDER, 512);
}

/* ---- failures ------------------------------------------------------------------------------ */

/* True if there was an @nth call. What was stored is there, whatever failed. */
static bool run_failing(uint64_t nth, bool on)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h), *child = NULL;
	gva_t at_a = ksm_map_equal(h, a, 6, KSM_WORD), at_b = ksm_map_equal(h, b, 3, KSM_WORD);
	struct migrate_request move = { .to = 1 };
	struct reclaim_request out = { .nr_frames = UINT64_MAX,
				       .node = -1,
				       .ignore_references = true };
	struct reclaim_result reclaimed;
	struct migrate_result migrated;
	bool fired;
	int ret;

	(on ? fake_fail_from : fake_fail_nth)(h, FAKE_ANY, nth);
	for (int i = 0; i < 3; i++)
		ksm_scan(h->sys, UINT64_MAX);
	if (mm_fork(a, &child))
		child = NULL;
	ret = mm_madvise(a, page_at(at_a, 4), 2 * UMM_PAGE_SIZE, MADV_UNMERGEABLE);
	CU_ASSERT_TRUE(!ret || (ret == -EAGAIN && h->failures));
	ret = mm_migrate(h->sys, &move, &migrated);
	CU_ASSERT_TRUE(!ret || h->failures);
	ret = mm_reclaim(h->sys, &out, &reclaimed);
	CU_ASSERT_TRUE(!ret || h->failures);
	ksm_scan(h->sys, UINT64_MAX);
	ret = ksm_set(h->sys, KSM_RUN, KSM_UNMERGE);
	CU_ASSERT_TRUE(!ret || (ret == -ENOMEM && h->failures));
	fired = h->failures;
	fake_fail_nth(h, FAKE_ANY, 0);
	unit_check(h);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, a, at_a, 6, KSM_WORD), 0);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, b, at_b, 3, KSM_WORD), 0);
	if (child)
		CU_ASSERT_EQUAL(ksm_count_wrong(h, child, at_a, 6, KSM_WORD), 0);
	unit_check(h);
	/* And it goes on. */
	ksm_merge_all(h);
	CU_ASSERT_TRUE(ksm_stats_of(h).pages_shared > 0);
	mm_put(a);
	mm_put(b);
	if (child)
		mm_put(child);
	unit_close(h);
	return fired;
}

static void run_all(bool on)
{
	unsigned int failures = CU_get_number_of_failures();
	uint64_t n = 1;

	while (n < 2000 && run_failing(n, on)) {
		if (CU_get_number_of_failures() != failures) {
			fprintf(stderr, "with call %lu failing%s\n", n,
				on ? " and all after it" : "");
			break;
		}
		n++;
	}
	CU_ASSERT_TRUE(n > 10 && n < 2000);
}

static void test_fail_once(void)
{
	run_all(false);
}

static void test_fail_on(void)
{
	run_all(true);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "equal pages share one frame", test_merge },
		{ "what differs or changes is left alone", test_not_merged },
		{ "a page that changes meanwhile is not merged", test_changed_meanwhile },
		{ "a store takes a copy", test_cow },
		{ "pinned pages are refused", test_pinned },
		{ "pages in other hands are refused", test_referenced },
		{ "MADV_UNMERGEABLE", test_unmergeable },
		{ "run = 2 takes all apart", test_run },
		{ "max_page_sharing", test_max_sharing },
		{ "merge_across_nodes = 0", test_across_nodes },
		{ "PR_SET_MEMORY_MERGE", test_merge_any },
		{ "large folios are split", test_large },
		{ "2 MiB leaves are split", test_leaf },
		{ "the Nth call fails, for all N", test_fail_once },
		{ "all calls fail from the Nth on, for all N", test_fail_on },
	};

	return unit_run("ksm", tests, ARRAY_LEN(tests), argc, argv);
}
