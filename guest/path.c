/* SPDX-License-Identifier: MIT */
/* Resolution of names; guest/path.h tells the design. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/ctty.h"
#include "guest/file_change.h"
#include "guest/filemap.h"
#include "guest/host_dir.h"
#include "guest/path.h"
#include "guest/procfs.h"

/* Rewritings of one name (/dev/stdin -> /proc/self/fd/0 -> ...) before ELOOP. */
#define MAX_REWRITES 8

int host_fd_path(int fd, char *buf, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "self/fd/%d", fd);
	n = readlinkat(host_proc_fd(), link, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return 0;
}

int path_normalize(const char *name, char *out, size_t size)
{
	size_t len = 0, part;

	while (*name) {
		while (*name == '/')
			name++;
		part = strcspn(name, "/");
		if (part == 2 && name[0] == '.' && name[1] == '.') {
			while (len && out[--len] != '/')
				;
		} else if (part && !(part == 1 && name[0] == '.')) {
			if (len + part + 2 > size)
				return -ENAMETOOLONG;
			out[len++] = '/';
			memcpy(out + len, name, part);
			len += part;
		}
		name += part;
	}
	if (!len)
		out[len++] = '/';
	out[len] = 0;
	return 0;
}

bool path_below(const char *name, const char *prefix, const char **rest)
{
	size_t n = strlen(prefix);

	if (strncmp(name, prefix, n) || (name[n] && name[n] != '/'))
		return false;
	if (rest)
		*rest = name + n;
	return true;
}

/* The first part of absolute @name may lead to a folder of ours. */
static bool name_needs_look(const char *name)
{
	static const char *const first[] = { "proc", "sys", "dev", "etc", ".", ".." };
	size_t i, n;

	name += strspn(name, "/");
	n = strcspn(name, "/");
	for (i = 0; i < sizeof(first) / sizeof(*first); i++)
		if (n == strlen(first[i]) && !memcmp(name, first[i], n))
			return true;
	return false;
}

