/* SPDX-License-Identifier: MIT */
/* What umm bench reclaim found about programs: sums over repeats, table, JSON and CSV. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bench_reclaim.h"
#include "vmm/cmd.h"
#include "vmm/table.h"

static double number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

/* ---- sums -------------------------------------------------------------------------------- */

static bool same_kind(const json_t *a, const json_t *b)
{
	return !strcmp(text(a, "workload"), text(b, "workload")) &&
	       !strcmp(text(a, "side"), text(b, "side")) &&
	       !strcmp(text(a, "policy"), text(b, "policy"));
}

static bool same_point(const json_t *a, const json_t *b)
{
	return same_kind(a, b) && number(a, "ratio") == number(b, "ratio");
}

/* Of all good runs at the point of @like, at its ratio or with memory enough. */
static struct samples collect(const json_t *runs, const json_t *like, bool enough, const char *what)
{
	struct samples s = { .nr = 0 };
	json_t *run;
	size_t i;

	json_array_foreach(runs, i, run)
	{
		bool here = enough ? same_kind(run, like) && number(run, "ratio") == 0
				   : same_point(run, like);

		if (here && !json_object_get(run, "error") && json_object_get(run, what))
			samples_add(&s, number(run, what));
	}
	return s;
}

/* How many runs at the point of @like failed, and what the first said; out of memory met. */
static void add_failures(json_t *point, const json_t *runs, const json_t *like)
{
	const json_t *first = NULL;
	unsigned int failed = 0;
	double met = 0, killed = 0;
	json_t *run;
	size_t i;

	json_array_foreach(runs, i, run)
	{
		if (!same_point(run, like))
			continue;
		met += number(run, "oom_met");
		killed += number(run, "oom_killed");
		if (!json_object_get(run, "error"))
			continue;
		failed++;
		first = first ? first : json_object_get(run, "error");
	}
	json_object_set_new(point, "failed", json_integer(failed));
	if (first)
		json_object_set_new(point, "error", json_copy((json_t *)(uintptr_t)first));
	if (json_object_get(like, "oom_met")) {
		json_object_set_new(point, "oom_met", json_real(met));
		json_object_set_new(point, "oom_killed", json_real(killed));
	}
}

static void add_median(json_t *point, const json_t *runs, const json_t *like, const char *what)
{
	struct samples s = collect(runs, like, false, what);

	if (s.nr)
		json_object_set_new(point, what, json_real(samples_median(&s)));
}

static json_t *point_of(const json_t *runs, const json_t *like)
{
	static const char *const medians[] = {
		"memory_bytes",  "seconds",
		"cpu_s",         "p50_us",
		"p99_us",        "p999_us",
		"slow",          "swapin_pages",
		"swapout_pages", "scanned_pages",
		"freed_pages",   "refaults",
		"stall_share",   "write_amplification",
		"regret",
	};
	struct samples here = collect(runs, like, false, "cost");
	struct samples enough = collect(runs, like, true, "cost");
	json_t *o = json_pack("{s:O, s:O, s:O, s:O, s:i}", "workload",
			      json_object_get(like, "workload"), "side",
			      json_object_get(like, "side"), "policy",
			      json_object_get(like, "policy"), "ratio",
			      json_object_get(like, "ratio"), "runs", (int)here.nr);
	double base = samples_median(&enough);

	add_failures(o, runs, like);
	for (unsigned int i = 0; i < sizeof(medians) / sizeof(medians[0]); i++)
		add_median(o, runs, like, medians[i]);
	for (unsigned int i = 0; i < here.nr && base > 0; i++)
		here.v[i] /= base;
	if (here.nr && base > 0)
		json_object_set_new(o, "slowdown", samples_json(&here));
	return o;
}

static json_t *find_point(const json_t *points, const json_t *like)
{
	json_t *p;
	size_t i;

	json_array_foreach(points, i, p) if (same_point(p, like)) return p;
	return NULL;
}

json_t *bench_reclaim_points(const struct reclaim_bench *b)
{
	json_t *points = json_array(), *run;
	size_t i;

	json_array_foreach(b->runs, i, run) if (!find_point(points, run))
		json_array_append_new(points, point_of(b->runs, run));
	return points;
}

/* ---- the kernel on the same program ---------------------------------------------------------- */

