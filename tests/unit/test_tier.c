/* SPDX-License-Identifier: MIT */
/* Tiering: down by reclaim, up by hint faults and by samples, and within a budget. */
#include <umm/placement.h>

#include "rmap/hint.h"
#include "tests/unit/util.h"

/* Node 1 is the slow one. */
#define SLOW   1
#define FRAMES 1024

struct setup {
	struct fake_host *h;
	struct mm *mm;
	uint64_t now;
};

static struct setup open_on(const char *policy)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.frames_per_node = FRAMES;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.now = placement_now();
	CU_ASSERT_EQUAL(mm_placement_set_slow_nodes(s.h->sys, 1ul << SLOW), 0);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_TIER, policy), 0);
	mm_placement_tick(s.h->sys, s.now);
	return s;
}

static void tick(struct setup *s)
{
	s->now += 200 * NS_PER_S;
	mm_placement_tick(s->h->sys, s->now);
}

static struct placement_counters counters(struct setup *s)
{
	struct placement_info info;

	mm_placement_get(s->h->sys, PLACEMENT_TIER, &info);
	return info.count;
}

/* @pages of private memory, on @node. */
static gva_t map_on(struct setup *s, uint64_t pages, int node, uint64_t key)
{
	gva_t a = unit_map(s->mm, pages, PROT_RW, MAP_ANON_PRIVATE);

	s->h->node = node;
	unit_fill(s->h, s->mm, a, pages, key);
	s->h->node = 0;
	CU_ASSERT_EQUAL(unit_node(s->h, s->mm, a), node);
	CU_ASSERT_EQUAL(unit_node(s->h, s->mm, page_at(a, pages - 1)), node);
	return a;
}

static uint64_t pages_on(struct setup *s, gva_t a, uint64_t pages, int node)
{
	uint64_t nr = 0;

	for (uint64_t i = 0; i < pages; i++)
		nr += unit_mapped(s->h, s->mm, page_at(a, i)) &&
		      unit_node(s->h, s->mm, page_at(a, i)) == node;
	return nr;
}

static uint64_t node_free(struct setup *s, int node)
{
	return s->h->sys->nodes[node].nr_free;
}

/* ---- down ------------------------------------------------------------------------ */

/* A fast node that is nearly full gives its cold pages to the slow one, not to swap. */
static void test_tick_demotes(void)
{
	struct setup s = open_on("recency");
	uint64_t pages = FRAMES - FRAMES / 64;
	gva_t a = map_on(&s, pages, 0, 1);

	CU_ASSERT_TRUE(node_free(&s, 0) < FRAMES / 32);
	tick(&s);
	tick(&s);
	CU_ASSERT_TRUE(node_free(&s, 0) >= FRAMES / 32);
	CU_ASSERT_TRUE(counters(&s).demoted >= FRAMES / 32);
	CU_ASSERT_EQUAL(pages_on(&s, a, pages, SLOW), counters(&s).demoted);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGDEMOTE_KSWAPD), counters(&s).demoted);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, pages, 1), 0);
	unit_end(s.h, s.mm);
}

/* Off, nothing of the kind happens. */
static void test_off_demotes_nothing(void)
{
	struct setup s = open_on("recency");

	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_TIER, NULL), 0);
	map_on(&s, FRAMES - FRAMES / 64, 0, 1);
	tick(&s);
	CU_ASSERT_EQUAL(counters(&s).demoted, 0);
	unit_end(s.h, s.mm);
}

/* Memory that may only be on the fast node: direct reclaim demotes what is cold there. */
static void test_direct_reclaim_demotes(void)
{
	struct setup s = open_on("recency");
	gva_t a = map_on(&s, FRAMES - FRAMES / 64, 0, 1), b;
	struct node_set set = { .nodes = 1 };
	struct mempolicy *policy;

	b = unit_map(s.mm, 64, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(mempolicy_create(s.h->sys, POLICY_BIND, 0, &set, &policy), 0);
	CU_ASSERT_EQUAL(mm_mbind(s.mm, b, page_at(b, 64), policy, 0), 0);
	mempolicy_put(policy);
	unit_fill(s.h, s.mm, b, 64, 2);
	CU_ASSERT_EQUAL(pages_on(&s, b, 64, 0), 64);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_PGDEMOTE_DIRECT) > 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSWAPOUT), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, FRAMES - FRAMES / 64, 1), 0);
	unit_end(s.h, s.mm);
}

/* With both nodes full, what goes to swap comes from the slow one. */
static void test_full_slow_node_swaps(void)
{
	struct setup s = open_on("recency");
	uint64_t pages = 2 * FRAMES;
	gva_t a = unit_map_filled(s.h, s.mm, pages, 1);

	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_PGSWAPOUT) > 0);
	for (uint64_t i = 0; i < FRAMES / 2; i++)
		CU_ASSERT_FALSE(unit_swapped(s.h, s.mm, page_at(a, i)));
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, pages, 1), 0);
	unit_end(s.h, s.mm);
}

