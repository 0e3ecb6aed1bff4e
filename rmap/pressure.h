/* SPDX-License-Identifier: MIT */
/* What rmap/pressure.c keeps of a system, and how waits are told to it. Part of internal.h. */
#ifndef RMAP_PRESSURE_H
#define RMAP_PRESSURE_H

#include <umm/reclaim.h>

/* Times are ns. */
struct pressure {
	struct umm_mutex lock; /* LOCK_LEAF: guards what follows */
	int32_t stalled;       /* threads that wait for memory; a: read without */
	int32_t busy;          /* a  threads that do not sleep, those that wait included */
	uint64_t booked;       /* when total[] was brought up to date */
	uint64_t period;       /* ... and avg[][] */
	uint64_t total[PRESSURE_KINDS], averaged[PRESSURE_KINDS];
	double avg[PRESSURE_KINDS][PRESSURE_AVERAGES];
};

void pressure_init(struct pressure *p);
void pressure_destroy(struct pressure *p);

/*
 * The calling thread, if it is one of the guest's, waits for memory until stall_end()
 * is told what this returned.
 */
struct mm_thread *stall_begin(struct mm_sys *sys);
void stall_end(struct mm_sys *sys, struct mm_thread *t);

#endif
