/* SPDX-License-Identifier: MIT */
/*
 * KSM: merging, and all that may happen to merged pages. unit_check() after each step
 * compares the reverse walk of every folio, merged ones too, with a scan of all tables.
 */
#include <umm/ksm.h>

#include "rmap/ksm.h"
#include "tests/unit/util.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define PAGES 8u
#define WORD  0x5eedul

static struct ksm_stats stats_of(struct fake_host *h)
{
	struct ksm_stats s;

	ksm_get_stats(h->sys, &s);
	return s;
}

/* Enough rounds for pages that do not change to meet. */
static void merge_all(struct fake_host *h)
{
	for (int i = 0; i < 4; i++) {
		ksm_scan(h->sys, UINT64_MAX);
		unit_check(h);
	}
}

/* An area of mergeable pages, each holding @word. */
static gva_t map_equal(struct fake_host *h, struct mm *mm, uint64_t pages, uint64_t word)
{
	gva_t at = unit_map(mm, pages, PROT_RW, MAP_ANON_PRIVATE);

	unit_advise(mm, at, pages, MADV_MERGEABLE);
	for (uint64_t i = 0; i < pages; i++)
		unit_put(h, mm, page_at(at, i), word);
	return at;
}

static uint64_t count_wrong(struct fake_host *h, struct mm *mm, gva_t at, uint64_t pages,
			    uint64_t word)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < pages; i++)
		wrong += unit_get(h, mm, page_at(at, i)) != word;
	return wrong;
}

static bool merged(struct fake_host *h, struct mm *mm, gva_t at)
{
	return unit_mapped(h, mm, at) && folio_test_ksm(unit_folio(h, mm, at));
}

/* ---- merging ----------------------------------------------------------------- */

static void test_merge(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h);
	gva_t at_a = map_equal(h, a, PAGES, WORD), at_b = map_equal(h, b, PAGES, WORD);
	uint64_t free_before = frames_nr_free(h->sys);

	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 1);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 2 * PAGES - 1);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys) - free_before, 2 * PAGES - 1);
	for (unsigned int i = 0; i < PAGES; i++) {
		CU_ASSERT_PTR_EQUAL(unit_folio(h, a, page_at(at_a, i)),
				    unit_folio(h, b, page_at(at_b, i)));
		CU_ASSERT_FALSE(unit_pte(h, a, page_at(at_a, i)) & PTE_WRITE);
	}
	CU_ASSERT_EQUAL(count_wrong(h, a, at_a, PAGES, WORD), 0);
	CU_ASSERT_EQUAL(count_wrong(h, b, at_b, PAGES, WORD), 0);
	mm_put(a);
	unit_check(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, PAGES - 1);
	mm_put(b);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	unit_close(h);
}

/* What differs, changes, or is not asked for stays alone. */
static void test_not_merged(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = map_equal(h, mm, 2, WORD), other = unit_map(mm, 2, PROT_RW, MAP_ANON_PRIVATE);
	gva_t shared = unit_map(mm, 2, PROT_RW, MAP_ANON_SHARED);

	unit_put(h, mm, page_at(at, 1), WORD + 1);
	unit_advise(mm, shared, 2, MADV_MERGEABLE); /* ignored, as on Linux */
	for (unsigned int i = 0; i < 2; i++) {
		unit_put(h, mm, page_at(other, i), WORD);
		unit_put(h, mm, page_at(shared, i), WORD);
	}
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(stats_of(h).pages_unshared, 2);
	for (uint64_t i = 0; i < 4; i++) {
		unit_put(h, mm, at, 2 * i);
		unit_put(h, mm, page_at(at, 1), 2 * i + 1);
		ksm_scan(h->sys, UINT64_MAX);
	}
	CU_ASSERT_EQUAL(stats_of(h).pages_volatile, 2);
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
	gva_t at = map_equal(h, mm, 2, WORD);
	/* The second zap is that of the page that joins. */
	struct late_store late = { .zaps = 2, .pfn = pte_pfn(unit_pte(h, mm, page_at(at, 1))) };

	ksm_scan(h->sys, UINT64_MAX);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	h->hook = store_at_zap;
	h->hook_arg = &late;
	ksm_scan(h->sys, UINT64_MAX);
	h->hook = NULL;
	CU_ASSERT_EQUAL(late.zaps, 0);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_get(h, mm, at), WORD);
	CU_ASSERT_EQUAL(unit_get(h, mm, page_at(at, 1)), 1);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	mm_put(mm);
	unit_close(h);
}

