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
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define BUCKETS 1024

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
	struct futex_bucket buckets[BUCKETS];
};

struct futex_table *futex_table_create(void)
{
	struct futex_table *ft = aligned_alloc(64, sizeof(*ft));
	int i;

	if (!ft)
		return NULL;
	for (i = 0; i < BUCKETS; i++) {
		pthread_mutex_init(&ft->buckets[i].lock, NULL);
		list_init(&ft->buckets[i].waiters);
		ft->buckets[i].nr = 0;
	}
	return ft;
}

void futex_table_destroy(struct futex_table *ft)
{
	int i;

	if (!ft)
		return;
	for (i = 0; i < BUCKETS; i++)
		pthread_mutex_destroy(&ft->buckets[i].lock);
	free(ft);
}

static struct futex_bucket *key_bucket(struct task *t, const struct mm_futex_key *key)
{
	uint64_t h = (key->object >> 6) * 0x9e3779b97f4a7c15ull + key->offset;

	h *= 0x9e3779b97f4a7c15ull;
	return &t->g->futexes->buckets[h >> 54];
}

_Static_assert(BUCKETS == 1 << (64 - 54), "the hash gives as many bits");

static bool key_equal(const struct mm_futex_key *a, const struct mm_futex_key *b)
{
	return a->object == b->object && a->offset == b->offset && a->shared == b->shared;
}

static int key_get(struct task *t, uint64_t addr, bool shared, struct mm_futex_key *key)
{
	int err;

	if (addr % sizeof(uint32_t))
		return -EINVAL;
	if (addr >= UMM_TASK_SIZE)
		return -EFAULT;
	err = mm_futex_key_get(t->mm, gva_make(addr), shared, key);
	if (err || !shared)
		return err;
	/* Linux wants the page itself then, and a private one for writing. */
	if (mm_fault(t->mm, gva_make(addr), key->shared ? 0 : FAULT_FLAG_WRITE) != FAULT_DONE) {
		mm_futex_key_put(key);
		return -EFAULT;
	}
	return 0;
}

/* ---- queue; bucket locked ---------------------------------------------- */

static void queue_add(struct futex_bucket *b, struct futex_waiter *w)
{
	list_add_tail(&w->link, &b->waiters);
	__atomic_store_n(&w->bucket, b, __ATOMIC_RELEASE);
	__atomic_fetch_add(&b->nr, 1, __ATOMIC_SEQ_CST);
}

static void queue_remove(struct futex_bucket *b, struct futex_waiter *w)
{
	list_del(&w->link);
	__atomic_fetch_sub(&b->nr, 1, __ATOMIC_SEQ_CST);
}

/*
 * The waiter may see that it was woken before we have woken it: it then waits
 * for `released`, as its struct, and its task, could be gone otherwise.
 */
static void wake_one(struct futex_bucket *b, struct futex_waiter *w)
{
	queue_remove(b, w);
	__atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
	task_wake(w->task);
	__atomic_store_n(&w->released, true, __ATOMIC_RELEASE);
}

static int wake_matching(struct futex_bucket *b, const struct mm_futex_key *key, int nr,
			 uint32_t bits)
{
	struct futex_waiter *w, *tmp;
	int woken = 0;

	list_for_each_entry_safe(w, tmp, &b->waiters, link)
	{
		if (woken >= nr)
			break;
		if (!(w->bits & bits) || !key_equal(&w->key, key))
			continue;
		wake_one(b, w);
		woken++;
	}
	return woken;
}

static void bucket_lock(struct futex_bucket *b)
{
	pthread_mutex_lock(&b->lock);
}

static void bucket_unlock(struct futex_bucket *b)
{
	pthread_mutex_unlock(&b->lock);
}

static void bucket_lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	bucket_lock(a < b ? a : b);
	if (a != b)
		bucket_lock(a < b ? b : a);
}

static void bucket_unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	bucket_unlock(a);
	if (a != b)
		bucket_unlock(b);
}

/* ---- wake -------------------------------------------------------------- */

int futex_wake(struct task *t, uint64_t addr, bool shared, int nr, uint32_t bits)
{
	struct mm_futex_key key;
	struct futex_bucket *b;
	int ret;

	if (!bits)
		return -EINVAL;
	ret = key_get(t, addr, shared, &key);
	if (ret)
		return ret;
	b = key_bucket(t, &key);
	/*
	 * The word was stored before: a waiter that is not counted yet will see
	 * that. Adding nothing, instead of loading, keeps the two in this order.
	 */
	if (__atomic_fetch_add(&b->nr, 0, __ATOMIC_SEQ_CST)) {
		bucket_lock(b);
		ret = wake_matching(b, &key, nr, bits);
		bucket_unlock(b);
	}
	mm_futex_key_put(&key);
	return ret;
}

