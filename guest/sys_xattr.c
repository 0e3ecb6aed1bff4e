/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, passed on. The host has no *xattrat() calls everywhere, so
 * the calling thread enters the folder of the name first; what a descriptor names
 * is /proc/self/fd/N.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

#include "guest/host_dir.h"
#include "guest/path.h"
#include "guest/syscalls.h"

#define XATTR_NAME_BYTES 256
#define XATTR_VALUE_MAX  65536

/* Which file: by name (following a last link or not) or by descriptor. */
struct xattr_target {
	struct gpath p;
	bool follow;
	char by_fd[32];
	const char *name; /* absolute, or from the thread's working directory */
};

static int target_by_name(struct task *t, uint64_t user, bool follow, struct xattr_target *x)
{
	int r = path_resolve_user(t, AT_FDCWD, user, PATH_EXISTS | (follow ? 0 : PATH_NOFOLLOW),
				  &x->p);

	if (r)
		return r;
	x->follow = follow;
	if (x->p.kind == GPATH_PROC) {
		path_release(&x->p);
		return -EOPNOTSUPP;
	}
	x->name = x->p.name;
	r = x->p.host_dir == AT_FDCWD ? 0 : host_dir_enter(x->p.host_dir);
	if (r)
		path_release(&x->p);
	return r;
}

static int target_by_fd(struct task *t, uint64_t fd, struct xattr_target *x)
{
	int r;

	x->p = (struct gpath){ .cwd = NULL };
	r = task_gfile_io(t, fd, &x->p.base);
	if (r)
		return r;
	x->follow = true;
	if (x->p.base->kind != GFILE_HOST) {
		path_release(&x->p);
		return -EOPNOTSUPP;
	}
	snprintf(x->by_fd, sizeof(x->by_fd), "self/fd/%d", x->p.base->host_fd);
	x->name = x->by_fd;
	r = host_dir_enter(host_proc_fd());
	if (r)
		path_release(&x->p);
	return r;
}

static int attribute_name(struct task *t, char name[XATTR_NAME_BYTES], uint64_t user)
{
	ssize_t n = mm_strncpy_from_guest(task_mm(t), name, gva_make(user), XATTR_NAME_BYTES);

	if (n == 0 || n == -ENAMETOOLONG)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

/* get and list: @attr 0 lists. Releases @x. */
static int64_t fetch(struct task *t, struct xattr_target *x, uint64_t attr, uint64_t user,
		     uint64_t size)
{
	char name[XATTR_NAME_BYTES], *buf = NULL;
	int64_t n = attr ? attribute_name(t, name, attr) : 0;

	if (n)
		goto out;
	size = size < XATTR_VALUE_MAX ? size : XATTR_VALUE_MAX;
	buf = calloc(1, size + 1);
	if (!buf) {
		n = -ENOMEM;
		goto out;
	}
	if (attr)
		n = x->follow ? getxattr(x->name, name, buf, size)
			      : lgetxattr(x->name, name, buf, size);
	else
		n = x->follow ? listxattr(x->name, buf, size) : llistxattr(x->name, buf, size);
	if (n < 0)
		n = -errno;
	else if (size && n > 0 && copy_to_user(t, user, buf, (size_t)n))
		n = -EFAULT;
out:
	free(buf);
	path_release(&x->p);
	return n;
}

static int64_t store(struct task *t, struct xattr_target *x, const uint64_t a[6])
{
	char name[XATTR_NAME_BYTES], *buf = NULL;
	int64_t r = path_is_fixed(&x->p) ? -EPERM : attribute_name(t, name, a[1]);

	if (r)
		goto out;
	if (a[3] > XATTR_VALUE_MAX) {
		r = -E2BIG;
		goto out;
	}
	buf = malloc(a[3] + 1);
	if (!buf)
		r = -ENOMEM;
	else if (copy_from_user(t, buf, a[2], a[3]))
		r = -EFAULT;
	else if (x->follow ? setxattr(x->name, name, buf, a[3], (int)a[4])
			   : lsetxattr(x->name, name, buf, a[3], (int)a[4]))
		r = -errno;
out:
	free(buf);
	path_release(&x->p);
	return r;
}

static int64_t discard(struct task *t, struct xattr_target *x, uint64_t attr)
{
	char name[XATTR_NAME_BYTES];
	int64_t r = path_is_fixed(&x->p) ? -EPERM : attribute_name(t, name, attr);

	if (!r && (x->follow ? removexattr(x->name, name) : lremovexattr(x->name, name)))
		r = -errno;
	path_release(&x->p);
	return r;
}

int64_t sys_setxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], true, &x);

	return r ? r : store(t, &x, a);
}

int64_t sys_lsetxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], false, &x);

	return r ? r : store(t, &x, a);
}

int64_t sys_fsetxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_fd(t, a[0], &x);

	return r ? r : store(t, &x, a);
}

int64_t sys_getxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], true, &x);

	return r ? r : fetch(t, &x, a[1], a[2], a[3]);
}

int64_t sys_lgetxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], false, &x);

	return r ? r : fetch(t, &x, a[1], a[2], a[3]);
}

int64_t sys_fgetxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_fd(t, a[0], &x);

	return r ? r : fetch(t, &x, a[1], a[2], a[3]);
}

int64_t sys_listxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], true, &x);

	return r ? r : fetch(t, &x, 0, a[1], a[2]);
}

int64_t sys_llistxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], false, &x);

	return r ? r : fetch(t, &x, 0, a[1], a[2]);
}

int64_t sys_flistxattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_fd(t, a[0], &x);

	return r ? r : fetch(t, &x, 0, a[1], a[2]);
}

int64_t sys_removexattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], true, &x);

	return r ? r : discard(t, &x, a[1]);
}

int64_t sys_lremovexattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_name(t, a[0], false, &x);

	return r ? r : discard(t, &x, a[1]);
}

int64_t sys_fremovexattr(struct task *t, const uint64_t a[6])
{
	struct xattr_target x;
	int r = target_by_fd(t, a[0], &x);

	return r ? r : discard(t, &x, a[1]);
}
