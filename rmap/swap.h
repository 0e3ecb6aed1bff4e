/* SPDX-License-Identifier: MIT */
/* The swap state, shared by rmap/swap.c (slots, cache), swap_io.c and the validator. */
#ifndef RMAP_SWAP_H
#define RMAP_SWAP_H

#include "rmap/internal.h"

#define SLOT_COUNT 0x7fffu
#define SLOT_ZERO  0x8000u

struct swap_area {
	void *host;           /* for ops->swap_io() */
	uint64_t nr;          /* slots */
	uint16_t *map;        /* count and SLOT_ZERO of each */
	struct folio **cache; /* folio that holds the slot's page */
	uint64_t next;        /* where the next search starts */
	uint64_t used, cached;
	int priority; /* the highest is filled first */
	bool full;    /* a write found no room: pass it by until no more than full_until are used */
	uint64_t full_until;
	/*
	 * On its way out (rmap/swapoff.c): no slot of it is handed out, and a page that is
	 * read keeps none. After that host is NULL and nr 0, until another takes the place.
	 */
	bool leaving;
	char name[SWAP_NAME_MAX + 1];
};

struct swap {
	struct umm_mutex lock;
	unsigned int nr_areas;
	struct swap_area areas[SWP_MAX_AREAS];
	unsigned int nr_order;
	uint8_t order[SWP_MAX_AREAS]; /* areas by falling priority, equals by age */
};

#endif
