/* SPDX-License-Identifier: MIT */
/*
 * Files and block devices to keep swapped pages in: opened, sized, locked.
 *
 * O_DIRECT where the file system has it: the data is not wanted in the host's
 * page cache, it would only take the place of what was swapped out.
 */
#ifndef VMM_SWAPFILE_H
#define VMM_SWAPFILE_H

#include <umm/types.h>

#include "guest/swap_ops.h"
#include "vmm/errmsg.h"

struct swapfile {
	int fd; /* -1: not open */
	uint64_t nr_slots;
	bool direct;
	uint64_t first; /* slot 0 is this page of the file */
};

/*
 * @path names a file or a block device; an empty one stands for an unnamed file of
 * @bytes in $TMPDIR or /var/tmp. @bytes > 0: the file is made, or grown, to that size;
 * 0: use the size it has. One umm at a time may have a given file: -EBUSY for the second.
 */
int swapfile_open(struct swapfile *file, const char *path, uint64_t bytes,
		  struct errmsg *e) UMM_MUST_CHECK;
/* What a program of the guest gave, by a descriptor of our own. -EBUSY as above. */
int swapfile_take(struct swapfile *file, const struct guest_swap_file *given,
		  struct errmsg *e) UMM_MUST_CHECK;
void swapfile_close(struct swapfile *file);

#endif
