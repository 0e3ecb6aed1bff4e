/* SPDX-License-Identifier: MIT */
/* One open file description: its life, its name, and its page cache. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/ctty.h"
#include "guest/filemap.h"
#include "guest/files.h"
#include "guest/path.h"
#include "guest/mqueue.h"
#include "guest/signalfd.h"

/* The kernel's O_LARGEFILE, which 64-bit programs always open with: libc's is 0. */
#define LARGEFILE 0100000

static struct gfile *gfile_alloc(struct filemaps *maps, enum gfile_kind kind, int host_fd,
				 int flags)
{
	struct gfile *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->refs = 1;
	g->kind = kind;
	g->host_fd = host_fd;
	g->flags = flags;
	g->status = kind == GFILE_HOST ? 0 : flags & GFILE_STATUS;
	g->maps = maps;
	return g;
}

int gfile_create(struct filemaps *maps, int host_fd, int flags, struct gfile **out)
{
	struct gfile *g;
	struct stat st;

	if (flags == -1)
		flags = fcntl(host_fd, F_GETFL);
	if (flags < 0 || fstat(host_fd, &st))
		goto fail;
	g = gfile_alloc(maps, GFILE_HOST, host_fd, flags);
	if (!g) {
		errno = ENOMEM;
		goto fail;
	}
	g->type = st.st_mode & S_IFMT;
	g->dev = st.st_dev;
	g->ino = st.st_ino;
	g->rdev = st.st_rdev;
	if (S_ISREG(st.st_mode) && maps)
		filemaps_revalidate(maps, &st);
	*out = g;
	return 0;
fail:
	flags = -errno;
	close(host_fd);
	return flags;
}

int gfile_create_proc(struct filemaps *maps, enum gfile_kind kind, int host_fd, const char *path,
		      int flags, struct gfile **out)
{
	struct gfile *g = gfile_alloc(maps, kind, host_fd, flags);

	if (!g)
		goto fail;
	if (!(flags & O_PATH))
		g->flags |= LARGEFILE;
	g->path = strdup(path);
	if (!g->path)
		goto fail;
	g->type = kind == GFILE_PROC_DIR ? S_IFDIR : S_IFREG;
	*out = g;
	return 0;
fail:
	free(g);
	close(host_fd);
	return -ENOMEM;
}

struct gfile *gfile_get(struct gfile *g)
{
	__atomic_fetch_add(&g->refs, 1, __ATOMIC_RELAXED);
	return g;
}

