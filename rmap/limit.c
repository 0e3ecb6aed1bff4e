/* SPDX-License-Identifier: MIT */
/*
 * The limit of the guest's memory, changed while it runs.
 *
 * Each node gets its share of the limit. Growing only gives the nodes more to hand
 * out. Shrinking follows what reclaim gains: the limit of a node is lowered to
 * what is in use and the high watermark, never below, so that a fault meanwhile
 * finds frames, or has to reclaim no more than it needs. Then free frames beyond
 * the limit go back to the host, and the next piece is reclaimed.
 *
 * Only a lower limit counts as gain, not what reclaim freed: a program that runs
 * faults its own text back in as fast as reclaim drops it, for ever.
 */
#include "rmap/internal.h"

#define PIECE 2048u
/* Pieces without any gain before it is said that no more can go. */
#define FUTILE_PIECES 4

struct limiter {
	struct mm_sys *sys;
	const struct limit_request *req;
	struct limit_result *out;
	uint64_t present; /* frames of all nodes */
	uint64_t before;
};

static uint64_t limit_now(const struct mm_sys *sys)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		sum += node_limit(&sys->nodes[i]);
	return sum;
}

uint64_t mm_limit(const struct mm_sys *sys)
{
	return limit_now(sys);
}

static uint64_t node_in_use(const struct mm_node *n)
{
	return n->nr_frames - __atomic_load_n(&n->nr_free, __ATOMIC_RELAXED);
}

static void set_node(struct limiter *l, struct mm_node *n, uint64_t limit)
{
	frames_set_limit(n, limit);
	watermarks_set(l->sys, n);
	kswapd_encourage(n);
}

/* As low as what is in use lets it be. */
static void lower(struct limiter *l, struct mm_node *n, uint64_t target)
{
	uint64_t least = node_in_use(n) + __atomic_load_n(&n->wmark[WMARK_HIGH], __ATOMIC_RELAXED);

	if (least < target)
		least = target;
	if (least < node_limit(n))
		set_node(l, n, least);
	l->out->discarded += frames_trim(l->sys, n);
}

static bool told_to_stop(struct limiter *l)
{
	uint64_t now = limit_now(l->sys);

	if (l->req->progress && l->req->progress(l->req->arg, l->before > now ? l->before - now : 0,
						 l->before - l->req->nr_frames))
		l->out->stopped = true;
	return l->out->stopped;
}

static void reclaim_piece(struct limiter *l, int node, bool everything)
{
	struct reclaim_request req = {
		.nr_frames = PIECE,
		.node = node,
		.ignore_references = everything,
	};
	struct reclaim_result res;
	int ret = mm_reclaim(l->sys, &req, &res);

	if (ret && !l->out->error)
		l->out->error = ret;
	l->out->reclaimed += res.freed;
	l->out->no_swap = res.no_swap;
	l->out->mlocked = res.mlocked;
	l->out->pinned = res.pinned;
}

static void shrink_node(struct limiter *l, struct mm_node *n, uint64_t target)
{
	int futile = 0;

	lower(l, n, target);
	while (node_limit(n) > target && futile < FUTILE_PIECES && !told_to_stop(l)) {
		uint64_t was = node_limit(n);

		/* What is in use goes only if nothing else does. */
		reclaim_piece(l, n->id, futile);
		lower(l, n, target);
		futile = node_limit(n) < was ? 0 : futile + 1;
	}
}

int mm_limit_set(struct mm_sys *sys, const struct limit_request *req, struct limit_result *out)
{
	struct limiter l = { .sys = sys, .req = req, .out = out, .before = limit_now(sys) };

	memset(out, 0, sizeof(*out));
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		l.present += sys->nodes[i].nr_frames;
	if (req->nr_frames > l.present || req->nr_frames / sys->nr_nodes < LIMIT_NODE_MIN)
		return -EINVAL;
	if (!node_change_begin(sys))
		return -EAGAIN;
	for (unsigned int i = 0; i < sys->nr_nodes && !out->stopped; i++) {
		struct mm_node *n = &sys->nodes[i];
		uint64_t share =
			(uint64_t)((unsigned __int128)n->nr_frames * req->nr_frames / l.present);

		if (share >= node_limit(n))
			set_node(&l, n, share);
		else
			shrink_node(&l, n, share);
	}
	out->nr_frames = limit_now(sys);
	node_change_end(sys);
	return 0;
}
