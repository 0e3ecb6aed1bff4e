/* SPDX-License-Identifier: MIT */
/* Who a process is: numbers, groups and sessions, which are the guest's own. */
#include "guest/ctty.h"
#include "guest/syscalls.h"
#include "guest/task.h"

int64_t sys_getpid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return t->proc->pid;
}

int64_t sys_gettid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return t->tid;
}

int64_t sys_getppid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return task_ppid(t);
}

int64_t sys_set_tid_address(struct task *t, const uint64_t a[6])
{
	t->clear_child_tid = a[0];
	return t->tid;
}

/* ---- groups and sessions ----------------------------------------------- */

int64_t sys_getpgrp(struct task *t, const uint64_t a[6])
{
	(void)a;
	return task_pgid(t);
}

int64_t sys_getpgid(struct task *t, const uint64_t a[6])
{
	struct proc *p;
	int64_t ret;

	guest_lock(t->g);
	p = a[0] ? proc_find(t->g, (int32_t)a[0]) : t->proc;
	ret = p ? p->pgid : -ESRCH;
	guest_unlock(t->g);
	return ret;
}

int64_t sys_getsid(struct task *t, const uint64_t a[6])
{
	struct proc *p;
	int64_t ret;

	guest_lock(t->g);
	p = a[0] ? proc_find(t->g, (int32_t)a[0]) : t->proc;
	ret = p ? p->sid : -ESRCH;
	guest_unlock(t->g);
	return ret;
}

/* Lock held. */
static int change_group(struct proc *self, int32_t pid, int32_t pgid)
{
	struct proc *p = pid ? proc_find(self->g, pid) : self;

	if (!p || (p != self && p->parent != self))
		return -ESRCH;
	if (p != self && (p->sid != self->sid))
		return -EPERM;
	if (p != self && p->has_execed)
		return -EACCES;
	if (p->sid == p->pid)
		return -EPERM;
	if (!pgid)
		pgid = p->pid;
	if (pgid != p->pid && !pgrp_exists(self->g, pgid, p->sid))
		return -EPERM;
	__atomic_store_n(&p->pgid, pgid, __ATOMIC_RELAXED);
	return 0;
}

int64_t sys_setpgid(struct task *t, const uint64_t a[6])
{
	int err;

	if ((int32_t)a[1] < 0)
		return -EINVAL;
	guest_lock(t->g);
	err = change_group(t->proc, (int32_t)a[0], (int32_t)a[1]);
	guest_unlock(t->g);
	return err;
}

int64_t sys_setsid(struct task *t, const uint64_t a[6])
{
	struct proc *p = t->proc;
	int64_t ret = p->pid;

	(void)a;
	guest_lock(t->g);
	if (p->sid == p->pid || pgrp_exists(t->g, p->pid, 0)) {
		ret = -EPERM;
	} else {
		p->sid = p->pid;
		ctty_new_session(p);
		__atomic_store_n(&p->pgid, p->pid, __ATOMIC_RELAXED);
	}
	guest_unlock(t->g);
	return ret;
}
