/* SPDX-License-Identifier: MIT */
/* A program that a benchmark runs to its end, on either side, and all that it took. */
#ifndef VMM_BENCH_JOB_H
#define VMM_BENCH_JOB_H

#include <jansson.h>

#include "vmm/bench_cgroup.h"
#include "vmm/bench_proc.h"

struct bench_job {
	struct bench_start start;
	const char *input; /* a file as its stdin; NULL: /dev/null */
	double limit_s;    /* it is killed after so long */
};

struct bench_job_done {
	double wall_s, cpu_s;
	uint64_t major_faults, peak_bytes; /* natively: as the kernel counts them */
	json_t *said;                      /* the last line of stderr that was JSON; NULL */
};

/*
 * 0, or -errno with a sentence: also for another exit status than 0, for one that
 * took too long (-ETIMEDOUT), that waited too long for memory of its cgroup (-ENOMEM),
 * and after Ctrl-C (-EINTR).
 */
int bench_job_run(const struct bench_paths *paths, const struct bench_job *job,
		  struct bench_job_done *out, struct errmsg *e) UMM_MUST_CHECK;
void bench_job_done(struct bench_job_done *d);
/* Wait for @pid, in @cgroup or NULL, as bench_job_run() does, without reading anything. */
int bench_job_wait(pid_t pid, const struct bench_cgroup *cgroup, double limit_s,
		   struct bench_job_done *out, struct errmsg *e) UMM_MUST_CHECK;

/* What the host's kernel counted for all of the machine. */
struct kernel_counts {
	uint64_t swapin, swapout, refault, scan, steal; /* pages */
	uint64_t stall_us;                              /* PSI: some, of memory */
};
void kernel_counts_read(struct kernel_counts *c);
struct kernel_counts kernel_counts_since(const struct kernel_counts *before);

#endif
