/* SPDX-License-Identifier: MIT */
/* What the two files of socket calls share: guest/sys_socket.c, guest/sys_msg.c. */
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

#endif
