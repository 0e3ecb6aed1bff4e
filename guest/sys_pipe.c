/* SPDX-License-Identifier: MIT */
/* Descriptors without a file: pipes, events, timers, inotify. */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "guest/files.h"
#include "guest/task.h"
#include "guest/host_dir.h"
#include "guest/path.h"
#include "guest/syscalls.h"

static int wrap(struct task *t, int host_fd, struct gfile **out)
{
	return gfile_create(guest_filemaps(task_guest(t)), host_fd, -1, out);
}

static int64_t install(struct task *t, int host_fd, bool cloexec)
{
	return host_fd < 0 ? -errno : files_install_host(t, host_fd, cloexec);
}

/* ---- pipes ------------------------------------------------------------------ */

/* Two descriptors, all or nothing. The references on @g are taken over. */
static int64_t install_pair(struct task *t, struct gfile *g[2], bool cloexec, uint64_t user_fds)
{
	struct files *f = task_files(t);
	int fd[2], r;

	fd[0] = files_reserve(t, 0);
	fd[1] = fd[0] < 0 ? fd[0] : files_reserve(t, 0);
	r = fd[1] < 0 ? fd[1] : 0;
	if (!r && copy_to_user(t, user_fds, fd, sizeof(fd)))
		r = -EFAULT;
	if (!r) {
		files_publish(f, fd[0], g[0], cloexec);
		files_publish(f, fd[1], g[1], cloexec);
		return 0;
	}
	if (fd[0] >= 0)
		files_unreserve(f, fd[0]);
	if (fd[1] >= 0)
		files_unreserve(f, fd[1]);
	gfile_put(g[0]);
	gfile_put(g[1]);
	return r;
}

int64_t files_install_host_pair(struct task *t, const int host_fds[2], bool cloexec,
				uint64_t user_fds)
{
	struct gfile *g[2];
	int r = wrap(t, host_fds[0], &g[0]);

	if (r) {
		close(host_fds[1]);
		return r;
	}
	r = wrap(t, host_fds[1], &g[1]);
	if (r) {
		gfile_put(g[0]);
		return r;
	}
	g[0]->pair_pid = g[1]->pair_pid = t->proc->pid;
	return install_pair(t, g, cloexec, user_fds);
}

int64_t sys_pipe2(struct task *t, const uint64_t a[6])
{
	int fds[2];

	if (a[1] & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	if (pipe2(fds, (int)a[1] | O_CLOEXEC))
		return -errno;
	return files_install_host_pair(t, fds, a[1] & O_CLOEXEC, a[0]);
}

int64_t sys_pipe(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = { a[0], 0 };

	return sys_pipe2(t, b);
}

/* ---- events and timers ------------------------------------------------------- */

int64_t sys_eventfd2(struct task *t, const uint64_t a[6])
{
	if (a[1] & ~(uint64_t)(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	return install(t, eventfd((unsigned int)a[0], (int)a[1] | EFD_CLOEXEC), a[1] & EFD_CLOEXEC);
}

int64_t sys_eventfd(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = { a[0], 0 };

	return sys_eventfd2(t, b);
}

int64_t sys_timerfd_create(struct task *t, const uint64_t a[6])
{
	if (a[1] & ~(uint64_t)(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	return install(t, timerfd_create((clockid_t)a[0], (int)a[1] | TFD_CLOEXEC),
		       a[1] & TFD_CLOEXEC);
}

int64_t sys_timerfd_settime(struct task *t, const uint64_t a[6])
{
	struct itimerspec now, old;
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	if (copy_from_user(t, &now, a[2], sizeof(now)))
		r = -EFAULT;
	else if (timerfd_settime(g->host_fd, (int)a[1], &now, &old))
		r = -errno;
	else if (a[3] && copy_to_user(t, a[3], &old, sizeof(old)))
		r = -EFAULT;
	gfile_put(g);
	return r;
}

int64_t sys_timerfd_gettime(struct task *t, const uint64_t a[6])
{
	struct itimerspec now;
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	if (timerfd_gettime(g->host_fd, &now))
		r = -errno;
	else if (copy_to_user(t, a[1], &now, sizeof(now)))
		r = -EFAULT;
	gfile_put(g);
	return r;
}

/* ---- inotify ------------------------------------------------------------------ */

#ifndef IN_MASK_CREATE
#define IN_MASK_CREATE 0x10000000
#endif
/* Whatever a watch may be asked for. */
#define WATCH_BITS                                                                               \
	(IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | \
	 IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)

int64_t sys_inotify_init1(struct task *t, const uint64_t a[6])
{
	if (a[0] & ~(uint64_t)(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	return install(t, inotify_init1((int)a[0] | IN_CLOEXEC), a[0] & IN_CLOEXEC);
}

int64_t sys_inotify_init(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = { 0 };

	(void)a;
	return sys_inotify_init1(t, b);
}

int64_t sys_inotify_add_watch(struct task *t, const uint64_t a[6])
{
	char name[64];
	struct gfile *g;
	struct gpath p;
	int64_t r;
	int fd;

	/* Before the descriptor is looked at. */
	if (!(a[2] & WATCH_BITS))
		return -EINVAL;
	r = task_gfile_io(t, a[0], &g);
	if (r)
		return r;
	r = path_resolve_user(t, AT_FDCWD, a[1],
			      PATH_EXISTS | (a[2] & IN_DONT_FOLLOW ? PATH_NOFOLLOW : 0), &p);
	if (r)
		goto out;
	/* There is no inotify_add_watch_at(): through a descriptor of the file. */
	fd = p.kind == GPATH_PROC
		     ? -1
		     : openat(p.host_dir, p.name,
			      O_PATH | O_CLOEXEC | (a[2] & IN_DONT_FOLLOW ? O_NOFOLLOW : 0));
	r = fd >= 0 ? 0 : p.kind == GPATH_PROC ? -EACCES : -errno;
	if (!r) {
		snprintf(name, sizeof(name), "self/fd/%d", fd);
		r = host_dir_enter(host_proc_fd());
		if (!r)
			r = inotify_add_watch(g->host_fd, name,
					      (uint32_t)a[2] & ~(uint32_t)IN_DONT_FOLLOW);
		r = r == -1 ? -errno : r;
		close(fd);
	}
	path_release(&p);
out:
	gfile_put(g);
	return r;
}

int64_t sys_inotify_rm_watch(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	r = inotify_rm_watch(g->host_fd, (int)a[1]) ? -errno : 0;
	gfile_put(g);
	return r;
}
