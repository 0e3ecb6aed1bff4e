/* SPDX-License-Identifier: MIT */
/*
 * The background reclaimer of a node, run by a thread of the host's.
 *
 *	allocation, free < low		-> awake = 1, wake
 *	reclaimer, awake		-> reclaim until free >= high -> awake = 0
 *
 * It also gives host memory back that stands behind the node beyond its limit:
 * blocks of frames may be handed out anew while single ones are free elsewhere.
 *
 * Nobody polls. After storing 0 the reclaimer looks at the free frames once more:
 * an allocation that came before it and saw 1 has woken nobody. If nothing can be
 * reclaimed (no swap, all in use), waking it at each allocation would only burn a
 * processor: after FUTILE_ROUNDS in a row it is left asleep until somebody else's
 * reclaim gains something, a swap area is added, or the limit changes.
 */
#include "rmap/internal.h"

/* As Linux's MAX_RECLAIM_RETRIES. */
#define FUTILE_ROUNDS 16u

void kswapd_wake(struct mm_sys *sys, struct mm_node *n)
{
	if (__atomic_load_n(&n->kswapd_awake, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&n->kswapd_failures, __ATOMIC_RELAXED) >= FUTILE_ROUNDS)
		return;
	if (!__atomic_exchange_n(&n->kswapd_awake, 1, __ATOMIC_SEQ_CST))
		sys->ops->wake(sys->ctx, &n->kswapd_awake, 1);
}

static bool stopping(struct mm_sys *sys)
{
	return __atomic_load_n(&sys->kswapd_stop, __ATOMIC_SEQ_CST);
}

/* Frames that the node lacks; none while it is on its way offline. */
static uint64_t missing(const struct mm_node *n, enum wmark mark)
{
	uint64_t want = __atomic_load_n(&n->wmark[mark], __ATOMIC_RELAXED), free = node_nr_free(n);

	if (__atomic_load_n(&n->state, __ATOMIC_RELAXED) != MM_NODE_ONLINE)
		return 0;
	return free < want ? want - free : 0;
}

bool mm_background_round(struct mm_sys *sys, int node)
{
	struct mm_node *n = &sys->nodes[node];
	uint64_t nr, freed = 0;

	sys_count(sys, EV_PAGEOUTRUN, 1);
	while (!stopping(sys) && (nr = missing(n, WMARK_HIGH))) {
		freed = reclaim_background(sys, node, nr);
		if (!freed)
			break;
		kswapd_encourage(n);
	}
	frames_trim(sys, n);
	if (!missing(n, WMARK_HIGH))
		return true;
	sys_count(sys, EV_KSWAPD_HIGH_HIT, 1);
	if (!freed)
		__atomic_fetch_add(&n->kswapd_failures, 1, __ATOMIC_RELAXED);
	return false;
}

void mm_background_reclaim(struct mm_sys *sys, int node)
{
	struct mm_node *n = &sys->nodes[node];

	while (!stopping(sys)) {
		if (!__atomic_load_n(&n->kswapd_awake, __ATOMIC_SEQ_CST)) {
			sys->ops->wait(sys->ctx, &n->kswapd_awake, 0);
			continue;
		}
		(void)!mm_background_round(sys, node);
		__atomic_store_n(&n->kswapd_awake, 0, __ATOMIC_SEQ_CST);
		if (!missing(n, WMARK_LOW))
			continue;
		sys_count(sys, EV_KSWAPD_LOW_HIT, 1);
		kswapd_wake(sys, n);
	}
}

void mm_background_stop(struct mm_sys *sys)
{
	__atomic_store_n(&sys->kswapd_stop, 1, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		__atomic_store_n(&sys->nodes[i].kswapd_awake, 1, __ATOMIC_SEQ_CST);
		sys->ops->wake(sys->ctx, &sys->nodes[i].kswapd_awake, INT32_MAX);
	}
}
