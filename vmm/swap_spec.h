/* SPDX-License-Identifier: MIT */
/*
 * How people name a swap area:
 *
 *	SIZE                an unnamed file of that size, in $TMPDIR or /var/tmp
 *	FILE                a file or block device, as large as it is
 *	FILE:SIZE           a file, made or grown to that size
 *	file:FILE[:SIZE]    the same, for names that would read as something else
 *
 * followed by options, each ",NAME=VALUE":
 *
 *	size=SIZE           of the area: another way to say it
 *	priority=N          0 to 32767: the highest is filled first. Default: by kind, the
 *	                    faster the higher; of equals the first named is filled first
 *
 * What reads as a size is a size: a file called 1G is written ./1G.
 */
#ifndef VMM_SWAP_SPEC_H
#define VMM_SWAP_SPEC_H

#include <limits.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

enum swap_kind { SWAP_FILE };

struct swap_spec {
	enum swap_kind kind;
	char path[PATH_MAX]; /* empty: an unnamed file that vanishes with the guest */
	uint64_t bytes;      /* 0: as large as the file or device is */
	int priority;
	char origin[256]; /* "FILE:LINE: " of a configuration that asked for it, or empty */
};

/* 0, or -EINVAL with the reason. */
int swap_spec_parse(const char *text, struct swap_spec *out, struct errmsg *e) UMM_MUST_CHECK;

/* The areas of a guest. */
#define SWAP_SPECS_MAX 8u

struct swap_specs {
	unsigned int nr;
	struct swap_spec v[SWAP_SPECS_MAX];
};

/* One more area. 0, or -EINVAL with the reason. */
int swap_specs_add(struct swap_specs *specs, const char *text, struct errmsg *e) UMM_MUST_CHECK;

#endif
