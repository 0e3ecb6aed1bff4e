/* SPDX-License-Identifier: MIT */
/*
 * Who a process is. Numbers, groups and sessions are the guest's own;
 * credentials are those of umm's user, and the guest can neither gain nor drop
 * any, as it acts on the host with all of them.
 */
#include <linux/capability.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

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
		__atomic_store_n(&p->pgid, p->pid, __ATOMIC_RELAXED);
	}
	guest_unlock(t->g);
	return ret;
}

/* ---- credentials ------------------------------------------------------- */

int64_t sys_getuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return getuid();
}

int64_t sys_geteuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return geteuid();
}

int64_t sys_getgid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return getgid();
}

int64_t sys_getegid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return getegid();
}

static int three_ids_to_user(struct task *t, const uint64_t a[6], const uint32_t ids[3])
{
	int i;

	for (i = 0; i < 3; i++)
		if (copy_to_user(t, a[i], &ids[i], sizeof(ids[i])))
			return -EFAULT;
	return 0;
}

int64_t sys_getresuid(struct task *t, const uint64_t a[6])
{
	uint32_t ids[3];

	if (getresuid(&ids[0], &ids[1], &ids[2]))
		return -errno;
	return three_ids_to_user(t, a, ids);
}

int64_t sys_getresgid(struct task *t, const uint64_t a[6])
{
	uint32_t ids[3];

	if (getresgid(&ids[0], &ids[1], &ids[2]))
		return -errno;
	return three_ids_to_user(t, a, ids);
}

/* To become what one is already is allowed; -1 leaves things as they are. */
static int64_t stay_same(const uint64_t *ids, int n, uint32_t real, uint32_t effective)
{
	int i;

	for (i = 0; i < n; i++) {
		uint32_t id = (uint32_t)ids[i];

		if (id != (uint32_t)-1 && id != real && id != effective)
			return -EPERM;
	}
	return 0;
}

int64_t sys_setuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	return stay_same(a, 1, getuid(), geteuid());
}

int64_t sys_setgid(struct task *t, const uint64_t a[6])
{
	(void)t;
	return stay_same(a, 1, getgid(), getegid());
}

int64_t sys_setreuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	return stay_same(a, 2, getuid(), geteuid());
}

int64_t sys_setregid(struct task *t, const uint64_t a[6])
{
	(void)t;
	return stay_same(a, 2, getgid(), getegid());
}

int64_t sys_setresuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	return stay_same(a, 3, getuid(), geteuid());
}

int64_t sys_setresgid(struct task *t, const uint64_t a[6])
{
	(void)t;
	return stay_same(a, 3, getgid(), getegid());
}

/* These two return the previous id and never fail. */
int64_t sys_setfsuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return geteuid();
}

int64_t sys_setfsgid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return getegid();
}

int64_t sys_getgroups(struct task *t, const uint64_t a[6])
{
	gid_t groups[NGROUPS_MAX > 4096 ? 4096 : NGROUPS_MAX];
	int n = getgroups(sizeof(groups) / sizeof(groups[0]), groups);

	if (n < 0)
		return -errno;
	if ((int)a[0] < 0 || (a[0] && (int)a[0] < n))
		return -EINVAL;
	if (a[0] && copy_to_user(t, a[1], groups, (size_t)n * sizeof(groups[0])))
		return -EFAULT;
	return n;
}

int64_t sys_setgroups(struct task *t, const uint64_t a[6])
{
	gid_t want[64], have[64];
	int n = getgroups(64, have);
	size_t i;

	if (a[0] > NGROUPS_MAX)
		return -EINVAL;
	if (n < 0 || a[0] != (uint64_t)n || copy_from_user(t, want, a[1], a[0] * sizeof(want[0])))
		return -EPERM;
	for (i = 0; i < a[0]; i++)
		if (want[i] != have[i])
			return -EPERM;
	return 0;
}

/* ---- capabilities ------------------------------------------------------ */

/* How many data structs the version of the header means; it is corrected. */
static int cap_version(struct task *t, uint64_t at, struct __user_cap_header_struct *h)
{
	if (copy_from_user(t, h, at, sizeof(*h)))
		return -EFAULT;
	switch (h->version) {
	case _LINUX_CAPABILITY_VERSION_1:
		return 1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		return 2;
	}
	h->version = _LINUX_CAPABILITY_VERSION_3;
	if (copy_to_user(t, at, h, sizeof(*h)))
		return -EFAULT;
	return -EINVAL;
}

static int cap_read(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &h, data) ? -errno : 0;
}

int64_t sys_capget(struct task *t, const uint64_t a[6])
{
	struct __user_cap_data_struct data[2] = { 0 };
	struct __user_cap_header_struct h;
	int n = cap_version(t, a[0], &h), err;

	if (n < 0)
		return n == -EINVAL && !a[1] ? 0 : n;
	err = cap_read(data);
	if (err || !a[1])
		return err;
	return copy_to_user(t, a[1], data, (size_t)n * sizeof(data[0]));
}

int64_t sys_capset(struct task *t, const uint64_t a[6])
{
	struct __user_cap_data_struct want[2] = { 0 }, have[2] = { 0 };
	struct __user_cap_header_struct h;
	int n = cap_version(t, a[0], &h), i;

	if (n < 0)
		return n;
	if (copy_from_user(t, want, a[1], (size_t)n * sizeof(want[0])))
		return -EFAULT;
	if (cap_read(have))
		return -EPERM;
	for (i = 0; i < n; i++)
		if (want[i].effective != have[i].effective ||
		    want[i].permitted != have[i].permitted ||
		    want[i].inheritable != have[i].inheritable)
			return -EPERM;
	return 0;
}
