/* SPDX-License-Identifier: MIT */
/*
 * The reclaim policy of a running guest: switching it, and the thread that calls
 * policies which want to be called by the clock. It sleeps for good while the
 * policy does not.
 */
#ifndef VMM_POLICYD_H
#define VMM_POLICYD_H

#include <umm/mm.h>

#include "vmm/errmsg.h"
#include "vmm/ticker.h"

struct policyd {
	struct mm_sys *sys;
	struct ticker ticker; /* poked at a switch: the new policy is asked when */
};

/* @policy: as policy_load() takes it; empty: the default one. -errno with a sentence. */
int policyd_start(struct policyd *d, struct mm_sys *sys, const char *policy,
		  struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if it was never started (all zero). */
void policyd_stop(struct policyd *d);
int policyd_switch(struct policyd *d, const char *policy, struct errmsg *e) UMM_MUST_CHECK;

#endif
