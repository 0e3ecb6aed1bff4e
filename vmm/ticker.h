/* SPDX-License-Identifier: MIT */
/*
 * A host thread that does a piece of work, says when it wants to go on, and sleeps until
 * then: what is below the scanners and policies that run beside a guest.
 */
#ifndef VMM_TICKER_H
#define VMM_TICKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <umm/types.h>

#define TICKER_NEVER UINT64_MAX /* until it is poked */

struct ticker_work {
	/* One piece of work, no lock held. The ns to sleep then, or TICKER_NEVER. */
	uint64_t (*tick)(void *arg);
	/* NULL, or ends a tick that waits for something; called once it must stop. */
	void (*interrupt)(void *arg);
	void *arg;
};

/* All zero: never started, which ticker_stop() takes well. */
struct ticker {
	struct ticker_work work;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop, poked;
};

/* 0, or -errno of the thread that could not be made. */
int ticker_start(struct ticker *t, const struct ticker_work *work) UMM_MUST_CHECK;
/* Tick now, or again at once if it is ticking. Started tickers only; from any thread. */
void ticker_poke(struct ticker *t);
/* Must the tick that calls this come to an end? */
bool ticker_must_stop(struct ticker *t);
/* Waits for the tick to end. */
void ticker_stop(struct ticker *t);

static inline uint64_t ticker_ms(uint64_t ms)
{
	return ms * 1000000;
}

#endif
