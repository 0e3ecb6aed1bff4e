/* SPDX-License-Identifier: MIT */
/*
 * Tiering: between fast nodes and slow ones (without processors, or far away).
 *
 *	down	reclaim hands cold folios of a fast node to demote_list() instead of
 *		to swap, as long as a slow node has room; the tick does the same before
 *		a fast node is full, or when something hot found no room there
 *	up	by hint faults (rmap/hint_fault.c), or by sampling: the A bits of the
 *		slow nodes' folios are taken a few thousand at a time, and the policy
 *		says who was used often enough
 *
 * From a slow node reclaim swaps as ever.
 */
#include "rmap/hint.h"
#include "rmap/migrate.h"

/* A fast node with less than this free is relieved ... */
#define ROOM_LOW(n) ((n)->nr_frames / 32)
/* ... until it has this. */
#define ROOM_ENOUGH(n) ((n)->nr_frames / 16)

/* Frames looked at, by one tick. */
#define SAMPLE_FRAMES 2048u
#define SAMPLE_BATCH  256u

/* ---- down ------------------------------------------------------------------------ */

static struct placement *tier_of(const struct mm_sys *sys)
{
	return &sys->placements->kind[PLACEMENT_TIER];
}

bool demotion_is_on(const struct mm_sys *sys)
{
	const struct placement_policy *policy = placement_policy_of(tier_of(sys));

	return policy && policy->demotion_target;
}

int demotion_target(struct mm_sys *sys, struct folio *f)
{
	struct placement *p = tier_of(sys);
	const struct placement_policy *policy = placement_policy_of(p);
	struct placement_page page;
	int to;

	if (!policy || !policy->demotion_target || placement_node_is_slow(p, f->node) ||
	    !placement_page_init(p, f, &page))
		return PLACEMENT_STAY;
	to = policy->demotion_target(p, &page);
	if (to < 0 || to >= (int)sys->nr_nodes || !node_has_room(sys, to, folio_nr(f)))
		return PLACEMENT_STAY;
	return to;
}

/* What goes to @to leaves @list; the rest stays on it. */
static uint64_t take_for(struct mm_sys *sys, struct list_head *list, int to, struct list_head *out)
{
	struct folio *f, *tmp;
	uint64_t nr = 0;

	list_for_each_entry_safe(f, tmp, list, lru)
	{
		int target = demotion_target(sys, f);

		/* Full by now: it is tried all the same, and stays where it is. */
		if (target != to && target != PLACEMENT_STAY)
			continue;
		list_del(&f->lru);
		list_add_tail(&f->lru, out);
		nr += folio_nr(f);
	}
	return nr;
}

static uint64_t demote_to(struct placement *p, struct list_head *list, int to)
{
	struct migrate_request req = { .to = to };
	struct migrate_result res;
	struct migration *m = migration_start(p->sys, &req, &res);

	if (!m) {
		while (!list_empty(list)) {
			struct folio *f = list_first_entry(list, struct folio, lru);

			list_del(&f->lru);
			lru_putback(p->sys, f, false);
		}
		return 0;
	}
	m->placement = p;
	migrate_list(m, list);
	migration_end(m);
	placement_count(&p->count.pinned, res.pinned);
	placement_count(&p->count.no_memory, res.no_memory);
	placement_count(&p->count.busy, res.busy);
	placement_count(&p->count.failed, res.failed);
	return res.moved;
}

uint64_t demote_list(struct mm_sys *sys, struct list_head *list, bool direct)
{
	struct placement *p = tier_of(sys);
	uint64_t moved = 0;

	while (!list_empty(list)) {
		int to = demotion_target(sys, list_first_entry(list, struct folio, lru));
		struct list_head part;

		list_init(&part);
		if (to == PLACEMENT_STAY)
			to = placement_nearest_slow(
				p, list_first_entry(list, struct folio, lru)->node);
		take_for(sys, list, to, &part);
		moved += demote_to(p, &part, to);
	}
	placement_count(&p->count.demoted, moved);
	sys_count(sys, direct ? EV_PGDEMOTE_DIRECT : EV_PGDEMOTE_KSWAPD, moved);
	return moved;
}

/* Frames to demote from a fast node, so that new pages and hot ones find room there. */
static uint64_t node_lacks(struct placement *p, int node)
{
	const struct mm_node *n = &p->sys->nodes[node];
	uint64_t free = __atomic_load_n(&n->nr_free, __ATOMIC_RELAXED);
	uint64_t wanted = __atomic_exchange_n(&p->wanted[node], 0, __ATOMIC_RELAXED);
	uint64_t low = ROOM_LOW(n), enough = ROOM_ENOUGH(n);

	/* 2 MiB of a small node are more than what it keeps free otherwise. */
	if (wanted && !node_has_room(p->sys, node, wanted)) {
		low = enough > low + wanted ? enough : low + wanted;
		enough = low;
	}
	return free < low ? enough - free : 0;
}

