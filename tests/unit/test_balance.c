/* SPDX-License-Identifier: MIT */
/* Balancing: hints in all kinds of areas, what takes them away, and who moves where. */
#include <umm/placement.h>

#include "rmap/hint.h"
#include "tests/unit/util.h"

#define PAGES 32
/* The block of a small process: one hint in each. */
#define BLOCK 16

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	uint64_t now;
};

static struct setup open_with(const struct fake_config *config, const char *policy)
{
	struct setup s = { .h = unit_open_with(config), .now = placement_now() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_at(s.mm, 0x10000000, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, s.addr, PAGES, 1);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, policy), 0);
	mm_placement_tick(s.h->sys, s.now); /* the delay of a new process begins */
	return s;
}

static struct setup open_on(const char *policy)
{
	struct fake_config config = unit_config();

	return open_with(&config, policy);
}

/* One window, which is a whole pass over what these tests map. */
static void scan(struct setup *s)
{
	s->now += 200 * NS_PER_S;
	mm_placement_tick(s->h->sys, s->now);
}

static struct placement_counters counters(struct setup *s)
{
	struct placement_info info;

	mm_placement_get(s->h->sys, PLACEMENT_BALANCE, &info);
	return info.count;
}

static uint64_t hints(struct setup *s)
{
	return mm_placement_count_hints(s->h->sys);
}

/* The page of [addr, addr + pages) that has a hint; fails if there is none. */
static gva_t hinted(struct setup *s, struct mm *mm, gva_t addr, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		if (pte_protnone(unit_pte(s->h, mm, page_at(addr, i))))
			return page_at(addr, i);
	}
	CU_FAIL("no hint");
	return addr;
}

/* Touch the hinted page of the first block from @node. */
static void touch_from(struct setup *s, int node)
{
	s->h->node = node;
	unit_get(s->h, s->mm, hinted(s, s->mm, s->addr, BLOCK));
}

static uint64_t flags_at(struct setup *s, gva_t at)
{
	return unit_pte(s->h, s->mm, at) & ~(PTE_PFN_MASK | PTE_ACCESSED);
}

/* ---- hints ------------------------------------------------------------------------- */

static void test_one_hint_a_block(void)
{
	struct setup s = open_on("two-fault");
	gva_t first, second;

	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), PAGES / BLOCK);
	CU_ASSERT_EQUAL(counters(&s).scanned, PAGES / BLOCK);
	CU_ASSERT_EQUAL(fake_check(s.h), 0); /* they were zapped */
	first = hinted(&s, s.mm, s.addr, BLOCK);
	/* Untouched: the next pass takes it back and tries another place. */
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), PAGES / BLOCK);
	second = hinted(&s, s.mm, s.addr, BLOCK);
	CU_ASSERT_NOT_EQUAL(first.v, second.v);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(hints(&s), 0);
	CU_ASSERT_EQUAL(counters(&s).faults, PAGES / BLOCK);
	unit_end(s.h, s.mm);
}

/* All the pages of a pass come back with what their area allows, no more and no less. */
static void test_permissions_come_back(void)
{
	static const int prots[] = { PROT_READ, PROT_RW, PROT_READ | PROT_EXEC,
				     PROT_RW | PROT_EXEC };
	struct setup s = open_on("two-fault");
	gva_t areas[ARRAY_LEN(prots)];
	uint64_t before[ARRAY_LEN(prots)];

	for (unsigned int i = 0; i < ARRAY_LEN(prots); i++) {
		areas[i] = unit_map_at(s.mm, 0x20000000 + i * 0x200000ul, 1, PROT_RW,
				       MAP_ANON_PRIVATE);
		unit_put(s.h, s.mm, areas[i], 7 + i);
		unit_protect(s.mm, areas[i], 1, prots[i]);
		before[i] = flags_at(&s, areas[i]);
	}
	scan(&s);
	for (unsigned int i = 0; i < ARRAY_LEN(prots); i++) {
		CU_ASSERT_TRUE(pte_protnone(unit_pte(s.h, s.mm, areas[i])));
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, areas[i]), 7 + i);
		CU_ASSERT_EQUAL(flags_at(&s, areas[i]), before[i]);
	}
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, areas[0], 1), FAULT_ACCERR);
	CU_ASSERT_EQUAL(fake_fetch(s.h, s.mm, 0, areas[1]), FAULT_ACCERR);
	CU_ASSERT_EQUAL(fake_fetch(s.h, s.mm, 0, areas[2]), FAULT_DONE);
	unit_end(s.h, s.mm);
}

