/* SPDX-License-Identifier: MIT */
/*
 * From what a program calls a file to what the host calls it.
 *
 * Nearly every name is the host's own, seen from the right directory: the pair
 * (directory descriptor, name) goes to the host as it is, so that links, mounts
 * and races are the host's business. Only the folders that tell about processes
 * and the machine are ours: /proc, /sys/devices/system/{cpu,node}, and the links
 * that lead there (/dev/fd, /dev/stdin, /etc/mtab, ...). They are found by
 * comparing names, with ".", ".." and "//" taken out first; a link elsewhere
 * that leads into /proc is caught when the file is opened (path_open) or found (path_pin), and
 * the host follows no link of its /proc to an open file: those are umm's.
 */
#ifndef GUEST_PATH_H
#define GUEST_PATH_H

#include <limits.h>

#include "guest/files.h"
#include "guest/fs.h"

enum gpath_kind {
	GPATH_HOST, /* host_dir and name are for the host's *at() calls */
	GPATH_PROC, /* name is one that guest/procfs.h knows, self resolved */
};

struct gpath {
	enum gpath_kind kind;
	int host_dir;        /* GPATH_HOST: AT_FDCWD only with an absolute name */
	bool read_only;      /* the host's own /proc and /sys: not to be written */
	struct gfile *base;  /* keeps host_dir open */
	struct fs_dir *cwd;  /* the same */
	bool pinned;         /* pin is the file itself, and name leads to it */
	int pin;             /* owned */
	char name[PATH_MAX]; /* "": host_dir itself, for AT_EMPTY_PATH */
};

/* The bit of O_TMPFILE that O_DIRECTORY does not have. */
#define O_TMPFILE_BIT 020000000

#define PATH_NOFOLLOW (1u << 0) /* the call is about a link, not what it leads to */
#define PATH_EMPTY    (1u << 1) /* AT_EMPTY_PATH */
#define PATH_NULL     (1u << 2) /* with PATH_EMPTY: a null pointer is the empty name */
#define PATH_EXISTS   (1u << 3) /* path_resolve_user(): path_pin() too */

/*
 * Resolve @name seen from guest descriptor @dirfd (or AT_FDCWD). After success
 * path_release() it. 0, -ENOENT, -EBADF, -ENOTDIR, -ENAMETOOLONG, -ELOOP.
 */
int path_resolve(struct task *t, int dirfd, const char *name, unsigned int flags,
		 struct gpath *out) UMM_MUST_CHECK;
/* The same for a name in guest memory; -EFAULT. */
int path_resolve_user(struct task *t, int dirfd, uint64_t user, unsigned int flags,
		      struct gpath *out) UMM_MUST_CHECK;
void path_release(struct gpath *p);

/*
 * For a call that is about a file that is there, and does not open it: find it, so that the call
 * cannot end at a file of umm's. What @p means is then the file found, or one of procfs; of a link
 * that is not to be followed only where it lies was looked at. 0 or -errno: @p is still to be released.
 */
int path_pin(struct task *t, unsigned int flags, struct gpath *p) UMM_MUST_CHECK;
/*
 * @fd is a file of the host's /proc that was not reached by its own name: the file that the
 * program means, with "self" itself. 0 or -errno; path_release() @p.
 */
int path_own_proc(struct task *t, int fd, unsigned int flags, struct gpath *p) UMM_MUST_CHECK;
/*
 * The last part of @p is a link that the host must not follow (/var/log/x -> /dev/stdout):
 * what its text means to the program. 0, -ELOOP if it has none, -errno; path_release() @q.
 */
int path_link_target(struct task *t, const struct gpath *p, unsigned int flags,
		     struct gpath *q) UMM_MUST_CHECK;

/* Nothing about the file itself may be changed: it is ours, the host's /proc, or sealed. */
static inline bool path_is_fixed(const struct gpath *p)
{
	return p->kind == GPATH_PROC || p->read_only || (p->base && p->base->sealed);
}

/*
 * Open what was resolved. @mode is masked with the umask by the caller. @resolve:
 * RESOLVE_* of openat2(), NULL for none.
 */
int path_open(struct task *t, const struct gpath *p, int flags, mode_t mode,
	      const uint64_t *resolve, struct gfile **out) UMM_MUST_CHECK;

/*
 * Take ".", ".." and repeated slashes out of absolute @name, by the letters only.
 * -ENAMETOOLONG if it does not fit.
 */
int path_normalize(const char *name, char *out, size_t size) UMM_MUST_CHECK;
/* True if @name is @prefix or lies below it; *rest is what follows ("" or "/..."). */
bool path_below(const char *name, const char *prefix, const char **rest);
/* readlink() of a host descriptor's entry in /proc/self/fd. 0 or -errno. */
int host_fd_path(int fd, char *buf, size_t size);

#endif
