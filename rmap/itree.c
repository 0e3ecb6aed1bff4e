/* SPDX-License-Identifier: MIT */
/* Interval tree: a balanced tree by start that knows the largest `last` of each subtree. */
#include <umm/itree.h>

static struct itree_node *node_of(const struct avl_node *a)
{
	return a ? container_of(a, struct itree_node, avl) : NULL;
}

static uint64_t last_of_subtree(const struct itree_node *n)
{
	uint64_t last = n->last;

	if (n->avl.left && node_of(n->avl.left)->subtree_last > last)
		last = node_of(n->avl.left)->subtree_last;
	if (n->avl.right && node_of(n->avl.right)->subtree_last > last)
		last = node_of(n->avl.right)->subtree_last;
	return last;
}

static void update_last(struct avl_node *a)
{
	node_of(a)->subtree_last = last_of_subtree(node_of(a));
}

void itree_insert(struct itree *t, struct itree_node *n, uint64_t start, uint64_t last)
{
	struct avl_node **slot = &t->root, *parent = NULL;

	n->start = start;
	n->last = last;
	while (*slot) {
		parent = *slot;
		/* Equal ones go right: the order of insertion is kept. */
		slot = start < node_of(parent)->start ? &parent->left : &parent->right;
	}
	avl_link(&t->root, parent, slot, &n->avl, update_last);
}

void itree_remove(struct itree *t, struct itree_node *n)
{
	avl_erase(&t->root, &n->avl, update_last);
}

static bool may_reach(const struct avl_node *a, uint64_t start)
{
	return a && node_of(a)->subtree_last >= start;
}

/*
 * Leftmost overlap in the subtree of @a. A left child that reaches up to
 * @start holds an overlap, or else a node that starts after @last; then nothing
 * to the right of it can overlap either. So one way down is enough.
 */
static struct itree_node *subtree_first(const struct avl_node *a, uint64_t start, uint64_t last)
{
	while (may_reach(a, start)) {
		struct itree_node *n = node_of(a);

		/* Walks in order come here next: its miss goes on beside the left one's. */
		__builtin_prefetch(a->right);
		if (may_reach(a->left, start)) {
			a = a->left;
			continue;
		}
		if (n->start > last)
			return NULL;
		if (n->last >= start)
			return n;
		a = a->right;
	}
	return NULL;
}

struct itree_node *itree_first(const struct itree *t, uint64_t start, uint64_t last)
{
	return subtree_first(t->root, start, last);
}

struct itree_node *itree_next(struct itree_node *n, uint64_t start, uint64_t last)
{
	const struct avl_node *a = &n->avl;

	for (;;) {
		struct itree_node *found = subtree_first(a->right, start, last);

		if (found)
			return found;
		while (a->parent && a->parent->right == a)
			a = a->parent;
		a = a->parent;
		if (!a || node_of(a)->start > last)
			return NULL;
		if (node_of(a)->last >= start)
			return node_of(a);
	}
}

bool itree_valid(const struct itree *t)
{
	struct avl_node *a, *prev = NULL;

	if (!avl_valid(t->root))
		return false;
	for (a = avl_first(t->root); a; prev = a, a = avl_next(a)) {
		struct itree_node *n = node_of(a);

		if (n->start > n->last || (prev && node_of(prev)->start > n->start))
			return false;
		if (n->subtree_last != last_of_subtree(n))
			return false;
	}
	return true;
}
