/* SPDX-License-Identifier: MIT */
#include "vmm/topology.h"

#include <errno.h>
#include <limits.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <string.h>

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

/* ---- memory ---------------------------------------------------------------------- */

static int lie_on(struct topology *topology, unsigned int i, const int *nodes, int host,
		  struct errmsg *e)
{
	for (unsigned int k = 0; k < topology->nr_host_nodes; k++) {
		if (nodes[k] == host) {
			topology->host_node[i] = host;
			return 0;
		}
	}
	return errmsg_set(e, -EINVAL,
			  "node%u: host node %d has no memory for this process; leave `host' "
			  "out, or look at numactl --hardware",
			  i, host);
}

static int place_nodes(struct topology *topology, const int *nodes, const struct node_wish *wishes,
		       struct errmsg *e)
{
	uint64_t taken[UMM_MAX_NODES] = { 0 };
	int rc = 0;

	for (unsigned int i = 0; !rc && i < topology->nr_nodes; i++) {
		topology->host_node[i] = nodes[i % topology->nr_host_nodes];
		if (wishes && wishes[i].host >= 0)
			rc = lie_on(topology, i, nodes, wishes[i].host, e);
		if (!rc && topology->host_node[i] < UMM_MAX_NODES &&
		    taken[topology->host_node[i]]++)
			topology->simulated = true;
	}
	return rc;
}

static void measure_distances(struct topology *topology, const struct node_wish *wishes)
{
	for (unsigned int i = 0; i < topology->nr_nodes; i++) {
		for (unsigned int j = 0; j < topology->nr_nodes; j++) {
			bool said = wishes && wishes[i].nr_distances > j;

			topology->distance[i][j] = said ? wishes[i].distance[j]
							: guest_distance(topology, i, j);
		}
	}
}

/* ---- processors ------------------------------------------------------------------ */

static int node_of_host_cpu(const struct topology *topology, int cpu)
{
	return topology->has_numa ? numa_node_of_cpu(cpu) : 0;
}

/* The host processors that this process may use; at least one. */
static unsigned int host_cpus(int *out)
{
	unsigned int nr = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		CPU_ZERO(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			out[nr++] = cpu;
	if (!nr)
		out[nr++] = 0;
	return nr;
}

/* Distance from a host node to the one of guest node @i. */
static int host_distance(const struct topology *topology, int from, unsigned int i)
{
	int to = topology->host_node[i];

	if (!topology->has_numa || from == to || from < 0)
		return from == to ? 0 : 1;
	return numa_distance(from, to);
}

/*
 * Guest nodes that @wanted picks and that are nearest to the processor's host
 * node. There is one at least.
 */
static unsigned int nearest_nodes(const struct topology *topology, int host_cpu, const bool *wanted,
				  unsigned int *out)
{
	int from = node_of_host_cpu(topology, host_cpu), best = INT_MAX;
	unsigned int nr = 0;

	for (unsigned int i = 0; i < topology->nr_nodes; i++) {
		int d = wanted[i] ? host_distance(topology, from, i) : INT_MAX;

		if (d == INT_MAX || d > best)
			continue;
		if (d < best)
			nr = 0;
		best = d;
		out[nr++] = i;
	}
	return nr;
}

/* Processors [first, nr_cpus) go to the nodes that @wanted picks, by where the host has them. */
static void deal_cpus(struct topology *topology, unsigned int first, const bool *wanted,
		      const int *host, unsigned int nr_host)
{
	unsigned int near[UMM_MAX_NODES];

	for (unsigned int i = first; i < topology->nr_cpus; i++) {
		struct guest_cpu *cpu = &topology->cpus[i];
		int home = node_of_host_cpu(topology, host[i % nr_host]);
		unsigned int before = 0, all = 0, nr;

		for (unsigned int k = first; k < topology->nr_cpus; k++) {
			bool same = node_of_host_cpu(topology, host[k % nr_host]) == home;

			all += same;
			before += same && k < i;
		}
		nr = nearest_nodes(topology, host[i % nr_host], wanted, near);
		cpu->host = (int16_t)host[i % nr_host];
		cpu->node = (int16_t)near[before * nr / all];
	}
}

/* The @k-th processor of guest node @i: one of the host node's, if it has any. */
static int cpu_near_node(const struct topology *topology, unsigned int i, unsigned int k,
			 const int *host, unsigned int nr_host)
{
	unsigned int there = 0;

	for (unsigned int h = 0; h < nr_host; h++)
		there += node_of_host_cpu(topology, host[h]) == topology->host_node[i];
	k = there && !topology->simulated ? k % there : k;
	for (unsigned int h = 0; there && !topology->simulated && h < nr_host; h++)
		if (node_of_host_cpu(topology, host[h]) == topology->host_node[i] && !k--)
			return host[h];
	return -1;
}

/* Nodes whose number of processors is wished for get theirs first, in order. */
static void place_cpus(struct topology *topology, const struct node_wish *wishes)
{
	bool others[UMM_MAX_NODES] = { false }, any = false;
	int host[CPU_SETSIZE];
	unsigned int nr_host = host_cpus(host), next = 0;

	for (unsigned int i = 0; i < topology->nr_nodes; i++) {
		int nr = wishes ? wishes[i].cpus : -1;

		others[i] = nr < 0;
		any |= others[i];
		for (int k = 0; k < nr && next < topology->nr_cpus; k++, next++) {
			int cpu = cpu_near_node(topology, i, (unsigned int)k, host, nr_host);

			topology->cpus[next].node = (int16_t)i;
			topology->cpus[next].host =
				(int16_t)(cpu >= 0 ? cpu : host[next % nr_host]);
		}
	}
	if (!any) {
		/* More processors than the nodes were given: they are the first node's. */
		others[0] = true;
	}
	deal_cpus(topology, next, others, host, nr_host);
}

int topology_read(struct topology *topology, unsigned int nr_nodes, unsigned int nr_cpus,
		  const struct node_wish *wishes, struct errmsg *e)
{
	int nodes[UMM_MAX_NODES] = { 0 }, rc;

	if (nr_cpus > TOPOLOGY_CPUS_MAX)
		return errmsg_set(e, -EINVAL, "%u guest processors asked for; %d are possible",
				  nr_cpus, TOPOLOGY_CPUS_MAX);
	if (!nr_nodes || nr_nodes > UMM_MAX_NODES)
		return errmsg_set(e, -EINVAL, "%u guest nodes asked for; 1 to %d are possible",
				  nr_nodes, UMM_MAX_NODES);
	memset(topology, 0, sizeof(*topology));
	topology->nr_nodes = nr_nodes;
	topology->nr_host_nodes = 1;
	topology->nr_cpus = nr_cpus;
	topology->has_numa = numa_available() >= 0;
	if (topology->has_numa)
		topology->nr_host_nodes = usable_nodes(nodes, UMM_MAX_NODES);
	if (!topology->nr_host_nodes)
		return errmsg_set(e, -ENOMEM,
				  "no host NUMA node has memory for this process; "
				  "check its cpuset (Mems_allowed in /proc/self/status)");
	rc = place_nodes(topology, nodes, wishes, e);
	if (rc)
		return rc;
	measure_distances(topology, wishes);
	place_cpus(topology, wishes);
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
