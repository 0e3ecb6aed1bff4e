/* SPDX-License-Identifier: MIT */
/* What a benchmark found: rows of two sides, their ratio and a target. */
#ifndef VMM_BENCH_REPORT_H
#define VMM_BENCH_REPORT_H

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
/* A row failed to run; one that fell short did not. */
bool report_failed(const struct bench_report *r);

#endif