/* Wrong accesses are wrong on a hint too, and do not take it away. */
static void test_wrong_access_to_a_hint(void)
{
	struct setup s = open_on("two-fault");
	gva_t a = unit_map_at(s.mm, 0x20000000, 1, PROT_RW, MAP_ANON_PRIVATE);

	unit_put(s.h, s.mm, a, 1);
	unit_protect(s.mm, a, 1, PROT_READ);
	scan(&s);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, a, 1), FAULT_ACCERR);
	CU_ASSERT_EQUAL(fake_fetch(s.h, s.mm, 0, a), FAULT_ACCERR);
	CU_ASSERT_TRUE(pte_protnone(unit_pte(s.h, s.mm, a)));
	unit_end(s.h, s.mm);
}

static void test_prot_none_stays_forbidden(void)
{
	struct setup s = open_on("two-fault");
	gva_t none = unit_map_at(s.mm, 0x20000000, 4, PROT_RW, MAP_ANON_PRIVATE);
	uint64_t value, poked = 9;

	unit_fill(s.h, s.mm, none, 4, 3);
	unit_protect(s.mm, none, 4, PROT_NONE);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), PAGES / BLOCK); /* none of them in there */
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, none, &value), FAULT_ACCERR);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, NULL), 0);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, none, &value), FAULT_ACCERR);
	/* A debugger's store goes on as it did. */
	CU_ASSERT_EQUAL(mm_poke_guest(s.mm, none, &poked, sizeof(poked), NULL), 0);
	unit_protect(s.mm, none, 4, PROT_RW);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, none), 9);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, none, 4, 3), 1); /* the one that was poked */
	unit_end(s.h, s.mm);
}

static void test_store_to_a_shared_page(void)
{
	struct setup s = open_on("two-fault");
	gva_t a = unit_map_at(s.mm, 0x20000000, 1, PROT_RW, MAP_ANON_PRIVATE);
	struct mm *child;
	uint64_t faults;

	unit_put(s.h, s.mm, a, 5);
	scan(&s);
	child = unit_fork(s.mm);
	/* One fault takes the hint back and copies. */
	CU_ASSERT_TRUE(pte_protnone(unit_pte(s.h, s.mm, a)));
	faults = mm_sys_event(s.h->sys, EV_FAULT);
	unit_put(s.h, s.mm, a, 6);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_FAULT), faults + 1);
	CU_ASSERT_EQUAL(unit_get(s.h, child, a), 5);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, a), 6);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_files(void)
{
	struct setup s = open_on("two-fault");
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t shared = unit_map_file(s.mm, file.mapping, 0, 2, PROT_RW, MAP_SHARED);
	gva_t readonly = unit_map_file(s.mm, file.mapping, 2, 2, PROT_READ, MAP_SHARED);

	unit_put(s.h, s.mm, shared, 5);
	unit_get(s.h, s.mm, readonly);
	scan(&s);
	CU_ASSERT_TRUE(pte_protnone(unit_pte(s.h, s.mm, hinted(&s, s.mm, shared, 2))));
	CU_ASSERT_FALSE(pte_protnone(unit_pte(s.h, s.mm, readonly)));
	/* Written back through the hint; the next store is seen again. */
	CU_ASSERT_EQUAL(mm_msync(s.mm, shared, 2 * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), 5);
	scan(&s);
	unit_put(s.h, s.mm, shared, 6);
	CU_ASSERT_EQUAL(mm_msync(s.mm, shared, 2 * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), 6);
	unit_unmap(s.mm, shared, 2);
	unit_unmap(s.mm, readonly, 2);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* ---- what else happens to hints ---------------------------------------------------------- */

static void test_mprotect(void)
{
	struct setup s = open_on("two-fault");
	uint64_t value;
	gva_t a;

	scan(&s);
	a = hinted(&s, s.mm, s.addr, BLOCK);
	unit_protect(s.mm, s.addr, PAGES, PROT_READ);
	CU_ASSERT_EQUAL(hints(&s), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, a, 1), FAULT_ACCERR);
	scan(&s);
	unit_protect(s.mm, s.addr, PAGES, PROT_NONE);
	CU_ASSERT_EQUAL(fake_load(s.h, s.mm, 0, a, &value), FAULT_ACCERR);
	unit_check(s.h);
	unit_protect(s.mm, s.addr, PAGES, PROT_RW);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_move_and_unmap(void)
{
	struct setup s = open_on("two-fault");
	gva_t to;

	scan(&s);
	to = unit_remap(s.mm, s.addr, PAGES, PAGES, MREMAP_MAYMOVE | MREMAP_FIXED,
			gva_make(0x30000000));
	CU_ASSERT_EQUAL(hints(&s), PAGES / BLOCK);
	unit_check(s.h);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, to, PAGES, 1), 0);
	scan(&s);
	unit_advise(s.mm, to, BLOCK, MADV_DONTNEED);
	CU_ASSERT_EQUAL(hints(&s), PAGES / BLOCK - 1);
	unit_unmap(s.mm, to, PAGES);
	CU_ASSERT_EQUAL(hints(&s), 0);
	unit_end(s.h, s.mm);
}

