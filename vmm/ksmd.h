/* SPDX-License-Identifier: MIT */
/*
 * The host's thread that merges equal pages of the guest (KSM), as Linux's ksmd does and
 * at the pace that /sys/kernel/mm/ksm in the guest asks for; it sleeps until `run` is 1.
 */
#ifndef VMM_KSMD_H
#define VMM_KSMD_H

#include <umm/mm.h>

#include "vmm/errmsg.h"
#include "vmm/ticker.h"

struct ksmd {
	struct mm_sys *sys;
	struct ticker ticker;
};

int ksmd_start(struct ksmd *k, struct mm_sys *sys, struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if it was never started (all zero). */
void ksmd_stop(struct ksmd *k);

#endif
