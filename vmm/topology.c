/* SPDX-License-Identifier: MIT */
#include "vmm/topology.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>

#define DISTANCE_LOCAL  10u
#define DISTANCE_REMOTE 20u /* when the firmware tells none, and for simulated nodes */

static unsigned int usable_nodes(int *nodes, unsigned int max)
{
	struct bitmask *allowed = numa_get_mems_allowed();
	unsigned int nr = 0;

	for (int node = 0; node <= numa_max_node() && nr < max; node++)
		if (numa_bitmask_isbitset(allowed, (unsigned int)node) &&
		    numa_node_size64(node, NULL) > 0)
			nodes[nr++] = node;
	numa_bitmask_free(allowed);
	return nr;
}

static uint8_t guest_distance(const struct topology *topology, unsigned int a, unsigned int b)
{
	int d;

	if (a == b)
		return DISTANCE_LOCAL;
	if (topology->host_node[a] == topology->host_node[b])
		return DISTANCE_REMOTE;
	d = numa_distance(topology->host_node[a], topology->host_node[b]);
	return d > (int)DISTANCE_LOCAL && d < 256 ? (uint8_t)d : DISTANCE_REMOTE;
}

int topology_read(struct topology *topology, unsigned int nr_nodes, struct errmsg *e)
{
	int nodes[UMM_MAX_NODES] = { 0 };

	if (!nr_nodes || nr_nodes > UMM_MAX_NODES)
		return errmsg_set(e, -EINVAL, "%u guest nodes asked for; 1 to %d are possible",
				  nr_nodes, UMM_MAX_NODES);
	*topology = (struct topology){ .nr_nodes = nr_nodes, .nr_host_nodes = 1 };
	topology->has_numa = numa_available() >= 0;
	if (topology->has_numa)
		topology->nr_host_nodes = usable_nodes(nodes, UMM_MAX_NODES);
	if (!topology->nr_host_nodes)
		return errmsg_set(e, -ENOMEM,
				  "no host NUMA node has memory for this process; "
				  "check its cpuset (Mems_allowed in /proc/self/status)");
	topology->simulated = nr_nodes > topology->nr_host_nodes;
	for (unsigned int i = 0; i < nr_nodes; i++)
		topology->host_node[i] = nodes[i % topology->nr_host_nodes];
	for (unsigned int i = 0; i < nr_nodes; i++)
		for (unsigned int j = 0; j < nr_nodes; j++)
			topology->distance[i][j] = guest_distance(topology, i, j);
	return 0;
}

/*
 * A bind policy also takes the range out of the host's automatic NUMA
 * balancing, which would zap our mappings by the thousand only to sample them.
 */
int topology_bind(const struct topology *topology, void *hva, size_t len, int host_node)
{
	struct bitmask *mask;
	int rc = 0;

	if (!topology->has_numa)
		return 0;
	if (host_node < 0) {
		mask = numa_get_mems_allowed();
	} else {
		mask = numa_allocate_nodemask();
		numa_bitmask_setbit(mask, (unsigned int)host_node);
	}
	if (mbind(hva, len, MPOL_BIND, mask->maskp, mask->size + 1, 0))
		rc = -errno;
	numa_bitmask_free(mask);
	return rc;
}
