/* SPDX-License-Identifier: MIT */
/*
 * Whether to look for an answer again and again before sleeping for it.
 *
 * A processor that sleeps while a device reads one page takes a third as long again to
 * come back (`umm bench reclaim` tells both). So a thread that waits for a short read looks
 * for its answer, but only
 *
 *   while such reads end soon: a few that take longer than SPIN_NS in a row, and the
 *   rest sleep, until some are seen to be quick again;
 *   on at most half of the processors that this process may use.
 *
 * All calls may be made by any thread at any time.
 */
#ifndef VMM_SPIN_H
#define VMM_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Nobody looks for longer. As long as Linux's own halt polling by default. */
#define SPIN_NS 200000u

struct spin {
	unsigned int max;         /* threads at a time */
	_Atomic unsigned int now; /* threads that look */
	_Atomic int trust;        /* how often it would have paid lately; a hint */
};

void spin_init(struct spin *s);
/* May the caller look, for up to SPIN_NS? True: it ends with spin_end(). */
bool spin_begin(struct spin *s);
void spin_end(struct spin *s);
/* So long a wait took, whether it was spent looking or asleep. */
void spin_learn(struct spin *s, uint64_t ns);

#endif
