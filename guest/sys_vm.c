/* SPDX-License-Identifier: MIT */
/*
 * The memory of other processes: process_vm_readv and process_vm_writev copy between
 * two, through a buffer of the host's; process_madvise and process_mrelease get the
 * process as a descriptor.
 */
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "guest/files.h"
#include "guest/syscalls.h"
#include "guest/task.h"

#define CHUNK               16384
#define GUEST_MADV_COLLAPSE 25

/* A walk along an iovec array in the caller's memory. */
struct iov_walk {
	struct task *t;
	uint64_t at, left;  /* array, elements not yet read */
	uint64_t base, len; /* what is left of the current one */
};

/* Make the current piece non-empty: 1, 0 at the end, -EFAULT. */
static int iov_next(struct iov_walk *w)
{
	struct iovec iov;

	while (!w->len) {
		if (!w->left)
			return 0;
		if (copy_from_user(w->t, &iov, w->at, sizeof(iov)))
			return -EFAULT;
		if (iov.iov_len > (size_t)SSIZE_MAX)
			return -EINVAL;
		w->at += sizeof(iov);
		w->left--;
		w->base = (uintptr_t)iov.iov_base;
		w->len = iov.iov_len;
	}
	return 1;
}

static void iov_advance(struct iov_walk *w, size_t n)
{
	w->base += n;
	w->len -= n;
}

/* Copy up to @n bytes; how many went, which may be less than was read. */
static size_t copy_chunk(struct mm *from, uint64_t src, struct mm *to, uint64_t dst, size_t n)
{
	uint8_t buf[CHUNK];
	size_t got = 0, put = 0;

	if (!mm_copy_from_guest(from, buf, gva_make(src), n, &got))
		got = n;
	if (!got)
		return 0;
	return mm_copy_to_guest(to, gva_make(dst), buf, got, &put) ? put : got;
}

static int64_t copy_all(struct task *t, struct mm *other, struct iov_walk *local,
			struct iov_walk *remote, bool write)
{
	int64_t done = 0;
	size_t n, went;
	int err;

	for (;;) {
		err = iov_next(local);
		if (err > 0)
			err = iov_next(remote);
		if (err <= 0)
			return done ? done : err;
		n = local->len < remote->len ? local->len : remote->len;
		if (n > CHUNK)
			n = CHUNK;
		went = write ? copy_chunk(t->mm, local->base, other, remote->base, n)
			     : copy_chunk(other, remote->base, t->mm, local->base, n);
		done += (int64_t)went;
		if (went < n)
			return done ? done : -EFAULT;
		iov_advance(local, n);
		iov_advance(remote, n);
		/* Linux goes on whatever signals wait, but for a deadly one. */
		if (task_has_work(t) && task_is_killed(t))
			return done;
	}
}

/* With a reference. -ESRCH, -EPERM. */
static int mm_of_pid(struct task *t, int32_t pid, struct mm **out)
{
	struct task *target;
	struct proc *p;
	int err = -ESRCH;

	guest_lock(t->g);
	target = task_find(t->g, pid);
	p = target ? target->proc : proc_find(t->g, pid);
	if (p && !list_empty(&p->tasks)) {
		if (!target || !target->mm)
			target = list_first_entry(&p->tasks, struct task, link);
		err = creds_may_trace(t, p) ? 0 : -EPERM;
		if (!err && !target->mm)
			err = -ESRCH;
		if (!err)
			*out = mm_get(target->mm);
	}
	guest_unlock(t->g);
	return err;
}

static int64_t process_vm(struct task *t, const uint64_t a[6], bool write)
{
	struct iov_walk local = { .t = t, .at = a[1], .left = a[2] };
	struct iov_walk remote = { .t = t, .at = a[3], .left = a[4] };
	struct mm *mm;
	int64_t ret;
	int err;

	if (a[5] || a[2] > IOV_MAX || a[4] > IOV_MAX)
		return -EINVAL;
	err = mm_of_pid(t, (int32_t)a[0], &mm);
	if (err)
		return err;
	ret = copy_all(t, mm, &local, &remote, write);
	mm_put(mm);
	return ret;
}

