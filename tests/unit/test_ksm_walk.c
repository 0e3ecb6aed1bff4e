/* SPDX-License-Identifier: MIT */
/*
 * KSM: the reverse walk of merged pages, under fork, exit, mremap, migration, reclaim.
 * See test_ksm.c.
 */
#include "tests/unit/ksm_util.h"

/* ---- fork, exit, areas ----------------------------------------------------------- */

/* Row 77: the child was forked after the merge; only the second pass finds it. */
static void test_row77_forked(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child, *grandchild;
	gva_t at = ksm_map_equal(h, a, 2, KSM_WORD);

	ksm_merge_all(h);
	child = unit_fork(a);
	grandchild = unit_fork(child);
	unit_check(h);
	CU_ASSERT_EQUAL(folio_mapcount(unit_folio(h, grandchild, at)), 6);
	CU_ASSERT_EQUAL(unit_migrate(h, grandchild, 1).moved, 1);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_node(h, a, at), 1);
	CU_ASSERT_EQUAL(unit_node(h, child, page_at(at, 1)), 1);
	CU_ASSERT_PTR_EQUAL(unit_folio(h, a, at), unit_folio(h, grandchild, at));
	/* The one that merged goes: its relatives are found all the same. */
	mm_put(a);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(unit_migrate(h, child, 0).moved, 1);
	CU_ASSERT_EQUAL(unit_node(h, grandchild, at), 0);
	unit_put(h, child, at, 5);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, grandchild, at, 2, KSM_WORD), 0);
	mm_put(child);
	mm_put(grandchild);
	unit_close(h);
}

/* The parent's and the child's pages become one again, by two ways that meet. */
static void test_forked_then_merged(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child;
	gva_t at = ksm_map_equal(h, a, 2, KSM_WORD);

	ksm_merge_all(h);
	child = unit_fork(a);
	for (unsigned int round = 0; round < 3; round++) {
		unit_put(h, child, at, 5);
		unit_put(h, a, page_at(at, 1), 6);
		unit_check(h);
		unit_put(h, child, at, KSM_WORD);
		unit_put(h, a, page_at(at, 1), KSM_WORD);
		ksm_merge_all(h);
		CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 1);
		CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 3);
	}
	mm_put(a);
	unit_end(h, child);
}

/* Pages that relatives share since a fork become merged ones without a copy. */
static void test_fork_before(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child, *c = unit_mm(h);
	gva_t at = ksm_map_equal(h, a, 2, KSM_WORD), at_c;

	unit_put(h, a, page_at(at, 1), KSM_WORD + 1);
	child = unit_fork(a);
	at_c = ksm_map_equal(h, c, 1, KSM_WORD);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 1);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 2);
	CU_ASSERT_PTR_EQUAL(unit_folio(h, child, at), unit_folio(h, c, at_c));
	CU_ASSERT_EQUAL(unit_migrate(h, c, 1).moved, 1);
	CU_ASSERT_EQUAL(unit_node(h, child, at), 1);
	CU_ASSERT_EQUAL(unit_node(h, a, at), 1);
	unit_check(h);
	mm_put(a);
	mm_put(c);
	mm_put(child);
	unit_close(h);
}

/* Row 76: the areas moved after the merge; entries are found at their new places. */
static void test_row76_moved(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h), *child;
	gva_t at_a = ksm_map_equal(h, a, 4, KSM_WORD), at_b = ksm_map_equal(h, b, 4, KSM_WORD),
	      there = at_a;

	ksm_merge_all(h);
	child = unit_fork(a);
	at_a = unit_remap(a, at_a, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(0x550000000000));
	there = unit_remap(child, page_at(there, 1), 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED,
			   gva_make(0x560000000000));
	unit_check(h);
	CU_ASSERT_EQUAL(unit_migrate(h, b, 1).moved, 1);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_node(h, a, page_at(at_a, 3)), 1);
	CU_ASSERT_EQUAL(unit_node(h, child, page_at(there, 1)), 1);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 11);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, a, at_a, 4, KSM_WORD), 0);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, b, at_b, 4, KSM_WORD), 0);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, child, there, 2, KSM_WORD), 0);
	/* Half of a moved area goes, the other is split off. */
	unit_unmap(a, page_at(at_a, 1), 1);
	unit_protect(a, page_at(at_a, 2), 1, PROT_READ);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(unit_migrate(h, b, 0).moved, 1);
	CU_ASSERT_EQUAL(unit_node(h, a, page_at(at_a, 2)), 0);
	mm_put(a);
	mm_put(b);
	mm_put(child);
	unit_close(h);
}

struct migration_step {
	struct mm *mm;
	gva_t at;
	struct mm *child;
	bool done;
	int error;
};

static void *fork_and_unmap(void *arg)
{
	struct migration_step *s = arg;

	s->error = mm_fork(s->mm, &s->child);
	if (!s->error)
		s->error = mm_munmap(s->mm, s->at, UMM_PAGE_SIZE);
	return NULL;
}

