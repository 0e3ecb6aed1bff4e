/* SPDX-License-Identifier: MIT */
/* Questions about files: stat, statx, access, readlink, statfs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/mqueue.h"
#include "guest/procfs.h"
#include "guest/syscalls.h"

static unsigned int path_flags(int at_flags)
{
	return PATH_EXISTS | (at_flags & AT_SYMLINK_NOFOLLOW ? PATH_NOFOLLOW : 0) |
	       (at_flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
}

/* For the host an empty name always needs the flag; a null one is ours. */
static int host_flags(const struct gpath *p, int at_flags)
{
	return p->name[0] ? at_flags : at_flags | AT_EMPTY_PATH;
}

/* The file system of descriptors for processes: two are of one process if their inodes are one. */
#define PIDFD_DEV   24
#define PIDFD_MAGIC 0x50494446
#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

/* ---- stat ------------------------------------------------------------------ */

/* A descriptor that is no file of the host's, whatever is behind it, has its own answer. */
static int stat_gfile(struct task *t, const struct gfile *g, struct stat *st)
{
	if (g->mq)
		mqueue_stat(g->mq, st);
	else if (g->kind != GFILE_HOST)
		return procfs_stat(t, g->path, st);
	else if (fstat(g->host_fd, st))
		return -errno;
	if (g->pid) {
		st->st_dev = makedev(0, PIDFD_DEV);
		st->st_ino = (ino_t)g->pid;
		st->st_mode = 0700;
	}
	return 0;
}

/* A descriptor, by itself, whose answer is not the host's. */
static bool is_gfile(const struct gpath *p)
{
	return p->base && (p->base->mq || p->base->pid);
}

static int64_t stat_at(struct task *t, int dirfd, uint64_t user_path, uint64_t user_stat, int flags)
{
	struct gpath p;
	struct stat st;
	int64_t r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE))
		return -EINVAL;
	r = path_resolve_user(t, dirfd, user_path, path_flags(flags) | PATH_NULL, &p);
	if (r)
		return r;
	if (is_gfile(&p))
		r = stat_gfile(t, p.base, &st);
	else if (p.kind == GPATH_PROC)
		r = procfs_stat(t, p.name, &st);
	else if (fstatat(p.host_dir, p.name, &st, host_flags(&p, flags & ~AT_STATX_SYNC_TYPE)))
		r = -errno;
	path_release(&p);
	if (!r && copy_to_user(t, user_stat, &st, sizeof(st)))
		r = -EFAULT;
	return r;
}

int64_t sys_stat(struct task *t, const uint64_t a[6])
{
	return stat_at(t, AT_FDCWD, a[0], a[1], 0);
}

int64_t sys_lstat(struct task *t, const uint64_t a[6])
{
	return stat_at(t, AT_FDCWD, a[0], a[1], AT_SYMLINK_NOFOLLOW);
}

int64_t sys_newfstatat(struct task *t, const uint64_t a[6])
{
	return stat_at(t, (int)a[0], a[1], a[2], (int)a[3]);
}

int64_t sys_fstat(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	struct stat st;
	int64_t r = task_gfile(t, a[0], &g);

	if (r)
		return r;
	r = stat_gfile(t, g, &st);
	gfile_put(g);
	if (!r && copy_to_user(t, a[1], &st, sizeof(st)))
		r = -EFAULT;
	return r;
}

/* ---- statx ----------------------------------------------------------------- */

static struct statx_timestamp statx_time(struct timespec ts)
{
	return (struct statx_timestamp){ .tv_sec = ts.tv_sec, .tv_nsec = (uint32_t)ts.tv_nsec };
}

static void stat_to_statx(const struct stat *st, struct statx *sx)
{
	memset(sx, 0, sizeof(*sx));
	sx->stx_mask = STATX_BASIC_STATS;
	sx->stx_blksize = (uint32_t)st->st_blksize;
	sx->stx_nlink = (uint32_t)st->st_nlink;
	sx->stx_uid = st->st_uid;
	sx->stx_gid = st->st_gid;
	sx->stx_mode = (uint16_t)st->st_mode;
	sx->stx_ino = st->st_ino;
	sx->stx_size = (uint64_t)st->st_size;
	sx->stx_blocks = (uint64_t)st->st_blocks;
	sx->stx_atime = statx_time(st->st_atim);
	sx->stx_mtime = statx_time(st->st_mtim);
	sx->stx_ctime = statx_time(st->st_ctim);
	sx->stx_dev_major = major(st->st_dev);
	sx->stx_dev_minor = minor(st->st_dev);
}

