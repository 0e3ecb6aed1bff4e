/* SPDX-License-Identifier: MIT */
/*
 * Nodes and the descriptors of their frames: from a number to a descriptor and back, which
 * node is online, and which is nearest to which. Free frames are rmap/buddy.c's, folios made
 * of them rmap/folio_alloc.c's.
 */
#include "rmap/internal.h"

static struct mm_node *node_of_pfn(const struct mm_sys *sys, pfn_t pfn)
{
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		struct mm_node *n = &sys->nodes[i];

		if (pfn.v - n->base.v < n->nr_frames)
			return n;
	}
	return NULL;
}

int sys_node_of(const struct mm_sys *sys, pfn_t pfn)
{
	return node_of_pfn(sys, pfn)->id;
}

struct folio *sys_frame(const struct mm_sys *sys, pfn_t pfn)
{
	return frame_find(sys, pfn);
}

pfn_t folio_pfn(const struct mm_sys *sys, const struct folio *f)
{
	return folio_first_pfn(sys, f);
}

void *frame_hva(const struct mm_sys *sys, pfn_t pfn)
{
	const struct mm_node *n = node_of_pfn(sys, pfn);

	return (char *)n->hva + ((pfn.v - n->base.v) << UMM_PAGE_SHIFT);
}

uint64_t frames_nr_free(const struct mm_sys *sys)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		if (mm_node_state(sys, (int)i) == MM_NODE_ONLINE)
			sum += node_nr_free(&sys->nodes[i]);
	}
	return sum;
}

void frames_set_state(struct mm_sys *sys, int node, enum mm_node_state state)
{
	struct mm_node *n = &sys->nodes[node];

	umm_mutex_lock(&n->free_lock);
	__atomic_store_n(&n->state, state, __ATOMIC_RELAXED);
	umm_mutex_unlock(&n->free_lock);
	if (state == MM_NODE_ONLINE)
		__atomic_fetch_or(&sys->online, 1ul << node, __ATOMIC_ACQ_REL);
	else
		__atomic_fetch_and(&sys->online, ~(1ul << node), __ATOMIC_ACQ_REL);
}

uint64_t nodes_online(const struct mm_sys *sys, uint64_t nodes)
{
	uint64_t online = __atomic_load_n(&sys->online, __ATOMIC_ACQUIRE);

	return nodes & online ? nodes & online : online;
}

/* The other nodes by distance, nearest first (stable for equal distances). */
static void node_order_fallback(struct mm_sys *sys, struct mm_node *n)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		unsigned int d, at;

		if ((int)i == n->id)
			continue;
		d = sys->ops->node_distance(sys->ctx, n->id, (int)i);
		for (at = nr; at > 0; at--) {
			if (sys->ops->node_distance(sys->ctx, n->id, n->fallback[at - 1]) <= d)
				break;
			n->fallback[at] = n->fallback[at - 1];
		}
		n->fallback[at] = (uint8_t)i;
		nr++;
	}
}

static int node_init(struct mm_sys *sys, struct mm_node *n, int id)
{
	const struct mm_node_config *c = &sys->config.nodes[id];

	n->id = id;
	n->base = c->base;
	n->nr_frames = c->nr_frames;
	n->hva = c->hva;
	umm_mutex_init(&n->free_lock, LOCK_FREE);
	umm_mutex_init(&n->lru_lock, LOCK_LRU);
	for (int o = 0; o <= UMM_MAX_ORDER; o++)
		list_init(&n->free[o]);
	node_order_fallback(sys, n);
	n->frames = sys_alloc(sys, n->nr_frames * sizeof(*n->frames));
	if (!n->frames)
		return -ENOMEM;
	n->nr_free = n->nr_frames;
	watermarks_set(sys, n);
	return 0;
}

int frames_init(struct mm_sys *sys)
{
	int ret = 0;

	sys->nodes = sys_alloc(sys, sys->nr_nodes * sizeof(*sys->nodes));
	if (!sys->nodes)
		return -ENOMEM;
	for (unsigned int i = 0; !ret && i < sys->nr_nodes; i++)
		ret = node_init(sys, &sys->nodes[i], (int)i);
	sys->online = sys->nr_nodes < 64 ? (1ul << sys->nr_nodes) - 1 : ~0ul;
	if (ret)
		frames_destroy(sys);
	return ret;
}

void frames_destroy(struct mm_sys *sys)
{
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		struct mm_node *n = &sys->nodes[i];

		shadows_destroy(sys, n);
		sys_free(sys, n->frames, n->nr_frames * sizeof(*n->frames));
	}
	sys_free(sys, sys->nodes, sys->nr_nodes * sizeof(*sys->nodes));
}
