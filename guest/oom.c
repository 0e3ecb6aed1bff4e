/* SPDX-License-Identifier: MIT */
/*
 * Out of memory: nothing is left to reclaim, so somebody must die. As on Linux
 * that is the process whose end gives most frames back; the others live on.
 *
 * Where it is the memory of certain nodes that is out, as the thread is bound to
 * them, processes all of whose threads are bound to others have none of it and are
 * spared, as on Linux.
 *
 * /proc/PID/oom_score_adj moves a process up or down by thousandths of all memory and
 * swap; -1000 spares it for as long as there is anybody else.
 *
 * One victim at a time: whoever finds no memory while a process is on its way
 * out only waits for it, and whoever comes when one has ended since its last
 * failure tries again first: its failure may be older than the memory that has
 * become free. A victim that does not get away in time (it may itself wait for
 * memory that a pinned page holds) is given company.
 */
#include <stdio.h>
#include <time.h>

#include "guest/task.h"

#define VICTIM_PATIENCE_MS 2000
#define VICTIM_POLL_MS     5

static struct mm *proc_mm(struct proc *p)
{
	struct task *t;

	list_for_each_entry(t, &p->tasks, link) if (t->mm) return t->mm;
	return NULL;
}

/* Lock held. A task has no mm any more while its memory is being freed: ask for the zombie. */
static bool victim_on_its_way(struct guest *g)
{
	struct proc *p;

	list_for_each_entry(p, &g->procs, all) if (p->group_exit && !p->zombie) return true;
	return false;
}

uint64_t oom_all_frames(const struct guest *g)
{
	struct mm_node_info node;
	struct swap_info swap;
	uint64_t frames;

	swap_get_info(g->cfg.sys, &swap);
	frames = swap.nr_slots;
	for (unsigned int i = 0; i < mm_sys_nr_nodes(g->cfg.sys); i++) {
		mm_sys_node_info(g->cfg.sys, (int)i, &node);
		frames += node.nr_frames;
	}
	return frames;
}

int64_t oom_score(struct proc *p, uint64_t all)
{
	struct mm *mm = proc_mm(p);

	if (!mm || p->oom_score_adj == OOM_SCORE_ADJ_MIN)
		return INT64_MIN;
	return (int64_t)mm_badness(mm) + p->oom_score_adj * ((int64_t)all / OOM_SCORE_ADJ_MAX);
}

static void report_kill(struct guest *g, struct proc *p, uint64_t frames)
{
	char text[160];

	snprintf(text, sizeof(text), "out of guest memory: killed process %d (%s), %llu MiB",
		 p->pid, p->comm, (unsigned long long)(frames >> (20 - UMM_PAGE_SHIFT)));
	if (g->cfg.report)
		g->cfg.report(text);
}

/* The nodes that the thread's pages may be on, whatever its areas say. */
static uint64_t bound_nodes(struct task *t)
{
	struct mempolicy *policy = mm_thread_policy(&t->placement);
	uint64_t nodes = policy && policy->mode == POLICY_BIND ? policy->nodes : ~0ul;

	mempolicy_put(policy);
	return nodes;
}

/* Lock held. */
static bool may_use(struct proc *p, uint64_t nodes)
{
	struct task *t;

	list_for_each_entry(t, &p->tasks, link) if (bound_nodes(t) & nodes) return true;
	return false;
}

/* Lock held: who asks for memory dies, if the guest wants it so and it is not protected. */
static struct proc *asker_to_kill(struct task *t)
{
	struct proc *p = t->proc;

	if (!sysctl_kept(&t->g->sysctls, KEPT_OOM_KILL_ALLOCATING) || p->group_exit ||
	    p->oom_score_adj == OOM_SCORE_ADJ_MIN || !proc_mm(p))
		return NULL;
	return p;
}

/* Lock held. Memory of these nodes is out for @t. */
static void kill_one(struct task *t, uint64_t nodes)
{
	struct guest *g = t->g;
	uint64_t all = oom_all_frames(g);
	struct proc *p, *asker = asker_to_kill(t), *victim = asker;
	int64_t score, best = 0;

	list_for_each_entry(p, &g->procs, all)
	{
		if (asker || p->group_exit || p->zombie || !proc_mm(p) || !may_use(p, nodes))
			continue;
		score = oom_score(p, all);
		if (!victim || score > best) {
			victim = p;
			best = score;
		}
	}
	if (!victim)
		return;
	counter_add(&g->counters.oom_kills);
	report_kill(g, victim, mm_badness(proc_mm(victim)));
	proc_kill(victim, SIGKILL);
}

void oom_kill(struct task *t)
{
	struct timespec pause = { .tv_nsec = VICTIM_POLL_MS * 1000000l };
	uint64_t nodes = bound_nodes(t);
	struct guest *g = t->g;
	bool waiting = true;
	int waited;

	guest_lock(g);
	if (t->oom_ends == g->nr_ends && !victim_on_its_way(g))
		kill_one(t, nodes);
	guest_unlock(g);
	for (waited = 0; waiting && waited < VICTIM_PATIENCE_MS; waited += VICTIM_POLL_MS) {
		guest_lock(g);
		waiting = victim_on_its_way(g) && !task_must_leave(t);
		t->oom_ends = g->nr_ends;
		guest_unlock(g);
		if (waiting)
			nanosleep(&pause, NULL);
	}
	if (!waiting)
		return;
	guest_lock(g);
	kill_one(t, nodes);
	guest_unlock(g);
}
