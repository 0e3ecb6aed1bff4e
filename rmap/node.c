/* SPDX-License-Identifier: MIT */
/*
 * Nodes that come and go.
 *
 *	online -- mm_node_offline() --> draining -- empty --> offline
 *	   ^                               |                      |
 *	   '--- no room, stopped, or mm_node_online() ------------'
 *
 * The allocator takes nothing from a node that is not online; a place that names
 * only such nodes falls back on those that are. Frames freed there stay there.
 * Somebody may have got a frame just before and map it only later, so draining
 * looks again until nothing is in use. What cannot leave (a pin, mostly) may in a
 * moment: the node stays draining, and the rest need not move twice. But if the
 * others have no room, even after reclaim, the guest needs the node back.
 */
#include "rmap/internal.h"

#include <time.h>

/* Looks at the whole node, when only frames on their way into use are left. */
#define DRAIN_PASSES 5
#define PAUSE_NS     5000000l

static uint64_t node_used(const struct mm_sys *sys, int node)
{
	const struct mm_node *n = &sys->nodes[node];

	return n->nr_frames - __atomic_load_n(&n->nr_free, __ATOMIC_RELAXED);
}

bool node_change_begin(struct mm_sys *sys)
{
	return !__atomic_exchange_n(&sys->nodes_changing, 1, __ATOMIC_ACQUIRE);
}

void node_change_end(struct mm_sys *sys)
{
	__atomic_store_n(&sys->nodes_changing, 0, __ATOMIC_RELEASE);
}

static void note_result(struct node_offline_result *out, const struct migrate_result *r)
{
	out->moved += r->moved;
	out->pinned = r->pinned;
	out->busy = r->busy;
	out->no_memory = r->no_memory;
	out->failed = r->failed;
	out->stopped |= r->stopped;
}

/* One pass over the other nodes, nearest first. */
static int drain_to_others(struct mm_sys *sys, const struct node_request *req,
			   struct node_offline_result *out)
{
	struct migrate_request move = {
		.from_mask = 1ul << req->node,
		.tries = req->tries,
		.progress = req->progress,
		.arg = req->arg,
	};
	struct mm_node *n = &sys->nodes[req->node];
	struct migrate_result r;
	int ret = 0;

	for (unsigned int i = 0; i + 1 < sys->nr_nodes; i++) {
		move.to = n->fallback[i];
		if (mm_node_state(sys, move.to) != MM_NODE_ONLINE)
			continue;
		ret = mm_migrate(sys, &move, &r);
		if (ret)
			break;
		note_result(out, &r);
		if (out->stopped || !node_used(sys, req->node) || !r.no_memory)
			break;
	}
	return ret;
}

/* What has no room elsewhere: to swap, or dropped if a file has it. */
static int drain_by_reclaim(struct mm_sys *sys, const struct node_request *req,
			    struct node_offline_result *out)
{
	struct reclaim_request reclaim = {
		.nr_frames = out->no_memory,
		.node = req->node,
		.ignore_references = true,
	};
	struct reclaim_result r = { .freed = 0 };
	int ret = mm_reclaim(sys, &reclaim, &r);

	out->reclaimed += r.freed;
	/* An I/O error leaves them where they are, which is told as such. */
	return ret == -ENOMEM ? ret : 0;
}

static int drain(struct mm_sys *sys, const struct node_request *req,
		 struct node_offline_result *out)
{
	int ret = 0;

	for (int pass = 0; !ret && pass < DRAIN_PASSES && node_used(sys, req->node); pass++) {
		if (pass)
			nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
		ret = drain_to_others(sys, req, out);
		if (out->stopped)
			break;
		if (!ret && out->no_memory) {
			uint64_t before = out->reclaimed;

			ret = drain_by_reclaim(sys, req, out);
			if (out->reclaimed == before)
				break;
		}
	}
	return ret;
}

int mm_node_offline(struct mm_sys *sys, const struct node_request *req,
		    struct node_offline_result *out)
{
	int node = req->node, ret;

	*out = (struct node_offline_result){ .stopped = false };
	if (node < 0 || node >= (int)sys->nr_nodes)
		return -EINVAL;
	if (!node_change_begin(sys))
		return -EAGAIN;
	ret = -EBUSY;
	if (!(__atomic_load_n(&sys->online, __ATOMIC_ACQUIRE) & ~(1ul << node)))
		goto out;
	out->used_before = node_used(sys, node);
	if (mm_node_state(sys, node) == MM_NODE_ONLINE)
		frames_set_state(sys, node, MM_NODE_DRAINING);
	ret = drain(sys, req, out);
	out->used_after = node_used(sys, node);
	if (!out->used_after)
		frames_set_state(sys, node, MM_NODE_OFFLINE);
	else if (ret || out->stopped || out->no_memory)
		frames_set_state(sys, node, MM_NODE_ONLINE);
	out->state = mm_node_state(sys, node);
	if (out->state == MM_NODE_OFFLINE)
		out->discarded = frames_discard_free(sys, node);
out:
	node_change_end(sys);
	return ret;
}

int mm_node_online(struct mm_sys *sys, int node)
{
	if (node < 0 || node >= (int)sys->nr_nodes)
		return -EINVAL;
	if (!node_change_begin(sys))
		return -EAGAIN;
	frames_set_state(sys, node, MM_NODE_ONLINE);
	node_change_end(sys);
	return 0;
}

void mm_node_blocks(struct mm_sys *sys, int node, struct node_blocks *out)
{
	struct mm_node *n = &sys->nodes[node];
	uint64_t end;

	memset(out, 0, sizeof(*out));
	mm_sys_free_blocks(sys, node, out->free);
	end = __atomic_load_n(&n->fresh, __ATOMIC_ACQUIRE);
	for (uint64_t i = 0; i < end;) {
		struct folio *f = &n->frames[i];
		unsigned int order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);
		bool used = folio_refcount(f) > 0 && !folio_test(f, PG_tail);

		if (order > UMM_MAX_ORDER || (!used && !folio_test(f, PG_buddy)))
			order = 0;
		if (used)
			out->folios[order]++;
		i += 1ul << order;
	}
}
