/* SPDX-License-Identifier: MIT */
/*
 * The NUMA calls: policies of areas and threads, and moving pages by node or by
 * address. Values, errors and their order are those of Linux 6.12.
 */
#include <string.h>
#include <unistd.h>

#include "guest/syscalls.h"
#include "guest/task.h"

/* Linux's room for nodes; libnuma asks in sets of this size. */
#define NODES_ROOM     1024u
#define NODE_BYTES_MAX (UMM_PAGE_SIZE)

/* get_mempolicy's flags. */
#define F_NODE         (1u << 0)
#define F_ADDR         (1u << 1)
#define F_MEMS_ALLOWED (1u << 2)

/* How often a page may vanish again between touching it and asking for its node. */
#define TOUCH_TRIES 16

static struct mm_sys *task_sys(const struct task *t)
{
	return t->g->cfg.sys;
}

/* CAP_SYS_NICE is root's. */
static bool may_move_all(void)
{
	return geteuid() == 0;
}

/* ---- sets of nodes in the guest's memory --------------------------------------- */

/* @maxnode is one more than the number of bits, as these calls have it. */
static int nodes_from_user(struct task *t, uint64_t addr, uint64_t maxnode, struct node_set *out)
{
	uint64_t words[NODE_BYTES_MAX / 8];
	uint64_t bits = maxnode - 1, nr = (bits + 63) / 64;

	*out = (struct node_set){ 0 };
	if (!bits || !addr)
		return 0;
	if (bits > NODE_BYTES_MAX * 8)
		return -EINVAL;
	if (copy_from_user(t, words, addr, nr * 8))
		return -EFAULT;
	if (bits % 64)
		words[nr - 1] &= (1ull << bits % 64) - 1;
	out->nodes = words[0];
	for (uint64_t i = 1; i < nr; i++) {
		if (words[i] && i >= NODES_ROOM / 64)
			return -EINVAL;
		out->beyond |= words[i] != 0;
	}
	return 0;
}

static int nodes_to_user(struct task *t, uint64_t addr, uint64_t maxnode, uint64_t nodes)
{
	uint64_t words[NODE_BYTES_MAX / 8] = { nodes };
	uint64_t bytes = (maxnode - 1 + 63) / 64 * 8;

	if (bytes > NODE_BYTES_MAX)
		return -EINVAL;
	return copy_to_user(t, addr, words, bytes);
}

/* Page-aligned ends of [start, start + len): 1, 0 if empty, or -EINVAL. */
static int page_range(uint64_t start, uint64_t len, gva_t *end)
{
	if (start & ~UMM_PAGE_MASK)
		return -EINVAL;
	*end = gva_make(start + page_align_up(len));
	if (end->v < start)
		return -EINVAL;
	return end->v > start;
}

/* ---- policies of areas ----------------------------------------------------------- */

static int policy_check(int mode)
{
	unsigned int flags = (unsigned int)mode & POLICY_FLAGS;
	unsigned int plain = (unsigned int)mode & ~POLICY_FLAGS;

	if (plain >= POLICY_NR)
		return -EINVAL;
	if ((flags & POLICY_F_STATIC_NODES) && (flags & POLICY_F_RELATIVE_NODES))
		return -EINVAL;
	if ((flags & POLICY_F_NUMA_BALANCING) && plain != POLICY_BIND &&
	    plain != POLICY_PREFERRED_MANY)
		return -EINVAL;
	return 0;
}

static int policy_create(struct task *t, int mode, const struct node_set *set,
			 struct mempolicy **out)
{
	return mempolicy_create(task_sys(t), (unsigned int)mode & ~POLICY_FLAGS,
				(unsigned int)mode & POLICY_FLAGS, set, out);
}

int64_t sys_mbind(struct task *t, const uint64_t a[6])
{
	unsigned int flags = (unsigned int)a[5];
	struct mempolicy *policy;
	struct node_set set;
	gva_t end;
	int ret = policy_check((int)a[2]);

	if (!ret)
		ret = nodes_from_user(t, a[3], a[4], &set);
	if (ret)
		return ret;
	if (flags & ~(MBIND_STRICT | MBIND_MOVE | MBIND_MOVE_ALL))
		return -EINVAL;
	if ((flags & MBIND_MOVE_ALL) && !may_move_all())
		return -EPERM;
	ret = page_range(a[0], a[1], &end);
	if (ret <= 0)
		return ret;
	ret = policy_create(t, (int)a[2], &set, &policy);
	if (ret)
		return ret;
	ret = mm_mbind(t->mm, gva_make(a[0]), end, policy, flags);
	mempolicy_put(policy);
	return ret;
}

