/* SPDX-License-Identifier: MIT */
/* Opening, reading, writing and seeking in files of /proc and /sys that are no text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/file_rw.h"
#include "guest/proc_io.h"
#include "guest/task.h"

int proc_io_find(const struct proc_io_name *names, const char *leaf, struct proc_name *n)
{
	for (; names->name; names++) {
		if (strcmp(names->name, leaf))
			continue;
		n->type = PROC_FILE;
		n->mode = names->mode;
		n->leaf = names->name;
		n->io = names->io;
		n->writable = true; /* a write that is not meant to be is EINVAL */
		return 0;
	}
	return -ENOENT;
}

/* ---- open ------------------------------------------------------------------------------ */

static int serial_of(struct task *t, int32_t pid, uint64_t *serial)
{
	struct guest *g = task_guest(t);
	struct task *thread;
	int err = -ESRCH;
	struct proc *p;

	guest_lock(g);
	p = proc_find(g, pid);
	if (p && !creds_may_trace(t, p)) {
		err = -EACCES;
	} else if (p && !list_empty(&p->tasks)) {
		thread = list_first_entry(&p->tasks, struct task, link);
		if (thread->mm) {
			*serial = thread->mm->serial;
			err = 0;
		}
	}
	guest_unlock(g);
	return err;
}

int proc_io_open(struct task *t, const struct proc_name *n, struct proc_io_file **out)
{
	struct proc_io_file *f;
	uint64_t serial = 0;
	int r = 0;

	if (n->io->of_process)
		r = serial_of(t, n->pid, &serial);
	if (r)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->ops = n->io;
	f->serial = serial;
	f->pfns = !geteuid();
	*out = f;
	return 0;
}

/* ---- read and write -------------------------------------------------------------------- */

/* One chunk: what the file's function says, or -EFAULT. */
static int64_t move_chunk(struct task *t, struct proc_io_call *c, const struct guest_iov *iov,
			  struct guest_iov_pos *at, size_t want, bool write)
{
	char buf[PROC_IO_CHUNK];
	int64_t n;

	if (write)
		return guest_iov_drain(t, iov, at, buf, want) < want
			       ? -EFAULT
			       : c->file->ops->write(c, buf, want);
	n = c->file->ops->read(c, buf, want);
	if (n > 0 && guest_iov_fill(t, iov, at, buf, (size_t)n) < (size_t)n)
		return -EFAULT;
	return n;
}

/* As many bytes as there are; what was done so far goes to *done, also on failure. */
static int64_t move_chunks(struct task *t, struct proc_io_call *c, const struct guest_iov *iov,
			   size_t total, bool write, size_t *done)
{
	struct guest_iov_pos at = { 0, 0 };
	size_t want;
	int64_t n;

	do {
		want = total - *done < PROC_IO_CHUNK ? total - *done : PROC_IO_CHUNK;
		n = move_chunk(t, c, iov, &at, want, write);
		if (n <= 0)
			return n;
		*done += (size_t)n;
		c->pos += (uint64_t)n;
		if ((size_t)n < want || (task_has_work(t) && task_is_killed(t)))
			break;
	} while (*done < total);
	return 0;
}

static int64_t transfer(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos,
			bool write)
{
	const struct proc_io *ops = g->io->ops;
	struct proc_io_call c = {
		.file = g->io,
		.sys = guest_config(task_guest(t))->sys,
		.pos = pos < 0 ? (uint64_t)lseek(g->host_fd, 0, SEEK_CUR) : (uint64_t)pos,
	};
	size_t total = iov->total, done = 0;
	int64_t r;

	if ((write ? !ops->write : !ops->read) || (!ops->any_pos && c.pos > INT64_MAX - total))
		return -EINVAL;
	if (ops->of_process) {
		c.mm = mm_find_serial(c.sys, g->io->serial);
		if (!c.mm)
			return 0;
	}
	r = -EINVAL;
	if (!((c.pos | total) % ops->unit)) {
		if (ops->one_chunk && total > PROC_IO_CHUNK)
			total = PROC_IO_CHUNK;
		/* A write of nothing is one that the file sees, a read of nothing is done. */
		r = total || write ? move_chunks(t, &c, iov, total, write, &done) : 0;
	}
	if (c.mm)
		mm_put(c.mm);
	if (pos < 0 && done)
		lseek(g->host_fd, (off_t)c.pos, SEEK_SET);
	/* A bad buffer is told of even if something was moved, other ends are not. */
	return done && r != -EFAULT ? (int64_t)done : r;
}

int64_t proc_io_read(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos)
{
	return transfer(t, g, iov, pos, false);
}

int64_t proc_io_write(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos)
{
	/* Linux asks a file about a buffer of nothing, but not about a vector of nothing. */
	if (!iov->total && iov->v != &iov->one)
		return 0;
	return transfer(t, g, iov, pos, true);
}

int64_t proc_io_seek(struct gfile *g, int64_t offset, int whence)
{
	off_t at;

	if (whence != SEEK_SET && whence != SEEK_CUR &&
	    !(g->io->ops->any_seek && whence == SEEK_END))
		return -EINVAL;
	at = lseek(g->host_fd, offset, whence);
	return at < 0 ? -errno : at;
}

int64_t proc_io_ioctl(struct task *t, struct gfile *g, unsigned int request, uint64_t arg)
{
	struct proc_io_call c = { .file = g->io, .sys = guest_config(task_guest(t))->sys };
	int64_t r;

	if (!g->io->ops->ioctl)
		return -ENOTTY;
	c.mm = mm_find_serial(c.sys, g->io->serial);
	r = g->io->ops->ioctl(t, &c, request, arg);
	if (c.mm)
		mm_put(c.mm);
	return r;
}
