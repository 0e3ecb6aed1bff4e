/* SPDX-License-Identifier: MIT */
/* A guest whose memory a benchmark moves while its program runs or waits. */
#ifndef VMM_BENCH_GUEST_H
#define VMM_BENCH_GUEST_H

#include "vmm/bench_proc.h"
#include "vmm/ctl_client.h"

struct bench_moved {
	struct bench_guest guest;
	struct ctl_client client;
	int err_fd; /* what its program writes on stderr */
	int node;   /* where its memory was moved to last */
	bool connected;
};

/*
 * Start the program in a guest with @options, and wait until it has written
 * "ready" on its stderr. On an error nothing is left running.
 */
int bench_moved_start(struct bench_moved *g, const struct bench_paths *paths, char *const *options,
		      char *const *argv, struct errmsg *e) UMM_MUST_CHECK;
/*
 * Move to the other of two nodes, as @how (a JSON object, stolen) says further.
 * *result has the answer of the guest's "migrate".
 */
int bench_moved_migrate(struct bench_moved *g, json_t *how, json_t **result,
			struct errmsg *e) UMM_MUST_CHECK;
/* Is the program still running? */
/* Send the program a signal, as `umm kill` does. */
int bench_moved_signal(struct bench_moved *g, int sig, struct errmsg *e) UMM_MUST_CHECK;
bool bench_moved_alive(const struct bench_moved *g);
/* Wait for the end of the program, then what it wrote: 0, -errno. */
int bench_moved_output(struct bench_moved *g, char *buf, size_t size,
		       struct errmsg *e) UMM_MUST_CHECK;
/* End it; no-op after bench_moved_output(). */
void bench_moved_stop(struct bench_moved *g);

#endif
