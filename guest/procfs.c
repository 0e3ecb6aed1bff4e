/* SPDX-License-Identifier: MIT */
/* The tree of /proc: which names there are, and opening, stat and readlink of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "guest/file_rw.h"
#include "guest/proc_io.h"

/* ---- names ------------------------------------------------------------------ */

static bool parse_number(const char **s, int32_t *out)
{
	const char *p = *s;
	int64_t v = 0;

	while (*p >= '0' && *p <= '9' && v < INT32_MAX)
		v = v * 10 + (*p++ - '0');
	if (p == *s || v > INT32_MAX || (*p && *p != '/') || (**s == '0' && p - *s > 1))
		return false;
	*s = p;
	*out = (int32_t)v;
	return true;
}

static int found(struct proc_name *n, enum proc_type type, mode_t mode)
{
	n->type = type;
	n->mode = mode;
	return 0;
}

int proc_file_find(const struct proc_file *files, const char *leaf, struct proc_name *n)
{
	for (; files->name; files++) {
		if (strcmp(files->name, leaf))
			continue;
		n->show = files->show;
		n->store = files->store;
		n->writable = files->writable;
		n->leaf = files->name;
		n->traced = files->mode & PROC_TRACED;
		return found(n, PROC_FILE, files->mode & 0777);
	}
	return -ENOENT;
}

static bool pid_has_tid(struct task *t, int32_t pid, int32_t tid)
{
	int32_t *tids;
	int nr = guest_proc_tids(task_guest(t), pid, NULL, 0), i;
	bool hit = false;

	if (nr <= 0)
		return false;
	tids = calloc((size_t)nr, sizeof(*tids));
	if (!tids)
		return false;
	i = guest_proc_tids(task_guest(t), pid, tids, (unsigned int)nr);
	for (i = i < nr ? i : nr; i-- > 0;)
		hit |= tids[i] == tid;
	free(tids);
	return hit;
}

static int parse_fd(struct task *t, const char *rest, struct proc_name *n)
{
	int r = procfs_may_trace(t, n->pid);
	struct files *f;
	struct gfile *g;
	int32_t fd;

	if (r)
		return r;
	if (!parse_number(&rest, &fd) || *rest)
		return -ENOENT;
	f = guest_proc_files(task_guest(t), n->pid);
	g = f ? files_lookup(f, fd) : NULL;
	files_put(f);
	if (!g)
		return -ENOENT;
	n->number = fd;
	n->leaf = "fd";
	found(n, PROC_LINK, (gfile_readable(g) ? 0500 : 0) | (gfile_writable(g) ? 0300 : 0));
	gfile_put(g);
	return 0;
}

/* @rest follows /proc/PID or /proc/PID/task/TID. */
static int parse_in_process(struct task *t, const char *rest, bool in_task, struct proc_name *n)
{
	if (!*rest)
		return found(n, PROC_DIR, 0555);
	rest++;
	if (!strcmp(rest, "fd") || !strcmp(rest, "fdinfo")) {
		n->leaf = rest;
		return found(n, PROC_DIR, 0500);
	}
	if (!strncmp(rest, "fd/", 3))
		return parse_fd(t, rest + 3, n);
	if (!strcmp(rest, "exe") || !strcmp(rest, "cwd") || !strcmp(rest, "root")) {
		n->leaf = rest;
		return found(n, PROC_LINK, 0777);
	}
	if (!proc_io_find(procfs_pid_io, rest, n))
		return 0;
	if (in_task)
		return proc_file_find(procfs_pid_files, rest, n);
	if (!strcmp(rest, "task")) {
		n->leaf = rest;
		return found(n, PROC_DIR, 0555);
	}
	if (!strncmp(rest, "task/", 5)) {
		rest += 5;
		if (!parse_number(&rest, &n->tid) || !pid_has_tid(t, n->pid, n->tid))
			return -ENOENT;
		return parse_in_process(t, rest, true, n);
	}
	return proc_file_find(procfs_pid_files, rest, n);
}

