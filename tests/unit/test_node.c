/* SPDX-License-Identifier: MIT */
/* Nodes: offline, online, compaction, and what they tell of themselves. */
#include "tests/unit/util.h"

#include "rmap/migrate.h"

#define PAGES       64
#define NODE_FRAMES 4096
/* Blocks of 2 MiB of a node, and how many the holes of make_holes() are in. */
#define BLOCKS      8
#define HOLE_BLOCKS 3

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	int node; /* where the pages are */
};

static struct setup open_nodes_of(uint64_t frames, unsigned int nr_nodes, unsigned int order)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.nr_nodes = nr_nodes;
	config.frames_per_node = frames;
	if (order) {
		config.max_anon_order = order;
		config.fault_around = 16;
	}
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	if (order)
		s.addr = unit_map_large(s.h, s.mm, PAGES, order, 1);
	else
		s.addr = unit_map_filled(s.h, s.mm, PAGES, 1);
	s.node = unit_node(s.h, s.mm, s.addr);
	return s;
}

static struct setup open_nodes(unsigned int nr_nodes, unsigned int order)
{
	return open_nodes_of(NODE_FRAMES, nr_nodes, order);
}

static void close_setup(struct setup *s)
{
	unit_check(s->h);
	for (int i = 0; i < (int)s->h->config.nr_nodes; i++)
		CU_ASSERT_EQUAL(mm_node_online(s->h->sys, i), 0);
	mm_put(s->mm);
	unit_close(s->h);
}

static struct node_offline_result offline(struct setup *s, int node, int expect)
{
	struct node_request req = { .node = node, .tries = 2 };
	struct node_offline_result r;

	CU_ASSERT_EQUAL(mm_node_offline(s->h->sys, &req, &r), expect);
	unit_check(s->h);
	return r;
}

static struct mm_node_info info_of(struct setup *s, int node)
{
	struct mm_node_info info;

	mm_sys_node_info(s->h->sys, node, &info);
	return info;
}

/* ---- offline ----------------------------------------------------------------------------- */

static void test_offline_drains(void)
{
	struct setup s = open_nodes(2, 0);
	struct node_offline_result r = offline(&s, s.node, 0);

	CU_ASSERT_EQUAL(r.state, MM_NODE_OFFLINE);
	CU_ASSERT_EQUAL(r.used_before, PAGES);
	CU_ASSERT_EQUAL(r.used_after, 0);
	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_TRUE(r.discarded >= PAGES);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)), !s.node);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(info_of(&s, s.node).nr_frames, 0);
	CU_ASSERT_EQUAL(info_of(&s, s.node).free, 0);
	CU_ASSERT_EQUAL(info_of(&s, s.node).present, NODE_FRAMES);
	close_setup(&s);
}

/* New pages, whatever the policy wants, come from elsewhere; and again after online. */
static void test_offline_takes_nothing_new(void)
{
	struct setup s = open_nodes(2, 0);
	gva_t a = unit_map(s.mm, 8, PROT_RW, MAP_ANON_PRIVATE);
	struct migrate_request req = { .to = s.node };
	struct migrate_result r;
	struct folio *f;

	offline(&s, s.node, 0);
	unit_fill(s.h, s.mm, a, 8, 2);
	for (uint64_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(a, i)), !s.node);
	/* A place that names this node only. */
	f = folio_alloc_at(s.h->sys, (struct place){ .nodes = 1ul << s.node, .node = s.node }, 0,
			   0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(f->node, !s.node);
	folio_put(s.h->sys, f);
	CU_ASSERT_PTR_NULL(folio_alloc(s.h->sys, s.node, 0, ALLOC_THISNODE | ALLOC_NORECLAIM));
	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), -ENODEV);
	CU_ASSERT_EQUAL(mm_node_online(s.h->sys, s.node), 0);
	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, PAGES + 8);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 8, 2), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

/* What it still has cannot go just now, and little of it is free: no want of the guest's. */
static void test_draining_reclaims_nothing(void)
{
	struct setup s = open_nodes(2, 0);
	uint64_t many = NODE_FRAMES - 4 * PAGES, stolen;
	gva_t a = unit_map(s.mm, many, PROT_RW, MAP_ANON_PRIVATE);

	CU_ASSERT_EQUAL(mm_sys_set_watermark_scale(s.h->sys, WATERMARK_SCALE_MAX), 0);
	unit_fill(s.h, s.mm, a, many, 2);
	fake_fail_from(s.h, FAKE_COPY, 1);
	CU_ASSERT_EQUAL(offline(&s, s.node, 0).state, MM_NODE_DRAINING);
	fake_fail_nth(s.h, FAKE_COPY, 0);
	stolen = mm_sys_event(s.h->sys, EV_PGSTEAL);
	CU_ASSERT_TRUE(mm_background_round(s.h->sys, s.node));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSTEAL), stolen);
	CU_ASSERT_EQUAL(mm_node_online(s.h->sys, s.node), 0);
	CU_ASSERT_FALSE(mm_background_round(s.h->sys, s.node) &&
			mm_sys_event(s.h->sys, EV_PGSTEAL) == stolen);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, many, 2), 0);
	close_setup(&s);
}

