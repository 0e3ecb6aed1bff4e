/* SPDX-License-Identifier: MIT */
/* The host's threads that reclaim ahead of need, one a guest node. */
#ifndef VMM_KSWAPD_H
#define VMM_KSWAPD_H

#include <pthread.h>

#include <umm/reclaim.h>

#include "vmm/errmsg.h"

struct kswapd_thread {
	struct mm_sys *sys;
	int node;
	pthread_t thread;
};

struct kswapd {
	unsigned int nr; /* running */
	struct kswapd_thread threads[UMM_MAX_NODES];
};

int kswapd_start(struct kswapd *k, struct mm_sys *sys, struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if it was never started (all zero). */
void kswapd_stop(struct kswapd *k);

#endif
