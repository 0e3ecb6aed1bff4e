/* SPDX-License-Identifier: MIT */
/*
 * What placement remembers: the list of policies and their state, notes on
 * frames, budgets and counters. And what policies may ask.
 */
#include "rmap/hint.h"

#include <time.h>

static const struct placement_policy *const policies[] = {
	&placement_two_fault,
	&placement_majority,
	&placement_recency,
	&placement_sampling,
};

#define NR_POLICIES (sizeof(policies) / sizeof(policies[0]))
static_assert(NR_POLICIES <= PLACEMENT_POLICIES_MAX, "room for the state of each");

/* What promotion may copy, unless the host says otherwise: 256 MiB a second. */
#define DEFAULT_TIER_RATE (256ul << (20 - UMM_PAGE_SHIFT))

uint64_t placement_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- policies ------------------------------------------------------------------- */

const struct placement_policy *placement_policy_get(unsigned int i)
{
	return i < NR_POLICIES ? policies[i] : NULL;
}

const struct placement_policy *placement_policy_find(enum placement_kind kind, const char *name)
{
	for (unsigned int i = 0; i < NR_POLICIES; i++) {
		if (policies[i]->kind == kind && !strcmp(policies[i]->name, name))
			return policies[i];
	}
	return NULL;
}

const char *placement_kind_name(enum placement_kind kind)
{
	return kind == PLACEMENT_BALANCE ? "balance" : "tier";
}

/* ---- life ------------------------------------------------------------------------- */

int placement_init(struct mm_sys *sys)
{
	struct placements *all = sys_alloc(sys, sizeof(*all));

	if (!all)
		return -ENOMEM;
	umm_mutex_init(&all->lock, LOCK_PLACEMENT);
	for (unsigned int k = 0; k < PLACEMENT_KINDS; k++) {
		all->kind[k].sys = sys;
		all->kind[k].kind = (enum placement_kind)k;
	}
	all->kind[PLACEMENT_TIER].rate = DEFAULT_TIER_RATE;
	sys->placements = all;
	return 0;
}

void placement_destroy(struct mm_sys *sys)
{
	struct placements *all = sys->placements;

	for (unsigned int i = 0; i < NR_POLICIES; i++)
		sys_free(sys, all->state[i], policies[i]->state_size);
	for (unsigned int n = 0; n < sys->nr_nodes; n++)
		sys_free(sys, all->notes[n], sys->nodes[n].nr_frames * sizeof(struct frame_note));
	umm_mutex_destroy(&all->lock);
	sys_free(sys, all, sizeof(*all));
}

/* ---- notes on frames ------------------------------------------------------------------ */

static inline struct frame_note *note_of(const struct mm_sys *sys, const struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);
	struct frame_note *notes =
		__atomic_load_n(&sys->placements->notes[n->id], __ATOMIC_ACQUIRE);

	return notes ? &notes[f - n->frames] : NULL;
}

struct frame_note *folio_note(struct mm_sys *sys, const struct folio *f)
{
	return note_of(sys, f);
}

void placement_forget(struct mm_sys *sys, struct folio *f)
{
	struct frame_note *note = note_of(sys, f);

	if (!note)
		return;
	for (unsigned int k = 0; k < PLACEMENT_KINDS; k++)
		__atomic_store_n(&note->word[k], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&note->moved, 0, __ATOMIC_RELAXED);
}

/* In units of 64 ms, which fit beside a node for three weeks before they wrap. */
static uint32_t moved_note(uint64_t now, int from)
{
	return (uint32_t)(now / (64 * NS_PER_MS)) << 7 | (uint32_t)(from + 1);
}

static bool moves_back(uint32_t moved, int to, uint64_t now)
{
	uint32_t age = (moved_note(now, 0) >> 7) - (moved >> 7);

	return (moved & 0x7f) == (uint32_t)to + 1 &&
	       (age & 0x1ffffff) < PLACEMENT_PING_PONG_NS / (64 * NS_PER_MS);
}

