/* SPDX-License-Identifier: MIT */
/*
 * Folio references and the folio lock.
 *
 * The lock is one bit of the flags word and the word is what waiters sleep on.
 * A waiter sets PG_waiters first, so that unlocking an uncontended folio costs
 * no wake. PG_writeback shares the waiters' bit.
 */
#include "rmap/internal.h"

#include <limits.h>
#include <stddef.h>

void folio_get(struct folio *f)
{
	folio_get_many(f, 1);
}

void folio_get_many(struct folio *f, int nr)
{
	int32_t old = __atomic_fetch_add(&f->refcount, nr, __ATOMIC_RELAXED);

	mm_assert(old > 0);
	(void)old;
}

bool folio_try_get(struct folio *f)
{
	int32_t ref = folio_refcount(f);

	while (ref > 0) {
		if (__atomic_compare_exchange_n(&f->refcount, &ref, ref + 1, true, __ATOMIC_ACQUIRE,
						__ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

void folio_put(struct mm_sys *sys, struct folio *f)
{
	folio_put_many(sys, f, 1);
}

void folio_put_many(struct mm_sys *sys, struct folio *f, int nr)
{
	int32_t left = __atomic_sub_fetch(&f->refcount, nr, __ATOMIC_ACQ_REL);

	mm_assert(left >= 0);
	if (left == 0)
		folio_free(sys, f);
}

bool folio_ref_freeze(struct folio *f, int expected)
{
	int32_t e = expected;

	return __atomic_compare_exchange_n(&f->refcount, &e, 0, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

void folio_ref_unfreeze(struct folio *f, int refs)
{
	__atomic_store_n(&f->refcount, refs, __ATOMIC_RELEASE);
}

/* Sleep until @bit is seen clear; the folio may be freed meanwhile. */
static void wait_on_bit(struct mm_sys *sys, struct folio *f, enum folio_flag bit)
{
	for (;;) {
		uint32_t flags = folio_flags(f);

		if (!(flags & (1u << bit)))
			return;
		if (!(flags & (1u << PG_waiters))) {
			folio_set(f, PG_waiters);
			continue;
		}
		sys->ops->wait(sys->ctx, &f->flags, flags);
	}
}

static void clear_bit_and_wake(struct mm_sys *sys, struct folio *f, enum folio_flag bit)
{
	uint32_t old = __atomic_fetch_and(&f->flags, ~((1u << bit) | (1u << PG_waiters)),
					  __ATOMIC_ACQ_REL);

	mm_assert(old & (1u << bit));
	if (old & (1u << PG_waiters))
		sys->ops->wake(sys->ctx, &f->flags, INT_MAX);
}

bool folio_trylock(struct folio *f)
{
	if (folio_test_set(f, PG_locked))
		return false;
	lock_rank_push(LOCK_FOLIO, false);
	return true;
}

void folio_lock(struct mm_sys *sys, struct folio *f)
{
	lock_rank_push(LOCK_FOLIO, true);
	while (folio_test_set(f, PG_locked))
		wait_on_bit(sys, f, PG_locked);
}

void folio_unlock(struct mm_sys *sys, struct folio *f)
{
	lock_rank_pop(LOCK_FOLIO);
	clear_bit_and_wake(sys, f, PG_locked);
}

void folio_lock_new(struct folio *f, uint32_t flags)
{
	mm_assert(!folio_refcount(f) && !folio_test(f, PG_locked));
	lock_rank_push(LOCK_FOLIO, false);
	__atomic_store_n(&f->flags, flags | (1u << PG_locked), __ATOMIC_RELEASE);
}

/*
 * ---- flags and references together ------------------------------------------------
 *
 * They are the halves of one aligned word, so that a folio on its way between its list
 * and whoever works on it costs one locked operation where it would cost two or three.
 * Each half changes as by an operation of its own, only not one after the other. The
 * thread sanitizer knows no atomics of different sizes on one word, and gets them so.
 */
#ifdef __SANITIZE_THREAD__
static uint32_t unlock_mark_and_put(struct folio *f, uint32_t mark, int32_t *refs)
{
	uint32_t old = __atomic_fetch_xor(&f->flags, mark | (1u << PG_locked), __ATOMIC_ACQ_REL);

	*refs = __atomic_sub_fetch(&f->refcount, 1, __ATOMIC_ACQ_REL);
	return old;
}

bool folio_try_get_clearing(struct folio *f, uint32_t clear)
{
	if (!folio_try_get(f))
		return false;
	__atomic_fetch_and(&f->flags, ~clear, __ATOMIC_ACQ_REL);
	return true;
}
#else
typedef uint64_t __attribute__((may_alias)) state_word;

#define REFS_SHIFT 32
static_assert(offsetof(struct folio, flags) == 0 && offsetof(struct folio, refcount) == 4 &&
		      __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "the flags are the low half, the references the high one");

static uint32_t unlock_mark_and_put(struct folio *f, uint32_t mark, int32_t *refs)
{
	/* The bits of @mark are clear and PG_locked is set: nothing carries over. */
	uint64_t change = (uint64_t)mark - (1u << PG_locked) - (1ul << REFS_SHIFT);
	uint64_t old = __atomic_fetch_add((state_word *)f, change, __ATOMIC_ACQ_REL);

	*refs = (int32_t)(old >> REFS_SHIFT) - 1;
	return (uint32_t)old;
}

bool folio_try_get_clearing(struct folio *f, uint32_t clear)
{
	uint64_t old = __atomic_load_n((state_word *)f, __ATOMIC_ACQUIRE), new;

	do {
		if ((int32_t)(old >> REFS_SHIFT) <= 0)
			return false;
		new = (old & ~(uint64_t)clear) + (1ul << REFS_SHIFT);
	} while (!__atomic_compare_exchange_n((state_word *)f, &old, new, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return true;
}
#endif

bool folio_put_marking(struct mm_sys *sys, struct folio *f, uint32_t mark)
{
	int32_t refs;
	uint32_t old;

	lock_rank_pop(LOCK_FOLIO);
	old = unlock_mark_and_put(f, mark, &refs);
	mm_assert((old & (1u << PG_locked)) && !(old & mark) && refs >= 0);
	/*
	 * Who has the lock by now, or even the frame in a new life, loses no waiters: all
	 * are woken, and look again.
	 */
	if (old & (1u << PG_waiters)) {
		folio_clear(f, PG_waiters);
		sys->ops->wake(sys->ctx, &f->flags, INT_MAX);
	}
	return !refs;
}

void folio_wait_locked(struct mm_sys *sys, struct folio *f)
{
	wait_on_bit(sys, f, PG_locked);
}

void folio_wait_writeback(struct mm_sys *sys, struct folio *f)
{
	wait_on_bit(sys, f, PG_writeback);
}

void folio_end_writeback(struct mm_sys *sys, struct folio *f)
{
	clear_bit_and_wake(sys, f, PG_writeback);
}
