/* SPDX-License-Identifier: MIT */
/*
 * Memory bandwidth by four kernels over three arrays (copy, scale, add,
 * triad), each timed on its own, the results checked against the same steps
 * done on single numbers.
 */
#include "common.h"

enum kernel { COPY, SCALE, ADD, TRIAD, KERNELS };

struct stream {
	double *a, *b, *c;
	size_t n;
};

static const char *const kernel_names[KERNELS] = { "copy", "scale", "add", "triad" };
static const unsigned int kernel_arrays[KERNELS] = { 2, 2, 3, 3 };

/* The factor keeps the values bounded over any number of rounds. */
static const double factor = 0.4142;

static void run_kernel(struct stream *s, enum kernel kernel)
{
	double *a = s->a, *b = s->b, *c = s->c;
	size_t i;

	switch (kernel) {
	case COPY:
		for (i = 0; i < s->n; i++)
			c[i] = a[i];
		break;
	case SCALE:
		for (i = 0; i < s->n; i++)
			b[i] = factor * c[i];
		break;
	case ADD:
		for (i = 0; i < s->n; i++)
			c[i] = a[i] + b[i];
		break;
	default:
		for (i = 0; i < s->n; i++)
			a[i] = b[i] + factor * c[i];
		break;
	}
}

static int check_array(const char *name, const double *array, size_t n, double expected)
{
	double difference;
	size_t i;

	for (i = 0; i < n; i++) {
		difference = array[i] - expected;
		if (difference < 1e-12 && difference > -1e-12)
			continue;
		printf("FAIL %s[%zu] at %p: expected %.17g, got %.17g\n", name, i,
		       (const void *)&array[i], expected, array[i]);
		return 1;
	}
	return 0;
}

static int check_result(const struct stream *s, uint64_t rounds)
{
	double a[1] = { 1.0 }, b[1] = { 2.0 }, c[1] = { 0.0 };
	struct stream one = { .a = a, .b = b, .c = c, .n = 1 };
	uint64_t r;
	int k;

	for (r = 0; r < rounds; r++)
		for (k = 0; k < KERNELS; k++)
			run_kernel(&one, (enum kernel)k);
	if (check_array("a", s->a, s->n, a[0]) || check_array("b", s->b, s->n, b[0]) ||
	    check_array("c", s->c, s->n, c[0]))
		return 1;
	printf("stream words=%zu rounds=%" PRIu64 " a=%.9f b=%.9f c=%.9f ok\n", s->n, rounds, a[0],
	       b[0], c[0]);
	return 0;
}

static void run_rounds(struct stream *s, uint64_t rounds)
{
	uint64_t best[KERNELS], start, spent, r;
	int k;

	memset(best, 0xff, sizeof(best));
	for (r = 0; r < rounds; r++) {
		for (k = 0; k < KERNELS; k++) {
			start = wl_now_ns();
			run_kernel(s, (enum kernel)k);
			spent = wl_now_ns() - start;
			best[k] = spent < best[k] ? spent : best[k];
		}
	}
	for (k = 0; k < KERNELS; k++)
		fprintf(stderr, "%-6s %8.3f GB/s\n", kernel_names[k],
			(double)(kernel_arrays[k] * s->n * sizeof(double)) /
				(double)(best[k] ? best[k] : 1));
}

int main(int argc, char **argv)
{
	uint64_t size = 192UL << 20, rounds = 10;
	struct stream s;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes of the three arrays together" },
		{ "rounds", WL_COUNT, &rounds, "times each kernel runs; the best counts" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Memory bandwidth: copy, scale, add, triad.", options);
	size_t i;

	if (rc)
		return rc < 0 ? 2 : 0;
	s.n = size / 3 / sizeof(double);
	if (!s.n || !rounds) {
		fprintf(stderr, "stream: --size and --rounds must leave something to do\n");
		return 2;
	}
	s.a = wl_map(s.n * sizeof(double));
	s.b = wl_map(s.n * sizeof(double));
	s.c = wl_map(s.n * sizeof(double));
	if (!s.a || !s.b || !s.c)
		return 1;
	for (i = 0; i < s.n; i++) {
		s.a[i] = 1.0;
		s.b[i] = 2.0;
	}
	run_rounds(&s, rounds);
	return check_result(&s, rounds);
}