static void test_fork(void)
{
	struct setup s = open_on("two-fault");
	struct mm *child;

	scan(&s);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(hints(&s), 2 * PAGES / BLOCK);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	unit_fill(s.h, s.mm, s.addr, PAGES, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	/* Pages shared by fork get no hints. */
	mm_put(child);
	child = unit_fork(s.mm);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_migration_and_swap(void)
{
	struct setup s = open_on("two-fault");
	int from = unit_node(s.h, s.mm, s.addr);

	scan(&s);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !from).moved, PAGES);
	CU_ASSERT_EQUAL(hints(&s), 0); /* the new entries are whole */
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	scan(&s);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, s.addr, PAGES).freed, PAGES);
	CU_ASSERT_EQUAL(hints(&s), 0);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, s.addr));
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_put(s.h, s.mm, s.addr, 1);
	unit_end(s.h, s.mm);
}

static void test_host_access(void)
{
	struct setup s = open_on("two-fault");
	static char bytes[PAGES * UMM_PAGE_SIZE];
	struct mm_pin_vec vec[PAGES];
	unsigned int nr;
	size_t done;

	scan(&s);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, bytes, s.addr, sizeof(bytes), &done), 0);
	CU_ASSERT_EQUAL(done, sizeof(bytes));
	CU_ASSERT_EQUAL(hints(&s), 0);
	scan(&s);
	CU_ASSERT_EQUAL(mm_pin(s.mm, s.addr, sizeof(bytes), true, vec, PAGES, &nr, &done), 0);
	/* Pinned pages may get hints; nothing moves them. */
	scan(&s);
	touch_from(&s, 1);
	scan(&s);
	touch_from(&s, 1);
	CU_ASSERT_EQUAL(counters(&s).moved, 0);
	CU_ASSERT_EQUAL(counters(&s).pinned, BLOCK);
	mm_unpin(s.mm, vec, nr, false);
	unit_end(s.h, s.mm);
}

/* ---- moving ----------------------------------------------------------------------------------- */

static void test_second_fault_moves(void)
{
	struct setup s = open_on("two-fault");

	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, s.addr), 0);
	scan(&s);
	touch_from(&s, 1);
	CU_ASSERT_EQUAL(counters(&s).tried, 0);
	scan(&s);
	touch_from(&s, 1);
	/* The block moves, and nothing else. */
	CU_ASSERT_EQUAL(counters(&s).moved, BLOCK);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)), i < BLOCK);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_NUMA_PAGES_MIGRATED), BLOCK);
	/* At home: local faults, and no more moves. */
	scan(&s);
	touch_from(&s, 1);
	CU_ASSERT_EQUAL(counters(&s).moved, BLOCK);
	CU_ASSERT_TRUE(counters(&s).local >= 1);
	unit_end(s.h, s.mm);
}

/* Only the pages that are where the touched one is share its fate. */
static void test_mixed_block(void)
{
	struct setup s = open_on("two-fault");
	gva_t a = unit_map_at(s.mm, 0x20000000, BLOCK, PROT_RW, MAP_ANON_PRIVATE);
	pfn_t there;

	unit_fill(s.h, s.mm, a, BLOCK / 2, 1);
	s.h->node = 1;
	unit_fill(s.h, s.mm, a, BLOCK, 1);
	there = pte_pfn(unit_pte(s.h, s.mm, page_at(a, BLOCK - 1)));
	for (int i = 0; i < 20 && !counters(&s).moved; i++) {
		gva_t hint;

		scan(&s);
		hint = hinted(&s, s.mm, a, BLOCK);
		s.h->node = 1;
		unit_get(s.h, s.mm, hint);
	}
	CU_ASSERT_EQUAL(counters(&s).tried, BLOCK / 2);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, a), 1);
	CU_ASSERT_EQUAL(pte_pfn(unit_pte(s.h, s.mm, page_at(a, BLOCK - 1))).v, there.v);
	unit_end(s.h, s.mm);
}

static void test_faults_in_turn_move_nothing(void)
{
	struct setup s = open_on("two-fault");

	for (int i = 0; i < 6; i++) {
		scan(&s);
		touch_from(&s, i % 2);
	}
	CU_ASSERT_EQUAL(counters(&s).tried, 0);
	unit_end(s.h, s.mm);
}

