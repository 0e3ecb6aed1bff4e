/* SPDX-License-Identifier: MIT */
/*
 * getcpu by the C library, which takes the vDSO's, beside the system call's answers: bound
 * to each processor in turn, and at last free to go. Says for each processor its node, and
 * whether a call costs less than a system call can.
 */
#include <sched.h>
#include <time.h>

#include "progs.h"

#define CALLS    20000
#define VDSO_NS  1000 /* an exit takes many microseconds, RDTSCP some tens of nanoseconds */
#define MAX_CPUS 64

static long cost_ns(void)
{
	struct timespec a, b;
	unsigned int cpu, node;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < CALLS; i++)
		getcpu(&cpu, &node);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec) / CALLS;
}

/* Bound to @cpu: the same from both, for as long as it is looked at. */
static bool cpu_right(int cpu)
{
	unsigned int seen, node, told, told_node;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return false;
	for (int i = 0; i < 200; i++) {
		if (getcpu(&seen, &node) || syscall(SYS_getcpu, &told, &told_node, NULL))
			return false;
		if (seen != (unsigned int)cpu || told != seen || node != told_node)
			return false;
	}
	printf("cpu %d: node %u\n", cpu, node);
	return true;
}

int main(void)
{
	cpu_set_t all;
	bool right = true;

	if (sched_getaffinity(0, sizeof(all), &all))
		return 2;
	for (int cpu = 0; cpu < MAX_CPUS; cpu++)
		if (CPU_ISSET(cpu, &all))
			right &= cpu_right(cpu);
	sched_setaffinity(0, sizeof(all), &all);
	printf("%s\n", right ? "right" : "wrong");
	printf("%s\n", cost_ns() < VDSO_NS ? "without calls" : "by calls");
	return !right;
}
