/* SPDX-License-Identifier: MIT */
/*
 * The host's thread that merges equal pages of the guest (KSM), as Linux's ksmd does and
 * at the pace that /sys/kernel/mm/ksm in the guest asks for; it sleeps until `run` is 1.
 */
#ifndef VMM_KSMD_H
#define VMM_KSMD_H

#include <pthread.h>

#include <umm/mm.h>

#include "vmm/errmsg.h"

struct ksmd {
	struct mm_sys *sys;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop;
};

int ksmd_start(struct ksmd *k, struct mm_sys *sys, struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if it was never started (all zero). */
void ksmd_stop(struct ksmd *k);

#endif
