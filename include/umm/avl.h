/* SPDX-License-Identifier: MIT */
/*
 * Balanced binary tree (AVL), intrusive, with a hook that keeps figures about
 * each subtree. The interval tree and the tree of areas stand on it: they know
 * the order, this knows the balance.
 *
 * No locking of its own: readers may run side by side, a writer alone.
 */
#ifndef UMM_AVL_H
#define UMM_AVL_H

#include <umm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct avl_node {
	struct avl_node *left, *right, *parent;
	int height;
};

/* Recomputes what @n says about its subtree from @n and its two children. */
typedef void (*avl_update_fn)(struct avl_node *n);

/*
 * Hang @n into the empty @slot: a child pointer of @parent, or the root itself
 * with @parent NULL. The caller has found the slot by its own order.
 */
void avl_link(struct avl_node **root, struct avl_node *parent, struct avl_node **slot,
	      struct avl_node *n, avl_update_fn update);
void avl_erase(struct avl_node **root, struct avl_node *n, avl_update_fn update);
/* A figure of @n itself changed: bring all subtrees that hold it up to date. */
void avl_refresh_path(struct avl_node *n, avl_update_fn update);

/* In order; NULL at the end, or where the tree is empty. */
struct avl_node *avl_first(struct avl_node *root);
struct avl_node *avl_last(struct avl_node *root);
struct avl_node *avl_next(const struct avl_node *n);
struct avl_node *avl_prev(const struct avl_node *n);

/* True if links, heights and balance hold. The order is the caller's to check. */
bool avl_valid(const struct avl_node *root);

#ifdef __cplusplus
}
#endif

#endif
