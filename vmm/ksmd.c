/* SPDX-License-Identifier: MIT */
#include "vmm/ksmd.h"

#include <string.h>
#include <time.h>
#include <umm/ksm.h>

static bool must_stop(struct ksmd *k)
{
	bool stop;

	pthread_mutex_lock(&k->lock);
	stop = k->stop;
	pthread_mutex_unlock(&k->lock);
	return stop;
}

static void pause_for(struct ksmd *k, uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&k->lock);
	if (!k->stop)
		pthread_cond_timedwait(&k->wake, &k->lock, &until);
	pthread_mutex_unlock(&k->lock);
}

static void *ksmd_thread(void *arg)
{
	struct ksmd *k = arg;

	for (;;) {
		/* Before the looks: a change after them ends the wait at once. */
		uint32_t seen = ksm_changes(k->sys);

		if (must_stop(k))
			return NULL;
		if (ksm_get(k->sys, KSM_RUN) != KSM_MERGE) {
			ksm_wait_change(k->sys, seen);
			continue;
		}
		ksm_scan(k->sys, ksm_get(k->sys, KSM_PAGES_TO_SCAN));
		pause_for(k, ksm_get(k->sys, KSM_SLEEP_MILLISECS));
	}
}

int ksmd_start(struct ksmd *k, struct mm_sys *sys, struct errmsg *e)
{
	pthread_condattr_t attr;
	int rc;

	memset(k, 0, sizeof(*k));
	k->sys = sys;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&k->thread, NULL, ksmd_thread, k);
	k->running = !rc;
	return rc ? errmsg_set(e, -rc, "no thread to merge pages: %s", strerror(rc)) : 0;
}

void ksmd_stop(struct ksmd *k)
{
	if (!k->sys)
		return;
	if (k->running) {
		pthread_mutex_lock(&k->lock);
		k->stop = true;
		pthread_cond_signal(&k->wake);
		pthread_mutex_unlock(&k->lock);
		ksm_wake(k->sys);
		pthread_join(k->thread, NULL);
	}
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	k->sys = NULL;
}