static json_t *kernel_point(const json_t *points, const json_t *like)
{
	json_t *p;
	size_t i;

	json_array_foreach(points, i, p) if (!strcmp(text(p, "side"), "kernel") &&
					     !strcmp(text(p, "workload"), text(like, "workload")) &&
					     number(p, "ratio") == number(like, "ratio")) return p;
	return NULL;
}

static struct samples slowdown_samples(const json_t *point)
{
	json_t *list = json_object_get(json_object_get(point, "slowdown"), "samples"), *v;
	struct samples s = { .nr = 0 };
	size_t i;

	json_array_foreach(list, i, v) samples_add(&s, json_number_value(v));
	return s;
}

/* The promise: no worse than the kernel at a half of the memory, better at a quarter. */
static void target_rows(struct reclaim_bench *b, const json_t *points)
{
	json_t *p, *k;
	size_t i;

	json_array_foreach(points, i, p)
	{
		struct samples umm = slowdown_samples(p), kernel;
		struct bench_row *row;
		char name[64];

		k = strcmp(text(p, "side"), "umm") ? NULL : kernel_point(points, p);
		if (!k || !umm.nr || number(p, "ratio") == 0)
			continue;
		kernel = slowdown_samples(k);
		if (!kernel.nr)
			continue;
		snprintf(name, sizeof(name), "%.14s at %g %%%s%.18s", text(p, "workload"),
			 number(p, "ratio"), *text(p, "policy") ? ", " : "", text(p, "policy"));
		row = reclaim_row(b, name, "slowdown", &umm, "kernel", &kernel);
		if (strcmp(text(p, "workload"), "gups-zipf") || number(p, "ratio") > 50)
			continue;
		row->target = TARGET_RATIO_MAX;
		row->limit = number(p, "ratio") > 25 ? 1.0 : 0.99;
	}
}

/* ---- the table --------------------------------------------------------------------------------- */

static void add_number(struct text_table *t, const json_t *o, const char *name, double scale,
		       const char *unit)
{
	double v = number(o, name) * scale;

	if (json_object_get(o, name))
		table_add(t, "%.*f%s", v < 10 ? 2 : v < 1000 ? 1 : 0, v, unit);
	else
		table_add(t, "-");
}

static void add_point(struct text_table *t, const json_t *p)
{
	json_t *slow = json_object_get(p, "slowdown");

	table_add(t, "%s", text(p, "workload"));
	table_add(t, "%s%s%s", text(p, "side"), *text(p, "policy") ? " " : "", text(p, "policy"));
	if (number(p, "ratio") > 0)
		table_add(t, "%g %%", number(p, "ratio"));
	else
		table_add(t, "enough");
	add_number(t, p, "memory_bytes", 1.0 / (1 << 20), "M");
	add_number(t, p, "seconds", 1, "");
	if (slow && number(p, "failed") > 0)
		table_add(t, "%.2f, %.0f failed", number(slow, "median"), number(p, "failed"));
	else if (slow)
		table_add(t, "%.2f (%.2f-%.2f)", number(slow, "median"), number(slow, "low"),
			  number(slow, "high"));
	else
		table_add(t, "%s",
			  number(p, "runs") > 0         ? "-"
			  : number(p, "oom_killed") > 0 ? "OOM-killed"
							: "failed");
	add_number(t, p, "swapin_pages", 1e-3, "k");
	add_number(t, p, "swapout_pages", 1e-3, "k");
	add_number(t, p, "write_amplification", 1, "");
	add_number(t, p, "p50_us", 1, "");
	add_number(t, p, "p99_us", 1, "");
	add_number(t, p, "p999_us", 1, "");
	add_number(t, p, "stall_share", 100, " %");
	add_number(t, p, "regret", 1, "");
}

/* What went wrong, and where a cgroup ran out of memory but the program lived. */
static void print_failures(const json_t *points)
{
	json_t *p;
	size_t i;

	json_array_foreach(points, i, p)
	{
		const char *sign = number(p, "ratio") > 0 ? " %" : "";

		if (number(p, "failed") > 0)
			printf("%s, %s, %g%s: %.0f failed: %s\n", text(p, "workload"),
			       text(p, "side"), number(p, "ratio"), sign, number(p, "failed"),
			       text(p, "error"));
		else if (number(p, "oom_met") > 0)
			printf("%s, %s, %g%s: its cgroup ran out of memory %.0f times, it waited\n",
			       text(p, "workload"), text(p, "side"), number(p, "ratio"), sign,
			       number(p, "oom_met"));
	}
}

