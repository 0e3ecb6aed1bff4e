/* SPDX-License-Identifier: MIT */
#include "vmm/khugepaged.h"

#include <string.h>

/* Linux's scan_sleep_millisecs, and pages_to_scan in 2 MiB. */
#define SLEEP_MS 10000
#define PLACES   8u
/*
 * Linux lets 511 of 512 pages be empty; here a page that was never touched is
 * memory of the host, so most must be there.
 */
#define MAX_NONE 64u

static uint64_t khugepaged_tick(void *arg)
{
	struct khugepaged *k = arg;

	if (k->awake)
		mm_sys_collapse_scan(k->sys, &k->at, PLACES, MAX_NONE);
	k->awake = true;
	return ticker_ms(SLEEP_MS);
}

int khugepaged_start(struct khugepaged *k, struct mm_sys *sys, struct errmsg *e)
{
	struct ticker_work work = { .tick = khugepaged_tick, .arg = k };
	int rc;

	*k = (struct khugepaged){ .sys = sys };
	rc = ticker_start(&k->ticker, &work);
	return rc ? errmsg_set(e, rc, "no thread to collapse pages: %s", strerror(-rc)) : 0;
}

void khugepaged_stop(struct khugepaged *k)
{
	ticker_stop(&k->ticker);
}
