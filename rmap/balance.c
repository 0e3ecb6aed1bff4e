/* SPDX-License-Identifier: MIT */
/*
 * Pages of files or those of swap: what /proc/sys/vm/swappiness says.
 *
 * The policies have one order for all pages, coldest first, and know nothing of what they
 * cost. So the balance is made where a victim has been found: one of the kind that shall go
 * less often is passed over, back to its list, until it is its turn. With swappiness s, s of
 * 100 pages of swap and 200 - s of 100 pages of files are taken, all where that is 100 or
 * more; so with 100, at first, none is passed over. When whole rounds freed too little,
 * one follows in which nothing is spared: with 0, memory goes to swap only when files have
 * no more to give, as on Linux. What somebody names is reclaimed in any case, and so is what
 * has its copy in swap already and only leaves memory.
 */
#include "rmap/shrink.h"

bool balance_spares(struct shrink *s, const struct folio *f)
{
	uint64_t swappiness = sysctl_value(s->sys, SYSCTL_SWAPPINESS), share;
	bool to_swap = folio_test(f, PG_swapbacked);

	if (swappiness == SWAPPINESS_EQUAL || s->by == BY_REQUEST || s->spares_none)
		return false;
	if (folio_test(f, PG_swapcache) && !folio_test(f, PG_dirty))
		return false;
	share = to_swap ? swappiness : 2 * SWAPPINESS_EQUAL - swappiness;
	if (share >= SWAPPINESS_EQUAL)
		return false;
	s->turn[to_swap] += share;
	if (s->turn[to_swap] < SWAPPINESS_EQUAL)
		return true;
	s->turn[to_swap] -= SWAPPINESS_EQUAL;
	return false;
}
