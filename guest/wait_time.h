/* SPDX-License-Identifier: MIT */
/*
 * Timeouts of waits as deadlines: nanoseconds on CLOCK_MONOTONIC, so that a wait
 * that is begun again (after a kick, a stop, a page moved) does not begin anew.
 */
#ifndef GUEST_WAIT_TIME_H
#define GUEST_WAIT_TIME_H

#include <errno.h>
#include <time.h>

#include "guest/guest.h"

#define WAIT_FOREVER UINT64_MAX

static inline uint64_t wait_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* @ts is not negative. */
static inline uint64_t wait_deadline(const struct timespec *ts)
{
	uint64_t ns, now = wait_now();

	if ((uint64_t)ts->tv_sec > INT64_MAX / 1000000000)
		return WAIT_FOREVER;
	ns = (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
	return ns < WAIT_FOREVER - now ? now + ns : WAIT_FOREVER;
}

/* Negative: for ever. */
static inline uint64_t wait_deadline_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	return ms < 0 ? WAIT_FOREVER : wait_deadline(&ts);
}

/* From a timespec in guest memory; a null pointer: for ever. -EFAULT, -EINVAL. */
static inline int wait_deadline_user(struct task *t, uint64_t user, uint64_t *deadline)
{
	struct timespec ts;

	*deadline = WAIT_FOREVER;
	if (!user)
		return 0;
	if (copy_from_user(t, &ts, user, sizeof(ts)))
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec > 999999999)
		return -EINVAL;
	*deadline = wait_deadline(&ts);
	return 0;
}

/* What is left until @deadline in *ts; NULL (no limit) for WAIT_FOREVER. */
static inline struct timespec *wait_time_left(uint64_t deadline, struct timespec *ts)
{
	uint64_t now, left;

	if (deadline == WAIT_FOREVER)
		return NULL;
	now = wait_now();
	left = deadline > now ? deadline - now : 0;
	*ts = (struct timespec){ (time_t)(left / 1000000000u), (long)(left % 1000000000u) };
	return ts;
}

/* guest/sys_poll.c: the signal mask for the time of a wait. 0, -EINVAL, -EFAULT. */
int wait_set_mask(struct task *t, uint64_t user_set, uint64_t size);

#endif
