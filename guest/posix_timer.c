/* SPDX-License-Identifier: MIT */
/*
 * timer_create and its family: timers of a process, each with a clock and a
 * signal of its own. The thread of guest/itimer.c looks at them, too.
 *
 * A timer has at most one signal on its way. What it would have sent meanwhile
 * is counted in that signal's si_overrun.
 *
 * The list of a process's timers is under guest->lock.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define NS_PER_SEC  1000000000ull
#define SECONDS_MAX 9000000000ull /* so that nanoseconds fit into 64 bits */
#define TIMERS_MAX  1024          /* of a process */
#define CPU_STEP_NS 1000000ull    /* look at processor time this often at most */
#define OVERRUN_MAX 0x7fffffff
/* Negative clock ids: ~pid in the upper bits, what clock in the lower three. */
#define CPU_CLOCK_THREAD 4
#define CPU_CLOCK_KIND   3
#define NOTIFY_SIGNAL    0
#define NOTIFY_NONE      1
#define NOTIFY_TO_TASK   4

struct posix_timer {
	struct list_head link; /* proc->timers */
	int32_t id;
	clockid_t clock;
	int32_t clock_tid; /* CLOCK_THREAD_CPUTIME_ID: whose */
	int notify, signo;
	int32_t tid; /* NOTIFY_TO_TASK */
	union sigval value;
	uint64_t expires_ns; /* on its clock; 0: off */
	uint64_t interval_ns;
	int overrun; /* of the last signal */
};

/* The kernel's struct sigevent. */
struct guest_sigevent {
	union sigval value;
	int32_t signo;
	int32_t notify;
	int32_t tid;
	uint8_t rest[44];
};

_Static_assert(sizeof(struct guest_sigevent) == 64, "sigevent");

static uint64_t timer_now(struct proc *p, const struct posix_timer *pt)
{
	struct proc_times times;
	struct task *task;

	if (pt->clock == CLOCK_THREAD_CPUTIME_ID) {
		/* The clock of one that ended stands still. */
		task = task_find(p->g, pt->clock_tid);
		return task && task->proc == p ? task_cpu_ns(task) : 0;
	}
	if (pt->clock != CLOCK_PROCESS_CPUTIME_ID)
		return clock_ns(pt->clock);
	proc_times(p, &times);
	return (times.utime_us + times.stime_us) * 1000;
}

/* ---- firing; guest->lock held ------------------------------------------ */

/* The timer's signal if it is still on its way. */
static struct sig_item *signal_under_way(struct sig_pending *pending, const struct posix_timer *pt)
{
	struct sig_item *item;

	list_for_each_entry(item, &pending->queue,
			    link) if (item->info.si_signo == pt->signo &&
				      item->info.si_code == SI_TIMER &&
				      item->info.si_timerid == pt->id) return item;
	return NULL;
}

static void timer_signal(struct proc *p, struct posix_timer *pt, uint64_t missed)
{
	struct task *target = NULL;
	struct sig_item *item;
	siginfo_t info;

	if (pt->notify == NOTIFY_NONE)
		return;
	if (pt->notify == NOTIFY_TO_TASK) {
		target = task_find(p->g, pt->tid);
		if (!target || target->proc != p)
			return;
	}
	item = signal_under_way(target ? &target->pending : &p->pending, pt);
	if (missed > OVERRUN_MAX)
		missed = OVERRUN_MAX;
	if (item) {
		if (pt->overrun < OVERRUN_MAX - (int)missed - 1)
			pt->overrun += (int)missed + 1;
		item->info.si_overrun = pt->overrun;
		return;
	}
	pt->overrun = (int)missed;
	memset(&info, 0, sizeof(info));
	info.si_code = SI_TIMER;
	info.si_timerid = pt->id;
	info.si_overrun = pt->overrun;
	info.si_value = pt->value;
	signal_send(p, target, pt->signo, &info);
}

static uint64_t timer_check(struct proc *p, struct posix_timer *pt)
{
	uint64_t now, periods = 1;

	if (!pt->expires_ns)
		return UINT64_MAX;
	now = timer_now(p, pt);
	if (now >= pt->expires_ns) {
		if (pt->interval_ns) {
			periods = (now - pt->expires_ns) / pt->interval_ns + 1;
			pt->expires_ns += periods * pt->interval_ns;
		} else {
			pt->expires_ns = 0;
		}
		timer_signal(p, pt, periods - 1);
		if (!pt->expires_ns)
			return UINT64_MAX;
	}
	if (pt->clock == CLOCK_PROCESS_CPUTIME_ID || pt->clock == CLOCK_THREAD_CPUTIME_ID)
		return CPU_STEP_NS;
	return pt->expires_ns - now;
}

