/* SPDX-License-Identifier: MIT */
/* Writing pages to swap, many at a time: between reclaim (shrink.c) and the transfers (swap_io.c). */
#ifndef RMAP_SWAP_WRITE_H
#define RMAP_SWAP_WRITE_H

#include "rmap/internal.h"

/*
 * Writing locked swap-cache folios, in one request. The caller fills in folios[] and nr;
 * between start and finish, which are called by one thread, other work may be done, but
 * no lock taken that comes before the folio lock. After finish errors[] tells of each.
 */
#define SWAP_BATCH 256u
struct swap_write {
	struct folio *folios[SWAP_BATCH];
	unsigned int nr;
	int errors[SWAP_BATCH];
	uint64_t zero; /* frames that need not be written: set by start */
	/* rmap/swap_io.c */
	int which[SWAP_BATCH]; /* its transfer; -1: all zero */
	struct swap_io ios[SWAP_BATCH];
	unsigned int nr_ios;
	void *started; /* the host's */
};
void swap_write_start(struct mm_sys *sys, struct swap_write *w);
void swap_write_finish(struct mm_sys *sys, struct swap_write *w);

#endif
