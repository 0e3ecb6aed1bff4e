/* SPDX-License-Identifier: MIT */
/*
 * An example of a reclaim policy of one's own: most recently used first. Nonsense for
 * most programs, and right for one that goes round and round through more than fits:
 * what was just used is what it will want last.
 *
 *	cc -shared -fPIC -o mru.so mru.c
 *	umm policy NAME ./mru.so
 */
#include <umm/reclaim_policy.h>

struct mru {
	struct list_head list; /* latest at the head */
	uint64_t used;
};

static int mru_init(struct policy_node *n)
{
	struct mru *m = n->state;

	list_init(&m->list);
	return 0;
}

static void mru_add(struct policy_node *n, struct folio *f, enum policy_event why)
{
	struct mru *m = n->state;

	m->used += why == POLICY_USED;
	/* A victim that was used after all is out of the way, or it would be the next again. */
	if (why == POLICY_USED || why == POLICY_BACK)
		list_add_tail(&f->lru, &m->list);
	else
		list_add(&f->lru, &m->list);
}

static void mru_remove(struct policy_node *n, struct folio *f)
{
	(void)n;
	list_del(&f->lru);
}

static struct folio *mru_victim(struct policy_node *n)
{
	struct mru *m = n->state;

	return list_empty(&m->list) ? NULL : list_first_entry(&m->list, struct folio, lru);
}

static void mru_skip(struct policy_node *n, struct folio *f)
{
	struct mru *m = n->state;

	list_del(&f->lru);
	list_add_tail(&f->lru, &m->list);
}

static void mru_describe(struct policy_node *n,
			 void (*tell)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct mru *m = n->state;

	tell(arg, "used", m->used);
}

const struct reclaim_policy umm_reclaim_policy = {
	.abi = RECLAIM_POLICY_ABI,
	.size = sizeof(struct reclaim_policy),
	.name = "mru",
	.summary = "most recently used first: for loops over more than fits",
	.flags = POLICY_BLIND,
	.state_size = sizeof(struct mru),
	.init = mru_init,
	.add = mru_add,
	.remove = mru_remove,
	.victim = mru_victim,
	.skip = mru_skip,
	.describe = mru_describe,
};
