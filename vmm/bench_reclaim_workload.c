/* SPDX-License-Identifier: MIT */
/*
 * Programs with a share of the memory they want. Each run is one object of JSON;
 * sides take turns: a guest under each policy, and the same program natively in
 * a memory cgroup with the same limit, under the kernel's swap of the same kind.
 * Slowdown is against the same side with memory enough.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/bench_work.h"

/* ---- the best choice of victims -------------------------------------------------------------- */

/* The program knows its own references: one more run of it, natively, writes them down. */
static int record_trace(struct work *w, struct errmsg *e)
{
	struct bench_job job = { .start = { .side = BENCH_NATIVE }, .limit_s = WORK_LIMIT_S };
	struct bench_job_done d;
	struct program_args args;
	unsigned int nr = 0;
	int rc;

	bench_program_args(w->program, w->bytes, work_ops(w, 1), w->file, &args);
	while (args.argv[nr])
		nr++;
	args.argv[nr++] = (char *)(uintptr_t) "--trace";
	args.argv[nr++] = w->trace;
	args.argv[nr] = NULL;
	job.start.argv = args.argv;
	rc = bench_job_run(&w->b->paths, &job, &d, e);
	if (rc)
		return rc;
	bench_job_done(&d);
	rc = sim_trace_load(w->trace, &w->refs, e);
	unlink(w->trace);
	return rc;
}

static int find_optima(struct work *w, struct errmsg *e)
{
	int rc = w->program->traced ? record_trace(w, e) : 0;

	for (unsigned int i = 0; w->refs.refs && i < w->b->nr_ratios && !rc; i++) {
		uint64_t frames = work_frames(w, w->b->ratios[i]);

		rc = regret_optimum(&w->refs, frames, &w->optimum[i], e);
		if (!rc)
			rc = regret_simulate(&w->refs, w->program->name, w->b->ratios[i], frames,
					     w->b->sims, e);
	}
	return rc;
}

/* ---- all runs of a program ---------------------------------------------------------------- */

/* How much a real program wants: as much as it gets where there is no limit. */
static int find_wanted(struct work *w, struct errmsg *e)
{
	json_t *run;
	int rc;

	w->wanted = w->bytes;
	if (w->program->wants_percent)
		w->wanted = w->bytes / 100 * w->program->wants_percent;
	if (!w->program->measured)
		return 0;
	run = json_object();
	w->ops = w->program->quick_ops;
	rc = work_run_natively(w, 0, run, e);
	if (!rc)
		w->wanted = (uint64_t)json_integer_value(json_object_get(run, "peak_bytes"));
	json_decref(run);
	return rc;
}

static void all_sides(struct work *w, double ratio, unsigned int repeat)
{
	if (!w->b->policies[0] && !reclaim_stopped())
		(void)work_run(w, "umm", NULL, ratio, repeat);
	for (unsigned int i = 0; w->b->policies[i] && !reclaim_stopped(); i++)
		(void)work_run(w, "umm", w->b->policies[i], ratio, repeat);
	if (w->b->holes && !reclaim_stopped())
		(void)work_run(w, "hole", NULL, ratio, repeat);
	if (w->has_kernel && !reclaim_stopped())
		(void)work_run(w, "kernel", NULL, ratio, repeat);
}

static void run_ratios(struct work *w)
{
	for (unsigned int r = 0; r < w->b->repeat && !reclaim_stopped(); r++) {
		all_sides(w, 0, r);
		for (unsigned int i = 0; i < w->b->nr_ratios && !reclaim_stopped(); i++)
			all_sides(w, w->b->ratios[i], r);
	}
}

/* The first that was chosen of those that a program can live on. */
static const char *choose_backend(const struct reclaim_bench *b)
{
	static const char *const lasting[] = { "file", "lz4", "zstd", "ram" };

	for (unsigned int i = 0; b->backends[i]; i++)
		for (unsigned int k = 0; k < sizeof(lasting) / sizeof(lasting[0]); k++)
			if (!strcmp(b->backends[i], lasting[k]))
				return lasting[k];
	return lasting[0];
}

static int start_kernel(struct work *w, struct errmsg *e)
{
	uint64_t bytes = 4 * w->bytes + 64 * WORK_MIB;
	int rc;

	if (!w->b->kernel)
		return -ENOTSUP;
	if (!strcmp(w->backend, "file"))
		rc = kernel_swap_file(&w->swap, w->b->dir, bytes, e);
	else if (strcmp(w->backend, "ram"))
		rc = kernel_swap_zram(&w->swap, w->backend, bytes, e);
	else
		rc = errmsg_set(e, -ENOTSUP, "the kernel has no swap of this kind: %s", w->backend);
	return rc ? rc : bench_cgroup_create(&w->cgroup, e);
}

static int prepare(struct work *w, struct errmsg *e)
{
	const struct bench_program *p = w->program;
	int rc;

	w->bytes = w->b->bulk_bytes / 2;
	snprintf(w->file, sizeof(w->file), "%.3000s/%s.in", w->b->dir, p->name);
	snprintf(w->trace, sizeof(w->trace), "%.3000s/trace", w->b->dir);
	snprintf(w->stat, sizeof(w->stat), "%.3000s/stat.json", w->b->dir);
	rc = p->prepare ? p->prepare(w->file, w->bytes) : 0;
	return rc ? errmsg_set(e, rc, "%.300s: %s", w->file, strerror(-rc)) : 0;
}

void bench_reclaim_workload(struct reclaim_bench *b, const char *workload)
{
	struct work *w = calloc(1, sizeof(*w));
	struct errmsg e = { .text = "out of memory" };

	if (!w) {
		report_add_failed(&b->report, workload, &e);
		return;
	}
	*w = (struct work){ .b = b,
			    .program = bench_program_find(workload),
			    .backend = choose_backend(b) };
	w->cgroup.procs_fd = -1;
	if (w->program->needs && access(w->program->needs, R_OK)) {
		char why[200];

		snprintf(why, sizeof(why), "no %s (Debian: apt-get install %s)", w->program->needs,
			 w->program->package);
		reclaim_row_skip(b, workload, why);
		goto out;
	}
	reclaim_say("%s: %s", workload, w->program->about);
	if (prepare(w, &e)) {
		report_add_failed(&b->report, workload, &e);
		goto out;
	}
	w->has_kernel = !start_kernel(w, &e);
	if (!w->has_kernel && b->kernel) {
		char name[48];

		snprintf(name, sizeof(name), "%.30s, kernel", workload);
		reclaim_row_skip(b, name, e.text);
	}
	if (find_wanted(w, &e))
		report_add_failed(&b->report, workload, &e);
	else if (find_optima(w, &e))
		report_add_failed(&b->report, workload, &e);
	else
		run_ratios(w);
out:
	if (w->refs.refs)
		sim_trace_free(&w->refs);
	bench_cgroup_destroy(&w->cgroup);
	kernel_swap_off(&w->swap);
	unlink(w->file);
	reclaim_swap_remove(b);
	free(w);
}