/* ---- wait -------------------------------------------------------------- */

/* True if the waiter was still queued: nobody woke it. */
static bool waiter_leave(struct futex_waiter *w)
{
	struct futex_bucket *b;

	for (;;) {
		b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
		if (!b)
			break;
		bucket_lock(b);
		if (w->bucket == b) {
			queue_remove(b, w);
			w->bucket = NULL;
			bucket_unlock(b);
			return true;
		}
		bucket_unlock(b);
	}
	while (!__atomic_load_n(&w->released, __ATOMIC_ACQUIRE))
		sched_yield();
	return false;
}

/* Queue @w if the word still has the value. *seq is from before that. */
static int wait_setup(struct task *t, uint64_t addr, uint32_t value, struct futex_waiter *w,
		      uint32_t *seq)
{
	struct futex_bucket *b = key_bucket(t, &w->key);
	uint32_t now;
	int err;

	err = mm_read_u32(t->mm, gva_make(addr), &now);
	if (err)
		return err;
	*seq = task_sleep_begin(t);
	bucket_lock(b);
	/* Counted before the word is read: see futex_wake(). */
	queue_add(b, w);
	err = mm_read_u32(t->mm, gva_make(addr), &now);
	if (!err && now != value)
		err = -EAGAIN;
	if (err) {
		queue_remove(b, w);
		w->bucket = NULL;
	}
	bucket_unlock(b);
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
	return waiter_leave(w) ? err : 0;
}

