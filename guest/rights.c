/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that travel along with a message. Most are the host's, and pass through its socket
 * as they are; what is more than a host descriptor travels as guest/in_flight.h tells.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "guest/ctty.h"
#include "guest/in_flight.h"
#include "guest/socket.h"
#include "guest/task.h"

/* Newer than the headers we build with. */
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

/* The other end is known to be somebody outside: no token of ours means anything there. */
static bool leads_outside(const struct gfile *sock)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	return !getsockopt(sock->host_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.pid &&
	       peer.pid != getpid();
}

static size_t count_fds(const struct cmsghdr *c)
{
	return c->cmsg_len < CMSG_LEN(0) ? 0 : (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static int get_fd(const struct cmsghdr *c, size_t i)
{
	int fd;

	memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
	return fd;
}

static void set_fd(struct cmsghdr *c, size_t i, int fd)
{
	memcpy(CMSG_DATA(c) + i * sizeof(fd), &fd, sizeof(fd));
}

/* ---- sending -------------------------------------------------------------------- */

void rights_sent_release(struct rights_sent *sent)
{
	while (sent->nr) {
		sent->nr--;
		if (sent->token[sent->nr] >= 0)
			close(sent->token[sent->nr]);
		gfile_put(sent->held[sent->nr]);
	}
}

/* The host's number for the guest's @fd, or -errno. */
static int send_one(struct task *t, const struct gfile *sock, int fd, struct rights_sent *sent)
{
	struct gfile *g;
	int r;

	if (sent->nr == SCM_MAX_FDS)
		return -EINVAL;
	r = task_gfile(t, (uint64_t)fd, &g);
	if (r)
		return r;
	sent->held[sent->nr] = g;
	sent->token[sent->nr] = -1;
	sent->nr++;
	if (!in_flight_wants_token(g) || leads_outside(sock))
		return g->host_fd;
	r = in_flight_token(t->g->in_flight, g);
	if (r >= 0)
		sent->token[sent->nr - 1] = r;
	return r;
}

int rights_to_host(struct task *t, const struct gfile *sock, struct msghdr *msg,
		   struct rights_sent *sent)
{
	struct cmsghdr *c;
	size_t i;
	int fd;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_len < CMSG_LEN(0) ||
		    c->cmsg_len >
			    (size_t)((char *)msg->msg_control + msg->msg_controllen - (char *)c))
			return -EINVAL;
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS &&
		    c->cmsg_len >= CMSG_LEN(sizeof(struct ucred)))
			((struct ucred *)CMSG_DATA(c))->pid = getpid();
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < count_fds(c); i++) {
			fd = send_one(t, sock, get_fd(c, i), sent);
			if (fd < 0)
				return fd;
			set_fd(c, i, fd);
		}
	}
	return 0;
}

/* ---- receiving ------------------------------------------------------------------- */

/*
 * The guest's number for the host's @fd, which is owned from now on, or -errno. What comes from
 * outside into a confined guest is like what was open when the guest was started.
 */
static int receive_one(struct task *t, const struct gfile *sock, int fd, bool cloexec)
{
	struct gfile *g = in_flight_find(t->g->in_flight, fd);
	int r;

	if (g) {
		close(fd);
		return files_install(t, g, cloexec);
	}
	r = gfile_create(guest_filemaps(t->g), fd, -1, &g);
	if (r)
		return r;
	g->sealed = guest_config(t->g)->own_root && leads_outside(sock);
	if (g->sealed && S_ISDIR(g->type)) {
		gfile_put(g);
		return -EISDIR;
	}
	ctty_attach(t->g, g);
	return files_install(t, g, cloexec);
}

/* How many were received; those after the first that finds no number are closed. */
static size_t receive_all(struct task *t, const struct gfile *sock, struct cmsghdr *c, bool cloexec)
{
	size_t nr = count_fds(c), kept = 0, i;
	int fd = 0;

	for (i = 0; i < nr; i++) {
		if (fd < 0) {
			close(get_fd(c, i));
			continue;
		}
		fd = receive_one(t, sock, get_fd(c, i), cloexec);
		if (fd >= 0)
			set_fd(c, kept++, fd);
	}
	return kept;
}

static bool holds_fds(const struct cmsghdr *c)
{
	return c->cmsg_level == SOL_SOCKET &&
	       (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_PIDFD);
}

static void close_all(const struct cmsghdr *c)
{
	size_t i;

	for (i = 0; i < count_fds(c); i++)
		close(get_fd(c, i));
}

/*
 * One message of control data, at @c. Its new length, 0: nothing is left of it. The host's descriptor
 * of a process (SCM_PIDFD) means nothing here: whoever made the socket outside had asked for it. Its
 * number neither, and which of the guest's processes sent is not known: 0, as for one that is in
 * another pid namespace.
 */
static size_t receive_control(struct task *t, const struct gfile *sock, struct cmsghdr *c,
			      struct msghdr *msg, bool cloexec)
{
	size_t nr, kept;

	if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
	    c->cmsg_len >= CMSG_LEN(sizeof(struct ucred)))
		((struct ucred *)CMSG_DATA(c))->pid = 0;
	if (!holds_fds(c))
		return c->cmsg_len;
	if (c->cmsg_type == SCM_PIDFD) {
		close_all(c);
		return 0;
	}
	nr = count_fds(c);
	kept = receive_all(t, sock, c, cloexec);
	if (kept < nr)
		msg->msg_flags |= MSG_CTRUNC;
	return kept ? CMSG_LEN(kept * sizeof(int)) : 0;
}

void rights_to_guest(struct task *t, const struct gfile *sock, struct msghdr *msg, bool cloexec)
{
	char *start = msg->msg_control, *to = start;
	size_t len, full = msg->msg_controllen;
	struct cmsghdr *c, *next;

	/* What is left moves up, to where what was taken out had been. */
	for (c = CMSG_FIRSTHDR(msg); c; c = next) {
		next = CMSG_NXTHDR(msg, c);
		len = receive_control(t, sock, c, msg, cloexec);
		if (!len)
			continue;
		memmove(to, c, len);
		((struct cmsghdr *)to)->cmsg_len = len;
		to += CMSG_ALIGN(len);
	}
	/* The last one may end without the room that alignment wants. */
	msg->msg_controllen = (size_t)(to - start) < full ? (size_t)(to - start) : full;
	in_flight_collect(t->g->in_flight);
}

void rights_drop(struct msghdr *msg)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (holds_fds(c))
			close_all(c);
}
