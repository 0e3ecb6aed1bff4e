/* SPDX-License-Identifier: MIT */
/* Balanced binary tree with parent links: heights of siblings differ by one at most. */
#include <umm/avl.h>

static int height_of(const struct avl_node *n)
{
	return n ? n->height : 0;
}

static void node_refresh(struct avl_node *n, avl_update_fn update)
{
	int l = height_of(n->left), r = height_of(n->right);

	n->height = (l > r ? l : r) + 1;
	if (update)
		update(n);
}

/* Whoever pointed at @old now points at @new (which may be NULL). */
static void child_replace(struct avl_node **root, struct avl_node *old, struct avl_node *new)
{
	struct avl_node *parent = old->parent;

	if (!parent)
		*root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

static struct avl_node *rotate_left(struct avl_node **root, struct avl_node *n,
				    avl_update_fn update)
{
	struct avl_node *up = n->right;

	child_replace(root, n, up);
	n->right = up->left;
	if (n->right)
		n->right->parent = n;
	up->left = n;
	n->parent = up;
	node_refresh(n, update);
	node_refresh(up, update);
	return up;
}

static struct avl_node *rotate_right(struct avl_node **root, struct avl_node *n,
				     avl_update_fn update)
{
	struct avl_node *up = n->left;

	child_replace(root, n, up);
	n->left = up->right;
	if (n->left)
		n->left->parent = n;
	up->right = n;
	n->parent = up;
	node_refresh(n, update);
	node_refresh(up, update);
	return up;
}

/* Returns the top of the subtree that @n was the top of. */
static struct avl_node *node_balance(struct avl_node **root, struct avl_node *n,
				     avl_update_fn update)
{
	int lean = height_of(n->left) - height_of(n->right);

	if (lean > 1) {
		if (height_of(n->left->left) < height_of(n->left->right))
			rotate_left(root, n->left, update);
		return rotate_right(root, n, update);
	}
	if (lean < -1) {
		if (height_of(n->right->right) < height_of(n->right->left))
			rotate_right(root, n->right, update);
		return rotate_left(root, n, update);
	}
	node_refresh(n, update);
	return n;
}

/* All the way up, also past subtrees whose height is unchanged: figures may have changed. */
static void path_balance(struct avl_node **root, struct avl_node *n, avl_update_fn update)
{
	while (n)
		n = node_balance(root, n, update)->parent;
}

void avl_link(struct avl_node **root, struct avl_node *parent, struct avl_node **slot,
	      struct avl_node *n, avl_update_fn update)
{
	n->left = n->right = NULL;
	n->parent = parent;
	*slot = n;
	path_balance(root, n, update);
}

void avl_erase(struct avl_node **root, struct avl_node *n, avl_update_fn update)
{
	struct avl_node *from, *heir;

	if (!n->left || !n->right) {
		from = n->parent;
		child_replace(root, n, n->left ? n->left : n->right);
		path_balance(root, from, update);
		return;
	}
	/* Two children: the next in order has no left one, and takes the place. */
	heir = avl_first(n->right);
	from = heir->parent == n ? heir : heir->parent;
	if (from != heir) {
		child_replace(root, heir, heir->right);
		heir->right = n->right;
		heir->right->parent = heir;
	}
	heir->left = n->left;
	heir->left->parent = heir;
	child_replace(root, n, heir);
	path_balance(root, from, update);
}

void avl_refresh_path(struct avl_node *n, avl_update_fn update)
{
	for (; n; n = n->parent)
		update(n);
}

struct avl_node *avl_first(struct avl_node *root)
{
	while (root && root->left)
		root = root->left;
	return root;
}

struct avl_node *avl_last(struct avl_node *root)
{
	while (root && root->right)
		root = root->right;
	return root;
}

struct avl_node *avl_next(const struct avl_node *n)
{
	if (n->right)
		return avl_first(n->right);
	while (n->parent && n->parent->right == n)
		n = n->parent;
	return n->parent;
}

struct avl_node *avl_prev(const struct avl_node *n)
{
	if (n->left)
		return avl_last(n->left);
	while (n->parent && n->parent->left == n)
		n = n->parent;
	return n->parent;
}

static bool node_valid(const struct avl_node *n)
{
	int l, r;

	if (!n)
		return true;
	l = height_of(n->left);
	r = height_of(n->right);
	if (n->left && n->left->parent != n)
		return false;
	if (n->right && n->right->parent != n)
		return false;
	if (n->height != (l > r ? l : r) + 1 || l - r > 1 || r - l > 1)
		return false;
	return node_valid(n->left) && node_valid(n->right);
}

bool avl_valid(const struct avl_node *root)
{
	return (!root || !root->parent) && node_valid(root);
}
