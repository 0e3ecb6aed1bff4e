/* SPDX-License-Identifier: MIT */
/* Watermarks, the background reclaimer, and the limit of a guest's memory. */
#include "rmap/swap_write.h"
#include "tests/unit/util.h"

#define FRAMES 4096

struct setup {
	struct fake_host *h;
	struct mm *mm;
};

static struct setup open_one_node(uint64_t swap_slots)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.nr_nodes = 1;
	config.frames_per_node = FRAMES;
	config.swap_slots = swap_slots;
	config.concurrent = true;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	return s;
}

static struct mm_node_info node_info(struct setup *s)
{
	struct mm_node_info info;

	mm_sys_node_info(s->h->sys, 0, &info);
	return info;
}

/* min_free_kbytes of Linux 6.12 for nodes of these sizes: sqrt(16 x KiB). */
static void test_sizes(void)
{
	static const struct {
		uint64_t mib, min_kib;
	} rows[] = { { 64, 1024 }, { 256, 2048 }, { 1024, 4096 }, { 4096, 8192 }, { 16384, 16384 } };
	struct setup s = open_one_node(64);
	struct mm_node n = { .id = 0 };

	CU_ASSERT_EQUAL(mm_sys_set_watermark_scale(s.h->sys, 10), 0);
	for (unsigned int i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t min = rows[i].min_kib / 4, gap = rows[i].mib * 256 / 1000;

		n.nr_frames = rows[i].mib * 256;
		watermarks_set(s.h->sys, &n);
		gap = gap > min / 4 ? gap : min / 4;
		CU_ASSERT_EQUAL(n.wmark[WMARK_MIN], min);
		CU_ASSERT_EQUAL(n.wmark[WMARK_LOW], min + gap);
		CU_ASSERT_EQUAL(n.wmark[WMARK_HIGH], min + 2 * gap);
	}
	/* A tiny node keeps most of itself. */
	n.nr_frames = 512;
	watermarks_set(s.h->sys, &n);
	CU_ASSERT_EQUAL(n.wmark[WMARK_MIN], 8);
	CU_ASSERT_EQUAL(mm_sys_set_watermark_scale(s.h->sys, 0), -EINVAL);
	CU_ASSERT_EQUAL(mm_sys_set_watermark_scale(s.h->sys, WATERMARK_SCALE_MAX + 1), -EINVAL);
	unit_end(s.h, s.mm);
}

/* Woken below low, not before; a round ends at high; nobody reclaims in the fault. */
static void test_marks_are_kept(void)
{
	struct setup s = open_one_node(FRAMES);
	struct mm_node *n = &s.h->sys->nodes[0];
	gva_t a = unit_map(s.mm, FRAMES, PROT_RW, MAP_ANON_PRIVATE);
	uint64_t at = 0;

	for (; !__atomic_load_n(&n->kswapd_awake, __ATOMIC_RELAXED) && at < FRAMES; at++)
		unit_put(s.h, s.mm, page_at(a, at), at + 2);
	CU_ASSERT_TRUE(node_nr_free(n) < n->wmark[WMARK_LOW]);
	CU_ASSERT_TRUE(node_nr_free(n) + 2 >= n->wmark[WMARK_LOW]);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSCAN), 0);
	CU_ASSERT_TRUE(mm_background_round(s.h->sys, 0));
	CU_ASSERT_TRUE(node_nr_free(n) >= n->wmark[WMARK_HIGH]);
	CU_ASSERT_TRUE(node_nr_free(n) <= n->wmark[WMARK_HIGH] + SWAP_BATCH);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_DIRECT_RECLAIM), 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSTEAL_DIRECT), 0);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_PGSTEAL_KSWAPD) > 0);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSTEAL_KSWAPD),
			mm_sys_event(s.h->sys, EV_PGSTEAL));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSCAN_KSWAPD),
			mm_sys_event(s.h->sys, EV_PGSCAN));
	for (uint64_t i = 0; i < at; i++)
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(a, i)), i + 2);
	unit_end(s.h, s.mm);
}

/* Nobody runs it: allocations go down to min, then reclaim for themselves. */
static void test_direct_below_min(void)
{
	struct setup s = open_one_node(FRAMES);
	struct mm_node *n = &s.h->sys->nodes[0];
	gva_t a = unit_map(s.mm, FRAMES, PROT_RW, MAP_ANON_PRIVATE);
	uint64_t at = 0;

	while (!mm_sys_event(s.h->sys, EV_DIRECT_RECLAIM) && at < FRAMES) {
		CU_ASSERT_TRUE(node_nr_free(n) >= n->wmark[WMARK_MIN]);
		unit_put(s.h, s.mm, page_at(a, at++), 1);
	}
	CU_ASSERT_EQUAL(at, FRAMES - n->wmark[WMARK_MIN] + 1);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSTEAL_DIRECT),
			mm_sys_event(s.h->sys, EV_PGSTEAL));
	unit_end(s.h, s.mm);
}

