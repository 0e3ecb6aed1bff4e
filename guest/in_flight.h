/* SPDX-License-Identifier: MIT */
/*
 * Descriptors on their way through a socket (SCM_RIGHTS) that are more than what the host has
 * behind them: of processes, signals, message queues and procfs, and files that may not be changed.
 *
 * In the place of such a descriptor the host carries a *token*, the write end of a pipe of ours,
 * which nobody writes to. The read end stays here, with a reference on the gfile. Who receives the
 * token is given the gfile, known by the pipe's inode. A message that is never received takes its token
 * with it, when the host drops it; the pipe has no writer then, and the next look drops the reference.
 *
 * Lock: a leaf. Files are closed without it.
 */
#ifndef GUEST_IN_FLIGHT_H
#define GUEST_IN_FLIGHT_H

#include "guest/files.h"

struct in_flight;

struct in_flight *in_flight_create(void);
/* Nobody sends or receives any more. */
void in_flight_destroy(struct in_flight *all);
/* Must @g travel as a token? Else its host descriptor is all of it. */
bool in_flight_wants_token(const struct gfile *g);
/* A token for @g: a host descriptor, the caller's to close after sending, or -errno. */
int in_flight_token(struct in_flight *all, struct gfile *g) UMM_MUST_CHECK;
/* What the received host descriptor @fd is the token of, with a reference; NULL: it is none. */
struct gfile *in_flight_find(struct in_flight *all, int fd);
/* Somebody closed something: let go of what was in messages that are gone. */
void in_flight_collect(struct in_flight *all);

#endif
