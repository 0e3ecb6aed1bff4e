/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables and open file descriptions, for the file calls.
 *
 * A guest descriptor is an index into `struct files`; the slot holds a counted
 * reference on a `struct gfile`, which stands for one open file description of
 * Linux and owns exactly one host descriptor. Guest numbers and host numbers
 * have nothing to do with each other: dup() in the guest makes no host
 * descriptor, it takes a reference. So offset, O_APPEND, O_NONBLOCK and flock()
 * are shared among duplicates and across fork() because the host shares them.
 *
 * Lock: files->lock guards slots, the close-on-exec bits and the list of record
 * lock owners. A gfile is constant after creation, but for what is atomic.
 */
#ifndef GUEST_FILES_H
#define GUEST_FILES_H

#include <fcntl.h>
#include <sys/stat.h>

#include "guest/guest.h"

enum gfile_kind {
	GFILE_HOST,     /* the host's file, pipe, socket, terminal, ... */
	GFILE_PROC,     /* text made by guest/procfs.c, held in a memfd */
	GFILE_PROC_DIR, /* a folder of procfs or sysfs that we list ourselves */
};

struct gfile {
	int32_t refs; /* a */
	enum gfile_kind kind;
	int host_fd;
	int flags;   /* access mode, O_PATH, O_DIRECTORY, as opened */
	mode_t type; /* S_IFMT bits */
	uint64_t dev, ino;
	uint64_t rdev;
	int32_t pid;      /* of a pidfd */
	int32_t pair_pid; /* of a pair of sockets: who made it; 0: not known */
	/*
	 * a; What F_SETFL changes. GFILE_STATUS where what is behind it on the host is not the
	 * file (gfile_is_ours()); else the host has that, and here is O_ASYNC only.
	 */
	int status;
	int32_t owner; /* a; F_SETOWN: told again, but no SIGIO is sent */
	/*
	 * Came from outside into a confined guest (umm run --root, --ro): read and
	 * written as it was opened, but not changed in any other way. Never a folder.
	 */
	bool sealed;
	struct signalfd *signalfd; /* guest/signalfd.c; NULL: it is none */
	struct proc_io_file *io;   /* GFILE_PROC that is no text, guest/proc_io.h; else NULL */
	struct mqueue_open *mq;    /* guest/mqueue.h; NULL: it is none */
	struct ctty *tty;          /* guest/ctty.h: the terminal that it is of; NULL: of none */
	bool pty_master;           /* with tty: its other end */
	struct filemaps *maps;
	char *path;       /* a; host path, or the guest's for GFILE_PROC*; lazily */
	uint64_t dir_pos; /* a; GFILE_PROC_DIR: next entry */
};

/* Like others of the kind, none of these has a way to read past caches. */
#define GFILE_STATUS (O_APPEND | O_NONBLOCK | O_NOATIME)

/* It is made here; what the host has behind it is something else. */
static inline bool gfile_is_ours(const struct gfile *g)
{
	return g->kind != GFILE_HOST || g->pid || g->signalfd || g->mq;
}

static inline bool gfile_readable(const struct gfile *g)
{
	return !(g->flags & O_PATH) && (g->flags & O_ACCMODE) != O_WRONLY;
}

static inline bool gfile_writable(const struct gfile *g)
{
	return !(g->flags & O_PATH) && (g->flags & O_ACCMODE) != O_RDONLY;
}

/*
 * Wrap @host_fd, which the gfile owns from now on (closed on failure too).
 * @flags as it was opened, -1: ask the host.
 */
int gfile_create(struct filemaps *maps, int host_fd, int flags, struct gfile **out);
/* A gfile of procfs: @path is the guest's name of it, copied. */
int gfile_create_proc(struct filemaps *maps, enum gfile_kind kind, int host_fd, const char *path,
		      int flags, struct gfile **out);
/* F_SETFL: 0 or -errno. */
int gfile_set_flags(struct gfile *g, int flags) UMM_MUST_CHECK;
/* FIOASYNC: 0, or -ENOTTY where Linux knows no signals. */
int gfile_set_async(struct gfile *g, bool on) UMM_MUST_CHECK;
bool gfile_is_inotify(const struct gfile *g);
/* FIONBIO of a file that is ours. */
void gfile_set_nonblock(struct gfile *g, bool on);
/* Where the host says the file is now, as readlink(/proc/self/fd/N). -errno or 0. */
int gfile_readlink(const struct gfile *g, char *buf, size_t size);
/* The page cache of the file if the guest has one, with a reference; else NULL. */
struct address_space *gfile_cache(const struct gfile *g);

/* What the guest's @fd names, with a reference, in *out; -EBADF. O_PATH ones: too. */
int task_gfile(struct task *t, uint64_t fd, struct gfile **out) UMM_MUST_CHECK;
/* The same, but -EBADF for O_PATH descriptors: for everything that does I/O. */
int task_gfile_io(struct task *t, uint64_t fd, struct gfile **out) UMM_MUST_CHECK;

/*
 * Making a descriptor takes two steps, so that EMFILE comes before a file is
 * created: reserve the lowest free number >= @min, then publish or give back.
 */
int files_reserve(struct task *t, int min) UMM_MUST_CHECK;
/* Takes over the caller's reference on @g. */
void files_publish(struct files *f, int fd, struct gfile *g, bool cloexec);
void files_unreserve(struct files *f, int fd);
/* Both steps. The reference on @g is taken over in any case. The number or -errno. */
int files_install(struct task *t, struct gfile *g, bool cloexec);

/* Two host descriptors, owned from now on: all or nothing; numbers to int[2] @user_fds. */
int64_t files_install_host_pair(struct task *t, const int host_fds[2], bool cloexec,
				uint64_t user_fds);

int files_close(struct files *f, int fd);
/* close_range(): also the CLOSE_RANGE_CLOEXEC variant, which only marks. */
void files_close_range(struct files *f, unsigned int first, unsigned int last, bool only_cloexec);
/* dup2(), dup3(): @newfd now names what @oldfd does. @limit: RLIMIT_NOFILE. */
int files_dup_to(struct files *f, int oldfd, int newfd, bool cloexec, uint64_t limit);
int files_get_cloexec(struct files *f, int fd);
int files_set_cloexec(struct files *f, int fd, bool on);
/* The first descriptor in use at or after @from, -1 if none: to list fd/. */
int files_next(struct files *f, int from);
/* One more than the highest number ever used (FDSize). */
unsigned int files_size(struct files *f);

/*
 * guest/record_lock.c: POSIX record locks. They belong to a process (a files
 * table) and an inode, and go when the process closes any descriptor of that
 * inode. On the host all guests are one process, so each (table, inode) gets an
 * open file description of its own, on which OFD locks are taken.
 */
struct record_owner;
int record_lock(struct task *t, struct gfile *g, int cmd, uint64_t user_flock);
/* files->lock held; returns what to close after unlocking, -1 if nothing. */
int record_owner_drop(struct record_owner **list, uint64_t dev, uint64_t ino);
void record_owners_free(struct record_owner *list);
/* For record_lock(): find or make; files->lock is taken inside. */
struct record_owner **files_record_owners(struct files *f);
void files_lock(struct files *f);
void files_unlock(struct files *f);

#endif
