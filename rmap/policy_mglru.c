/* SPDX-License-Identifier: MIT */
/*
 * Generations, in the manner of Linux's multi-gen LRU.
 *
 *	min_seq                          max_seq
 *	[oldest] <- [  ] <- [second] <- [youngest] <- accessed, used, early refaults
 *	   |                    ^
 *	 victims           new, and those that come back late
 *
 * A generation is a list with a birth number; up to four live at a time. Whoever is
 * seen used gets the youngest number: by a walk over the page tables, by reclaim
 * that found its neighbour used (both only write the note; the folio changes its
 * list when reclaim comes to it), or as a victim that was used. Victims leave from
 * the oldest; when it is empty the next one is the oldest. When too few are left a
 * new one is born, and the tick walks the page tables first, so that what was used
 * does not grow old. Where nobody ticks, generations are born without a walk.
 *
 * The note: while with the policy, the number (mod 4) of the folio's generation, and
 * of the list it stands on; while off the lists, how many generations it was old.
 */
#include <umm/reclaim_policy.h>

#define GENERATIONS     4u
#define MIN_GENERATIONS 2u

#define NOTE_GEN(note)       ((note)&3u)
#define NOTE_LIST(note)      ((note) >> 2 & 3u)
#define NOTE_MAKE(gen, list) ((gen) | (list) << 2)

#define TICK_NS 100000000ul

struct mglru {
	struct list_head list[GENERATIONS]; /* by number mod 4; new arrivals at the head */
	uint64_t frames[GENERATIONS];
	uint64_t min_seq;
	uint64_t max_seq; /* changes under lru_lock; a: accessed() reads it without */
	bool wants_walk;  /* a generation was born, or will be soon */
	uint64_t walks, sorted, young;
};

static unsigned int slot(uint64_t seq)
{
	return (unsigned int)(seq % GENERATIONS);
}

static uint64_t alive(const struct mglru *g)
{
	return g->max_seq - g->min_seq + 1;
}

static int mglru_init(struct policy_node *n)
{
	struct mglru *g = n->state;

	for (unsigned int i = 0; i < GENERATIONS; i++)
		list_init(&g->list[i]);
	g->max_seq = MIN_GENERATIONS;
	return 0;
}

static void enter(struct mglru *g, struct folio *f, uint64_t seq)
{
	unsigned int s = slot(seq);

	policy_note_set(f, NOTE_MAKE(s, s));
	list_add(&f->lru, &g->list[s]);
	g->frames[s] += folio_nr(f);
}

static void leave(struct mglru *g, struct folio *f)
{
	list_del(&f->lru);
	g->frames[NOTE_LIST(policy_note(f))] -= folio_nr(f);
}

/* What is unproven starts in the second oldest: it has one generation's time to be used. */
static uint64_t second_oldest(const struct mglru *g)
{
	return g->min_seq < g->max_seq ? g->min_seq + 1 : g->max_seq;
}

static void mglru_add(struct policy_node *n, struct folio *f, enum policy_event why)
{
	struct mglru *g = n->state;
	uint64_t age = policy_note(f);

	switch (why) {
	case POLICY_USED:
		enter(g, f, g->max_seq);
		break;
	case POLICY_BACK:
		enter(g, f, age < alive(g) ? g->max_seq - age : g->min_seq);
		break;
	case POLICY_COLD:
		enter(g, f, g->min_seq);
		break;
	default:
		enter(g, f, second_oldest(g));
	}
}

static void mglru_remove(struct policy_node *n, struct folio *f)
{
	struct mglru *g = n->state;
	unsigned int gen = NOTE_GEN(policy_note(f));

	leave(g, f);
	policy_note_set(f, (slot(g->max_seq) - gen) % GENERATIONS);
}

/* It would still be here, had the youngest generation been smaller: it competes with that. */
static bool mglru_refault(struct policy_node *n, struct folio *f, uint64_t distance)
{
	struct mglru *g = n->state;
	bool hot = distance < g->frames[slot(g->max_seq)];

	enter(g, f, hot ? g->max_seq : second_oldest(g));
	return hot;
}

