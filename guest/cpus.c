/* SPDX-License-Identifier: MIT */
/*
 * The guest's processors. Each is one of the host's (several may be the same
 * one), so that a thread which binds itself stays near the memory of its node,
 * and what the guest is told about where a thread runs is where it runs.
 *
 * Linux keeps each processor's number in its TSC_AUX. Where guest code runs on the bare
 * processor (software virtualisation) it sees that number, which is right at any moment
 * whatever the host's scheduler does; elsewhere it sees what KVM gave the vCPU: 0. So the
 * vDSO's getcpu tells with each call to the host what it saw. Once that was the number
 * of the processor that the thread is on, and not 0, programs may go by it, through a
 * table from the host's processors to the guest's. There is none where two of the guest's
 * are the same one.
 */
#include <cpuid.h>
#include <sched.h>
#include <string.h>

#include "guest/task.h"
#include "guest/vdso.h"

#define CPUID_EXTENDED 0x80000001u
#define EDX_RDTSCP     (1u << 27)

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

/* ---- what the vDSO sees --------------------------------------------------------- */

void guest_cpus_show(const struct guest *g)
{
	unsigned int a, b, c, d;

	if (g->cfg.vvar && g->cfg.cpus && __get_cpuid(CPUID_EXTENDED, &a, &b, &c, &d))
		g->cfg.vvar->has_aux = !!(d & EDX_RDTSCP);
}

/* False: two of the guest's processors are one of the host's, or its number is too high. */
static bool fill_table(const struct guest_config *cfg, struct vvar_cpu table[VVAR_CPUS])
{
	for (unsigned int i = 0; i < cfg->nr_cpus; i++) {
		int host = cfg->cpus[i].host;

		if (host < 0 || host >= VVAR_CPUS || table[host].number)
			return false;
		table[host].number = (uint16_t)(i + 1);
		table[host].node = (uint16_t)cfg->cpus[i].node;
	}
	return true;
}

void task_saw_aux(const struct task *t, uint32_t aux)
{
	const struct guest_config *cfg = &t->g->cfg;
	struct vvar_cpu table[VVAR_CPUS] = { { 0 } };
	int host = sched_getcpu();

	if (!cfg->vvar || !cfg->vvar->has_aux || host <= 0 ||
	    (aux & VVAR_AUX_CPU) != (unsigned int)host)
		return;
	if (__atomic_load_n(&cfg->vvar->cpus_known, __ATOMIC_ACQUIRE) || !fill_table(cfg, table))
		return;
	/* Whoever else is here writes the same. */
	for (int i = 0; i < VVAR_CPUS; i++) {
		__atomic_store_n(&cfg->vvar->cpu[i].number, table[i].number, __ATOMIC_RELAXED);
		__atomic_store_n(&cfg->vvar->cpu[i].node, table[i].node, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&cfg->vvar->cpus_known, 1, __ATOMIC_RELEASE);
}
