/* SPDX-License-Identifier: MIT */
/*
 * Watermarks: how many free frames a node should have.
 *
 *	high	the background reclaimer stops
 *	low	an allocation that leaves less wakes it (rmap/kswapd.c)
 *	min	an allocation that would leave less reclaims for itself; what is below
 *		is for those who reclaim and migrate
 *
 * The sizes are Linux's: min is four times the square root of the node in KiB
 * (min_free_kbytes), but at least 128 KiB and at most 256 MiB; low and high follow
 * at distances of a quarter of it, or of watermark_scale 1/10000 of the node, if
 * that is more. Differences: a guest may have a few MiB only, so min is at most a
 * 64th of the node, or a quarter by min_free_kbytes; and the scale's default is larger
 * (umm/mm.h says why).
 */
#include "rmap/internal.h"

#define MIN_KIB_LEAST 128u
#define MIN_KIB_MOST  262144u

static uint64_t square_root(uint64_t v)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ul << 31; bit; bit >>= 1) {
		if ((root | bit) * (root | bit) <= v)
			root |= bit;
	}
	return root;
}

static uint64_t least_free(uint64_t frames)
{
	uint64_t kib = square_root(frames * (UMM_PAGE_SIZE / 1024) * 16), min;

	if (kib < MIN_KIB_LEAST)
		kib = MIN_KIB_LEAST;
	if (kib > MIN_KIB_MOST)
		kib = MIN_KIB_MOST;
	min = kib / (UMM_PAGE_SIZE / 1024);
	return min < frames / 64 ? min : frames / 64;
}

/* The node's share of what programs wrote to min_free_kbytes, if they did. */
static uint64_t asked_free(const struct mm_sys *sys, const struct mm_node *n, uint64_t min)
{
	uint64_t kib = sysctl_value(sys, SYSCTL_MIN_FREE_KBYTES), all = 0, share;

	if (!kib)
		return min;
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		all += sys->nodes[i].nr_frames;
	share = kib / (UMM_PAGE_SIZE / 1024) * n->nr_frames / all;
	/* Linux lets one drown in it. */
	return share < node_limit(n) / 4 ? share : node_limit(n) / 4;
}

void watermarks_set(struct mm_sys *sys, struct mm_node *n)
{
	uint64_t frames = node_limit(n), min = asked_free(sys, n, least_free(frames));
	uint64_t scale = __atomic_load_n(&sys->watermark_scale, __ATOMIC_RELAXED);
	uint64_t gap = frames * scale / 10000;

	if (gap < min / 4)
		gap = min / 4;
	__atomic_store_n(&n->wmark[WMARK_MIN], min, __ATOMIC_RELAXED);
	__atomic_store_n(&n->wmark[WMARK_LOW], min + gap, __ATOMIC_RELAXED);
	__atomic_store_n(&n->wmark[WMARK_HIGH], min + 2 * gap, __ATOMIC_RELAXED);
}

unsigned int mm_sys_watermark_scale(const struct mm_sys *sys)
{
	return __atomic_load_n(&sys->watermark_scale, __ATOMIC_RELAXED);
}

int mm_sys_set_watermark_scale(struct mm_sys *sys, unsigned int scale)
{
	if (!scale || scale > WATERMARK_SCALE_MAX)
		return -EINVAL;
	__atomic_store_n(&sys->watermark_scale, scale, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		watermarks_set(sys, &sys->nodes[i]);
	return 0;
}