/* ---- stores ------------------------------------------------------------------- */

static void test_cow(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h);
	gva_t at_a = map_equal(h, a, 2, WORD), at_b = map_equal(h, b, 2, WORD);

	merge_all(h);
	unit_put(h, a, at_a, 77);
	unit_check(h);
	CU_ASSERT_FALSE(merged(h, a, at_a));
	CU_ASSERT_EQUAL(unit_get(h, a, at_a), 77);
	CU_ASSERT_EQUAL(unit_get(h, a, page_at(at_a, 1)), WORD);
	CU_ASSERT_EQUAL(count_wrong(h, b, at_b, 2, WORD), 0);
	/* The last sharer copies too: a merged folio is never written. */
	unit_put(h, a, page_at(at_a, 1), 78);
	unit_put(h, b, at_b, 79);
	CU_ASSERT_TRUE(merged(h, b, page_at(at_b, 1)));
	unit_put(h, b, page_at(at_b, 1), 80);
	CU_ASSERT_FALSE(merged(h, b, page_at(at_b, 1)));
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(mm_sys_event(h->sys, EV_KSM_COW), 4);
	unit_check(h);
	/* And again: the same places may join once more. */
	unit_put(h, a, at_a, WORD);
	unit_put(h, b, at_b, WORD);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 1);
	mm_put(a);
	mm_put(b);
	unit_close(h);
}

static void test_pinned(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = map_equal(h, mm, 2, WORD);
	struct mm_pin_vec vec;
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(mm_pin(mm, at, 8, true, &vec, 1, &nr, &bytes), 0);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	/* The host's store reaches the guest, as it would not if the page had gone. */
	*(uint64_t *)vec.hva = 99;
	CU_ASSERT_EQUAL(unit_get(h, mm, at), 99);
	*(uint64_t *)vec.hva = WORD;
	mm_unpin(mm, &vec, nr, true);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 1);
	mm_put(mm);
	unit_close(h);
}

/* A reference that is no entry's: somebody uses the frame. */
static void test_referenced(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = map_equal(h, mm, 2, WORD);
	struct folio *f = unit_folio(h, mm, at);

	folio_get(f);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	folio_put(h->sys, f);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 1);
	mm_put(mm);
	unit_close(h);
}

/* ---- taking apart -------------------------------------------------------------- */

static void test_unmergeable(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t at = map_equal(h, mm, PAGES, WORD);

	merge_all(h);
	unit_advise(mm, page_at(at, 2), 3, MADV_UNMERGEABLE);
	unit_check(h);
	for (unsigned int i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(merged(h, mm, page_at(at, i)), i < 2 || i > 4);
	CU_ASSERT_EQUAL(count_wrong(h, mm, at, PAGES, WORD), 0);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, PAGES - 4);
	unit_advise(mm, at, PAGES, MADV_UNMERGEABLE);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(vma_flags(unit_vma(mm, at)) & VM_MERGEABLE, 0);
	CU_ASSERT_EQUAL(vma_pages(unit_vma(mm, at)), PAGES);
	mm_put(mm);
	unit_close(h);
}

