/* SPDX-License-Identifier: MIT */
/* What the self-tests of passed descriptors share: messages that carry some (SCM_RIGHTS). */
#ifndef UMM_TESTS_PASSED_H
#define UMM_TESTS_PASSED_H

#include <sys/socket.h>

#include "calls.h"

#define MOST 300 /* more than a message can have */

struct message {
	char byte;
	struct iovec v;
	struct msghdr h;
	char control[CMSG_SPACE(MOST * sizeof(int))] __attribute__((aligned(8)));
};

/* With room for @control bytes beside the one of data. */
static inline struct msghdr *message_init(struct message *m, size_t control)
{
	memset(m, 0, sizeof(*m));
	m->byte = 'x';
	m->v = (struct iovec){ &m->byte, 1 };
	m->h = (struct msghdr){ .msg_iov = &m->v,
				.msg_iovlen = 1,
				.msg_control = m->control,
				.msg_controllen = control };
	return &m->h;
}

static inline struct msghdr *message_of(struct message *m, const int *fds, size_t nr)
{
	struct msghdr *h = message_init(m, CMSG_SPACE(nr * sizeof(int)));
	struct cmsghdr *c = CMSG_FIRSTHDR(h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	return h;
}

static inline long send_fds(int sock, const int *fds, size_t nr)
{
	struct message m;

	return sendmsg(sock, message_of(&m, fds, nr), 0);
}

static inline void send_fd(int sock, int fd)
{
	if (send_fds(sock, &fd, 1) != 1) {
		perror("sendmsg");
		exit(2);
	}
}

/* The descriptors of a received message into @fds; how many. */
static inline size_t taken(struct msghdr *h, int *fds)
{
	size_t nr = 0, n;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds + nr, CMSG_DATA(c), n * sizeof(int));
		nr += n;
	}
	return nr;
}

static inline int recv_fd(int sock)
{
	struct message m;
	struct msghdr *h = message_init(&m, CMSG_SPACE(sizeof(int)));
	int fds[MOST];

	if (recvmsg(sock, h, MSG_CMSG_CLOEXEC) != 1 || taken(h, fds) != 1) {
		printf("nothing received\n");
		child_exit(2);
	}
	return fds[0];
}

static inline void pair_make(int pair[2], int type)
{
	if (socketpair(AF_UNIX, type, 0, pair)) {
		perror("socketpair");
		exit(2);
	}
}

static inline int pidfd_of(pid_t pid, unsigned int flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

#endif
