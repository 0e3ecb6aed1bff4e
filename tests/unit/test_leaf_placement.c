/* SPDX-License-Identifier: MIT */
/*
 * 2 MiB leaves and what moves memory by itself or by node: hints in leaves, samples,
 * demotion, nodes that go offline, compaction. The host keeps copies of leaves, as
 * with shadow paging, so a hint that is set without a table flush is noticed.
 */
#include <umm/placement.h>

#include "rmap/hint.h"
#include "tests/unit/util.h"

#define LEAF   UMM_PTRS_PER_TABLE
#define WHERE  0x40000000ul
#define LEAVES 2
#define PAGES  (LEAVES * LEAF)
/* Blocks of 2 MiB of a node. */
#define BLOCKS 8

#define SLOW 1

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t at;
	uint64_t now;
	enum placement_kind kind;
};

/* LEAVES whole leaves on @node, filled with key 1. @policy NULL: none. */
static struct setup open_on(enum placement_kind kind, const char *policy, int node)
{
	struct fake_config config = unit_config();
	struct setup s = { .now = placement_now(), .kind = kind };

	config.max_anon_order = UMM_PMD_ORDER;
	config.shadow_paging = true;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.at = unit_map_at(s.mm, WHERE, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	s.h->node = node;
	unit_fill(s.h, s.mm, s.at, PAGES, 1);
	s.h->node = 0;
	if (kind == PLACEMENT_TIER)
		CU_ASSERT_EQUAL(mm_placement_set_slow_nodes(s.h->sys, 1ul << SLOW), 0);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, kind, policy), 0);
	mm_placement_tick(s.h->sys, s.now);
	return s;
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(mm_node_online(s->h->sys, i), 0);
	mm_put(s->mm);
	unit_close(s->h);
}

static uint64_t leaf_of(struct setup *s, struct mm *mm, gva_t addr)
{
	bool huge;
	uint64_t e = fake_entry(s->h, mm->root, addr, &huge);

	return huge ? e : 0;
}

static uint64_t leaf_at(struct setup *s, uint64_t nr)
{
	return leaf_of(s, s->mm, page_at(s->at, nr * LEAF));
}

/* How many of the leaves are whole, and on @node. */
static uint64_t leaves_on(struct setup *s, int node)
{
	uint64_t nr = 0;

	for (uint64_t i = 0; i < LEAVES; i++) {
		uint64_t e = leaf_at(s, i);

		nr += e && sys_node_of(s->h->sys, pte_pfn(e)) == node;
	}
	return nr;
}

static void scan(struct setup *s)
{
	s->now += 200 * NS_PER_S;
	mm_placement_tick(s->h->sys, s->now);
}

static void touch_from(struct setup *s, int node, uint64_t page)
{
	s->h->node = node;
	unit_get(s->h, s->mm, page_at(s->at, page));
	s->h->node = 0;
}

static uint64_t hints(struct setup *s)
{
	return mm_placement_count_hints(s->h->sys);
}

static struct placement_counters counters(struct setup *s)
{
	struct placement_info info;

	mm_placement_get(s->h->sys, s->kind, &info);
	return info.count;
}

/* ---- hints ------------------------------------------------------------------------ */

/* One hint a leaf, one flush for all of them; the leaf stays one, and gets its rights back. */
static void test_hint_comes_and_goes(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);
	uint64_t before = leaf_at(&s, 0), flushes = fake_calls(s.h, FAKE_FLUSH);

	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), LEAVES);
	CU_ASSERT_EQUAL(counters(&s).scanned, LEAVES);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	CU_ASSERT_EQUAL(fake_check(s.h), 0);
	CU_ASSERT_TRUE(pte_protnone(leaf_at(&s, 0)));
	CU_ASSERT_TRUE(fake_would_fault(s.h, s.mm, 0, page_at(s.at, 77), FAKE_LOAD));
	/* The next pass finds them there. */
	scan(&s);
	CU_ASSERT_EQUAL(counters(&s).scanned, LEAVES);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	CU_ASSERT_EQUAL(counters(&s).faults, LEAVES);
	CU_ASSERT_EQUAL(leaf_at(&s, 0), before);
	CU_ASSERT_EQUAL(hints(&s), 0);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_FLUSH), flushes + 1);
	close_setup(&s);
}