/* Asked for by name, reclaim swaps as ever. */
static void test_request_swaps(void)
{
	struct setup s = open_on("recency");
	gva_t a = map_on(&s, 32, 0, 1);

	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, a, 32).freed, 32);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, a));
	CU_ASSERT_EQUAL(counters(&s).demoted, 0);
	unit_end(s.h, s.mm);
}

/* Files and shared memory go down as well; a copy that fails leaves them where they are. */
static void test_other_kinds_and_failure(void)
{
	struct setup s = open_on("sampling");
	struct unit_file file = unit_file(s.h, 64 * UMM_PAGE_SIZE);
	gva_t f = unit_map_file(s.mm, file.mapping, 0, 64, PROT_RW, MAP_SHARED);
	gva_t shared = unit_map(s.mm, 64, PROT_RW, MAP_ANON_SHARED);

	unit_fill(s.h, s.mm, f, 64, 1);
	unit_fill(s.h, s.mm, shared, 64, 2);
	map_on(&s, FRAMES - 64 - 64 - FRAMES / 64, 0, 3);
	fake_fail_from(s.h, FAKE_COPY, 1);
	tick(&s);
	tick(&s);
	fake_fail_nth(s.h, FAKE_COPY, 0);
	CU_ASSERT_EQUAL(counters(&s).demoted, 0);
	CU_ASSERT_TRUE(counters(&s).failed > 0);
	for (int i = 0; i < 8; i++)
		reclaim_demote(s.h->sys, 0, FRAMES);
	CU_ASSERT_TRUE(pages_on(&s, f, 64, SLOW) > 0);
	CU_ASSERT_TRUE(pages_on(&s, shared, 64, SLOW) > 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, f, 64, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, shared, 64, 2), 0);
	unit_unmap(s.mm, f, 64);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* ---- up --------------------------------------------------------------------------- */

/* Every page of a slow block has a hint; its first use promotes it, if it comes soon. */
static void test_recency_promotes(void)
{
	struct setup s = open_on("recency");
	gva_t slow = map_on(&s, 16, SLOW, 1), fast = map_on(&s, 16, 0, 2);

	tick(&s);
	CU_ASSERT_EQUAL(mm_placement_count_hints(s.h->sys), 16);
	CU_ASSERT_FALSE(pte_protnone(unit_pte(s.h, s.mm, fast)));
	unit_get(s.h, s.mm, page_at(slow, 5));
	CU_ASSERT_EQUAL(pages_on(&s, slow, 16, 0), 16);
	CU_ASSERT_EQUAL(counters(&s).promoted, 16);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGPROMOTE_SUCCESS), 16);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, slow, 16, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_recency_by_age(void)
{
	struct setup s = open_on("recency");
	struct placement *p = &s.h->sys->placements->kind[PLACEMENT_TIER];
	struct placement_page page = { .node = SLOW, .latency = 2 * NS_PER_S };

	CU_ASSERT_EQUAL(placement_recency.hint_fault(p, &page), PLACEMENT_STAY);
	page.latency = NS_PER_S / 2;
	CU_ASSERT_EQUAL(placement_recency.hint_fault(p, &page), 0);
	/* More is hot than may be promoted: what was soon enough no longer is. */
	mm_placement_set_rate(s.h->sys, PLACEMENT_TIER, 10);
	for (int second = 0; second < 4; second++) {
		for (int i = 0; i < 100; i++)
			placement_recency.hint_fault(p, &page);
		s.now += 2 * NS_PER_S;
		placement_recency.tick(p, s.now);
	}
	mm_placement_set_rate(s.h->sys, PLACEMENT_TIER, 0);
	CU_ASSERT_EQUAL(placement_recency.hint_fault(p, &page), PLACEMENT_STAY);
	unit_end(s.h, s.mm);
}

static void test_rate_limit(void)
{
	struct setup s = open_on("recency");
	gva_t slow = map_on(&s, 64, SLOW, 1);

	mm_placement_set_rate(s.h->sys, PLACEMENT_TIER, 1);
	tick(&s);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, slow, 64, 1), 0);
	/* At most a block in each of the two seconds that this may touch. */
	CU_ASSERT_TRUE(counters(&s).promoted <= 32);
	CU_ASSERT_TRUE(counters(&s).rate_limited >= 2);
	unit_end(s.h, s.mm);
}

