/* SPDX-License-Identifier: MIT */
/*
 * setitimer, getitimer, alarm: timers of processes that send a signal. And
 * RLIMIT_CPU, which is one that nobody set.
 *
 * One thread, started with the first timer, serves all: it sleeps until the
 * next one is due. ITIMER_REAL runs on the monotonic clock. The two that run on
 * the process's processor time are looked at again when they can be due at the
 * earliest, which is the remaining time divided by the number of tasks.
 *
 * Everything here is under guest->lock.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define NS_PER_SEC        1000000000ull
#define CPU_TIMER_STEP_NS 1000000ull /* look at processor time this often at most */
#define CPU_LIMIT_STEP_NS 100000000ull
#define SLEEP_MIN_NS      20000ull      /* a timer of nanoseconds must not keep a processor busy */
#define SECONDS_MAX       9000000000ull /* so that nanoseconds fit into 64 bits */

struct itimer_service {
	struct guest *g;
	pthread_t thread;
	pthread_cond_t poke;
	bool running, stop;
};

uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static struct timespec timespec_from_ns(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_SEC),
				  .tv_nsec = (long)(ns % NS_PER_SEC) };
}

struct timespec timespec_after(clockid_t clock, const struct timespec *delay)
{
	uint64_t sec = (uint64_t)delay->tv_sec;

	if (sec > SECONDS_MAX)
		sec = SECONDS_MAX;
	return timespec_from_ns(clock_ns(clock) + sec * NS_PER_SEC + (uint64_t)delay->tv_nsec);
}

/* The time on the timer's own clock. */
static uint64_t itimer_now(struct proc *p, int which)
{
	struct proc_times times;

	if (which == ITIMER_REAL)
		return clock_ns(CLOCK_MONOTONIC);
	proc_times(p, &times);
	return (times.utime_us + (which == ITIMER_PROF ? times.stime_us : 0)) * 1000;
}

static void itimer_fire(struct proc *p, int which, uint64_t now)
{
	static const int signals[] = { SIGALRM, SIGVTALRM, SIGPROF };
	struct itimer *it = &p->itimer[which];
	siginfo_t info = { .si_signo = signals[which], .si_code = SI_KERNEL };
	uint64_t periods;

	if (it->interval_ns) {
		periods = (now - it->expires_ns) / it->interval_ns + 1;
		it->expires_ns += periods * it->interval_ns;
	} else {
		it->expires_ns = 0;
	}
	signal_send(p, NULL, signals[which], &info);
}

/* Fire what is due; nanoseconds until this timer is worth another look. */
static uint64_t itimer_check(struct proc *p, int which)
{
	struct itimer *it = &p->itimer[which];
	uint64_t now, left;

	if (!it->expires_ns)
		return UINT64_MAX;
	now = itimer_now(p, which);
	if (now >= it->expires_ns)
		itimer_fire(p, which, now);
	if (!it->expires_ns)
		return UINT64_MAX;
	left = it->expires_ns - now;
	if (which == ITIMER_REAL)
		return left;
	left /= p->nr_tasks ? p->nr_tasks : 1;
	return left > CPU_TIMER_STEP_NS ? left : CPU_TIMER_STEP_NS;
}

/* SIGXCPU at the soft limit and each second after it, SIGKILL at the hard one. */
static uint64_t cpu_limit_check(struct proc *p)
{
	struct rlimit *lim = &p->rlim[RLIMIT_CPU];
	siginfo_t info = { .si_signo = SIGXCPU, .si_code = SI_KERNEL };
	uint64_t used;

	if (lim->rlim_cur == RLIM_INFINITY || p->zombie)
		return UINT64_MAX;
	used = itimer_now(p, ITIMER_PROF) / NS_PER_SEC;
	if (used >= lim->rlim_max) {
		proc_kill(p, SIGKILL);
		return UINT64_MAX;
	}
	if (used >= lim->rlim_cur) {
		lim->rlim_cur = used + 1;
		signal_send(p, NULL, SIGXCPU, &info);
	}
	return CPU_LIMIT_STEP_NS;
}

static uint64_t check_all(struct guest *g)
{
	uint64_t next = UINT64_MAX, left;
	struct proc *p;
	int i;

	list_for_each_entry(p, &g->procs, all)
	{
		left = cpu_limit_check(p);
		if (left < next)
			next = left;
		left = posix_timers_check(p);
		if (left < next)
			next = left;
		for (i = 0; i < 3; i++) {
			left = itimer_check(p, i);
			if (left < next)
				next = left;
		}
	}
	return next;
}

