/* SPDX-License-Identifier: MIT */
/*
 * Files that are found before a call is made for them.
 *
 * A name that is the host's may lead on into the host's /proc, by a link or by "..", and there
 * to umm's own open files. What opens files is safe by itself (path_open). For any other call
 * about a file that is there, the host opens it as a place first, following no link of its /proc.
 * The call is then made for that descriptor, by a name of ours: nothing is looked up twice, so
 * no race of renames leads elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/host_dir.h"
#include "guest/path.h"

/* Links that are resolved here, one leading to the next. */
#define MAX_LINKS 8

int path_own_proc(struct task *t, int fd, unsigned int flags, struct gpath *p)
{
	char path[PATH_MAX], mine[32], name[PATH_MAX];
	const char *self = "", *rest = path;
	int r = host_fd_path(fd, path, sizeof(path));

	if (r)
		return r;
	snprintf(mine, sizeof(mine), "/proc/%d", (int)getpid());
	if (path_below(path, mine, &rest))
		self = "/proc/self";
	/* The threads of umm are no tasks of the guest. */
	if (*self && !strncmp(rest, "/task/", 6))
		rest += strcspn(rest + 6, "/") + 6;
	snprintf(name, sizeof(name), "%s%.*s", self, PATH_MAX - 32, rest);
	r = path_resolve(t, AT_FDCWD, name, flags, p);
	/* Ours, or the host's by its own name: neither leads here again. */
	if (!r && p->kind != GPATH_PROC && !p->read_only) {
		path_release(p);
		r = -ENOENT;
	}
	return r;
}

int path_link_target(struct task *t, const struct gpath *p, unsigned int flags, struct gpath *q)
{
	int fd = openat(p->host_dir, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char target[PATH_MAX];
	struct statfs fs;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	/* The links of /proc/PID/fd themselves tell a name, which is not what they lead to. */
	if (!fstatfs(fd, &fs) && fs.f_type != PROC_SUPER_MAGIC)
		n = readlinkat(fd, "", target, sizeof(target) - 1);
	close(fd);
	if (n <= 0 || target[0] != '/')
		return -ELOOP;
	target[n] = 0;
	return path_resolve(t, AT_FDCWD, target, flags, q);
}

/* Where a name of the host leads: a place, or -errno. */
static int find_place(const struct gpath *p, unsigned int flags)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (flags & PATH_NOFOLLOW ? O_NOFOLLOW : 0),
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, p->host_dir, p->name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* @fd is owned. The file itself becomes what @p means; a link stays what its name means. */
static void pin(struct gpath *p, int fd, unsigned int flags)
{
	if (flags & PATH_NOFOLLOW) {
		close(fd);
		return;
	}
	p->pinned = true;
	p->pin = fd;
	p->host_dir = host_proc_fd();
	snprintf(p->name, sizeof(p->name), "self/fd/%d", fd);
}

/* @from takes the place of @p. */
static void replace(struct gpath *p, const struct gpath *from)
{
	path_release(p);
	*p = *from;
}

int path_pin(struct task *t, unsigned int flags, struct gpath *p)
{
	struct gpath q;
	struct statfs fs;
	int i, fd, r;

	for (i = 0; i < MAX_LINKS; i++) {
		/* By the descriptor, by a name of ours, or there is no /proc to stray into. */
		if (p->kind != GPATH_HOST || !p->name[0] || p->host_dir == host_proc_fd() ||
		    host_proc_fd() < 0)
			return 0;
		fd = find_place(p, flags);
		if (fd >= 0 && (fstatfs(fd, &fs) || fs.f_type != PROC_SUPER_MAGIC)) {
			pin(p, fd, flags);
			return 0;
		}
		if (fd >= 0)
			r = path_own_proc(t, fd, flags, &q);
		else if (fd == -ELOOP && !(flags & PATH_NOFOLLOW))
			r = path_link_target(t, p, flags, &q);
		else
			r = fd;
		if (fd >= 0)
			close(fd);
		if (r)
			return r;
		replace(p, &q);
	}
	return -ELOOP;
}
