/* SPDX-License-Identifier: MIT */
#include "vmm/ksmd.h"

#include <string.h>
#include <umm/ksm.h>

static uint64_t ksmd_tick(void *arg)
{
	struct ksmd *k = arg;
	/* Before the looks: a change after them ends the wait at once. */
	uint32_t seen = ksm_changes(k->sys);

	if (ticker_must_stop(&k->ticker))
		return 0;
	if (ksm_get(k->sys, KSM_RUN) != KSM_MERGE) {
		ksm_wait_change(k->sys, seen);
		return 0;
	}
	ksm_scan(k->sys, ksm_get(k->sys, KSM_PAGES_TO_SCAN));
	return ticker_ms(ksm_get(k->sys, KSM_SLEEP_MILLISECS));
}

static void ksmd_interrupt(void *arg)
{
	struct ksmd *k = arg;

	ksm_wake(k->sys);
}

int ksmd_start(struct ksmd *k, struct mm_sys *sys, struct errmsg *e)
{
	struct ticker_work work = { ksmd_tick, ksmd_interrupt, k };
	int rc;

	k->sys = sys;
	rc = ticker_start(&k->ticker, &work);
	return rc ? errmsg_set(e, rc, "no thread to merge pages: %s", strerror(-rc)) : 0;
}

void ksmd_stop(struct ksmd *k)
{
	ticker_stop(&k->ticker);
}
