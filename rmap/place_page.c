/* SPDX-License-Identifier: MIT */
/*
 * On which node a new page goes.
 *
 *	page of			first policy that there is
 *	private memory		the area's, the thread's
 *	shared memory		the object's for this page, the thread's
 *	a file			the thread's
 *
 *	policy			nodes allowed	tried first
 *	none, local		all		the calling thread's
 *	preferred		all		the one named
 *	bind			those named	the home node, or nearest to the thread
 *	preferred-many		all		of those named: as bind
 *	interleave		all		one of those named
 *
 * Interleaving goes by the page's place in its area or object, so that it does
 * not depend on the order of touching; pages of files, which belong to no area,
 * go round by the thread's own count. Sets of folios larger than a page count
 * in their own size.
 */
#include "rmap/internal.h"

struct place place_on_node(int node)
{
	return (struct place){ .nodes = ~0ul, .node = node, .local = node };
}

struct mm_thread *sys_current_thread(const struct mm_sys *sys)
{
	return sys->ops->current_thread ? sys->ops->current_thread(sys->ctx) : NULL;
}

bool sys_caller_ends(const struct mm_sys *sys)
{
	const struct mm_thread *t = sys_current_thread(sys);

	return t && __atomic_load_n(&t->ending, __ATOMIC_RELAXED);
}

int sys_current_node(const struct mm_sys *sys)
{
	int node = sys->ops->current_node ? sys->ops->current_node(sys->ctx) : 0;

	return node >= 0 && node < (int)sys->nr_nodes ? node : 0;
}

static int interleave_node(const struct mempolicy *p, uint64_t index)
{
	uint64_t total = 0;

	if (p->mode == POLICY_INTERLEAVE)
		return node_nth(p->nodes, (unsigned int)(index % (unsigned int)__builtin_popcountl(
									 p->nodes)));
	for (uint64_t n = p->nodes; n; n &= n - 1)
		total += mm_sys_interleave_weight(p->sys, __builtin_ctzl(n));
	index %= total;
	for (uint64_t n = p->nodes;; n &= n - 1) {
		uint64_t weight = mm_sys_interleave_weight(p->sys, __builtin_ctzl(n));

		/* A weight changed meanwhile may leave too much of the index. */
		if (index < weight || !(n & (n - 1)))
			return __builtin_ctzl(n);
		index -= weight;
	}
}

struct place place_by_policy(struct mm_sys *sys, const struct mempolicy *p, uint64_t index)
{
	struct place place = place_on_node(sys_current_node(sys));

	if (!p)
		return place;
	switch (p->mode) {
	case POLICY_PREFERRED:
		place.node = __builtin_ctzl(p->nodes);
		break;
	case POLICY_BIND:
		place.nodes = p->nodes;
		break;
	case POLICY_PREFERRED_MANY:
		place.first = p->nodes;
		break;
	case POLICY_INTERLEAVE:
	case POLICY_WEIGHTED_INTERLEAVE:
		place.spread = true;
		place.node = interleave_node(p, index);
		break;
	default:
		break;
	}
	if (p->home != POLICY_NO_HOME)
		place.node = p->home;
	return place;
}

static struct place place_by_thread(struct mm_sys *sys, uint64_t index)
{
	struct mm_thread *t = sys_current_thread(sys);

	return place_by_policy(sys, t ? t->policy : NULL, index);
}

struct place place_for(const struct vma *vma, gva_t addr, unsigned int order)
{
	uint64_t index =
		(vma->pgoff.v >> order) + ((addr.v - vma->start.v) >> (UMM_PAGE_SHIFT + order));
	struct mm_sys *sys = vma->mm->sys;

	if (vma->mapping && mapping_is_shmem(vma->mapping))
		return place_for_page(vma->mapping, pgoff_make(index << order));
	if (vma->policy)
		return place_by_policy(sys, vma->policy, index);
	return place_by_thread(sys, index);
}

struct place place_for_page(struct address_space *m, pgoff_t index)
{
	struct mm_thread *t = sys_current_thread(m->sys);
	struct mempolicy *p = NULL;
	struct place place;

	if (mapping_is_shmem(m)) {
		p = shared_policy_find(m, index);
		place = p ? place_by_policy(m->sys, p, index.v) : place_by_thread(m->sys, index.v);
		mempolicy_put(p);
		return place;
	}
	place = place_by_thread(m->sys, 0);
	if (place.spread)
		place.node = thread_take_node(t);
	return place;
}

/* Linux's figures of numastat: where pages were meant to go, and where they went. */
void count_placed(struct mm_sys *sys, const struct place *p, int node, uint64_t nr)
{
	struct numa_stat *got = &sys->nodes[node].stat;
	bool meant = node == p->node || !(p->nodes & (1ul << p->node)) ||
		     (p->first && !(p->first & (1ul << p->node)) && (p->first & (1ul << node)));

	if (meant) {
		__atomic_fetch_add(&got->hit, nr, __ATOMIC_RELAXED);
	} else {
		__atomic_fetch_add(&got->miss, nr, __ATOMIC_RELAXED);
		__atomic_fetch_add(&sys->nodes[p->node].stat.foreign, nr, __ATOMIC_RELAXED);
	}
	if (p->spread && meant)
		__atomic_fetch_add(&got->interleave, nr, __ATOMIC_RELAXED);
	__atomic_fetch_add(node == p->local ? &got->local : &got->other, nr, __ATOMIC_RELAXED);
}