int64_t sys_set_mempolicy_home_node(struct task *t, const uint64_t a[6])
{
	gva_t end;
	int ret;

	if ((a[0] & ~UMM_PAGE_MASK) || a[3] || a[2] >= mm_sys_nr_nodes(task_sys(t)))
		return -EINVAL;
	ret = page_range(a[0], a[1], &end);
	return ret <= 0 ? ret : mm_set_home_node(t->mm, gva_make(a[0]), end, (int)a[2]);
}

/* ---- policies of threads ---------------------------------------------------------- */

int64_t sys_set_mempolicy(struct task *t, const uint64_t a[6])
{
	struct mempolicy *policy;
	struct node_set set;
	int ret = policy_check((int)a[0]);

	if (!ret)
		ret = nodes_from_user(t, a[1], a[2], &set);
	if (!ret)
		ret = policy_create(t, (int)a[0], &set, &policy);
	if (!ret)
		mm_thread_set_policy(&t->placement, policy);
	return ret;
}

/* The node of the page at @addr, which is touched if it is not there. */
static int touched_node(struct task *t, uint64_t addr)
{
	int node = -EFAULT;
	uint8_t byte;

	for (int i = 0; i < TOUCH_TRIES; i++) {
		if (copy_from_user(t, &byte, addr, 1))
			return -EFAULT;
		node = mm_page_node(t->mm, gva_make(addr));
		if (node != -ENOENT)
			break;
	}
	return node;
}

static int next_node(const struct task *t)
{
	const struct mempolicy *p = t->placement.policy;

	if (p && (p->mode == POLICY_INTERLEAVE || p->mode == POLICY_WEIGHTED_INTERLEAVE))
		return mm_thread_next_node(&t->placement);
	return -EINVAL;
}

/* What the call is about: with F_ADDR the area's policy, else the thread's. */
static int policy_asked_for(struct task *t, uint64_t addr, unsigned int flags,
			    struct mempolicy **out)
{
	if (flags & F_ADDR)
		return mm_policy_at(t->mm, gva_make(addr), out);
	if (addr)
		return -EINVAL;
	*out = mm_thread_policy(&t->placement);
	return 0;
}

static uint64_t policy_nodes(const struct mempolicy *p)
{
	if (!p)
		return 0;
	return p->flags & (POLICY_F_STATIC_NODES | POLICY_F_RELATIVE_NODES) ? p->asked : p->nodes;
}

static int get_policy(struct task *t, uint64_t addr, unsigned int flags, int *value,
		      uint64_t *nodes)
{
	struct mempolicy *p;
	int ret = policy_asked_for(t, addr, flags, &p);

	if (ret)
		return ret;
	*nodes = policy_nodes(p);
	*value = p ? p->mode | p->flags : POLICY_DEFAULT;
	mempolicy_put(p);
	if (flags & F_NODE) {
		*value = flags & F_ADDR ? touched_node(t, addr) : next_node(t);
		if (*value < 0)
			return *value;
	}
	return 0;
}

int64_t sys_get_mempolicy(struct task *t, const uint64_t a[6])
{
	unsigned int nr = mm_sys_nr_nodes(task_sys(t)), flags = (unsigned int)a[4];
	uint64_t nodes = mm_sys_nodes(task_sys(t));
	int value = 0, ret = 0;

	if (a[1] && a[2] < nr)
		return -EINVAL;
	if (a[4] & ~(uint64_t)(F_NODE | F_ADDR | F_MEMS_ALLOWED))
		return -EINVAL;
	if ((flags & F_MEMS_ALLOWED) && (flags & (F_NODE | F_ADDR)))
		return -EINVAL;
	if (!(flags & F_MEMS_ALLOWED))
		ret = get_policy(t, a[3], flags, &value, &nodes);
	if (ret)
		return ret;
	if (a[0] && copy_to_user(t, a[0], &value, sizeof(value)))
		return -EFAULT;
	return a[1] ? nodes_to_user(t, a[1], a[2], nodes) : 0;
}

/* ---- other processes ---------------------------------------------------------------- */

/* The memory of process @pid (0: the caller's), with a reference. -ESRCH, -EPERM, -EINVAL. */
static int mm_of(struct task *t, int32_t pid, struct mm **out)
{
	struct task *other;
	struct proc *p;
	int ret = 0;

	*out = NULL;
	guest_lock(t->g);
	other = pid ? task_find(t->g, pid) : t;
	p = other ? other->proc : proc_find(t->g, pid);
	if (!p)
		ret = -ESRCH;
	else if (!creds_may_trace(t, p))
		ret = -EPERM;
	else if (!other || !other->mm)
		ret = -EINVAL;
	else
		*out = mm_get(other->mm);
	guest_unlock(t->g);
	return ret;
}

