/* SPDX-License-Identifier: MIT */
/*
 * Swap areas that programs bring and take away themselves: swapon(), swapoff().
 *
 * guest/sys_swap.c judges who asks and what the file is; the VMM does the transfers, and
 * keeps the one list of areas, its user's own among them. So nothing here has to agree
 * with what `umm swap` does meanwhile.
 */
#ifndef GUEST_SWAP_OPS_H
#define GUEST_SWAP_OPS_H

#include <umm/types.h>

/* The least_priority of Linux: where nobody says, each area is filled after those before. */
#define SWAP_PRIORITY_DEFAULT (-1)

/* A regular file with a header in its first page; slot n is its page n + 1. */
struct guest_swap_file {
	int fd;            /* the caller's, for reading and writing; flock() works on it */
	bool direct;       /* it has O_DIRECT */
	uint64_t nr_slots; /* > 0 */
	int priority;      /* 0 to 32767, or SWAP_PRIORITY_DEFAULT */
	uint64_t dev, ino; /* by which remove() finds it */
	const char *name;  /* absolute, for /proc/swaps; valid during the call */
};

/* Asked now and then: true when the caller has something better to do. */
struct guest_swap_wait {
	bool (*stop)(void *arg);
	void *arg;
};

struct guest_swap_ops {
	/*
	 * Swap to @file. 0, or -EBUSY: it is an area already, of this guest or another;
	 * -EPERM: there are too many; -EINTR: stopped while another area was on its way;
	 * -ENOMEM and others.
	 */
	int (*add)(void *ctx, const struct guest_swap_file *file,
		   const struct guest_swap_wait *wait);
	/*
	 * Read back all that the area holds, and close it. 0, or -EINVAL: no area that add()
	 * made; -ENOMEM: no room for it; -EIO: a page cannot be read; -EINTR: stopped. After
	 * an error the area is used as before.
	 */
	int (*remove)(void *ctx, uint64_t dev, uint64_t ino, const struct guest_swap_wait *wait);
};

#endif