static void test_store_on_a_hint(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);

	unit_protect(s.mm, page_at(s.at, LEAF), LEAF, PROT_READ);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), LEAVES);
	unit_put(s.h, s.mm, page_at(s.at, 5), 55);
	CU_ASSERT_TRUE(leaf_at(&s, 0) & PTE_DIRTY);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.at, LEAF + 5), 1), FAULT_ACCERR);
	CU_ASSERT_EQUAL(hints(&s), 1); /* a wrong access takes none away */
	unit_get(s.h, s.mm, page_at(s.at, LEAF + 5));
	CU_ASSERT_FALSE(leaf_at(&s, 1) & PTE_WRITE);
	CU_ASSERT_TRUE(leaf_at(&s, 1) & PTE_PRESENT);
	close_setup(&s);
}

/* PROT_NONE looks the same, and is none. */
static void test_prot_none(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);
	uint64_t value;

	unit_protect(s.mm, s.at, LEAF, PROT_NONE);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), 1);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, s.at, &value), FAULT_ACCERR);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, NULL), 0);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, s.at, &value), FAULT_ACCERR);
	CU_ASSERT_TRUE(pte_protnone(leaf_at(&s, 0)));
	CU_ASSERT_FALSE(pte_protnone(leaf_at(&s, 1)));
	close_setup(&s);
}

/* Every call that works on leaves takes one with a hint for what it is. */
static void test_calls_on_hinted_leaves(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);
	gva_t to = gva_make(WHERE + 8 * UMM_PMD_SIZE);
	struct mm *child;
	uint64_t word;
	size_t done;

	scan(&s);
	s.at = unit_remap(s.mm, s.at, PAGES, PAGES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	unit_check(s.h);
	CU_ASSERT_EQUAL(hints(&s), LEAVES);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(hints(&s), 2 * LEAVES);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.at, PAGES, 1), 0);
	/* A store to what the fork shares: the hint goes, then a page is copied. */
	unit_put(s.h, s.mm, page_at(s.at, 3), 33);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.at, PAGES, 1), 0);
	mm_put(child);
	unit_put(s.h, s.mm, page_at(s.at, 3), 1);
	unit_fill(s.h, s.mm, s.at, PAGES, 1);
	unit_check(s.h);
	scan(&s);
	CU_ASSERT_TRUE(hints(&s) > 0);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, &word, page_at(s.at, LEAF + 9), 8, &done), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	/* Part of one: its pages have the hints then. */
	scan(&s);
	unit_advise(s.mm, page_at(s.at, LEAF + 10), 5, MADV_DONTNEED);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, LEAF + 10, 1), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.at, LEAF + 10)), 0);
	scan(&s);
	unit_unmap(s.mm, s.at, PAGES);
	CU_ASSERT_EQUAL(hints(&s), 0);
	close_setup(&s);
}

static void test_shared_leaf_gets_none(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);
	struct mm *child = unit_fork(s.mm);

	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), 0);
	mm_put(child);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), LEAVES);
	close_setup(&s);
}

static void test_off_takes_them_back(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "majority", 0);

	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), LEAVES);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, NULL), 0);
	CU_ASSERT_EQUAL(hints(&s), 0);
	CU_ASSERT_TRUE(leaf_at(&s, 0) & PTE_PRESENT);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

/* An area beside, of folios of one frame. */
static gva_t small_pages(struct setup *s, uint64_t pages)
{
	gva_t a = unit_map_at(s->mm, WHERE + 16 * UMM_PMD_SIZE, pages, PROT_RW, MAP_ANON_PRIVATE);

	for (unsigned int order = 1; order < UMM_PMD_ORDER; order++)
		CU_ASSERT_EQUAL(mm_sys_set_thp(s->h->sys, order, THP_NEVER), 0);
	unit_advise(s->mm, a, pages, MADV_NOHUGEPAGE);
	unit_fill(s->h, s->mm, a, pages, 3);
	return a;
}