int64_t sys_process_vm_readv(struct task *t, const uint64_t a[6])
{
	return process_vm(t, a, false);
}

int64_t sys_process_vm_writev(struct task *t, const uint64_t a[6])
{
	return process_vm(t, a, true);
}

/* ---- by descriptor ----------------------------------------------------------- */

/* The process that @fd stands for; 0 or -EBADF. */
static int pid_of_fd(struct task *t, int fd, int32_t *pid)
{
	struct gfile *g = files_lookup(t->files, fd);

	if (!g)
		return -EBADF;
	*pid = gfile_pidfd(g);
	gfile_put(g);
	return *pid ? 0 : -EBADF;
}

/* guest->lock held: the memory that some thread of @p still has, or NULL. */
static struct mm *proc_memory(struct proc *p)
{
	struct task *t;

	list_for_each_entry(t, &p->tasks, link) if (t->mm) return t->mm;
	return NULL;
}

static int mm_to_advise(struct task *t, int32_t pid, struct mm **out)
{
	struct proc *p;
	int err = 0;

	guest_lock(t->g);
	p = proc_find(t->g, pid);
	*out = p ? proc_memory(p) : NULL;
	if (p && !creds_may_trace(t, p))
		err = -EPERM;
	else if (!*out)
		err = -ESRCH;
	else
		mm_get(*out);
	guest_unlock(t->g);
	return err;
}

int64_t sys_process_madvise(struct task *t, const uint64_t a[6])
{
	int advice = (int)a[3];
	struct iovec iov;
	int64_t done = 0;
	struct mm *mm;
	int32_t pid;
	uint64_t i;
	int err;

	if (a[4] || a[2] > IOV_MAX)
		return -EINVAL;
	if (advice != MADV_COLD && advice != MADV_PAGEOUT && advice != MADV_WILLNEED &&
	    advice != GUEST_MADV_COLLAPSE)
		return -EINVAL;
	err = pid_of_fd(t, (int)a[0], &pid);
	if (!err)
		err = mm_to_advise(t, pid, &mm);
	if (err)
		return err;
	for (i = 0; !err && i < a[2]; i++) {
		err = copy_from_user(t, &iov, a[1] + i * sizeof(iov), sizeof(iov));
		if (!err)
			err = mm_madvise(mm, gva_make((uintptr_t)iov.iov_base), iov.iov_len,
					 advice);
		if (!err)
			done += (int64_t)iov.iov_len;
	}
	mm_put(mm);
	return done ? done : err;
}

/* guest->lock held: every process with this memory is on its way out. */
static bool all_users_end(struct guest *g, const struct mm *mm)
{
	struct proc *p;
	struct task *t;

	list_for_each_entry(p, &g->procs, all)
	{
		if (p->group_exit)
			continue;
		list_for_each_entry(t, &p->tasks, link) if (t->mm == mm) return false;
	}
	return true;
}

static int mm_to_release(struct task *t, int32_t pid, struct mm **out)
{
	struct proc *p;
	int err = 0;

	guest_lock(t->g);
	p = proc_find(t->g, pid);
	*out = p ? proc_memory(p) : NULL;
	if (!*out)
		err = -ESRCH;
	else if (!all_users_end(t->g, *out))
		err = -EINVAL;
	else
		mm_get(*out);
	guest_unlock(t->g);
	return err;
}

int64_t sys_process_mrelease(struct task *t, const uint64_t a[6])
{
	struct mm *mm;
	int32_t pid;
	int err;

	if ((unsigned int)a[1])
		return -EINVAL;
	err = pid_of_fd(t, (int)a[0], &pid);
	if (!err)
		err = mm_to_release(t, pid, &mm);
	if (err)
		return err;
	mm_reap(mm);
	mm_put(mm);
	return 0;
}