static void test_last_node_stays(void)
{
	struct setup s = open_nodes(3, 0);

	CU_ASSERT_EQUAL(offline(&s, s.node, 0).state, MM_NODE_OFFLINE);
	CU_ASSERT_EQUAL(offline(&s, (s.node + 1) % 3, 0).state, MM_NODE_OFFLINE);
	offline(&s, (s.node + 2) % 3, -EBUSY);
	CU_ASSERT_EQUAL(mm_node_state(s.h->sys, (s.node + 2) % 3), MM_NODE_ONLINE);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, s.addr), (s.node + 2) % 3);
	/* All but one are off: the guest goes on, and pages out and in. */
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	offline(&s, 3, -EINVAL);
	offline(&s, -1, -EINVAL);
	CU_ASSERT_EQUAL(mm_node_online(s.h->sys, 3), -EINVAL);
	close_setup(&s);
}

static void test_pinned_leaves_it_draining(void)
{
	struct setup s = open_nodes(2, 0);
	struct node_offline_result r;
	struct mm_pin_vec vec[2];
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL(mm_mlock(s.mm, s.addr, 8 * UMM_PAGE_SIZE, 0), 0);
	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, s.addr, 2 * UMM_PAGE_SIZE, true, vec, 2, &nr, &bytes),
			      0);
	r = offline(&s, s.node, 0);
	CU_ASSERT_EQUAL(r.state, MM_NODE_DRAINING);
	CU_ASSERT_EQUAL(r.used_after, 2);
	CU_ASSERT_EQUAL(r.pinned, 2);
	CU_ASSERT_EQUAL(r.moved, PAGES - 2); /* mlocked ones move */
	CU_ASSERT_EQUAL(info_of(&s, s.node).nr_frames, 2);
	CU_ASSERT_PTR_NULL(folio_alloc(s.h->sys, s.node, 0, ALLOC_THISNODE | ALLOC_NORECLAIM));
	mm_unpin(s.mm, vec, nr, true);
	r = offline(&s, s.node, 0);
	CU_ASSERT_EQUAL(r.state, MM_NODE_OFFLINE);
	CU_ASSERT_EQUAL(r.moved, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_TRUE(folio_test(unit_folio(s.h, s.mm, s.addr), PG_mlocked));
	close_setup(&s);
}

struct hoard {
	struct folio *f[NODE_FRAMES];
	unsigned int nr;
};

static void hoard_node(struct setup *s, struct hoard *x, int node, unsigned int spare)
{
	struct folio *f;

	x->nr = 0;
	while ((f = folio_alloc(s->h->sys, node, 0, ALLOC_THISNODE | ALLOC_NORECLAIM)))
		x->f[x->nr++] = f;
	for (unsigned int i = 0; i < spare; i++)
		folio_put(s->h->sys, x->f[--x->nr]);
}

static void hoard_drop(struct setup *s, struct hoard *x)
{
	while (x->nr)
		folio_put(s->h->sys, x->f[--x->nr]);
}

