/* SPDX-License-Identifier: MIT */
/* From any absolute name to one of ours, or to the host's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/host_dir.h"
#include "guest/proc_io.h"

/* Links of the host that lead to "self". */
static const struct {
	const char *from, *to;
} aliases[] = {
	{ "/dev/fd", "/proc/self/fd" },       { "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" }, { "/dev/stderr", "/proc/self/fd/2" },
	{ "/etc/mtab", "/proc/self/mounts" },
};

/* What of the host's /proc a guest with a root of its own sees, beside what is made for it. */
static const char *const plain[] = { "filesystems", "sys", "version" };

/* 1: rewritten in p->name. */
static int rewrite(struct gpath *p, const char *start, const char *rest)
{
	int n = snprintf(p->name, sizeof(p->name), "%s%s", start, rest);

	return n < 0 || (size_t)n >= sizeof(p->name) ? -ENAMETOOLONG : 1;
}

static int keep_host(struct gpath *p, const char *name, bool read_only)
{
	p->kind = GPATH_HOST;
	p->host_dir = AT_FDCWD;
	p->read_only = read_only;
	strcpy(p->name, name);
	return 0;
}

bool procfs_shows(struct task *t, const char *leaf)
{
	bool seen = !guest_config(task_guest(t))->own_root;
	const struct proc_io_name *io;
	const struct proc_file *made;
	size_t i;

	/* It numbers the host's frames, and the guest has no memory cgroups. */
	if (!strcmp(leaf, "kpagecgroup"))
		return false;

	for (i = 0; !seen && i < sizeof(plain) / sizeof(*plain); i++)
		seen = path_below(leaf, plain[i], NULL);
	for (io = procfs_system_io; !seen && io->name; io++)
		seen = !strcmp(leaf, io->name);
	for (made = procfs_system_files; !seen && made->name; made++)
		seen = !strcmp(leaf, made->name);
	return seen;
}

/*
 * A name below the host's /proc that tells of no process. A folder there would lead on,
 * by "..", to what must not be seen.
 */
static int keep_host_proc(struct task *t, struct gpath *p, const char *name)
{
	const char *leaf = name[strlen("/proc")] ? name + strlen("/proc/") : ".";
	bool own_root = guest_config(task_guest(t))->own_root;
	struct stat st;

	if (!procfs_shows(t, leaf) ||
	    (own_root && fstatat(host_proc_fd(), leaf, &st, AT_SYMLINK_NOFOLLOW)))
		return -ENOENT;
	if (own_root && !S_ISREG(st.st_mode))
		return -EACCES;
	p->kind = GPATH_HOST;
	p->host_dir = host_proc_fd();
	p->read_only = true;
	/* @name may be p->name itself. */
	memmove(p->name, leaf, strlen(leaf) + 1);
	return 0;
}

/* The host's name for what a host descriptor of ours stands for, and @rest below. */
static int lead_to_fd(struct gpath *p, int host_fd, const char *rest)
{
	int n;

	p->kind = GPATH_HOST;
	p->host_dir = host_proc_fd();
	n = snprintf(p->name, sizeof(p->name), "self/fd/%d%s", host_fd, rest);
	return n < 0 || (size_t)n >= sizeof(p->name) ? -ENAMETOOLONG : 0;
}

/* /proc/PID/fd/N: the open file itself, even when it has no name any more. */
static int follow_fd(struct task *t, int32_t pid, int fd, const char *rest, struct gpath *p)
{
	struct files *f = guest_proc_files(task_guest(t), pid);
	struct gfile *g = f ? files_lookup(f, fd) : NULL;

	files_put(f);
	if (!g)
		return -ENOENT;
	gfile_put(p->base);
	p->base = g;
	if (g->kind != GFILE_HOST)
		return rewrite(p, g->path, rest);
	return lead_to_fd(p, g->host_fd, rest);
}

static int follow_cwd(struct task *t, int32_t pid, const char *rest, struct gpath *p)
{
	struct fs *fs = guest_proc_fs(task_guest(t), pid);

	if (!fs)
		return -ENOENT;
	fs_dir_put(p->cwd);
	p->cwd = fs_cwd(fs);
	fs_put(fs);
	if (p->cwd->path)
		return rewrite(p, p->cwd->path, rest);
	return lead_to_fd(p, p->cwd->fd, rest);
}

/* What the host's own link means is the network of umm, not of the confined thread that asks. */
static int follow_net(struct task *t, const char *rest, struct gpath *p)
{
	int n = snprintf(p->name, sizeof(p->name), "thread-self/net%s", rest);

	if (!procfs_shows(t, "net"))
		return -ENOENT;
	p->kind = GPATH_HOST;
	p->host_dir = host_proc_fd();
	p->read_only = true;
	return n < 0 || (size_t)n >= sizeof(p->name) ? -ENAMETOOLONG : 0;
}

