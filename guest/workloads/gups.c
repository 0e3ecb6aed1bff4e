/* SPDX-License-Identifier: MIT */
/*
 * Random read-modify-write over a table, as the GUPS benchmark does: the worst
 * case for TLBs and for page migration. An update is an exclusive or, so that
 * doing all of them a second time must give the first table back: --verify.
 */
#include "common.h"

#include <sys/mman.h>

/* A look at the clock costs more than an update: look once in so many. */
#define CHUNK 65536UL

struct gups {
	uint64_t *table;
	uint64_t words; /* a power of two */
	uint64_t seed;
};

static void run_updates(const struct gups *g, uint64_t *state, uint64_t count)
{
	uint64_t mask = g->words - 1, r;

	while (count--) {
		r = wl_random(state);
		g->table[r & mask] ^= r;
	}
}

/* => the number of updates done: `updates`, or as many as fit into `seconds`. */
static uint64_t run_benchmark(const struct gups *g, uint64_t updates, uint64_t seconds)
{
	uint64_t state = g->seed, done = 0, start = wl_now_ns(), spent;

	if (!seconds) {
		run_updates(g, &state, updates);
		done = updates;
	}
	while (seconds && wl_now_ns() - start < seconds * 1000000000ULL) {
		run_updates(g, &state, CHUNK);
		done += CHUNK;
	}
	spent = wl_now_ns() - start;
	wl_tell_timed(start, spent);
	fprintf(stderr, "gups: %.5f GUPS, %" PRIu64 " updates in %.3f s\n",
		(double)done / (double)(spent ? spent : 1), done, (double)spent / 1e9);
	return done;
}

static uint64_t table_checksum(const struct gups *g)
{
	uint64_t sum = 0, i;

	for (i = 0; i < g->words; i++)
		sum = wl_mix(sum + g->table[i]);
	return sum;
}

static int verify_table(const struct gups *g, uint64_t done)
{
	uint64_t state = g->seed, i;

	run_updates(g, &state, done);
	for (i = 0; i < g->words; i++) {
		if (g->table[i] == i)
			continue;
		printf("FAIL at %p: expected %#" PRIx64 ", got %#" PRIx64 "\n",
		       (void *)&g->table[i], i, g->table[i]);
		return 1;
	}
	printf("verified words=%" PRIu64 "\n", g->words);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t size = 512UL << 20, updates = 0, seconds = 0, done, i;
	struct gups g = { .seed = 1 };
	uint64_t delay = 0;
	bool verify = false, huge = false;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes of the table, rounded down to a power of two" },
		{ "updates", WL_COUNT, &updates, "updates to do (default: one a word)" },
		{ "seconds", WL_COUNT, &seconds, "run so long instead" },
		{ "seed", WL_COUNT, &g.seed, "first state of the random numbers" },
		{ "delay", WL_COUNT, &delay, "say when the table is filled, wait so many seconds" },
		{ "huge", WL_FLAG, &huge, "ask for 2 MiB pages (MADV_HUGEPAGE)" },
		{ "verify", WL_FLAG, &verify, "undo all updates and look at every word" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Random updates over a table.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	for (g.words = 1; g.words * 2 * sizeof(*g.table) <= size; g.words *= 2)
		;
	g.table = wl_map(g.words * sizeof(*g.table));
	if (!g.table)
		return 1;
	if (huge && madvise(g.table, g.words * sizeof(*g.table), MADV_HUGEPAGE)) {
		perror("gups: MADV_HUGEPAGE");
		return 1;
	}
	for (i = 0; i < g.words; i++)
		g.table[i] = i;
	if (delay)
		wl_ready_wait(delay);
	done = run_benchmark(&g, updates ? updates : g.words, seconds);
	if (!seconds)
		printf("gups words=%" PRIu64 " updates=%" PRIu64 " checksum=%016" PRIx64 "\n",
		       g.words, done, table_checksum(&g));
	return verify ? verify_table(&g, done) : 0;
}
