/* SPDX-License-Identifier: MIT */
/*
 * Accesses to pages after a pattern, one page an operation, for comparing reclaim:
 *
 *	fixed    90 % of the operations in a hot set, the rest anywhere
 *	moving   the same, and the hot set moves on to other pages again and again
 *	zipf     zipfian popularity (theta 0.99), popular pages scattered
 *	seq      all pages in order, round and round: the worst case of LRU
 *	random   any page
 *	set      only the hot set, after all pages were stored to once
 *	scan     a hot set, and every other operation goes on with a scan of the rest
 *
 * An operation counts up one word in each of some cache lines of its page. All
 * lines of a page must agree each time, and in the end the counts must sum up to
 * the operations: a lost or doubled store is seen.
 */
#include <math.h>

#include "content.h"
#include "latency.h"
#include "page_trace.h"

#define LINE_WORDS 8u
/* Below it no fault can have been: the processor's own misses. */
#define SLOW_NS 3000.0
#define TICK_NS 100000000ULL
/* How many operations go between two looks at the clock. */
#define CHUNK     32u
#define MAX_TICKS 600u

enum pattern { FIXED, MOVING, ZIPF, SEQ, RANDOM, SET, SCAN, NR_PATTERNS };

static const char *const pattern_names[NR_PATTERNS] = {
	[FIXED] = "fixed",   [MOVING] = "moving", [ZIPF] = "zipf", [SEQ] = "seq",
	[RANDOM] = "random", [SET] = "set",       [SCAN] = "scan",
};

struct job {
	enum pattern pattern;
	uint64_t *words;
	uint64_t pages, lines, ops, hot, shift_every;
	uint64_t state;      /* of the random numbers */
	uint64_t base, next; /* where the hot set begins; the scan's and seq's place */
	/* Zipf by inversion of the continuous distribution (Gray et al., SIGMOD 1994). */
	double theta, zetan, alpha, eta;
	bool dense; /* the hot set's pages are neighbours */
	uint64_t wrong;
	struct trace trace;
	struct latency latency;
	uint64_t ticks[MAX_TICKS]; /* operations done at each tenth of a second */
	unsigned int nr_ticks;
};

/* ---- which page ---------------------------------------------------------- */

static double zeta(uint64_t n, double theta)
{
	double sum = 0;

	for (uint64_t i = 1; i <= n; i++)
		sum += 1 / pow((double)i, theta);
	return sum;
}

static void zipf_init(struct job *j)
{
	j->theta = 0.99;
	j->zetan = zeta(j->pages, j->theta);
	j->alpha = 1 / (1 - j->theta);
	j->eta = (1 - pow(2.0 / (double)j->pages, 1 - j->theta)) /
		 (1 - zeta(2, j->theta) / j->zetan);
}

static uint64_t zipf_rank(struct job *j)
{
	double u = (double)(wl_random(&j->state) >> 11) * 0x1p-53, uz = u * j->zetan;
	uint64_t rank;

	if (uz < 1)
		return 0;
	if (uz < 1 + pow(0.5, j->theta))
		return 1;
	rank = (uint64_t)((double)j->pages * pow(j->eta * u - j->eta + 1, j->alpha));
	return rank < j->pages ? rank : j->pages - 1;
}

/* Neighbours in popularity are no neighbours in memory: a bijection where pages are a power of two. */
static uint64_t scatter(const struct job *j, uint64_t n)
{
	return n * 0x9e3779b97f4a7c15ull % j->pages;
}

static uint64_t hot_page(struct job *j, uint64_t r)
{
	uint64_t page = (j->base + r % j->hot) % j->pages;

	return j->dense ? page : scatter(j, page);
}

static uint64_t page_choose(struct job *j, uint64_t op)
{
	uint64_t r = wl_random(&j->state);

	switch (j->pattern) {
	case MOVING:
		if (op && !(op % j->shift_every))
			j->base += j->hot;
		/* fall through */
	case FIXED:
		return r % 10 ? hot_page(j, r >> 8) : (r >> 8) % j->pages;
	case ZIPF:
		return scatter(j, zipf_rank(j));
	case SEQ:
		return j->next++ % j->pages;
	case RANDOM:
		return r % j->pages;
	case SET:
		return hot_page(j, r);
	case SCAN:
		return op & 1 ? scatter(j, j->next++) : hot_page(j, r);
	case NR_PATTERNS:
		break;
	}
	return 0;
}

/* ---- one operation -------------------------------------------------------- */

static uint64_t *page_line(const struct job *j, uint64_t page, uint64_t line)
{
	return j->words + page * CONTENT_WORDS + line * LINE_WORDS;
}

static void page_use(struct job *j, uint64_t page)
{
	uint64_t first = ++*page_line(j, page, 0);

	trace_page(&j->trace, page_line(j, page, 0), true);
	for (uint64_t i = 1; i < j->lines; i++)
		j->wrong += ++*page_line(j, page, i) != first;
}

