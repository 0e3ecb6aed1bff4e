/* SPDX-License-Identifier: MIT */
/*
 * The host's thread that collapses small pages into 2 MiB folios, as Linux's
 * khugepaged does and at its pace: a few places every ten seconds, so that what
 * reclaim and forks have split becomes whole again.
 */
#ifndef VMM_KHUGEPAGED_H
#define VMM_KHUGEPAGED_H

#include <umm/mm.h>

#include "vmm/errmsg.h"
#include "vmm/ticker.h"

struct khugepaged {
	struct mm_sys *sys;
	struct collapse_cursor at; /* where the next look begins; the thread's */
	bool awake;                /* it has slept once: memory is looked at when it has some age */
	struct ticker ticker;
};

int khugepaged_start(struct khugepaged *k, struct mm_sys *sys, struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if it was never started (all zero). */
void khugepaged_stop(struct khugepaged *k);

#endif
