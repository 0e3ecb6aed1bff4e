/* SPDX-License-Identifier: MIT */
/*
 * Reads from what gives its bytes once, into memory that cannot take them: guest/file_rw.h.
 *
 * Linux copies buffer by buffer and keeps the one whose copy failed. How the bytes were
 * written is not to be seen from outside; so all that are there count as one buffer, which
 * is right for the usual one. Messages, eventfds and terminals are lost there, too. Of an inotify's
 * events that one is lost which was not copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "guest/file_rw.h"

size_t guest_iov_room(struct task *t, const struct guest_iov *iov)
{
	size_t room = 0, len, part;

	for (unsigned int i = 0; i < iov->nr; i++) {
		len = iov->v[i].iov_len;
		part = mm_writable_span(task_mm(t), gva_make((uint64_t)iov->v[i].iov_base), len);
		room += part;
		if (part < len)
			break;
	}
	return room;
}

static bool is_stream(const struct gfile *g)
{
	int type;
	socklen_t len = sizeof(type);

	if (g->type != S_IFSOCK)
		return g->type == S_IFIFO;
	return !getsockopt(g->host_fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

/* Until there are bytes, an end or an error; how many bytes, or -errno. */
static int64_t await_bytes(struct task *t, const struct gfile *g, bool dont_wait)
{
	struct pollfd p = { .fd = g->host_fd, .events = POLLIN | POLLRDHUP };
	int64_t r;
	int nr;

	for (;;) {
		r = host_syscall_blocking(t, SYS_poll, (uint64_t)&p, 1,
					  dont_wait ? 0 : (uint64_t)-1, 0, 0, 0);
		if (r < 0)
			return r == -EINTR ? -ERESTARTSYS_ : r;
		if (!r)
			return -EAGAIN;
		if (!ioctl(g->host_fd, FIONREAD, &nr) && nr > 0)
			return nr;
		/* Else somebody else was faster. */
		if (p.revents & ~POLLIN)
			return 0;
		if (dont_wait)
			return -EAGAIN;
	}
}

int stream_room(struct task *t, const struct gfile *g, const struct guest_iov *iov, bool dont_wait,
		size_t *room)
{
	int64_t bytes;

	*room = guest_iov_room(t, iov);
	if (*room == iov->total)
		return 0;
	if (!is_stream(g)) {
		*room = iov->total;
		return 0;
	}
	bytes = await_bytes(t, g, dont_wait || (gfile_flags(g) & O_NONBLOCK));
	if (bytes < 0)
		return (int)bytes;
	if (!bytes)
		*room = 0;
	return (uint64_t)bytes > *room ? -EFAULT : 0;
}

/* ---- inotify ------------------------------------------------------------------ */

#define EVENT_HEAD sizeof(struct inotify_event)
/* A name is padded to whole heads. */
#define EVENT_MAX (EVENT_HEAD + ((NAME_MAX + EVENT_HEAD) & ~(EVENT_HEAD - 1)))

/* One event: the host gives none to a buffer that is smaller, and no two fit the first that is not. */
static int64_t read_event(struct task *t, const struct gfile *g, char *buf, size_t size)
{
	size_t len = size < EVENT_HEAD ? size : EVENT_HEAD;
	int64_t n;

	do {
		n = host_syscall_blocking(t, SYS_read, (uint64_t)g->host_fd, (uint64_t)buf, len, 0,
					  0, 0);
		len += EVENT_HEAD;
	} while (n == -EINVAL && len <= size);
	return n;
}

int64_t inotify_read_events(struct task *t, const struct gfile *g, const struct guest_iov *iov)
{
	struct guest_iov_pos at = { 0, 0 };
	size_t done = 0, size;
	char buf[EVENT_MAX];
	int64_t n, left;
	int ahead;

	do {
		size = iov->total - done < sizeof(buf) ? iov->total - done : sizeof(buf);
		n = read_event(t, g, buf, size);
		if (n < 0)
			return done ? (int64_t)done : n == -EINTR ? -ERESTARTSYS_ : n;
		if (guest_iov_fill(t, iov, &at, buf, (size_t)n) < (size_t)n)
			return -EFAULT;
		done += (size_t)n;
		/* Only the first is waited for. */
		left = ioctl(g->host_fd, FIONREAD, &ahead) ? 0 : ahead;
	} while (left > 0);
	return (int64_t)done;
}
