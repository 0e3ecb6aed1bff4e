/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark found: rows of two sides, their ratio and a target; and what the commands
 * that measure share.
 */
#ifndef VMM_BENCH_REPORT_H
#define VMM_BENCH_REPORT_H

#include "vmm/args.h"
#include "vmm/bench_stats.h"
#include "vmm/host.h"

enum bench_target {
	TARGET_NONE,      /* shown for comparison */
	TARGET_RATIO_MAX, /* umm / other <= limit */
	TARGET_RATIO_MIN, /* umm / other >= limit */
	TARGET_VALUE_MAX, /* umm <= limit, in the row's unit */
	TARGET_VALUE_MIN, /* umm >= limit */
};

struct bench_row {
	char name[48];
	const char *unit;  /* "us/page" */
	const char *other; /* what umm is compared with: "native" */
	struct samples other_samples, umm_samples;
	enum bench_target target;
	double limit;
	uint64_t exits; /* of one run in the guest; 0: not counted */
	char note[256]; /* why skipped, or what to know; may be empty */
	bool skipped, failed;
};

#define BENCH_MAX_ROWS 128

struct bench_report {
	struct bench_row rows[BENCH_MAX_ROWS];
	unsigned int nr;
	char host[1024]; /* what kind of host */
	json_t *host_json;
	unsigned int repeat;
};

/* The next row, cleared; the last one again when all are used. */
struct bench_row *report_add(struct bench_report *r, const char *name, const char *unit,
			     const char *other);
/* It did not run. */
void row_fail(struct bench_row *row, const struct errmsg *e);
/* The same for a row that there is not yet. */
void report_add_failed(struct bench_report *r, const char *name, const struct errmsg *e);
/* Keep what kind of host this is. */
void report_set_host(struct bench_report *r, struct host *host);
/* 0 if there is nothing to compare. */
double row_ratio(const struct bench_row *row);
/* The ratio of the best run of each side: on a busy machine nearer to the truth. */
double row_best_ratio(const struct bench_row *row);
/* "met", "fell short", "skipped", "failed", or "" without target. */
const char *row_mark(const struct bench_row *row);
int report_print(const struct bench_report *r);
/* What report_print_json() prints, to be added to. NULL: no memory. */
json_t *report_json(const struct bench_report *r);
int report_print_json(const struct bench_report *r);
/* Nothing more is asked of it. @status, or CMD_FAILED if a row failed; one that fell short did not. */
int report_end(struct bench_report *r, int status);

/* --repeat N, into a uint64_t; 0 is for the command to understand or refuse. */
#define BENCH_OPTION_REPEAT(var, text)                                                          \
	{                                                                                       \
		.name = "repeat", .letter = 'n', .kind = ARG_NUMBER, .to = (var), .value = "N", \
		.help = (text)                                                                  \
	}
/* Fewer than @least (0: need not be given), or more than can be kept, is told as a wrong use. */
enum args_result bench_check_repeat(const struct arg_command *cmd, uint64_t repeat, uint64_t least);

#endif