int64_t sys_migrate_pages(struct task *t, const uint64_t a[6])
{
	uint64_t all = mm_sys_nodes(task_sys(t));
	struct node_set from, to;
	struct mm *mm;
	int64_t ret;

	ret = nodes_from_user(t, a[2], a[1], &from);
	if (!ret)
		ret = nodes_from_user(t, a[3], a[1], &to);
	if (!ret)
		ret = mm_of(t, (int32_t)a[0], &mm);
	if (ret)
		return ret;
	if (((to.nodes & ~all) || to.beyond) && !may_move_all())
		ret = -EPERM;
	else if (!(to.nodes & all))
		ret = -EINVAL;
	else
		ret = mm_migrate_nodes(mm, from.nodes & all, to.nodes & all, may_move_all());
	mm_put(mm);
	return ret;
}

/* ---- move_pages ------------------------------------------------------------------------ */

/*
 * Pages go to their nodes in runs: as long as the next page has the same target
 * and can be had, it joins the queue; otherwise the queue is moved first. So the
 * call ends as Linux's does when a run could not be moved: with the number of
 * pages that stayed or were not looked at, and without their status.
 */
struct page_move {
	struct task *t;
	struct mm *mm;
	uint64_t nr, pages, nodes, status; /* the call's arguments */
	bool shared_too;
	struct page_queue queue;
	int to;         /* of the run, -1: none */
	uint64_t start; /* its first page */
};

static int store_status(const struct page_move *m, uint64_t first, uint64_t nr, int value)
{
	for (uint64_t i = 0; i < nr; i++) {
		if (copy_to_user(m->t, m->status + (first + i) * sizeof(int), &value,
				 sizeof(value)))
			return -EFAULT;
	}
	return 0;
}

/* Move what is queued; pages [m->start, i) have it. 0, -errno, or how many stay. */
static int64_t move_run(struct page_move *m, uint64_t i)
{
	int64_t stayed;

	if (!m->queue.nr)
		return 0;
	stayed = page_queue_move(&m->queue, m->mm->sys, m->to);
	if (stayed > 0)
		stayed += (int64_t)(m->nr - i);
	return stayed ? stayed : store_status(m, m->start, i - m->start, m->to);
}

static int read_target(const struct page_move *m, uint64_t i, uint64_t *page, int *node)
{
	if (copy_from_user(m->t, page, m->pages + i * sizeof(*page), sizeof(*page)) ||
	    copy_from_user(m->t, node, m->nodes + i * sizeof(*node), sizeof(*node)))
		return -EFAULT;
	return *node < 0 || *node >= (int)mm_sys_nr_nodes(m->mm->sys) ? -ENODEV : 0;
}

/* Page @i is not in the queue: its status, and the run before it is moved. */
static int64_t end_run(struct page_move *m, uint64_t i, int why)
{
	int64_t told = store_status(m, i, 1, why ? why : m->to), ret = move_run(m, i);

	m->to = -1;
	if (told)
		return told;
	return ret > 0 ? ret - 1 : ret;
}

static int64_t move_one(struct page_move *m, uint64_t i, uint64_t page, int node)
{
	int64_t ret = 0;
	int why;

	if (m->to >= 0 && node != m->to)
		ret = move_run(m, i);
	if (ret)
		return ret;
	if (node != m->to) {
		m->to = node;
		m->start = i;
	}
	why = page_queue_add(&m->queue, m->mm, gva_make(page), node, m->shared_too);
	return why > 0 ? 0 : end_run(m, i, why);
}

static int64_t pages_move(struct page_move *m)
{
	int64_t ret = 0, last;
	uint64_t i, page;
	int node;

	m->to = -1;
	for (i = 0; i < m->nr; i++) {
		ret = read_target(m, i, &page, &node);
		if (ret)
			break;
		ret = move_one(m, i, page, node);
		if (ret)
			return ret;
	}
	last = move_run(m, i);
	return ret ? ret : last;
}

static int pages_query(const struct page_move *m)
{
	uint64_t page;

	for (uint64_t i = 0; i < m->nr; i++) {
		if (copy_from_user(m->t, &page, m->pages + i * sizeof(page), sizeof(page)))
			return -EFAULT;
		if (store_status(m, i, 1, mm_page_node(m->mm, gva_make(page))))
			return -EFAULT;
	}
	return 0;
}

int64_t sys_move_pages(struct task *t, const uint64_t a[6])
{
	struct page_move m = {
		.t = t,
		.nr = a[1],
		.pages = a[2],
		.nodes = a[3],
		.status = a[4],
		.shared_too = a[5] & MBIND_MOVE_ALL,
		.queue = PAGE_QUEUE_INIT,
	};
	int64_t ret;

	if ((unsigned int)a[5] & ~(MBIND_MOVE | MBIND_MOVE_ALL))
		return -EINVAL;
	if (m.shared_too && !may_move_all())
		return -EPERM;
	ret = mm_of(t, (int32_t)a[0], &m.mm);
	if (ret)
		return ret;
	ret = m.nodes ? pages_move(&m) : pages_query(&m);
	mm_put(m.mm);
	return ret;
}
