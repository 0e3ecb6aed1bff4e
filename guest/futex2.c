/* SPDX-License-Identifier: MIT */
/*
 * The futex calls that have a number each: futex_waitv (several words at once),
 * futex_wake, futex_wait, futex_requeue. Words of 32 bits only, as in Linux 6.12.
 *
 * Who waits for several words has a waiter in the queue of each. The first value
 * that does not fit ends the call, and so does the first wake; all waiters leave
 * then, and the last one found woken is told. A wake that came while the rest were
 * still being queued counts before a value that did not fit.
 */
#include <linux/futex.h>
#include <stdlib.h>

#include "guest/futex.h"
#include "guest/syscalls.h"

#define WORD_SIZE_MASK 3u
#define WORD_32        2u
#define WORD_PRIVATE   128u
#define WORDS_MAX      128u /* FUTEX_WAITV_MAX */

/* struct futex_waitv of linux/futex.h, which older headers have not. */
struct guest_waitv {
	uint64_t value, addr;
	uint32_t flags, reserved;
};

static bool flags_valid(uint32_t flags)
{
	return !(flags & ~(WORD_SIZE_MASK | WORD_PRIVATE)) && (flags & WORD_SIZE_MASK) == WORD_32;
}

static bool fits_word(uint64_t value)
{
	return value <= UINT32_MAX;
}

static int get_deadline(struct task *t, uint64_t user, uint64_t clock, struct timespec *ts)
{
	if ((int)clock != CLOCK_REALTIME && (int)clock != CLOCK_MONOTONIC)
		return -EINVAL;
	if (copy_from_user(t, ts, user, sizeof(*ts)))
		return -EFAULT;
	return ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= 1000000000 ? -EINVAL : 0;
}

/* ---- one word ------------------------------------------------------------------- */

int64_t sys_futex_wake(struct task *t, const uint64_t a[6])
{
	struct mm_futex_key key;
	int err;

	if (!flags_valid((uint32_t)a[3]) || !fits_word(a[1]) || !(uint32_t)a[1])
		return -EINVAL;
	if ((int)a[2] > 0)
		return futex_wake(t, a[0], !(a[3] & WORD_PRIVATE), (int)a[2], (uint32_t)a[1]);
	/* Nobody is to be woken; that the word is one is still checked. */
	err = futex_key_get(t, a[0], !(a[3] & WORD_PRIVATE), &key);
	if (!err)
		mm_futex_key_put(&key);
	return err;
}

int64_t sys_futex_wait(struct task *t, const uint64_t a[6])
{
	struct timespec ts;
	int err = 0;

	if (!flags_valid((uint32_t)a[3]) || !fits_word(a[1]) || !fits_word(a[2]))
		return -EINVAL;
	if (a[4])
		err = get_deadline(t, a[4], a[5], &ts);
	if (!err)
		err = futex_wait(t, a[0], !(a[3] & WORD_PRIVATE), (uint32_t)a[1], (uint32_t)a[2],
				 (int)a[5], a[4] ? &ts : NULL);
	return err == -EINTR ? -ERESTARTSYS_ : err;
}

/* ---- several words -------------------------------------------------------------- */

static int get_words(struct task *t, uint64_t user, unsigned int nr, struct guest_waitv *words)
{
	unsigned int i;

	/* One by one: what is wrong with the first comes before the second cannot be read. */
	for (i = 0; i < nr; i++) {
		if (copy_from_user(t, &words[i], user + i * sizeof(*words), sizeof(*words)))
			return -EFAULT;
		if (!flags_valid(words[i].flags) || words[i].reserved || !fits_word(words[i].value))
			return -EINVAL;
	}
	return 0;
}

int64_t sys_futex_requeue(struct task *t, const uint64_t a[6])
{
	struct futex_requeue_request rq = { .nr_wake = (int)a[2],
					    .nr_move = (int)a[3],
					    .compare = true };
	struct guest_waitv words[2];
	int err, i;

	if ((uint32_t)a[1] || !a[0])
		return -EINVAL;
	err = get_words(t, a[0], 2, words);
	if (err)
		return err;
	for (i = 0; i < 2; i++) {
		rq.addr[i] = words[i].addr;
		rq.shared[i] = !(words[i].flags & WORD_PRIVATE);
	}
	rq.value = (uint32_t)words[0].value;
	return futex_requeue(t, &rq);
}

static int waiters_init(struct task *t, const struct guest_waitv *words, unsigned int nr,
			struct futex_waiter *w)
{
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++) {
		w[i] = (struct futex_waiter){ .task = t, .bits = ~0u };
		list_init(&w[i].link);
		err = futex_key_get(t, words[i].addr, !(words[i].flags & WORD_PRIVATE), &w[i].key);
		if (err)
			goto out;
	}
	return 0;
out:
	while (i--)
		mm_futex_key_put(&w[i].key);
	return err;
}

/* The first @nr leave; the last of them that was woken, or -1. */
static int waiters_leave(struct futex_waiter *w, unsigned int nr)
{
	int woken = -1;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!futex_waiter_leave(&w[i]))
			woken = (int)i;
	return woken;
}

static bool any_woken(struct futex_waiter *w, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!__atomic_load_n(&w[i].bucket, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

/* Keys are held. The number of a woken word, or an error. */
static int wait_any(struct task *t, const struct guest_waitv *words, struct futex_waiter *w,
		    unsigned int nr, clockid_t clock, const struct timespec *deadline)
{
	uint32_t seq = task_sleep_begin(t);
	unsigned int queued;
	int err = 0, woken;

	for (queued = 0; queued < nr; queued++) {
		err = futex_waiter_queue(t, words[queued].addr, (uint32_t)words[queued].value,
					 &w[queued]);
		if (err)
			break;
	}
	while (!err && !any_woken(w, nr)) {
		if (task_has_work(t))
			err = -ERESTARTSYS_;
		else
			err = task_sleep(t, seq, clock, deadline);
		seq = task_sleep_begin(t);
	}
	woken = waiters_leave(w, queued);
	return woken >= 0 ? woken : err;
}

int64_t sys_futex_waitv(struct task *t, const uint64_t a[6])
{
	unsigned int nr = (unsigned int)a[1], i;
	struct guest_waitv *words;
	struct futex_waiter *w;
	struct timespec ts;
	int ret = 0;

	if ((unsigned int)a[2] || !nr || nr > WORDS_MAX || !a[0])
		return -EINVAL;
	if (a[3])
		ret = get_deadline(t, a[3], a[4], &ts);
	if (ret)
		return ret;
	words = calloc(nr, sizeof(*words));
	w = calloc(nr, sizeof(*w));
	ret = words && w ? get_words(t, a[0], nr, words) : -ENOMEM;
	if (!ret)
		ret = waiters_init(t, words, nr, w);
	if (ret)
		goto out;
	ret = wait_any(t, words, w, nr, a[3] ? (int)a[4] : CLOCK_MONOTONIC, a[3] ? &ts : NULL);
	for (i = 0; i < nr; i++)
		mm_futex_key_put(&w[i].key);
out:
	free(words);
	free(w);
	return ret;
}
