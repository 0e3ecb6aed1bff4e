/* SPDX-License-Identifier: MIT */
/* Between two descriptors without passing through the program: the host's own calls. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/file_change.h"
#include "guest/file_limit.h"
#include "guest/file_rw.h"
#include "guest/syscalls.h"

/* One end of a copy: descriptor, and the offset if the program gave one. */
struct copy_end {
	struct gfile *g;
	uint64_t user_off; /* 0: the descriptor's own offset */
	int64_t off;
};

static int end_get(struct task *t, uint64_t fd, struct copy_end *e)
{
	e->user_off = 0;
	return task_gfile_io(t, fd, &e->g);
}

static int end_read_offset(struct task *t, uint64_t user_off, struct copy_end *e)
{
	e->user_off = user_off;
	return user_off ? copy_from_user(t, &e->off, user_off, sizeof(e->off)) : 0;
}

/* Tell the program the offset that the host call left, and let go. */
static int end_put(struct task *t, struct copy_end *e)
{
	int r = 0;

	if (e->user_off && copy_to_user(t, e->user_off, &e->off, sizeof(e->off)))
		r = -EFAULT;
	gfile_put(e->g);
	return r;
}

static uint64_t end_pos(const struct copy_end *e)
{
	off_t at;

	if (e->user_off)
		return (uint64_t)e->off;
	at = lseek(e->g->host_fd, 0, SEEK_CUR);
	return at < 0 ? 0 : (uint64_t)at;
}

/* The host call @nr from @in to @out at @to, with mappings of both files kept coherent. */
static int64_t host_copy(struct task *t, long nr, struct copy_end *in, struct copy_end *out,
			 uint64_t to, uint64_t len, uint64_t flags)
{
	uint64_t in_off = in->user_off ? (uint64_t)&in->off : 0;
	uint64_t out_off = out->user_off ? (uint64_t)&out->off : 0;
	struct file_change change;
	int64_t n = file_cache_before_read(in->g, end_pos(in), len);

	if (!n)
		n = file_change_begin(out->g, to, len, &change);
	if (n)
		return n;
	if (nr == SYS_sendfile)
		n = host_syscall_blocking(t, nr, (uint64_t)out->g->host_fd,
					  (uint64_t)in->g->host_fd, in_off, len, 0, 0);
	else
		n = host_syscall_blocking(t, nr, (uint64_t)in->g->host_fd, in_off,
					  (uint64_t)out->g->host_fd, out_off, len, flags);
	file_change_end(&change, to, n > 0 ? (uint64_t)n : 0);
	return n;
}

static int64_t await_bytes(struct task *t, const struct gfile *g)
{
	struct pollfd p = { .fd = g->host_fd, .events = POLLIN };
	int64_t r = host_syscall_blocking(t, SYS_poll, (uint64_t)&p, 1, (uint64_t)-1, 0, 0, 0);

	return r < 0 ? r : 0;
}

/* A pipe may let the call wait for long: not while the file that it goes to is held. */
static bool waits_for_pipe(long nr, const struct copy_end *in, const struct copy_end *out,
			   uint64_t flags)
{
	return nr == SYS_splice && in->g->type == S_IFIFO && out->g->type == S_IFREG &&
	       !(flags & SPLICE_F_NONBLOCK) && !(gfile_flags(in->g) & O_NONBLOCK);
}

static int64_t copy_between(struct task *t, long nr, struct copy_end *in, struct copy_end *out,
			    uint64_t len, uint64_t flags)
{
	bool waits = waits_for_pipe(nr, in, out, flags);
	uint64_t to = end_pos(out);
	int64_t n = 0;

	if (len && out->g->type == S_IFREG && file_limited(t))
		n = file_limit_write(t, to, &len);
	if (n)
		return n;
	do {
		n = host_copy(t, nr, in, out, to, len, waits ? flags | SPLICE_F_NONBLOCK : flags);
		if (!waits || n != -EAGAIN)
			break;
		n = await_bytes(t, in->g);
	} while (!n);
	if (n == -EPIPE)
		task_raise(t, SIGPIPE, SI_USER, gva_make(0));
	return n == -EINTR ? -ERESTARTSYS_ : n;
}

