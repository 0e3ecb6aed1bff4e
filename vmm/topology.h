/* SPDX-License-Identifier: MIT */
/*
 * The host's NUMA nodes, asked of libnuma, and which of them each guest node
 * lies on: round robin over the host nodes that this process may take memory
 * from. With more guest nodes than host nodes several share one ("simulated
 * nodes"): placement is then bookkeeping, not distance, and whatever reports
 * on nodes says so.
 */
#ifndef VMM_TOPOLOGY_H
#define VMM_TOPOLOGY_H

#include <umm/types.h>

#include "vmm/errmsg.h"

struct topology {
	unsigned int nr_host_nodes; /* with memory that we may use */
	bool has_numa;              /* mbind means something here */
	bool simulated;
	unsigned int nr_nodes;
	int host_node[UMM_MAX_NODES];                   /* by guest node */
	uint8_t distance[UMM_MAX_NODES][UMM_MAX_NODES]; /* guest nodes, 10 = local */
};

int topology_read(struct topology *topology, unsigned int nr_nodes,
		  struct errmsg *e) UMM_MUST_CHECK;

/* Bind [hva, hva + len) strictly to one host node, or (-1) to all of them. */
int topology_bind(const struct topology *topology, void *hva, size_t len, int host_node);

#endif
