/* SPDX-License-Identifier: MIT */
/*
 * Robust futexes: a list, in the memory of a task, of the locks that it holds.
 * When it ends holding some, each is marked as its owner's death, and one waiter
 * is woken. The list is the program's: it may be cyclic or point anywhere, so
 * the walk is bounded and a bad pointer ends it.
 */
#include <linux/futex.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define LIST_MAX 2048

/* The three words that set_robust_list() points at. */
struct robust_head {
	uint64_t next;
	int64_t futex_offset;
	uint64_t pending;
};

static void owner_died(struct task *t, uint64_t addr, bool pending)
{
	uint32_t value, found;

	if (mm_read_u32(t->mm, gva_make(addr), &value))
		return;
	for (;;) {
		/* Unlocked, but killed before it could wake the next one. */
		if (pending && !value) {
			futex_wake(t, addr, true, 1, ~0u);
			return;
		}
		if ((value & FUTEX_TID_MASK) != (uint32_t)t->tid)
			return;
		if (mm_cmpxchg_u32(t->mm, gva_make(addr), value,
				   (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &found))
			return;
		if (found == value)
			break;
		value = found;
	}
	if (value & FUTEX_WAITERS)
		futex_wake(t, addr, true, 1, ~0u);
}

void futex_exit_robust(struct task *t)
{
	struct robust_head head;
	uint64_t at, next;
	int n;

	if (!t->robust_list || copy_from_user(t, &head, t->robust_list, sizeof(head)))
		return;
	/* Bit 0 of a link marks a priority-inheritance lock. */
	head.pending &= ~1ull;
	at = head.next & ~1ull;
	for (n = 0; at != t->robust_list && n < LIST_MAX; n++) {
		/* Read on before the owner of the next lock may free this entry. */
		if (copy_from_user(t, &next, at, sizeof(next)))
			next = t->robust_list;
		if (at != head.pending)
			owner_died(t, at + (uint64_t)head.futex_offset, false);
		at = next & ~1ull;
	}
	if (head.pending)
		owner_died(t, head.pending + (uint64_t)head.futex_offset, true);
	t->robust_list = 0;
}

int64_t sys_set_robust_list(struct task *t, const uint64_t a[6])
{
	if (a[1] != sizeof(struct robust_head))
		return -EINVAL;
	t->robust_list = a[0];
	return 0;
}

int64_t sys_get_robust_list(struct task *t, const uint64_t a[6])
{
	uint64_t size = sizeof(struct robust_head), list = t->robust_list;
	int32_t tid = (int32_t)a[0];
	struct task *other;
	int err = 0;

	if (tid) {
		guest_lock(t->g);
		other = task_find(t->g, tid);
		if (!other)
			err = -ESRCH;
		else if (!creds_may_trace(t, other->proc))
			err = -EPERM;
		else
			list = other->robust_list;
		guest_unlock(t->g);
		if (err)
			return err;
	}
	if (copy_to_user(t, a[2], &size, sizeof(size)) ||
	    copy_to_user(t, a[1], &list, sizeof(list)))
		return -EFAULT;
	return 0;
}
