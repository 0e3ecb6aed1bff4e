/* SPDX-License-Identifier: MIT */
/*
 * State of automatic placement, and the calls between its files:
 *	placement.h (public)	policies, switching them on and off
 *	placement_state.c	policies by name, notes on frames, budgets
 *	placement_switch.c	on, off, the tick
 *	hint_scan.c		sets hints, window by window
 *	hint_sweep.c		what an entry is without its hint; takes them all back
 *	hint_fault.c		takes them back when they are touched, and moves pages
 *	tier.c			demotion, sampling of the slow nodes
 *
 * A hint entry keeps every bit but PTE_PRESENT, the write bit included. So
 * whoever looks at entries with pte_present() (fork, munmap, mremap, reclaim,
 * migration) treats it as the mapping it is, and narrowing one is seen as
 * narrowing. Swap and migration entries do not remember a hint: it is gone.
 *
 * A 2 MiB leaf takes a hint as a whole, in the same way.
 *
 * Setting a hint narrows an entry, and must be zapped (of a leaf, tables are
 * flushed with it). The scanner does that in bulk, with mmap_lock held for reading from the first hint to the zap; all
 * others that could take such an entry away zap its frame themselves.
 */
#ifndef RMAP_HINT_H
#define RMAP_HINT_H

#include <umm/placement.h>
#include "rmap/internal.h"

#define NS_PER_MS 1000000ul
#define NS_PER_S  1000000000ul

/* What is remembered about a folio, at its first frame. All fields: a */
struct frame_note {
	uint32_t word[PLACEMENT_KINDS]; /* of the policies */
	uint32_t hinted;                /* ms, when the hint was set */
	uint32_t moved;                 /* ms / 64 << 7 | node + 1 that it left; 0: never moved */
};

struct placement {
	struct mm_sys *sys;
	enum placement_kind kind;
	const struct placement_policy *policy; /* a; NULL: off */
	struct placement_counters count;       /* a */
	uint64_t rate;                         /* a  frames a second, 0: no limit */
	uint64_t rate_second;                  /* a  the second that is running ... */
	uint64_t rate_used;                    /* a  ... and what of it is used up */
	/* a  Frames that found no room on a node since the last tick, at once. */
	uint64_t wanted[UMM_MAX_NODES];
};

#define PLACEMENT_POLICIES_MAX 16

struct placements {
	/* LOCK_PLACEMENT: held by whoever switches and by the tick. */
	struct umm_mutex lock;
	struct placement kind[PLACEMENT_KINDS];
	void *state[PLACEMENT_POLICIES_MAX]; /* a  by policy; made once, kept to the end */
	/* a  By node and frame; made when a policy is first switched on, kept to the end. */
	struct frame_note *notes[UMM_MAX_NODES];
	uint64_t slow_nodes; /* a */
	uint64_t next_tick;  /* lock: when policies tick again */
	/* lock: where sampling goes on */
	int sample_node;
	uint64_t sample_at;
};

extern const struct placement_policy placement_two_fault, placement_majority, placement_recency,
	placement_sampling;

uint64_t placement_now(void);

/* The kind that decides about pages of @node, NULL if it is off. */
static inline struct placement *placement_for_node(struct mm_sys *sys, int node)
{
	struct placements *all = sys->placements;
	bool slow = __atomic_load_n(&all->slow_nodes, __ATOMIC_RELAXED) & (1ul << node);
	struct placement *p = &all->kind[PLACEMENT_BALANCE];

	if (slow && __atomic_load_n(&all->kind[PLACEMENT_TIER].policy, __ATOMIC_ACQUIRE))
		p = &all->kind[PLACEMENT_TIER];
	return __atomic_load_n(&p->policy, __ATOMIC_ACQUIRE) ? p : NULL;
}

static inline const struct placement_policy *placement_policy_of(const struct placement *p)
{
	return __atomic_load_n(&p->policy, __ATOMIC_ACQUIRE);
}

static inline void placement_count(uint64_t *counter, uint64_t nr)
{
	__atomic_fetch_add(counter, nr, __ATOMIC_RELAXED);
}

/* NULL before any policy was on. */
struct frame_note *folio_note(struct mm_sys *sys, const struct folio *f);
/* All of *page but what only the event knows. False: there are no notes. */
bool placement_page_init(struct placement *p, struct folio *f, struct placement_page *page);

/* hint_scan.c: one window of the mm that is due first. False: none is due; *next is when. */
bool hint_scan_one(struct placement *p, uint64_t now, uint64_t *next);

/* hint_sweep.c. Take back every hint of every mm, or only count them. */
uint64_t hints_sweep(struct mm_sys *sys, bool take_back);
/* Page-table lock held. Those of nodes that @p decides about, or (NULL) all. */
void hints_take_back(const struct placement *p, const struct vma *vma, uint64_t *ptep,
		     uint64_t pages);
/* The entry that @e becomes without its hint. */
uint64_t hint_restored(const struct vma *vma, uint64_t e);
/* Private memory of which any page may belong to several processes. */
bool hint_shared_by_fork(const struct folio *f);
/* The entry of the leaf that has @addr, or that is moving, locked; NULL: none. */
uint64_t *hint_lock_leaf(struct mm *mm, gva_t addr, struct umm_mutex **lock);

/*
 * hint_fault.c; mmap_lock held for reading.
 *
 * The entry is a hint: take it back, and perhaps move the page. f->orig is the
 * entry as it is then, if the access may go on with it; else 0.
 */
enum fault_result fault_hint(struct fault *f);
/* The same for a 2 MiB leaf with a hint, its lock held: given back before it moves. */
void fault_hint_leaf(struct fault *f, uint64_t *pmd, struct umm_mutex *lock);

/* May placement fill @nr frames of the node, without bringing it near its end? */
bool node_has_room(const struct mm_sys *sys, int node, uint64_t nr);
/*
 * Move isolated folios to @to for @p; work_lock and folio locks are taken inside.
 * Counts; returns the frames that went.
 */
uint64_t placement_move(struct placement *p, struct list_head *list, int to);

/* tier.c: keep room on the fast nodes; sample the slow ones. */
void tier_demote(struct placement *p);
void tier_sample(struct placement *p);

#endif
