/* SPDX-License-Identifier: MIT */
/*
 * Blocks of free frames (rmap/buddy.c), for those who make folios of them. A block has 2^order
 * frames, aligned to its size; *known* is what is known of its content, of BLOCK_KNOWN.
 */
#ifndef RMAP_BUDDY_H
#define RMAP_BUDDY_H

#include "rmap/internal.h"

#define BLOCK_KNOWN ((1u << PG_zeroed) | (1u << PG_discarded))

/*
 * Take a block of node @n, as far as its watermarks and limit allow it for @flags (ALLOC_*), and
 * wake its background reclaimer if few are left. NULL: there is none. Takes free_lock.
 */
struct folio *buddy_take(struct mm_sys *sys, struct mm_node *n, unsigned int order,
			 unsigned int flags, uint32_t *known);
/* Host memory behind a taken block, and zeroes in it with ALLOC_ZERO. 0, or the host's -errno. */
int buddy_make_ready(struct mm_sys *sys, struct folio *f, unsigned int order, unsigned int flags,
		     uint32_t known) UMM_MUST_CHECK;
/* A taken block is free again. Takes free_lock. */
void buddy_give_back(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known);
/* free_lock held. Frames [first, first + nr) are free again; nothing is known of them. */
void buddy_free_run(struct mm_node *n, struct folio *first, uint64_t nr);

#endif