static int name_join(char *out, size_t size, const char *dir, const char *name)
{
	int n = snprintf(out, size, "%s/%s", dir, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Absolute name in p->name: ours, or the host's as it stands. */
static int resolve_absolute(struct task *t, unsigned int flags, struct gpath *p)
{
	char buf[PATH_MAX];
	int i, r;

	p->kind = GPATH_HOST;
	p->host_dir = AT_FDCWD;
	for (i = 0; name_needs_look(p->name); i++) {
		if (i == MAX_REWRITES)
			return -ELOOP;
		r = path_normalize(p->name, buf, sizeof(buf));
		if (r)
			return r;
		/* "link/" is what the link leads to. */
		if (p->name[strlen(p->name) - 1] == '/')
			flags &= ~PATH_NOFOLLOW;
		r = procfs_translate(t, buf, flags, p);
		if (r <= 0)
			return r;
	}
	return 0;
}

/* Relative to a folder of which we know the descriptor, and the name if it matters. */
static int resolve_relative(struct task *t, int host_dir, const char *dir_path, const char *name,
			    unsigned int flags, struct gpath *p)
{
	int r;

	if (dir_path) {
		r = name_join(p->name, sizeof(p->name), dir_path, name);
		return r ? r : resolve_absolute(t, flags, p);
	}
	p->kind = GPATH_HOST;
	p->host_dir = host_dir;
	strcpy(p->name, name);
	return 0;
}

/* The empty name: the descriptor itself. */
static int resolve_empty(struct gpath *p)
{
	const struct gfile *g = p->base;

	if (g && g->kind != GFILE_HOST) {
		p->kind = GPATH_PROC;
		strcpy(p->name, g->path);
		return 0;
	}
	if (!g && p->cwd->path && strcmp(p->cwd->path, "/")) {
		p->kind = GPATH_PROC;
		strcpy(p->name, p->cwd->path);
		return 0;
	}
	p->kind = GPATH_HOST;
	p->host_dir = g ? g->host_fd : p->cwd->fd;
	p->name[0] = 0;
	return 0;
}

static int resolve_base(struct task *t, int dirfd, struct gpath *p)
{
	if (dirfd == AT_FDCWD) {
		p->cwd = fs_cwd(task_fs(t));
		return 0;
	}
	return task_gfile(t, (uint64_t)dirfd, &p->base);
}

int path_resolve(struct task *t, int dirfd, const char *name, unsigned int flags, struct gpath *p)
{
	const char *dir_path;
	int r;

	p->base = NULL;
	p->cwd = NULL;
	p->pinned = false;
	p->read_only = false;
	if (strlen(name) >= sizeof(p->name))
		return -ENAMETOOLONG;
	if (!*name && !(flags & PATH_EMPTY))
		return -ENOENT;
	if (*name == '/') {
		strcpy(p->name, name);
		r = resolve_absolute(t, flags, p);
		goto out;
	}
	r = resolve_base(t, dirfd, p);
	if (r)
		return r;
	if (!*name) {
		r = resolve_empty(p);
		goto out;
	}
	if (p->base && p->base->type != S_IFDIR) {
		r = -ENOTDIR;
		goto out;
	}
	dir_path = !p->base ? p->cwd->path : p->base->kind == GFILE_PROC_DIR ? p->base->path : NULL;
	r = resolve_relative(t, p->base ? p->base->host_fd : p->cwd->fd, dir_path, name, flags, p);
out:
	if (r)
		path_release(p);
	return r;
}

int path_resolve_user(struct task *t, int dirfd, uint64_t user, unsigned int flags, struct gpath *p)
{
	char name[PATH_MAX];
	int r;

	if (!user && (flags & PATH_EMPTY) && (flags & PATH_NULL))
		return path_resolve(t, dirfd, "", flags, p);
	r = path_from_user(t, name, user);
	if (!r)
		r = path_resolve(t, dirfd, name, flags, p);
	if (r || !(flags & PATH_EXISTS))
		return r;
	r = path_pin(t, flags, p);
	if (r)
		path_release(p);
	return r;
}

void path_release(struct gpath *p)
{
	gfile_put(p->base);
	fs_dir_put(p->cwd);
	if (p->pinned)
		close(p->pin);
	p->base = NULL;
	p->cwd = NULL;
	p->pinned = false;
}

/* A link led into the host's /proc, where "self" is umm; @g is done with. */
static int reopen_in_procfs(struct task *t, struct gfile *g, int flags, mode_t mode,
			    struct gfile **out)
{
	struct gpath p;
	int r = path_own_proc(t, g->host_fd, 0, &p);

	gfile_put(g);
	if (r)
		return r;
	r = path_open(t, &p, flags, mode, NULL, out);
	path_release(&p);
	return r;
}

/* True for files of the host's procfs that were not reached by their own name. */
static bool is_stray_procfs(const struct gpath *p, const struct gfile *g)
{
	struct statfs fs;

	if (p->read_only || major(g->dev) || (g->type != S_IFREG && g->type != S_IFDIR))
		return false;
	return !fstatfs(g->host_fd, &fs) && fs.f_type == PROC_SUPER_MAGIC;
}

/* Opened again by /proc/self/fd/N it gains no rights that it had not. */
static bool sealed_may_open(const struct gfile *g, int flags)
{
	int mode = flags & O_ACCMODE;

	if (flags & O_PATH)
		return true;
	return (mode == O_RDONLY || gfile_writable(g)) && (mode == O_WRONLY || gfile_readable(g)) &&
	       (!(flags & O_TRUNC) || gfile_writable(g));
}

/* What openat() knows; openat2() refuses other bits, which openat() passes over. */
#define OPEN_FLAGS                                                                                 \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |      \
	 O_DIRECT | 0100000 /* O_LARGEFILE */ | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | \
	 O_PATH | O_TMPFILE)

/*
 * The host's answer: a descriptor or -errno. Links of the host's /proc that lead to open
 * files would lead to umm's own, whatever way a name takes there, so none is followed, but
 * where we give the name ourselves (host_proc_fd()).
 */
static int64_t host_open(struct task *t, const struct gpath *p, int flags, mode_t mode,
			 const uint64_t *resolve)
{
	struct open_how how = { .resolve = RESOLVE_NO_MAGICLINKS };

	/* Signals for descriptors (O_ASYNC) would go to the VMM. */
	flags = (flags & ~O_ASYNC) | O_CLOEXEC | O_NOCTTY;
	if (p->host_dir == host_proc_fd() && !resolve)
		return host_syscall_blocking(t, SYS_openat, (uint64_t)p->host_dir,
					     (uint64_t)p->name, (uint64_t)(unsigned int)flags, mode,
					     0, 0);
	if (p->host_dir == host_proc_fd())
		how.resolve = 0;
	if (resolve) {
		how.resolve |= *resolve;
	} else {
		flags &= OPEN_FLAGS;
		if (flags & O_PATH)
			flags &= O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
	}
	how.flags = (uint64_t)(unsigned int)flags;
	how.mode = flags & (O_CREAT | O_TMPFILE_BIT) ? mode & 07777 : 0;
	return host_syscall_blocking(t, SYS_openat2, (uint64_t)p->host_dir, (uint64_t)p->name,
				     (uint64_t)&how, sizeof(how), 0, 0);
}

static int open_resolved(struct task *t, const struct gpath *p, int flags, mode_t mode,
			 const uint64_t *resolve, unsigned int links, struct gfile **out);

/*
 * The host met a link that it was not to follow, or too many. If it is the last part of
 * the name (/var/log/x -> /dev/stdout), it means the guest's own.
 */
static int open_link(struct task *t, const struct gpath *p, int flags, mode_t mode,
		     unsigned int links, struct gfile **out)
{
	struct gpath q;
	int r;

	if (links == MAX_REWRITES)
		return -ELOOP;
	r = path_link_target(t, p, 0, &q);
	if (r)
		return r;
	r = open_resolved(t, &q, flags, mode, NULL, links + 1, out);
	path_release(&q);
	return r;
}

static bool same_file(int fd, const struct stat *st)
{
	struct stat now;

	return !fstat(fd, &now) && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

/*
 * The host opens the file and cuts it in one step, so that its cache is looked up by the
 * name before: if that is given to another file in between, the wrong one was held.
 */
static int64_t open_and_cut(struct task *t, const struct gpath *p, int flags, mode_t mode,
			    const uint64_t *resolve)
{
	int how = flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	struct address_space *cache = NULL;
	struct file_change cut;
	struct stat st;
	int64_t fd;

	if (!fstatat(p->host_dir, p->name, &st, how) && S_ISREG(st.st_mode))
		cache = filemaps_find(guest_filemaps(task_guest(t)), st.st_dev, st.st_ino);
	file_cut_begin(cache, 0, &cut);
	fd = host_open(t, p, flags, mode, resolve);
	file_cut_end(&cut, fd >= 0 && cache && same_file((int)fd, &st));
	return fd;
}

/*
 * Whether @p, which umm has no terminal for, is /dev/tty: then the program may have one. -ENXIO
 * if it is something else.
 */
static int open_other_tty(struct task *t, const struct gpath *p, int flags, const uint64_t *resolve,
			  struct gfile **out)
{
	int64_t fd = host_open(t, p, O_PATH | (flags & O_NOFOLLOW), 0, resolve);
	struct stat st;
	bool is_tty;

	if (fd < 0)
		return -ENXIO;
	is_tty = !fstat((int)fd, &st) && ctty_is_dev_tty(st.st_mode, st.st_rdev);
	close((int)fd);
	return is_tty ? ctty_open_dev_tty(t, NULL, flags, out) : -ENXIO;
}

static int open_resolved(struct task *t, const struct gpath *p, int flags, mode_t mode,
			 const uint64_t *resolve, unsigned int links, struct gfile **out)
{
	struct gfile *g;
	int64_t fd;
	int r;

	if (p->kind == GPATH_PROC)
		return procfs_open(t, p->name, flags, out);
	if (p->read_only && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
		return -EACCES;
	if (p->base && p->base->sealed && !sealed_may_open(p->base, flags))
		return -EACCES;
	fd = (flags & O_TRUNC) && !(flags & O_PATH) ? open_and_cut(t, p, flags, mode, resolve)
						    : host_open(t, p, flags, mode, resolve);
	if (fd == -ELOOP && !resolve && !(flags & O_NOFOLLOW))
		return open_link(t, p, flags, mode, links, out);
	if (fd == -ENXIO)
		return open_other_tty(t, p, flags, resolve, out);
	if (fd < 0)
		return fd == -EINTR ? -ERESTARTSYS_ : (int)fd;
	r = gfile_create(guest_filemaps(task_guest(t)), (int)fd,
			 (flags & ~O_ASYNC) | O_CLOEXEC | O_NOCTTY, &g);
	if (r)
		return r;
	if (is_stray_procfs(p, g))
		return reopen_in_procfs(t, g, flags, mode, out);
	ctty_attach(task_guest(t), g);
	if (ctty_is_dev_tty(g->type, g->rdev) && !(flags & O_PATH))
		return ctty_open_dev_tty(t, g, flags, out);
	ctty_opened(t, g, flags);
	*out = g;
	return 0;
}

int path_open(struct task *t, const struct gpath *p, int flags, mode_t mode,
	      const uint64_t *resolve, struct gfile **out)
{
	return open_resolved(t, p, flags, mode, resolve, 0, out);
}
