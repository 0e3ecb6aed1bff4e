/* SPDX-License-Identifier: MIT */
/*
 * The reclaim policies there are, which one is at work, and switching.
 *
 * A switch gives each node a second policy_node: what is added goes there at once,
 * and what the old one has is handed over a few folios at a time, in the order in
 * which it would have evicted them. So lru_lock is held for microseconds, and
 * reclaim goes on meanwhile. The old state is freed after all who may be in one of
 * its functions without lru_lock (they hold work_lock for reading) have left.
 */
#include "rmap/internal.h"

#include <sched.h>

#define HAND_OVER 256u

static const struct reclaim_policy *const policies[] = {
	&policy_active_inactive, &policy_fifo,  &policy_clock,
	&policy_mglru,           &policy_damon, &policy_random_choice,
};

#define NR_POLICIES (sizeof(policies) / sizeof(policies[0]))

const struct reclaim_policy *reclaim_policy_get(unsigned int i)
{
	return i < NR_POLICIES ? policies[i] : NULL;
}

const struct reclaim_policy *reclaim_policy_find(const char *name)
{
	for (unsigned int i = 0; i < NR_POLICIES; i++) {
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	}
	return NULL;
}

int reclaim_policy_check(const struct reclaim_policy *p)
{
	if (p->abi != RECLAIM_POLICY_ABI || p->size != sizeof(*p))
		return -ENOEXEC;
	if (!p->name || !*p->name || strlen(p->name) > RECLAIM_POLICY_NAME_MAX || !p->add ||
	    !p->remove || !p->victim || !p->skip)
		return -EINVAL;
	return 0;
}

/* ---- what policies call ---------------------------------------------------------- */

static struct mm_sys *sys_of(const struct policy_node *p)
{
	return p->owner;
}

static void *host_alloc(struct policy_node *p, size_t size)
{
	return sys_alloc(sys_of(p), size);
}

static void host_free(struct policy_node *p, void *m, size_t size)
{
	sys_free(sys_of(p), m, size);
}

static void host_lock(struct policy_node *p)
{
	umm_mutex_lock(&sys_of(p)->nodes[p->id].lru_lock);
}

static void host_unlock(struct policy_node *p)
{
	umm_mutex_unlock(&sys_of(p)->nodes[p->id].lru_lock);
}

static bool host_sample(struct policy_node *p, uint64_t frame)
{
	return policy_sample(sys_of(p), p->id, frame);
}

static uint64_t host_walk(struct policy_node *p)
{
	return policy_walk(sys_of(p), p->id);
}

static const struct policy_host mm_policy_host = {
	.alloc = host_alloc,
	.free = host_free,
	.lock = host_lock,
	.unlock = host_unlock,
	.sample = host_sample,
	.walk = host_walk,
};

/* ---- one policy on one node -------------------------------------------------------- */

static size_t node_size(const struct reclaim_policy *policy)
{
	return sizeof(struct policy_node) + policy->state_size;
}

static void node_destroy(struct mm_sys *sys, struct policy_node *p)
{
	if (!p)
		return;
	if (p->policy->exit)
		p->policy->exit(p);
	sys_free(sys, p, node_size(p->policy));
}

static struct policy_node *node_create(struct mm_sys *sys, const struct reclaim_policy *policy,
				       struct mm_node *n, uint32_t mark)
{
	struct policy_node *p = sys_alloc(sys, node_size(policy));

	if (!p)
		return NULL;
	*p = (struct policy_node){
		.policy = policy,
		.host = &mm_policy_host,
		.owner = sys,
		.state = p + 1,
		.frames = n->frames,
		.nr_frames = n->nr_frames,
		.random = (uint64_t)n->id,
		.id = n->id,
		.mark = mark,
	};
	if (policy->init && policy->init(p)) {
		sys_free(sys, p, node_size(policy));
		return NULL;
	}
	return p;
}

int policies_init(struct mm_sys *sys)
{
	umm_mutex_init(&sys->policy_lock, LOCK_PLACEMENT);
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		sys->nodes[i].policy = node_create(sys, policies[0], &sys->nodes[i], 1u << PG_lru);
		if (!sys->nodes[i].policy) {
			policies_destroy(sys);
			return -ENOMEM;
		}
	}
	return 0;
}

void policies_destroy(struct mm_sys *sys)
{
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		node_destroy(sys, sys->nodes[i].policy);
		sys->nodes[i].policy = NULL;
	}
	umm_mutex_destroy(&sys->policy_lock);
}

/* ---- switching ------------------------------------------------------------------------ */

static void hand_over(struct mm_node *n)
{
	while (lru_hand_over(n, HAND_OVER) == HAND_OVER)
		sched_yield();
}

/* policy_lock held. */
static int switch_all(struct mm_sys *sys, const struct reclaim_policy *policy)
{
	struct policy_node *made[UMM_MAX_NODES], *old[UMM_MAX_NODES];

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		struct mm_node *n = &sys->nodes[i];

		made[i] = node_create(sys, policy, n, n->policy->mark ^ (1u << PG_epoch));
		if (!made[i]) {
			while (i--)
				node_destroy(sys, made[i]);
			return -ENOMEM;
		}
	}
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		struct mm_node *n = &sys->nodes[i];

		umm_mutex_lock(&n->lru_lock);
		old[i] = n->policy;
		n->old_policy = n->policy;
		__atomic_store_n(&n->policy, made[i], __ATOMIC_RELEASE);
		umm_mutex_unlock(&n->lru_lock);
	}
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		struct mm_node *n = &sys->nodes[i];

		hand_over(n);
		umm_mutex_lock(&n->lru_lock);
		mm_assert(!n->old_policy->listed);
		n->old_policy = NULL;
		umm_mutex_unlock(&n->lru_lock);
	}
	umm_write_lock(&sys->work_lock);
	umm_write_unlock(&sys->work_lock);
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		node_destroy(sys, old[i]);
	return 0;
}

int mm_policy_set(struct mm_sys *sys, const struct reclaim_policy *policy)
{
	int ret = reclaim_policy_check(policy);

	if (ret)
		return ret;
	umm_mutex_lock(&sys->policy_lock);
	if (sys->nodes[0].policy->policy != policy)
		ret = switch_all(sys, policy);
	umm_mutex_unlock(&sys->policy_lock);
	return ret;
}

const struct reclaim_policy *mm_policy_get(struct mm_sys *sys)
{
	const struct reclaim_policy *policy;

	umm_mutex_lock(&sys->nodes[0].lru_lock);
	policy = sys->nodes[0].policy->policy;
	umm_mutex_unlock(&sys->nodes[0].lru_lock);
	return policy;
}

uint64_t mm_policy_listed(struct mm_sys *sys, int node)
{
	return lru_frames(sys, node);
}

void mm_policy_describe(struct mm_sys *sys, int node,
			void (*tell)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct mm_node *n = &sys->nodes[node];

	umm_mutex_lock(&n->lru_lock);
	if (n->policy->policy->describe)
		n->policy->policy->describe(n->policy, tell, arg);
	umm_mutex_unlock(&n->lru_lock);
}

uint64_t mm_policy_tick(struct mm_sys *sys, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	umm_mutex_lock(&sys->policy_lock);
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		/* Only a switch changes it, and that waits. */
		struct policy_node *p = sys->nodes[i].policy;
		uint64_t in;

		if (!p->policy->tick)
			continue;
		in = p->policy->tick(p, now);
		next = in < next ? in : next;
	}
	umm_mutex_unlock(&sys->policy_lock);
	return next;
}
