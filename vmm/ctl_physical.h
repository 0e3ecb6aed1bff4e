/* SPDX-License-Identifier: MIT */
/* Where the host memory behind what a process maps really is, by the host kernel's word. */
#ifndef VMM_CTL_PHYSICAL_H
#define VMM_CTL_PHYSICAL_H

#include "vmm/ctl_ops.h"

struct physical_census {
	uint64_t on_host[UMM_MAX_NODES]; /* pages by host node */
	uint64_t absent;                 /* pages that the host has on none of these */
};

/*
 * Take each page of [start, end) that the guest's page table maps now to the
 * answer of a move_pages() query, and count. A page in use or just moving may
 * be counted where it was. @rss: about as many pages are there; the search ends
 * with the last of them. Tells @conn of its progress, and ends early when the
 * client has gone.
 */
void physical_count(struct vm *vm, struct ctl_conn *conn, struct mm *mm, gva_t start, gva_t end,
		    uint64_t rss, struct physical_census *census);
/* {"0": 512, "absent": 3}: counts that are not 0. */
json_t *physical_json(const struct physical_census *census);

#endif
