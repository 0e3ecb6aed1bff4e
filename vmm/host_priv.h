/* SPDX-License-Identifier: MIT */
/* What struct host is made of; only for the files that make and probe it. */
#ifndef VMM_HOST_PRIV_H
#define VMM_HOST_PRIV_H

#include "vmm/copier.h"
#include "vmm/holes.h"
#include "vmm/host.h"
#include "vmm/kvm.h"
#include "vmm/memory.h"
#include "vmm/swap_areas.h"
#include "vmm/topology.h"
#include "vmm/vcpu.h"
#include "vmm/zap.h"

struct host {
	struct kvm kvm;
	struct topology topology;
	struct memory memory;
	int uffd;
	struct vcpu_pool pool;
	struct zapper zapper;
	struct helper helper; /* of copies and migrations */
	struct copier copier;
	struct swap_areas swap;
	struct holes *holes;             /* NULL: not asked for */
	_Atomic uint64_t resident_limit; /* frames; 0: none */
	struct host_kind kind;
	bool probe_frames_taken; /* from the end of the table pool */
	_Atomic uint64_t discarded, populated;
};

/* Find out what this host does; fills pool.syscall_cpl, zapper, kind. */
int probe_host(struct host *host, struct errmsg *e) UMM_MUST_CHECK;

/*
 * Find out how tables are flushed, at the first flush; fills zapper.flush.
 * -EAGAIN: not now; -ENOTSUP: there is no way.
 */
int probe_flush(struct host *host) UMM_MUST_CHECK;

#endif
