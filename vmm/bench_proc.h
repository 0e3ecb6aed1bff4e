/* SPDX-License-Identifier: MIT */
/* Programs that a benchmark runs, natively or in a guest. */
#ifndef VMM_BENCH_PROC_H
#define VMM_BENCH_PROC_H

#include <limits.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

#define BENCH_MAX_ARGS 48

enum bench_side {
	BENCH_NATIVE,
	BENCH_NATIVE_SMALL, /* without transparent huge pages */
	BENCH_UMM,
};

/* Where this umm, and the workloads beside it, are. */
struct bench_paths {
	char umm[PATH_MAX];
	char workloads[PATH_MAX];
};
int bench_paths_find(struct bench_paths *p, struct errmsg *e) UMM_MUST_CHECK;

struct bench_run {
	double wall_ns;
	char err[8192]; /* the beginning of what it wrote on stderr */
	uint64_t exits; /* of the guest, when it was asked for; else 0 */
};

/*
 * Run @argv (a bare name of a workload is looked for beside umm) and wait.
 * @verbose: with `umm run -v`, for the number of exits. -errno with a sentence
 * also if it ends with another status than 0.
 */
int bench_run_program(const struct bench_paths *paths, enum bench_side side, char *const *argv,
		      bool verbose, struct bench_run *out, struct errmsg *e) UMM_MUST_CHECK;

/* A program on either side, with all that can be said about its start. */
struct bench_cgroup;
struct bench_start {
	enum bench_side side;
	const struct bench_cgroup *cgroup; /* it starts in there; NULL: where we are */
	const char *dir;                   /* its working directory; NULL: ours */
	const char *name;                  /* of the guest; NULL: its own choice */
	char *const *options;              /* of umm run; NULL: none */
	char *const *argv;
	int in_fd, out_fd, err_fd; /* -1: /dev/null */
};
/* It does not outlive us. */
int bench_spawn(const struct bench_paths *paths, const struct bench_start *start, pid_t *pid,
		struct errmsg *e) UMM_MUST_CHECK;
/* Its exit status, as a shell tells it, or -errno. @usage: may be NULL. */
struct rusage;
int bench_wait(pid_t pid, struct rusage *usage);

/* A guest that goes on in the background. */
struct bench_guest {
	pid_t pid;
	char name[64];
};
int bench_guest_start(const struct bench_paths *paths, char *const *options, char *const *argv,
		      struct bench_guest *out, struct errmsg *e) UMM_MUST_CHECK;
/* The same, with its stderr in @err_fd. */
int bench_guest_start_to(const struct bench_paths *paths, char *const *options, char *const *argv,
			 int err_fd, struct bench_guest *out, struct errmsg *e) UMM_MUST_CHECK;
/* Send it SIGTERM and wait: its exit status, -errno. */
int bench_guest_stop(struct bench_guest *g);

#endif
