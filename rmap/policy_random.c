/* SPDX-License-Identifier: MIT */
/*
 * Any folio, whatever it is: the floor that a policy must stay above to be worth
 * its bookkeeping.
 *
 * A frame number is drawn until it hits a folio of ours. Where few frames are with
 * the policy that takes long, so after some misses the oldest goes.
 */
#include <umm/reclaim_policy.h>

#define DRAWS 64

struct lottery {
	struct list_head list;
};

static int random_init(struct policy_node *n)
{
	struct lottery *l = n->state;

	list_init(&l->list);
	return 0;
}

static void random_add(struct policy_node *n, struct folio *f, enum policy_event why)
{
	struct lottery *l = n->state;

	(void)why;
	list_add(&f->lru, &l->list);
}

static void random_remove(struct policy_node *n, struct folio *f)
{
	(void)n;
	list_del(&f->lru);
}

static struct folio *random_victim(struct policy_node *n)
{
	struct lottery *l = n->state;

	if (list_empty(&l->list))
		return NULL;
	for (int i = 0; i < DRAWS; i++) {
		struct folio *f = &n->frames[policy_random(n) % n->nr_frames];

		if (policy_has(n, f))
			return f;
	}
	return list_last_entry(&l->list, struct folio, lru);
}

static void random_skip(struct policy_node *n, struct folio *f)
{
	struct lottery *l = n->state;

	list_del(&f->lru);
	list_add(&f->lru, &l->list);
}

const struct reclaim_policy policy_random_choice = {
	.abi = RECLAIM_POLICY_ABI,
	.size = sizeof(struct reclaim_policy),
	.name = "random",
	.summary = "any folio: the floor for all others",
	.flags = POLICY_BLIND,
	.state_size = sizeof(struct lottery),
	.init = random_init,
	.add = random_add,
	.remove = random_remove,
	.victim = random_victim,
	.skip = random_skip,
};
