/* SPDX-License-Identifier: MIT */
/* Making, removing and renaming of names. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/filemap.h"
#include "guest/path.h"
#include "guest/syscalls.h"

static int64_t result(long r)
{
	return r < 0 ? -errno : r;
}

/* Resolve a name that is about to be made or removed: never one of ours. */
static int resolve_change(struct task *t, int dirfd, uint64_t user, unsigned int flags,
			  struct gpath *p)
{
	int r = path_resolve_user(t, dirfd, user, flags, p);

	if (!r && path_is_fixed(p)) {
		path_release(p);
		r = -EPERM;
	}
	return r;
}

/* Which file a name stands for, to drop its cache if the name was the last. */
struct last_name {
	bool valid;
	uint64_t dev, ino;
};

static struct last_name last_name_of(const struct gpath *p)
{
	struct last_name l = { .valid = false };
	struct stat st;

	if (!fstatat(p->host_dir, p->name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
		l = (struct last_name){ true, st.st_dev, st.st_ino };
	return l;
}

static void last_name_gone(struct task *t, const struct last_name *l)
{
	if (l->valid)
		filemaps_forget_unlinked(guest_filemaps(task_guest(t)), l->dev, l->ino);
}

static int64_t unlink_at(struct task *t, int dirfd, uint64_t user, int flags)
{
	struct last_name gone;
	struct gpath p;
	int64_t r;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = resolve_change(t, dirfd, user, PATH_NOFOLLOW, &p);
	if (r)
		return r;
	gone = last_name_of(&p);
	r = result(unlinkat(p.host_dir, p.name, flags));
	if (!r)
		last_name_gone(t, &gone);
	path_release(&p);
	return r;
}

int64_t sys_unlink(struct task *t, const uint64_t a[6])
{
	return unlink_at(t, AT_FDCWD, a[0], 0);
}

int64_t sys_rmdir(struct task *t, const uint64_t a[6])
{
	return unlink_at(t, AT_FDCWD, a[0], AT_REMOVEDIR);
}

int64_t sys_unlinkat(struct task *t, const uint64_t a[6])
{
	return unlink_at(t, (int)a[0], a[1], (int)a[2]);
}

static int64_t rename_at(struct task *t, int from_fd, uint64_t from, int to_fd, uint64_t to,
			 unsigned int flags)
{
	struct last_name gone;
	struct gpath p, q;
	int64_t r = resolve_change(t, from_fd, from, PATH_NOFOLLOW, &p);

	if (r)
		return r;
	r = resolve_change(t, to_fd, to, PATH_NOFOLLOW, &q);
	if (!r) {
		gone = last_name_of(&q);
		r = result(syscall(SYS_renameat2, p.host_dir, p.name, q.host_dir, q.name, flags));
		if (!r)
			last_name_gone(t, &gone);
		path_release(&q);
	}
	path_release(&p);
	return r;
}

int64_t sys_rename(struct task *t, const uint64_t a[6])
{
	return rename_at(t, AT_FDCWD, a[0], AT_FDCWD, a[1], 0);
}

int64_t sys_renameat(struct task *t, const uint64_t a[6])
{
	return rename_at(t, (int)a[0], a[1], (int)a[2], a[3], 0);
}

int64_t sys_renameat2(struct task *t, const uint64_t a[6])
{
	return rename_at(t, (int)a[0], a[1], (int)a[2], a[3], (unsigned int)a[4]);
}

static int64_t link_at(struct task *t, int from_fd, uint64_t from, int to_fd, uint64_t to,
		       int flags)
{
	struct gpath p, q;
	int64_t r;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = resolve_change(t, from_fd, from,
			   PATH_EXISTS | (flags & AT_SYMLINK_FOLLOW ? 0 : PATH_NOFOLLOW) |
				   (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0),
			   &p);
	if (r)
		return r;
	r = resolve_change(t, to_fd, to, PATH_NOFOLLOW, &q);
	/* Linux looks the file up before it looks at the new name. */
	if (r && faccessat(p.host_dir, p.name, F_OK, AT_SYMLINK_NOFOLLOW))
		r = -errno;
	else if (!r) {
		r = result(linkat(p.host_dir, p.name, q.host_dir, q.name, flags));
		path_release(&q);
	}
	path_release(&p);
	return r;
}

int64_t sys_link(struct task *t, const uint64_t a[6])
{
	return link_at(t, AT_FDCWD, a[0], AT_FDCWD, a[1], 0);
}

int64_t sys_linkat(struct task *t, const uint64_t a[6])
{
	return link_at(t, (int)a[0], a[1], (int)a[2], a[3], (int)a[4]);
}

static int64_t symlink_at(struct task *t, uint64_t user_target, int dirfd, uint64_t user)
{
	char target[PATH_MAX];
	struct gpath p;
	int64_t r = path_from_user(t, target, user_target);

	if (!r)
		r = resolve_change(t, dirfd, user, PATH_NOFOLLOW, &p);
	if (r)
		return r;
	r = result(symlinkat(target, p.host_dir, p.name));
	path_release(&p);
	return r;
}

int64_t sys_symlink(struct task *t, const uint64_t a[6])
{
	return symlink_at(t, a[0], AT_FDCWD, a[1]);
}

int64_t sys_symlinkat(struct task *t, const uint64_t a[6])
{
	return symlink_at(t, a[0], (int)a[1], a[2]);
}

static int64_t mkdir_at(struct task *t, int dirfd, uint64_t user, mode_t mode)
{
	struct gpath p;
	int64_t r = resolve_change(t, dirfd, user, PATH_NOFOLLOW, &p);

	if (r)
		return r == -EPERM ? -EEXIST : r;
	r = result(mkdirat(p.host_dir, p.name, mode & 01777 & ~fs_umask(task_fs(t))));
	path_release(&p);
	return r;
}

int64_t sys_mkdir(struct task *t, const uint64_t a[6])
{
	return mkdir_at(t, AT_FDCWD, a[0], (mode_t)a[1]);
}

int64_t sys_mkdirat(struct task *t, const uint64_t a[6])
{
	return mkdir_at(t, (int)a[0], a[1], (mode_t)a[2]);
}

/* Devices would be the host's; a directory is not made this way. -EINVAL: no such type. */
static int check_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

static int64_t mknod_at(struct task *t, int dirfd, uint64_t user, mode_t mode, uint64_t dev)
{
	struct gpath p;
	int64_t r;

	r = check_type(mode);
	if (r)
		return r;
	r = resolve_change(t, dirfd, user, PATH_NOFOLLOW, &p);
	if (r)
		return r;
	r = result(mknodat(p.host_dir, p.name, mode & ~fs_umask(task_fs(t)), dev));
	path_release(&p);
	return r;
}

int64_t sys_mknod(struct task *t, const uint64_t a[6])
{
	return mknod_at(t, AT_FDCWD, a[0], (mode_t)a[1], a[2]);
}

int64_t sys_mknodat(struct task *t, const uint64_t a[6])
{
	return mknod_at(t, (int)a[0], a[1], (mode_t)a[2], a[3]);
}
