/* SPDX-License-Identifier: MIT */
/*
 * The pace of scanning, for policies that want Linux's.
 *
 * Linux passes over windows of 256 MiB every second at first, and adapts the
 * time between them to between 0.1 and 60 s by where the faults come from. A
 * fault costs it a microsecond; here it is an exit of some 40. So windows are a
 * quarter of Linux's, a fault speaks for a block of pages that grows with the
 * process, and whatever the faults say, they may take one percent of a processor.
 */
#include <umm/placement.h>

#define WINDOW_PAGES ((64ul << 20) >> UMM_PAGE_SHIFT)

#define DELAY_FIRST 1000000000ul
#define DELAY_MIN   100000000ul
#define DELAY_MAX   60000000000ul

/* A pass should not need more faults than that; blocks of 64 KiB to 1 MiB. */
#define HINTS_PER_PASS 512
#define BLOCK_MIN      16u
#define BLOCK_MAX      256u

/* From this share of local faults on there is little to find: Linux's 7 of 10. */
#define LOCAL_TENTHS 7

static uint32_t block_for(uint64_t resident)
{
	uint32_t block = BLOCK_MIN;

	while (block < BLOCK_MAX && resident / block > HINTS_PER_PASS)
		block *= 2;
	return block;
}

static uint64_t adapt(const struct scan_report *last)
{
	if (!last->delay)
		return DELAY_FIRST;
	if (!last->pass_done)
		return last->delay;
	/* Nobody comes by, or all are at home: look less often. */
	if (!last->pass_faults || last->pass_local * 10 >= last->pass_faults * LOCAL_TENTHS)
		return last->delay * 2;
	return last->delay / 2;
}

void placement_adaptive_window(const struct scan_report *last, struct scan_window *next,
			       uint64_t fault_cost)
{
	uint64_t delay = adapt(last), paid = last->faults * fault_cost * PLACEMENT_FAULT_SHARE;

	if (delay < DELAY_MIN)
		delay = DELAY_MIN;
	if (delay > DELAY_MAX)
		delay = DELAY_MAX;
	*next = (struct scan_window){
		.pages = WINDOW_PAGES,
		.block = block_for(last->resident),
		.delay = delay > paid ? delay : paid,
	};
}
