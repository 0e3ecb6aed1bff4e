/* SPDX-License-Identifier: MIT */
/* A program that umm bench reclaim runs short of memory, again and again. */
#ifndef VMM_BENCH_WORK_H
#define VMM_BENCH_WORK_H

#include "vmm/bench_kswap.h"
#include "vmm/bench_programs.h"
#include "vmm/bench_reclaim.h"
#include "vmm/bench_regret.h"

#define WORK_MIB     (1ul << 20)
#define WORK_LIMIT_S 300.0

struct work {
	struct reclaim_bench *b;
	const struct bench_program *program;
	const char *backend;
	struct program_args args;
	uint64_t ops; /* of the next run */
	struct bench_cgroup cgroup;
	struct kernel_swap swap;
	bool has_kernel;
	uint64_t bytes;  /* how large it is made */
	uint64_t wanted; /* memory at 100 % */
	char file[PATH_MAX], stat[PATH_MAX], trace[PATH_MAX];
	struct sim_trace refs; /* of a run of w->ops; refs NULL: none */
	uint64_t optimum[RECLAIM_MAX_LIST];
};

/* Memory of a guest or cgroup at @ratio percent, in bytes; 0: enough. */
uint64_t work_memory(const struct work *w, double ratio);
/* ... of it for the program's own data, in pages: what the optimum gets. */
uint64_t work_frames(const struct work *w, double ratio);
/* Operations of a run at @ratio percent of its memory; 0: memory enough. */
uint64_t work_ops(const struct work *w, double ratio);
/*
 * One run, natively without a limit if @mem is 0. What it took goes into @run.
 */
int work_run_natively(struct work *w, uint64_t mem, json_t *run, struct errmsg *e) UMM_MUST_CHECK;
/*
 * One run at @ratio on @side, "umm", "hole" or "kernel", with @policy or the guest's own
 * (NULL). What it took, or why it failed, is one more object of the benchmark's runs.
 */
int work_run(struct work *w, const char *side, const char *policy, double ratio,
	     unsigned int repeat);

#endif
