/* SPDX-License-Identifier: MIT */
/* Names of running guests, and where their control sockets are. */
#ifndef VMM_NAMES_H
#define VMM_NAMES_H

#include <umm/types.h>

#include "vmm/errmsg.h"

#define GUEST_NAME_MAX 63

/*
 * Letters, digits, '.', '_', '-' and '+', not starting with '.' or '-', at most
 * GUEST_NAME_MAX characters. 0 or -EINVAL with the reason.
 */
int guest_name_check(const char *name, struct errmsg *e) UMM_MUST_CHECK;

/* A legal name out of any program's path: its last part, odd characters as '_'. */
void guest_name_from_program(const char *program, char name[GUEST_NAME_MAX + 1]);

/*
 * The user's runtime directory, opened:
 * $XDG_RUNTIME_DIR/umm, else /run/user/UID/umm, else /tmp/umm-UID; made with
 * mode 0700 if @create. It must be a directory of this user that nobody else
 * may enter. Returns a descriptor; -ENOENT without @create if there is none;
 * -errno with a message.
 */
int runtime_dir_open(bool create, struct errmsg *e) UMM_MUST_CHECK;

/*
 * The *nr names that have a socket in @dirfd, sorted, of guests living or dead;
 * free with runtime_names_free(). 0 or -errno.
 */
int runtime_dir_list(int dirfd, char ***names, unsigned int *nr) UMM_MUST_CHECK;
void runtime_names_free(char **names, unsigned int nr);

/*
 * A socket bound to @name and listening, its file with mode 0600. A file that a
 * dead guest left is replaced. -EADDRINUSE: a guest of that name is running.
 */
int runtime_socket_listen(int dirfd, const char *name, struct errmsg *e) UMM_MUST_CHECK;

/*
 * A connection to guest @name. -ENOENT: no such guest; the file of a dead one
 * is removed on the way.
 */
int runtime_socket_connect(int dirfd, const char *name, struct errmsg *e) UMM_MUST_CHECK;

/* Remove the socket file of @name. */
void runtime_socket_remove(int dirfd, const char *name);

#endif
