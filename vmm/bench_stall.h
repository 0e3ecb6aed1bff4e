/* SPDX-License-Identifier: MIT */
/* What a running guest feels of its memory being moved all the time. */
#ifndef VMM_BENCH_STALL_H
#define VMM_BENCH_STALL_H

#include "vmm/bench_guest.h"
#include "vmm/bench_report.h"

enum bench_stall_ways {
	STALL_USUAL,  /* the default pace, and without rests */
	STALL_PACES,  /* over shares of the guest's time */
	STALL_MOVERS, /* by one thread, by two, and by as many as umm chooses */
};

struct bench_stall {
	struct bench_report *report;
	const struct bench_paths *paths;
	bool quick;       /* shorter runs, and no optimistic way */
	bool gups, stall; /* which programs */
	enum bench_stall_ways ways;
};

/* Rows for GUPS and for the gaps of `stall`, undisturbed and moved. */
int bench_stall(const struct bench_stall *b, struct errmsg *e) UMM_MUST_CHECK;

#endif
