/* SPDX-License-Identifier: MIT */
/* The swap state, shared by rmap/swap.c (slots, cache), swap_io.c and the validator. */
#ifndef RMAP_SWAP_H
#define RMAP_SWAP_H

#include "rmap/internal.h"

#define SLOT_COUNT 0x7fffu
#define SLOT_ZERO  0x8000u

/* Slots that are looked for together: 1 MiB. */
#define SWAP_CLUSTER 256u

struct swap_area {
	void *host;           /* for ops->swap_io() */
	uint64_t nr;          /* slots */
	uint16_t *map;        /* count and SLOT_ZERO of each */
	struct folio **cache; /* folio that holds the slot's page */
	uint64_t next;        /* where the next search starts */
	uint64_t used, cached;
	/* rmap/swap_slots.c */
	uint16_t *cluster;       /* used slots of each */
	uint64_t empty_clusters; /* whole ones without a used slot */
	uint64_t usable;         /* a: slots from here on are not handed out */
	uint64_t written;        /* slots from here on were never written */
	uint64_t freed;          /* how often a slot got free */
	unsigned int futile_nr;  /* so many in a row were not found, when freed was futile_at */
	uint64_t futile_at;
	int priority; /* the highest is filled first */
	bool full; /* a: a write found no room: pass it by until no more than full_until are used */
	uint64_t full_until;
	uint64_t shun_until; /* a: CLOCK_MONOTONIC ns; 0: its writes do not fail */
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

/* ---- swap_slots.c; swap->lock held unless said otherwise ---- */

/* The arrays of an area that nobody knows yet, or no longer. 0 or -ENOMEM. No lock. */
int area_slots_make(struct mm_sys *sys, struct swap_area *a) UMM_MUST_CHECK;
void area_slots_free(struct mm_sys *sys, struct swap_area *a);
/* @nr free slots in a row, in *slot: they are used as soon as the cache knows a folio. */
bool area_take(struct mm_sys *sys, struct swap_area *a, unsigned int nr, uint64_t *slot);
/* Its writes failed a moment ago. */
bool area_is_shunned(struct swap_area *a);
void slot_count_change(struct mm_sys *sys, struct swap_area *a, uint64_t slot, int delta);
void slot_cache_set(struct mm_sys *sys, struct swap_area *a, uint64_t slot, struct folio *f);
/* What became of writing these folios of the swap cache, which are locked. No lock. */
void swap_wrote(struct mm_sys *sys, struct folio *const *f, const int *errors, unsigned int nr);

#endif