static int follow_exe(struct task *t, int32_t pid, const char *rest, struct gpath *p)
{
	struct gfile *exe = guest_proc_exe(task_guest(t), pid);

	if (!exe)
		return -ENOENT;
	gfile_put(p->base);
	p->base = exe;
	return lead_to_fd(p, gfile_host_fd(exe), rest);
}

/*
 * Below /proc/PID, where the links are. @name is canonical up to here. Who may not trace
 * the process follows none of them.
 */
static int translate_links(struct task *t, const char *name, unsigned int flags, struct gpath *p)
{
	char *end;
	const char *rest = name + strlen("/proc/"), *part;
	int32_t pid = (int32_t)strtol(rest, &end, 10);
	int r = procfs_may_trace(t, pid);
	long fd;

	rest = end;
	if (!strncmp(rest, "/task/", 6)) {
		strtol(rest + 6, &end, 10);
		rest = end;
	}
	if (!strncmp(rest, "/fd/", 4) && rest[4] >= '0' && rest[4] <= '9') {
		fd = strtol(rest + 4, &end, 10);
		if (!*end && (flags & PATH_NOFOLLOW))
			return 0;
		if (*end && *end != '/')
			return -ENOENT;
		return r ? r : follow_fd(t, pid, (int)fd, end, p);
	}
	if (path_below(rest, "/root", &part) && (*part || !(flags & PATH_NOFOLLOW)))
		return r ? r : rewrite(p, *part ? "" : "/", part);
	if (path_below(rest, "/cwd", &part) && (*part || !(flags & PATH_NOFOLLOW)))
		return r ? r : follow_cwd(t, pid, part, p);
	if (path_below(rest, "/net", &part))
		return r == -ENOENT ? r : follow_net(t, part, p);
	if (path_below(rest, "/exe", &part) && (*part || !(flags & PATH_NOFOLLOW)))
		return r ? r : follow_exe(t, pid, part, p);
	return 0;
}

/* Below /proc; @name is normalised. */
static int translate_proc(struct task *t, const char *name, unsigned int flags, struct gpath *p)
{
	struct proc_name n;
	const char *rest;
	char start[64];
	int r;

	if (path_below(name, "/proc/self", &rest) && (*rest || !(flags & PATH_NOFOLLOW))) {
		snprintf(start, sizeof(start), "/proc/%d", task_pid(t));
		return rewrite(p, start, rest);
	}
	if (path_below(name, "/proc/thread-self", &rest) && (*rest || !(flags & PATH_NOFOLLOW))) {
		snprintf(start, sizeof(start), "/proc/%d/task/%d", task_pid(t), task_tid(t));
		return rewrite(p, start, rest);
	}
	if (path_below(name, "/proc/mounts", &rest))
		return rewrite(p, "/proc/self/mounts", rest);
	if (path_below(name, "/proc/net", &rest) && (*rest || !(flags & PATH_NOFOLLOW)))
		return rewrite(p, "/proc/self/net", rest);
	if (name[6] >= '0' && name[6] <= '9') {
		r = translate_links(t, name, flags, p);
		if (r || p->host_dir != AT_FDCWD || strcmp(p->name, name))
			return r;
	}
	r = procfs_parse(t, name, &n);
	if (!r) {
		p->kind = GPATH_PROC;
		return 0;
	}
	/* Numbers are processes of the host there: not to be seen. */
	if ((name[6] >= '0' && name[6] <= '9') || procfs_sysctl_owns(name))
		return r;
	return keep_host_proc(t, p, name);
}

int procfs_translate(struct task *t, const char *name, unsigned int flags, struct gpath *p)
{
	struct proc_name n;
	const char *rest;
	char given[PATH_MAX], target[64];
	size_t i;

	for (i = 0; i < sizeof(aliases) / sizeof(*aliases); i++)
		if (path_below(name, aliases[i].from, &rest) && (*rest || !(flags & PATH_NOFOLLOW)))
			return rewrite(p, aliases[i].to, rest);
	if (path_below(name, "/proc", NULL)) {
		/* From here on the name is the normalised one. */
		strcpy(p->name, name);
		return translate_proc(t, name, flags, p);
	}
	if (path_below(name, "/sys", NULL)) {
		if (sysfs_follow(t, name, target, &rest) && (*rest || !(flags & PATH_NOFOLLOW)))
			return rewrite(p, target, rest);
		if (sysfs_parse(t, name, &n))
			return sysfs_hides(t, name) ? -ENOENT : keep_host(p, name, true);
		p->kind = GPATH_PROC;
		strcpy(p->name, name);
		return 0;
	}
	/* Ordinary after all: as it was given, since ".." may go through links. */
	strcpy(given, p->name);
	return keep_host(p, given, false);
}
