/* SPDX-License-Identifier: MIT */
/*
 * Memory pressure: the time that programs lost for want of memory, as Linux's
 * /proc/pressure/memory tells it.
 *
 *	some	at least one thread waited for memory
 *	full	all threads that were not asleep did
 *
 * A thread waits while it reclaims for itself, and while a page comes back from swap or
 * one of a file that was evicted not long ago (rmap/shadow.c) is read again.
 * Each change of what is waiting first books the time since the last change. The
 * averages decay as Linux's do, by periods of 2 s; nobody ticks: whoever changes or
 * asks brings them up to date.
 *
 * The thread's own count makes waits inside waits one. pressure->lock is a leaf.
 */
#include "rmap/internal.h"

#include <time.h>

#define PERIOD_NS 2000000000ull

/* exp(-2 s / 10 s), / 60 s, / 300 s. */
static const double decay[PRESSURE_AVERAGES] = { 0.8187307530779818, 0.9672161004820059,
						 0.9933555062550344 };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void pressure_init(struct pressure *p)
{
	memset(p, 0, sizeof(*p));
	umm_mutex_init(&p->lock, LOCK_LEAF);
	p->booked = p->period = now_ns();
}

void pressure_destroy(struct pressure *p)
{
	umm_mutex_destroy(&p->lock);
}

/* lock held. */
static void book(struct pressure *p, uint64_t now)
{
	uint64_t ns = now > p->booked ? now - p->booked : 0;
	int32_t busy = __atomic_load_n(&p->busy, __ATOMIC_RELAXED);

	if (p->stalled)
		p->total[PRESSURE_SOME] += ns;
	if (p->stalled && p->stalled >= busy)
		p->total[PRESSURE_FULL] += ns;
	p->booked = now;
}

/* lock held. Periods that nobody saw the end of share what was booked since. */
static void average(struct pressure *p, uint64_t now)
{
	uint64_t periods = (now - p->period) / PERIOD_NS;

	if (now < p->period || !periods)
		return;
	for (int kind = 0; kind < PRESSURE_KINDS; kind++) {
		double share = 100.0 * (double)(p->total[kind] - p->averaged[kind]) /
			       (double)(periods * PERIOD_NS);

		share = share > 100 ? 100 : share;
		for (int a = 0; a < PRESSURE_AVERAGES; a++) {
			double keep = 1;

			for (uint64_t i = 0; i < periods && keep > 1e-6; i++)
				keep *= decay[a];
			p->avg[kind][a] = p->avg[kind][a] * keep + share * (1 - keep);
		}
		p->averaged[kind] = p->total[kind];
	}
	p->period += periods * PERIOD_NS;
}

static void change(struct pressure *p, int stalled)
{
	uint64_t now;

	umm_mutex_lock(&p->lock);
	now = now_ns();
	book(p, now);
	average(p, now);
	__atomic_store_n(&p->stalled, p->stalled + stalled, __ATOMIC_RELAXED);
	umm_mutex_unlock(&p->lock);
}

struct mm_thread *stall_begin(struct mm_sys *sys)
{
	struct mm_thread *t = sys_current_thread(sys);

	if (t && !t->stalls++)
		change(&sys->pressure, 1);
	return t;
}

void stall_end(struct mm_sys *sys, struct mm_thread *t)
{
	if (t && !--t->stalls)
		change(&sys->pressure, -1);
}

void mm_pressure_busy(struct mm_sys *sys, int threads)
{
	struct pressure *p = &sys->pressure;

	/* Only while somebody waits does it matter when this was. */
	if (__atomic_load_n(&p->stalled, __ATOMIC_RELAXED))
		change(p, 0);
	__atomic_fetch_add(&p->busy, threads, __ATOMIC_RELAXED);
}

void mm_pressure_get(struct mm_sys *sys, struct mm_pressure *out)
{
	struct pressure *p = &sys->pressure;

	change(p, 0);
	umm_mutex_lock(&p->lock);
	for (int kind = 0; kind < PRESSURE_KINDS; kind++) {
		memcpy(out->avg[kind], p->avg[kind], sizeof(out->avg[kind]));
		out->total_us[kind] = p->total[kind] / 1000;
	}
	umm_mutex_unlock(&p->lock);
}