static void *run_background(void *arg)
{
	mm_background_reclaim(((struct fake_host *)arg)->sys, 0);
	return NULL;
}

/* Four times what there is, with the thread at work beside the faults. */
static void test_thread(void)
{
	struct setup s = open_one_node(8 * FRAMES);
	gva_t a = unit_map(s.mm, 4 * FRAMES, PROT_RW, MAP_ANON_PRIVATE);
	pthread_t thread;

	pthread_create(&thread, NULL, run_background, s.h);
	for (uint64_t round = 1; round <= 2; round++) {
		unit_fill(s.h, s.mm, a, 4 * FRAMES, round);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 4 * FRAMES, round), 0);
	}
	mm_background_stop(s.h->sys);
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_PGSTEAL_KSWAPD) > FRAMES);
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_PGSTEAL_KSWAPD) +
				mm_sys_event(s.h->sys, EV_PGSTEAL_DIRECT),
			mm_sys_event(s.h->sys, EV_PGSTEAL));
	unit_end(s.h, s.mm);
}

/* Nothing can go: the reclaimer gives up, and is tried again when that changes. */
static void test_futile(void)
{
	struct setup s = open_one_node(0);
	struct mm_node *n = &s.h->sys->nodes[0];
	gva_t a = unit_map(s.mm, FRAMES, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE);

	unit_fill(s.h, s.mm, a, FRAMES - n->wmark[WMARK_LOW] + 8, 1);
	for (int i = 0; i < 16; i++)
		CU_ASSERT_FALSE(mm_background_round(s.h->sys, 0));
	__atomic_store_n(&n->kswapd_awake, 0, __ATOMIC_RELAXED);
	unit_put(s.h, s.mm, page_at(a, FRAMES - 1), 1);
	CU_ASSERT_EQUAL(n->kswapd_awake, 0);
	kswapd_encourage(n);
	unit_put(s.h, s.mm, page_at(a, FRAMES - 2), 1);
	CU_ASSERT_EQUAL(n->kswapd_awake, 1);
	unit_end(s.h, s.mm);
}

/* ---- the limit ---------------------------------------------------------------- */

static struct limit_result set_limit(struct setup *s, uint64_t frames)
{
	struct limit_request req = { .nr_frames = frames };
	struct limit_result r;

	CU_ASSERT_EQUAL(mm_limit_set(s->h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.nr_frames, mm_limit(s->h->sys));
	return r;
}

static uint64_t in_use(struct setup *s)
{
	struct mm_node *n = &s->h->sys->nodes[0];

	return n->nr_frames - n->nr_free;
}

static void test_limit_shrinks_and_grows(void)
{
	struct setup s = open_one_node(2 * FRAMES);
	gva_t a = unit_map(s.mm, 3000, PROT_RW, MAP_ANON_PRIVATE);
	struct limit_result r;

	unit_fill(s.h, s.mm, a, 3000, 1);
	r = set_limit(&s, 1024);
	CU_ASSERT_EQUAL(r.nr_frames, 1024);
	CU_ASSERT_TRUE(in_use(&s) <= 1024);
	CU_ASSERT_TRUE(r.discarded > 0);
	CU_ASSERT_EQUAL(node_info(&s).nr_frames, 1024);
	CU_ASSERT_TRUE(node_info(&s).free <= 1024);
	unit_check(s.h);
	/* It holds: more than that is never in use. */
	for (uint64_t i = 0; i < 3000; i++) {
		unit_get(s.h, s.mm, page_at(a, i));
		CU_ASSERT_TRUE(in_use(&s) <= 1024);
	}
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 3000, 1), 0);
	set_limit(&s, FRAMES);
	unit_fill(s.h, s.mm, a, 3000, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 3000, 2), 0);
	CU_ASSERT_TRUE(in_use(&s) >= 3000);
	unit_end(s.h, s.mm);
}

/* Without swap the limit stays at what is in use, and says why. */
static void test_limit_not_reached(void)
{
	struct setup s = open_one_node(0);
	gva_t a = unit_map(s.mm, 2000, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE);
	struct limit_result r;

	unit_fill(s.h, s.mm, a, 2000, 1);
	r = set_limit(&s, 1024);
	CU_ASSERT_TRUE(r.nr_frames >= 2000 && r.nr_frames < FRAMES);
	CU_ASSERT_TRUE(r.no_swap > 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 2000, 1), 0);
	unit_end(s.h, s.mm);
}

