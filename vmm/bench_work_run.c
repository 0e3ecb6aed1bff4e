/* SPDX-License-Identifier: MIT */
#include "vmm/bench_work.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vmm/bench_ycsb.h"

/* A guest has no less; a cgroup gets the same. */
#define MEM_LEAST (8 * WORK_MIB)
/* What a guest or a cgroup has beyond the program's own memory: its text, stack and libraries. */
#define SLACK (2 * WORK_MIB)

uint64_t work_memory(const struct work *w, double ratio)
{
	uint64_t mem = ratio > 0 ? (uint64_t)((double)w->wanted * ratio / 100) + SLACK
				 : w->wanted + w->wanted / 4 + 64 * WORK_MIB;

	mem &= UMM_PAGE_MASK;
	return mem < MEM_LEAST ? MEM_LEAST : mem;
}

uint64_t work_frames(const struct work *w, double ratio)
{
	return (work_memory(w, ratio) - SLACK) / UMM_PAGE_SIZE;
}

uint64_t work_ops(const struct work *w, double ratio)
{
	unsigned int enough = w->program->enough_ops;

	/* With memory enough, they may take too little time to be measured. */
	return w->program->quick_ops * (w->b->quick ? 1 : 5) * (ratio > 0 || !enough ? 1 : enough);
}

/* ---- one run ------------------------------------------------------------------------- */

static double number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

/* The program has told how long its accesses took: what share of its time were the slow ones? */
static double stall_share(const json_t *said)
{
	double sum = 0, from_ns = 3000;
	json_t *bin;
	size_t i;

	json_array_foreach(json_object_get(said, "histogram"), i, bin)
	{
		double ns = json_number_value(json_array_get(bin, 0));

		if (ns >= from_ns)
			sum += ns * json_number_value(json_array_get(bin, 1));
	}
	return sum / 1e9 / number(said, "seconds");
}

static void add_said(json_t *run, const struct bench_job_done *d)
{
	json_t *q = json_object_get(d->said, "slow_ns");
	double s = number(d->said, "seconds");

	double ops = number(d->said, "ops");

	s = s > 0 ? s : d->wall_s;
	json_object_set_new(run, "seconds", json_real(s));
	json_object_set_new(run, "cost", json_real(ops > 0 ? s / ops : s));
	json_object_set_new(run, "wall_s", json_real(d->wall_s));
	json_object_set_new(run, "cpu_s", json_real(d->cpu_s));
	if (!q)
		return;
	json_object_set(run, "slow", json_object_get(d->said, "slow"));
	json_object_set_new(run, "p50_us",
			    json_real(json_number_value(json_array_get(q, 0)) / 1e3));
	json_object_set_new(run, "p99_us",
			    json_real(json_number_value(json_array_get(q, 2)) / 1e3));
	json_object_set_new(run, "p999_us",
			    json_real(json_number_value(json_array_get(q, 3)) / 1e3));
	if (json_object_get(d->said, "histogram")) {
		json_object_set_new(run, "stall_share", json_real(stall_share(d->said)));
		json_object_set(run, "histogram", json_object_get(d->said, "histogram"));
	}
	if (json_object_get(d->said, "timeline"))
		json_object_set(run, "timeline", json_object_get(d->said, "timeline"));
}

static void add_counts(json_t *run, double swapin, double swapout, double scan, double steal,
		       double refault)
{
	json_object_set_new(run, "swapin_pages", json_real(swapin));
	json_object_set_new(run, "swapout_pages", json_real(swapout));
	json_object_set_new(run, "scanned_pages", json_real(scan));
	json_object_set_new(run, "freed_pages", json_real(steal));
	json_object_set_new(run, "refaults", json_real(refault));
	/* Clean pages and zero pages are freed without being written. */
	if (steal > 0)
		json_object_set_new(run, "write_amplification", json_real(swapout / steal));
}

