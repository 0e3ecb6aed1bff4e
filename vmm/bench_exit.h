/* SPDX-License-Identifier: MIT */
/* What leaving the guest costs on this host, with nothing done outside. */
#ifndef VMM_BENCH_EXIT_H
#define VMM_BENCH_EXIT_H

#include "vmm/host.h"

struct exit_costs {
	double store_ns;   /* a store to an address without memory */
	double syscall_ns; /* SYSCALL through the entry stub */
};

/* Each cost is the mean of @rounds exits. 0, or -errno with a sentence. */
int bench_exit_measure(struct host *host, unsigned int rounds, struct exit_costs *out,
		       struct errmsg *e) UMM_MUST_CHECK;

#endif
