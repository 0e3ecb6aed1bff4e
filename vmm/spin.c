/* SPDX-License-Identifier: MIT */
#include "vmm/spin.h"

#include <sched.h>

#define TRUST_MAX    8
#define TRUST_ENOUGH 5

void spin_init(struct spin *s)
{
	cpu_set_t cpus;

	s->max = sched_getaffinity(0, sizeof(cpus), &cpus) ? 0 : (unsigned int)CPU_COUNT(&cpus) / 2;
	atomic_init(&s->now, 0);
	atomic_init(&s->trust, TRUST_MAX);
}

bool spin_begin(struct spin *s)
{
	if (atomic_load_explicit(&s->trust, memory_order_relaxed) < TRUST_ENOUGH)
		return false;
	if (atomic_fetch_add_explicit(&s->now, 1, memory_order_relaxed) < s->max)
		return true;
	spin_end(s);
	return false;
}

void spin_end(struct spin *s)
{
	atomic_fetch_sub_explicit(&s->now, 1, memory_order_relaxed);
}

void spin_learn(struct spin *s, uint64_t ns)
{
	int trust = atomic_load_explicit(&s->trust, memory_order_relaxed);
	int next = ns <= SPIN_NS ? trust + (trust < TRUST_MAX) : trust - (trust > 0);

	if (next != trust)
		atomic_store_explicit(&s->trust, next, memory_order_relaxed);
}
