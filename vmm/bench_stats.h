/* SPDX-License-Identifier: MIT */
/* Samples of one side of a comparison. */
#ifndef VMM_BENCH_STATS_H
#define VMM_BENCH_STATS_H

#include <jansson.h>
#include <umm/types.h>

#define BENCH_MAX_SAMPLES 100

struct samples {
	unsigned int nr;
	double v[BENCH_MAX_SAMPLES];
};

/* Samples past the last place are dropped. */
void samples_add(struct samples *s, double value);
/* 0 when there are none. */
double samples_median(const struct samples *s);
double samples_min(const struct samples *s);
double samples_max(const struct samples *s);
/* A 95 % interval of the median, by drawing samples again (bootstrap). */
void samples_interval(const struct samples *s, double *low, double *high);
/* {"median":, "low":, "high":, "min":, "max":, "samples": [...]} */
json_t *samples_json(const struct samples *s);

#endif