static void test_large_folio_moves_whole(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;
	gva_t a;

	s = open_with(&config, "two-fault");
	a = unit_map_large(s.h, s.mm, 16, 4, 5);
	for (int i = 0; i < 2; i++) {
		scan(&s);
		s.h->node = 1;
		unit_get(s.h, s.mm, hinted(&s, s.mm, a, 16));
	}
	CU_ASSERT_EQUAL(unit_folio(s.h, s.mm, a)->order, 4);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, a), 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 16, 5), 0);
	unit_end(s.h, s.mm);
}

static void test_ping_pong_is_counted(void)
{
	struct setup s = open_on("two-fault");

	for (int i = 0; i < 4; i++) {
		scan(&s);
		touch_from(&s, i < 2);
	}
	CU_ASSERT_EQUAL(counters(&s).moved, 2 * BLOCK);
	CU_ASSERT_EQUAL(counters(&s).ping_pong, BLOCK);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, s.addr), 0);
	unit_end(s.h, s.mm);
}

static void test_majority(void)
{
	struct setup s = open_on("majority");
	int i;

	/* Taking turns, no node gets ahead; two-fault's pairs do not suffice either. */
	for (i = 0; i < 8; i++) {
		scan(&s);
		touch_from(&s, i / 2 % 2);
	}
	CU_ASSERT_EQUAL(counters(&s).moved, 0);
	for (i = 0; i < 6 && !counters(&s).moved; i++) {
		scan(&s);
		touch_from(&s, 1);
	}
	CU_ASSERT_EQUAL(counters(&s).moved, BLOCK);
	/* One visit from elsewhere, and another, change nothing. */
	scan(&s);
	touch_from(&s, 0);
	scan(&s);
	touch_from(&s, 0);
	CU_ASSERT_EQUAL(counters(&s).moved, BLOCK);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_policy_of_area(void)
{
	struct setup s = open_on("two-fault");
	struct node_set set = { .nodes = 1 };
	struct mempolicy *policy;

	CU_ASSERT_EQUAL(mempolicy_create(s.h->sys, POLICY_BIND, 0, &set, &policy), 0);
	CU_ASSERT_EQUAL(mm_mbind(s.mm, s.addr, page_at(s.addr, PAGES), policy, 0), 0);
	mempolicy_put(policy);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), 0);
	/* With its leave there are hints, but pages stay on the nodes that it names. */
	CU_ASSERT_EQUAL(
		mempolicy_create(s.h->sys, POLICY_BIND, POLICY_F_NUMA_BALANCING, &set, &policy), 0);
	CU_ASSERT_EQUAL(mm_mbind(s.mm, s.addr, page_at(s.addr, PAGES), policy, 0), 0);
	mempolicy_put(policy);
	for (int i = 0; i < 3; i++) {
		scan(&s);
		touch_from(&s, 1);
	}
	CU_ASSERT_EQUAL(counters(&s).tried, 0);
	unit_end(s.h, s.mm);
}

static void test_full_target(void)
{
	struct setup s = open_on("two-fault");
	struct mm *hog = unit_mm(s.h);
	struct mm_node *n = &s.h->sys->nodes[1];
	gva_t a = unit_map(hog, n->nr_frames, PROT_RW, MAP_ANON_PRIVATE);

	s.h->node = 1;
	for (uint64_t i = 0; n->nr_free > n->nr_frames / 64 + 2; i++)
		unit_put(s.h, hog, page_at(a, i), 1);
	for (int i = 0; i < 2; i++) {
		scan(&s);
		touch_from(&s, 1);
	}
	CU_ASSERT_EQUAL(counters(&s).moved, 0);
	CU_ASSERT_EQUAL(counters(&s).no_memory, BLOCK);
	mm_put(hog);
	unit_end(s.h, s.mm);
}

/* ---- switching ----------------------------------------------------------------------------------- */

static void test_off_leaves_nothing(void)
{
	struct setup s = open_on("two-fault");
	struct mm *child;
	uint64_t faults;

	scan(&s);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, NULL), 0);
	CU_ASSERT_EQUAL(hints(&s), 0);
	scan(&s);
	CU_ASSERT_EQUAL(hints(&s), 0);
	faults = mm_sys_event(s.h->sys, EV_FAULT);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_FAULT), faults);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_switching_mistakes(void)
{
	struct fake_config config = unit_config();
	struct setup s = open_on("majority");

	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, "recency"), -ENOENT);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, ""), -ENOENT);
	unit_end(s.h, s.mm);
	config.nr_nodes = 1;
	s.h = unit_open_with(&config);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, "two-fault"), -ENODEV);
	unit_close(s.h);
}

