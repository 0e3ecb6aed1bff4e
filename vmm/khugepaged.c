/* SPDX-License-Identifier: MIT */
#include "vmm/khugepaged.h"

#include <string.h>
#include <time.h>

/* Linux's scan_sleep_millisecs, and pages_to_scan in 2 MiB. */
#define SLEEP_SECONDS 10
#define PLACES        8u
/*
 * Linux lets 511 of 512 pages be empty; here a page that was never touched is
 * memory of the host, so most must be there.
 */
#define MAX_NONE 64u

static void *khugepaged_thread(void *arg)
{
	struct khugepaged *k = arg;
	struct collapse_cursor at = { 0 };
	struct timespec until;

	pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += SLEEP_SECONDS;
		pthread_cond_timedwait(&k->wake, &k->lock, &until);
		if (k->stop)
			break;
		pthread_mutex_unlock(&k->lock);
		mm_sys_collapse_scan(k->sys, &at, PLACES, MAX_NONE);
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

int khugepaged_start(struct khugepaged *k, struct mm_sys *sys, struct errmsg *e)
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
	rc = pthread_create(&k->thread, NULL, khugepaged_thread, k);
	k->running = !rc;
	return rc ? errmsg_set(e, -rc, "no thread to collapse pages: %s", strerror(rc)) : 0;
}

void khugepaged_stop(struct khugepaged *k)
{
	if (!k->sys)
		return;
	if (k->running) {
		pthread_mutex_lock(&k->lock);
		k->stop = true;
		pthread_cond_signal(&k->wake);
		pthread_mutex_unlock(&k->lock);
		pthread_join(k->thread, NULL);
	}
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	k->sys = NULL;
}