static void test_run(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b;
	gva_t at = map_equal(h, a, PAGES, WORD);

	CU_ASSERT_EQUAL(ksm_get(h->sys, KSM_RUN), KSM_STOP);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_RUN, 3), -EINVAL);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_MAX_PAGE_SHARING, 1), -EINVAL);
	merge_all(h);
	b = unit_fork(a);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_MAX_PAGE_SHARING, 4), -EBUSY);
	CU_ASSERT_EQUAL(ksm_set(h->sys, KSM_RUN, KSM_UNMERGE), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(stats_of(h).rmap_items, 0);
	CU_ASSERT_EQUAL(count_wrong(h, a, at, PAGES, WORD), 0);
	CU_ASSERT_EQUAL(count_wrong(h, b, at, PAGES, WORD), 0);
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
	at = map_equal(h, mm, 12, WORD);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 3);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 9);
	CU_ASSERT_EQUAL(stats_of(h).stable_node_dups, 2);
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
	map_equal(h, a, 2, WORD);
	h->node = 1;
	map_equal(h, b, 2, WORD);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 2);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 2);
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
		unit_put(h, a, page_at(at, i), WORD);
		unit_put(h, a, page_at(later, i), WORD);
	}
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 3);
	b = unit_fork(a);
	CU_ASSERT_TRUE(mm_merge_any(b));
	CU_ASSERT_EQUAL(mm_set_merge_any(b, false), 0);
	CU_ASSERT_FALSE(merged(h, b, at));
	CU_ASSERT_TRUE(merged(h, a, at));
	CU_ASSERT_EQUAL(mm_set_merge_any(a, false), 0);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	unit_check(h);
	mm_put(a);
	mm_put(b);
	unit_close(h);
}

/* ---- fork, exit, areas ----------------------------------------------------------- */

/* Row 77: the child was forked after the merge; only the second pass finds it. */
static void test_row77_forked(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child, *grandchild;
	gva_t at = map_equal(h, a, 2, WORD);

	merge_all(h);
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
	merge_all(h);
	CU_ASSERT_EQUAL(unit_migrate(h, child, 0).moved, 1);
	CU_ASSERT_EQUAL(unit_node(h, grandchild, at), 0);
	unit_put(h, child, at, 5);
	merge_all(h);
	CU_ASSERT_EQUAL(count_wrong(h, grandchild, at, 2, WORD), 0);
	mm_put(child);
	mm_put(grandchild);
	unit_close(h);
}

/* The parent's and the child's pages become one again, by two ways that meet. */
static void test_forked_then_merged(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child;
	gva_t at = map_equal(h, a, 2, WORD);

	merge_all(h);
	child = unit_fork(a);
	for (unsigned int round = 0; round < 3; round++) {
		unit_put(h, child, at, 5);
		unit_put(h, a, page_at(at, 1), 6);
		unit_check(h);
		unit_put(h, child, at, WORD);
		unit_put(h, a, page_at(at, 1), WORD);
		merge_all(h);
		CU_ASSERT_EQUAL(stats_of(h).pages_shared, 1);
		CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 3);
	}
	mm_put(a);
	unit_check(h);
	mm_put(child);
	unit_close(h);
}