static void *service_main(void *arg)
{
	struct itimer_service *s = arg;
	struct timespec until;
	uint64_t next;

	guest_lock(s->g);
	while (!s->stop) {
		next = check_all(s->g);
		if (next == UINT64_MAX) {
			pthread_cond_wait(&s->poke, &s->g->lock);
			continue;
		}
		if (next < SLEEP_MIN_NS)
			next = SLEEP_MIN_NS;
		until = timespec_from_ns(clock_ns(CLOCK_MONOTONIC) + next);
		pthread_cond_timedwait(&s->poke, &s->g->lock, &until);
	}
	guest_unlock(s->g);
	return NULL;
}

struct itimer_service *itimer_service_create(struct guest *g)
{
	struct itimer_service *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->g = g;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->poke, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

void itimer_service_destroy(struct itimer_service *s)
{
	if (!s)
		return;
	if (s->running) {
		guest_lock(s->g);
		s->stop = true;
		pthread_cond_signal(&s->poke);
		guest_unlock(s->g);
		pthread_join(s->thread, NULL);
	}
	pthread_cond_destroy(&s->poke);
	free(s);
}

/* The thread takes no signals. */
int itimer_service_poke(struct itimer_service *s)
{
	sigset_t all, old;
	int err = 0;

	if (s->running) {
		pthread_cond_signal(&s->poke);
		return 0;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&s->thread, NULL, service_main, s))
		err = -EAGAIN;
	else
		s->running = true;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

static void itimer_read(struct proc *p, int which, struct itimer *left)
{
	struct itimer *it = &p->itimer[which];
	uint64_t now;

	*left = *it;
	if (!it->expires_ns)
		return;
	now = itimer_now(p, which);
	/* Due but not yet sent counts as almost no time. */
	left->expires_ns = it->expires_ns > now ? it->expires_ns - now : 1000;
}

/* @new in relative time; *old too. */
static int itimer_set(struct task *t, int which, const struct itimer *new, struct itimer *old)
{
	struct itimer *it = &t->proc->itimer[which];
	int err;

	guest_lock(t->g);
	itimer_read(t->proc, which, old);
	it->interval_ns = new->interval_ns;
	it->expires_ns = new->expires_ns ? itimer_now(t->proc, which) + new->expires_ns : 0;
	err = new->expires_ns ? itimer_service_poke(t->g->itimers) : 0;
	guest_unlock(t->g);
	return err;
}

/* ---- the calls --------------------------------------------------------- */

static bool timeval_to_ns(const struct timeval *tv, uint64_t *ns)
{
	uint64_t sec = (uint64_t)tv->tv_sec;

	if (tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000)
		return false;
	*ns = (sec > SECONDS_MAX ? SECONDS_MAX : sec) * NS_PER_SEC + (uint64_t)tv->tv_usec * 1000;
	return true;
}

static int itimer_to_user(struct task *t, uint64_t at, const struct itimer *it)
{
	struct itimerval out = {
		.it_interval = { .tv_sec = (time_t)(it->interval_ns / NS_PER_SEC),
				 .tv_usec = (suseconds_t)(it->interval_ns % NS_PER_SEC / 1000) },
		.it_value = { .tv_sec = (time_t)(it->expires_ns / NS_PER_SEC),
			      .tv_usec = (suseconds_t)(it->expires_ns % NS_PER_SEC / 1000) },
	};

	return copy_to_user(t, at, &out, sizeof(out));
}

int64_t sys_setitimer(struct task *t, const uint64_t a[6])
{
	struct itimer new = { .expires_ns = 0 }, old;
	struct itimerval in;
	int err;

	if (a[1] && copy_from_user(t, &in, a[1], sizeof(in)))
		return -EFAULT;
	if (a[1] && (!timeval_to_ns(&in.it_value, &new.expires_ns) ||
		     !timeval_to_ns(&in.it_interval, &new.interval_ns)))
		return -EINVAL;
	if (a[0] > ITIMER_PROF)
		return -EINVAL;
	err = itimer_set(t, (int)a[0], &new, &old);
	if (err)
		return err;
	return a[2] ? itimer_to_user(t, a[2], &old) : 0;
}

int64_t sys_getitimer(struct task *t, const uint64_t a[6])
{
	struct itimer left;

	if (a[0] > ITIMER_PROF)
		return -EINVAL;
	guest_lock(t->g);
	itimer_read(t->proc, (int)a[0], &left);
	guest_unlock(t->g);
	return itimer_to_user(t, a[1], &left);
}

int64_t sys_alarm(struct task *t, const uint64_t a[6])
{
	struct itimer new = { .expires_ns = (uint32_t)a[0] * NS_PER_SEC }, old;
	uint64_t seconds;
	int err = itimer_set(t, ITIMER_REAL, &new, &old);

	if (err)
		return err;
	/* Rounded, but never to "there was none". */
	seconds = (old.expires_ns + NS_PER_SEC / 2) / NS_PER_SEC;
	return old.expires_ns && !seconds ? 1 : (int64_t)seconds;
}
