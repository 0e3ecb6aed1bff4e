/* SPDX-License-Identifier: MIT */
/*
 * The memory of other processes: process_vm_readv and process_vm_writev copy between
 * two, through a buffer of the host's; process_madvise and process_mrelease get the
 * process as a descriptor.
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "guest/file_rw.h"
#include "guest/files.h"
#include "guest/syscalls.h"
#include "guest/task.h"

#define CHUNK               16384
#define GUEST_MADV_COLLAPSE 25

/* A walk along an array of pieces. */
struct iov_walk {
	const struct iovec *next, *end;
	uint64_t base, len; /* what is left of the current one */
};

static struct iov_walk iov_walk(const struct iovec *v, uint64_t nr)
{
	return (struct iov_walk){ .next = v, .end = v + nr };
}

/* Make the current piece non-empty; false at the end. */
static bool iov_next(struct iov_walk *w)
{
	while (!w->len) {
		if (w->next == w->end)
			return false;
		w->base = (uintptr_t)w->next->iov_base;
		w->len = w->next->iov_len;
		w->next++;
	}
	return true;
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

	while (iov_next(local) && iov_next(remote)) {
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
	return done;
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

/* The pieces of the other side, freed by the caller: only their sizes are looked at here. */
static int remote_copy(struct task *t, struct iovec **out, uint64_t user, uint64_t nr)
{
	struct iovec *v;
	uint64_t i;
	int err = 0;

	if (nr > IOV_MAX)
		return -EINVAL;
	v = calloc(nr + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (copy_from_user(t, v, user, nr * sizeof(*v)))
		err = -EFAULT;
	for (i = 0; !err && i < nr; i++)
		if (v[i].iov_len > (size_t)SSIZE_MAX)
			err = -EINVAL;
	if (err)
		free(v);
	else
		*out = v;
	return err;
}

/* In the order of Linux: both arrays are read, and nothing to do is no error of any process. */
static int64_t process_vm(struct task *t, const uint64_t a[6], bool write)
{
	struct iov_walk from, to;
	struct guest_iov local;
	struct iovec *remote;
	struct mm *mm;
	int64_t ret;

	if (a[5])
		return -EINVAL;
	ret = guest_iov_copy(t, &local, a[1], a[2]);
	if (ret)
		return ret;
	if (!local.total)
		goto out_local;
	ret = remote_copy(t, &remote, a[3], a[4]);
	if (ret)
		goto out_local;
	from = iov_walk(local.v, local.nr);
	to = iov_walk(remote, a[4]);
	if (!iov_next(&to))
		goto out_remote;
	ret = mm_of_pid(t, (int32_t)a[0], &mm);
	if (ret)
		goto out_remote;
	ret = copy_all(t, mm, &from, &to, write);
	mm_put(mm);
out_remote:
	free(remote);
out_local:
	guest_iov_free(&local);
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

static bool advice_for_others(int advice)
{
	return advice == MADV_COLD || advice == MADV_PAGEOUT || advice == MADV_WILLNEED ||
	       advice == GUEST_MADV_COLLAPSE;
}

int64_t sys_process_madvise(struct task *t, const uint64_t a[6])
{
	int64_t done = 0, err;
	struct guest_iov iov;
	struct mm *mm;
	int32_t pid;
	unsigned int i;

	if ((unsigned int)a[4])
		return -EINVAL;
	err = guest_iov_copy(t, &iov, a[1], a[2]);
	if (err)
		return err;
	err = pid_of_fd(t, (int)a[0], &pid);
	if (!err && !advice_for_others((int)a[3]))
		err = -EINVAL;
	if (!err)
		err = mm_to_advise(t, pid, &mm);
	if (err)
		goto out;
	for (i = 0; !err && i < iov.nr; i++) {
		err = mm_madvise(mm, gva_make((uintptr_t)iov.v[i].iov_base), iov.v[i].iov_len,
				 (int)a[3]);
		if (!err)
			done += (int64_t)iov.v[i].iov_len;
	}
	mm_put(mm);
out:
	guest_iov_free(&iov);
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
