/* SPDX-License-Identifier: MIT */
/*
 * Sending and receiving on sockets. The data goes through a buffer of ours, as a
 * socket may block for ever (guest/file_rw.h); descriptors that travel along
 * (SCM_RIGHTS) are translated both ways by guest/rights.c.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "guest/file_rw.h"
#include "guest/socket.h"
#include "guest/syscalls.h"
#include "guest/wait_time.h"

/* The largest single transfer: more is a short count, as a full socket gives. */
#define MSG_BYTES_MAX (4u << 20)
/* Room for ancillary data: 253 descriptors and credentials fit in 1100 bytes. */
#define CONTROL_MAX 8192

/* ---- sending ------------------------------------------------------------------------ */

static bool is_stream(const struct gfile *g)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return !getsockopt(g->host_fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

/* Send all of @iov with the header's address and control data. */
static int64_t send_iov(struct task *t, struct gfile *g, const struct guest_iov *iov,
			struct msghdr *msg, int flags)
{
	size_t size = iov->total < MSG_BYTES_MAX ? iov->total : MSG_BYTES_MAX, done = 0, want;
	struct guest_iov_pos at = { 0, 0 };
	char *buf = malloc(size + 1);
	struct iovec v = { buf, 0 };
	int64_t n;

	if (!buf)
		return -ENOMEM;
	msg->msg_iov = &v;
	msg->msg_iovlen = 1;
	do {
		want = iov->total - done < size ? iov->total - done : size;
		v.iov_len = guest_iov_drain(t, iov, &at, buf, want);
		if (v.iov_len < want) {
			n = -EFAULT;
			break;
		}
		n = host_syscall_blocking(t, SYS_sendmsg, (uint64_t)g->host_fd, (uint64_t)msg,
					  (uint64_t)(unsigned int)(flags | MSG_NOSIGNAL), 0, 0, 0);
		if (n < 0)
			break;
		done += (size_t)n;
		msg->msg_control = NULL; /* descriptors go with the first bytes only */
		msg->msg_controllen = 0;
	} while ((size_t)n == v.iov_len && done < iov->total && is_stream(g));
	free(buf);
	if (n == -EPIPE && !(flags & MSG_NOSIGNAL))
		task_raise(t, SIGPIPE, SI_USER, gva_make(0));
	if (done)
		return (int64_t)done;
	return sock_interrupted(g, n, SO_SNDTIMEO);
}

int64_t sys_sendto(struct task *t, const uint64_t a[6])
{
	struct msghdr msg = { .msg_name = NULL };
	struct sock_address addr;
	struct guest_iov iov;
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = guest_iov_single(&iov, a[1], a[2]);
	if (!r)
		r = sock_address_load(t, a[4], a[4] ? (unsigned int)a[5] : 0, &addr);
	if (!r) {
		msg.msg_name = addr.len ? &addr.sa : NULL;
		msg.msg_namelen = addr.len;
		r = send_iov(t, g, &iov, &msg, (int)a[3]);
		sock_address_release(&addr);
	}
	gfile_put(g);
	return r;
}

/* The program's msghdr, with the pieces of it in our memory. */
struct guest_msg {
	struct msghdr user; /* as the program wrote it: guest addresses */
	struct guest_iov iov;
	struct sock_address addr;
	char control[CONTROL_MAX] __attribute__((aligned(8)));
};

static int guest_msg_load(struct task *t, uint64_t user, struct guest_msg *m)
{
	if (copy_from_user(t, &m->user, user, sizeof(m->user)))
		return -EFAULT;
	if (m->user.msg_controllen > INT32_MAX)
		return -ENOBUFS;
	if (m->user.msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	return guest_iov_copy(t, &m->iov, (uint64_t)m->user.msg_iov, m->user.msg_iovlen);
}

static int64_t send_msg(struct task *t, struct gfile *g, uint64_t user, int flags)
{
	struct msghdr msg = { .msg_name = NULL };
	struct rights_sent sent = { .nr = 0 };
	struct guest_msg m;
	int64_t r = guest_msg_load(t, user, &m);

	if (r)
		return r;
	r = sock_address_load(t, (uint64_t)m.user.msg_name,
			      m.user.msg_name ? m.user.msg_namelen : 0, &m.addr);
	if (r)
		goto out_iov;
	if (m.user.msg_controllen > sizeof(m.control)) {
		r = -ENOBUFS;
	} else if (m.user.msg_controllen) {
		msg.msg_control = m.control;
		msg.msg_controllen = m.user.msg_controllen;
		r = copy_from_user(t, m.control, (uint64_t)m.user.msg_control, msg.msg_controllen);
		if (!r)
			r = rights_to_host(t, g, &msg, &sent);
	}
	if (!r) {
		msg.msg_name = m.addr.len ? &m.addr.sa : NULL;
		msg.msg_namelen = m.addr.len;
		r = send_iov(t, g, &m.iov, &msg, flags);
	}
	rights_sent_release(&sent);
	sock_address_release(&m.addr);
out_iov:
	guest_iov_free(&m.iov);
	return r;
}

int64_t sys_sendmsg(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = send_msg(t, g, a[1], (int)a[2]);
	gfile_put(g);
	return r;
}

/* ---- receiving ---------------------------------------------------------------------- */

/* One message into @iov. The host's header is in @msg: flags, name, control data. */
static int64_t recv_iov(struct task *t, struct gfile *g, const struct guest_iov *iov,
			struct msghdr *msg, int flags)
{
	size_t size = iov->total, len;
	struct guest_iov_pos at = { 0, 0 };
	struct iovec v;
	int64_t n = 0;
	char *buf;

	if (!(flags & (MSG_PEEK | MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE)))
		n = stream_room(t, g, iov, flags & MSG_DONTWAIT, &size);
	if (n)
		return n;
	size = size < MSG_BYTES_MAX ? size : MSG_BYTES_MAX;
	buf = malloc(size + 1);
	v = (struct iovec){ buf, size };
	if (!buf)
		return -ENOMEM;
	msg->msg_iov = &v;
	msg->msg_iovlen = 1;
	n = host_syscall_blocking(t, SYS_recvmsg, (uint64_t)g->host_fd, (uint64_t)msg,
				  (uint64_t)(unsigned int)(flags | MSG_CMSG_CLOEXEC), 0, 0, 0);
	if (n > 0) {
		/* With MSG_TRUNC n is the size of the message, not what fits. */
		len = (size_t)n < size ? (size_t)n : size;
		if (guest_iov_fill(t, iov, &at, buf, len) < len) {
			rights_drop(msg);
			n = -EFAULT;
		}
	}
	free(buf);
	return sock_interrupted(g, n, SO_RCVTIMEO);
}

int64_t sys_recvfrom(struct task *t, const uint64_t a[6])
{
	struct sockaddr_storage sa;
	struct msghdr msg = { .msg_name = &sa, .msg_namelen = sizeof(sa) };
	struct guest_iov iov;
	struct gfile *g;
	int64_t n = task_socket(t, a[0], &g), r;

	if (n)
		return n;
	n = guest_iov_single(&iov, a[1], a[2]);
	if (!n)
		n = recv_iov(t, g, &iov, &msg, (int)a[3]);
	gfile_put(g);
	if (n >= 0 && a[4]) {
		r = sock_address_store(t, &sa, msg.msg_namelen, a[4], a[5]);
		n = r ? r : n;
	}
	return n;
}

/* What the host filled in, back into the program's header at @user. */
static int recv_results(struct task *t, uint64_t user, struct guest_msg *m,
			const struct msghdr *msg, int flags)
{
	size_t name = msg->msg_namelen < m->user.msg_namelen ? msg->msg_namelen
							     : m->user.msg_namelen;
	struct msghdr result = m->user;

	if (m->user.msg_name && copy_to_user(t, (uint64_t)m->user.msg_name, &m->addr.sa, name))
		return -EFAULT;
	if (msg->msg_controllen &&
	    copy_to_user(t, (uint64_t)m->user.msg_control, m->control, msg->msg_controllen))
		return -EFAULT;
	result.msg_namelen = m->user.msg_name ? msg->msg_namelen : m->user.msg_namelen;
	result.msg_controllen = msg->msg_controllen;
	/* The host was always asked for it. */
	result.msg_flags = (msg->msg_flags & ~MSG_CMSG_CLOEXEC) | (flags & MSG_CMSG_CLOEXEC);
	return copy_to_user(t, user, &result, sizeof(result));
}

/* What cannot be stored to is as good as not there: the message is told to be cut. */
static size_t control_room(struct task *t, const struct guest_msg *m)
{
	size_t len = m->user.msg_controllen;

	len = len < sizeof(m->control) ? len : sizeof(m->control);
	return mm_writable_span(task_mm(t), gva_make((uint64_t)m->user.msg_control), len);
}

static int64_t recv_msg(struct task *t, struct gfile *g, uint64_t user, int flags)
{
	struct msghdr msg = { .msg_name = NULL };
	struct guest_msg m;
	int64_t n = guest_msg_load(t, user, &m);

	if (n)
		return n;
	msg.msg_name = &m.addr.sa;
	msg.msg_namelen = sizeof(m.addr.sa);
	msg.msg_control = m.control;
	msg.msg_controllen = control_room(t, &m);
	n = recv_iov(t, g, &m.iov, &msg, flags);
	if (n >= 0) {
		rights_to_guest(t, g, &msg, flags & MSG_CMSG_CLOEXEC);
		if (recv_results(t, user, &m, &msg, flags))
			n = -EFAULT;
	}
	guest_iov_free(&m.iov);
	return n;
}

int64_t sys_recvmsg(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = recv_msg(t, g, a[1], (int)a[2]);
	gfile_put(g);
	return r;
}

/* ---- many messages -------------------------------------------------------------------- */

static int64_t many(struct task *t, const uint64_t a[6], bool send, uint64_t deadline)
{
	unsigned int nr = (unsigned int)a[2] < IOV_MAX ? (unsigned int)a[2] : IOV_MAX, i;
	uint64_t user;
	struct gfile *g;
	int flags = (int)a[3];
	uint32_t len;
	int64_t n = task_socket(t, a[0], &g);

	if (n)
		return n;
	for (i = 0; i < nr; i++) {
		user = a[1] + i * sizeof(struct mmsghdr);
		n = send ? send_msg(t, g, user, flags)
			 : recv_msg(t, g, user, flags & ~MSG_WAITFORONE);
		if (n < 0)
			break;
		len = (uint32_t)n;
		n = copy_to_user(t, user + offsetof(struct mmsghdr, msg_len), &len, sizeof(len));
		if (n)
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (deadline != WAIT_FOREVER && wait_now() >= deadline) {
			i++;
			break;
		}
	}
	gfile_put(g);
	return i ? i : n;
}

int64_t sys_sendmmsg(struct task *t, const uint64_t a[6])
{
	return many(t, a, true, WAIT_FOREVER);
}

int64_t sys_recvmmsg(struct task *t, const uint64_t a[6])
{
	uint64_t deadline;
	int r = wait_deadline_user(t, a[4], &deadline);

	return r ? r : many(t, a, false, deadline);
}
