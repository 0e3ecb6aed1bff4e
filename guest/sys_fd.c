/* SPDX-License-Identifier: MIT */
/* Descriptors: close, dup, fcntl, flock. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/filemap.h"
#include "guest/files.h"
#include "guest/in_flight.h"
#include "guest/record_holder.h"
#include "guest/syscalls.h"
#include "guest/task.h"

/* Newer than the headers we build with. */
#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif

int64_t sys_close(struct task *t, const uint64_t a[6])
{
	int r = files_close(task_files(t), (int)a[0]);

	in_flight_collect(task_guest(t)->in_flight);
	return r;
}

int64_t sys_close_range(struct task *t, const uint64_t a[6])
{
	unsigned int first = (unsigned int)a[0], last = (unsigned int)a[1];

	if ((a[2] & ~(uint64_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || first > last)
		return -EINVAL;
	/* Leaving a table that other threads use is not offered. */
	if ((a[2] & CLOSE_RANGE_UNSHARE) && files_shared(task_files(t)))
		return -EINVAL;
	files_close_range(task_files(t), first, last, a[2] & CLOSE_RANGE_CLOEXEC);
	return 0;
}

static int64_t dup_from(struct task *t, uint64_t oldfd, int min, bool cloexec)
{
	struct gfile *g;
	int fd, r = task_gfile(t, oldfd, &g);

	if (r)
		return r;
	fd = files_reserve(t, min);
	if (fd < 0)
		gfile_put(g);
	else
		files_publish(task_files(t), fd, g, cloexec);
	return fd;
}

int64_t sys_dup(struct task *t, const uint64_t a[6])
{
	return dup_from(t, a[0], 0, false);
}

int64_t sys_dup2(struct task *t, const uint64_t a[6])
{
	int r;

	if ((int)a[0] == (int)a[1]) {
		r = files_get_cloexec(task_files(t), (int)a[0]);
		return r < 0 ? r : (int)a[1];
	}
	return files_dup_to(task_files(t), (int)a[0], (int)a[1], false,
			    task_rlimit(t, RLIMIT_NOFILE));
}

int64_t sys_dup3(struct task *t, const uint64_t a[6])
{
	if ((a[2] & ~(uint64_t)O_CLOEXEC) || (int)a[0] == (int)a[1])
		return -EINVAL;
	return files_dup_to(task_files(t), (int)a[0], (int)a[1], a[2] & O_CLOEXEC,
			    task_rlimit(t, RLIMIT_NOFILE));
}

static int64_t add_seals(struct gfile *g, uint64_t seals)
{
	struct address_space *cache = gfile_cache(g);
	bool mapped = cache && __atomic_load_n(&cache->nr_writable_shared, __ATOMIC_ACQUIRE);

	if (cache)
		mapping_put(cache);
	if (mapped && (seals & F_SEAL_WRITE))
		return -EBUSY;
	return fcntl(g->host_fd, F_ADD_SEALS, (int)seals) ? -errno : 0;
}

/* Commands whose argument is a number, or none, and which the host does as they are. */
static int64_t fcntl_host(struct task *t, struct gfile *g, int cmd, uint64_t arg)
{
	struct flock fl;
	int64_t r;

	switch (cmd) {
	case F_SETFL:
		return gfile_set_flags(g, (int)arg);
	case F_GETPIPE_SZ:
	case F_GET_SEALS:
		r = fcntl(g->host_fd, cmd);
		return r < 0 ? -errno : r;
	case F_SETPIPE_SZ:
		r = fcntl(g->host_fd, cmd, (int)arg);
		return r < 0 ? -errno : r;
	case F_ADD_SEALS:
		return add_seals(g, arg);
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		if (copy_from_user(t, &fl, arg, sizeof(fl)))
			return -EFAULT;
		r = host_syscall_blocking(t, SYS_fcntl, (uint64_t)g->host_fd, (uint64_t)cmd,
					  (uint64_t)&fl, 0, 0, 0);
		if (!r && cmd == F_OFD_GETLK) {
			record_holder_name(g, &fl);
			r = copy_to_user(t, arg, &fl, sizeof(fl));
		}
		return r == -EINTR ? -ERESTARTSYS_ : r;
	case F_GETOWN:
		return __atomic_load_n(&g->owner, __ATOMIC_RELAXED);
	case F_SETOWN:
		__atomic_store_n(&g->owner, (int32_t)arg, __ATOMIC_RELAXED);
		return 0;
	default:
		return -EINVAL;
	}
}

static int64_t fcntl_query(struct task *t, struct gfile *g, uint64_t other)
{
	struct gfile *o;
	int64_t r = task_gfile(t, other, &o);

	if (r)
		return r;
	r = o == g;
	gfile_put(o);
	return r;
}

int64_t sys_fcntl(struct task *t, const uint64_t a[6])
{
	int cmd = (int)a[1];
	struct gfile *g;
	int64_t r = task_gfile(t, a[0], &g);

	if (r)
		return r;
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		r = dup_from(t, a[0], (int)a[2], cmd == F_DUPFD_CLOEXEC);
		/* Beyond the limit is an argument error here, no want of descriptors. */
		if (r == -EMFILE && a[2] >= task_rlimit(t, RLIMIT_NOFILE))
			r = -EINVAL;
		break;
	case F_DUPFD_QUERY:
		r = fcntl_query(t, g, a[2]);
		break;
	case F_GETFD:
		r = files_get_cloexec(task_files(t), (int)a[0]);
		break;
	case F_SETFD:
		r = files_set_cloexec(task_files(t), (int)a[0], a[2] & FD_CLOEXEC);
		break;
	case F_GETFL:
		r = gfile_flags(g);
		break;
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
		r = g->flags & O_PATH ? -EBADF : record_lock(t, g, cmd, a[2]);
		break;
	default:
		r = g->flags & O_PATH ? -EBADF : fcntl_host(t, g, cmd, a[2]);
	}
	gfile_put(g);
	return r;
}

int64_t sys_flock(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	r = host_syscall_blocking(t, SYS_flock, (uint64_t)g->host_fd, a[1], 0, 0, 0, 0);
	gfile_put(g);
	return r == -EINTR ? -ERESTARTSYS_ : r;
}