uint64_t posix_timers_check(struct proc *p)
{
	uint64_t next = UINT64_MAX, left;
	struct posix_timer *pt;

	list_for_each_entry(pt, &p->timers, link)
	{
		left = timer_check(p, pt);
		if (left < next)
			next = left;
	}
	return next;
}

static void timer_free(struct posix_timer *pt)
{
	list_del(&pt->link);
	free(pt);
}

void posix_timers_drop(struct proc *p)
{
	struct posix_timer *pt, *tmp;

	list_for_each_entry_safe(pt, tmp, &p->timers, link) timer_free(pt);
}

static struct posix_timer *timer_find(struct proc *p, int32_t id)
{
	struct posix_timer *pt;

	list_for_each_entry(pt, &p->timers, link) if (pt->id == id) return pt;
	return NULL;
}

/* ---- timer_create ------------------------------------------------------- */

/* Processor time, as libraries name it: of this process or one of its tasks, 0 the caller's. */
static int timer_set_cpu_clock(struct task *t, struct posix_timer *pt, int32_t clock)
{
	int32_t id = ~(clock >> 3);
	struct task *other;
	bool mine;

	if ((clock & CPU_CLOCK_KIND) == CPU_CLOCK_KIND)
		return -EINVAL;
	if (!(clock & CPU_CLOCK_THREAD)) {
		pt->clock = CLOCK_PROCESS_CPUTIME_ID;
		return id && id != t->proc->pid ? -EINVAL : 0;
	}
	pt->clock = CLOCK_THREAD_CPUTIME_ID;
	pt->clock_tid = id ? id : t->tid;
	guest_lock(t->g);
	other = task_find(t->g, pt->clock_tid);
	mine = other && other->proc == t->proc;
	guest_unlock(t->g);
	return mine ? 0 : -EINVAL;
}

static int timer_set_clock(struct task *t, struct posix_timer *pt, int32_t clock)
{
	if (clock < 0)
		return timer_set_cpu_clock(t, pt, clock);
	pt->clock = clock;
	pt->clock_tid = t->tid;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		return 0;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static int timer_set_event(struct task *t, struct posix_timer *pt, const struct guest_sigevent *ev)
{
	struct task *target;
	bool mine;

	pt->notify = NOTIFY_SIGNAL;
	pt->signo = SIGALRM;
	if (!ev)
		return 0;
	pt->notify = ev->notify;
	pt->signo = ev->signo;
	pt->value = ev->value;
	pt->tid = ev->tid;
	if (ev->notify == NOTIFY_NONE)
		return 0;
	if (ev->signo < 1 || ev->signo > GUEST_NSIG)
		return -EINVAL;
	if (ev->notify == NOTIFY_SIGNAL)
		return 0;
	if (ev->notify != NOTIFY_TO_TASK)
		return -EINVAL;
	guest_lock(t->g);
	target = task_find(t->g, ev->tid);
	mine = target && target->proc == t->proc;
	guest_unlock(t->g);
	return mine ? 0 : -EINVAL;
}

unsigned int posix_timers_count(const struct proc *p)
{
	const struct posix_timer *pt;
	unsigned int nr = 0;

	list_for_each_entry(pt, &p->timers, link) nr++;
	return nr;
}

/* A number that no timer of the process has; -EAGAIN: too many. Lock held. */
static int timer_publish(struct proc *p, struct posix_timer *pt, bool number_is_value)
{
	if (posix_timers_count(p) >= TIMERS_MAX || !signal_room(p))
		return -EAGAIN;
	do {
		pt->id = p->next_timer;
		p->next_timer = (p->next_timer + 1) & OVERRUN_MAX;
	} while (timer_find(p, pt->id));
	if (number_is_value)
		pt->value.sival_int = pt->id;
	list_add_tail(&pt->link, &p->timers);
	return 0;
}

/* Once it is published, other threads may delete it: it is known by its number alone. */
static int timer_forget(struct task *t, int32_t id)
{
	struct posix_timer *pt;

	guest_lock(t->g);
	pt = timer_find(t->proc, id);
	if (pt)
		timer_free(pt);
	guest_unlock(t->g);
	return pt ? 0 : -EINVAL;
}

int64_t sys_timer_create(struct task *t, const uint64_t a[6])
{
	struct guest_sigevent event;
	struct posix_timer *pt;
	int32_t id = 0;
	int err;

	if (a[1] && copy_from_user(t, &event, a[1], sizeof(event)))
		return -EFAULT;
	pt = calloc(1, sizeof(*pt));
	if (!pt)
		return -EAGAIN;
	err = timer_set_clock(t, pt, (int32_t)a[0]);
	if (!err)
		err = timer_set_event(t, pt, a[1] ? &event : NULL);
	if (!err) {
		guest_lock(t->g);
		err = timer_publish(t->proc, pt, !a[1]);
		id = pt->id;
		guest_unlock(t->g);
	}
	if (err) {
		free(pt);
		return err;
	}
	if (!copy_to_user(t, a[2], &id, sizeof(id)))
		return 0;
	(void)timer_forget(t, id);
	return -EFAULT;
}

/* ---- the others ---------------------------------------------------------- */

static bool timespec_to_ns(const struct timespec *ts, uint64_t *ns)
{
	uint64_t sec = (uint64_t)ts->tv_sec;

	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= (long)NS_PER_SEC)
		return false;
	*ns = (sec > SECONDS_MAX ? SECONDS_MAX : sec) * NS_PER_SEC + (uint64_t)ts->tv_nsec;
	return true;
}

