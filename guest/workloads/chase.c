/* SPDX-License-Identifier: MIT */
/*
 * A pointer chase: each access depends on the one before, so the time a step
 * is the memory's latency, page walks included. The links form one cycle
 * through every line, in an order set by the seed.
 *
 * The order is a bijection of the lines' numbers that can be computed both ways (a
 * Feistel network, repeated until the number is one of a line), and each line links to the
 * next one's in that order. So the links are written line by line: a shuffle in place
 * would, short of memory, page for hours before the first step.
 */
#include "common.h"
#include "page_trace.h"

#define LINE 64UL

struct line {
	uint64_t next;
	char pad[LINE - sizeof(uint64_t)];
};

#define ROUNDS 4

struct order {
	uint64_t n, seed;
	unsigned int half_bits; /* 2 * half_bits are enough for n */
};

static uint64_t feistel(const struct order *o, uint64_t x, bool back)
{
	uint64_t mask = (1ull << o->half_bits) - 1, left = x >> o->half_bits, right = x & mask;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t key = o->seed + (back ? ROUNDS - 1 - i : i), old = right;

		if (back) {
			right = left;
			left = old ^ (wl_mix(right ^ wl_mix(key)) & mask);
		} else {
			right = left ^ (wl_mix(right ^ wl_mix(key)) & mask);
			left = old;
		}
	}
	return left << o->half_bits | right;
}

static uint64_t order_step(const struct order *o, uint64_t x, bool back)
{
	do
		x = feistel(o, x, back);
	while (x >= o->n);
	return x;
}

static void link_cycle(struct line *lines, uint64_t n, uint64_t seed, struct trace *t)
{
	struct order o = { .n = n, .seed = wl_mix(seed), .half_bits = 1 };

	while (o.half_bits < 31 && 1ull << 2 * o.half_bits < n)
		o.half_bits++;
	for (uint64_t i = 0; i < n; i++) {
		trace_page(t, &lines[i], true);
		lines[i].next = order_step(&o, (order_step(&o, i, true) + 1) % n, false);
	}
}

/* The same steps, told to the trace: not for timing. */
static uint64_t chase_traced(const struct line *lines, uint64_t steps, struct trace *t)
{
	uint64_t at = 0;

	while (steps--) {
		trace_page(t, &lines[at], false);
		at = lines[at].next;
	}
	return at;
}

int main(int argc, char **argv)
{
	uint64_t size = 256UL << 20, steps = 10000000, seed = 1, n, at = 0, i, start, spent;
	const char *path = NULL;
	struct line *lines;
	struct trace trace;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes of memory" },
		{ "steps", WL_COUNT, &steps, "links to follow" },
		{ "seed", WL_COUNT, &seed, "order of the links" },
		{ "trace", WL_TEXT, &path, "a file for the pages used, for umm sim" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Pointer chase over one random cycle.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	n = size / LINE;
	if (!n) {
		fprintf(stderr, "chase: --size must be at least %lu\n", LINE);
		return 2;
	}
	lines = wl_map(n * LINE);
	if (!lines)
		return 1;
	if (trace_open(&trace, path, "chase", lines, n * LINE))
		return 1;
	link_cycle(lines, n, seed, &trace);
	start = wl_now_ns();
	if (path) {
		at = chase_traced(lines, steps, &trace);
		if (trace_close(&trace))
			return 1;
	} else {
		for (i = 0; i < steps; i++)
			at = lines[at].next;
	}
	spent = wl_now_ns() - start;
	fprintf(stderr, "chase: %.2f ns/access\n", (double)spent / (double)(steps ? steps : 1));
	fprintf(stderr, "{\"workload\": \"chase\", \"ops\": %" PRIu64 ", \"seconds\": %.6f}\n",
		steps, (double)spent / 1e9);
	printf("chase lines=%" PRIu64 " steps=%" PRIu64 " end=%" PRIu64 "\n", n, steps, at);
	return 0;
}
