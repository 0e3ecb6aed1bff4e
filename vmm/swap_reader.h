/* SPDX-License-Identifier: MIT */
/* The host's threads that read swapped memory ahead of programs. */
#ifndef VMM_SWAP_READER_H
#define VMM_SWAP_READER_H

#include <pthread.h>

#include <umm/reclaim.h>

#include "vmm/errmsg.h"

/* Two transfers under way beside the program's own keep a disk busy. */
#define SWAP_READERS 2u

struct swap_readers {
	struct mm_sys *sys;
	unsigned int nr; /* running */
	pthread_t threads[SWAP_READERS];
};

int swap_readers_start(struct swap_readers *r, struct mm_sys *sys, struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if they were never started (all zero). */
void swap_readers_stop(struct swap_readers *r);

#endif
