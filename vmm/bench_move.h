/* SPDX-License-Identifier: MIT */
/* Migration and reclaim of a running guest's memory, measured from outside. */
#ifndef VMM_BENCH_MOVE_H
#define VMM_BENCH_MOVE_H

#include "vmm/bench_proc.h"
#include "vmm/bench_report.h"

/*
 * Adds its rows. A row that could not be measured is marked so; the return
 * value is for what makes all of them impossible.
 */
int bench_move(struct bench_report *r, const struct bench_paths *paths, unsigned int repeat,
	       struct errmsg *e) UMM_MUST_CHECK;

#endif
