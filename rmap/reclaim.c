/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: from cold folios to free frames.
 *
 * Who asks, and where the victims come from: this file. What becomes of isolated
 * folios: rmap/shrink.c.
 *
 * Who is a victim, the node's policy says (umm/reclaim_policy.h). With tiering on,
 * reclaim that nobody asked for by name demotes instead: the cold folios of a fast
 * node move to a slow one (rmap/tier.c), after the batch.
 */
#include <umm/placement.h>
#include "rmap/shrink.h"

#include <sched.h>

/* As many in a row that could hardly write anything: as Linux, which gives up after 16. */
#define FUTILE_RECLAIMS 16

/* ---- where victims come from -------------------------------------------------- */

/* Some of a node's victims: frames scanned, 0 when there are none. */
static uint64_t shrink_node(struct shrink *s, int node, uint64_t want)
{
	struct list_head list;
	uint64_t taken, scanned;

	list_init(&list);
	scanned = lru_isolate(s->sys, node, want < SHRINK_ISOLATE ? want : SHRINK_ISOLATE, &list,
			      &taken);
	shrink_list(s, &list);
	return scanned;
}

/* Until enough is freed, as far as the budget of scanned frames goes. */
static void shrink_round(struct shrink *s, int node, uint64_t budget)
{
	while (s->res->freed < s->req->nr_frames && budget) {
		uint64_t scanned;

		umm_read_lock(&s->sys->work_lock);
		scanned = shrink_node(s, node, s->req->nr_frames - s->res->freed);
		umm_read_unlock(&s->sys->work_lock);
		if (!scanned)
			break;
		budget -= scanned < budget ? scanned : budget;
	}
}

/*
 * At most twice through the lists (once for ages, once for use), and once more for what was
 * spared (rmap/balance.c).
 */
static void shrink_whole_node(struct shrink *s, int node)
{
	uint64_t round = lru_frames(s->sys, node), budget = 2 * round + BATCH;

	shrink_round(s, node, s->req->ignore_references ? budget / 2 : budget);
	if (!s->spared)
		return;
	s->spares_none = true;
	shrink_round(s, node, round + BATCH);
	s->spares_none = false;
	s->spared = 0;
}

static void shrink_mm(struct shrink *s)
{
	struct mm_cursor c;
	struct list_head list;

	mm_cursor_init(&c, s->req->mm, s->req->start, s->req->end);
	list_init(&list);
	while (s->res->freed < s->req->nr_frames && mm_cursor_isolate(&c, &list, SHRINK_ISOLATE)) {
		umm_read_lock(&s->sys->work_lock);
		shrink_list(s, &list);
		umm_read_unlock(&s->sys->work_lock);
	}
}

int mm_reclaim(struct mm_sys *sys, const struct reclaim_request *req, struct reclaim_result *out)
{
	struct shrink *s;
	int ret;

	if (req->node >= (int)sys->nr_nodes || (req->holes && !sys->config.holes))
		return -EINVAL;
	s = sys_alloc(sys, sizeof(*s));
	if (!s)
		return -ENOMEM;
	shrink_init(s, sys, req, out);
	if (req->mm) {
		shrink_mm(s);
	} else {
		for (unsigned int i = 0; i < sys->nr_nodes; i++) {
			if (req->node < 0 || req->node == (int)i)
				shrink_whole_node(s, (int)i);
		}
	}
	shrink_end(s);
	if (req->discard)
		frames_discard_free(sys, req->node);
	ret = s->error;
	sys_free(sys, s, sizeof(*s));
	return ret;
}

uint64_t reclaim_demote(struct mm_sys *sys, int node, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = node };
	struct reclaim_result res;
	struct shrink *s = sys_alloc(sys, sizeof(*s));

	if (!s)
		return 0;
	shrink_init(s, sys, &req, &res);
	s->by = BY_KSWAPD;
	s->demote = DEMOTE_ONLY;
	shrink_whole_node(s, node);
	shrink_end(s);
	sys_free(sys, s, sizeof(*s));
	return res.freed;
}

uint64_t reclaim_background(struct mm_sys *sys, int node, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = node };
	struct reclaim_result res;
	struct shrink *s = sys_alloc(sys, sizeof(*s));

	if (!s)
		return 0;
	shrink_init(s, sys, &req, &res);
	s->by = BY_KSWAPD;
	s->demote = demotion_is_on(sys) ? DEMOTE_FIRST : DEMOTE_NEVER;
	shrink_whole_node(s, node);
	shrink_end(s);
	sys_free(sys, s, sizeof(*s));
	return res.freed;
}