int procfs_parse(struct task *t, const char *name, struct proc_name *n)
{
	const char *rest;

	memset(n, 0, sizeof(*n));
	n->number = -1;
	if (path_below(name, "/sys", NULL))
		return sysfs_parse(t, name, n);
	if (!path_below(name, "/proc", &rest))
		return -ENOENT;
	if (!*rest)
		return found(n, PROC_DIR, 0555);
	rest++;
	if (!strcmp(rest, "self") || !strcmp(rest, "thread-self")) {
		n->leaf = rest;
		return found(n, PROC_LINK, 0777);
	}
	if (!parse_number(&rest, &n->pid)) {
		if (!proc_io_find(procfs_system_io, rest, n))
			return 0;
		if (!procfs_sysctl_parse(rest, n) || !procfs_mqueue_parse(rest, n))
			return 0;
		return proc_file_find(procfs_system_files, rest, n);
	}
	n->tid = n->pid;
	if (guest_proc_tids(task_guest(t), n->pid, NULL, 0) < 0)
		return -ENOENT;
	return parse_in_process(t, rest, false, n);
}

/* ---- open --------------------------------------------------------------------- */

/* Make the text and put it into @fd, in place of what was there. */
static int show_into(struct task *t, const struct proc_name *n, int fd)
{
	char *text = NULL;
	size_t size = 0, done = 0;
	FILE *out = open_memstream(&text, &size);
	ssize_t w = 0;
	int r;

	if (!out)
		return -ENOMEM;
	r = n->show(t, n, out);
	if (fclose(out) && !r)
		r = -ENOMEM;
	if (!r && ftruncate(fd, 0))
		r = -errno;
	while (!r && done < size) {
		w = pwrite(fd, text + done, size - done, (off_t)done);
		if (w <= 0)
			r = w ? -errno : -EIO;
		else
			done += (size_t)w;
	}
	free(text);
	return r;
}

int procfs_dir_fd(void)
{
	int fd = memfd_create("proc", MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_dir(struct task *t, const char *name, int flags, struct gfile **out)
{
	int fd;

	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT))
		return -EISDIR;
	fd = procfs_dir_fd();
	if (fd < 0)
		return fd;
	return gfile_create_proc(guest_filemaps(task_guest(t)), GFILE_PROC_DIR, fd, name,
				 flags & (O_PATH | O_DIRECTORY), out);
}

int procfs_open(struct task *t, const char *name, int flags, struct gfile **out)
{
	struct proc_io_file *io = NULL;
	struct proc_name n;
	int fd, r = procfs_parse(t, name, &n);

	if (r)
		return r;
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	r = procfs_may_open(t, &n, flags);
	if (r)
		return r;
	if (n.type == PROC_DIR)
		return open_dir(t, name, flags, out);
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if (n.type == PROC_LINK)
		return -ELOOP; /* links are followed before: only O_NOFOLLOW comes here */
	if ((flags & O_ACCMODE) != O_RDONLY && !n.writable)
		return -EACCES;
	fd = memfd_create(n.leaf, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!(flags & O_PATH))
		r = n.io ? proc_io_open(t, &n, &io) : show_into(t, &n, fd);
	if (r) {
		close(fd);
		return r;
	}
	r = gfile_create_proc(guest_filemaps(task_guest(t)), GFILE_PROC, fd, name,
			      flags & (O_ACCMODE | O_PATH | O_NONBLOCK), out);
	if (r)
		free(io);
	else
		(*out)->io = io;
	return r;
}

int procfs_refresh(struct task *t, struct gfile *g)
{
	struct proc_name n;
	int r = procfs_parse(t, g->path, &n);

	/* What the file told of has gone. */
	return r ? -ESRCH : show_into(t, &n, g->host_fd);
}

int64_t procfs_write(struct task *t, struct gfile *g, const struct guest_iov *iov)
{
	struct guest_iov_pos at = { 0, 0 };
	char text[UMM_PAGE_SIZE];
	struct proc_name n;
	size_t len;
	int r = procfs_parse(t, g->path, &n);

	if (r)
		return r;
	if (!n.store)
		return (int64_t)iov->total;
	if (iov->total >= sizeof(text))
		return -EINVAL;
	len = guest_iov_drain(t, iov, &at, text, iov->total);
	if (len < iov->total)
		return -EFAULT;
	text[len] = '\0';
	r = n.store(t, &n, text);
	return r ? r : (int64_t)len;
}

/* ---- questions ------------------------------------------------------------------ */

uint64_t procfs_inode(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ul; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ul;
	return (h >> 32) | 1;
}

