/* SPDX-License-Identifier: MIT */
/* One back end's paging out and in: what is measured, and the rows made of it. */
#ifndef VMM_BENCH_BULK_H
#define VMM_BENCH_BULK_H

#include <string.h>

#include "vmm/bench_kswap.h"
#include "vmm/bench_limit.h"
#include "vmm/bench_nbd.h"
#include "vmm/bench_paged.h"
#include "vmm/bench_reclaim.h"

/* What one side measured; rates in GB/s, times in us. */
struct side {
	struct samples freed, cpu, in_p50, in_p99, in_p999, in_seq, first;
	struct samples stored; /* bytes of pages in one byte of compressed memory */
	json_t *histogram;     /* of the last round's random faults */
};

struct bulk {
	struct reclaim_bench *b;
	const char *backend;
	struct side umm, kernel, hole;
	struct samples write, read, wanted_in; /* limits */
	struct samples asleep, looking;        /* one read, by both ways of waiting */
	struct bench_paged guest, process, holed;
	struct bench_cgroup cgroup;
	struct kernel_swap swap;
	struct limit_file file;
	struct bench_nbd server;
	double ratio; /* of the compressor alone */
	bool has_kernel, has_holes;
	char why_not[256];      /* no kernel's side */
	char why_no_holes[256]; /* nor holes */
};

static inline bool bulk_is(const struct bulk *k, const char *backend)
{
	return !strcmp(k->backend, backend);
}

/* Rows of all that was measured; sides may be missing. */
void bulk_report(struct bulk *k);
/* One: NULL where a side has nothing. */
struct bench_row *bulk_row(struct bulk *k, const char *what, const char *unit,
			   const struct samples *umm, const char *other,
			   const struct samples *samples);

/* bench_bulk_hole.c: the guest whose memory is taken by holes, and its rows. */
int bulk_hole_start(struct bulk *k, struct errmsg *e) UMM_MUST_CHECK;
void bulk_hole_report(struct bulk *k);

#endif