static int64_t copy_call(struct task *t, long nr, uint64_t in_fd, uint64_t in_off, uint64_t out_fd,
			 uint64_t out_off, uint64_t len, uint64_t flags)
{
	struct copy_end in, out;
	int64_t n;
	int r = end_get(t, in_fd, &in), s;

	if (r)
		return r;
	r = end_get(t, out_fd, &out);
	if (r)
		goto out_in;
	/* A pipe has no offset; told before the offsets are read, as on Linux. */
	if (nr == SYS_splice &&
	    ((in_off && in.g->type == S_IFIFO) || (out_off && out.g->type == S_IFIFO)))
		r = -ESPIPE;
	if (!r)
		r = end_read_offset(t, out_off, &out);
	if (!r)
		r = end_read_offset(t, in_off, &in);
	if (r)
		goto out_both;
	len = len < 0x7ffff000 ? len : 0x7ffff000;
	if (!gfile_readable(in.g) || !gfile_writable(out.g))
		n = -EBADF;
	else if (in.g->io || out.g->kind != GFILE_HOST)
		n = -EINVAL; /* what is behind our descriptor is not the file */
	else
		n = copy_between(t, nr, &in, &out, len, flags);
	r = end_put(t, &in);
	s = end_put(t, &out);
	return n < 0 ? n : r ? r : s ? s : n;
out_both:
	gfile_put(out.g);
out_in:
	gfile_put(in.g);
	return r;
}

int64_t sys_sendfile(struct task *t, const uint64_t a[6])
{
	int64_t off;

	/* Before the descriptors are looked at, unlike the others. */
	if (a[2] && copy_from_user(t, &off, a[2], sizeof(off)))
		return -EFAULT;
	return copy_call(t, SYS_sendfile, a[1], a[2], a[0], 0, a[3], 0);
}

int64_t sys_copy_file_range(struct task *t, const uint64_t a[6])
{
	return copy_call(t, SYS_copy_file_range, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

int64_t sys_splice(struct task *t, const uint64_t a[6])
{
	/* Before the descriptors are looked at. */
	if (!a[4])
		return 0;
	if ((uint32_t)a[5] & ~(uint32_t)SPLICE_FLAGS)
		return -EINVAL;
	return copy_call(t, SYS_splice, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int64_t sys_tee(struct task *t, const uint64_t a[6])
{
	struct gfile *in, *out;
	int64_t r;

	if ((uint32_t)a[3] & ~(uint32_t)SPLICE_FLAGS)
		return -EINVAL;
	if (!a[2])
		return 0;
	r = task_gfile_io(t, a[0], &in);
	if (r)
		return r;
	r = task_gfile_io(t, a[1], &out);
	if (!r) {
		r = host_syscall_blocking(t, SYS_tee, (uint64_t)in->host_fd, (uint64_t)out->host_fd,
					  a[2], a[3], 0, 0);
		gfile_put(out);
	}
	gfile_put(in);
	return r == -EINTR ? -ERESTARTSYS_ : r;
}

static int splice_flags(uint64_t flags)
{
	return flags & SPLICE_F_NONBLOCK ? RWF_NOWAIT : 0;
}

/*
 * vmsplice(): the bytes are copied, where Linux may share the pages, so a gift costs
 * nothing and what is stored later is not seen in the pipe.
 */
int64_t sys_vmsplice(struct task *t, const uint64_t a[6])
{
	struct guest_iov iov;
	struct gfile *g;
	int64_t r;

	if (a[3] & ~(uint64_t)SPLICE_FLAGS)
		return -EINVAL;
	r = task_gfile_io(t, a[0], &g);
	if (r)
		return r;
	r = guest_iov_copy(t, &iov, a[1], a[2]);
	if (!r) {
		if (g->type != S_IFIFO)
			r = -EBADF;
		else if (iov.total && gfile_writable(g))
			r = file_write(t, g, &iov, -1, splice_flags(a[3]));
		else if (iov.total)
			r = file_read(t, g, &iov, -1, splice_flags(a[3]));
		guest_iov_free(&iov);
	}
	gfile_put(g);
	return r;
}
