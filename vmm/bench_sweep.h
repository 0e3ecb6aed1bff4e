/* SPDX-License-Identifier: MIT */
/* Sweeps: the same move measured over one thing that varies. */
#ifndef VMM_BENCH_SWEEP_H
#define VMM_BENCH_SWEEP_H

#include "vmm/bench_guest.h"
#include "vmm/bench_stats.h"

/* What the time of a move goes into, us a page. */
enum sweep_part {
	PART_FIND,
	PART_ALLOC,
	PART_UNMAP,
	PART_FLUSH,
	PART_ZAP,
	PART_COPY,
	PART_RESTORE,
	PART_NR,
};

struct sweep_point {
	const char *sweep; /* "pages" */
	uint64_t x;
	struct samples umm, bare; /* us a page: the move; only the copy of the same frames */
	struct samples part[PART_NR];
	struct samples walk_ns;  /* an rmap walk, a mapping */
	struct samples whole_us; /* the whole request */
	double window_us;        /* the longest that a batch was without entries */
	double early;            /* share of the frames whose early copy held */
	uint64_t pages;          /* moved each time */
};

#define SWEEP_MAX_POINTS 80

struct sweep_set {
	struct sweep_point points[SWEEP_MAX_POINTS];
	unsigned int nr;
};

/* How a point moves its guest; 0 leaves the choice to the engine. */
struct sweep_way {
	uint64_t pages; /* from the first of the shape; 0: all of the guest */
	unsigned int batch, threads;
	const char *mode; /* NULL: auto */
	bool walk;        /* time rmap walks too; warms the caches */
};

/* The next point, cleared; the last one again when all are used. */
struct sweep_point *sweep_add(struct sweep_set *set, const char *sweep, uint64_t x);
/* NULL if it was not measured. */
const struct sweep_point *sweep_find(const struct sweep_set *set, const char *sweep, uint64_t x);
/*
 * Move the memory of @g (a `hold`) there and back once unmeasured, if @warm, then
 * @repeat times measured, each with the bare copy of its frames behind it.
 */
int sweep_measure(struct sweep_point *p, struct bench_moved *g, const struct sweep_way *way,
		  bool warm, unsigned int repeat, struct errmsg *e) UMM_MUST_CHECK;
/* A table for each sweep; a list for JSON. */
int sweep_print(const struct sweep_set *set);
json_t *sweep_json(const struct sweep_set *set);
/* NAME.dat and NAME.png for each sweep, by gnuplot, in @dir, which is made. */
int sweep_plot(const struct sweep_set *set, const char *dir, struct errmsg *e) UMM_MUST_CHECK;

#endif