/*
 * Nodes in the order in which an allocation on @node would try them; but with
 * tiering slow ones first, as demotion to a slow node that is full frees nothing.
 */
static int nth_node(const struct mm_sys *sys, int node, unsigned int i)
{
	uint64_t slow = demotion_is_on(sys) ? mm_placement_slow_nodes(sys) : 0;

	for (unsigned int pass = 0; pass < 2; pass++) {
		for (unsigned int k = 0; k < sys->nr_nodes; k++) {
			int id = k ? sys->nodes[node].fallback[k - 1] : node;

			if (!(slow & (1ul << id)) == !!pass && !i--)
				return id;
		}
	}
	return node;
}

/*
 * Every area's writes fail. What can still be freed are the last pages of files, which come
 * back at once: a program would crawl for minutes, where a kill is due.
 */
static void note_failing(struct mm_sys *sys, const struct reclaim_result *res, uint64_t nr)
{
	if (!res->io_error || res->freed > nr / 8)
		__atomic_store_n(&sys->futile_reclaims, 0, __ATOMIC_RELAXED);
	else
		__atomic_fetch_add(&sys->futile_reclaims, 1, __ATOMIC_RELAXED);
}

bool reclaim_is_futile(const struct mm_sys *sys)
{
	return __atomic_load_n(&sys->futile_reclaims, __ATOMIC_RELAXED) > FUTILE_RECLAIMS;
}

bool reclaim_direct(struct mm_sys *sys, struct place place, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = -1 };
	uint64_t nodes = nodes_online(sys, place.nodes);
	struct reclaim_result res;
	struct shrink *s;
	bool freed;

	/* The caller may hold folio locks, so it may only try; the validator is brief. */
	for (int i = 0; !umm_read_trylock(&sys->work_lock); i++) {
		if (i == 1000)
			return false;
		sched_yield();
	}
	s = sys_alloc(sys, sizeof(*s));
	if (!s) {
		umm_read_unlock(&sys->work_lock);
		return false;
	}
	sys_count(sys, EV_DIRECT_RECLAIM, 1);
	shrink_init(s, sys, &req, &res);
	s->by = BY_ALLOCATION;
	s->demote = demotion_is_on(sys) ? DEMOTE_FIRST : DEMOTE_NEVER;
	for (int pass = 0; pass < (s->spared ? 3 : 2) && res.freed < nr; pass++) {
		req.ignore_references = pass;
		s->spares_none = pass == 2;
		for (unsigned int i = 0; i < sys->nr_nodes && res.freed < nr; i++) {
			int id = nth_node(sys, place.node, i);
			uint64_t budget = lru_frames(sys, id) + BATCH;

			if (!(nodes & (1ul << id)))
				continue;
			while (res.freed < nr && budget) {
				uint64_t scanned = shrink_node(s, id, nr);

				if (!scanned)
					break;
				budget -= scanned < budget ? scanned : budget;
			}
		}
	}
	shrink_end(s);
	umm_read_unlock(&sys->work_lock);
	note_failing(sys, &res, nr);
	freed = res.freed > 0;
	for (unsigned int i = 0; freed && i < sys->nr_nodes; i++)
		kswapd_encourage(&sys->nodes[i]);
	sys_free(sys, s, sizeof(*s));
	return freed;
}

void madvise_pageout_range(struct vma *vma, gva_t start, gva_t end)
{
	struct mm_sys *sys = vma->mm->sys;
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX,
		.node = -1,
		.ignore_references = true,
	};
	struct reclaim_result res;
	struct list_head list;
	struct mm_cursor c;
	struct shrink *s = sys_alloc(sys, sizeof(*s));

	if (!s)
		return; /* advice */
	shrink_init(s, sys, &req, &res);
	madvise_split_edges(vma, start, end);
	mm_cursor_init(&c, vma->mm, start, end);
	c.private_only = true;
	c.locked = true;
	list_init(&list);
	while (mm_cursor_isolate(&c, &list, SHRINK_ISOLATE)) {
		umm_read_lock(&sys->work_lock);
		shrink_list(s, &list);
		umm_read_unlock(&sys->work_lock);
	}
	shrink_end(s);
	sys_free(sys, s, sizeof(*s));
}
