/* SPDX-License-Identifier: MIT */
#include "vmm/bench_stats.h"

#include <stdlib.h>
#include <string.h>

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

json_t *samples_json(const struct samples *s)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		json_array_append_new(list, json_real(s->v[i]));
	return json_pack("{s:f, s:f, s:f, s:o}", "median", samples_median(s), "min", samples_min(s),
			 "max", samples_max(s), "samples", list);
}