static void add_guest_counts(struct work *w, json_t *run)
{
	json_t *stat = json_load_file(w->stat, 0, NULL), *ev = json_object_get(stat, "events");
	double refault = number(ev, "workingset_refault_anon") + number(ev, "workingset_refault");

	add_counts(run, number(ev, "pswpin"), number(ev, "pswpout"), number(ev, "pgscan"),
		   number(ev, "pgsteal"), refault);
	json_object_set(run, "events", ev);
	if (json_object_get(stat, "reclaim"))
		json_object_set(run, "reclaim", json_object_get(stat, "reclaim"));
	if (json_object_get(stat, "swap"))
		json_object_set(run, "swap", json_object_get(stat, "swap"));
	json_decref(stat);
	unlink(w->stat);
}

static int execute(struct work *w, struct bench_job *job, struct bench_job_done *d,
		   struct errmsg *e)
{
	if (w->program->ycsb)
		return bench_ycsb_run(&w->b->paths, job, (char)w->program->ycsb, w->bytes, w->ops,
				      d, e);
	bench_program_args(w->program, w->bytes, w->ops, w->file, &w->args);
	job->start.argv = w->args.argv;
	job->input = w->program->is_input ? w->file : NULL;
	return bench_job_run(&w->b->paths, job, d, e);
}

static int run_in_guest(struct work *w, const char *policy, uint64_t mem, json_t *run,
			struct errmsg *e)
{
	char size[32], spec[PATH_MAX];
	char *options[16] = { "--mem", size, "--swap", spec, "--stat", w->stat };
	struct bench_job job = { .start = { .side = BENCH_UMM, .options = options },
				 .limit_s = WORK_LIMIT_S };
	struct bench_job_done d;
	int rc;

	if (policy) {
		options[6] = "--policy";
		options[7] = (char *)(uintptr_t)policy;
	}
	snprintf(size, sizeof(size), "%" PRIu64, mem);
	reclaim_swap_spec(w->b, w->backend, 2 * w->wanted + 64 * WORK_MIB, spec, sizeof(spec));
	rc = execute(w, &job, &d, e);
	if (rc)
		return rc;
	add_said(run, &d);
	add_guest_counts(w, run);
	bench_job_done(&d);
	return 0;
}

/*
 * Did its cgroup run out of memory since @before? => @rc, with a sentence that says so if
 * the program did not live through it.
 */
static int add_oom(struct work *w, const struct cgroup_oom *before, uint64_t limit, int rc,
		   json_t *run, struct errmsg *e)
{
	struct cgroup_oom now;
	bool full;

	bench_cgroup_oom(&w->cgroup, &now);
	now.met -= before->met;
	now.killed -= before->killed;
	json_object_set_new(run, "oom_met", json_integer((json_int_t)now.met));
	json_object_set_new(run, "oom_killed", json_integer((json_int_t)now.killed));
	if (!rc || (!now.killed && rc != -ENOMEM))
		return rc;
	full = now.peak_swap_bytes + 8 * WORK_MIB > w->swap.bytes;
	return errmsg_set(e, rc,
			  "%s: the kernel %s for want of memory (limit %" PRIu64
			  " MiB, swap used at most %" PRIu64 " of %" PRIu64 " MiB): %s",
			  w->program->name, now.killed ? "killed it" : "let it wait 10 s",
			  limit / WORK_MIB, now.peak_swap_bytes / WORK_MIB,
			  w->swap.bytes / WORK_MIB,
			  full ? "swap was full"
			       : "nothing could be taken, all being used or on its way to swap");
}

/* What came back and went by holes stands where the other mechanism's counts do. */
static void add_hole_counts(struct work *w, json_t *run)
{
	json_t *stat = json_load_file(w->stat, 0, NULL), *h = json_object_get(stat, "holes");

	add_counts(run, number(h, "in") - number(h, "in_zero"),
		   number(h, "out") - number(h, "out_zero"),
		   number(json_object_get(stat, "events"), "pgscan"), number(h, "out"), 0);
	if (h)
		json_object_set(run, "holes", h);
	json_decref(stat);
	unlink(w->stat);
}

/*
 * Its frames stay taken, so it has as many as the program wants; what is limited is the
 * host memory behind them. @limit 0: nothing is.
 */
