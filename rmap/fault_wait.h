/* SPDX-License-Identifier: MIT */
/* What a fault waits for without a lock of its mm: the design is in fault_wait.c. */
#ifndef RMAP_FAULT_WAIT_H
#define RMAP_FAULT_WAIT_H

#include "rmap/internal.h"

/*
 * swap_io.c: pages on their way in. Between begin and end the fresh folios are in the
 * swap cache, locked and not up to date.
 */
struct swap_read {
	struct mm_sys *sys;
	const swp_entry_t *entries;
	struct folio **out;
	unsigned int nr;
	int error; /* why out[0] is NULL, as swap_read_folios() tells it */
	struct swap_io ios[SWAP_READ_MAX];
	unsigned int nr_ios;
	struct folio *fresh[SWAP_READ_MAX]; /* by index of the request; NULL: not ours to read */
	int io[SWAP_READ_MAX];              /* its transfer; -1: zero page */
};

/*
 * Find or make the folios of @nr slots, entries and out in the caller's keeping until
 * the end. @places are no longer needed afterwards.
 */
void swap_read_begin(struct swap_read *r, struct mm_sys *sys, const swp_entry_t *e,
		     const struct place *places, unsigned int nr, struct folio **out);
/* The same ahead of need: nothing is reclaimed for any of them, and folios that are
 * there already are not handed out. */
void swap_read_ahead(struct swap_read *r, struct mm_sys *sys, const swp_entry_t *e,
		     const struct place *places, unsigned int nr, struct folio **out);
/* Do the transfers, if there are any, and unlock. No lock held but, perhaps, mmap_lock. */
void swap_read_end(struct swap_read *r);

/* Put all that are not NULL; what nobody needs any more is not left in the cache. */
void swap_read_release(struct mm_sys *sys, struct folio **f, unsigned int nr);

/* fault_swap.c: a swap-in, the entry of the fault first. Each folio with a reference. */
struct swap_in {
	unsigned int nr; /* 0: none */
	struct swap_neighbour {
		gva_t addr;
		uint64_t entry;
	} n[SWAP_READ_MAX];
	swp_entry_t slots[SWAP_READ_MAX];
	struct folio *folios[SWAP_READ_MAX];
	struct swap_read read;
};

enum fault_wait_for {
	WAIT_NOTHING,
	WAIT_UNLOCK, /* until `folio` is unlocked */
	WAIT_SWAP,   /* the transfers of `swap` */
	WAIT_MOMENT, /* somebody is between two steps that take no time, or has lost its processor */
	WAIT_FILE,   /* page `index` of `mapping` (with a reference) is in its cache */
};

struct fault_wait {
	struct mm_sys *sys;
	enum fault_wait_for what;
	bool again; /* waited at least once: what faults count is counted */
	bool stall; /* for want of memory: it is booked as pressure */
	bool random;
	struct folio *folio;
	struct folio *held; /* with a reference, so that it is still there the next time */
	struct address_space *mapping;
	pgoff_t index;
	struct swap_in swap;
};

void fault_wait_init(struct fault_wait *w, struct mm_sys *sys);
/* Let go of everything that was kept for the next try. No lock above folio locks. */
void fault_wait_release(struct fault_wait *w);

/* ---- for handlers, mmap_lock held; they answer FAULT_DONE after it ---- */

/* Until @folio is unlocked; with @hold a reference keeps it. */
void fault_wait_unlock(struct fault *f, struct folio *folio, bool hold);
/* For the transfers of f->wait->swap, which has begun. */
void fault_wait_swap(struct fault *f);
/* For whoever takes the folio of this slot out of the cache, and has frozen it. */
void fault_wait_moment(struct fault *f);
/* For a page of the area's object. */
void fault_wait_file(struct fault *f, pgoff_t index);

/* ---- for who calls handlers, mmap_lock not held ---- */

static inline bool fault_must_wait(const struct fault_wait *w)
{
	return w->what != WAIT_NOTHING;
}
/* Wait. FAULT_DONE: look up the area and start over; else the fault's result. */
enum fault_result fault_wait(struct fault_wait *w);

#endif
