/* SPDX-License-Identifier: MIT */
/*
 * Swap of the host's kernel, turned on for as long as a benchmark compares with
 * it: a file, or a zram device of our own. Pages of other programs may land there
 * too; swapping off brings them back.
 */
#ifndef VMM_BENCH_KSWAP_H
#define VMM_BENCH_KSWAP_H

#include <limits.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

struct kernel_swap {
	char path[PATH_MAX];
	uint64_t bytes;
	int zram; /* number of the device that was added; -1: a file */
	bool on;
};

/* -errno with the reason where this machine does not let us. */
int kernel_swap_file(struct kernel_swap *s, const char *dir, uint64_t bytes,
		     struct errmsg *e) UMM_MUST_CHECK;
int kernel_swap_zram(struct kernel_swap *s, const char *algorithm, uint64_t bytes,
		     struct errmsg *e) UMM_MUST_CHECK;
/* Swap it off and remove it. No-op if it is not on. */
void kernel_swap_off(struct kernel_swap *s);
/* Bytes that were stored in the zram device, and what they take compressed. */
int kernel_swap_compressed(const struct kernel_swap *s, uint64_t *stored,
			   uint64_t *taken) UMM_MUST_CHECK;

#endif