/* ---- moving ------------------------------------------------------------------------- */

static void test_second_fault_moves_the_leaf(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);

	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(leaves_on(&s, 0), LEAVES);
		scan(&s);
		touch_from(&s, 1, 100 + (uint64_t)i);
	}
	/* Only the one that was touched, and in one piece. */
	CU_ASSERT_EQUAL(leaves_on(&s, 1), 1);
	CU_ASSERT_EQUAL(leaves_on(&s, 0), 1);
	CU_ASSERT_EQUAL(counters(&s).moved, LEAF);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

static void test_move_that_fails(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);

	scan(&s);
	touch_from(&s, 1, 7);
	scan(&s);
	fake_fail_from(s.h, FAKE_COPY, 1);
	touch_from(&s, 1, 7);
	fake_fail_nth(s.h, FAKE_COPY, 0);
	CU_ASSERT_EQUAL(counters(&s).failed, LEAF);
	CU_ASSERT_EQUAL(leaves_on(&s, 0), LEAVES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

static void test_recency_promotes_a_leaf(void)
{
	struct setup s = open_on(PLACEMENT_TIER, "recency", SLOW);

	CU_ASSERT_EQUAL(leaves_on(&s, SLOW), LEAVES);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), LEAVES);
	touch_from(&s, 0, LEAF + 1);
	CU_ASSERT_EQUAL(leaves_on(&s, 0), 1);
	CU_ASSERT_EQUAL(counters(&s).promoted, LEAF);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

/* A bits of leaves are taken, and seen again when they are set anew. */
static void test_sampling_promotes_a_leaf(void)
{
	struct setup s = open_on(PLACEMENT_TIER, "sampling", SLOW);

	scan(&s);
	CU_ASSERT_FALSE(leaf_at(&s, 0) & PTE_ACCESSED);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(leaves_on(&s, SLOW), LEAVES);
		touch_from(&s, 0, 300);
		scan(&s);
	}
	CU_ASSERT_EQUAL(leaves_on(&s, 0), 1);
	CU_ASSERT_EQUAL(leaves_on(&s, SLOW), 1);
	CU_ASSERT_EQUAL(counters(&s).promoted, LEAF);
	/* The other was sampled as often, as a whole: its tails are not looked at. */
	CU_ASSERT_EQUAL(counters(&s).scanned % LEAF, 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

static void test_demotion_keeps_leaves(void)
{
	struct setup s = open_on(PLACEMENT_TIER, "recency", 0);

	for (int i = 0; i < 4 && leaves_on(&s, SLOW) < LEAVES; i++)
		reclaim_demote(s.h->sys, 0, PAGES);
	CU_ASSERT_EQUAL(leaves_on(&s, SLOW), LEAVES);
	CU_ASSERT_EQUAL(counters(&s).demoted, PAGES);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_THP_SPLIT_PMD), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

/* More than a fast node keeps free otherwise: what found no room is made room for. */
static void test_room_is_made_for_a_leaf(void)
{
	struct setup s = open_on(PLACEMENT_TIER, "recency", SLOW);
	gva_t a = small_pages(&s, BLOCKS * LEAF - 400);

	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(a, 1000)), 0);
	scan(&s);
	touch_from(&s, 0, 7);
	CU_ASSERT_EQUAL(counters(&s).no_memory, LEAF);
	CU_ASSERT_EQUAL(leaves_on(&s, SLOW), LEAVES);
	for (int i = 0; i < 4 && !counters(&s).promoted; i++) {
		scan(&s);
		touch_from(&s, 0, 7);
	}
	CU_ASSERT_EQUAL(counters(&s).promoted, LEAF);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.at, 7)), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, BLOCKS * LEAF - 400, 3), 0);
	close_setup(&s);
}

/* ---- nodes ---------------------------------------------------------------------------- */

