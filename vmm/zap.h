/* SPDX-License-Identifier: MIT */
/*
 * Dropping translations that vCPUs have cached.
 *
 * The VMM edits guest page tables by plain stores, which KVM does not see. On
 * hardware with nested paging the processor's TLB may hold what an entry said
 * before; with shadow paging KVM itself holds it, and no flush of the vCPU
 * helps. What helps on both is to make KVM's MMU notifier run over the host
 * range of the frames: KVM drops every translation to them, flushes what
 * running vCPUs have, and returns when that is done.
 *
 * UFFDIO_WRITEPROTECT runs the notifier over the range it is given, whether it
 * changes a page or not. So the first choice is to *clear* a protection that
 * was never set: no page is protected for an instant, nothing ever blocks on
 * the userfaultfd, and it costs half of setting and clearing (1.7 against 3.5
 * us for a page, one fifth under contention with running vCPUs). Should a
 * kernel one day skip the notifier when nothing changes, the probe finds out
 * and takes set-and-clear. Rejected: mprotect (a store by the VMM in between
 * would crash it), UFFD_FEATURE_WP_ASYNC (leaves pages protected: an extra
 * fault for each).
 *
 * Non-leaf entries: adding, moving or deleting *any* memory slot makes KVM drop
 * all shadow pages and all nested translations of the VM, so a one-page dummy
 * slot that moves does it, while RAM stays in place and vCPUs run.
 */
#ifndef VMM_ZAP_H
#define VMM_ZAP_H

#include <umm/host_ops.h>

#include "vmm/memory.h"
#include "vmm/vcpu.h"

enum zap_primitive {
	ZAP_UFFD_CLEAR,  /* clear a protection that is not there */
	ZAP_UFFD_TOGGLE, /* set it and clear it */
	ZAP_FLUSH,       /* flush everything: the last resort */
	ZAP_NR
};

enum flush_primitive {
	FLUSH_DUMMY_SLOT, /* move the dummy slot */
	FLUSH_SLOT_CYCLE, /* stop all vCPUs, delete and set all slots */
	FLUSH_NR
};

struct holes;
struct host;

struct zapper {
	struct host *host;
	const struct kvm *kvm;
	const struct memory *memory;
	struct vcpu_pool *pool;
	int uffd;
	struct holes *holes; /* NULL, or who has frames protected for a while */
	enum zap_primitive primitive;
	enum flush_primitive flush;
	pthread_mutex_t flush_lock; /* guards what follows, but for the counts */
	bool flush_proven;          /* `flush` is known to work here */
	bool dummy_set;             /* the dummy slot is there, */
	bool dummy_moved;           /* at its alternative address */
	uint64_t flush_done;        /* number of the last flush completed */
	_Atomic uint64_t flush_begun;
	_Atomic uint64_t calls, ranges, frames, flushes;
};

/* The parts of @host that it needs are there already; nothing can fail. */
void zapper_init(struct zapper *zapper, struct host *host);

/* Contracts: include/umm/host_ops.h. */
void zap_frames(struct zapper *zapper, const struct frame_range *ranges, unsigned int nr);
void zap_flush_tables(struct zapper *zapper);

/* One flush with `flush`, flush_lock held: for the probe. */
int zap_flush_once(struct zapper *zapper);

const char *zap_primitive_name(enum zap_primitive primitive);
const char *flush_primitive_name(enum flush_primitive flush);

#endif
