/* SPDX-License-Identifier: MIT */
/*
 * Who holds a record lock, and who waits for one: what the host, to which all guest processes are
 * one, cannot tell.
 *
 * A process's locks on a file are those of one host descriptor (guest/files.h). All of these are
 * listed here, and the host says which locks each of them has (fdinfo): so a lock that is in the
 * way leads to the process that holds it. Who is about to wait says so first and then follows
 * from each holder to what that one waits for; back at itself it would close a circle: EDEADLK.
 * As each waiter looks after it was listed, the last one of a circle sees all the others.
 *
 * Lock: one for both lists, taken after files->lock; nothing is taken under it. A listed
 * descriptor is open while it is held.
 */
#ifndef GUEST_RECORD_HOLDER_H
#define GUEST_RECORD_HOLDER_H

#include <umm/list.h>

#include "guest/files.h"

struct record_owner {
	struct record_owner *next; /* of the same process */
	struct list_head all;
	const struct files *files;
	int32_t pid;
	uint64_t dev, ino;
	int fd; /* an open file description that holds nothing but the locks */
};

struct record_wait {
	struct list_head link;
	const struct files *files;
	const struct gfile *file;
	int fd; /* a duplicate of the owner's */
	struct flock fl;
};

void record_owner_list(struct record_owner *o);
void record_owner_unlist(struct record_owner *o);

/* @fl as the host told of a lock on @g: the pid of the guest process that holds it, if one does. */
void record_holder_name(const struct gfile *g, struct flock *fl);

/* What @w describes will be waited for: 0, and record_wait_end() is due, or -EDEADLK. */
int record_wait_begin(struct record_wait *w) UMM_MUST_CHECK;
void record_wait_end(struct record_wait *w);

#endif
