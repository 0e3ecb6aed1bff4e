/* SPDX-License-Identifier: MIT */
/*
 * Futexes. The word is the guest's; its identity across address spaces is
 * mm_futex_key's; the waiters stand here, in buckets by a hash of the key.
 *
 * No wake is lost: a waiter reads the word under the bucket's lock and is queued
 * before it lets go, and a waker changes the word before it takes that lock. A
 * waiter that ends early (signal, timeout) takes itself off the queue under the
 * lock, and if it is not there any more it has been woken, and says so.
 *
 * The word is read once before the lock is taken, so that the read under it
 * finds the page present (and if it was reclaimed in between, only waits).
 *
 * Locks: bucket->lock, before all locks of the memory manager; two buckets in
 * address order.
 */
#include <linux/futex.h>
#include <sched.h>

#include "guest/futex.h"
#include "guest/syscalls.h"

bool futex_waiter_leave(struct futex_waiter *w)
{
	struct futex_bucket *b;

	for (;;) {
		b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
		if (!b)
			break;
		futex_bucket_lock(b);
		if (w->bucket == b) {
			futex_queue_remove(b, w);
			w->bucket = NULL;
			futex_bucket_unlock(b);
			return true;
		}
		futex_bucket_unlock(b);
	}
	while (!__atomic_load_n(&w->released, __ATOMIC_ACQUIRE))
		sched_yield();
	return false;
}

int futex_waiter_queue(struct task *t, uint64_t addr, uint32_t value, struct futex_waiter *w)
{
	struct futex_bucket *b = futex_key_bucket(t, &w->key);
	uint32_t now;
	int err;

	err = mm_read_u32(t->mm, gva_make(addr), &now);
	if (err)
		return err;
	futex_bucket_lock(b);
	/* Counted before the word is read: see futex_wake(). */
	futex_queue_add(b, w);
	err = mm_read_u32(t->mm, gva_make(addr), &now);
	if (!err && now != value)
		err = -EAGAIN;
	if (err) {
		futex_queue_remove(b, w);
		w->bucket = NULL;
	}
	futex_bucket_unlock(b);
	return err;
}

static int wait_queued(struct task *t, struct futex_waiter *w, uint32_t seq, clockid_t clock,
		       const struct timespec *deadline)
{
	int err = 0;

	while (!err && __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE)) {
		if (task_has_work(t))
			err = -EINTR;
		else
			err = task_sleep(t, seq, clock, deadline);
		seq = task_sleep_begin(t);
	}
	return futex_waiter_leave(w) ? err : 0;
}

int futex_wait(struct task *t, uint64_t addr, bool shared, uint32_t value, uint32_t bits,
	       clockid_t clock, const struct timespec *deadline)
{
	struct futex_waiter w = { .task = t, .bits = bits };
	uint32_t seq;
	int err;

	if (!bits)
		return -EINVAL;
	err = futex_key_get(t, addr, shared, &w.key);
	if (err)
		return err;
	list_init(&w.link);
	seq = task_sleep_begin(t);
	err = futex_waiter_queue(t, addr, value, &w);
	if (!err)
		err = wait_queued(t, &w, seq, clock, deadline);
	mm_futex_key_put(&w.key);
	return err;
}

/* A relative wait goes on with the absolute deadline that it was turned into. */
static int64_t futex_wait_restart(struct task *t, const uint64_t a[6])
{
	struct timespec deadline = { .tv_sec = (time_t)a[3], .tv_nsec = (long)a[4] };
	int err = futex_wait(t, a[0], a[1], (uint32_t)a[2], ~0u, CLOCK_MONOTONIC, &deadline);

	return err == -EINTR ? -ERESTARTBLOCK_ : err;
}

static int64_t do_wait(struct task *t, const uint64_t a[6], int op, uint32_t bits)
{
	bool relative = (op & FUTEX_CMD_MASK) == FUTEX_WAIT;
	clockid_t clock = op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	bool shared = !(op & FUTEX_PRIVATE_FLAG);
	struct timespec ts;
	int err;

	if (a[3]) {
		if (copy_from_user(t, &ts, a[3], sizeof(ts)))
			return -EFAULT;
		if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000)
			return -EINVAL;
		if (relative)
			ts = timespec_after(clock, &ts);
	}
	err = futex_wait(t, a[0], shared, (uint32_t)a[2], bits, clock, a[3] ? &ts : NULL);
	if (err != -EINTR)
		return err;
	if (!a[3])
		return -ERESTARTSYS_;
	if (!relative)
		return -ERESTARTSYS_; /* the deadline is absolute: as it was */
	task_set_restart(t, futex_wait_restart,
			 (uint64_t[6]){ a[0], shared, a[2], (uint64_t)ts.tv_sec,
					(uint64_t)ts.tv_nsec, 0 });
	return -ERESTARTBLOCK_;
}

static int64_t do_requeue(struct task *t, const uint64_t a[6], bool shared, bool compare)
{
	struct futex_requeue_request rq = {
		.addr = { a[0], a[4] },
		.shared = { shared, shared },
		.nr_wake = (int)a[2],
		.nr_move = (int)a[3],
		.compare = compare,
		.value = (uint32_t)a[5],
	};

	return futex_requeue(t, &rq);
}

int64_t sys_futex(struct task *t, const uint64_t a[6])
{
	int op = (int)a[1], cmd = op & FUTEX_CMD_MASK;
	bool shared = !(op & FUTEX_PRIVATE_FLAG);

	if ((op & FUTEX_CLOCK_REALTIME) && cmd != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
		return do_wait(t, a, op, ~0u);
	case FUTEX_WAIT_BITSET:
		return do_wait(t, a, op, (uint32_t)a[5]);
	case FUTEX_WAKE:
		return futex_wake(t, a[0], shared, futex_wake_least(a[2]), ~0u);
	case FUTEX_WAKE_BITSET:
		return futex_wake(t, a[0], shared, futex_wake_least(a[2]), (uint32_t)a[5]);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return do_requeue(t, a, shared, cmd == FUTEX_CMP_REQUEUE);
	case FUTEX_WAKE_OP:
		return futex_wake_op(t, a, shared);
	default:
		return -ENOSYS; /* priority inheritance: nobody here has priorities */
	}
}