int64_t sys_statx(struct task *t, const uint64_t a[6])
{
	int flags = (int)a[2];
	struct gpath p;
	struct statx sx;
	struct stat st;
	int64_t r;

	if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (a[3] & STATX__RESERVED))
		return -EINVAL;
	r = path_resolve_user(t, (int)a[0], a[1], path_flags(flags) | PATH_NULL, &p);
	if (r)
		return r;
	if (is_gfile(&p) || p.kind == GPATH_PROC) {
		r = is_gfile(&p) ? stat_gfile(t, p.base, &st) : procfs_stat(t, p.name, &st);
		if (!r)
			stat_to_statx(&st, &sx);
	} else if (statx(p.host_dir, p.name, host_flags(&p, flags), (unsigned int)a[3], &sx)) {
		r = -errno;
	}
	path_release(&p);
	if (!r && copy_to_user(t, a[4], &sx, sizeof(sx)))
		r = -EFAULT;
	return r;
}

/* ---- access ----------------------------------------------------------------- */

static int64_t access_at(struct task *t, int dirfd, uint64_t user_path, int mode, int flags)
{
	struct gpath p;
	int64_t r;

	if ((mode & ~(R_OK | W_OK | X_OK)) ||
	    (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	r = path_resolve_user(t, dirfd, user_path, path_flags(flags), &p);
	if (r)
		return r;
	if (p.kind == GPATH_PROC)
		r = procfs_access(t, p.name, mode);
	else
		r = syscall(SYS_faccessat2, p.host_dir, p.name, mode, host_flags(&p, flags))
			    ? -errno
			    : 0;
	path_release(&p);
	return r;
}

int64_t sys_access(struct task *t, const uint64_t a[6])
{
	return access_at(t, AT_FDCWD, a[0], (int)a[1], 0);
}

int64_t sys_faccessat(struct task *t, const uint64_t a[6])
{
	return access_at(t, (int)a[0], a[1], (int)a[2], 0);
}

int64_t sys_faccessat2(struct task *t, const uint64_t a[6])
{
	return access_at(t, (int)a[0], a[1], (int)a[2], (int)a[3]);
}

/* ---- readlink ---------------------------------------------------------------- */

static int64_t readlink_at(struct task *t, int dirfd, uint64_t user_path, uint64_t user_buf,
			   int64_t size)
{
	char buf[PATH_MAX];
	struct gpath p;
	int64_t n;

	if ((int)size <= 0)
		return -EINVAL;
	size = size < (int64_t)sizeof(buf) ? size : (int64_t)sizeof(buf);
	n = path_resolve_user(t, dirfd, user_path, PATH_EXISTS | PATH_NOFOLLOW | PATH_EMPTY, &p);
	if (n)
		return n;
	if (p.kind == GPATH_PROC) {
		n = procfs_readlink(t, p.name, buf, (size_t)size);
	} else {
		n = readlinkat(p.host_dir, p.name, buf, (size_t)size);
		n = n < 0 ? -errno : n;
	}
	path_release(&p);
	if (n > 0 && copy_to_user(t, user_buf, buf, (size_t)n))
		return -EFAULT;
	return n;
}

int64_t sys_readlink(struct task *t, const uint64_t a[6])
{
	return readlink_at(t, AT_FDCWD, a[0], a[1], (int64_t)a[2]);
}

int64_t sys_readlinkat(struct task *t, const uint64_t a[6])
{
	return readlink_at(t, (int)a[0], a[1], a[2], (int64_t)a[3]);
}

/* ---- statfs ------------------------------------------------------------------- */

static void procfs_statfs(struct statfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->f_type = PROC_SUPER_MAGIC;
	fs->f_bsize = fs->f_frsize = 4096;
	fs->f_namelen = 255;
}

int64_t sys_statfs(struct task *t, const uint64_t a[6])
{
	struct statfs fs;
	struct gpath p;
	int64_t r = path_resolve_user(t, AT_FDCWD, a[0], PATH_EXISTS, &p);
	int fd;

	if (r)
		return r;
	if (p.kind == GPATH_PROC) {
		procfs_statfs(&fs);
	} else {
		/* There is no statfsat(). */
		fd = openat(p.host_dir, p.name, O_PATH | O_CLOEXEC);
		r = fd < 0 || fstatfs(fd, &fs) ? -errno : 0;
		if (fd >= 0)
			close(fd);
	}
	path_release(&p);
	if (!r && copy_to_user(t, a[1], &fs, sizeof(fs)))
		r = -EFAULT;
	return r;
}

int64_t sys_fstatfs(struct task *t, const uint64_t a[6])
{
	struct statfs fs;
	struct gfile *g;
	int64_t r = task_gfile(t, a[0], &g);

	if (r)
		return r;
	if (g->kind != GFILE_HOST)
		procfs_statfs(&fs);
	else if (fstatfs(g->host_fd, &fs))
		r = -errno;
	else if (g->pid || g->mq)
		fs.f_type = g->pid ? PIDFD_MAGIC : MQUEUE_MAGIC;
	gfile_put(g);
	if (!r && copy_to_user(t, a[1], &fs, sizeof(fs)))
		r = -EFAULT;
	return r;
}
