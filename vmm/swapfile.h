/* SPDX-License-Identifier: MIT */
/*
 * Swap areas on files and block devices, read and written with io_uring
 * straight from and to guest frames.
 *
 * O_DIRECT where the file system has it: the data is not wanted in the host's
 * page cache, it would only take the place of what was swapped out. Guest
 * memory is not registered with the rings: registration pins it, and pinned
 * memory cannot be discarded.
 */
#ifndef VMM_SWAPFILE_H
#define VMM_SWAPFILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <umm/host_ops.h>

#include "vmm/errmsg.h"
#include "vmm/memory.h"

struct swapfile {
	int fd;
	uint64_t nr_slots;
	bool direct;
	struct swapfile *next; /* of the host's areas */
};

/*
 * Open an area; see host_swap_open(). One umm at a time may have a given file:
 * -EBUSY for the second.
 */
int swapfile_open(struct swapfile **out, const char *path, uint64_t bytes,
		  struct errmsg *e) UMM_MUST_CHECK;
void swapfile_close(struct swapfile *file);

/*
 * Rings are taken from a pool for the time of one call, so that any thread may
 * swap at any time without owning one.
 */
struct swap_ring;

struct swap_engine {
	const struct memory *memory;
	pthread_mutex_t lock; /* guards the list of idle rings */
	struct swap_ring *idle;
	_Atomic uint64_t bytes_read, bytes_written;
};

void swap_engine_init(struct swap_engine *engine, const struct memory *memory);
void swap_engine_destroy(struct swap_engine *engine);
/* Make sure that this kernel lets us have a ring. */
int swap_engine_check(struct swap_engine *engine, struct errmsg *e) UMM_MUST_CHECK;
int swap_engine_run(struct swap_engine *engine, struct swap_io *ios, unsigned int nr);

#endif
