/* SPDX-License-Identifier: MIT */
/* Futex buckets: finding, queueing and waking waiters. guest/futex.c has the design. */
#include <sched.h>
#include <stdlib.h>

#include "guest/futex.h"

struct futex_table *futex_table_create(void)
{
	struct futex_table *ft = aligned_alloc(64, sizeof(*ft));
	int i;

	if (!ft)
		return NULL;
	for (i = 0; i < FUTEX_BUCKETS; i++) {
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
	for (i = 0; i < FUTEX_BUCKETS; i++)
		pthread_mutex_destroy(&ft->buckets[i].lock);
	free(ft);
}

struct futex_bucket *futex_key_bucket(struct task *t, const struct mm_futex_key *key)
{
	uint64_t h = (key->object >> 6) * 0x9e3779b97f4a7c15ull + key->offset;

	h *= 0x9e3779b97f4a7c15ull;
	return &t->g->futexes->buckets[h >> 54];
}

_Static_assert(FUTEX_BUCKETS == 1 << (64 - 54), "the hash gives as many bits");

bool futex_key_equal(const struct mm_futex_key *a, const struct mm_futex_key *b)
{
	return a->object == b->object && a->offset == b->offset && a->shared == b->shared;
}

int futex_key_get(struct task *t, uint64_t addr, bool shared, struct mm_futex_key *key)
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

void futex_queue_add(struct futex_bucket *b, struct futex_waiter *w)
{
	list_add_tail(&w->link, &b->waiters);
	__atomic_store_n(&w->bucket, b, __ATOMIC_RELEASE);
	__atomic_fetch_add(&b->nr, 1, __ATOMIC_SEQ_CST);
}

void futex_queue_remove(struct futex_bucket *b, struct futex_waiter *w)
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
	futex_queue_remove(b, w);
	__atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
	task_wake(w->task);
	__atomic_store_n(&w->released, true, __ATOMIC_RELEASE);
}

int futex_wake_matching(struct futex_bucket *b, const struct mm_futex_key *key, int nr,
			uint32_t bits)
{
	struct futex_waiter *w, *tmp;
	int woken = 0;

	list_for_each_entry_safe(w, tmp, &b->waiters, link)
	{
		if (woken >= nr)
			break;
		if (!(w->bits & bits) || !futex_key_equal(&w->key, key))
			continue;
		wake_one(b, w);
		woken++;
	}
	return woken;
}

void futex_bucket_lock(struct futex_bucket *b)
{
	pthread_mutex_lock(&b->lock);
}

void futex_bucket_unlock(struct futex_bucket *b)
{
	pthread_mutex_unlock(&b->lock);
}

void futex_bucket_lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	futex_bucket_lock(a < b ? a : b);
	if (a != b)
		futex_bucket_lock(a < b ? b : a);
}

void futex_bucket_unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	futex_bucket_unlock(a);
	if (a != b)
		futex_bucket_unlock(b);
}

/* ---- wake -------------------------------------------------------------- */

int futex_wake(struct task *t, uint64_t addr, bool shared, int nr, uint32_t bits)
{
	struct mm_futex_key key;
	struct futex_bucket *b;
	int ret;

	if (!bits)
		return -EINVAL;
	ret = futex_key_get(t, addr, shared, &key);
	if (ret)
		return ret;
	b = futex_key_bucket(t, &key);
	/*
	 * The word was stored before: a waiter that is not counted yet will see
	 * that. Adding nothing, instead of loading, keeps the two in this order.
	 */
	if (__atomic_fetch_add(&b->nr, 0, __ATOMIC_SEQ_CST)) {
		futex_bucket_lock(b);
		ret = futex_wake_matching(b, &key, nr, bits);
		futex_bucket_unlock(b);
	}
	mm_futex_key_put(&key);
	return ret;
}
