/* SPDX-License-Identifier: MIT */
/* How people name a swap area: SIZE, FILE, or FILE:SIZE. */
#ifndef VMM_SWAP_SPEC_H
#define VMM_SWAP_SPEC_H

#include <limits.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

struct swap_spec {
	bool wanted;
	char path[PATH_MAX]; /* empty: an unnamed file that vanishes with the guest */
	uint64_t bytes;      /* 0: as large as the file or device is */
	char origin[256];    /* "FILE:LINE: " of a configuration that asked for it, or empty */
};

/*
 * SIZE makes an unnamed file of that size; FILE uses a file or block device as
 * it is; FILE:SIZE makes or grows the file. What reads as a size is a size: a
 * file called 1G is written ./1G. 0, or -EINVAL with the reason.
 */
int swap_spec_parse(const char *text, struct swap_spec *out, struct errmsg *e) UMM_MUST_CHECK;

#endif
