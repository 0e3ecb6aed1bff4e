/* SPDX-License-Identifier: MIT */
#include "vmm/policyd.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <umm/reclaim_policy.h>

#include "vmm/policy_load.h"

#define NS_PER_S 1000000000ull

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Until @ns from now, the end, or a switch; lock held. */
static void wait_for(struct policyd *d, uint64_t ns)
{
	uint64_t until = now_ns() + ns;
	struct timespec t = { .tv_sec = (time_t)(until / NS_PER_S),
			      .tv_nsec = (long)(until % NS_PER_S) };

	while (!d->stop && !d->switched) {
		if (ns == UINT64_MAX)
			pthread_cond_wait(&d->wake, &d->lock);
		else if (pthread_cond_timedwait(&d->wake, &d->lock, &t) == ETIMEDOUT)
			break;
	}
}

static void *policyd_thread(void *arg)
{
	struct policyd *d = arg;
	uint64_t in;

	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		d->switched = false;
		pthread_mutex_unlock(&d->lock);
		in = mm_policy_tick(d->sys, now_ns());
		pthread_mutex_lock(&d->lock);
		wait_for(d, in);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

int policyd_switch(struct policyd *d, const char *policy, struct errmsg *e)
{
	const struct reclaim_policy *p;
	int rc = policy_load(policy, &p, e);

	if (rc)
		return rc;
	rc = mm_policy_set(d->sys, p);
	if (rc)
		return errmsg_set(e, rc, "cannot switch to %s: %s", p->name, strerror(-rc));
	pthread_mutex_lock(&d->lock);
	d->switched = true;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

int policyd_start(struct policyd *d, struct mm_sys *sys, const char *policy, struct errmsg *e)
{
	pthread_condattr_t attr;
	int rc;

	memset(d, 0, sizeof(*d));
	d->sys = sys;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = *policy ? policyd_switch(d, policy, e) : 0;
	if (rc)
		return rc;
	rc = pthread_create(&d->thread, NULL, policyd_thread, d);
	d->running = !rc;
	return rc ? errmsg_set(e, -rc, "no thread for reclaim policies: %s", strerror(rc)) : 0;
}

void policyd_stop(struct policyd *d)
{
	if (!d->sys)
		return;
	if (d->running) {
		pthread_mutex_lock(&d->lock);
		d->stop = true;
		pthread_cond_signal(&d->wake);
		pthread_mutex_unlock(&d->lock);
		pthread_join(d->thread, NULL);
	}
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
	d->sys = NULL;
}
