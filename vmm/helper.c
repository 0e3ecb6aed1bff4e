/* SPDX-License-Identifier: MIT */
/*
 * A job is announced by an odd `serial` and withdrawn by the next even one. The thread
 * says `working` before it looks at the serial again, the caller withdraws before it
 * looks at `working`: one of them sees the other (all are seq_cst), so after
 * helper_end() nobody touches what is the caller's. A thread that got no processor has
 * not begun, and holds nobody up.
 */
#include "vmm/helper.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS_TO_YIELD 2000u

static void *thread_main(void *arg)
{
	struct helper *h = arg;

	while (!atomic_load(&h->stop)) {
		uint32_t serial = atomic_load(&h->serial);

		if (serial & 1) {
			atomic_store(&h->working, 1);
			if (atomic_load(&h->serial) == serial) {
				atomic_store(&h->begun, true);
				h->work(h->arg);
			}
			atomic_store(&h->working, 0);
		}
		/* Until another job, or this one's end. */
		syscall(SYS_futex, &h->serial, FUTEX_WAIT_PRIVATE, serial, NULL, NULL, 0);
	}
	return NULL;
}

/* Signals are for the threads that know what to do with them. */
static bool thread_start(struct helper *h)
{
	sigset_t all, old;

	if (h->started || h->cannot_start)
		return h->started;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	h->started = !pthread_create(&h->thread, NULL, thread_main, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	h->cannot_start = !h->started;
	return h->started;
}

static void thread_wake(struct helper *h)
{
	syscall(SYS_futex, &h->serial, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool helper_begin(struct helper *h, void (*work)(void *arg), void *arg)
{
	bool taken = false;

	if (!atomic_compare_exchange_strong(&h->taken, &taken, true))
		return false;
	if (!thread_start(h)) {
		atomic_store(&h->taken, false);
		return false;
	}
	h->work = work;
	h->arg = arg;
	atomic_store(&h->begun, false);
	atomic_fetch_add(&h->serial, 1);
	thread_wake(h);
	return true;
}

bool helper_end(struct helper *h)
{
	unsigned int spins = 0;
	bool begun;

	atomic_fetch_add(&h->serial, 1);
	while (atomic_load(&h->working)) {
		if (++spins % SPINS_TO_YIELD)
			__builtin_ia32_pause();
		else
			sched_yield();
	}
	begun = atomic_load(&h->begun);
	atomic_store(&h->taken, false);
	return begun;
}

bool helper_is_taken(const struct helper *h)
{
	return atomic_load(&h->taken);
}

void helper_destroy(struct helper *h)
{
	if (!h->started)
		return;
	atomic_store(&h->stop, true);
	atomic_fetch_add(&h->serial, 2);
	thread_wake(h);
	pthread_join(h->thread, NULL);
	h->started = false;
}
