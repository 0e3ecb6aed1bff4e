/* SPDX-License-Identifier: MIT */
/* Mode, owner and times of files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "guest/path.h"
#include "guest/syscalls.h"

static int64_t result(long r)
{
	return r < 0 ? -errno : r;
}

static int resolve_attr(struct task *t, int dirfd, uint64_t user, int flags, struct gpath *p)
{
	int r = path_resolve_user(t, dirfd, user,
				  PATH_EXISTS | (flags & AT_SYMLINK_NOFOLLOW ? PATH_NOFOLLOW : 0) |
					  (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0),
				  p);

	if (!r && path_is_fixed(p)) {
		path_release(p);
		r = -EPERM;
	}
	return r;
}

/* A descriptor whose file can be changed: not one of procfs, nor from outside a confined guest. */
static int attr_fd(struct task *t, uint64_t fd, struct gfile **g)
{
	int r = task_gfile_io(t, fd, g);

	if (!r && ((*g)->kind != GFILE_HOST || (*g)->sealed)) {
		gfile_put(*g);
		r = -EPERM;
	}
	return r;
}

/* ---- mode ------------------------------------------------------------------- */

static int64_t chmod_at(struct task *t, int dirfd, uint64_t user, mode_t mode)
{
	struct gpath p;
	int64_t r = resolve_attr(t, dirfd, user, 0, &p);

	if (r)
		return r;
	r = result(fchmodat(p.host_dir, p.name, mode & 07777, 0));
	path_release(&p);
	return r;
}

int64_t sys_chmod(struct task *t, const uint64_t a[6])
{
	return chmod_at(t, AT_FDCWD, a[0], (mode_t)a[1]);
}

int64_t sys_fchmodat(struct task *t, const uint64_t a[6])
{
	return chmod_at(t, (int)a[0], a[1], (mode_t)a[2]);
}

int64_t sys_fchmod(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = attr_fd(t, a[0], &g);

	if (r)
		return r;
	r = result(fchmod(g->host_fd, (mode_t)a[1] & 07777));
	gfile_put(g);
	return r;
}

/* ---- owner ------------------------------------------------------------------ */

static int64_t chown_at(struct task *t, int dirfd, uint64_t user, uint64_t uid, uint64_t gid,
			int flags)
{
	struct gpath p;
	int64_t r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = resolve_attr(t, dirfd, user, flags, &p);
	if (r)
		return r;
	if (!p.name[0])
		flags |= AT_EMPTY_PATH;
	r = result(fchownat(p.host_dir, p.name, (uid_t)uid, (gid_t)gid, flags));
	path_release(&p);
	return r;
}

int64_t sys_chown(struct task *t, const uint64_t a[6])
{
	return chown_at(t, AT_FDCWD, a[0], a[1], a[2], 0);
}

int64_t sys_lchown(struct task *t, const uint64_t a[6])
{
	return chown_at(t, AT_FDCWD, a[0], a[1], a[2], AT_SYMLINK_NOFOLLOW);
}

int64_t sys_fchownat(struct task *t, const uint64_t a[6])
{
	return chown_at(t, (int)a[0], a[1], a[2], a[3], (int)a[4]);
}

int64_t sys_fchown(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = attr_fd(t, a[0], &g);

	if (r)
		return r;
	r = result(fchown(g->host_fd, (uid_t)a[1], (gid_t)a[2]));
	gfile_put(g);
	return r;
}

/* ---- times ------------------------------------------------------------------ */

static int64_t set_times(struct task *t, int dirfd, uint64_t user, const struct timespec *ts,
			 int flags)
{
	struct gfile *g;
	struct gpath p;
	int64_t r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	/* A null name with a descriptor is futimens(). */
	if (!user && dirfd != AT_FDCWD) {
		r = attr_fd(t, (uint64_t)dirfd, &g);
		if (r)
			return r;
		r = result(futimens(g->host_fd, ts));
		gfile_put(g);
		return r;
	}
	r = resolve_attr(t, dirfd, user, flags, &p);
	if (r)
		return r;
	if (!p.name[0])
		flags |= AT_EMPTY_PATH;
	r = result(utimensat(p.host_dir, p.name, ts, flags));
	path_release(&p);
	return r;
}

int64_t sys_utimensat(struct task *t, const uint64_t a[6])
{
	struct timespec ts[2];

	if (a[2] && copy_from_user(t, ts, a[2], sizeof(ts)))
		return -EFAULT;
	/* Nothing to be done is done without a look at the file, as by Linux. */
	if (a[2] && ts[0].tv_nsec == UTIME_OMIT && ts[1].tv_nsec == UTIME_OMIT)
		return 0;
	return set_times(t, (int)a[0], a[1], a[2] ? ts : NULL, (int)a[3]);
}

static int64_t set_times_tv(struct task *t, int dirfd, uint64_t user, uint64_t user_tv)
{
	struct timeval tv[2];
	struct timespec ts[2];
	int i;

	if (!user_tv)
		return set_times(t, dirfd, user, NULL, 0);
	if (copy_from_user(t, tv, user_tv, sizeof(tv)))
		return -EFAULT;
	for (i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
			return -EINVAL;
		ts[i] = (struct timespec){ tv[i].tv_sec, tv[i].tv_usec * 1000 };
	}
	return set_times(t, dirfd, user, ts, 0);
}

int64_t sys_utimes(struct task *t, const uint64_t a[6])
{
	return set_times_tv(t, AT_FDCWD, a[0], a[1]);
}

int64_t sys_futimesat(struct task *t, const uint64_t a[6])
{
	return set_times_tv(t, (int)a[0], a[1], a[2]);
}

int64_t sys_utime(struct task *t, const uint64_t a[6])
{
	struct utimbuf u;
	struct timespec ts[2];

	if (!a[1])
		return set_times(t, AT_FDCWD, a[0], NULL, 0);
	if (copy_from_user(t, &u, a[1], sizeof(u)))
		return -EFAULT;
	ts[0] = (struct timespec){ u.actime, 0 };
	ts[1] = (struct timespec){ u.modtime, 0 };
	return set_times(t, AT_FDCWD, a[0], ts, 0);
}
