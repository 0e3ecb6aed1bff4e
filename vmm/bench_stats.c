/* SPDX-License-Identifier: MIT */
#include "vmm/bench_stats.h"

#include <stdlib.h>
#include <string.h>

#define BENCH_DRAWS 1000u

void samples_add(struct samples *s, double value)
{
	if (s->nr < BENCH_MAX_SAMPLES)
		s->v[s->nr++] = value;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double samples_median(const struct samples *s)
{
	double sorted[BENCH_MAX_SAMPLES];

	if (!s->nr)
		return 0;
	memcpy(sorted, s->v, s->nr * sizeof(sorted[0]));
	qsort(sorted, s->nr, sizeof(sorted[0]), compare_doubles);
	return (sorted[(s->nr - 1) / 2] + sorted[s->nr / 2]) / 2;
}

double samples_min(const struct samples *s)
{
	double best = s->nr ? s->v[0] : 0;
	unsigned int i;

	for (i = 1; i < s->nr; i++)
		if (s->v[i] < best)
			best = s->v[i];
	return best;
}

double samples_max(const struct samples *s)
{
	double worst = s->nr ? s->v[0] : 0;
	unsigned int i;

	for (i = 1; i < s->nr; i++)
		if (s->v[i] > worst)
			worst = s->v[i];
	return worst;
}

/* Always the same numbers: a report of the same samples reads the same. */
static unsigned int draw(uint64_t *state, unsigned int below)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)((*state >> 33) % below);
}

void samples_interval(const struct samples *s, double *low, double *high)
{
	static double medians[BENCH_DRAWS];
	uint64_t state = 1;
	struct samples again = { .nr = s->nr };

	*low = *high = 0;
	if (!s->nr)
		return;
	for (unsigned int i = 0; i < BENCH_DRAWS; i++) {
		for (unsigned int k = 0; k < s->nr; k++)
			again.v[k] = s->v[draw(&state, s->nr)];
		medians[i] = samples_median(&again);
	}
	qsort(medians, BENCH_DRAWS, sizeof(medians[0]), compare_doubles);
	*low = medians[BENCH_DRAWS / 40];
	*high = medians[BENCH_DRAWS - 1 - BENCH_DRAWS / 40];
}

json_t *samples_json(const struct samples *s)
{
	json_t *list = json_array();
	double low, high;
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		json_array_append_new(list, json_real(s->v[i]));
	samples_interval(s, &low, &high);
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:o}", "median", samples_median(s), "low", low,
			 "high", high, "min", samples_min(s), "max", samples_max(s), "samples",
			 list);
}
