/* SPDX-License-Identifier: MIT */
/*
 * Breadth-first search or PageRank over a random graph in which few vertices have most of
 * the edges, in compressed rows: long scans of edges with jumps into a smaller
 * array for each. All arithmetic is of integers, so that every run says the same.
 */
#include "common.h"

/* PageRank in units of 2^-30 of one vertex' share, damped by 7/8. */
#define RANK_ONE (1ull << 30)

/* Edges for each vertex, on average; ln 2 in 1/4096. */
#define EDGES_EACH 16ull
#define LOG_SHIFT  12
#define LN2_FIXED  2839ull

struct graph {
	uint64_t vertices, edges;
	uint64_t *first;  /* vertices + 1: where each row begins */
	uint32_t *target; /* edges */
};

/* log2(n / v) for 0 < v <= n in 1/4096: exact at powers of two, straight lines between. */
static uint64_t log2_fixed(uint64_t n, uint64_t v)
{
	unsigned int bits = 63 - (unsigned int)__builtin_clzll(n / v);

	return ((uint64_t)bits << LOG_SHIFT) + ((n << LOG_SHIFT) / (v << bits)) - (1u << LOG_SHIFT);
}

/* The product of two uniform draws would give vertex v of n so many: few have most. */
static uint64_t degree_of(uint64_t v, uint64_t n)
{
	return EDGES_EACH * LN2_FIXED * log2_fixed(n, v + 1) >> 2 * LOG_SHIFT;
}

/*
 * Row by row, in order: short of memory, edges thrown into rows at random would take longer
 * than what is to be measured.
 */
static int graph_make(struct graph *g, uint64_t seed)
{
	uint64_t state = seed, v;

	g->first = wl_map((g->vertices + 1) * sizeof(*g->first));
	if (!g->first)
		return -ENOMEM;
	for (v = 0; v < g->vertices; v++)
		g->first[v + 1] = g->first[v] + degree_of(v, g->vertices);
	g->edges = g->first[g->vertices];
	g->target = wl_map(g->edges * sizeof(*g->target));
	if (!g->target)
		return -ENOMEM;
	for (uint64_t i = 0; i < g->edges; i++)
		g->target[i] = (uint32_t)(wl_random(&state) % g->vertices);
	return 0;
}

/* ---- breadth-first search -------------------------------------------------------- */

static int bfs(const struct graph *g)
{
	uint32_t *depth = wl_map(g->vertices * sizeof(*depth));
	uint32_t *queue = wl_map(g->vertices * sizeof(*queue));
	uint64_t head = 0, tail = 1, checksum = 0;

	if (!depth || !queue)
		return 1;
	depth[0] = 1;
	while (head < tail) {
		uint32_t v = queue[head++];

		for (uint64_t e = g->first[v]; e < g->first[v + 1]; e++) {
			uint32_t to = g->target[e];

			if (depth[to])
				continue;
			depth[to] = depth[v] + 1;
			queue[tail++] = to;
		}
	}
	/* No edge may lead further than one step deeper. */
	for (uint64_t v = 0; v < g->vertices; v++) {
		for (uint64_t e = g->first[v]; depth[v] && e < g->first[v + 1]; e++) {
			if (depth[g->target[e]] && depth[g->target[e]] <= depth[v] + 1)
				continue;
			printf("FAIL: vertex %u is not where it should be\n", g->target[e]);
			return 1;
		}
		checksum = wl_mix(checksum + depth[v]);
	}
	printf("graph bfs reached=%" PRIu64 " checksum=%016" PRIx64 " ok\n", tail, checksum);
	return 0;
}

/* ---- PageRank ---------------------------------------------------------------------- */

static void rank_round(const struct graph *g, const uint64_t *from, uint64_t *to)
{
	for (uint64_t v = 0; v < g->vertices; v++)
		to[v] = RANK_ONE / 8;
	for (uint64_t v = 0; v < g->vertices; v++) {
		uint64_t degree = g->first[v + 1] - g->first[v];
		uint64_t share = degree ? from[v] / degree / 8 * 7 : 0;

		for (uint64_t e = g->first[v]; e < g->first[v + 1]; e++)
			to[g->target[e]] += share;
	}
}

static int pagerank(const struct graph *g, uint64_t rounds)
{
	uint64_t *a = wl_map(g->vertices * sizeof(*a)), *b = wl_map(g->vertices * sizeof(*b));
	uint64_t sum = 0, checksum = 0;

	if (!a || !b)
		return 1;
	for (uint64_t v = 0; v < g->vertices; v++)
		a[v] = RANK_ONE;
	for (uint64_t r = 0; r < rounds; r++) {
		uint64_t *swap = a;

		rank_round(g, a, b);
		a = b;
		b = swap;
	}
	for (uint64_t v = 0; v < g->vertices; v++) {
		sum += a[v];
		checksum = wl_mix(checksum + a[v]);
	}
	/* Rank is only lost, by vertices without edges and by rounding down. */
	if (sum > g->vertices * RANK_ONE || sum < g->vertices * RANK_ONE / 8) {
		printf("FAIL: the ranks sum up to %" PRIu64 "\n", sum);
		return 1;
	}
	printf("graph pr rounds=%" PRIu64 " sum=%" PRIu64 " checksum=%016" PRIx64 " ok\n", rounds,
	       sum, checksum);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t size = 64UL << 20, seed = 1, rounds = 3, start;
	const char *what = "bfs";
	struct graph g;
	bool pr;
	int failed;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes of the whole, about" },
		{ "run", WL_TEXT, &what, "bfs or pr" },
		{ "rounds", WL_COUNT, &rounds, "of PageRank" },
		{ "seed", WL_COUNT, &seed, "choice of the edges" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Breadth-first search or PageRank.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	pr = !strcmp(what, "pr");
	if (!pr && strcmp(what, "bfs")) {
		fprintf(stderr, "graph: --run: '%s' is neither bfs nor pr\n", what);
		return 2;
	}
	/* 16 edges a vertex: 64 bytes of edges, 8 of rows, 8 or 16 of state. */
	g.vertices = size / (pr ? 88 : 80);
	if (g.vertices < 2 || g.vertices > UINT32_MAX || graph_make(&g, seed)) {
		fprintf(stderr, "graph: --size does not do\n");
		return 1;
	}
	start = wl_now_ns();
	failed = pr ? pagerank(&g, rounds) : bfs(&g);
	fprintf(stderr, "{\"workload\": \"%s\", \"ops\": %" PRIu64 ", \"seconds\": %.6f}\n", what,
		g.edges * (pr ? rounds : 1), (double)(wl_now_ns() - start) / 1e9);
	return failed;
}
