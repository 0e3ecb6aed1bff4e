/* SPDX-License-Identifier: MIT */
/* open and its relatives. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sysmacros.h>

#include "guest/path.h"
#include "guest/syscalls.h"

static int64_t open_at(struct task *t, int dirfd, uint64_t user_path, int flags, mode_t mode,
		       const uint64_t *resolve)
{
	unsigned int how = flags & O_NOFOLLOW || (flags & O_CREAT && flags & O_EXCL) ? PATH_NOFOLLOW
										     : 0;
	struct gfile *g;
	struct gpath p;
	int fd, r;

	r = path_resolve_user(t, dirfd, user_path, how, &p);
	if (r)
		return r;
	fd = files_reserve(t, 0);
	if (fd < 0) {
		path_release(&p);
		return fd;
	}
	r = path_open(t, &p, flags, mode & 07777 & ~fs_umask(task_fs(t)), resolve, &g);
	path_release(&p);
	if (r) {
		files_unreserve(task_files(t), fd);
		return r;
	}
	files_publish(task_files(t), fd, g, flags & O_CLOEXEC);
	return fd;
}

int64_t sys_open(struct task *t, const uint64_t a[6])
{
	return open_at(t, AT_FDCWD, a[0], (int)a[1], (mode_t)a[2], NULL);
}

int64_t sys_openat(struct task *t, const uint64_t a[6])
{
	return open_at(t, (int)a[0], a[1], (int)a[2], (mode_t)a[3], NULL);
}

int64_t sys_creat(struct task *t, const uint64_t a[6])
{
	return open_at(t, AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)a[1], NULL);
}

int64_t sys_openat2(struct task *t, const uint64_t a[6])
{
	struct open_how how;
	uint64_t resolve;
	const uint64_t known = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |
			       RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED;

	if (a[3] < sizeof(how))
		return -EINVAL;
	/* A longer structure is a newer one: only zeroes may follow, and we know none. */
	if (a[3] > sizeof(how))
		return -E2BIG;
	if (copy_from_user(t, &how, a[2], sizeof(how)))
		return -EFAULT;
	if ((how.resolve & ~known) || how.flags > INT_MAX || (how.mode & ~07777ull))
		return -EINVAL;
	if (how.mode && !(how.flags & (O_CREAT | O_TMPFILE_BIT)))
		return -EINVAL;
	resolve = how.resolve;
	return open_at(t, (int)a[0], a[1], (int)how.flags, (mode_t)how.mode, &resolve);
}
