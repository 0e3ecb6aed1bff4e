/* SPDX-License-Identifier: MIT */
/*
 * Replaying page reference traces against reclaim policies, offline: the same
 * policies that reclaim uses (umm/reclaim_policy.h), on simulated frames.
 *
 * What is simulated: a memory of so many frames for the trace's pages, A bits, the
 * reclaimer's second look at a victim, refault distances, look-around and
 * page-table walks. What is not: time. A reference counts as SIM_REF_NS for
 * policies that want to be called by the clock.
 */
#ifndef VMM_SIM_H
#define VMM_SIM_H

#include <umm/page_trace.h>
#include <umm/reclaim_policy.h>

#include "vmm/errmsg.h"

#define SIM_REF_NS 1000ul

/* A reference: the page, shifted by one, and whether it is a store. */
#define SIM_REF(page, write) ((uint32_t)(page) << 1 | (uint32_t)(write))

struct sim_trace {
	struct page_trace_header header;
	uint32_t *refs;   /* header.nr_refs of SIM_REF() */
	uint64_t touched; /* different pages among them: all the memory the trace can use */
};

/* Read @path whole. -errno with a sentence that says what is wrong with the file. */
int sim_trace_load(const char *path, struct sim_trace *t, struct errmsg *e) UMM_MUST_CHECK;
/* A trace of @refs, which it copies; none of the pages may be @nr_pages or more. -ENOMEM. */
int sim_trace_make(const uint32_t *refs, uint64_t nr_refs, uint64_t nr_pages,
		   struct sim_trace *t) UMM_MUST_CHECK;
void sim_trace_free(struct sim_trace *t);

struct sim_result {
	uint64_t refs;
	uint64_t faults;       /* the page was not there */
	uint64_t cold;         /* ... and never had been: no policy can do without */
	uint64_t evicted;      /* pages */
	uint64_t dirty;        /* evicted pages that had been stored to */
	uint64_t looks;        /* victims that were looked at */
	uint64_t used;         /* ... and found used */
	uint64_t distance_sum; /* of the refaults, in evicted pages */
	double seconds;        /* that the replay took */
};

/* Replay against @policy with @frames frames, 1 at least. -EINVAL, -ENOMEM. */
int sim_replay(const struct sim_trace *t, const struct reclaim_policy *policy, uint64_t frames,
	       struct sim_result *out) UMM_MUST_CHECK;

/*
 * Belady's optimum: of the pages in memory, the one whose next use is farthest goes.
 * No policy has fewer faults. -EINVAL, -ENOMEM.
 */
int sim_optimum(const struct sim_trace *t, uint64_t frames, struct sim_result *out) UMM_MUST_CHECK;

/*
 * Faults beyond the optimum's, as a part of the optimum's faults that any policy
 * could influence: its warm ones. 0: as good as can be; infinite if the optimum has
 * none.
 */
double sim_regret(const struct sim_result *r, const struct sim_result *optimum);

#endif
