/* SPDX-License-Identifier: MIT */
/*
 * Balancing by two faults, as Linux does it: a page moves when two faults in a
 * row on it come from the same node, and it is on another. A single fault may be
 * chance; two of them from one node, a pass apart, are most likely a habit.
 *
 * The note is the node of the last fault + 1.
 */
#include <umm/placement.h>

/* Exit, fault and the entries that come back: what was measured, in ns. */
#define FAULT_COST 45000

static void two_fault_window(struct placement *p, const struct scan_report *last,
			     struct scan_window *next)
{
	(void)p;
	placement_adaptive_window(last, next, FAULT_COST);
}

static int two_fault_hint(struct placement *p, const struct placement_page *page)
{
	uint32_t here = (uint32_t)page->cpu_node + 1;

	(void)p;
	if (__atomic_exchange_n(page->note, here, __ATOMIC_RELAXED) != here)
		return PLACEMENT_STAY;
	return page->cpu_node;
}

const struct placement_policy placement_two_fault = {
	.name = "two-fault",
	.summary = "move a page after two faults in a row from the same node (as Linux)",
	.kind = PLACEMENT_BALANCE,
	.scan_window = two_fault_window,
	.hint_fault = two_fault_hint,
};
