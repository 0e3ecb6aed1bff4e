/* SPDX-License-Identifier: MIT */
/* Memory policies as objects, and the policies of threads. What they do: place_page.c. */
#include "rmap/internal.h"

#define NODE_SETS (POLICY_F_STATIC_NODES | POLICY_F_RELATIVE_NODES)

uint64_t mm_sys_nodes(const struct mm_sys *sys)
{
	return sys->nr_nodes == 64 ? ~0ul : (1ul << sys->nr_nodes) - 1;
}

unsigned int mm_sys_interleave_weight(const struct mm_sys *sys, int node)
{
	unsigned int weight = __atomic_load_n(&sys->interleave_weight[node], __ATOMIC_RELAXED);

	return weight ? weight : 1;
}

void mm_sys_set_interleave_weight(struct mm_sys *sys, int node, unsigned int weight)
{
	__atomic_store_n(&sys->interleave_weight[node], (uint8_t)weight, __ATOMIC_RELAXED);
}

/* ---- sets of nodes ---------------------------------------------------------------- */

int node_nth(uint64_t nodes, unsigned int n)
{
	while (n--)
		nodes &= nodes - 1;
	return __builtin_ctzl(nodes);
}

/* Node i of @set stands for the node that is number i, counted round, of those in @all. */
static uint64_t nodes_relative(uint64_t set, uint64_t all)
{
	unsigned int nr = (unsigned int)__builtin_popcountl(all);
	uint64_t out = 0;

	for (; set; set &= set - 1)
		out |= 1ul << node_nth(all, (unsigned int)__builtin_ctzl(set) % nr);
	return out;
}

static uint64_t usable_nodes(const struct mm_sys *sys, unsigned int mode, unsigned int flags,
			     uint64_t asked)
{
	uint64_t all = mm_sys_nodes(sys), nodes;

	nodes = flags & POLICY_F_RELATIVE_NODES ? nodes_relative(asked, all) : asked & all;
	return mode == POLICY_PREFERRED ? nodes & -nodes : nodes;
}

/* ---- policies ---------------------------------------------------------------------- */

static bool flags_fit(unsigned int mode, unsigned int flags)
{
	if ((flags & ~POLICY_FLAGS) || (flags & NODE_SETS) == NODE_SETS)
		return false;
	return !(flags & POLICY_F_NUMA_BALANCING) || mode == POLICY_BIND ||
	       mode == POLICY_PREFERRED_MANY;
}

int mempolicy_create(struct mm_sys *sys, unsigned int mode, unsigned int flags,
		     const struct node_set *set, struct mempolicy **out)
{
	bool empty = !set->nodes && !set->beyond;
	struct mempolicy *p;
	uint64_t nodes;

	*out = NULL;
	if (mode >= POLICY_NR || !flags_fit(mode, flags))
		return -EINVAL;
	if (mode == POLICY_DEFAULT)
		return empty ? 0 : -EINVAL;
	if (mode == POLICY_PREFERRED && empty)
		mode = POLICY_LOCAL;
	if (mode == POLICY_LOCAL && (!empty || (flags & NODE_SETS)))
		return -EINVAL;
	nodes = usable_nodes(sys, mode, flags, set->nodes);
	if (mode != POLICY_LOCAL && !nodes)
		return -EINVAL;
	p = sys_alloc(sys, sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct mempolicy){
		.sys = sys,
		.refs = 1,
		.mode = (uint16_t)mode,
		.flags = (uint16_t)flags,
		.nodes = nodes,
		.asked = set->nodes,
		.home = POLICY_NO_HOME,
	};
	*out = p;
	return 0;
}

struct mempolicy *mempolicy_get(struct mempolicy *p)
{
	if (p)
		__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void mempolicy_put(struct mempolicy *p)
{
	if (p && !__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		sys_free(p->sys, p, sizeof(*p));
}

bool mempolicy_equal(const struct mempolicy *a, const struct mempolicy *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->mode != b->mode || a->flags != b->flags || a->home != b->home)
		return false;
	return a->nodes == b->nodes && (!(a->flags & NODE_SETS) || a->asked == b->asked);
}

int mempolicy_with_home(const struct mempolicy *p, int home, struct mempolicy **out)
{
	struct mempolicy *copy = sys_alloc(p->sys, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *p;
	copy->refs = 1;
	copy->home = home;
	*out = copy;
	return 0;
}

/* ---- threads ------------------------------------------------------------------------- */

void mm_thread_init(struct mm_thread *t)
{
	*t = (struct mm_thread){ .last_node = UMM_MAX_NODES - 1 };
	umm_mutex_init(&t->lock, LOCK_LEAF);
}

void mm_thread_inherit(struct mm_thread *t, struct mm_thread *from)
{
	mm_thread_set_policy(t, mm_thread_policy(from));
	t->last_node = from->last_node;
	t->pages_due = from->pages_due;
	t->may_lock_all = from->may_lock_all;
}

void mm_thread_destroy(struct mm_thread *t)
{
	mempolicy_put(t->policy);
	umm_mutex_destroy(&t->lock);
}

void mm_thread_set_policy(struct mm_thread *t, struct mempolicy *p)
{
	struct mempolicy *old;

	umm_mutex_lock(&t->lock);
	old = t->policy;
	t->policy = p;
	umm_mutex_unlock(&t->lock);
	mempolicy_put(old);
	t->last_node = UMM_MAX_NODES - 1;
	t->pages_due = 0;
}

struct mempolicy *mm_thread_policy(struct mm_thread *t)
{
	struct mempolicy *p;

	umm_mutex_lock(&t->lock);
	p = mempolicy_get(t->policy);
	umm_mutex_unlock(&t->lock);
	return p;
}

/* The first of @nodes behind @last, counted round. */
static unsigned int node_behind(uint64_t nodes, unsigned int last)
{
	uint64_t higher = last >= 63 ? 0 : nodes & ~((2ul << last) - 1);

	return (unsigned int)__builtin_ctzl(higher ? higher : nodes);
}

int mm_thread_next_node(const struct mm_thread *t)
{
	const struct mempolicy *p = t->policy;

	if (p->mode == POLICY_WEIGHTED_INTERLEAVE && t->pages_due &&
	    (p->nodes & (1ul << t->last_node)))
		return (int)t->last_node;
	return (int)node_behind(p->nodes, t->last_node);
}

int thread_take_node(struct mm_thread *t)
{
	int node = mm_thread_next_node(t);

	if (t->policy->mode == POLICY_WEIGHTED_INTERLEAVE) {
		if (!t->pages_due || (unsigned int)node != t->last_node)
			t->pages_due = mm_sys_interleave_weight(t->policy->sys, node);
		t->pages_due--;
	}
	t->last_node = (unsigned int)node;
	return node;
}