static int futex_wait(struct task *t, uint64_t addr, bool shared, uint32_t value, uint32_t bits,
		      clockid_t clock, const struct timespec *deadline)
{
	struct futex_waiter w = { .task = t, .bits = bits };
	uint32_t seq;
	int err;

	if (!bits)
		return -EINVAL;
	err = key_get(t, addr, shared, &w.key);
	if (err)
		return err;
	list_init(&w.link);
	err = wait_setup(t, addr, value, &w, &seq);
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

/* ---- requeue and wake-op ----------------------------------------------- */

/* Move up to @nr waiters of @from to @to; both buckets locked. */
static int move_waiters(struct futex_bucket *bf, const struct mm_futex_key *from,
			struct futex_bucket *bt, const struct mm_futex_key *to, int nr)
{
	struct futex_waiter *w, *tmp;
	int moved = 0;

	list_for_each_entry_safe(w, tmp, &bf->waiters, link)
	{
		if (moved >= nr)
			break;
		if (!key_equal(&w->key, from))
			continue;
		moved++;
		if (bf == bt) {
			w->key.offset = to->offset;
			w->key.object = to->object;
			continue;
		}
		queue_remove(bf, w);
		w->key.offset = to->offset;
		w->key.object = to->object;
		queue_add(bt, w);
	}
	return moved;
}

struct two_words {
	struct mm_futex_key key[2];
	struct futex_bucket *bucket[2];
};

static int two_words_get(struct task *t, uint64_t addr1, uint64_t addr2, bool shared,
			 struct two_words *w)
{
	int err = key_get(t, addr1, shared, &w->key[0]);

	if (err)
		return err;
	err = key_get(t, addr2, shared, &w->key[1]);
	if (err) {
		mm_futex_key_put(&w->key[0]);
		return err;
	}
	w->bucket[0] = key_bucket(t, &w->key[0]);
	w->bucket[1] = key_bucket(t, &w->key[1]);
	return 0;
}

static void two_words_put(struct two_words *w)
{
	mm_futex_key_put(&w->key[0]);
	mm_futex_key_put(&w->key[1]);
}

/* @compare: CMP_REQUEUE, where the word must have the value @expect. */
static int64_t do_requeue(struct task *t, const uint64_t a[6], bool shared, bool compare)
{
	int nr_wake = (int)a[2], nr_move = (int)a[3];
	struct two_words w;
	uint32_t now;
	int err, woken = 0, moved = 0;

	if (nr_wake < 0 || nr_move < 0)
		return -EINVAL;
	err = two_words_get(t, a[0], a[4], shared, &w);
	if (err)
		return err;
	/* Keys of different kinds hold different references: then wake instead. */
	if (w.key[0].shared != w.key[1].shared || w.key[0].shared)
		nr_wake = nr_wake > INT_MAX - nr_move ? INT_MAX : nr_wake + nr_move;
	if (compare)
		err = mm_read_u32(t->mm, gva_make(a[0]), &now);
	bucket_lock_two(w.bucket[0], w.bucket[1]);
	if (!err && compare) {
		err = mm_read_u32(t->mm, gva_make(a[0]), &now);
		if (!err && now != (uint32_t)a[5])
			err = -EAGAIN;
	}
	if (!err) {
		woken = wake_matching(w.bucket[0], &w.key[0], nr_wake, ~0u);
		if (!w.key[0].shared && !w.key[1].shared)
			moved = move_waiters(w.bucket[0], &w.key[0], w.bucket[1], &w.key[1],
					     nr_move);
	}
	bucket_unlock_two(w.bucket[0], w.bucket[1]);
	two_words_put(&w);
	if (err)
		return err;
	return compare ? woken + moved : woken;
}

struct wake_op {
	unsigned int op, cmp;
	int32_t oparg, cmparg;
};

static int wake_op_decode(uint32_t code, struct wake_op *o)
{
	o->op = (code >> 28) & 7;
	o->cmp = (code >> 24) & 15;
	o->oparg = (int32_t)(code << 8) >> 20;
	o->cmparg = (int32_t)(code << 20) >> 20;
	if ((code >> 28) & FUTEX_OP_OPARG_SHIFT)
		o->oparg = (int32_t)(1u << (o->oparg & 31));
	return o->op <= FUTEX_OP_XOR && o->cmp <= FUTEX_OP_CMP_GE ? 0 : -ENOSYS;
}

static uint32_t wake_op_apply(const struct wake_op *o, uint32_t old)
{
	switch (o->op) {
	case FUTEX_OP_ADD:
		return old + (uint32_t)o->oparg;
	case FUTEX_OP_OR:
		return old | (uint32_t)o->oparg;
	case FUTEX_OP_ANDN:
		return old & ~(uint32_t)o->oparg;
	case FUTEX_OP_XOR:
		return old ^ (uint32_t)o->oparg;
	default:
		return (uint32_t)o->oparg;
	}
}

static bool wake_op_compare(const struct wake_op *o, int32_t old)
{
	switch (o->cmp) {
	case FUTEX_OP_CMP_EQ:
		return old == o->cmparg;
	case FUTEX_OP_CMP_NE:
		return old != o->cmparg;
	case FUTEX_OP_CMP_LT:
		return old < o->cmparg;
	case FUTEX_OP_CMP_LE:
		return old <= o->cmparg;
	case FUTEX_OP_CMP_GT:
		return old > o->cmparg;
	default:
		return old >= o->cmparg;
	}
}

static int wake_op_change(struct task *t, uint64_t addr, const struct wake_op *o, uint32_t *old)
{
	uint32_t expect;
	int err = mm_read_u32(t->mm, gva_make(addr), &expect);

	while (!err) {
		err = mm_cmpxchg_u32(t->mm, gva_make(addr), expect, wake_op_apply(o, expect), old);
		if (err || *old == expect)
			break;
		expect = *old;
	}
	return err;
}

static int64_t do_wake_op(struct task *t, const uint64_t a[6], bool shared)
{
	struct wake_op o;
	struct two_words w;
	uint32_t old = 0;
	int err = wake_op_decode((uint32_t)a[5], &o), ret = 0;

	if (!err)
		err = two_words_get(t, a[0], a[4], shared, &w);
	if (err)
		return err;
	bucket_lock_two(w.bucket[0], w.bucket[1]);
	err = wake_op_change(t, a[4], &o, &old);
	if (!err) {
		ret = wake_matching(w.bucket[0], &w.key[0], (int)a[2], ~0u);
		if (wake_op_compare(&o, (int32_t)old))
			ret += wake_matching(w.bucket[1], &w.key[1], (int)a[3], ~0u);
	}
	bucket_unlock_two(w.bucket[0], w.bucket[1]);
	two_words_put(&w);
	return err ? err : ret;
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
		return futex_wake(t, a[0], shared, (int)a[2], ~0u);
	case FUTEX_WAKE_BITSET:
		return futex_wake(t, a[0], shared, (int)a[2], (uint32_t)a[5]);
	case FUTEX_REQUEUE:
		return do_requeue(t, a, shared, false);
	case FUTEX_CMP_REQUEUE:
		return do_requeue(t, a, shared, true);
	case FUTEX_WAKE_OP:
		return do_wake_op(t, a, shared);
	default:
		return -ENOSYS; /* priority inheritance: nobody here has priorities */
	}
}
