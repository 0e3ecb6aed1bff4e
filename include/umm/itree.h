/* SPDX-License-Identifier: MIT */
/*
 * Interval tree: closed intervals [start, last] of page offsets, many may
 * overlap or be equal. Intrusive; a balanced tree ordered by start whose nodes
 * carry the largest `last` below them, so that all intervals that overlap a
 * query are visited in O(log n + hits), ordered by start. Intervals of equal
 * start are visited in the order of their insertion: fork relies on it, as a
 * walk must come to the parent's area before the child's copy of it.
 *
 * No locking of its own: readers may run side by side, a writer alone.
 */
#ifndef UMM_ITREE_H
#define UMM_ITREE_H

#include <umm/avl.h>

#ifdef __cplusplus
extern "C" {
#endif

struct itree_node {
	struct avl_node avl;
	uint64_t start, last; /* fixed while the node is in a tree */
	uint64_t subtree_last;
};

struct itree {
	struct avl_node *root;
};

static inline void itree_init(struct itree *t)
{
	t->root = NULL;
}

static inline bool itree_empty(const struct itree *t)
{
	return !t->root;
}

/* Sets the interval and links the node. start <= last. */
void itree_insert(struct itree *t, struct itree_node *n, uint64_t start, uint64_t last);
void itree_remove(struct itree *t, struct itree_node *n);

/* First node that overlaps [start, last], NULL if none; then the next ones. */
struct itree_node *itree_first(const struct itree *t, uint64_t start, uint64_t last);
struct itree_node *itree_next(struct itree_node *n, uint64_t start, uint64_t last);

/* For the validator and tests: true if order, heights and maxima all hold. */
bool itree_valid(const struct itree *t);

#define itree_for_each(n, t, s, l) for (n = itree_first(t, s, l); n; n = itree_next(n, s, l))

#ifdef __cplusplus
}
#endif

#endif
