/* SPDX-License-Identifier: MIT */
/*
 * Which frames have their content in a slot instead of in host memory, and which
 * slots are taken. Pure bookkeeping: what is done to memory and device is in hole_out.c
 * and hole_in.c.
 *
 *	HERE --begin--> LEAVING --gone--> GONE --begin--> COMING --end--> HERE
 *	  ^               |                 |               |  |
 *	  '----cancel-----'                 |      fail ----'  |   GONE again, or LOST
 *	  '-------------drop----------------'------------------'
 *
 * A frame may be dropped (it is free, and may be used anew) while somebody reads its slot:
 * `turn` then tells the reader that it is late. So nobody who drops has to wait for a device.
 *
 * The caller serialises all calls.
 */
#ifndef VMM_HOLE_TABLE_H
#define VMM_HOLE_TABLE_H

#include <umm/types.h>

enum hole_state {
	HOLE_HERE,    /* no hole: host memory, or nothing, is what the frame is */
	HOLE_LEAVING, /* write-protected, being written out */
	HOLE_GONE,    /* no host memory; the slot has the content */
	HOLE_COMING,  /* its slot is being read */
	HOLE_LOST,    /* its slot cannot be read; who touches it waits */
};

/* No slot: the page is all zero. */
#define HOLE_ZERO UINT32_MAX

struct hole_frame {
	uint32_t slot; /* GONE, COMING, LOST */
	uint16_t turn;
	uint8_t state; /* enum hole_state */
};

struct hole_table {
	uint64_t base, nr; /* frames */
	struct hole_frame *frames;
	uint64_t nr_slots, next, used;
	uint64_t *taken;     /* bit a slot */
	uint64_t gone, lost; /* frames: GONE, COMING and LOST; LOST */
};

/* One read of a slot. */
struct hole_ticket {
	uint64_t frame; /* by number in the table */
	uint32_t slot;
	uint16_t turn;
};

/* -ENOMEM; -E2BIG: more slots than can be told apart. */
int hole_table_init(struct hole_table *t, pfn_t base, uint64_t nr,
		    uint64_t nr_slots) UMM_MUST_CHECK;
void hole_table_destroy(struct hole_table *t);

static inline enum hole_state hole_state(const struct hole_table *t, uint64_t frame)
{
	return (enum hole_state)t->frames[frame].state;
}

/* A free slot, the next after the last one. -ENOSPC. */
int hole_slot_take(struct hole_table *t, uint32_t *slot) UMM_MUST_CHECK;
/* HOLE_ZERO is allowed, and nothing. */
void hole_slot_put(struct hole_table *t, uint32_t slot);

/* HERE -> LEAVING; false: it is not here. */
bool hole_leave(struct hole_table *t, uint64_t frame);
/* LEAVING -> HERE: it was stored to, or could not be written. Else nothing. */
void hole_stay(struct hole_table *t, uint64_t frame);
/* LEAVING -> GONE, with its slot. */
void hole_gone(struct hole_table *t, uint64_t frame, uint32_t slot);

/* GONE or LOST -> COMING; false: it is neither. */
bool hole_come(struct hole_table *t, uint64_t frame, struct hole_ticket *ticket);
/* Is that still the frame that was meant? If not, the slot is the caller's to put. */
bool hole_is_coming(const struct hole_table *t, const struct hole_ticket *ticket);
/* COMING -> HERE; the slot is the caller's to put. */
void hole_came(struct hole_table *t, const struct hole_ticket *ticket);
/* COMING -> GONE, or (@lost) LOST: with its slot. */
void hole_came_not(struct hole_table *t, const struct hole_ticket *ticket, bool lost);

/*
 * Whatever it was -> HERE. Returns the slot for the caller to put; HOLE_ZERO: none, or who
 * reads it puts it.
 */
uint32_t hole_drop(struct hole_table *t, uint64_t frame);

#endif
