/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking of tasks.
 *
 * Every task has a word that each wake changes. A sleeper reads the word, then
 * looks whether it must sleep at all, then sleeps in the host while the word is
 * unchanged: what happens in between ends the sleep at once, so no wake is lost
 * and no lock needs to be held. Signals come as such a wake, too.
 *
 * A task that is in the guest or in a blocking host call is reached by the
 * vCPU's kick instead (guest/blocking.c tells why that cannot be lost either).
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/task.h"

__thread struct task *current_task __attribute__((tls_model("initial-exec")));

static long host_futex(uint32_t *word, int op, uint32_t value, const struct timespec *deadline)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, deadline, NULL,
		       FUTEX_BITSET_MATCH_ANY);
}

int task_sleep(struct task *t, uint32_t seq, clockid_t clock, const struct timespec *deadline)
{
	int op = FUTEX_WAIT_BITSET | (clock == CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0);
	long rc;

	if (task_has_work(t))
		return 0;
	mm_pressure_busy(t->g->cfg.sys, -1);
	__atomic_store_n(&t->sleeping, true, __ATOMIC_RELAXED);
	seat_rest(t);
	rc = host_futex(&t->wake_seq, op, seq, deadline);
	__atomic_store_n(&t->sleeping, false, __ATOMIC_RELAXED);
	mm_pressure_busy(t->g->cfg.sys, 1);
	return rc < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

void task_doze(struct task *t, uint32_t seq, uint64_t deadline_ns)
{
	struct timespec deadline = { .tv_sec = (time_t)(deadline_ns / 1000000000u),
				     .tv_nsec = (long)(deadline_ns % 1000000000u) };

	host_futex(&t->wake_seq, FUTEX_WAIT_BITSET, seq, &deadline);
}

void task_wake(struct task *t)
{
	__atomic_fetch_add(&t->wake_seq, 1, __ATOMIC_ACQ_REL);
	host_futex(&t->wake_seq, FUTEX_WAKE, INT_MAX, NULL);
}

void task_interrupt(struct task *t)
{
	if (task_must_leave(t))
		__atomic_store_n(&t->placement.ending, true, __ATOMIC_RELAXED);
	if (__atomic_exchange_n(&t->work, 1, __ATOMIC_ACQ_REL) || t == current_task)
		return;
	task_wake(t);
	if (t->vcpu)
		t->ops->kick(t->vcpu);
}

void host_word_wait(uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		host_futex(word, FUTEX_WAIT_BITSET, value, NULL);
}

void host_word_wake(uint32_t *word)
{
	host_futex(word, FUTEX_WAKE, INT_MAX, NULL);
}
