/* SPDX-License-Identifier: MIT */
/*
 * Tiering by sampling: the A bits of a slow node's pages are taken now and then,
 * and a page that was used in most of its last samples is hot. No hint faults, so
 * the program never stops for it; but a sample is a walk of the reverse mapping
 * and a zap, and tells only that a page was used, not how often.
 *
 * The note is the history, a bit a sample, the latest lowest.
 */
#include <umm/placement.h>

#define WINDOW 4 /* samples that count ... */
#define HOT    3 /* ... and how many of them must have been hits */

static int sampling_sampled(struct placement *p, const struct placement_page *page)
{
	uint32_t history = __atomic_load_n(page->note, __ATOMIC_RELAXED);

	history = history << 1 | page->accessed;
	__atomic_store_n(page->note, history, __ATOMIC_RELAXED);
	if (__builtin_popcount(history & ((1u << WINDOW) - 1)) < HOT)
		return PLACEMENT_STAY;
	if (!placement_rate_take(p, 1ul << page->order))
		return PLACEMENT_STAY;
	return placement_nearest_fast(p, page->node);
}

static int sampling_demote(struct placement *p, const struct placement_page *page)
{
	/* It has to earn its way back. */
	__atomic_store_n(page->note, 0, __ATOMIC_RELAXED);
	return placement_nearest_slow(p, page->node);
}

const struct placement_policy placement_sampling = {
	.name = "sampling",
	.summary = "promote what was used in three of its last four samples of A bits",
	.kind = PLACEMENT_TIER,
	.sampled = sampling_sampled,
	.demotion_target = sampling_demote,
};
