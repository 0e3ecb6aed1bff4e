/* SPDX-License-Identifier: MIT */
/*
 * The guest's processors. Each is one of the host's (several may be the same
 * one), so that a thread which binds itself stays near the memory of its node,
 * and what the guest is told about where a thread runs is where it runs.
 */
#include <sched.h>
#include <string.h>

#include "guest/task.h"

int guest_cpu_node(const struct guest *g, unsigned int cpu)
{
	return g->cfg.cpus ? g->cfg.cpus[cpu].node : 0;
}

static bool mask_test(const uint64_t mask[CPU_MASK_WORDS], unsigned int cpu)
{
	return __atomic_load_n(&mask[cpu / 64], __ATOMIC_RELAXED) >> (cpu % 64) & 1;
}

bool task_is_bound(const struct task *t)
{
	uint64_t any = 0;

	for (int i = 0; i < CPU_MASK_WORDS; i++)
		any |= __atomic_load_n(&t->affinity[i], __ATOMIC_RELAXED);
	return any;
}

bool task_may_use_cpu(const struct task *t, unsigned int cpu)
{
	return cpu < t->g->cfg.nr_cpus && (!task_is_bound(t) || mask_test(t->affinity, cpu));
}

unsigned int task_cpu(const struct task *t)
{
	const struct guest_config *cfg = &t->g->cfg;
	bool bound = task_is_bound(t);
	int host = sched_getcpu(), first = -1;

	if (host < 0)
		host = 0;
	for (unsigned int i = 0; i < cfg->nr_cpus && i < CPU_MASK_WORDS * 64; i++) {
		if (bound && !mask_test(t->affinity, i))
			continue;
		if (cfg->cpus && cfg->cpus[i].host == host)
			return i;
		if (first < 0 || i == (unsigned int)host % cfg->nr_cpus)
			first = (int)i;
	}
	/* It has not moved to where it may run yet, or the guest has fewer than the host. */
	return first < 0 ? 0 : (unsigned int)first;
}

void task_bind(struct task *t)
{
	const struct guest_config *cfg = &t->g->cfg;
	cpu_set_t set;

	if (!cfg->cpus || !t->vcpu)
		return;
	CPU_ZERO(&set);
	for (unsigned int i = 0; i < cfg->nr_cpus; i++) {
		if (task_may_use_cpu(t, i) && cfg->cpus[i].host < CPU_SETSIZE)
			CPU_SET(cfg->cpus[i].host, &set);
	}
	/* If the host has taken these processors away the thread runs where it can. */
	(void)pthread_setaffinity_np(t->thread, sizeof(set), &set);
}

struct mm_thread *guest_current_thread(void)
{
	return current_task ? &current_task->placement : NULL;
}

int guest_current_node(void)
{
	return current_task ? guest_cpu_node(current_task->g, task_cpu(current_task)) : 0;
}
