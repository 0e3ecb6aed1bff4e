/* SPDX-License-Identifier: MIT */
/*
 * First in, first out, whether used or not: what other policies must beat, and the
 * cheapest of all, as nobody looks at a victim.
 */
#include <umm/reclaim_policy.h>

struct fifo {
	struct list_head list; /* newest at the head */
};

static int fifo_init(struct policy_node *n)
{
	struct fifo *q = n->state;

	list_init(&q->list);
	return 0;
}

static void fifo_add(struct policy_node *n, struct folio *f, enum policy_event why)
{
	struct fifo *q = n->state;

	if (why == POLICY_COLD)
		list_add_tail(&f->lru, &q->list);
	else
		list_add(&f->lru, &q->list);
}

static void fifo_remove(struct policy_node *n, struct folio *f)
{
	(void)n;
	list_del(&f->lru);
}

static struct folio *fifo_victim(struct policy_node *n)
{
	struct fifo *q = n->state;

	return list_empty(&q->list) ? NULL : list_last_entry(&q->list, struct folio, lru);
}

static void fifo_skip(struct policy_node *n, struct folio *f)
{
	struct fifo *q = n->state;

	list_del(&f->lru);
	list_add(&f->lru, &q->list);
}

const struct reclaim_policy policy_fifo = {
	.abi = RECLAIM_POLICY_ABI,
	.size = sizeof(struct reclaim_policy),
	.name = "fifo",
	.summary = "first in, first out, used or not",
	.flags = POLICY_BLIND,
	.state_size = sizeof(struct fifo),
	.init = fifo_init,
	.add = fifo_add,
	.remove = fifo_remove,
	.victim = fifo_victim,
	.skip = fifo_skip,
};
