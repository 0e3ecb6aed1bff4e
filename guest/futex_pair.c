/* SPDX-License-Identifier: MIT */
/* Futex calls on two words: FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, futex_requeue. */
#include <limits.h>
#include <linux/futex.h>

#include "guest/futex.h"

/* Move up to @nr waiters of @from to @to, of the same object; both buckets locked. */
static int move_waiters(struct futex_bucket *bf, const struct mm_futex_key *from,
			struct futex_bucket *bt, const struct mm_futex_key *to, int nr)
{
	struct futex_waiter *w, *tmp;
	int moved = 0;

	list_for_each_entry_safe(w, tmp, &bf->waiters, link)
	{
		if (moved >= nr)
			break;
		if (!futex_key_equal(&w->key, from))
			continue;
		moved++;
		w->key.offset = to->offset;
		if (bf == bt)
			continue;
		futex_queue_remove(bf, w);
		futex_queue_add(bt, w);
	}
	return moved;
}

struct two_words {
	struct mm_futex_key key[2];
	struct futex_bucket *bucket[2];
};

static int two_words_get(struct task *t, const uint64_t addr[2], const bool shared[2],
			 struct two_words *w)
{
	int err = futex_key_get(t, addr[0], shared[0], &w->key[0]);

	if (err)
		return err;
	err = futex_key_get(t, addr[1], shared[1], &w->key[1]);
	if (err) {
		mm_futex_key_put(&w->key[0]);
		return err;
	}
	w->bucket[0] = futex_key_bucket(t, &w->key[0]);
	w->bucket[1] = futex_key_bucket(t, &w->key[1]);
	return 0;
}

static void two_words_put(struct two_words *w)
{
	mm_futex_key_put(&w->key[0]);
	mm_futex_key_put(&w->key[1]);
}

int64_t futex_requeue(struct task *t, const struct futex_requeue_request *rq)
{
	int nr_wake = rq->nr_wake, nr_move = rq->nr_move;
	struct two_words w;
	int err, done = 0;
	bool movable;
	uint32_t now;

	if (nr_wake < 0 || nr_move < 0)
		return -EINVAL;
	err = two_words_get(t, rq->addr, rq->shared, &w);
	if (err)
		return err;
	/* A key that holds a reference to something else: then wake instead. */
	movable = w.key[0].shared == w.key[1].shared && w.key[0].object == w.key[1].object;
	if (!movable)
		nr_wake = nr_wake > INT_MAX - nr_move ? INT_MAX : nr_wake + nr_move;
	if (rq->compare)
		err = mm_read_u32(t->mm, gva_make(rq->addr[0]), &now);
	futex_bucket_lock_two(w.bucket[0], w.bucket[1]);
	if (!err && rq->compare) {
		err = mm_read_u32(t->mm, gva_make(rq->addr[0]), &now);
		if (!err && now != rq->value)
			err = -EAGAIN;
	}
	if (!err) {
		done = futex_wake_matching(w.bucket[0], &w.key[0], nr_wake, ~0u);
		if (movable)
			done += move_waiters(w.bucket[0], &w.key[0], w.bucket[1], &w.key[1],
					     nr_move);
	}
	futex_bucket_unlock_two(w.bucket[0], w.bucket[1]);
	two_words_put(&w);
	return err ? err : done;
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

int64_t futex_wake_op(struct task *t, const uint64_t a[6], bool shared)
{
	const uint64_t addr[2] = { a[0], a[4] };
	const bool both[2] = { shared, shared };
	struct wake_op o;
	struct two_words w;
	uint32_t old = 0;
	int err = wake_op_decode((uint32_t)a[5], &o), ret = 0;

	if (!err)
		err = two_words_get(t, addr, both, &w);
	if (err)
		return err;
	futex_bucket_lock_two(w.bucket[0], w.bucket[1]);
	err = wake_op_change(t, a[4], &o, &old);
	if (!err) {
		ret = futex_wake_matching(w.bucket[0], &w.key[0], futex_wake_least(a[2]), ~0u);
		if (wake_op_compare(&o, (int32_t)old))
			ret += futex_wake_matching(w.bucket[1], &w.key[1], futex_wake_least(a[3]),
						   ~0u);
	}
	futex_bucket_unlock_two(w.bucket[0], w.bucket[1]);
	two_words_put(&w);
	return err ? err : ret;
}
