/* SPDX-License-Identifier: MIT */
/* What a running guest feels of its memory being moved all the time. */
#ifndef VMM_BENCH_STALL_H
#define VMM_BENCH_STALL_H

#include "vmm/bench_guest.h"
#include "vmm/bench_report.h"

/* Rows for GUPS and for the gaps of `stall`, undisturbed and moved, for @seconds each run. */
int bench_stall(struct bench_report *r, const struct bench_paths *paths, unsigned int seconds,
		bool gups, bool stall, struct errmsg *e) UMM_MUST_CHECK;

#endif
