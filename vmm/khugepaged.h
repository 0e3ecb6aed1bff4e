/* SPDX-License-Identifier: MIT */
/*
 * The host's thread that collapses small pages into 2 MiB folios, as Linux's
 * khugepaged does and at its pace: a few places every ten seconds, so that what
 * reclaim and forks have split becomes whole again.
 */
#ifndef VMM_KHUGEPAGED_H
#define VMM_KHUGEPAGED_H

#include <pthread.h>

#include <umm/mm.h>

#include "vmm/errmsg.h"

struct khugepaged {
	struct mm_sys *sys;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop;
};

int khugepaged_start(struct khugepaged *k, struct mm_sys *sys, struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if it was never started (all zero). */
void khugepaged_stop(struct khugepaged *k);

#endif
