/* SPDX-License-Identifier: MIT */
#include "vmm/policyd.h"

#include <string.h>
#include <time.h>

#include <umm/reclaim_policy.h>

#include "vmm/policy_load.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t policyd_tick(void *arg)
{
	struct policyd *d = arg;

	return mm_policy_tick(d->sys, now_ns());
}

static int load_and_set(struct policyd *d, const char *policy, struct errmsg *e)
{
	const struct reclaim_policy *p;
	int rc = policy_load(policy, &p, e);

	if (rc)
		return rc;
	rc = mm_policy_set(d->sys, p);
	return rc ? errmsg_set(e, rc, "cannot switch to %s: %s", p->name, strerror(-rc)) : 0;
}

int policyd_switch(struct policyd *d, const char *policy, struct errmsg *e)
{
	int rc = load_and_set(d, policy, e);

	if (!rc)
		ticker_poke(&d->ticker);
	return rc;
}

int policyd_start(struct policyd *d, struct mm_sys *sys, const char *policy, struct errmsg *e)
{
	struct ticker_work work = { .tick = policyd_tick, .arg = d };
	int rc;

	d->sys = sys;
	rc = *policy ? load_and_set(d, policy, e) : 0;
	if (rc)
		return rc;
	rc = ticker_start(&d->ticker, &work);
	return rc ? errmsg_set(e, rc, "no thread for reclaim policies: %s", strerror(-rc)) : 0;
}

void policyd_stop(struct policyd *d)
{
	ticker_stop(&d->ticker);
}