/* Pages that relatives share since a fork become merged ones without a copy. */
static void test_fork_before(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child, *c = unit_mm(h);
	gva_t at = map_equal(h, a, 2, WORD), at_c;

	unit_put(h, a, page_at(at, 1), WORD + 1);
	child = unit_fork(a);
	at_c = map_equal(h, c, 1, WORD);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 1);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 2);
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
	gva_t at_a = map_equal(h, a, 4, WORD), at_b = map_equal(h, b, 4, WORD), there = at_a;

	merge_all(h);
	child = unit_fork(a);
	at_a = unit_remap(a, at_a, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(0x550000000000));
	there = unit_remap(child, page_at(there, 1), 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED,
			   gva_make(0x560000000000));
	unit_check(h);
	CU_ASSERT_EQUAL(unit_migrate(h, b, 1).moved, 1);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_node(h, a, page_at(at_a, 3)), 1);
	CU_ASSERT_EQUAL(unit_node(h, child, page_at(there, 1)), 1);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 11);
	CU_ASSERT_EQUAL(count_wrong(h, a, at_a, 4, WORD), 0);
	CU_ASSERT_EQUAL(count_wrong(h, b, at_b, 4, WORD), 0);
	CU_ASSERT_EQUAL(count_wrong(h, child, there, 2, WORD), 0);
	/* Half of a moved area goes, the other is split off. */
	unit_unmap(a, page_at(at_a, 1), 1);
	unit_protect(a, page_at(at_a, 2), 1, PROT_READ);
	merge_all(h);
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
	gva_t at = map_equal(h, a, 3, WORD);
	struct migration_step step = { .mm = a, .at = at };

	merge_all(h);
	h->hook = fork_in_copy;
	h->hook_arg = &step;
	CU_ASSERT_EQUAL(unit_migrate(h, a, 1).moved, 1);
	CU_ASSERT_TRUE(step.done);
	unit_check(h);
	CU_ASSERT_EQUAL(unit_node(h, step.child, at), 1);
	CU_ASSERT_EQUAL(folio_mapcount(unit_folio(h, a, page_at(at, 1))), 5);
	merge_all(h);
	CU_ASSERT_EQUAL(count_wrong(h, step.child, at, 3, WORD), 0);
	mm_put(a);
	mm_put(step.child);
	unit_close(h);
}

/* The copy fails: all entries are as they were, the folio is merged as before. */
static void test_migrate_fails(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h);
	gva_t at = map_equal(h, a, 3, WORD);
	struct migrate_request req = { .to = 1, .mm = a, .move_shared = true };
	struct migrate_result res;

	merge_all(h);
	fake_fail_from(h, FAKE_COPY, 1);
	CU_ASSERT_EQUAL(mm_migrate(h->sys, &req, &res), 0);
	fake_fail_nth(h, FAKE_ANY, 0);
	CU_ASSERT_EQUAL(res.moved, 0);
	CU_ASSERT_EQUAL(res.failed, 1);
	unit_check(h);
	CU_ASSERT_TRUE(merged(h, a, page_at(at, 2)));
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
	gva_t at = map_equal(h, a, 3, WORD);
	unsigned int calls = 0;
	struct rmap_walk_control rwc = { .arg = &calls, .rmap_one = count_call };
	struct folio *f;

	merge_all(h);
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
	gva_t at = map_equal(h, a, 4, WORD);
	struct ksm_stable_node *node;

	map_equal(h, b, 2, WORD);
	merge_all(h);
	node = folio_stable_node(unit_folio(h, a, at));
	CU_ASSERT_EQUAL(node->nr_items, 6);
	unit_put(h, a, at, 1);
	unit_unmap(a, page_at(at, 1), 1);
	merge_all(h);
	CU_ASSERT_EQUAL(node->nr_items, 4);
	child = unit_fork(a);
	unit_put(h, a, page_at(at, 2), 2);
	merge_all(h);
	CU_ASSERT_EQUAL(node->nr_items, 4); /* the child's */
	mm_put(child);
	merge_all(h);
	CU_ASSERT_EQUAL(node->nr_items, 3);
	mm_put(a);
	merge_all(h);
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
	gva_t at_a = map_equal(h, a, 3, WORD), at_b = map_equal(h, b, 3, WORD);

	merge_all(h);
	child = unit_fork(a);
	CU_ASSERT_EQUAL(unit_reclaim(h, a, at_a, 0).freed, 1);
	unit_check(h);
	CU_ASSERT_TRUE(unit_swapped(h, b, at_b) && unit_swapped(h, child, at_a));
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	/* Unrelated ones that name one slot: each has its own page afterwards. */
	CU_ASSERT_EQUAL(count_wrong(h, a, at_a, 3, WORD), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(count_wrong(h, b, at_b, 3, WORD), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(count_wrong(h, child, at_a, 3, WORD), 0);
	unit_check(h);
	CU_ASSERT_TRUE(mm_sys_event(h->sys, EV_KSM_SWPIN_COPY) > 0);
	unit_put(h, a, at_a, 7);
	unit_put(h, b, at_b, 8);
	CU_ASSERT_EQUAL(unit_get(h, child, at_a), WORD);
	unit_check(h);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 1);
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
	gva_t at_a = map_equal(h, a, 3, WORD), at_b = map_equal(h, b, 3, WORD);
	struct reclaim_request req = { .nr_frames = UINT64_MAX, .mm = a, .node = -1,
				       .ignore_references = true };
	struct reclaim_result res;

	merge_all(h);
	fake_fail_from(h, FAKE_SWAP_IO, 1);
	CU_ASSERT_EQUAL(mm_reclaim(h->sys, &req, &res), -EIO);
	fake_fail_nth(h, FAKE_ANY, 0);
	CU_ASSERT_TRUE(unit_swapped(h, a, at_a) && unit_swapped(h, b, at_b));
	merge_all(h);
	CU_ASSERT_EQUAL(unit_get(h, a, at_a), WORD);
	unit_check(h);
	CU_ASSERT_TRUE(merged(h, a, at_a));
	CU_ASSERT_FALSE(unit_pte(h, a, at_a) & PTE_WRITE);
	unit_put(h, b, at_b, 3);
	unit_check(h);
	CU_ASSERT_EQUAL(count_wrong(h, a, at_a, 3, WORD), 0);
	CU_ASSERT_EQUAL(unit_get(h, b, at_b), 3);
	mm_put(b);
	mm_put(a);
	unit_close(h);
}

