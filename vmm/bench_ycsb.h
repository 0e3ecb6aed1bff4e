/* SPDX-License-Identifier: MIT */
/* A redis server on one side, and a client here with the mixes of YCSB (Cooper et al., 2010). */
#ifndef VMM_BENCH_YCSB_H
#define VMM_BENCH_YCSB_H

#include "vmm/bench_job.h"

/*
 * Start the server as @job says, load records of 1000 bytes until about @bytes
 * are stored, then do @ops requests of mix @mix ('A': half of them updates, 'B':
 * one in twenty, 'C': none), by zipfian popularity. Each answer is compared with what was
 * stored. out->said has "seconds" of the requests and their latencies.
 */
int bench_ycsb_run(const struct bench_paths *paths, const struct bench_job *job, char mix,
		   uint64_t bytes, uint64_t ops, struct bench_job_done *out,
		   struct errmsg *e) UMM_MUST_CHECK;

#endif