/* mlocked pages cannot be paged out, and there is no room: the node is needed. */
static void test_no_room_rolls_back(void)
{
	struct setup s = open_nodes(2, 0);
	struct node_offline_result r;
	static struct hoard hoard;
	struct folio *f;

	CU_ASSERT_EQUAL(mm_mlock(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, 0), 0);
	hoard_node(&s, &hoard, !s.node, 10);
	r = offline(&s, s.node, 0);
	CU_ASSERT_EQUAL(r.state, MM_NODE_ONLINE);
	CU_ASSERT_EQUAL(r.moved, 10);
	CU_ASSERT_EQUAL(r.no_memory, PAGES - 10);
	CU_ASSERT_EQUAL(r.used_after, PAGES - 10);
	f = folio_alloc(s.h->sys, s.node, 0, ALLOC_THISNODE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	folio_put(s.h->sys, f);
	hoard_drop(&s, &hoard);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

/* What has no room goes to swap. */
static void test_no_room_pages_out(void)
{
	struct setup s = open_nodes(2, 0);
	struct node_offline_result r;
	static struct hoard hoard;

	hoard_node(&s, &hoard, !s.node, 10);
	r = offline(&s, s.node, 0);
	CU_ASSERT_EQUAL(r.state, MM_NODE_OFFLINE);
	CU_ASSERT_EQUAL(r.moved, 10);
	CU_ASSERT_EQUAL(r.reclaimed, PAGES - 10);
	hoard_drop(&s, &hoard);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

static bool stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return true;
}

static void test_stop_rolls_back(void)
{
	/* More than the engine takes at once. */
	const uint64_t many = 3ul * MIGRATE_ISOLATE;
	struct setup s = open_nodes_of(2 * many, 2, 0);
	struct node_request req = { .node = s.node, .progress = stop_at_once };
	struct node_offline_result r;
	gva_t a = unit_map_filled(s.h, s.mm, many, 2);

	CU_ASSERT_EQUAL(mm_node_offline(s.h->sys, &req, &r), 0);
	CU_ASSERT_TRUE(r.stopped);
	CU_ASSERT_EQUAL(r.state, MM_NODE_ONLINE);
	CU_ASSERT_TRUE(r.moved > 0);
	CU_ASSERT_EQUAL(r.used_after, r.used_before - r.moved);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, many, 2), 0);
	close_setup(&s);
}

/* Failing copies: nothing is lost, the node is not taken for empty. */
static void test_failing_copies(void)
{
	struct setup s = open_nodes(2, 0);
	struct node_offline_result r;

	fake_fail_from(s.h, FAKE_COPY, 1);
	r = offline(&s, s.node, 0);
	fake_fail_nth(s.h, FAKE_COPY, 0);
	CU_ASSERT_EQUAL(r.state, MM_NODE_DRAINING);
	CU_ASSERT_EQUAL(r.failed, PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(offline(&s, s.node, 0).state, MM_NODE_OFFLINE);
	close_setup(&s);
}

/* ---- compaction ------------------------------------------------------------------------------ */

static struct node_compact_result compact(struct setup *s, int node)
{
	struct node_request req = { .node = node };
	struct node_compact_result r;

	CU_ASSERT_EQUAL(mm_node_compact(s->h->sys, &req, &r), 0);
	unit_check(s->h);
	return r;
}

/* Fill 1536 frames, then free three of four (in folios of 2^order): no block is free. */
static gva_t make_holes(struct setup *s, unsigned int order)
{
	uint64_t nr = 1536, step = 4ul << order;
	gva_t a;

	unit_unmap(s->mm, s->addr, PAGES);
	a = order ? unit_map_large(s->h, s->mm, nr, order, 3) : unit_map_filled(s->h, s->mm, nr, 3);
	for (uint64_t i = 0; i < nr; i += step) {
		unit_advise(s->mm, page_at(a, i + (1ul << order)), 3ul << order, MADV_DONTNEED);
		unit_put(s->h, s->mm, page_at(a, i), i + 7);
	}
	return a;
}

static void check_holes(struct setup *s, gva_t a, unsigned int order)
{
	for (uint64_t i = 0; i < 1536; i += 4ul << order) {
		CU_ASSERT_EQUAL(unit_get(s->h, s->mm, page_at(a, i)), i + 7);
		CU_ASSERT_EQUAL(unit_node(s->h, s->mm, page_at(a, i)), s->node);
		CU_ASSERT_EQUAL(unit_folio(s->h, s->mm, page_at(a, i))->order, order);
	}
}

static void compact_holes(unsigned int order)
{
	struct setup s = open_nodes(1, order);
	gva_t a = make_holes(&s, order);
	struct node_compact_result r;
	struct folio *huge[BLOCKS - 1] = { NULL };

	r = compact(&s, 0);
	CU_ASSERT_EQUAL(r.huge_before, BLOCKS - HOLE_BLOCKS);
	CU_ASSERT_EQUAL(r.free_after, r.free_before);
	/* 384 frames are in use: one block holds them. */
	CU_ASSERT_EQUAL(r.huge_after, BLOCKS - 1);
	CU_ASSERT_TRUE(r.moved <= 384);
	check_holes(&s, a, order);
	for (unsigned int i = 0; i < BLOCKS - 1; i++) {
		huge[i] = folio_alloc(s.h->sys, 0, UMM_MAX_ORDER, ALLOC_NORECLAIM);
		CU_ASSERT_PTR_NOT_NULL(huge[i]);
	}
	for (unsigned int i = 0; i < BLOCKS - 1; i++)
		if (huge[i])
			folio_put(s.h->sys, huge[i]);
	/* A second time there is nothing left to do. */
	r = compact(&s, 0);
	CU_ASSERT_EQUAL(r.moved, 0);
	CU_ASSERT_EQUAL(r.huge_after, BLOCKS - 1);
	unit_unmap(s.mm, a, 1536);
	close_setup(&s);
}

static void test_compact_single_frames(void)
{
	compact_holes(0);
}

static void test_compact_large_folios(void)
{
	compact_holes(4);
}

static void test_compact_leaves_pinned(void)
{
	struct setup s = open_nodes(1, 0);
	gva_t a = make_holes(&s, 0);
	struct node_compact_result r;
	struct mm_pin_vec vec[3];
	unsigned int nr[3];
	size_t bytes;
	pfn_t pfn[3];

	for (unsigned int i = 0; i < 3; i++) {
		gva_t at = page_at(a, i * 512);

		CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, at, 8, true, &vec[i], 1, &nr[i], &bytes), 0);
		pfn[i] = folio_pfn(s.h->sys, unit_folio(s.h, s.mm, at));
	}
	r = compact(&s, 0);
	CU_ASSERT_EQUAL(r.free_after, r.free_before);
	for (unsigned int i = 0; i < 3; i++) {
		gva_t at = page_at(a, i * 512);

		CU_ASSERT_EQUAL(folio_pfn(s.h->sys, unit_folio(s.h, s.mm, at)).v, pfn[i].v);
		mm_unpin(s.mm, &vec[i], nr[i], true);
	}
	unit_unmap(s.mm, a, 1536);
	close_setup(&s);
}

