/* SPDX-License-Identifier: MIT */
/* CPU-bound work of a fixed amount, integer and floating point, in a few registers. */
#include "common.h"

int main(int argc, char **argv)
{
	uint64_t work = 200000000, x = 1, i, start, spent;
	double y = 1.0;
	const struct wl_option options[] = {
		{ "work", WL_COUNT, &work, "steps to compute" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "A fixed amount of computing.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	start = wl_now_ns();
	for (i = 0; i < work; i++) {
		x = x * 0x5851f42d4c957f2dULL + i;
		x ^= x >> 29;
		y = y * 0.999999 + (double)(x & 0xff);
	}
	spent = wl_now_ns() - start;
	fprintf(stderr, "spin: %.3f s, %.3f ns/step\n", (double)spent / 1e9,
		(double)spent / (double)(work ? work : 1));
	printf("spin work=%" PRIu64 " integer=%016" PRIx64 " float=%.6f\n", work, x, y);
	return 0;
}
