/* SPDX-License-Identifier: MIT */
/*
 * CLOCK: all folios in a ring, and a hand that goes round. What the hand finds
 * used stays for another round, with its A bits cleared; what it finds unused goes.
 *
 * The ring is a list that is turned: the hand stands at its tail, and what it
 * passes goes to the head, just behind the hand, where new folios enter as well.
 */
#include <umm/reclaim_policy.h>

struct clock {
	struct list_head ring;
	uint64_t chances; /* frames that were found used */
};

static int clock_init(struct policy_node *n)
{
	struct clock *c = n->state;

	list_init(&c->ring);
	return 0;
}

static void clock_add(struct policy_node *n, struct folio *f, enum policy_event why)
{
	struct clock *c = n->state;

	if (why == POLICY_COLD) {
		list_add_tail(&f->lru, &c->ring);
		return;
	}
	if (why == POLICY_USED)
		c->chances += folio_nr(f);
	list_add(&f->lru, &c->ring);
}

static void clock_remove(struct policy_node *n, struct folio *f)
{
	(void)n;
	list_del(&f->lru);
}

static struct folio *clock_victim(struct policy_node *n)
{
	struct clock *c = n->state;

	return list_empty(&c->ring) ? NULL : list_last_entry(&c->ring, struct folio, lru);
}

static void clock_skip(struct policy_node *n, struct folio *f)
{
	struct clock *c = n->state;

	list_del(&f->lru);
	list_add(&f->lru, &c->ring);
}

static void clock_describe(struct policy_node *n,
			   void (*tell)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct clock *c = n->state;

	tell(arg, "second_chances", c->chances);
}

const struct reclaim_policy policy_clock = {
	.abi = RECLAIM_POLICY_ABI,
	.size = sizeof(struct reclaim_policy),
	.name = "clock",
	.summary = "a ring and a hand; what was used since the last round stays",
	.state_size = sizeof(struct clock),
	.init = clock_init,
	.add = clock_add,
	.remove = clock_remove,
	.victim = clock_victim,
	.skip = clock_skip,
	.describe = clock_describe,
};
