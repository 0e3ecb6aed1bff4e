/* SPDX-License-Identifier: MIT */
/* What the files of socket calls share: guest/sys_socket.c, guest/sys_msg.c, guest/rights.c. */
#ifndef GUEST_SOCKET_H
#define GUEST_SOCKET_H

#include <sys/socket.h>

#include "guest/files.h"

/*
 * An address from guest memory, made good for the host: the name of a Unix
 * socket is looked up from the guest's working directory. Keeps what it leads
 * through open until sock_address_release(). 0, -EFAULT, -EINVAL, -ENAMETOOLONG.
 */
struct sock_address {
	struct sockaddr_storage sa;
	socklen_t len;
	struct fs_dir *cwd;
};
int sock_address_load(struct task *t, uint64_t user, uint64_t len,
		      struct sock_address *out) UMM_MUST_CHECK;
void sock_address_release(struct sock_address *a);
/* To the program, cut to what it has room for; *user_len gets the true length. */
int sock_address_store(struct task *t, const struct sockaddr_storage *sa, socklen_t len,
		       uint64_t user, uint64_t user_len) UMM_MUST_CHECK;
/*
 * What a signal makes of a call on a descriptor that gave @r: begun again as its handler wants,
 * but on a socket with a timeout (@option: SO_RCVTIMEO, SO_SNDTIMEO) interrupted in any case
 * (signal(7)). Other results stay.
 */
int64_t sock_interrupted(const struct gfile *g, int64_t r, int option);
/* A descriptor that is a socket: -EBADF, -ENOTSOCK. */
int task_socket(struct task *t, uint64_t fd, struct gfile **out) UMM_MUST_CHECK;

/* ---- guest/rights.c: descriptors that travel along (SCM_RIGHTS) ----------------- */

#define SCM_MAX_FDS 253

/* What must live until the host has sent the message. */
struct rights_sent {
	struct gfile *held[SCM_MAX_FDS];
	int token[SCM_MAX_FDS]; /* -1: none, see guest/in_flight.h */
	unsigned int nr;
};
/*
 * Guest numbers in the control data of @msg, to be sent through @sock, become the host's. 0 or
 * -errno; rights_sent_release() in any case, @sent->nr being 0 before.
 */
int rights_to_host(struct task *t, const struct gfile *sock, struct msghdr *msg,
		   struct rights_sent *sent) UMM_MUST_CHECK;
void rights_sent_release(struct rights_sent *sent);
/*
 * Host descriptors that @sock gave become the guest's. What finds no number is closed and taken out
 * of the control data, which says MSG_CTRUNC then.
 */
void rights_to_guest(struct task *t, const struct gfile *sock, struct msghdr *msg, bool cloexec);
/* Nobody gets them: host descriptors in @msg are closed. */
void rights_drop(struct msghdr *msg);

#endif
