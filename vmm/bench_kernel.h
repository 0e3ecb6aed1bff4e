/* SPDX-License-Identifier: MIT */
/* The kernel's own way of moving pages, to hold umm migrate against. */
#ifndef VMM_BENCH_KERNEL_H
#define VMM_BENCH_KERNEL_H

#include "vmm/bench_report.h"
#include "vmm/bench_sweep.h"

/*
 * Sweeps "move_pages", over the batch as the sweep "batch" does, and "migrate_pages",
 * x 0: @pages anonymous 4 KiB pages of this process, all touched, there and back
 * between two nodes of the host, and bare copies of the same pages by the engine's own
 * copy routine. Where the host has one node there is nothing to compare with: a row of
 * the report says that it was skipped.
 */
int bench_kernel(struct sweep_set *set, struct bench_report *r, uint64_t pages, bool quick,
		 struct errmsg *e) UMM_MUST_CHECK;

#endif
