/* SPDX-License-Identifier: MIT */
#ifndef RMAP_WALK_AHEAD_H
#define RMAP_WALK_AHEAD_H

#include "rmap/internal.h"

/* Enough to keep the processor's misses under way, and few enough to stay in its cache. */
#define WALK_AHEAD 16u

/* Areas that overlap page offsets [first, last] of one tree, some at a time. */
struct walk_ahead {
	struct itree_node *next; /* NULL: this was the last group */
	struct vma *vmas[WALK_AHEAD];
	unsigned int nr;
};

/*
 * The next group into w->vmas, in the tree's order, with the entries for page @first
 * of each on their way to the cache: false when there are none left. Before the first
 * call w->next is what itree_first() said.
 * => the tree is locked by the caller, from before the first call to after the last
 */
bool walk_ahead_anon(struct walk_ahead *w, uint64_t first, uint64_t last);
bool walk_ahead_file(struct walk_ahead *w, uint64_t first, uint64_t last);

#endif