static void test_no_memory_to_switch_on(void)
{
	for (uint64_t nth = 1; nth <= 3; nth++) {
		struct fake_host *h = unit_open();
		int ret;

		fake_fail_nth(h, FAKE_ALLOC, nth);
		ret = mm_placement_set(h->sys, PLACEMENT_BALANCE, "two-fault");
		CU_ASSERT_EQUAL(ret, nth <= 2 ? -ENOMEM : 0);
		fake_fail_nth(h, FAKE_ALLOC, 0);
		CU_ASSERT_EQUAL(mm_placement_set(h->sys, PLACEMENT_BALANCE, "two-fault"), 0);
		unit_close(h);
	}
}

/* A failing copy or allocation leaves the page where it was, and tells. */
static void test_move_that_fails(void)
{
	static const enum fake_op ops[] = { FAKE_COPY, FAKE_ALLOC };

	for (unsigned int i = 0; i < ARRAY_LEN(ops); i++) {
		struct setup s = open_on("two-fault");

		scan(&s);
		touch_from(&s, 1);
		scan(&s);
		fake_fail_from(s.h, ops[i], 1);
		touch_from(&s, 1);
		fake_fail_nth(s.h, ops[i], 0);
		CU_ASSERT_EQUAL(counters(&s).moved, 0);
		CU_ASSERT_EQUAL(counters(&s).failed + counters(&s).no_memory, BLOCK);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
		unit_end(s.h, s.mm);
	}
}

/* ---- pace ------------------------------------------------------------------------------------------ */

static void test_window(void)
{
	struct scan_report last = { .resident = 100 };
	struct scan_window w;

	placement_adaptive_window(&last, &w, 45000);
	CU_ASSERT_EQUAL(w.delay, NS_PER_S);
	CU_ASSERT_EQUAL(w.block, 16);
	/* Mostly remote: faster. Mostly local, or nobody there: slower. */
	last = (struct scan_report){ .resident = 1 << 18,
				     .delay = NS_PER_S,
				     .pass_done = true,
				     .pass_faults = 10,
				     .pass_local = 6 };
	placement_adaptive_window(&last, &w, 45000);
	CU_ASSERT_EQUAL(w.delay, NS_PER_S / 2);
	CU_ASSERT_EQUAL(w.block, 256);
	last.pass_local = 7;
	placement_adaptive_window(&last, &w, 45000);
	CU_ASSERT_EQUAL(w.delay, 2 * NS_PER_S);
	last.pass_done = false;
	placement_adaptive_window(&last, &w, 45000);
	CU_ASSERT_EQUAL(w.delay, NS_PER_S);
	/* Whatever they say, the faults cost no more than one percent. */
	last.faults = 1000;
	placement_adaptive_window(&last, &w, 45000);
	CU_ASSERT_EQUAL(w.delay, 1000ul * 45000 * 100);
	last = (struct scan_report){ .delay = 50 * NS_PER_S, .pass_done = true };
	placement_adaptive_window(&last, &w, 45000);
	CU_ASSERT_EQUAL(w.delay, 60 * NS_PER_S);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "one hint a block, and its place changes", test_one_hint_a_block },
		{ "permissions come back", test_permissions_come_back },
		{ "a wrong access to a hint", test_wrong_access_to_a_hint },
		{ "PROT_NONE stays forbidden", test_prot_none_stays_forbidden },
		{ "a store to a shared page", test_store_to_a_shared_page },
		{ "files", test_files },
		{ "mprotect", test_mprotect },
		{ "mremap, madvise, munmap", test_move_and_unmap },
		{ "fork", test_fork },
		{ "migration and swap", test_migration_and_swap },
		{ "access from the host, and pins", test_host_access },
		{ "the second fault moves", test_second_fault_moves },
		{ "a block on two nodes", test_mixed_block },
		{ "faults in turn move nothing", test_faults_in_turn_move_nothing },
		{ "a large folio moves whole", test_large_folio_moves_whole },
		{ "ping-pong is counted", test_ping_pong_is_counted },
		{ "majority", test_majority },
		{ "the area's own policy", test_policy_of_area },
		{ "a full target", test_full_target },
		{ "off leaves nothing", test_off_leaves_nothing },
		{ "mistakes in switching", test_switching_mistakes },
		{ "no memory to switch on", test_no_memory_to_switch_on },
		{ "a move that fails", test_move_that_fails },
		{ "the pace", test_window },
	};

	return unit_run("balance", tests, ARRAY_LEN(tests), argc, argv);
}