static void test_referenced_walk(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h), *child;
	gva_t at_a = map_equal(h, a, 2, WORD), at_b = map_equal(h, b, 1, WORD);
	uint64_t vm_flags;
	struct folio *f;

	merge_all(h);
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
	gva_t at_a = map_equal(h, a, 2, WORD);

	map_equal(h, b, 2, WORD);
	CU_ASSERT_EQUAL(mm_mlock(a, at_a, 2 * UMM_PAGE_SIZE, 0), 0);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 3);
	CU_ASSERT_EQUAL(unit_reclaim(h, b, gva_make(0), 0).freed, 0);
	unit_check(h);
	CU_ASSERT_TRUE(merged(h, a, at_a));
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
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_shared, 0);
	CU_ASSERT_EQUAL(mm_sys_event(h->sys, EV_THP_SPLIT_FOLIO), 0);
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int w = 0; w < 512; w++)
			unit_put(h, a, gva_add(page_at(at, i), 8ul * w), WORD);
	merge_all(h);
	CU_ASSERT_EQUAL(stats_of(h).pages_sharing, 2);
	CU_ASSERT_EQUAL(mm_sys_event(h->sys, EV_THP_SPLIT_FOLIO), 1);
	CU_ASSERT_EQUAL(count_wrong(h, a, at, 3, WORD), 0);
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
	gva_t at_a = map_equal(h, a, 6, WORD), at_b = map_equal(h, b, 3, WORD);
	struct migrate_request move = { .to = 1 };
	struct reclaim_request out = { .nr_frames = UINT64_MAX, .node = -1,
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
	CU_ASSERT_EQUAL(count_wrong(h, a, at_a, 6, WORD), 0);
	CU_ASSERT_EQUAL(count_wrong(h, b, at_b, 3, WORD), 0);
	if (child)
		CU_ASSERT_EQUAL(count_wrong(h, child, at_a, 6, WORD), 0);
	unit_check(h);
	/* And it goes on. */
	merge_all(h);
	CU_ASSERT_TRUE(stats_of(h).pages_shared > 0);
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
			fprintf(stderr, "with call %lu failing%s\n", n, on ? " and all after it" : "");
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
		{ "large folios are split", test_large },
		{ "2 MiB leaves are split", test_leaf },
		{ "the Nth call fails, for all N", test_fail_once },
		{ "all calls fail from the Nth on, for all N", test_fail_on },
	};

	return unit_run("ksm", tests, ARRAY_LEN(tests), argc, argv);
}