static void run(struct job *j)
{
	uint64_t start = wl_now_ns(), due = start + TICK_NS, op = 0, before, now;

	latency_begin(&j->latency);
	before = latency_ticks();
	while (op < j->ops) {
		for (unsigned int i = 0; i < CHUNK && op < j->ops; i++, op++) {
			page_use(j, page_choose(j, op));
			now = latency_ticks();
			latency_add(&j->latency, now - before);
			before = now;
		}
		for (now = wl_now_ns(); now >= due && j->nr_ticks < MAX_TICKS; due += TICK_NS)
			j->ticks[j->nr_ticks++] = op;
		before = latency_ticks();
	}
	now = wl_now_ns() - start;
	fprintf(stderr,
		"{\"workload\": \"%s\", \"pages\": %" PRIu64 ", \"ops\": %" PRIu64
		", \"seconds\": %.6f, ",
		pattern_names[j->pattern], j->pages, j->ops, (double)now / 1e9);
	latency_print(&j->latency, SLOW_NS);
	fprintf(stderr, ", \"timeline\": [");
	for (unsigned int i = 0; i < j->nr_ticks; i++)
		fprintf(stderr, "%s%" PRIu64, i ? "," : "", j->ticks[i]);
	fprintf(stderr, "]}\n");
}

/* ---- all ------------------------------------------------------------------- */

static void fill(struct job *j)
{
	for (uint64_t page = 0; page < j->pages; page++) {
		content_fill(j->words + page * CONTENT_WORDS, page, CONTENT_HEAP);
		trace_page(&j->trace, page_line(j, page, 0), true);
		for (uint64_t i = 0; i < j->lines; i++)
			*page_line(j, page, i) = 0;
	}
}

static int check(struct job *j)
{
	uint64_t sum = 0, checksum = 0;

	for (uint64_t page = 0; page < j->pages; page++) {
		sum += *page_line(j, page, 0);
		trace_page(&j->trace, page_line(j, page, 0), false);
		checksum = wl_mix(checksum + *page_line(j, page, j->lines - 1));
	}
	if (j->wrong || sum != j->ops) {
		printf("FAIL: %" PRIu64 " wrong words, %" PRIu64 " operations counted of %" PRIu64
		       "\n",
		       j->wrong, sum, j->ops);
		return 1;
	}
	printf("pattern %s pages=%" PRIu64 " ops=%" PRIu64 " checksum=%016" PRIx64 " ok\n",
	       pattern_names[j->pattern], j->pages, j->ops, checksum);
	return 0;
}

static int pattern_parse(const char *name, enum pattern *to)
{
	for (int i = 0; i < NR_PATTERNS; i++) {
		if (strcmp(name, pattern_names[i]))
			continue;
		*to = (enum pattern)i;
		return 0;
	}
	fprintf(stderr, "pattern: --pattern: there is no '%s'; --help lists them\n", name);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	static struct job j = { .ops = 1000000, .lines = 16 };
	uint64_t size = 64UL << 20, hot = 25;
	const char *pattern = "zipf", *trace = NULL;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes of memory, rounded down to a power of two" },
		{ "pattern", WL_TEXT, &pattern, "fixed, moving, zipf, seq, random, set or scan" },
		{ "ops", WL_COUNT, &j.ops, "operations" },
		{ "hot", WL_COUNT, &hot, "percent of the pages in the hot set" },
		{ "dense", WL_FLAG, &j.dense, "the pages of the hot set are neighbours" },
		{ "shift", WL_COUNT, &j.shift_every,
		  "moving: operations until the set moves (default: a fifth)" },
		{ "lines", WL_COUNT, &j.lines, "cache lines of a page that an operation uses" },
		{ "seed", WL_COUNT, &j.state, "first state of the random numbers" },
		{ "trace", WL_TEXT, &trace, "a file for the pages used, for umm sim" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Accesses to pages after a pattern.", options);

	if (rc || pattern_parse(pattern, &j.pattern))
		return rc > 0 ? 0 : 2;
	for (j.pages = 1; j.pages * 2 * WL_PAGE <= size; j.pages *= 2)
		;
	j.hot = j.pages * hot / 100;
	if (!j.hot || hot > 100 || !j.ops || !j.lines || j.lines > CONTENT_WORDS / LINE_WORDS) {
		fprintf(stderr, "pattern: --hot is 1 to 100, --ops from 1, --lines 1 to 64\n");
		return 2;
	}
	if (!j.shift_every)
		j.shift_every = j.ops / 5 + 1;
	j.words = wl_map(j.pages * WL_PAGE);
	if (!j.words ||
	    trace_open(&j.trace, trace, pattern_names[j.pattern], j.words, j.pages * WL_PAGE))
		return 1;
	zipf_init(&j);
	fill(&j);
	run(&j);
	return check(&j) || trace_close(&j.trace);
}
