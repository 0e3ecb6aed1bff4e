/* SPDX-License-Identifier: MIT */
/*
 * How long single accesses took: a histogram of 16 steps an octave (6 % wide), in
 * ticks of the time-stamp counter, which a guest reads without leaving it. What a
 * tick is follows from the clock over the whole run.
 */
#ifndef UMM_WORKLOADS_LATENCY_H
#define UMM_WORKLOADS_LATENCY_H

#include <x86intrin.h>

#include "common.h"

#define LATENCY_STEP_BITS 4
#define LATENCY_BINS      (64u << LATENCY_STEP_BITS)

struct latency {
	uint64_t bins[LATENCY_BINS];
	uint64_t count, max;
	uint64_t tick_start, ns_start;
};

static inline uint64_t latency_ticks(void)
{
	return __rdtsc();
}

static inline void latency_begin(struct latency *l)
{
	memset(l, 0, sizeof(*l));
	l->ns_start = wl_now_ns();
	l->tick_start = latency_ticks();
}

static inline unsigned int latency_bin(uint64_t ticks)
{
	unsigned int octave =
		ticks < 1u << LATENCY_STEP_BITS
			? 0
			: 63 - (unsigned int)__builtin_clzll(ticks) - LATENCY_STEP_BITS;

	return (octave << LATENCY_STEP_BITS) + (unsigned int)(ticks >> octave);
}

/* The lowest number of ticks of a bin. */
static inline uint64_t latency_low(unsigned int bin)
{
	unsigned int octave = bin >> LATENCY_STEP_BITS;

	if (octave <= 1)
		return bin;
	return (uint64_t)((1u << LATENCY_STEP_BITS) + (bin & ((1u << LATENCY_STEP_BITS) - 1)))
	       << (octave - 1);
}

static inline void latency_add(struct latency *l, uint64_t ticks)
{
	l->bins[latency_bin(ticks)]++;
	l->count++;
	if (ticks > l->max)
		l->max = ticks;
}

/* Nanoseconds a tick, by what has passed since latency_begin(). */
static inline double latency_scale(const struct latency *l)
{
	uint64_t ns = wl_now_ns() - l->ns_start, ticks = latency_ticks() - l->tick_start;

	return ticks ? (double)ns / (double)ticks : 1;
}

/*
 * "slow": how many took at least @slow_ns; their percentiles; and all of the
 * histogram, as [ns, count] pairs of the bins from 500 ns on.
 */
static inline void latency_print(const struct latency *l, double slow_ns)
{
	static const double shares[] = { 0.5, 0.9, 0.99, 0.999 };
	double scale = latency_scale(l);
	unsigned int from = 0, bin;
	uint64_t slow = 0, seen;
	const char *comma = "";

	while (from < LATENCY_BINS && (double)latency_low(from) * scale < slow_ns)
		from++;
	for (bin = from; bin < LATENCY_BINS; bin++)
		slow += l->bins[bin];
	fprintf(stderr, "\"slow\": %" PRIu64 ", \"slow_ns\": [", slow);
	for (unsigned int i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		for (bin = from, seen = 0; bin < LATENCY_BINS - 1; bin++) {
			seen += l->bins[bin];
			if ((double)seen >= shares[i] * (double)slow)
				break;
		}
		fprintf(stderr, "%s%.0f", i ? ", " : "",
			slow ? (double)latency_low(bin) * scale : 0.0);
	}
	fprintf(stderr, "], \"max_ns\": %.0f, \"histogram\": [", (double)l->max * scale);
	for (bin = 0; bin < LATENCY_BINS; bin++) {
		if (!l->bins[bin] || (double)latency_low(bin) * scale < 500)
			continue;
		fprintf(stderr, "%s[%.0f,%" PRIu64 "]", comma, (double)latency_low(bin) * scale,
			l->bins[bin]);
		comma = ",";
	}
	fprintf(stderr, "]");
}

#endif