/* Row 76: forked while the folio was on its way. */
static void fork_in_copy(struct fake_host *h, enum fake_op op, void *arg)
{
	struct migration_step *s = arg;

	if (op != FAKE_COPY || s->done)
		return;
	s->done = true;
	h->hook = NULL;
	CU_ASSERT_TRUE(unit_migrating(h, s->mm, s->at));
	unit_in_thread(fork_and_unmap, s);
	CU_ASSERT_EQUAL_FATAL(s->error, 0);
}

static void test_row76_fork_meanwhile(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h);
	gva_t at = ksm_map_equal(h, a, 3, KSM_WORD);
	struct migration_step step = { .mm = a, .at = at };

	ksm_merge_all(h);
	h->hook = fork_in_copy;
	h->hook_arg = &step;
	CU_ASSERT_EQUAL(unit_migrate(h, a, 1).moved, 1);
	CU_ASSERT_TRUE(step.done);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_node(h, step.child, at), 1);
	CU_ASSERT_EQUAL(folio_mapcount(unit_folio(h, a, page_at(at, 1))), 5);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, step.child, at, 3, KSM_WORD), 0);
	mm_put(a);
	mm_put(step.child);
	unit_close(h);
}

/* The copy fails: all entries are as they were, the folio is merged as before. */
static void test_migrate_fails(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h);
	gva_t at = ksm_map_equal(h, a, 3, KSM_WORD);
	struct migrate_request req = { .to = 1, .mm = a, .move_shared = true };
	struct migrate_result res;

	ksm_merge_all(h);
	fake_fail_from(h, FAKE_COPY, 1);
	CU_ASSERT_EQUAL(mm_migrate(h->sys, &req, &res), 0);
	fake_fail_nth(h, FAKE_ANY, 0);
	CU_ASSERT_EQUAL(res.moved, 0);
	CU_ASSERT_EQUAL(res.failed, 1);
	unit_check(h);
	CU_ASSERT_TRUE(ksm_is_merged(h, a, page_at(at, 2)));
	CU_ASSERT_EQUAL(unit_node(h, a, at), 0);
	mm_put(a);
	unit_close(h);
}

/* Row 5. */
static bool count_call(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	(void)f;
	(void)vma;
	(void)addr;
	++*(unsigned int *)arg;
	return true;
}

static void test_row5_refused(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h);
	gva_t at = ksm_map_equal(h, a, 3, KSM_WORD);
	unsigned int calls = 0;
	struct rmap_walk_control rwc = { .arg = &calls, .rmap_one = count_call };
	struct folio *f;

	ksm_merge_all(h);
	f = unit_folio(h, a, at);
	folio_lock(h->sys, f);
	rmap_walk_locked(f, &rwc);
	CU_ASSERT_EQUAL(calls, 0);
	rmap_walk(f, &rwc);
	CU_ASSERT_EQUAL(calls, 3);
	folio_unlock(h->sys, f);
	mm_put(a);
	unit_close(h);
}

/* Places that nothing can come back to are forgotten, the others are not. */
static void test_places(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h), *child;
	gva_t at = ksm_map_equal(h, a, 4, KSM_WORD);
	struct ksm_stable_node *node;

	ksm_map_equal(h, b, 2, KSM_WORD);
	ksm_merge_all(h);
	node = folio_stable_node(unit_folio(h, a, at));
	CU_ASSERT_EQUAL(node->nr_items, 6);
	unit_put(h, a, at, 1);
	unit_unmap(a, page_at(at, 1), 1);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(node->nr_items, 4);
	child = unit_fork(a);
	unit_put(h, a, page_at(at, 2), 2);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(node->nr_items, 4); /* the child's */
	mm_put(child);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(node->nr_items, 3);
	mm_put(a);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(node->nr_items, 2);
	CU_ASSERT_EQUAL(mm_sys_objects(h->sys, OBJ_ANON_VMA), 1);
	mm_put(b);
	unit_close(h);
}

/* ---- reclaim ------------------------------------------------------------------------ */

static void test_swap(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h), *child;
	gva_t at_a = ksm_map_equal(h, a, 3, KSM_WORD), at_b = ksm_map_equal(h, b, 3, KSM_WORD);

	ksm_merge_all(h);
	child = unit_fork(a);
	CU_ASSERT_EQUAL(unit_reclaim(h, a, at_a, 0).freed, 1);
	unit_check(h);
	CU_ASSERT_TRUE(unit_swapped(h, b, at_b) && unit_swapped(h, child, at_a));
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 0);
	/* Unrelated ones that name one slot: each has its own page afterwards. */
	CU_ASSERT_EQUAL(ksm_count_wrong(h, a, at_a, 3, KSM_WORD), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, b, at_b, 3, KSM_WORD), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, child, at_a, 3, KSM_WORD), 0);
	unit_check(h);
	CU_ASSERT_TRUE(mm_sys_event(h->sys, EV_KSM_SWPIN_COPY) > 0);
	unit_put(h, a, at_a, 7);
	unit_put(h, b, at_b, 8);
	CU_ASSERT_EQUAL(unit_get(h, child, at_a), KSM_WORD);
	unit_check(h);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 1);
	mm_put(a);
	mm_put(child);
	mm_put(b);
	unit_close(h);
}

