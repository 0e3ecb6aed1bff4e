/* SPDX-License-Identifier: MIT */
/*
 * POSIX message queues: the guest's own, none of the host's is seen or made.
 *
 *	guest/mqueue.c		queues: names, rights, limits, opening and closing
 *	guest/mqueue_move.c	messages in and out, who waits for them, who is notified
 *	guest/sys_mqueue.c	the calls
 *
 * A queue lives while it has a name or somebody has it open. Each open file
 * description of it has an eventfd of the host's behind it, whose value says what
 * poll() is to find: 0 an empty queue (writable only), the highest value a full one
 * (readable only), 1 what is between.
 *
 * Who has to wait stands in the queue's list of senders or receivers, and whoever
 * makes room or sends does the waiter's work for it: a message goes straight to the
 * first receiver, and the first sender's goes into the room that was made. So they
 * are served in the order in which they came, and nobody is notified of a message
 * that somebody waited for.
 *
 * Lock: ipc->lock (guest/ipc.h) guards everything here; guest->lock comes first, so
 * a notice is sent after the lock was dropped.
 */
#ifndef GUEST_MQUEUE_H
#define GUEST_MQUEUE_H

#include <mqueue.h>

#include "guest/file_rw.h"
#include "guest/ipc.h"
#include "guest/message.h"

#define MQUEUE_NAME_MAX 255
#define MQUEUE_PRIO_MAX 32768u
/* What the privileged may have, and the settings may reach (Linux's HARD_MSGMAX, _MSGSIZEMAX). */
#define MQUEUE_HARD_MESSAGES 65536L
#define MQUEUE_HARD_SIZE     (16L << 20)

enum mqueue_fill { MQUEUE_EMPTY, MQUEUE_SOME, MQUEUE_FULL };

/* Who hears of the next message in an empty queue; pid 0: nobody. */
struct mqueue_notify {
	int32_t pid;
	const struct files *files; /* its table: closing the queue in it ends this */
	int how;                   /* SIGEV_NONE, SIGEV_SIGNAL */
	int signo;
	uint64_t value;
};

struct mqueue {
	struct list_head link; /* ipc->mqueues */
	struct ipc *ipc;
	char name[MQUEUE_NAME_MAX + 1];
	bool unlinked;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec made;
	long max_messages, message_size;
	uint64_t charge; /* bytes of RLIMIT_MSGQUEUE of user @charged */
	uid_t charged;
	struct list_head messages; /* highest priority first, then oldest */
	long nr;
	uint64_t bytes;
	struct list_head senders, receivers; /* struct mqueue_waiter, oldest first */
	struct list_head opens;              /* struct mqueue_open */
	enum mqueue_fill fill;
	struct mqueue_notify notify;
};

/* One open file description. */
struct mqueue_open {
	struct list_head link;
	struct mqueue *q;
	int host_fd; /* the gfile's */
};

/* ---- mqueue.c ---------------------------------------------------------------- */

/* The limits of /proc/sys/fs/mqueue, in struct ipc. */
void mqueue_limits_init(struct ipc *ipc);
int mqueue_open_name(struct task *t, const char *name, int flags, mode_t mode,
		     const struct mq_attr *attr) UMM_MUST_CHECK;
int mqueue_unlink(struct task *t, const char *name) UMM_MUST_CHECK;
/* The last descriptor was closed. */
void mqueue_close(struct mqueue_open *o);
/* A descriptor in @files was closed. */
void mqueue_flush(struct mqueue_open *o, const struct files *files);
/* The process ends. */
void mqueue_proc_ended(struct ipc *ipc, int32_t pid);
/* Nobody is left: ipc_destroy(). */
void mqueue_free_all(struct ipc *ipc);
/* Lock held: the eventfds follow. */
void mqueue_ring(struct mqueue *q);
/* read(): the line that tells of the queue. */
int64_t mqueue_read(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos);

/* fstat() of a descriptor, as Linux's own file system of queues answers. */
#define MQUEUE_DEV       20
#define MQUEUE_TEXT_SIZE 80
void mqueue_stat(const struct mqueue_open *o, struct stat *st);
/* The new place of reads, or -EINVAL. */
int64_t mqueue_seek(struct gfile *g, int64_t offset, int whence);
/* What /proc/PID/fd/N leads to: a name in that file system. 0 or -ENAMETOOLONG. */
int mqueue_readlink(const struct mqueue_open *o, char *buf, size_t size);

/* ---- mqueue_move.c ------------------------------------------------------------- */

/* @deadline by CLOCK_REALTIME, NULL: none. Takes over @m if it returns 0. */
int mqueue_send(struct task *t, struct mqueue *q, struct message *m, bool wait,
		const struct timespec *deadline) UMM_MUST_CHECK;
int mqueue_receive(struct task *t, struct mqueue *q, struct message **out, bool wait,
		   const struct timespec *deadline) UMM_MUST_CHECK;

#endif