void placement_moved(struct mm_sys *sys, struct placement *p, struct folio *src, struct folio *dst)
{
	struct frame_note *from = note_of(sys, src), *to;
	uint64_t now;

	if (!from)
		return;
	to = note_of(sys, dst);
	if (!to)
		return;
	for (unsigned int k = 0; k < PLACEMENT_KINDS; k++)
		__atomic_store_n(&to->word[k], __atomic_load_n(&from->word[k], __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
	if (!p)
		return;
	now = placement_now();
	if (moves_back(__atomic_load_n(&from->moved, __ATOMIC_RELAXED), dst->node, now))
		placement_count(&p->count.ping_pong, folio_nr(dst));
	__atomic_store_n(&to->moved, moved_note(now, src->node), __ATOMIC_RELAXED);
}

bool placement_page_init(struct placement *p, struct folio *f, struct placement_page *page)
{
	struct frame_note *note = folio_note(p->sys, f);

	if (!note)
		return false;
	*page = (struct placement_page){
		.pfn = folio_pfn(p->sys, f),
		.order = f->order,
		.node = f->node,
		.mapcount = folio_mapcount(f),
		.anon = folio_test_anon(f),
		.note = &note->word[p->kind],
	};
	return true;
}

/* ---- what policies ask ---------------------------------------------------------------------- */

void *placement_state(struct placement *p)
{
	const struct placement_policy *policy = placement_policy_of(p);
	void **state = p->sys->placements->state;

	for (unsigned int i = 0; i < NR_POLICIES; i++) {
		if (policies[i] == policy)
			return __atomic_load_n(&state[i], __ATOMIC_ACQUIRE);
	}
	return NULL;
}

uint64_t mm_placement_slow_nodes(const struct mm_sys *sys)
{
	return __atomic_load_n(&sys->placements->slow_nodes, __ATOMIC_RELAXED);
}

bool placement_node_is_slow(struct placement *p, int node)
{
	return mm_placement_slow_nodes(p->sys) & (1ul << node);
}

static int nearest(struct placement *p, int node, bool slow)
{
	if (placement_node_is_slow(p, node) == slow)
		return node;
	for (unsigned int i = 0; i + 1 < p->sys->nr_nodes; i++) {
		int other = p->sys->nodes[node].fallback[i];

		if (placement_node_is_slow(p, other) == slow)
			return other;
	}
	return PLACEMENT_STAY;
}

int placement_nearest_fast(struct placement *p, int node)
{
	return nearest(p, node, false);
}

int placement_nearest_slow(struct placement *p, int node)
{
	return nearest(p, node, true);
}

uint64_t placement_rate(struct placement *p)
{
	return __atomic_load_n(&p->rate, __ATOMIC_RELAXED);
}

void mm_placement_set_rate(struct mm_sys *sys, enum placement_kind kind, uint64_t frames)
{
	__atomic_store_n(&sys->placements->kind[kind].rate, frames, __ATOMIC_RELAXED);
}

bool placement_rate_take(struct placement *p, uint64_t frames)
{
	uint64_t rate = placement_rate(p), second = placement_now() / NS_PER_S;
	uint64_t running = __atomic_load_n(&p->rate_second, __ATOMIC_RELAXED);

	if (!rate)
		return true;
	if (running != second &&
	    __atomic_compare_exchange_n(&p->rate_second, &running, second, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		__atomic_store_n(&p->rate_used, 0, __ATOMIC_RELAXED);
	if (__atomic_fetch_add(&p->rate_used, frames, __ATOMIC_RELAXED) + frames <= rate)
		return true;
	placement_count(&p->count.rate_limited, frames);
	return false;
}

/* ---- reports ----------------------------------------------------------------------------------- */

void mm_placement_get(struct mm_sys *sys, enum placement_kind kind, struct placement_info *out)
{
	struct placement *p = &sys->placements->kind[kind];
	const uint64_t *from = (const uint64_t *)&p->count;
	uint64_t *to = (uint64_t *)&out->count;

	out->policy = placement_policy_of(p);
	for (size_t i = 0; i < sizeof(p->count) / sizeof(*from); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
