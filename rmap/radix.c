/* SPDX-License-Identifier: MIT */
/*
 * Radix tree, 64 slots a level. A node exists only while it holds something, so
 * an empty tree has no memory and a tree of small indices is one level deep.
 */
#include <errno.h>
#include <umm/host_ops.h>
#include <umm/radix.h>

#define SLOT_BITS  6u
#define NR_SLOTS   (1u << SLOT_BITS)
#define MAX_LEVELS ((64 + SLOT_BITS - 1) / SLOT_BITS)

struct radix_node {
	uint32_t nr_used;
	uintptr_t slots[NR_SLOTS]; /* nodes, or values on the lowest level */
};

void radix_init(struct radix *r, const struct mm_host_ops *ops, void *ctx)
{
	*r = (struct radix){ .ops = ops, .ctx = ctx };
}

static struct radix_node *node_alloc(struct radix *r)
{
	return r->ops->alloc(r->ctx, sizeof(struct radix_node));
}

static void node_free(struct radix *r, struct radix_node *n)
{
	r->ops->free(r->ctx, n, sizeof(*n));
}

static unsigned int slot_of(uint64_t index, unsigned int level)
{
	return (index >> (level * SLOT_BITS)) & (NR_SLOTS - 1);
}

/* Can @levels levels hold @index? */
static bool levels_reach(unsigned int levels, uint64_t index)
{
	return levels * SLOT_BITS >= 64 || (index >> (levels * SLOT_BITS)) == 0;
}

static void subtree_free(struct radix *r, struct radix_node *n, unsigned int level)
{
	if (level)
		for (unsigned int i = 0; i < NR_SLOTS; i++)
			if (n->slots[i])
				subtree_free(r, (struct radix_node *)n->slots[i], level - 1);
	node_free(r, n);
}

void radix_destroy(struct radix *r)
{
	if (r->root)
		subtree_free(r, r->root, r->levels - 1);
	radix_init(r, r->ops, r->ctx);
}

uintptr_t radix_get(const struct radix *r, uint64_t index)
{
	struct radix_node *n = r->root;

	if (!levels_reach(r->levels, index))
		return 0;
	for (unsigned int level = r->levels; n && level-- > 1;)
		n = (struct radix_node *)n->slots[slot_of(index, level)];
	return n ? n->slots[slot_of(index, 0)] : 0;
}

/* Free the nodes on the way to @index that hold nothing, then levels that only hold slot 0. */
static void path_prune(struct radix *r, uint64_t index)
{
	struct radix_node *path[MAX_LEVELS], *n = r->root;
	unsigned int level, deepest;

	if (!n)
		return;
	for (level = r->levels - 1;; level--) {
		path[level] = n;
		deepest = level;
		if (!level)
			break;
		n = (struct radix_node *)n->slots[slot_of(index, level)];
		if (!n)
			break;
	}
	for (level = deepest; level < r->levels && !path[level]->nr_used; level++) {
		node_free(r, path[level]);
		if (level + 1 == r->levels) {
			r->root = NULL;
			r->levels = 0;
			return;
		}
		path[level + 1]->slots[slot_of(index, level + 1)] = 0;
		path[level + 1]->nr_used--;
	}
	while (r->levels > 1 && r->root->nr_used == 1 && r->root->slots[0]) {
		n = (struct radix_node *)r->root->slots[0];
		node_free(r, r->root);
		r->root = n;
		r->levels--;
	}
}

/* Put levels on top until @index fits. */
static int tree_grow(struct radix *r, uint64_t index)
{
	while (!r->root || !levels_reach(r->levels, index)) {
		struct radix_node *n = node_alloc(r);

		if (!n)
			return -ENOMEM;
		if (r->root) {
			n->slots[0] = (uintptr_t)r->root;
			n->nr_used = 1;
		}
		r->root = n;
		r->levels++;
	}
	return 0;
}

int radix_set(struct radix *r, uint64_t index, uintptr_t value)
{
	struct radix_node *n, *child;

	if (tree_grow(r, index))
		goto no_memory;
	n = r->root;
	for (unsigned int level = r->levels - 1; level; level--, n = child) {
		uintptr_t *slot = &n->slots[slot_of(index, level)];

		child = (struct radix_node *)*slot;
		if (child)
			continue;
		child = node_alloc(r);
		if (!child)
			goto no_memory;
		*slot = (uintptr_t)child;
		n->nr_used++;
	}
	if (!n->slots[slot_of(index, 0)]) {
		n->nr_used++;
		r->count++;
	}
	n->slots[slot_of(index, 0)] = value;
	return 0;

no_memory:
	path_prune(r, index);
	return -ENOMEM;
}

uintptr_t radix_clear(struct radix *r, uint64_t index)
{
	struct radix_node *n = r->root;
	uintptr_t value;

	if (!levels_reach(r->levels, index))
		return 0;
	for (unsigned int level = r->levels; n && level-- > 1;)
		n = (struct radix_node *)n->slots[slot_of(index, level)];
	if (!n)
		return 0;
	value = n->slots[slot_of(index, 0)];
	if (!value)
		return 0;
	n->slots[slot_of(index, 0)] = 0;
	n->nr_used--;
	r->count--;
	path_prune(r, index);
	return value;
}

/* First value at or after *index below @n, which covers *index on this level. */
static uintptr_t subtree_next(const struct radix_node *n, unsigned int level, uint64_t *index)
{
	uint64_t i = *index;

	for (unsigned int s = slot_of(i, level); s < NR_SLOTS; s++) {
		uint64_t below = ((uint64_t)1 << (level * SLOT_BITS)) - 1;
		uint64_t base = (i & ~below & ~((uint64_t)(NR_SLOTS - 1) << (level * SLOT_BITS))) |
				((uint64_t)s << (level * SLOT_BITS));
		uint64_t at = s == slot_of(i, level) ? i : base;
		uintptr_t value;

		if (!n->slots[s])
			continue;
		if (!level) {
			*index = at;
			return n->slots[s];
		}
		value = subtree_next((struct radix_node *)n->slots[s], level - 1, &at);
		if (value) {
			*index = at;
			return value;
		}
	}
	return 0;
}

uintptr_t radix_next(const struct radix *r, uint64_t *index)
{
	if (!r->root || !levels_reach(r->levels, *index))
		return 0;
	return subtree_next(r->root, r->levels - 1, index);
}
