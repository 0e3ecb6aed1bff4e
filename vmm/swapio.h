/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing files with io_uring, many transfers at once.
 *
 * Guest memory is not registered with the rings: registration pins it, and pinned
 * memory cannot be discarded. Rings are taken from a pool for the time of one call,
 * so that any thread may swap at any time without owning one.
 */
#ifndef VMM_SWAPIO_H
#define VMM_SWAPIO_H

#include <pthread.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

/* One transfer; all numbers are multiples of a page, as O_DIRECT wants them. */
struct file_io {
	int fd;
	bool write;
	int error; /* set by swap_engine_run() */
	void *buf;
	uint64_t offset, len; /* bytes */
};

struct swap_ring;

struct swap_engine {
	pthread_mutex_t lock; /* guards the list of idle rings */
	struct swap_ring *idle;
};

void swap_engine_init(struct swap_engine *engine);
void swap_engine_destroy(struct swap_engine *engine);
/* Make sure that this kernel lets us have a ring. */
int swap_engine_check(struct swap_engine *engine, struct errmsg *e) UMM_MUST_CHECK;
/*
 * Do all of them and wait. Short answers are continued; each io has its own error. Returns
 * the first.
 */
int swap_engine_run(struct swap_engine *engine, struct file_io *ios, unsigned int nr);

#endif
