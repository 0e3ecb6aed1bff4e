/* SPDX-License-Identifier: MIT */
/* What is wanted of one guest node; where nothing is said, the host's shape decides. */
#ifndef VMM_NODE_WISH_H
#define VMM_NODE_WISH_H

#include <umm/types.h>

struct node_wish {
	uint64_t bytes;                  /* 0: an equal share of what the others leave */
	int cpus;                        /* -1: not said */
	int host;                        /* host node to lie on, -1: not said */
	unsigned int weight;             /* of weighted interleaving, 0: not said */
	unsigned int nr_distances;       /* 0: not said, else one a node */
	uint8_t distance[UMM_MAX_NODES]; /* from this node to each */
};

#define NODE_WISH_NONE ((struct node_wish){ .cpus = -1, .host = -1 })

#endif
