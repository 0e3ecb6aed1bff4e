/* SPDX-License-Identifier: MIT */
/*
 * A rate of bytes a second, kept evenly: work is done in small pieces, and after
 * each the worker sleeps until the time that the bytes so far may take. What a
 * busy machine has made late is not caught up by a burst, beyond some pieces: the
 * rate is a limit, and the report tells what was reached.
 */
#ifndef VMM_PACE_H
#define VMM_PACE_H

#include <umm/types.h>

struct pacer {
	uint64_t rate;    /* bytes a second; 0: no limit */
	uint64_t bytes;   /* seen so far */
	uint64_t next_ns; /* when the next piece may begin; CLOCK_MONOTONIC */
};

void pacer_start(struct pacer *p, uint64_t rate, uint64_t now_ns);
/* Frames of a piece: about PACE_PIECE_NS of the rate, one at least; 0 without a limit. */
#define PACE_PIECE_NS 5000000ull
/* What may be caught up. */
#define PACE_LATE_NS (4 * PACE_PIECE_NS)
unsigned int pacer_piece(const struct pacer *p);
/*
 * The gentle pace, for guests that run: after each piece the mover rests for so long
 * that what the piece cost the guest is at most a share of its time. The cost is the piece's own time, when the guest may have stood still, and what the
 * host needs to make the guest's translations anew: one a folio, and after a flush of
 * tables one for each 2 MiB that the guest has.
 */
#define PACE_GENTLE_PERCENT 10u
#define PACE_PERCENT_MAX    90
struct pace_cost {
	uint64_t ns;           /* the piece took */
	uint64_t folios;       /* moved in it */
	uint64_t flushes;      /* of tables, in it */
	uint64_t guest_frames; /* in use */
	unsigned int percent; /* 1 to PACE_PERCENT_MAX of the guest's time; 0: PACE_GENTLE_PERCENT */
};
/* Nanoseconds; at most half a second. */
uint64_t pace_gentle_rest(const struct pace_cost *cost);

/* @bytes are done in all: how long to sleep from @now_ns on, 0 if not at all. */
uint64_t pacer_wait(struct pacer *p, uint64_t bytes, uint64_t now_ns);

#endif