static struct timespec timespec_from(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_SEC),
				  .tv_nsec = (long)(ns % NS_PER_SEC) };
}

/* Lock held. */
static void timer_left(struct proc *p, const struct posix_timer *pt, struct itimerspec *out)
{
	uint64_t now, left = 0;

	if (pt->expires_ns) {
		now = timer_now(p, pt);
		left = pt->expires_ns > now ? pt->expires_ns - now : 1;
	}
	out->it_value = timespec_from(left);
	out->it_interval = timespec_from(pt->interval_ns);
}

static int timer_arm(struct task *t, struct posix_timer *pt, uint64_t value, uint64_t interval,
		     bool absolute)
{
	pt->interval_ns = interval;
	pt->overrun = 0;
	pt->expires_ns = value;
	if (!value)
		return 0;
	if (!absolute)
		pt->expires_ns += timer_now(t->proc, pt);
	return itimer_service_poke(t->g->itimers);
}

int64_t sys_timer_settime(struct task *t, const uint64_t a[6])
{
	struct itimerspec new, old;
	struct posix_timer *pt;
	uint64_t value, interval;
	int err = -EINVAL;

	if (!a[2])
		return -EINVAL;
	if (copy_from_user(t, &new, a[2], sizeof(new)))
		return -EFAULT;
	if (!timespec_to_ns(&new.it_value, &value) || !timespec_to_ns(&new.it_interval, &interval))
		return -EINVAL;
	guest_lock(t->g);
	pt = timer_find(t->proc, (int32_t)a[0]);
	if (pt) {
		timer_left(t->proc, pt, &old);
		err = timer_arm(t, pt, value, interval, a[1] & TIMER_ABSTIME);
	}
	guest_unlock(t->g);
	if (!err && a[3])
		err = copy_to_user(t, a[3], &old, sizeof(old));
	return err;
}

int64_t sys_timer_gettime(struct task *t, const uint64_t a[6])
{
	struct itimerspec left;
	struct posix_timer *pt;

	guest_lock(t->g);
	pt = timer_find(t->proc, (int32_t)a[0]);
	if (pt)
		timer_left(t->proc, pt, &left);
	guest_unlock(t->g);
	return pt ? copy_to_user(t, a[1], &left, sizeof(left)) : -EINVAL;
}

int64_t sys_timer_getoverrun(struct task *t, const uint64_t a[6])
{
	struct posix_timer *pt;
	int64_t ret;

	guest_lock(t->g);
	pt = timer_find(t->proc, (int32_t)a[0]);
	ret = pt ? pt->overrun : -EINVAL;
	guest_unlock(t->g);
	return ret;
}

int64_t sys_timer_delete(struct task *t, const uint64_t a[6])
{
	return timer_forget(t, (int32_t)a[0]);
}
