/* SPDX-License-Identifier: MIT */
/* The working directory, listings, umask. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/procfs.h"
#include "guest/syscalls.h"

#define GETDENTS_MAX 65536u

/* ---- working directory ----------------------------------------------------- */

static int64_t chdir_host(struct task *t, int dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	fd = *name ? openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC)
		   : fcntl(dir, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	/* O_PATH asks for no permission; a working directory must be searchable. */
	if (faccessat(fd, ".", X_OK, AT_EACCESS)) {
		close(fd);
		return -EACCES;
	}
	if (host_fd_path(fd, path, sizeof(path)))
		path[0] = 0;
	return fs_set_cwd(task_fs(t), fd, strcmp(path, "/") ? NULL : path);
}

static int64_t chdir_proc(struct task *t, const char *name)
{
	struct stat st;
	int fd, r = procfs_stat(t, name, &st);

	if (r)
		return r;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	fd = procfs_dir_fd();
	return fd < 0 ? fd : fs_set_cwd(task_fs(t), fd, name);
}

int64_t sys_chdir(struct task *t, const uint64_t a[6])
{
	struct gpath p;
	int64_t r = path_resolve_user(t, AT_FDCWD, a[0], PATH_EXISTS, &p);

	if (r)
		return r;
	r = p.kind == GPATH_PROC ? chdir_proc(t, p.name) : chdir_host(t, p.host_dir, p.name);
	path_release(&p);
	return r;
}

int64_t sys_fchdir(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile(t, a[0], &g);

	if (r)
		return r;
	if (g->type != S_IFDIR)
		r = -ENOTDIR;
	else
		r = g->kind == GFILE_PROC_DIR ? chdir_proc(t, g->path)
					      : chdir_host(t, g->host_fd, "");
	gfile_put(g);
	return r;
}

int64_t sys_getcwd(struct task *t, const uint64_t a[6])
{
	static const char deleted[] = " (deleted)";
	struct fs_dir *cwd = fs_cwd(task_fs(t));
	char path[PATH_MAX];
	struct stat st;
	size_t len;
	int r = 0;

	if (cwd->path)
		strcpy(path, cwd->path);
	else
		r = host_fd_path(cwd->fd, path, sizeof(path));
	if (!r && !cwd->path && strlen(path) > sizeof(deleted) &&
	    !strcmp(path + strlen(path) - strlen(deleted), deleted) &&
	    (fstat(cwd->fd, &st) || !st.st_nlink))
		r = -ENOENT;
	fs_dir_put(cwd);
	if (r)
		return r;
	len = strlen(path) + 1;
	if (len > a[1])
		return -ERANGE;
	return copy_to_user(t, a[0], path, len) ? -EFAULT : (int64_t)len;
}

int64_t sys_umask(struct task *t, const uint64_t a[6])
{
	return fs_set_umask(task_fs(t), (mode_t)a[0]);
}

int64_t sys_chroot(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	struct gpath p;
	int r = path_resolve_user(t, AT_FDCWD, a[0], 0, &p);

	if (r)
		return r;
	r = path_open(t, &p, O_PATH | O_DIRECTORY, 0, NULL, &g);
	path_release(&p);
	if (r)
		return r;
	gfile_put(g);
	return -EPERM;
}

/* ---- listings --------------------------------------------------------------- */

struct dirent_out {
	char *buf;
	size_t size, used;
	uint64_t index;       /* of the next entry whose name is no number */
	uint64_t skip, place; /* entries below this place were given out; the last one's */
};

/*
 * Numbers (descriptors, processes) have a place of their own, behind the names, so that
 * a listing goes on rightly when what it has told of is closed or ends meanwhile.
 */
#define PLACE_NUMBERS (1u << 20)

static uint64_t entry_place(struct dirent_out *o, const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	return *end ? o->index++ : PLACE_NUMBERS + number;
}

/* struct linux_dirent64: ino, off, reclen, type, name, padded to 8 bytes. */
static int emit_entry(const char *name, unsigned char type, uint64_t ino, void *arg)
{
	struct dirent_out *o = arg;
	size_t header = offsetof(struct dirent64, d_name), len;
	struct dirent64 *d;
	uint64_t place;

	place = entry_place(o, name);
	if (place < o->skip)
		return 0;
	len = (header + strlen(name) + 1 + 7) & ~7ul;
	if (o->used + len > o->size)
		return 1;
	d = (struct dirent64 *)(o->buf + o->used);
	memset(d, 0, len);
	d->d_ino = ino;
	o->place = place + 1;
	d->d_off = (off_t)o->place;
	d->d_reclen = (unsigned short)len;
	d->d_type = type;
	memcpy(o->buf + o->used + header, name, strlen(name) + 1);
	o->used += len;
	return 0;
}

static int64_t list_proc_dir(struct task *t, struct gfile *g, char *buf, size_t size)
{
	struct dirent_out o = { .buf = buf, .size = size };
	uint64_t ino = procfs_inode(g->path);
	int r;

	o.skip = __atomic_load_n(&g->dir_pos, __ATOMIC_RELAXED);
	o.place = o.skip;
	r = emit_entry(".", DT_DIR, ino, &o);
	if (!r)
		r = emit_entry("..", DT_DIR, ino, &o);
	if (!r)
		r = procfs_list(t, g->path, emit_entry, &o);
	if (r < 0)
		return r;
	if (r && !o.used)
		return -EINVAL; /* the buffer is too small for one entry */
	__atomic_store_n(&g->dir_pos, o.place, __ATOMIC_RELAXED);
	return (int64_t)o.used;
}

/*
 * The entries as getdents() has always given them: without a type before the name, which
 * is in the last byte instead. An entry is of the same length so.
 */
static void make_old_entries(char *buf, int64_t n)
{
	size_t header = offsetof(struct dirent64, d_name);

	for (int64_t at = 0; at < n;) {
		struct dirent64 *d = (struct dirent64 *)(buf + at);
		char *entry = buf + at, type = (char)d->d_type;

		at += d->d_reclen;
		memmove(entry + header - 1, entry + header, d->d_reclen - header);
		entry[d->d_reclen - 1] = type;
	}
}

static int64_t list_dir(struct task *t, const uint64_t a[6], void (*change)(char *buf, int64_t n))
{
	size_t size = (unsigned int)a[2] < GETDENTS_MAX ? (unsigned int)a[2] : GETDENTS_MAX;
	struct gfile *g;
	char *buf;
	off_t before = 0;
	int64_t n = task_gfile_io(t, a[0], &g);

	if (n)
		return n;
	buf = calloc(1, size + 1);
	if (!buf) {
		n = -ENOMEM;
	} else if (g->type != S_IFDIR) {
		n = -ENOTDIR;
	} else if (g->kind == GFILE_PROC_DIR) {
		n = list_proc_dir(t, g, buf, size);
	} else {
		before = lseek(g->host_fd, 0, SEEK_CUR);
		n = syscall(SYS_getdents64, g->host_fd, buf, size);
		n = n < 0 ? -errno : n;
	}
	if (n > 0 && change)
		change(buf, n);
	if (n > 0 && copy_to_user(t, a[1], buf, (size_t)n)) {
		if (g->kind == GFILE_HOST)
			lseek(g->host_fd, before, SEEK_SET);
		n = -EFAULT;
	}
	free(buf);
	gfile_put(g);
	return n;
}

int64_t sys_getdents(struct task *t, const uint64_t a[6])
{
	return list_dir(t, a, make_old_entries);
}

int64_t sys_getdents64(struct task *t, const uint64_t a[6])
{
	return list_dir(t, a, NULL);
}
