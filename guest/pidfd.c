/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that stand for processes. Behind each is a copy of one eventfd of
 * the process, made when the first is asked for, which its end makes readable:
 * poll() on it is the host's.
 */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <fcntl.h>

#include "guest/files.h"
#include "guest/syscalls.h"
#include "guest/task.h"

#define PIDFD_NONBLOCK O_NONBLOCK

void pidfd_notify(struct proc *p)
{
	if (p->exit_fd >= 0)
		eventfd_write(p->exit_fd, 1);
}

/* A copy of the process's eventfd; lock held. */
static int exit_fd_dup(struct proc *p)
{
	int fd;

	if (p->exit_fd < 0)
		p->exit_fd = eventfd(p->zombie, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->exit_fd < 0)
		return -errno;
	fd = fcntl(p->exit_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int pidfd_install(struct task *t, int32_t pid, int flags)
{
	struct gfile *g;
	struct proc *p;
	int fd;

	guest_lock(t->g);
	p = proc_find(t->g, pid);
	if (p)
		fd = exit_fd_dup(p);
	else
		fd = task_find(t->g, pid) ? -EINVAL : -ESRCH;
	guest_unlock(t->g);
	if (fd >= 0)
		fd = gfile_create(guest_filemaps(t->g), fd, O_RDWR, &g);
	if (fd < 0)
		return fd;
	g->pid = pid;
	gfile_set_nonblock(g, flags & PIDFD_NONBLOCK);
	return files_install(t, g, true);
}

int64_t sys_pidfd_open(struct task *t, const uint64_t a[6])
{
	if ((a[1] & ~(uint64_t)PIDFD_NONBLOCK) || (int32_t)a[0] <= 0)
		return -EINVAL;
	return pidfd_install(t, (int32_t)a[0], (int)a[1]);
}

/* A signal also goes to the process whose folder of /proc the descriptor is, as on Linux. */
static int32_t signalled_pid(const struct gfile *g)
{
	int32_t pid = gfile_pidfd(g);
	char rest;

	if (!pid && g->kind == GFILE_PROC_DIR && sscanf(g->path, "/proc/%d%c", &pid, &rest) != 1)
		pid = 0;
	return pid;
}

int64_t sys_pidfd_send_signal(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int sig = (int)a[1];
	siginfo_t info;
	struct proc *p;
	int32_t pid;
	int ret;

	if (a[3])
		return -EINVAL;
	g = files_lookup(t->files, (int)a[0]);
	if (!g)
		return -EBADF;
	pid = signalled_pid(g);
	gfile_put(g);
	if (!pid)
		return -EBADF;
	if (sig < 0 || sig > GUEST_NSIG)
		return -EINVAL;
	siginfo_from_task(&info, sig, SI_USER, t);
	if (a[2]) {
		if (copy_from_user(t, &info, a[2], sizeof(info)))
			return -EFAULT;
		if (info.si_signo != sig)
			return -EINVAL;
		if (pid != t->proc->pid && (info.si_code >= 0 || info.si_code == SI_TKILL))
			return -EPERM;
	}
	guest_lock(t->g);
	p = proc_find(t->g, pid);
	if (!p)
		ret = -ESRCH;
	else if (!creds_may_signal(t, p, sig))
		ret = -EPERM;
	else
		ret = sig ? signal_send(p, NULL, sig, &info) : 0;
	guest_unlock(t->g);
	return ret;
}

int64_t sys_pidfd_getfd(struct task *t, const uint64_t a[6])
{
	struct gfile *g = files_lookup(t->files, (int)a[0]), *theirs;
	struct files *files;
	struct proc *p;
	bool allowed;
	int32_t pid;

	if (a[2]) {
		gfile_put(g);
		return -EINVAL;
	}
	if (!g)
		return -EBADF;
	pid = gfile_pidfd(g);
	gfile_put(g);
	if (!pid)
		return -EBADF;
	guest_lock(t->g);
	p = proc_find(t->g, pid);
	allowed = !p || creds_may_trace(t, p);
	guest_unlock(t->g);
	if (!allowed)
		return -EPERM;
	files = guest_proc_files(t->g, pid);
	if (!files)
		return -ESRCH;
	theirs = files_lookup(files, (int)a[1]);
	files_put(files);
	return theirs ? files_install(t, theirs, true) : -EBADF;
}
