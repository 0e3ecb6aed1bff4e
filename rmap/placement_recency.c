/* SPDX-License-Identifier: MIT */
/*
 * Tiering by recency: a page of a slow node is hot if it is touched soon after
 * its hint was set, as in Linux's tiering mode of NUMA balancing. All pages of a
 * block get hints, and the first touch of any tells how long the block was idle.
 *
 * What "soon" means adapts, a second at a time, to what may be promoted: if more
 * is hot than the budget allows, only the hotter part of it is taken.
 */
#include <umm/placement.h>

#define MS 1000000ul

/* Exit, fault, and KVM's own faults on the pages of the block that follow. */
#define FAULT_COST 100000

#define THRESHOLD_FIRST (1000 * MS)
#define THRESHOLD_MIN   (50 * MS)
#define THRESHOLD_MAX   (2000 * MS)

#define ADAPT_EVERY (1000 * MS)

struct recency {
	uint64_t threshold;  /* a  ns, 0: not set yet */
	uint64_t candidates; /* a  frames, since it was last adapted */
	uint64_t adapted;    /* the tick's own */
};

static void recency_window(struct placement *p, const struct scan_report *last,
			   struct scan_window *next)
{
	(void)p;
	placement_adaptive_window(last, next, FAULT_COST);
	next->every_page = true;
	/* Ages are compared with a second: looking less often would tell nothing. */
	if (next->delay > THRESHOLD_FIRST &&
	    next->delay > last->faults * FAULT_COST * PLACEMENT_FAULT_SHARE)
		next->delay = THRESHOLD_FIRST;
}

static uint64_t threshold(struct recency *r)
{
	uint64_t t = __atomic_load_n(&r->threshold, __ATOMIC_RELAXED);

	return t ? t : THRESHOLD_FIRST;
}

static int recency_hint(struct placement *p, const struct placement_page *page)
{
	struct recency *r = placement_state(p);
	uint64_t frames = 1ul << page->order;

	if (!r || page->latency > threshold(r))
		return PLACEMENT_STAY;
	__atomic_fetch_add(&r->candidates, frames, __ATOMIC_RELAXED);
	if (!placement_rate_take(p, frames))
		return PLACEMENT_STAY;
	return placement_nearest_fast(p, page->cpu_node);
}

static int recency_demote(struct placement *p, const struct placement_page *page)
{
	return placement_nearest_slow(p, page->node);
}

static void recency_tick(struct placement *p, uint64_t now)
{
	struct recency *r = placement_state(p);
	uint64_t rate = placement_rate(p), t = threshold(r), candidates;

	if (now - r->adapted < ADAPT_EVERY)
		return;
	r->adapted = now;
	candidates = __atomic_exchange_n(&r->candidates, 0, __ATOMIC_RELAXED);
	if (rate && candidates > rate + rate / 10)
		t = t * 3 / 4;
	else if (!rate || candidates < rate - rate / 10)
		t = t * 5 / 4;
	t = t < THRESHOLD_MIN ? THRESHOLD_MIN : t;
	__atomic_store_n(&r->threshold, t > THRESHOLD_MAX ? THRESHOLD_MAX : t, __ATOMIC_RELAXED);
}

const struct placement_policy placement_recency = {
	.name = "recency",
	.summary = "promote what is touched soon after a hint was set (as Linux)",
	.kind = PLACEMENT_TIER,
	.state_size = sizeof(struct recency),
	.scan_window = recency_window,
	.hint_fault = recency_hint,
	.demotion_target = recency_demote,
	.tick = recency_tick,
};