/* Copies and host memory fail, each in turn: blocks and contents stay whole. */
static void test_compact_failures(void)
{
	static const enum fake_op ops[] = { FAKE_COPY, FAKE_POPULATE, FAKE_DISCARD };

	for (unsigned int k = 0; k < ARRAY_LEN(ops); k++) {
		struct setup s = open_nodes(1, 0);
		gva_t a = make_holes(&s, 0);
		struct node_compact_result r;

		CU_ASSERT_TRUE(frames_discard_free(s.h->sys, 0) > 0);
		fake_fail_from(s.h, ops[k], 1);
		r = compact(&s, 0);
		fake_fail_nth(s.h, ops[k], 0);
		CU_ASSERT_EQUAL(r.free_after, r.free_before);
		for (uint64_t i = 0; i < 1536; i += 4)
			CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(a, i)), i + 7);
		CU_ASSERT_EQUAL(compact(&s, 0).huge_after, BLOCKS - 1);
		check_holes(&s, a, 0);
		unit_unmap(s.mm, a, 1536);
		close_setup(&s);
	}
}

static void test_compact_refuses(void)
{
	struct setup s = open_nodes(2, 0);
	struct node_request req = { .node = s.node };
	struct node_compact_result r;

	offline(&s, s.node, 0);
	CU_ASSERT_EQUAL(mm_node_compact(s.h->sys, &req, &r), -ENODEV);
	req.node = 2;
	CU_ASSERT_EQUAL(mm_node_compact(s.h->sys, &req, &r), -EINVAL);
	close_setup(&s);
}

static void test_blocks(void)
{
	struct setup s = open_nodes(2, 4);
	struct node_blocks b;
	uint64_t sum = 0;

	mm_node_blocks(s.h->sys, s.node, &b);
	CU_ASSERT_EQUAL(b.folios[4], PAGES / 16);
	for (unsigned int o = 0; o <= UMM_MAX_ORDER; o++)
		sum += (b.free[o] + b.folios[o]) << o;
	CU_ASSERT_EQUAL(sum, NODE_FRAMES);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "offline drains", test_offline_drains },
		{ "offline takes nothing new", test_offline_takes_nothing_new },
		{ "draining: nothing is reclaimed for it", test_draining_reclaims_nothing },
		{ "the last node stays", test_last_node_stays },
		{ "pinned frames leave it draining", test_pinned_leaves_it_draining },
		{ "no room: online again", test_no_room_rolls_back },
		{ "no room: to swap", test_no_room_pages_out },
		{ "stopped: online again", test_stop_rolls_back },
		{ "offline, copies fail", test_failing_copies },
		{ "compaction of single frames", test_compact_single_frames },
		{ "compaction of large folios", test_compact_large_folios },
		{ "compaction leaves pinned frames", test_compact_leaves_pinned },
		{ "compaction, host calls fail", test_compact_failures },
		{ "compaction refuses", test_compact_refuses },
		{ "blocks are counted", test_blocks },
	};

	return unit_run("node", tests, ARRAY_LEN(tests), argc, argv);
}
