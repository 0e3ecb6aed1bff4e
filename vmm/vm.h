/* SPDX-License-Identifier: MIT */
/* A whole guest: host layer, memory manager, swap and guest side, put together. */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <umm/mm.h>

#include "guest/guest.h"
#include "vmm/holed.h"
#include "vmm/host.h"
#include "vmm/khugepaged.h"
#include "vmm/ksmd.h"
#include "vmm/kswapd.h"
#include "vmm/swap_reader.h"
#include "vmm/placer.h"
#include "vmm/policyd.h"
#include "vmm/run_options.h"
#include "vmm/vm_swap.h"

struct vm {
	struct run_options options; /* with the name it got */
	char *const *argv;          /* the program, for reports */
	uint64_t start_ns;          /* CLOCK_MONOTONIC */
	struct host *host;
	struct mm_sys *sys;
	struct placer placer;
	struct khugepaged khugepaged;
	struct ksmd ksmd;
	struct kswapd kswapd;
	struct swap_readers swap_readers;
	struct policyd policyd;
	struct holed holed;
	struct vm_swap swap; /* the areas */
	struct guest *guest;
};

/*
 * Make the guest that @options ask for; nothing runs in it yet. @argv must live
 * as long as @vm. On failure -errno with a sentence in @e, and nothing is left.
 */
int vm_create(struct vm *vm, const struct run_options *options, char *const *argv,
	      struct errmsg *e) UMM_MUST_CHECK;

/* Every process must have ended. */
void vm_destroy(struct vm *vm);

/* Bytes of host memory that stand behind the RAM of guest node @node now. */
uint64_t vm_node_resident(const struct vm *vm, unsigned int node);
/* The same for all nodes. */
uint64_t vm_resident(const struct vm *vm);

/*
 * Where the used frames of guest node @node really are, asked of the host's
 * kernel: on_host[n] frames on host node n, *absent with no host memory yet.
 * Frames that come and go meanwhile are counted or not.
 */
void vm_node_physical(const struct vm *vm, unsigned int node, uint64_t on_host[UMM_MAX_NODES],
		      uint64_t *absent);

uint64_t vm_now_ns(void);

#endif