/* The write failed: the merged folio is still in the swap cache, and comes back as it is. */
static void test_swap_back(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h);
	gva_t at_a = ksm_map_equal(h, a, 3, KSM_WORD), at_b = ksm_map_equal(h, b, 3, KSM_WORD);
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX, .mm = a, .node = -1, .ignore_references = true
	};
	struct reclaim_result res;

	ksm_merge_all(h);
	fake_fail_from(h, FAKE_SWAP_IO, 1);
	CU_ASSERT_EQUAL(mm_reclaim(h->sys, &req, &res), -EIO);
	fake_fail_nth(h, FAKE_ANY, 0);
	CU_ASSERT_TRUE(unit_swapped(h, a, at_a) && unit_swapped(h, b, at_b));
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(unit_get(h, a, at_a), KSM_WORD);
	unit_check(h);
	CU_ASSERT_TRUE(ksm_is_merged(h, a, at_a));
	CU_ASSERT_FALSE(unit_pte(h, a, at_a) & PTE_WRITE);
	unit_put(h, b, at_b, 3);
	unit_check(h);
	CU_ASSERT_EQUAL(ksm_count_wrong(h, a, at_a, 3, KSM_WORD), 0);
	CU_ASSERT_EQUAL(unit_get(h, b, at_b), 3);
	mm_put(b);
	mm_put(a);
	unit_close(h);
}

static void test_referenced_walk(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h), *child;
	gva_t at_a = ksm_map_equal(h, a, 2, KSM_WORD), at_b = ksm_map_equal(h, b, 1, KSM_WORD);
	uint64_t vm_flags;
	struct folio *f;

	ksm_merge_all(h);
	child = unit_fork(a);
	f = unit_folio(h, a, at_a);
	folio_get(f);
	folio_referenced(h->sys, f, false, &vm_flags);
	CU_ASSERT_EQUAL(folio_referenced(h->sys, f, false, &vm_flags), 0);
	/* Zapped, as reclaim does, so that the next use is seen. */
	fake_host_ops.zap_frames(h, &(struct frame_range){ folio_pfn(h->sys, f), 1 }, 1);
	unit_get(h, b, at_b);
	unit_get(h, child, at_a);
	CU_ASSERT_EQUAL(folio_referenced(h->sys, f, false, &vm_flags), 2);
	fake_host_ops.zap_frames(h, &(struct frame_range){ folio_pfn(h->sys, f), 1 }, 1);
	unit_get(h, child, page_at(at_a, 1));
	folio_set(f, PG_idle);
	page_idle_clear_pte_refs(h->sys, f);
	CU_ASSERT_FALSE(folio_test(f, PG_idle));
	CU_ASSERT_TRUE(folio_test(f, PG_young));
	folio_put(h->sys, f);
	mm_put(a);
	mm_put(b);
	mm_put(child);
	unit_close(h);
}

/* mlock: a merged page is not reclaimed while one of its sharers locks it. */
static void test_mlocked(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h);
	gva_t at_a = ksm_map_equal(h, a, 2, KSM_WORD);

	ksm_map_equal(h, b, 2, KSM_WORD);
	CU_ASSERT_EQUAL(mm_mlock(a, at_a, 2 * UMM_PAGE_SIZE, 0), 0);
	ksm_merge_all(h);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 3);
	CU_ASSERT_EQUAL(unit_reclaim(h, b, gva_make(0), 0).freed, 0);
	unit_check(h);
	CU_ASSERT_TRUE(ksm_is_merged(h, a, at_a));
	mm_put(a);
	mm_put(b);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 77: forked after merging", test_row77_forked },
		{ "forked, changed, merged again", test_forked_then_merged },
		{ "forked before merging", test_fork_before },
		{ "row 76: migrated where areas moved", test_row76_moved },
		{ "row 76: forked and unmapped in mid-migration", test_row76_fork_meanwhile },
		{ "a failed migration leaves it merged", test_migrate_fails },
		{ "row 5: rmap_walk_locked refuses merged folios", test_row5_refused },
		{ "places are forgotten in time", test_places },
		{ "swapped out of all, back as private pages", test_swap },
		{ "back from the swap cache as it was", test_swap_back },
		{ "folio_referenced and page idle", test_referenced_walk },
		{ "mlock keeps a merged page", test_mlocked },
	};

	return unit_run("ksm_walk", tests, ARRAY_LEN(tests), argc, argv);
}