static int run_with_holes(struct work *w, uint64_t limit, json_t *run, struct errmsg *e)
{
	char size[32], spec[PATH_MAX], resident[32];
	char *options[16] = { "--mem", size, "--holes", spec, "--stat", w->stat };
	struct bench_job job = { .start = { .side = BENCH_UMM, .options = options },
				 .limit_s = WORK_LIMIT_S };
	struct bench_job_done d;
	int rc;

	if (limit) {
		options[6] = "--resident";
		options[7] = resident;
	}
	snprintf(size, sizeof(size), "%" PRIu64, w->wanted + w->wanted / 4 + 64 * WORK_MIB);
	snprintf(resident, sizeof(resident), "%" PRIu64, limit);
	reclaim_holes_spec(w->b, w->backend, 2 * w->wanted + 128 * WORK_MIB, spec, sizeof(spec));
	rc = execute(w, &job, &d, e);
	if (rc)
		return rc;
	add_said(run, &d);
	add_hole_counts(w, run);
	bench_job_done(&d);
	return 0;
}

int work_run_natively(struct work *w, uint64_t mem, json_t *run, struct errmsg *e)
{
	struct bench_job job = { .start = { .side = BENCH_NATIVE,
					    .cgroup = w->has_kernel ? &w->cgroup : NULL },
				 .limit_s = WORK_LIMIT_S };
	struct kernel_counts before, c;
	struct bench_job_done d;
	struct cgroup_oom oom;
	int rc = w->has_kernel ? bench_cgroup_limit(&w->cgroup, mem, e) : 0;

	if (rc)
		return rc;
	kernel_counts_read(&before);
	if (w->has_kernel)
		bench_cgroup_oom(&w->cgroup, &oom);
	rc = execute(w, &job, &d, e);
	if (w->has_kernel)
		rc = add_oom(w, &oom, mem, rc, run, e);
	if (rc)
		return rc;
	c = kernel_counts_since(&before);
	add_said(run, &d);
	add_counts(run, (double)c.swapin, (double)c.swapout, (double)c.scan, (double)c.steal,
		   (double)c.refault);
	json_object_set_new(run, "major_faults", json_integer((json_int_t)d.major_faults));
	json_object_set_new(run, "peak_bytes", json_integer((json_int_t)d.peak_bytes));
	json_object_set_new(run, "psi_us", json_integer((json_int_t)c.stall_us));
	bench_job_done(&d);
	return 0;
}

/* Of what was read, on either side: neighbours that nobody wanted count. */
static void add_regret(const struct work *w, json_t *run, double ratio)
{
	for (unsigned int i = 0; i < w->b->nr_ratios; i++) {
		if (w->b->ratios[i] != ratio || !w->refs.refs || !w->optimum[i])
			continue;
		json_object_set_new(
			run, "regret",
			json_real(number(run, "swapin_pages") / (double)w->optimum[i] - 1));
	}
}

int work_run(struct work *w, const char *side, const char *policy, double ratio,
	     unsigned int repeat)
{
	bool guest = strcmp(side, "kernel") != 0, holes = !strcmp(side, "hole");
	uint64_t mem = work_memory(w, ratio);
	struct errmsg e;
	json_t *run;
	int rc;

	w->ops = work_ops(w, ratio);
	run = json_pack("{s:s, s:s, s:s, s:f, s:i}", "workload", w->program->name, "side", side,
			"policy", policy ? policy : "", "ratio", ratio, "repeat", (int)repeat);
	if (guest || ratio > 0)
		json_object_set_new(run, "memory_bytes", json_integer((json_int_t)mem));
	rc = holes   ? run_with_holes(w, ratio > 0 ? mem : 0, run, &e)
	     : guest ? run_in_guest(w, policy, mem, run, &e)
		     : work_run_natively(w, ratio > 0 ? mem : 0, run, &e);
	if (rc) {
		json_object_set_new(run, "error", json_string(e.text));
		reclaim_say("%s, %s, %g %%: %s", w->program->name, side, ratio, e.text);
	} else if (ratio > 0)
		add_regret(w, run, ratio);
	json_array_append_new(w->b->runs, run);
	return rc;
}
