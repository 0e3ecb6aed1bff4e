/* SPDX-License-Identifier: MIT */
/*
 * How long does a program stand still? Stores to random pages as fast as it can,
 * reads the time stamp counter after each, and keeps a histogram of the gaps,
 * finer than a tenth. Runs natively and in a guest alike; what else the machine
 * does shows as gaps on both.
 *
 * Percentiles are of time slices rather than of accesses: of all slices of 100
 * us, how long the longest gap was that each saw. Percentiles of millions of
 * accesses would hide whatever happens a hundred times a second.
 */
#include <x86intrin.h>

#include "common.h"

#define SLICE_NS 100000ULL
#define STEPS    8UL /* a doubling */
#define BUCKETS  (40 * STEPS)

struct stall {
	uint64_t histogram[BUCKETS]; /* of ns */
	uint64_t slices, longest;
	double ns_tick;
};

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int log;

	if (ns < STEPS)
		return (unsigned int)ns;
	log = 63 - (unsigned int)__builtin_clzll(ns);
	return (unsigned int)((log - 2) * STEPS + ((ns >> (log - 3)) & (STEPS - 1)));
}

/* The largest value of a bucket. */
static double bucket_top(unsigned int b)
{
	unsigned int log = b / STEPS + 2;

	return b < STEPS ? b : (double)((STEPS + b % STEPS + 1) << (log - 3));
}

static double percentile(const struct stall *s, double p)
{
	uint64_t want = (uint64_t)((double)s->slices * p), seen = 0;

	for (unsigned int b = 0; b < BUCKETS; b++) {
		seen += s->histogram[b];
		if (seen > want)
			return bucket_top(b);
	}
	return (double)s->longest;
}

static double measure_tick(void)
{
	uint64_t ns = wl_now_ns(), tsc = __rdtsc(), end;

	while (wl_now_ns() - ns < 20000000)
		;
	end = __rdtsc();
	return (double)(wl_now_ns() - ns) / (double)(end - tsc);
}

static void note(struct stall *s, uint64_t longest, uint64_t slices)
{
	unsigned int b = bucket_of(longest);

	s->histogram[b < BUCKETS ? b : BUCKETS - 1] += slices;
	s->slices += slices;
	if (longest > s->longest)
		s->longest = longest;
}

static void run(struct stall *s, char *memory, uint64_t pages, uint64_t seconds)
{
	uint64_t slice = (uint64_t)((double)SLICE_NS / s->ns_tick), state = 1;
	uint64_t last = __rdtsc(), begun = last, longest = 0;
	uint64_t end = last + (uint64_t)((double)seconds * 1e9 / s->ns_tick);

	while (last < end) {
		uint64_t now, gap;

		memory[wl_random(&state) % pages * WL_PAGE]++;
		now = __rdtsc();
		gap = now - last;
		last = now;
		longest = gap > longest ? gap : longest;
		if (now - begun < slice)
			continue;
		/* A gap longer than a slice fills all the slices it covers. */
		note(s, (uint64_t)((double)longest * s->ns_tick), (now - begun) / slice);
		begun = now;
		longest = 0;
	}
}

int main(int argc, char **argv)
{
	static struct stall s;
	uint64_t size = 256UL << 20, seconds = 5, delay = 0, start;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes to store to" },
		{ "seconds", WL_COUNT, &seconds, "time to run" },
		{ "delay", WL_COUNT, &delay, "say when prepared, wait so many seconds" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Measures the gaps of a program that never waits.", options);
	char *memory;

	if (rc)
		return rc < 0 ? 2 : 0;
	memory = wl_map(size);
	if (!memory || size < WL_PAGE)
		return 1;
	memset(memory, 1, size);
	s.ns_tick = measure_tick();
	if (delay)
		wl_ready_wait(delay);
	start = wl_now_ns();
	run(&s, memory, size / WL_PAGE, seconds);
	wl_tell_timed(start, wl_now_ns() - start);
	fprintf(stderr,
		"stall: p50 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us, %" PRIu64 " slices\n",
		percentile(&s, 0.5) / 1e3, percentile(&s, 0.99) / 1e3, percentile(&s, 0.999) / 1e3,
		(double)s.longest / 1e3, s.slices);
	return 0;
}