struct user {
	struct setup *s;
	gva_t page;
	int calls;
};

/* A program that uses what was dropped at once again. Gives up where the limit does not. */
static bool use_again(void *arg, uint64_t done, uint64_t total)
{
	struct user *u = arg;

	(void)done, (void)total;
	unit_put(u->s->h, u->s->mm, u->page, 1);
	unit_advise(u->s->mm, u->page, 1, MADV_FREE);
	return ++u->calls == 1000;
}

/* Each piece frees a page, and the limit comes no lower by it: that has to end. */
static void test_limit_without_gain(void)
{
	struct setup s = open_one_node(0);
	gva_t a = unit_map(s.mm, 2000, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE);
	struct user u = { .s = &s, .page = page_at(a, 1999) };
	struct limit_request req = { .nr_frames = 1024, .progress = use_again, .arg = &u };
	struct limit_result r;

	unit_fill(s.h, s.mm, a, 1999, 1);
	CU_ASSERT_EQUAL(mm_limit_set(s.h->sys, &req, &r), 0);
	CU_ASSERT_TRUE(!r.stopped && u.calls < 100);
	CU_ASSERT_TRUE(r.reclaimed >= 4);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 1999, 1), 0);
	unit_end(s.h, s.mm);
}

static bool stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	CU_ASSERT_TRUE(done <= total);
	++*(int *)arg;
	return true;
}

static void test_limit_refusals(void)
{
	struct setup s = open_one_node(FRAMES);
	gva_t a = unit_map(s.mm, 3000, PROT_RW, MAP_ANON_PRIVATE);
	int calls = 0;
	struct limit_request req = { .nr_frames = 1024, .progress = stop_at_once, .arg = &calls };
	struct limit_result r;

	unit_fill(s.h, s.mm, a, 3000, 1);
	CU_ASSERT_EQUAL(mm_limit_set(s.h->sys, &req, &r), 0);
	CU_ASSERT_TRUE(r.stopped && calls == 1 && r.nr_frames >= 3000);
	req = (struct limit_request){ .nr_frames = FRAMES + 1 };
	CU_ASSERT_EQUAL(mm_limit_set(s.h->sys, &req, &r), -EINVAL);
	req.nr_frames = LIMIT_NODE_MIN - 1;
	CU_ASSERT_EQUAL(mm_limit_set(s.h->sys, &req, &r), -EINVAL);
	CU_ASSERT_TRUE(node_change_begin(s.h->sys));
	req.nr_frames = 2048;
	CU_ASSERT_EQUAL(mm_limit_set(s.h->sys, &req, &r), -EAGAIN);
	node_change_end(s.h->sys);
	unit_end(s.h, s.mm);
}

/* Every call of the host's that may fail does, while the limit shrinks. */
static void test_limit_failures(void)
{
	for (uint64_t nth = 1; nth < 200; nth++) {
		struct setup s = open_one_node(FRAMES);
		gva_t a = unit_map(s.mm, 1500, PROT_RW, MAP_ANON_PRIVATE);
		struct limit_request req = { .nr_frames = 700 };
		struct limit_result r;
		uint64_t failed;

		unit_fill(s.h, s.mm, a, 1500, 1);
		fake_fail_nth(s.h, FAKE_ANY, nth);
		CU_ASSERT_EQUAL(mm_limit_set(s.h->sys, &req, &r), 0);
		failed = s.h->failures;
		fake_fail_nth(s.h, FAKE_ANY, 0);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 1500, 1), 0);
		unit_end(s.h, s.mm);
		if (!failed)
			break;
	}
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "watermarks are Linux's", test_sizes },
		{ "woken below low, up to high", test_marks_are_kept },
		{ "direct reclaim only below min", test_direct_below_min },
		{ "the thread beside faults, at four times the memory", test_thread },
		{ "nothing to reclaim: no spinning", test_futile },
		{ "the limit shrinks, holds and grows", test_limit_shrinks_and_grows },
		{ "a limit that cannot be reached", test_limit_not_reached },
		{ "pages that are used as fast as they go", test_limit_without_gain },
		{ "limits that are refused or stopped", test_limit_refusals },
		{ "the limit, with the Nth host call failing", test_limit_failures },
	};

	return unit_run("kswapd", tests, ARRAY_LEN(tests), argc, argv);
}
