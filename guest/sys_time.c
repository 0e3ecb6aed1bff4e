/* SPDX-License-Identifier: MIT */
/* Clocks and sleeping. The host's clocks are the guest's, but for processor time. */
#include <sys/time.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define NS_PER_SEC 1000000000l
/* So that nanoseconds fit into 64 bits. */
#define SLEEP_SECONDS_MAX 9000000000l
/* Negative clock ids: ~pid in the upper bits, what clock in the lower three. */
#define CPU_CLOCK_THREAD 4
#define CPU_CLOCK_KIND   3

static struct timespec timespec_from_us(uint64_t us)
{
	return (struct timespec){ .tv_sec = (time_t)(us / 1000000),
				  .tv_nsec = (long)(us % 1000000) * 1000 };
}

static void process_cpu_clock(struct proc *p, struct timespec *ts)
{
	struct proc_times times;

	proc_times(p, &times);
	*ts = timespec_from_us(times.utime_us + times.stime_us);
}

uint64_t task_cpu_ns(struct task *t)
{
	struct timespec ts;
	clockid_t host;

	if (!t->vcpu || pthread_getcpuclockid(t->thread, &host) || clock_gettime(host, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* The processor-time clock of some process or task of the guest. */
static int named_cpu_clock(struct task *t, int32_t clock, struct timespec *ts)
{
	int32_t id = ~(clock >> 3);
	struct task *other;
	struct proc *p;
	uint64_t ns;
	int err = 0;

	if ((clock & CPU_CLOCK_KIND) == CPU_CLOCK_KIND)
		return -EINVAL;
	guest_lock(t->g);
	if (clock & CPU_CLOCK_THREAD) {
		other = id ? task_find(t->g, id) : t;
		err = other && other->proc == t->proc ? 0 : -EINVAL;
		ns = err ? 0 : task_cpu_ns(other);
		*ts = (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_SEC),
					 .tv_nsec = (long)(ns % NS_PER_SEC) };
	} else {
		p = id ? proc_find(t->g, id) : t->proc;
		if (p)
			process_cpu_clock(p, ts);
		else
			err = -EINVAL;
	}
	guest_unlock(t->g);
	return err;
}

static int clock_read(struct task *t, int32_t clock, struct timespec *ts)
{
	if (clock < 0)
		return named_cpu_clock(t, clock, ts);
	if (clock == CLOCK_PROCESS_CPUTIME_ID) {
		guest_lock(t->g);
		process_cpu_clock(t->proc, ts);
		guest_unlock(t->g);
		return 0;
	}
	return clock_gettime(clock, ts) ? -errno : 0;
}

int64_t sys_clock_gettime(struct task *t, const uint64_t a[6])
{
	struct timespec ts;
	int err = clock_read(t, (int32_t)a[0], &ts);

	return err ? err : copy_to_user(t, a[1], &ts, sizeof(ts));
}

int64_t sys_clock_getres(struct task *t, const uint64_t a[6])
{
	struct timespec ts = { .tv_nsec = 1 };
	int32_t clock = (int32_t)a[0];

	if (clock >= 0 && clock_getres(clock, &ts))
		return -errno;
	return a[1] ? copy_to_user(t, a[1], &ts, sizeof(ts)) : 0;
}

int64_t sys_gettimeofday(struct task *t, const uint64_t a[6])
{
	struct timezone tz = { 0 };
	struct timespec ts;
	struct timeval tv;

	clock_gettime(CLOCK_REALTIME, &ts);
	tv.tv_sec = ts.tv_sec;
	tv.tv_usec = ts.tv_nsec / 1000;
	if (a[0] && copy_to_user(t, a[0], &tv, sizeof(tv)))
		return -EFAULT;
	return a[1] ? copy_to_user(t, a[1], &tz, sizeof(tz)) : 0;
}

int64_t sys_time(struct task *t, const uint64_t a[6])
{
	int64_t now = time(NULL);

	if (a[0] && copy_to_user(t, a[0], &now, sizeof(now)))
		return -EFAULT;
	return now;
}

/* ---- sleeping ---------------------------------------------------------- */

/* 0 when the moment has come, -EINTR. */
static int sleep_until(struct task *t, clockid_t clock, const struct timespec *deadline)
{
	uint32_t seq;

	for (;;) {
		seq = task_sleep_begin(t);
		if (task_has_work(t))
			return -EINTR;
		if (task_sleep(t, seq, clock, deadline) == -ETIMEDOUT)
			return 0;
	}
}

static int write_rest(struct task *t, uint64_t at, const struct timespec *deadline)
{
	struct timespec now, rest = { 0 };

	if (!at)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < deadline->tv_sec ||
	    (now.tv_sec == deadline->tv_sec && now.tv_nsec < deadline->tv_nsec)) {
		rest.tv_sec = deadline->tv_sec - now.tv_sec;
		rest.tv_nsec = deadline->tv_nsec - now.tv_nsec;
		if (rest.tv_nsec < 0) {
			rest.tv_sec--;
			rest.tv_nsec += NS_PER_SEC;
		}
	}
	return copy_to_user(t, at, &rest, sizeof(rest));
}

/* args: deadline seconds, nanoseconds, where to write the rest. */
static int64_t sleep_on(struct task *t, const uint64_t a[6])
{
	struct timespec deadline = { .tv_sec = (time_t)a[0], .tv_nsec = (long)a[1] };

	if (!sleep_until(t, CLOCK_MONOTONIC, &deadline))
		return 0;
	if (write_rest(t, a[2], &deadline))
		return -EFAULT;
	task_set_restart(t, sleep_on, a);
	return -ERESTARTBLOCK_;
}

static int read_duration(struct task *t, uint64_t at, struct timespec *ts)
{
	if (copy_from_user(t, ts, at, sizeof(*ts)))
		return -EFAULT;
	return ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= NS_PER_SEC ? -EINVAL : 0;
}

static int64_t sleep_relative(struct task *t, const struct timespec *ts, uint64_t rest)
{
	struct timespec deadline = timespec_after(CLOCK_MONOTONIC, ts);
	uint64_t args[6] = { (uint64_t)deadline.tv_sec, (uint64_t)deadline.tv_nsec, rest };

	return sleep_on(t, args);
}

int64_t sys_nanosleep(struct task *t, const uint64_t a[6])
{
	struct timespec ts;
	int err = read_duration(t, a[0], &ts);

	return err ? err : sleep_relative(t, &ts, a[1]);
}

/* The host's futex knows two clocks; the others differ from them by a constant. */
static int sleep_clock(int32_t clock, struct timespec *deadline, clockid_t *host)
{
	int64_t ns, shift;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
		*host = clock;
		return 0;
	case CLOCK_BOOTTIME:
		*host = CLOCK_MONOTONIC;
		break;
	case CLOCK_TAI:
		*host = CLOCK_REALTIME;
		break;
	case CLOCK_THREAD_CPUTIME_ID:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
	/* Never too large, so that no sleep is too short; below zero where both are one. */
	shift = (int64_t)clock_ns(clock);
	shift -= (int64_t)clock_ns(*host);
	if (deadline->tv_sec > SLEEP_SECONDS_MAX)
		deadline->tv_sec = SLEEP_SECONDS_MAX;
	ns = deadline->tv_sec * NS_PER_SEC + deadline->tv_nsec;
	ns = ns > shift ? ns - shift : 0;
	deadline->tv_sec = (time_t)(ns / NS_PER_SEC);
	deadline->tv_nsec = (long)(ns % NS_PER_SEC);
	return 0;
}

int64_t sys_clock_nanosleep(struct task *t, const uint64_t a[6])
{
	struct timespec ts, unused = { 0 };
	clockid_t host;
	int err;

	err = sleep_clock((int32_t)a[0], &unused, &host);
	if (!err)
		err = read_duration(t, a[2], &ts);
	if (err)
		return err;
	if (!(a[1] & TIMER_ABSTIME))
		return sleep_relative(t, &ts, a[3]);
	sleep_clock((int32_t)a[0], &ts, &host);
	return sleep_until(t, host, &ts) ? -ERESTARTNOHAND_ : 0;
}

int64_t sys_restart_syscall(struct task *t, const uint64_t a[6])
{
	struct restart_block block = t->restart;

	(void)a;
	t->restart.fn = NULL;
	return block.fn ? block.fn(t, block.args) : -EINTR;
}
