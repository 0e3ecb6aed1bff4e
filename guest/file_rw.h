/* SPDX-License-Identifier: MIT */
/*
 * Moving bytes between guest memory and host descriptors.
 *
 * Small transfers go through a buffer of ours. Large ones of regular files go
 * straight into guest frames, which are pinned for the time of one batch. What
 * may block for ever (pipes, sockets, terminals) never sees a pin, as a pinned
 * frame can be neither migrated nor reclaimed: it always goes through a buffer.
 */
#ifndef GUEST_FILE_RW_H
#define GUEST_FILE_RW_H

#include <sys/uio.h>

#include "guest/files.h"

/* A vector of guest buffers, checked: lengths and ranges are good, sum <= 0x7ffff000. */
struct guest_iov {
	struct iovec *v; /* iov_base is a guest address */
	unsigned int nr;
	size_t total;
	struct iovec one; /* for plain buffers */
};

/* Addresses that a program can have, mapped or not. */
bool guest_range_ok(uint64_t addr, uint64_t len);
/* One buffer; -EFAULT when it lies outside of what a program can have. */
int guest_iov_single(struct guest_iov *iov, uint64_t addr, uint64_t len) UMM_MUST_CHECK;
/* The vector of readv() and friends; -EINVAL, -EFAULT, -ENOMEM. Free it afterwards. */
int guest_iov_copy(struct task *t, struct guest_iov *iov, uint64_t user_vec,
		   uint64_t nr) UMM_MUST_CHECK;
void guest_iov_free(struct guest_iov *iov);

/* Where a copy stands in a vector. */
struct guest_iov_pos {
	unsigned int index;
	size_t offset;
};
/* Copy up to @len bytes and move on. Returns how many; less: a bad address. */
size_t guest_iov_fill(struct task *t, const struct guest_iov *iov, struct guest_iov_pos *pos,
		      const void *buf, size_t len);
size_t guest_iov_drain(struct task *t, const struct guest_iov *iov, struct guest_iov_pos *pos,
		       void *buf, size_t len);

/* How many bytes from the start of the vector can be stored to. */
size_t guest_iov_room(struct task *t, const struct guest_iov *iov);

/*
 * Pipes and stream sockets give their bytes once, so what cannot be delivered must not be
 * taken from them. Before a read into @iov: 0 and how many bytes it may take, or the call's
 * -errno, -EFAULT with everything left where it is. Where something is wrong with @iov this
 * waits for the bytes first, as the call would (not with @dont_wait).
 */
int stream_room(struct task *t, const struct gfile *g, const struct guest_iov *iov, bool dont_wait,
		size_t *room) UMM_MUST_CHECK;

/*
 * A read of an inotify into memory of which some cannot be stored to: event by event. Bytes, or
 * -EFAULT, and only the event that could not be stored is lost.
 */
int64_t inotify_read_events(struct task *t, const struct gfile *g, const struct guest_iov *iov);

/* File position: -1 the descriptor's own. @rwf: RWF_*. Bytes, or -errno as Linux has it. */
int64_t file_read(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos,
		  int rwf);
int64_t file_write(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos,
		   int rwf);

#endif
