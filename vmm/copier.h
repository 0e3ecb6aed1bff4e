/* SPDX-License-Identifier: MIT */
/* Many copies of frames at once, by one thread or by two. */
#ifndef VMM_COPIER_H
#define VMM_COPIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <umm/host_ops.h>

#include "vmm/helper.h"
#include "vmm/memory.h"
#include "vmm/vcpu.h"

/* How many threads are tried, as a 4 KiB page costs with each. */
struct copier_speed {
	uint64_t ns_frame[2]; /* one thread, two; 0: not known yet */
	uint64_t runs;        /* since the other one was last tried */
};

struct copier {
	const struct memory *memory;
	struct vcpu_pool *pool;
	struct helper *helper;
	unsigned int cpus;    /* that this process may use */
	pthread_mutex_t lock; /* one caller at a time copies with it */
	unsigned int threads; /* 1, 2; 0: as many as are faster */
	struct copier_speed speed;
	/* The job in hand, shared with the helper. */
	struct frame_copy *copies;
	unsigned int nr;
	_Atomic uint64_t cursor; /* frames handed out so far */
};

/* @pool tells how many processors the guest uses just now. */
void copier_init(struct copier *c, const struct memory *memory, struct vcpu_pool *pool,
		 struct helper *helper);
void copier_destroy(struct copier *c);
/* Contract: copy_runs() in umm/host_ops.h. */
int copier_run(struct copier *c, struct frame_copy *copies, unsigned int nr);
/* Is a second thread worth while for something longer than a copy? */
bool copier_wants_helper(struct copier *c);
/* 0: adaptive, 1 or 2: always so many. */
void copier_set_threads(struct copier *c, unsigned int threads);

#endif
