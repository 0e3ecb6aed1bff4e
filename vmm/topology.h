/* SPDX-License-Identifier: MIT */
/*
 * The host's NUMA nodes, asked of libnuma, and which of them each guest node
 * lies on: round robin over the host nodes that this process may take memory
 * from. With more guest nodes than host nodes several share one ("simulated
 * nodes"): placement is then bookkeeping, not distance, and whatever reports
 * on nodes says so.
 *
 * Guest processor i is the host's i-th that this process may use, counted
 * round, and belongs to a guest node on the same host node; guest nodes that
 * share a host node share out its processors in blocks. Wishes come first in
 * all of this.
 */
#ifndef VMM_TOPOLOGY_H
#define VMM_TOPOLOGY_H

#include <umm/types.h>

#include "guest/guest.h"
#include "vmm/errmsg.h"
#include "vmm/node_wish.h"

#define TOPOLOGY_CPUS_MAX 1024

struct topology {
	unsigned int nr_host_nodes; /* with memory that we may use */
	bool has_numa;              /* mbind means something here */
	bool simulated;
	unsigned int nr_nodes;
	int host_node[UMM_MAX_NODES];                   /* by guest node */
	uint8_t distance[UMM_MAX_NODES][UMM_MAX_NODES]; /* guest nodes, 10 = local */
	unsigned int nr_cpus;                           /* of the guest */
	struct guest_cpu cpus[TOPOLOGY_CPUS_MAX];
};

/* @wishes: one a node, or NULL for none. */
int topology_read(struct topology *topology, unsigned int nr_nodes, unsigned int nr_cpus,
		  const struct node_wish *wishes, struct errmsg *e) UMM_MUST_CHECK;

/* Bind [hva, hva + len) strictly to one host node, or (-1) to all of them. */
int topology_bind(const struct topology *topology, void *hva, size_t len, int host_node);

#endif