void tier_demote(struct placement *p)
{
	struct mm_sys *sys = p->sys;

	if (!demotion_is_on(sys))
		return;
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		uint64_t nr = placement_node_is_slow(p, (int)i) ? 0 : node_lacks(p, (int)i);

		if (nr)
			reclaim_demote(sys, (int)i, nr);
	}
}

/* ---- up, by samples ----------------------------------------------------------------- */

struct sample {
	struct placement *p;
	const struct placement_policy *policy;
	struct zap_batch zap;
	struct list_head hot[UMM_MAX_NODES]; /* by where they go */
	uint64_t goes;                       /* bit a node: its list is not empty */
};

/* With a reference. Was it used since the last sample? From now on it is idle. */
static bool take_accessed(struct sample *s, struct folio *f)
{
	struct mm_sys *sys = s->p->sys;
	bool accessed;

	page_idle_clear_pte_refs(sys, f);
	accessed = !folio_test(f, PG_idle);
	folio_set(f, PG_idle);
	/* Cached translations would hide the next use. */
	if (accessed)
		zap_batch_add(&s->zap, folio_pfn(sys, f), folio_nr(f));
	return accessed;
}

static void sample_folio(struct sample *s, struct folio *f)
{
	struct placement_page page;
	int to;

	if (!folio_mapped(f) || folio_test_ksm(f) || !placement_page_init(s->p, f, &page))
		return;
	page.accessed = take_accessed(s, f);
	placement_count(&s->p->count.scanned, folio_nr(f));
	to = s->policy->sampled(s->p, &page);
	if (to < 0 || to >= (int)s->p->sys->nr_nodes || to == f->node)
		return;
	if (lru_isolate_folio(s->p->sys, f)) {
		list_add_tail(&f->lru, &s->hot[to]);
		s->goes |= 1ul << to;
	}
}

/* Of frames [*at, end): those in use, until @max were looked at. work_lock held. */
static uint64_t sample_frames(struct sample *s, struct mm_node *n, uint64_t *at, uint64_t end,
			      uint64_t max)
{
	uint64_t looked = 0;

	while (*at < end && looked < max) {
		struct folio *f = &n->frames[*at];
		uint32_t flags = folio_flags(f);
		unsigned int order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);

		looked++;
		if (flags & (1u << PG_buddy)) {
			*at += order <= UMM_MAX_ORDER ? 1ul << order : 1;
			continue;
		}
		++*at;
		if ((flags & (1u << PG_tail)) || !(flags & (1u << PG_lru)) || !folio_try_get(f))
			continue;
		*at += folio_nr(f) - 1;
		sample_folio(s, f);
		folio_put(s->p->sys, f);
	}
	return looked;
}

static void move_hot(struct sample *s)
{
	for (int to = 0; s->goes; to++, s->goes >>= 1) {
		if (s->goes & 1)
			placement_move(s->p, &s->hot[to], to);
	}
}

static void sample_node(struct sample *s, struct mm_node *n, uint64_t end, uint64_t *left)
{
	struct placements *all = s->p->sys->placements;

	while (*left && all->sample_at < end) {
		uint64_t looked;

		umm_read_lock(&s->p->sys->work_lock);
		looked = sample_frames(s, n, &all->sample_at, end,
				       *left < SAMPLE_BATCH ? *left : SAMPLE_BATCH);
		zap_batch_flush(&s->zap);
		umm_read_unlock(&s->p->sys->work_lock);
		move_hot(s);
		*left -= looked;
	}
}

/* Round the slow nodes once, from where the last tick left off, or a part of the way. */
static void sample_round(struct sample *s, uint64_t left)
{
	struct mm_sys *sys = s->p->sys;
	struct placements *all = sys->placements;
	uint64_t start = all->sample_at;

	for (unsigned int i = 0;; i++) {
		struct mm_node *n = &sys->nodes[all->sample_node];
		uint64_t end = __atomic_load_n(&n->fresh, __ATOMIC_ACQUIRE);

		/* Back at the first node: what was before the start is still to do. */
		if (i == sys->nr_nodes)
			end = start;
		if (placement_node_is_slow(s->p, all->sample_node))
			sample_node(s, n, end, &left);
		if (!left || i == sys->nr_nodes)
			return;
		all->sample_at = 0;
		all->sample_node = (all->sample_node + 1) % (int)sys->nr_nodes;
	}
}

void tier_sample(struct placement *p)
{
	const struct placement_policy *policy = placement_policy_of(p);
	struct sample s = { .p = p, .policy = policy };

	if (!policy || !policy->sampled)
		return;
	for (unsigned int i = 0; i < p->sys->nr_nodes; i++)
		list_init(&s.hot[i]);
	zap_batch_init(&s.zap, p->sys);
	sample_round(&s, SAMPLE_FRAMES);
	zap_batch_destroy(&s.zap);
}
