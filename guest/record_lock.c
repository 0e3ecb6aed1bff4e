/* SPDX-License-Identifier: MIT */
/* fcntl() record locks of guest processes; guest/files.h tells how. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/files.h"
#include "guest/host_dir.h"
#include "guest/record_holder.h"

static struct record_owner *owner_find(struct record_owner *o, uint64_t dev, uint64_t ino)
{
	while (o && (o->ino != ino || o->dev != dev))
		o = o->next;
	return o;
}

/* Opened for both ways if the host lets us, as a lock needs the matching mode. */
static int lock_file_open(const struct gfile *g)
{
	static const int modes[] = { O_RDWR, O_RDONLY, O_WRONLY };
	char name[64];
	size_t i;
	int fd;

	snprintf(name, sizeof(name), "self/fd/%d", g->host_fd);
	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		fd = host_proc_open(name, modes[i] | O_NOCTTY | O_NONBLOCK);
		if (fd >= 0)
			return fd;
	}
	return fd;
}

/*
 * A duplicate of the descriptor that carries the locks of this process on this
 * file, so that another thread's close() cannot pull it away under a wait.
 */
static int lock_file_get(struct files *f, int32_t pid, const struct gfile *g, bool make)
{
	struct record_owner *o, *fresh = NULL, **list = files_record_owners(f);
	int fd = -ENOENT;

	files_lock(f);
	o = owner_find(*list, g->dev, g->ino);
	if (!o && make) {
		fresh = calloc(1, sizeof(*fresh));
		fd = fresh ? lock_file_open(g) : -ENOMEM;
		if (fd >= 0) {
			*fresh = (struct record_owner){ .next = *list,
							.files = f,
							.pid = pid,
							.dev = g->dev,
							.ino = g->ino,
							.fd = fd };
			record_owner_list(fresh);
			*list = o = fresh;
		} else {
			free(fresh);
		}
	}
	if (o) {
		fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
		fd = fd < 0 ? -errno : fd;
	}
	files_unlock(f);
	return fd;
}

int record_owner_drop(struct record_owner **list, uint64_t dev, uint64_t ino)
{
	struct record_owner *o = owner_find(*list, dev, ino);
	int fd;

	if (!o)
		return -1;
	while (*list != o)
		list = &(*list)->next;
	*list = o->next;
	record_owner_unlist(o);
	fd = o->fd;
	free(o);
	return fd;
}

void record_owners_free(struct record_owner *list)
{
	struct record_owner *next;

	for (; list; list = next) {
		next = list->next;
		record_owner_unlist(list);
		close(list->fd);
		free(list);
	}
}

static int lock_check(const struct gfile *g, int cmd, struct flock *fl)
{
	if (fl->l_type != F_RDLCK && fl->l_type != F_WRLCK && fl->l_type != F_UNLCK)
		return -EINVAL;
	if (cmd == F_GETLK)
		return fl->l_type == F_UNLCK ? -EINVAL : 0;
	if ((fl->l_type == F_RDLCK && !gfile_readable(g)) ||
	    (fl->l_type == F_WRLCK && !gfile_writable(g)))
		return -EBADF;
	return 0;
}

/* Waits once it is known that something is in the way, and that no circle comes of it. */
static int64_t lock_wait(struct task *t, const struct gfile *g, int fd, struct flock *fl)
{
	struct record_wait w = { .files = task_files(t), .file = g, .fd = fd, .fl = *fl };
	int64_t r = fcntl(fd, F_OFD_SETLK, fl) ? -errno : 0;

	if (r != -EAGAIN && r != -EACCES)
		return r;
	r = record_wait_begin(&w);
	if (r)
		return r;
	r = host_syscall_blocking(t, SYS_fcntl, (uint64_t)fd, F_OFD_SETLKW, (uint64_t)fl, 0, 0, 0);
	record_wait_end(&w);
	return r == -EINTR ? -ERESTARTSYS_ : r;
}

int record_lock(struct task *t, struct gfile *g, int cmd, uint64_t user_flock)
{
	struct flock fl;
	int64_t r;
	int fd;

	if (copy_from_user(t, &fl, user_flock, sizeof(fl)))
		return -EFAULT;
	r = lock_check(g, cmd, &fl);
	if (r)
		return (int)r;
	if (fl.l_whence == SEEK_CUR) {
		fl.l_start += lseek(g->host_fd, 0, SEEK_CUR);
		fl.l_whence = SEEK_SET;
	}
	fd = lock_file_get(task_files(t), task_pid(t), g, fl.l_type != F_UNLCK);
	if (fd == -ENOENT && fl.l_type == F_UNLCK)
		return 0;
	if (fd < 0)
		return fd;
	fl.l_pid = 0;
	if (cmd == F_SETLKW)
		r = lock_wait(t, g, fd, &fl);
	else
		r = fcntl(fd, cmd == F_GETLK ? F_OFD_GETLK : F_OFD_SETLK, &fl) ? -errno : 0;
	close(fd);
	if (!r && cmd == F_GETLK) {
		record_holder_name(g, &fl);
		r = copy_to_user(t, user_flock, &fl, sizeof(fl));
	}
	return (int)r;
}