bool gfile_try_get(struct gfile *g)
{
	int32_t refs = __atomic_load_n(&g->refs, __ATOMIC_RELAXED);

	while (refs > 0)
		if (__atomic_compare_exchange_n(&g->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

void gfile_put(struct gfile *g)
{
	if (!g || __atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (g->signalfd)
		signalfd_free(g->signalfd);
	if (g->mq)
		mqueue_close(g->mq);
	free(g->io);
	close(g->host_fd);
	if (g->tty)
		ctty_closed(g);
	/* A file that lost its last name while we held it: give its blocks back. */
	if (g->kind == GFILE_HOST && S_ISREG(g->type) && g->maps)
		filemaps_forget_unlinked(g->maps, g->dev, g->ino);
	free(g->path);
	free(g);
}

int gfile_host_fd(const struct gfile *g)
{
	return g->host_fd;
}

/* ---- flags ------------------------------------------------------------------ */

int gfile_flags(const struct gfile *g)
{
	int status = __atomic_load_n(&g->status, __ATOMIC_RELAXED), flags;

	if (gfile_is_ours(g))
		return (g->flags & ~GFILE_STATUS) | status;
	flags = fcntl(g->host_fd, F_GETFL);
	return flags < 0 ? g->flags : flags | status;
}

bool gfile_is_inotify(const struct gfile *g)
{
	char name[64];

	return !g->type && !host_fd_path(g->host_fd, name, sizeof(name)) &&
	       !strcmp(name, "anon_inode:inotify");
}

/* No SIGIO comes, from none: the host would send it to umm. */
static bool knows_async(const struct gfile *g)
{
	return !gfile_is_ours(g) && (g->type == S_IFSOCK || g->type == S_IFIFO ||
				     isatty(g->host_fd) || gfile_is_inotify(g));
}

static void set_bits(struct gfile *g, int mask, int bits)
{
	int old = __atomic_load_n(&g->status, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(&g->status, &old, (old & ~mask) | bits, true,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

int gfile_set_flags(struct gfile *g, int flags)
{
	if (gfile_is_ours(g)) {
		if (flags & O_DIRECT)
			return -EINVAL;
		set_bits(g, GFILE_STATUS, flags & GFILE_STATUS);
		return 0;
	}
	if (fcntl(g->host_fd, F_SETFL, flags & ~O_ASYNC))
		return -errno;
	if (knows_async(g))
		set_bits(g, O_ASYNC, flags & O_ASYNC);
	return 0;
}

int gfile_set_async(struct gfile *g, bool on)
{
	if (on == !!(__atomic_load_n(&g->status, __ATOMIC_RELAXED) & O_ASYNC))
		return 0;
	if (!knows_async(g))
		return -ENOTTY;
	set_bits(g, O_ASYNC, on ? O_ASYNC : 0);
	return 0;
}

void gfile_set_nonblock(struct gfile *g, bool on)
{
	set_bits(g, O_NONBLOCK, on ? O_NONBLOCK : 0);
}

/* ---- names ------------------------------------------------------------------- */

int32_t gfile_pidfd(const struct gfile *g)
{
	return g->pid;
}

int gfile_readlink(const struct gfile *g, char *buf, size_t size)
{
	const char *name = g->pid                  ? "anon_inode:[pidfd]"
			   : g->signalfd           ? "anon_inode:[signalfd]"
			   : g->kind != GFILE_HOST ? g->path
						   : NULL;

	if (g->mq)
		return mqueue_readlink(g->mq, buf, size);
	if (!name)
		return host_fd_path(g->host_fd, buf, size);
	if (strlen(name) >= size)
		return -ENAMETOOLONG;
	strcpy(buf, name);
	return 0;
}

const char *gfile_path(const struct gfile *g)
{
	/* The name is fixed at the first question, so that the pointer stays good. */
	struct gfile *w = (struct gfile *)g;
	char *path = __atomic_load_n(&w->path, __ATOMIC_ACQUIRE), *expected = NULL;
	char buf[PATH_MAX];

	if (path)
		return path;
	if (host_fd_path(g->host_fd, buf, sizeof(buf)) || buf[0] != '/')
		return "";
	path = strdup(buf);
	if (!path)
		return "";
	if (!__atomic_compare_exchange_n(&w->path, &expected, path, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		free(path);
		path = expected;
	}
	return path;
}

struct address_space *gfile_cache(const struct gfile *g)
{
	if (g->kind != GFILE_HOST || !S_ISREG(g->type) || !g->maps)
		return NULL;
	return filemaps_find(g->maps, g->dev, g->ino);
}

int gfile_mapping(struct gfile *g, struct address_space **out)
{
	*out = NULL;
	if (S_ISCHR(g->type) && g->rdev == makedev(1, 5))
		return 0;
	if (g->flags & O_PATH)
		return -EBADF;
	if (g->kind != GFILE_HOST || !S_ISREG(g->type) || !g->maps)
		return -ENODEV;
	if (!gfile_readable(g))
		return -EACCES;
	return filemaps_open(g->maps, g->host_fd, gfile_writable(g), out);
}

int gfile_open(struct guest *guest, struct task *t, const char *path, int flags, struct gfile **out)
{
	struct gpath p;
	int fd, r;

	if (!t) {
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
		return fd < 0 ? -errno : gfile_create(guest_filemaps(guest), fd, flags, out);
	}
	r = path_resolve(t, AT_FDCWD, path, 0, &p);
	if (r)
		return r;
	r = path_open(t, &p, flags, 0, NULL, out);
	path_release(&p);
	return r;
}
