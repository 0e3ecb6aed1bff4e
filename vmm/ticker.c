/* SPDX-License-Identifier: MIT */
#include "vmm/ticker.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S 1000000000ull

/* Lock held. Until @ns from now, a poke, or the end. */
static void sleep_for(struct ticker *t, uint64_t ns)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(ns / NS_PER_S);
	until.tv_nsec = (long)(ns % NS_PER_S);
	while (!t->stop && !t->poked)
		if (pthread_cond_timedwait(&t->wake, &t->lock, &until) == ETIMEDOUT)
			break;
}

static void sleep_until_poked(struct ticker *t)
{
	while (!t->stop && !t->poked)
		pthread_cond_wait(&t->wake, &t->lock);
}

static void *ticker_main(void *arg)
{
	struct ticker *t = arg;
	uint64_t ns;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		t->poked = false;
		pthread_mutex_unlock(&t->lock);
		ns = t->work.tick(t->work.arg);
		pthread_mutex_lock(&t->lock);
		if (ns == TICKER_NEVER)
			sleep_until_poked(t);
		else
			sleep_for(t, ns);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int ticker_start(struct ticker *t, const struct ticker_work *work)
{
	pthread_condattr_t attr;
	int rc;

	*t = (struct ticker){ .work = *work };
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = -pthread_create(&t->thread, NULL, ticker_main, t);
	if (rc) {
		pthread_cond_destroy(&t->wake);
		pthread_mutex_destroy(&t->lock);
	}
	t->running = !rc;
	return rc;
}

void ticker_poke(struct ticker *t)
{
	pthread_mutex_lock(&t->lock);
	t->poked = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

bool ticker_must_stop(struct ticker *t)
{
	bool stop;

	pthread_mutex_lock(&t->lock);
	stop = t->stop;
	pthread_mutex_unlock(&t->lock);
	return stop;
}

void ticker_stop(struct ticker *t)
{
	if (!t->running)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (t->work.interrupt)
		t->work.interrupt(t->work.arg);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	t->running = false;
}
