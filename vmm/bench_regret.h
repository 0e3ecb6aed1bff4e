/* SPDX-License-Identifier: MIT */
/*
 * The optimum of a program's own reference trace, which it records in the same
 * run of the benchmark, and how far from it policies are.
 */
#ifndef VMM_BENCH_REGRET_H
#define VMM_BENCH_REGRET_H

#include <jansson.h>

#include "vmm/sim.h"

/* Pages that Belady's optimum brings back in @frames frames: those that had been there before. */
int regret_optimum(const struct sim_trace *t, uint64_t frames, uint64_t *pages,
		   struct errmsg *e) UMM_MUST_CHECK;
/*
 * Replay the trace against all policies compiled in. Adds to @list an object for each:
 * workload, ratio, policy, faults, optimum, regret, seconds, and distance: how many pages
 * were evicted between a page's eviction and its return, on average.
 */
int regret_simulate(const struct sim_trace *t, const char *workload, double ratio, uint64_t frames,
		    json_t *list, struct errmsg *e) UMM_MUST_CHECK;

#endif