int procfs_stat(struct task *t, const char *name, struct stat *st)
{
	static const mode_t types[] = { 0, S_IFDIR, S_IFREG, S_IFLNK };
	struct proc_name n;
	int r = procfs_parse(t, name, &n);

	if (r)
		return r;
	memset(st, 0, sizeof(*st));
	st->st_mode = types[n.type] | n.mode;
	st->st_nlink = n.type == PROC_DIR ? 2 : 1;
	st->st_ino = procfs_inode(name);
	st->st_dev = makedev(0, path_below(name, "/sys", NULL) ? 22 : 21);
	st->st_blksize = n.type == PROC_FILE && path_below(name, "/sys", NULL) ? 4096 : 1024;
	st->st_size = n.type == PROC_FILE && path_below(name, "/sys", NULL) ? 4096 : 0;
	if (n.type == PROC_LINK && n.number >= 0 && n.pid)
		st->st_size = 64;
	procfs_owner(t, &n, &st->st_uid, &st->st_gid);
	clock_gettime(CLOCK_REALTIME, &st->st_mtim);
	st->st_atim = st->st_ctim = st->st_mtim;
	return 0;
}

static int readlink_exe(struct task *t, const struct proc_name *n, char *target, size_t size)
{
	struct gfile *exe = guest_proc_exe(task_guest(t), n->pid);
	int r = exe ? gfile_readlink(exe, target, size) : -ENOENT;

	gfile_put(exe);
	return r;
}

static int readlink_fd(struct task *t, const struct proc_name *n, char *target, size_t size)
{
	struct files *f = guest_proc_files(task_guest(t), n->pid);
	struct gfile *g = f ? files_lookup(f, n->number) : NULL;
	int r = g ? gfile_readlink(g, target, size) : -ENOENT;

	gfile_put(g);
	files_put(f);
	return r;
}

static int readlink_cwd(struct task *t, const struct proc_name *n, char *target, size_t size)
{
	struct fs *fs = guest_proc_fs(task_guest(t), n->pid);
	struct fs_dir *cwd;
	int r = 0;

	if (!fs)
		return -ENOENT;
	cwd = fs_cwd(fs);
	if (cwd->path)
		snprintf(target, size, "%s", cwd->path);
	else
		r = host_fd_path(cwd->fd, target, size);
	fs_dir_put(cwd);
	fs_put(fs);
	return r;
}

/* A zombie has none. */
static int readlink_root(struct task *t, const struct proc_name *n, char *target)
{
	struct fs *fs = guest_proc_fs(task_guest(t), n->pid);

	if (!fs)
		return -ENOENT;
	fs_put(fs);
	strcpy(target, "/");
	return 0;
}

ssize_t procfs_readlink(struct task *t, const char *name, char *buf, size_t size)
{
	char target[PATH_MAX] = "";
	struct proc_name n;
	size_t len;
	int r = procfs_parse(t, name, &n);

	if (r)
		return r;
	if (n.type != PROC_LINK)
		return -EINVAL;
	r = n.pid ? procfs_may_trace(t, n.pid) : 0;
	if (r)
		return r;
	if (path_below(name, "/sys", NULL))
		r = sysfs_readlink(t, name, target, sizeof(target)) < 0 ? -EINVAL : 0;
	else if (!strcmp(n.leaf, "self"))
		snprintf(target, sizeof(target), "%d", task_pid(t));
	else if (!strcmp(n.leaf, "thread-self"))
		snprintf(target, sizeof(target), "%d/task/%d", task_pid(t), task_tid(t));
	else if (!strcmp(n.leaf, "root"))
		r = readlink_root(t, &n, target);
	else if (!strcmp(n.leaf, "exe"))
		r = readlink_exe(t, &n, target, sizeof(target));
	else if (!strcmp(n.leaf, "cwd"))
		r = readlink_cwd(t, &n, target, sizeof(target));
	else
		r = readlink_fd(t, &n, target, sizeof(target));
	if (r)
		return r == -ESRCH ? -ENOENT : r;
	len = strlen(target);
	len = len < size ? len : size;
	memcpy(buf, target, len);
	return (ssize_t)len;
}

int procfs_access(struct task *t, const char *name, int mode)
{
	struct proc_name n;
	int r = procfs_parse(t, name, &n);

	if (r)
		return r;
	if ((mode & W_OK) && n.type == PROC_FILE && !n.writable)
		return -EACCES;
	if ((mode & X_OK) && n.type == PROC_FILE)
		return -EACCES;
	return procfs_may_access(t, &n, mode);
}
