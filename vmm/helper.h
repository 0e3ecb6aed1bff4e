/* SPDX-License-Identifier: MIT */
/* One thread that takes a part of somebody's long work, if it gets a processor in time. */
#ifndef VMM_HELPER_H
#define VMM_HELPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct helper {
	_Atomic bool taken; /* by the one whose job it has, until helper_end() */
	/* The job; written before it is announced, left alone until it is over. */
	void (*work)(void *arg);
	void *arg;
	_Atomic uint32_t serial;  /* odd: a job is announced; the thread sleeps on it */
	_Atomic uint32_t working; /* the thread looks at the job, or does it */
	_Atomic bool begun;       /* it does it */
	_Atomic bool stop;
	bool started, cannot_start; /* of whoever has taken it */
	pthread_t thread;
};

/* All zero is a helper at rest; its thread is made when it is first wanted. */
void helper_destroy(struct helper *h);
/* True: work(arg) is announced, and the caller must call helper_end(). False: it is taken. */
bool helper_begin(struct helper *h, void (*work)(void *arg), void *arg);
/* Withdraw the job, or wait for its end: false if it was not begun, and will not be. */
bool helper_end(struct helper *h);
/* Does somebody have it just now? */
bool helper_is_taken(const struct helper *h);

#endif
