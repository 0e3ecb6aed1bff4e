/* SPDX-License-Identifier: MIT */
/*
 * Balancing by majority: each page keeps a vote among the nodes that touch it,
 * and moves when one leads clearly. A fault for the leader adds a vote, one for
 * any other node takes one away, and at none the next fault makes a new leader:
 * in a word of memory, this finds the node with most of the faults if there is
 * one. Pages that two nodes use alike never have a clear leader and stay, which
 * two faults in a row would move to and fro.
 *
 * The node where most of the process's faults are needs fewer votes: a process
 * gathers where it runs.
 *
 * The note: leader + 1 in the low byte, votes above.
 */
#include <umm/placement.h>

#define FAULT_COST   45000
#define VOTES_ENOUGH 3u
#define VOTES_HOME   2u /* for the process's own node */
#define VOTES_MAX    6u /* how long a past lasts */

static void majority_window(struct placement *p, const struct scan_report *last,
			    struct scan_window *next)
{
	(void)p;
	placement_adaptive_window(last, next, FAULT_COST);
}

/* Does the node have more than half of the process's faults? */
static bool is_home(const struct placement_page *page, int node)
{
	uint64_t all = 0;

	for (int n = 0; n < UMM_MAX_NODES; n++)
		all += __atomic_load_n(&page->touched[n], __ATOMIC_RELAXED);
	return 2 * (uint64_t)__atomic_load_n(&page->touched[node], __ATOMIC_RELAXED) > all;
}

static uint32_t vote(uint32_t note, uint32_t here, uint32_t *votes)
{
	uint32_t leader = note & 0xff;

	*votes = note >> 8;
	if (!*votes)
		leader = here;
	if (leader == here)
		*votes += *votes < VOTES_MAX;
	else
		--*votes;
	return leader;
}

static int majority_hint(struct placement *p, const struct placement_page *page)
{
	uint32_t here = (uint32_t)page->cpu_node + 1, votes, leader;

	(void)p;
	leader = vote(__atomic_load_n(page->note, __ATOMIC_RELAXED), here, &votes);
	__atomic_store_n(page->note, leader | votes << 8, __ATOMIC_RELAXED);
	if (leader != here || votes < VOTES_HOME)
		return PLACEMENT_STAY;
	if (votes < VOTES_ENOUGH && !is_home(page, page->cpu_node))
		return PLACEMENT_STAY;
	return page->cpu_node;
}

const struct placement_policy placement_majority = {
	.name = "majority",
	.summary = "move a page to the node that clearly has most of its faults",
	.kind = PLACEMENT_BALANCE,
	.scan_window = majority_window,
	.hint_fault = majority_hint,
};
