/* SPDX-License-Identifier: MIT */
/*
 * The workload `paged`, natively in a memory cgroup or in a guest: memory that is
 * filled, paged out from outside, and touched again, each when told to.
 */
#ifndef VMM_BENCH_PAGED_H
#define VMM_BENCH_PAGED_H

#include "vmm/bench_cgroup.h"
#include "vmm/bench_proc.h"
#include "vmm/ctl_client.h"

struct bench_paged {
	pid_t pid;
	int fd; /* its stdin and stderr */
	struct ctl_reader reader;
	struct ctl_client client; /* in a guest */
	const struct bench_cgroup *cgroup;
	bool connected;
	bool holes; /* its memory is taken by holes */
	uint64_t bytes;
};

/*
 * Start it and wait until its memory is filled. @options of umm run: NULL for a
 * native one, which then is in @cgroup. On an error nothing is left running.
 */
int paged_start(struct bench_paged *p, const struct bench_paths *paths, char *const *options,
		const struct bench_cgroup *cgroup, uint64_t bytes, const char *content,
		struct errmsg *e) UMM_MUST_CHECK;
void paged_stop(struct bench_paged *p);

/* One command; *answer, which may be NULL, gets its line. -EBADMSG: memory was wrong. */
int paged_ask(struct bench_paged *p, const char *command, json_t **answer,
	      struct errmsg *e) UMM_MUST_CHECK;
/* An op of the guest's control socket. Steals @request. */
int paged_control(struct bench_paged *p, json_t *request, json_t **answer,
		  struct errmsg *e) UMM_MUST_CHECK;

/* What it took to page all of it out. */
struct paged_out {
	uint64_t freed;  /* bytes that were given back */
	double ns;       /* until they were */
	double first_ns; /* native: of the call alone, with pages still in the swap cache */
	double cpu_ns;   /* processor time of the guest, or of the program and us; 0: unknown */
};
int paged_out(struct bench_paged *p, struct paged_out *out, struct errmsg *e) UMM_MUST_CHECK;

/* Processor time of all threads of a process so far. */
uint64_t process_cpu_ns(pid_t pid);

#endif
