/* SPDX-License-Identifier: MIT */
/* A memory cgroup of the kernel's, version 1 or 2: the limit of a benchmark's native side. */
#ifndef VMM_BENCH_CGROUP_H
#define VMM_BENCH_CGROUP_H

#include <limits.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

struct bench_cgroup {
	char dir[PATH_MAX];
	int procs_fd; /* for bench_cgroup_enter() */
	bool v1;
};

/* -errno with the reason where this machine gives us none. */
int bench_cgroup_create(struct bench_cgroup *g, struct errmsg *e) UMM_MUST_CHECK;
/* No process may be in it any more. */
void bench_cgroup_destroy(struct bench_cgroup *g);

/* The calling process goes in. Async-signal-safe, for between fork and exec. */
int bench_cgroup_enter(const struct bench_cgroup *g);
/* Most memory, in bytes; 0: no limit. */
int bench_cgroup_limit(const struct bench_cgroup *g, uint64_t bytes,
		       struct errmsg *e) UMM_MUST_CHECK;
/* Bytes charged now, swap not counted; 0 if the kernel does not tell. */
uint64_t bench_cgroup_usage(const struct bench_cgroup *g);
/* A line of memory.stat; 0 if there is none. */
uint64_t bench_cgroup_stat(const struct bench_cgroup *g, const char *name);
/* Have the kernel take from it all that it can. It says EAGAIN, EBUSY when it did not get all. */
int bench_cgroup_reclaim(const struct bench_cgroup *g);

#endif
