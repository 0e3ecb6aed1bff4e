/* SPDX-License-Identifier: MIT */
/* The programs that umm bench reclaim runs short of memory. */
#ifndef VMM_BENCH_PROGRAMS_H
#define VMM_BENCH_PROGRAMS_H

#include <limits.h>

#include "vmm/bench_job.h"

#define PROGRAM_MAX_ARGS 24

struct bench_program {
	const char *name, *about;
	/* The first is a workload's bare name or a path. "%s" is the size, in bytes, "%o" a count. */
	const char *argv[PROGRAM_MAX_ARGS];
	uint64_t quick_ops; /* operations, "%o", of a quick run; five times as many otherwise */
	unsigned int enough_ops; /* so many times as many where there is memory enough; 0: 1 */
	/* Write a file to dir/NAME for stdin or as an argument; NULL: none. */
	int (*prepare)(const char *path, uint64_t bytes);
	bool is_input;              /* the prepared file is its stdin; else "%f" is the file */
	bool traced;                /* takes --trace FILE */
	bool measured;              /* what it wants is measured natively; else it is the size */
	unsigned int wants_percent; /* ... times this, for what its children copy; 0: 100 */
	const char *needs;          /* a file that must be there, or the program is skipped */
	const char *package;        /* ... and who brings it */
	unsigned int ycsb;          /* 'A' to 'C': a redis server, and a client of ours */
};

/* The Nth, or NULL. */
const struct bench_program *bench_program_nth(unsigned int n);
const struct bench_program *bench_program_find(const char *name);

/* Arguments for one size, in memory of its own. */
struct program_args {
	char *argv[PROGRAM_MAX_ARGS + 1];
	char text[PROGRAM_MAX_ARGS][PATH_MAX];
};
void bench_program_args(const struct bench_program *p, uint64_t bytes, uint64_t ops,
			const char *file, struct program_args *out);

#endif
