/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that signals are read from. Behind each is an eventfd of the host's,
 * readable while a signal of the set may be waiting, so that poll() and epoll are
 * the host's; what is read comes from the queues of the task that reads.
 *
 * A descriptor rings for one process, the one that made it or read from it last: two
 * processes that share one by fork() may see it ready for the other's signal, and then
 * read() waits or says EAGAIN.
 *
 * Lock: guest->lock.
 */
#ifndef GUEST_SIGNALFD_H
#define GUEST_SIGNALFD_H

#include "guest/file_rw.h"
#include "guest/task.h"

struct signalfd;

/* A signal was queued for @p, or taken from it: its descriptors follow. Lock held. */
void signalfds_update(struct proc *p);
/* read(): whole entries of 128 bytes; waits unless the descriptor is O_NONBLOCK. */
int64_t signalfd_read(struct task *t, struct gfile *g, const struct guest_iov *iov);
/* The last descriptor was closed. Takes the lock. */
void signalfd_free(struct signalfd *s);

#endif
