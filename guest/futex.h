/* SPDX-License-Identifier: MIT */
/* Futex waiters and their buckets: what the files of the futex calls share. */
#ifndef GUEST_FUTEX_H
#define GUEST_FUTEX_H

#include "guest/task.h"

#define FUTEX_BUCKETS 1024

struct futex_waiter {
	struct list_head link;       /* bucket's */
	struct futex_bucket *bucket; /* its lock; NULL: woken. Changes by requeue */
	struct mm_futex_key key;
	struct task *task;
	uint32_t bits;
	bool released; /* a  the waker has let go of task and waiter */
};

struct futex_bucket {
	pthread_mutex_t lock;
	struct list_head waiters;
	uint32_t nr; /* a  to skip empty ones without the lock */
} __attribute__((aligned(64)));

struct futex_table {
	struct futex_bucket buckets[FUTEX_BUCKETS];
};

/* ---- guest/futex_queue.c ----------------------------------------------- */

/* The identity of a word, to be put back: 0, -EINVAL, -EFAULT. */
int futex_key_get(struct task *t, uint64_t addr, bool shared, struct mm_futex_key *key);
bool futex_key_equal(const struct mm_futex_key *a, const struct mm_futex_key *b);
struct futex_bucket *futex_key_bucket(struct task *t, const struct mm_futex_key *key);

void futex_bucket_lock(struct futex_bucket *b);
void futex_bucket_unlock(struct futex_bucket *b);
/* In address order; they may be the same. */
void futex_bucket_lock_two(struct futex_bucket *a, struct futex_bucket *b);
void futex_bucket_unlock_two(struct futex_bucket *a, struct futex_bucket *b);

/* Bucket locked. */
void futex_queue_add(struct futex_bucket *b, struct futex_waiter *w);
void futex_queue_remove(struct futex_bucket *b, struct futex_waiter *w);
/* Wake up to @nr waiters of the word that have one of @bits; how many they were. */
int futex_wake_matching(struct futex_bucket *b, const struct mm_futex_key *key, int nr,
			uint32_t bits);

/* futex() wakes one waiter even if asked to wake none; the calls of their own do not. */
static inline int futex_wake_least(uint64_t nr)
{
	return (int)nr > 0 ? (int)nr : 1;
}

/* ---- guest/futex.c ----------------------------------------------------- */

/*
 * Queue @w, whose key is set, if the word still has the value: 0, -EAGAIN, -EFAULT.
 * Who sleeps then takes task_sleep_begin() before this.
 */
int futex_waiter_queue(struct task *t, uint64_t addr, uint32_t value, struct futex_waiter *w);
/* True if the waiter was still queued: nobody woke it. It may go then. */
bool futex_waiter_leave(struct futex_waiter *w);
/* Until woken: 0; -EAGAIN, -EFAULT, -EINVAL, -ETIMEDOUT, -EINTR. @deadline NULL: none. */
int futex_wait(struct task *t, uint64_t addr, bool shared, uint32_t value, uint32_t bits,
	       clockid_t clock, const struct timespec *deadline);

/* ---- guest/futex_pair.c: calls on two words ---------------------------- */

struct futex_requeue_request {
	uint64_t addr[2]; /* from, to */
	bool shared[2];
	int nr_wake, nr_move;
	bool compare; /* the first word must have this value, else -EAGAIN */
	uint32_t value;
};

/* Woken and moved. Waiters of a shared word go to words of the same object, else they are woken. */
int64_t futex_requeue(struct task *t, const struct futex_requeue_request *rq);
int64_t futex_wake_op(struct task *t, const uint64_t a[6], bool shared);

#endif
