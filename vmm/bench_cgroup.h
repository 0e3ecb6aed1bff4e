/* SPDX-License-Identifier: MIT */
/* A memory cgroup of the kernel's, version 1 or 2: the limit of a benchmark's native side. */
#ifndef VMM_BENCH_CGROUP_H
#define VMM_BENCH_CGROUP_H

#include <limits.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

struct bench_cgroup {
	char dir[PATH_MAX];
	int procs_fd;     /* for bench_cgroup_enter() */
	int oom_fd;       /* version 1: an eventfd, counts the times that memory ran out; -1 */
	uint64_t oom_met; /* ... what was read from it */
	bool v1;
};

/* Out of memory: since the cgroup was made. */
struct cgroup_oom {
	uint64_t met;    /* times that nothing more could be taken from it, and memory was wanted */
	uint64_t killed; /* processes that the kernel killed for it */
	uint64_t peak_bytes, peak_swap_bytes; /* most that was in use; 0: it does not tell */
};

/*
 * -errno with the reason where this machine gives us none. Where the kernel allows it
 * (version 1), who finds no memory in it waits for some instead of being killed:
 * a process whose pages are all being written to slow swap may well get some soon.
 */
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
/* Have the kernel take from it all that it can. It says EAGAIN, EBUSY when it did not get all. */
int bench_cgroup_reclaim(const struct bench_cgroup *g);

void bench_cgroup_oom(struct bench_cgroup *g, struct cgroup_oom *out);
/*
 * If somebody waits for memory in it, have the kernel look for some again. True: somebody
 * waited. To be called now and then while a process is in it.
 */
bool bench_cgroup_nudge(const struct bench_cgroup *g);

#endif
