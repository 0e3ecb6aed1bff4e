/* SPDX-License-Identifier: MIT */
/*
 * umm bench reclaim, shared by its parts:
 *
 *	bench_reclaim.c           the command: options, order, output
 *	bench_reclaim_bulk.c      mechanisms: paging out and in, per back end
 *	bench_bulk_hole.c         ... by holes
 *	bench_reclaim_cost.c      software alone: cost a page, ageing, metadata
 *	bench_working_set.c       the working set, estimated and known
 *	bench_reclaim_workload.c  programs at a share of the memory they want
 *	bench_reclaim_out.c       JSON, CSV, the table of programs
 *	bench_html.c              the report
 */
#ifndef VMM_BENCH_RECLAIM_H
#define VMM_BENCH_RECLAIM_H

#include <limits.h>

#include "vmm/bench_proc.h"
#include "vmm/bench_report.h"

#define RECLAIM_MAX_LIST 24

struct reclaim_bench {
	struct bench_report report;
	struct bench_paths paths;
	char dir[PATH_MAX]; /* for swap files and the results */
	unsigned int repeat;
	bool quick, json;
	bool programs_only; /* no mechanisms */
	bool kernel;        /* the host's kernel as the other side */
	bool holes;         /* the same guests by the other mechanism as one more side */
	double exit_us;
	uint64_t bulk_bytes;
	/* What was chosen; NULL-terminated. */
	const char *workloads[RECLAIM_MAX_LIST + 1], *policies[RECLAIM_MAX_LIST + 1],
		*backends[RECLAIM_MAX_LIST + 1];
	double ratios[RECLAIM_MAX_LIST];
	unsigned int nr_ratios;
	json_t *runs;    /* array: one object a program, ratio, side and policy */
	json_t *sims;    /* array: traces replayed, see regret_simulate() */
	json_t *latency; /* array: {"name":, "histogram": [[ns, count]...]} */
};

/* "umm bench: reclaim, WHAT" on stderr. */
__attribute__((format(printf, 1, 2))) void reclaim_say(const char *fmt, ...);
/* True after Ctrl-C: what was turned on is turned off, what was measured is told. */
bool reclaim_stopped(void);

/* A row that could not be measured here. */
void reclaim_row_skip(struct reclaim_bench *b, const char *name, const char *why);
struct bench_row *reclaim_row(struct reclaim_bench *b, const char *name, const char *unit,
			      const struct samples *umm, const char *other,
			      const struct samples *samples);
/* The argument of `umm run --swap` for a back end; NULL: unknown. */
const char *reclaim_swap_spec(const struct reclaim_bench *b, const char *backend, uint64_t bytes,
			      char *text, size_t size);
/* The same for --holes. */
const char *reclaim_holes_spec(const struct reclaim_bench *b, const char *backend, uint64_t bytes,
			       char *text, size_t size);
/* The files of back end "file"; no guest may use them any more. */
void reclaim_swap_remove(const struct reclaim_bench *b);
/* The names of all back ends, NULL-terminated. */
extern const char *const reclaim_backends[];

void bench_reclaim_bulk(struct reclaim_bench *b, const char *backend);
void bench_reclaim_cost(struct reclaim_bench *b);
/* What a sampling policy takes for the working set, and what it is. */
void bench_reclaim_working_set(struct reclaim_bench *b);
void bench_reclaim_workload(struct reclaim_bench *b, const char *workload);

/* Write results.json and runs.csv to the directory; *out has it all. */
int bench_reclaim_collect(struct reclaim_bench *b, json_t **out, struct errmsg *e) UMM_MUST_CHECK;
/* One object a program, side, policy and ratio, with medians over the repeats. */
json_t *bench_reclaim_points(const struct reclaim_bench *b);
void bench_reclaim_print_points(const json_t *points);
void bench_reclaim_print_sims(const struct reclaim_bench *b);
/* One file without references to others: report.html. */
int bench_reclaim_html(const struct reclaim_bench *b, const json_t *all,
		       struct errmsg *e) UMM_MUST_CHECK;

#endif
