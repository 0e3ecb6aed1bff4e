/* SPDX-License-Identifier: MIT */
/*
 * How people name a swap area:
 *
 *	SIZE                an unnamed file of that size, in $TMPDIR or /var/tmp
 *	FILE                a file or block device, as large as it is
 *	FILE:SIZE           a file, made or grown to that size
 *	file:FILE[:SIZE]    the same, for names that would read as something else
 *	lz4:SIZE            so much of the guest's memory, compressed with LZ4
 *	zstd:SIZE           the same with Zstandard: smaller and slower
 *	nbd:URI             a server that speaks NBD, as nbd:nbd://host/export or
 *	                    nbd:nbd+unix:///export?socket=PATH
 *	ram:SIZE            a plain copy in the host's memory
 *	null:SIZE           NOTHING IS KEPT: what is swapped out is lost, and reads as
 *	                    zeros. For measuring, with data that nobody wants back
 *
 * followed by options, each ",NAME=VALUE":
 *
 *	size=SIZE           of the area: another way to say it
 *	priority=N          0 to 32767: the highest is filled first. Default: by kind, the
 *	                    faster the higher; of equals the first named is filled first
 *	memory=SIZE         lz4, zstd: host memory for compressed pages, all that describes
 *	                    them included, from 8M. Default: what they take
 *	writeback=FILE      lz4, zstd: where the coldest pages go when that is used up: a
 *	                    SIZE, a FILE or FILE:SIZE as above. Without it, the area is
 *	                    full then
 *	level=N             zstd: 1 to 19, default 3
 *	connections=N       nbd: 1 to 16 to the server, if it allows more than one. Default 4
 *	wait=SECONDS        nbd: how long a transfer waits for a server that is gone before
 *	                    it is an error, 0 to 3600. Default 5
 *	timeout=SECONDS     nbd: a server that owes an answer for so long is gone, 1 to 3600.
 *	                    Default 30
 *
 * What reads as a size is a size: a file called 1G is written ./1G.
 */
#ifndef VMM_SWAP_SPEC_H
#define VMM_SWAP_SPEC_H

#include <limits.h>
#include <umm/types.h>

#include "guest/swap_ops.h"
#include "vmm/errmsg.h"

enum swap_kind { SWAP_FILE, SWAP_LZ4, SWAP_ZSTD, SWAP_NBD, SWAP_RAM, SWAP_NULL };

struct swap_spec {
	enum swap_kind kind;
	char path[PATH_MAX]; /* file (empty: unnamed, vanishes with the guest); nbd: the URI */
	uint64_t bytes;      /* 0: as large as the file, device or export is */
	int priority;
	uint64_t memory; /* lz4, zstd: 0: no limit of its own */
	bool has_writeback;
	char writeback[PATH_MAX]; /* empty: unnamed */
	uint64_t writeback_bytes; /* 0: the size that it has */
	int level;
	unsigned int connections, wait_seconds, timeout_seconds;
	const struct guest_swap_file *given; /* file: a program's, open already; else NULL */
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