static void mglru_accessed(struct policy_node *n, struct folio *f)
{
	struct mglru *g = n->state;
	unsigned int gen = slot(__atomic_load_n(&g->max_seq, __ATOMIC_RELAXED));
	uint32_t bits = 3u << POLICY_NOTE_SHIFT, was = folio_flags(f), now;

	/* On its way in or out: add() or remove() writes the note. */
	do {
		if ((was & ((1u << PG_lru) | (1u << PG_epoch))) != n->mark)
			return;
		now = (was & ~bits) | gen << POLICY_NOTE_SHIFT;
	} while (now != was && !__atomic_compare_exchange_n(&f->flags, &was, now, true,
							    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

static void give_birth(struct mglru *g)
{
	if (alive(g) < GENERATIONS)
		__atomic_store_n(&g->max_seq, g->max_seq + 1, __ATOMIC_RELAXED);
}

static void retire_empty(struct mglru *g)
{
	while (g->min_seq < g->max_seq && list_empty(&g->list[slot(g->min_seq)]))
		g->min_seq++;
}

static void mglru_prepare(struct policy_node *n, uint64_t nr)
{
	struct mglru *g = n->state;

	(void)nr;
	retire_empty(g);
	if (alive(g) <= MIN_GENERATIONS) {
		__atomic_store_n(&g->wants_walk, true, __ATOMIC_RELAXED);
		give_birth(g);
	}
}

/* Where the oldest generation's folio belongs; a note written late may name no living one. */
static unsigned int rightful(const struct mglru *g, const struct folio *f)
{
	unsigned int gen = NOTE_GEN(policy_note(f));

	return (gen - slot(g->min_seq)) % GENERATIONS < alive(g) ? gen : slot(g->max_seq);
}

static struct folio *mglru_victim(struct policy_node *n)
{
	struct mglru *g = n->state;

	for (;;) {
		unsigned int oldest = slot(g->min_seq), gen;
		struct folio *f;

		if (list_empty(&g->list[oldest])) {
			if (g->min_seq == g->max_seq)
				return NULL;
			g->min_seq++;
			continue;
		}
		f = list_last_entry(&g->list[oldest], struct folio, lru);
		gen = rightful(g, f);
		if (gen == oldest)
			return f;
		/* Seen used meanwhile: each goes to a younger list, so this ends. */
		leave(g, f);
		policy_note_set(f, NOTE_MAKE(gen, gen));
		list_add(&f->lru, &g->list[gen]);
		g->frames[gen] += folio_nr(f);
		g->sorted += folio_nr(f);
	}
}

static void mglru_skip(struct policy_node *n, struct folio *f)
{
	struct mglru *g = n->state;

	leave(g, f);
	enter(g, f, g->max_seq);
}

static uint64_t mglru_tick(struct policy_node *n, uint64_t now)
{
	struct mglru *g = n->state;
	uint64_t young;

	(void)now;
	if (!__atomic_exchange_n(&g->wants_walk, false, __ATOMIC_RELAXED))
		return TICK_NS;
	young = n->host->walk(n);
	n->host->lock(n);
	g->walks++;
	g->young += young;
	give_birth(g);
	n->host->unlock(n);
	return TICK_NS;
}

static void mglru_describe(struct policy_node *n,
			   void (*tell)(void *arg, const char *name, uint64_t value), void *arg)
{
	static const char *const names[GENERATIONS] = { "youngest", "second", "third", "fourth" };
	struct mglru *g = n->state;

	for (uint64_t i = 0; i < alive(g); i++)
		tell(arg, names[i], g->frames[slot(g->max_seq - i)]);
	tell(arg, "generation", g->max_seq);
	tell(arg, "walks", g->walks);
	tell(arg, "walked_young", g->young);
	tell(arg, "sorted", g->sorted);
}

const struct reclaim_policy policy_mglru = {
	.abi = RECLAIM_POLICY_ABI,
	.size = sizeof(struct reclaim_policy),
	.name = "mglru",
	.summary = "generations, as Linux's multi-gen LRU: page-table walks and look-around",
	.flags = POLICY_LOOKS_AROUND,
	.state_size = sizeof(struct mglru),
	.init = mglru_init,
	.add = mglru_add,
	.remove = mglru_remove,
	.refault = mglru_refault,
	.prepare = mglru_prepare,
	.victim = mglru_victim,
	.skip = mglru_skip,
	.accessed = mglru_accessed,
	.tick = mglru_tick,
	.describe = mglru_describe,
};
