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
#include <sys/uio.h>
#include <umm/types.h>

#include "vmm/errmsg.h"
#include "vmm/spin.h"

/* One transfer; all numbers are multiples of a page, as O_DIRECT wants them. */
struct file_io {
	int fd;
	bool write;
	int error; /* set by swap_engine_run() */
	void *buf;
	uint64_t offset, len; /* bytes */
	/* Instead of buf, if not NULL: pieces of memory of @len bytes in all; they are used up. */
	struct iovec *iov;
	unsigned int nr_iov;
};

/* So many transfers are in flight at once, of so many pieces in all. */
#define SWAP_RING_DEPTH 64u
#define SWAP_RING_IOV   256u

struct swap_ring;

struct swap_engine {
	pthread_mutex_t lock; /* guards the list of idle rings */
	struct swap_ring *idle;
	struct spin spin; /* threads that wait for one short read */
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
/*
 * Begin them; a copy is taken, also of their pieces. NULL: they are too many for a ring (see
 * above), or there is none, and nothing has begun.
 * wait: when all are over, the copies with their errors, valid until end gives the ring
 * back. All three by one thread.
 */
struct swap_ring *swap_engine_start(struct swap_engine *engine, const struct file_io *ios,
				    unsigned int nr);
const struct file_io *swap_engine_wait(struct swap_ring *ring);
void swap_engine_end(struct swap_engine *engine, struct swap_ring *ring);

#endif
