/* SPDX-License-Identifier: MIT */
/*
 * How many bytes were moved by when. A program tells afterwards which stretch of
 * time it measured; only what was moved within it counts beside its figures, not what
 * moved at full speed while it still waited, or after its end.
 */
#ifndef VMM_BENCH_MOVES_H
#define VMM_BENCH_MOVES_H

#include <umm/types.h>

#define BENCH_MOVES_MAX 8192

struct bench_moves {
	struct {
		uint64_t ns;    /* CLOCK_MONOTONIC */
		uint64_t bytes; /* moved by then, in all */
	} at[BENCH_MOVES_MAX];
	unsigned int nr;
	unsigned int first; /* of the request under way */
	uint64_t bytes;     /* by the requests that are over */
};

/* A request begins now; it has done so much; it is over, and moved so much in all. */
void bench_moves_begin(struct bench_moves *m, uint64_t now_ns);
void bench_moves_progress(struct bench_moves *m, uint64_t now_ns, uint64_t bytes);
void bench_moves_end(struct bench_moves *m, uint64_t now_ns, uint64_t bytes);
/* Bytes moved from @from to @to, in ns; evenly between two points in time. */
uint64_t bench_moves_between(const struct bench_moves *m, uint64_t from, uint64_t to);

#endif