void bench_reclaim_print_points(const json_t *points)
{
	static const char *const headings[] = { "PROGRAM",   "SIDE",     ">MEMORY",
						">LIMIT",    ">SECONDS", ">SLOWDOWN (95 %)",
						">PAGES IN", ">OUT",     ">WRITES/FREED",
						">P50 US",   ">P99 US",  ">P99.9 US",
						">STALLED",  ">REGRET",  NULL };
	struct text_table t;
	json_t *p;
	size_t i;

	if (!json_array_size(points))
		return;
	table_init(&t, headings);
	json_array_foreach(points, i, p) add_point(&t, p);
	(void)table_finish(&t, stdout, 0);
	print_failures(points);
	puts("percentiles are of accesses (of requests, with redis) slower than 3 us;\n"
	     "regret: pages read beyond those of the best choice of victims, a part of these\n");
}

void bench_reclaim_print_sims(const struct reclaim_bench *b)
{
	static const char *const headings[] = { "TRACE",    ">MEMORY", "POLICY", ">FAULTS",
						">OPTIMUM", ">REGRET", NULL };
	struct text_table t;
	json_t *s;
	size_t i;

	if (!json_array_size(b->sims))
		return;
	table_init(&t, headings);
	json_array_foreach(b->sims, i, s)
	{
		table_add(&t, "%s", text(s, "workload"));
		table_add(&t, "%g %%", number(s, "ratio"));
		table_add(&t, "%s", text(s, "policy"));
		table_add(&t, "%.0f", number(s, "faults"));
		table_add(&t, "%.0f", number(s, "optimum"));
		add_number(&t, s, "regret", 1, "");
	}
	(void)table_finish(&t, stdout, 0);
	puts("replayed from the programs' own references, pages that are new not counted\n");
}

/* ---- files ---------------------------------------------------------------------------------------- */

static int write_csv(const struct reclaim_bench *b)
{
	static const char *const columns[] = {
		"workload",      "side",         "policy",       "ratio",
		"repeat",        "memory_bytes", "seconds",      "wall_s",
		"cpu_s",         "slow",         "p50_us",       "p99_us",
		"p999_us",       "stall_share",  "swapin_pages", "swapout_pages",
		"scanned_pages", "freed_pages",  "refaults",     "write_amplification",
		"regret",        "major_faults", "oom_met",      "oom_killed",
		"error",
	};
	char path[PATH_MAX + 16];
	json_t *run, *v;
	size_t i;
	FILE *f;
	int bad;

	snprintf(path, sizeof(path), "%s/runs.csv", b->dir);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	for (unsigned int c = 0; c < sizeof(columns) / sizeof(columns[0]); c++)
		fprintf(f, "%s%s", c ? "," : "", columns[c]);
	json_array_foreach(b->runs, i, run)
	{
		fputc('\n', f);
		for (unsigned int c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
			v = json_object_get(run, columns[c]);
			if (c)
				fputc(',', f);
			if (json_is_string(v))
				fprintf(f, "\"%s\"", json_string_value(v));
			else if (v)
				fprintf(f, "%.9g", json_number_value(v));
		}
	}
	fputc('\n', f);
	bad = ferror(f);
	return fclose(f) || bad ? -EIO : 0;
}

/* Everything, the results of the mechanisms included; *out is for the report. */
int bench_reclaim_collect(struct reclaim_bench *b, json_t **out, struct errmsg *e)
{
	json_t *points = bench_reclaim_points(b), *o;
	char path[PATH_MAX + 32];
	int rc;

	target_rows(b, points);
	o = report_json(&b->report);
	if (!o) {
		json_decref(points);
		return errmsg_set(e, -ENOMEM, "out of memory");
	}
	json_object_set_new(o, "quick", json_boolean(b->quick));
	json_object_set_new(o, "programs", points);
	json_object_set(o, "runs", b->runs);
	json_object_set(o, "latency", b->latency);
	json_object_set(o, "simulations", b->sims);
	snprintf(path, sizeof(path), "%s/results.json", b->dir);
	rc = json_dump_file(o, path, JSON_INDENT(1)) ? -EIO : write_csv(b);
	*out = o;
	return rc ? errmsg_set(e, rc, "cannot write results to %.300s", b->dir) : 0;
}
