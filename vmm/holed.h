/* SPDX-License-Identifier: MIT */
/*
 * The thread that looks after a guest's holes (vmm/holes.h): keeps the host memory behind
 * the guest near what `umm run --resident` says, by making holes of what the reclaim policy
 * names, and takes pages that cannot be read back away from those that map them.
 *
 * The limit is kept by the clock. Who wants new memory waits a moment for it, who fills a
 * hole does not: that must wait for nothing that may need a lock of the manager. So the limit
 * is passed by what is touched within a tick; the highest is told.
 */
#ifndef VMM_HOLED_H
#define VMM_HOLED_H

#include <stdatomic.h>

#include <umm/mm.h>

#include "vmm/errmsg.h"
#include "vmm/host.h"
#include "vmm/ticker.h"

/* All zero: not started. */
struct holed {
	struct mm_sys *sys;
	struct host *host;
	uint64_t limit;     /* frames; 0: none */
	unsigned int waits; /* how often a page that cannot be read could not be taken away */
	_Atomic uint64_t peak;
	struct ticker ticker;
};

/* Does nothing for a host without holes. */
int holed_start(struct holed *d, struct mm_sys *sys, struct host *host, uint64_t limit_bytes,
		struct errmsg *e) UMM_MUST_CHECK;
/* Before the memory manager goes; also if it was never started. */
void holed_stop(struct holed *d);

#endif