static struct node_offline_result offline(struct setup *s, int node)
{
	struct node_request req = { .node = node, .tries = 2 };
	struct node_offline_result r;

	CU_ASSERT_EQUAL(mm_node_offline(s->h->sys, &req, &r), 0);
	unit_check(s->h);
	return r;
}

static void test_offline_moves_leaves(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, "two-fault", 0);
	struct node_offline_result r;

	scan(&s); /* with hints or without */
	r = offline(&s, 0);
	CU_ASSERT_EQUAL(r.state, MM_NODE_OFFLINE);
	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_EQUAL(leaves_on(&s, 1), LEAVES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	CU_ASSERT_EQUAL(mm_node_online(s.h->sys, 0), 0);
	CU_ASSERT_EQUAL(offline(&s, 1).state, MM_NODE_OFFLINE);
	CU_ASSERT_EQUAL(leaves_on(&s, 0), LEAVES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

/* Where no block of 2 MiB is free, their pages go one by one. */
static void test_offline_splits_leaves(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, NULL, 0);
	unsigned int kept = 0;
	gva_t a;

	/* All of node 1, then all given back but one frame of each block. */
	s.h->node = 1;
	a = small_pages(&s, BLOCKS * LEAF);
	s.h->node = 0;
	for (uint64_t i = 0; i < BLOCKS * LEAF; i++) {
		struct folio *f = unit_folio(s.h, s.mm, page_at(a, i));

		if (f->node == 1 && folio_pfn(s.h->sys, f).v % LEAF == 0)
			kept++;
		else
			unit_advise(s.mm, page_at(a, i), 1, MADV_DONTNEED);
	}
	CU_ASSERT_EQUAL(kept, BLOCKS);
	CU_ASSERT_EQUAL(offline(&s, 0).state, MM_NODE_OFFLINE);
	CU_ASSERT_EQUAL(leaf_at(&s, 0), 0);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.at, 5)), 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

/* Holes around leaves are joined; the leaves are in nobody's way and stay. */
static void test_compaction_leaves_leaves(void)
{
	struct setup s = open_on(PLACEMENT_BALANCE, NULL, 0);
	struct node_request req = { .node = 0 };
	struct node_compact_result r;
	uint64_t before = leaf_at(&s, 0);
	gva_t a = small_pages(&s, 2 * LEAF);

	for (uint64_t i = 0; i < 2 * LEAF; i += 4)
		unit_advise(s.mm, page_at(a, i + 1), 3, MADV_DONTNEED);
	CU_ASSERT_EQUAL(mm_node_compact(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.huge_after, r.huge_before + 1);
	CU_ASSERT_TRUE(r.moved > 0 && r.moved <= 2 * LEAF / 4);
	CU_ASSERT_EQUAL(leaf_at(&s, 0), before);
	CU_ASSERT_EQUAL(leaves_on(&s, 0), LEAVES);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.at, PAGES, 1), 0);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "a hint comes and goes", test_hint_comes_and_goes },
		{ "a store on a hint", test_store_on_a_hint },
		{ "PROT_NONE is none", test_prot_none },
		{ "calls on leaves with hints", test_calls_on_hinted_leaves },
		{ "a shared leaf gets none", test_shared_leaf_gets_none },
		{ "off takes them back", test_off_takes_them_back },
		{ "the second fault moves the leaf", test_second_fault_moves_the_leaf },
		{ "a move that fails", test_move_that_fails },
		{ "recency promotes a leaf", test_recency_promotes_a_leaf },
		{ "sampling promotes a leaf", test_sampling_promotes_a_leaf },
		{ "demotion keeps leaves", test_demotion_keeps_leaves },
		{ "room is made for a leaf", test_room_is_made_for_a_leaf },
		{ "offline moves leaves", test_offline_moves_leaves },
		{ "offline splits leaves without room", test_offline_splits_leaves },
		{ "compaction leaves leaves", test_compaction_leaves_leaves },
	};

	return unit_run("leaf_placement", tests, ARRAY_LEN(tests), argc, argv);
}