/* Three of the last four samples; what is not used stays. */
static void test_sampling_promotes(void)
{
	struct setup s = open_on("sampling");
	gva_t hot = map_on(&s, 8, SLOW, 1), cold = map_on(&s, 8, SLOW, 2);

	tick(&s); /* the first sample sees that they were filled */
	CU_ASSERT_EQUAL(counters(&s).promoted, 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(pages_on(&s, hot, 8, SLOW), 8);
		unit_verify(s.h, s.mm, hot, 8, 1);
		tick(&s);
	}
	CU_ASSERT_EQUAL(pages_on(&s, hot, 8, 0), 8);
	CU_ASSERT_EQUAL(pages_on(&s, cold, 8, SLOW), 8);
	CU_ASSERT_EQUAL(counters(&s).promoted, 8);
	CU_ASSERT_EQUAL(mm_placement_count_hints(s.h->sys), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, hot, 8, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_full_fast_node(void)
{
	struct setup s = open_on("recency");
	gva_t slow = map_on(&s, 16, SLOW, 1);

	tick(&s);
	map_on(&s, FRAMES - FRAMES / 64, 0, 2);
	unit_get(s.h, s.mm, slow);
	CU_ASSERT_EQUAL(counters(&s).promoted, 0);
	CU_ASSERT_EQUAL(counters(&s).no_memory, 16);
	/* The tick makes room, and then it goes. */
	for (int i = 0; i < 3; i++)
		tick(&s);
	unit_get(s.h, s.mm, slow);
	CU_ASSERT_EQUAL(counters(&s).promoted, 16);
	unit_end(s.h, s.mm);
}

/* Demoted and promoted within a short time: for nothing. */
static void test_ping_pong(void)
{
	struct setup s = open_on("recency");
	gva_t a = map_on(&s, 16, 0, 1);

	for (int i = 0; i < 4; i++)
		reclaim_demote(s.h->sys, 0, 16);
	CU_ASSERT_EQUAL(pages_on(&s, a, 16, SLOW), 16);
	tick(&s);
	unit_get(s.h, s.mm, a);
	CU_ASSERT_EQUAL(counters(&s).promoted, 16);
	CU_ASSERT_EQUAL(counters(&s).ping_pong, 16);
	unit_end(s.h, s.mm);
}

/* ---- with balancing, and switching --------------------------------------------------- */

static void test_beside_balancing(void)
{
	struct fake_config config = unit_config();
	struct setup s;
	gva_t slow, fast;

	config.nr_nodes = 3;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.now = placement_now();
	CU_ASSERT_EQUAL(mm_placement_set_slow_nodes(s.h->sys, 1ul << 2), 0);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_TIER, "recency"), 0);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, "two-fault"), 0);
	mm_placement_tick(s.h->sys, s.now);
	slow = map_on(&s, 16, 2, 1);
	fast = map_on(&s, 16, 0, 2);
	for (int i = 0; i < 2; i++) {
		tick(&s);
		s.h->node = 1;
		unit_verify(s.h, s.mm, slow, 16, 1);
		unit_verify(s.h, s.mm, fast, 16, 2);
	}
	CU_ASSERT_EQUAL(counters(&s).promoted, 16);
	CU_ASSERT_EQUAL(pages_on(&s, slow, 16, 1), 16);
	CU_ASSERT_EQUAL(pages_on(&s, fast, 16, 1), 16);
	/* Taking one kind back leaves no hint of the other behind either. */
	tick(&s);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_TIER, NULL), 0);
	CU_ASSERT_EQUAL(mm_placement_set(s.h->sys, PLACEMENT_BALANCE, NULL), 0);
	CU_ASSERT_EQUAL(mm_placement_count_hints(s.h->sys), 0);
	unit_end(s.h, s.mm);
}

static void test_switching_mistakes(void)
{
	struct fake_host *h = unit_open();

	CU_ASSERT_EQUAL(mm_placement_set(h->sys, PLACEMENT_TIER, "recency"), -ENODEV);
	CU_ASSERT_EQUAL(mm_placement_set(h->sys, PLACEMENT_TIER, "two-fault"), -ENOENT);
	CU_ASSERT_EQUAL(mm_placement_set_slow_nodes(h->sys, 3), -EINVAL);
	CU_ASSERT_EQUAL(mm_placement_set_slow_nodes(h->sys, 4), -EINVAL);
	CU_ASSERT_EQUAL(mm_placement_set_slow_nodes(h->sys, 2), 0);
	CU_ASSERT_EQUAL(mm_placement_set(h->sys, PLACEMENT_TIER, "sampling"), 0);
	CU_ASSERT_EQUAL(mm_placement_set_slow_nodes(h->sys, 1), -EBUSY);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "the tick demotes", test_tick_demotes },
		{ "off demotes nothing", test_off_demotes_nothing },
		{ "direct reclaim demotes", test_direct_reclaim_demotes },
		{ "a full slow node swaps", test_full_slow_node_swaps },
		{ "a request to reclaim swaps", test_request_swaps },
		{ "files, shared memory, a copy that fails", test_other_kinds_and_failure },
		{ "recency promotes", test_recency_promotes },
		{ "recency goes by age, which adapts", test_recency_by_age },
		{ "the rate is limited", test_rate_limit },
		{ "sampling promotes", test_sampling_promotes },
		{ "a full fast node", test_full_fast_node },
		{ "ping-pong", test_ping_pong },
		{ "beside balancing", test_beside_balancing },
		{ "mistakes in switching", test_switching_mistakes },
	};

	return unit_run("tier", tests, ARRAY_LEN(tests), argc, argv);
}
