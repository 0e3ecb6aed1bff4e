/* SPDX-License-Identifier: MIT */
/*
 * The shared object that the guest maps into every process (AT_SYSINFO_EHDR):
 * clocks, and the processor, without a system call. Its names and version are those of Linux's vDSO
 * on x86-64, where C libraries look for them.
 *
 * Runs at the program's level, on the program's stack, without relocation,
 * libraries, or vector registers. Other clocks, and these two while the host has
 * nothing to say or is long in saying it, are asked of the host.
 */
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "guest/vdso/vvar.h"

#define NS_PER_SEC 1000000000ul
/* So many looks at a page that is being changed cost what a system call does. */
#define LOOKS_MAX 300

#define EXPORT __attribute__((visibility("default")))

int __vdso_clock_gettime(clockid_t clock, struct timespec *ts);
int __vdso_gettimeofday(struct timeval *tv, struct timezone *tz);
time_t __vdso_time(time_t *out);
int __vdso_clock_getres(clockid_t clock, struct timespec *ts);
long __vdso_getcpu(unsigned int *cpu, unsigned int *node, void *unused);

static const struct vvar *const vvar = (const struct vvar *)VVAR_GVA;

static long ask_host(long nr, long a, const void *b)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Nanoseconds on CLOCK_MONOTONIC or CLOCK_REALTIME, 0 if it is not known here. */
static uint64_t clock_read(clockid_t clock)
{
	uint64_t counter, ns, rate;
	uint32_t seq;
	int look;

	for (look = 0; look < LOOKS_MAX; look++) {
		seq = __atomic_load_n(&vvar->seq, __ATOMIC_ACQUIRE);
		if (seq & 1) {
			__builtin_ia32_pause();
			continue;
		}
		rate = load(&vvar->rate);
		if (!rate)
			return 0;
		counter = vvar_counter();
		ns = vvar_line(load(&vvar->tsc), load(&vvar->mono_ns), rate, counter);
		if (clock == CLOCK_REALTIME)
			ns += load(&vvar->real_offset);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&vvar->seq, __ATOMIC_RELAXED) == seq)
			return ns;
	}
	return 0;
}

EXPORT int __vdso_clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t ns = 0;

	if (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME)
		ns = clock_read(clock);
	if (!ns)
		return (int)ask_host(SYS_clock_gettime, clock, ts);
	ts->tv_sec = (time_t)(ns / NS_PER_SEC);
	ts->tv_nsec = (long)(ns % NS_PER_SEC);
	return 0;
}

EXPORT int __vdso_gettimeofday(struct timeval *tv, struct timezone *tz)
{
	uint64_t ns = clock_read(CLOCK_REALTIME);

	if (!ns)
		return (int)ask_host(SYS_gettimeofday, (long)tv, tz);
	if (tv) {
		tv->tv_sec = (time_t)(ns / NS_PER_SEC);
		tv->tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000);
	}
	if (tz)
		*tz = (struct timezone){ 0 };
	return 0;
}

EXPORT time_t __vdso_time(time_t *out)
{
	uint64_t ns = clock_read(CLOCK_REALTIME);
	time_t now;

	if (!ns)
		return ask_host(SYS_time, (long)out, NULL);
	now = (time_t)(ns / NS_PER_SEC);
	if (out)
		*out = now;
	return now;
}

EXPORT int __vdso_clock_getres(clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return (int)ask_host(SYS_clock_getres, clock, ts);
	if (ts)
		*ts = (struct timespec){ .tv_nsec = 1 };
	return 0;
}

/* Where it is not known here the host hears what was seen, and may learn from it. */
static long getcpu_host(unsigned int *cpu, unsigned int *node, uint64_t seen)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"((long)SYS_getcpu), "D"(cpu), "S"(node), "d"(seen)
			 : "rcx", "r11", "memory");
	return ret;
}

EXPORT long __vdso_getcpu(unsigned int *cpu, unsigned int *node, void *unused)
{
	const struct vvar_cpu *at;
	uint32_t aux, low, high;

	(void)unused;
	if (!vvar->has_aux)
		return getcpu_host(cpu, node, 0);
	__asm__ volatile("rdtscp" : "=c"(aux), "=a"(low), "=d"(high));
	at = &vvar->cpu[(aux & VVAR_AUX_CPU) % VVAR_CPUS];
	if (!__atomic_load_n(&vvar->cpus_known, __ATOMIC_ACQUIRE) ||
	    (aux & VVAR_AUX_CPU) >= VVAR_CPUS || !at->number)
		return getcpu_host(cpu, node, (uint64_t)VVAR_AUX_MAGIC << 32 | aux);
	if (cpu)
		*cpu = at->number - 1u;
	if (node)
		*node = at->node;
	return 0;
}
