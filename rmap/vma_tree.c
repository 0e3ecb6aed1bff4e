/* SPDX-License-Identifier: MIT */
/*
 * The tree of a process's areas, by address. Each node knows where its subtree
 * starts and ends and the largest hole between two areas inside it, so a place
 * for a new area is found in O(log n) however many areas there are. The figures
 * look at nothing outside the subtree: a change is brought up its path alone.
 *
 * Locks: mmap_lock, for writing where the tree changes.
 */
#include "rmap/vma.h"

static struct vma *vma_of(const struct avl_node *a)
{
	return a ? container_of(a, struct vma, tree) : NULL;
}

uint64_t vma_start_gap(const struct vma *vma)
{
	uint64_t start = vma->start.v;

	if (!(vma_flags(vma) & VM_GROWSDOWN))
		return start;
	return start > STACK_GUARD_GAP ? start - STACK_GUARD_GAP : 0;
}

static uint64_t hole(uint64_t low, uint64_t high)
{
	return high > low ? high - low : 0;
}

static uint64_t max3(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t m = a > b ? a : b;

	return m > c ? m : c;
}

struct figures {
	uint64_t start, end, gap;
};

static struct figures subtree_figures(const struct vma *v)
{
	const struct vma *l = vma_of(v->tree.left), *r = vma_of(v->tree.right);
	struct figures f = { .start = vma_start_gap(v), .end = v->end.v };

	if (l) {
		f.gap = max3(f.gap, l->subtree_gap, hole(l->subtree_end, f.start));
		f.start = l->subtree_start;
	}
	if (r) {
		f.gap = max3(f.gap, r->subtree_gap, hole(f.end, r->subtree_start));
		f.end = r->subtree_end;
	}
	return f;
}

static void update_figures(struct avl_node *a)
{
	struct vma *v = vma_of(a);
	struct figures f = subtree_figures(v);

	v->subtree_start = f.start;
	v->subtree_end = f.end;
	v->subtree_gap = f.gap;
}

void vma_tree_insert(struct mm *mm, struct vma *vma)
{
	struct avl_node **slot = &mm->vmas, *parent = NULL;

	while (*slot) {
		parent = *slot;
		slot = vma->start.v < vma_of(parent)->start.v ? &parent->left : &parent->right;
	}
	avl_link(&mm->vmas, parent, slot, &vma->tree, update_figures);
	mm->nr_vmas++;
}

void vma_tree_remove(struct mm *mm, struct vma *vma)
{
	avl_erase(&mm->vmas, &vma->tree, update_figures);
	mm->nr_vmas--;
}

void vma_tree_refresh(struct vma *vma)
{
	avl_refresh_path(&vma->tree, update_figures);
}

struct vma *vma_find(struct mm *mm, gva_t addr)
{
	struct vma *found = NULL;
	const struct avl_node *a = mm->vmas;

	while (a) {
		struct vma *v = vma_of(a);

		if (v->end.v <= addr.v) {
			a = a->right;
			continue;
		}
		found = v;
		if (v->start.v <= addr.v)
			break;
		a = a->left;
	}
	return found;
}

struct vma *vma_find_exact(struct mm *mm, gva_t addr)
{
	struct vma *v = vma_find(mm, addr);

	return v && v->start.v <= addr.v ? v : NULL;
}

struct vma *vma_first(struct mm *mm)
{
	return vma_of(avl_first(mm->vmas));
}

struct vma *vma_next(struct vma *v)
{
	return vma_of(avl_next(&v->tree));
}

struct vma *vma_prev(struct vma *v)
{
	return vma_of(avl_prev(&v->tree));
}

/* ---- holes ------------------------------------------------------------- */

struct gap_search {
	uint64_t len, low, high; /* the hole lies in [low, high) */
	bool topdown;
};

#define NO_PLACE (~0ul)

static uint64_t place_in_hole(const struct gap_search *s, uint64_t low, uint64_t high)
{
	low = low > s->low ? low : s->low;
	high = high < s->high ? high : s->high;
	if (hole(low, high) < s->len)
		return NO_PLACE;
	return s->topdown ? high - s->len : low;
}

/*
 * The best place in the subtree of @a, which holds all areas between @low and
 * @high. Only the two paths along the limits of the search and one path to the
 * answer are followed: elsewhere the figures tell yes or no at once.
 */
static uint64_t subtree_place(const struct gap_search *s, const struct avl_node *a, uint64_t low,
			      uint64_t high)
{
	const struct vma *v = vma_of(a);
	uint64_t found;

	if (!v)
		return place_in_hole(s, low, high);
	/* A stack's gap may reach down over several areas: @high can be below subtree_end. */
	if (low >= s->high || (high <= s->low && v->subtree_end <= s->low))
		return NO_PLACE;
	if (max3(v->subtree_gap, hole(low, v->subtree_start), hole(v->subtree_end, high)) < s->len)
		return NO_PLACE;
	if (s->topdown) {
		found = subtree_place(s, a->right, v->end.v, high);
		if (found == NO_PLACE)
			found = subtree_place(s, a->left, low, vma_start_gap(v));
	} else {
		found = subtree_place(s, a->left, low, vma_start_gap(v));
		if (found == NO_PLACE)
			found = subtree_place(s, a->right, v->end.v, high);
	}
	return found;
}

static int gap_find(struct mm *mm, const struct gap_search *s, gva_t *out)
{
	uint64_t found = subtree_place(s, mm->vmas, 0, ~0ul);

	if (found == NO_PLACE)
		return -ENOMEM;
	*out = gva_make(found);
	return 0;
}

int vma_gap_topdown(struct mm *mm, uint64_t len, uint64_t low, uint64_t high, gva_t *out)
{
	struct gap_search s = { .len = len, .low = low, .high = high, .topdown = true };

	return gap_find(mm, &s, out);
}

int vma_gap_bottomup(struct mm *mm, uint64_t len, uint64_t low, uint64_t high, gva_t *out)
{
	struct gap_search s = { .len = len, .low = low, .high = high };

	return gap_find(mm, &s, out);
}

bool vma_tree_valid(struct mm *mm)
{
	struct vma *v, *prev = NULL;
	uint32_t nr = 0;

	if (!avl_valid(mm->vmas))
		return false;
	for (v = vma_first(mm); v; prev = v, v = vma_next(v)) {
		struct figures f = subtree_figures(v);

		if (v->start.v >= v->end.v || (prev && prev->end.v > v->start.v))
			return false;
		if (f.start != v->subtree_start || f.end != v->subtree_end ||
		    f.gap != v->subtree_gap)
			return false;
		nr++;
	}
	return nr == mm->nr_vmas;
}
