/* SPDX-License-Identifier: MIT */
/* Sizes and durability of files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/file_limit.h"
#include "guest/file_rw.h"
#include "guest/filemap.h"
#include "guest/path.h"
#include "guest/syscalls.h"

static int64_t result(long r)
{
	return r < 0 ? -errno : r;
}

/* Stores through mappings are part of the file: write them first. */
static int64_t sync_call(struct task *t, uint64_t fd, long nr)
{
	struct address_space *cache;
	struct gfile *g;
	int64_t r = task_gfile_io(t, fd, &g);

	if (r)
		return r;
	cache = gfile_cache(g);
	if (cache) {
		r = mapping_flush(cache, 0, INT64_MAX);
		mapping_put(cache);
	}
	if (g->kind != GFILE_HOST && nr != SYS_syncfs)
		r = -EINVAL;
	if (!r)
		r = result(syscall(nr, g->host_fd));
	gfile_put(g);
	return r;
}

int64_t sys_fsync(struct task *t, const uint64_t a[6])
{
	return sync_call(t, a[0], SYS_fsync);
}

int64_t sys_fdatasync(struct task *t, const uint64_t a[6])
{
	return sync_call(t, a[0], SYS_fdatasync);
}

int64_t sys_syncfs(struct task *t, const uint64_t a[6])
{
	return sync_call(t, a[0], SYS_syncfs);
}

int64_t sys_sync(struct task *t, const uint64_t a[6])
{
	(void)a;
	/* sync() has no way to tell an error. */
	if (!filemaps_sync(guest_filemaps(task_guest(t))))
		sync();
	return 0;
}

int64_t sys_sync_file_range(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	r = file_cache_before_read(g, a[1], a[2] ? a[2] : INT64_MAX);
	if (!r)
		r = result(
			sync_file_range(g->host_fd, (off_t)a[1], (off_t)a[2], (unsigned int)a[3]));
	gfile_put(g);
	return r;
}

int64_t sys_fadvise64(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	r = -posix_fadvise(g->host_fd, (off_t)a[1], (off_t)a[2], (int)a[3]);
	gfile_put(g);
	return r;
}

int64_t sys_readahead(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	r = result(readahead(g->host_fd, (off_t)a[1], a[2]));
	gfile_put(g);
	return r;
}

/* The host has changed the size from @old to @size: let mappings of it know. */
static void size_changed(struct address_space *cache, uint64_t old, uint64_t size)
{
	if (size < old)
		mapping_truncate(cache, size);
	filemap_restamp(cache);
}

static int64_t truncate_file(struct task *t, struct gfile *g, int64_t size)
{
	struct address_space *cache = gfile_cache(g);
	struct stat st;
	int64_t r;

	r = fstat(g->host_fd, &st) ? -errno : 0;
	if (!r && S_ISREG(st.st_mode))
		r = file_limit_size(t, (uint64_t)st.st_size, (uint64_t)size);
	if (!r)
		r = result(ftruncate(g->host_fd, size));
	/* Dirty pages past the new end must not be written after it: they are dropped. */
	if (!r && cache)
		size_changed(cache, (uint64_t)st.st_size, (uint64_t)size);
	if (cache)
		mapping_put(cache);
	return r;
}

int64_t sys_ftruncate(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	r = (int64_t)a[1] < 0 || !gfile_writable(g) ? -EINVAL : truncate_file(t, g, (int64_t)a[1]);
	gfile_put(g);
	return r;
}

int64_t sys_truncate(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	struct gpath p;
	int64_t r;

	if ((int64_t)a[1] < 0)
		return -EINVAL;
	r = path_resolve_user(t, AT_FDCWD, a[0], 0, &p);
	if (r)
		return r;
	r = path_open(t, &p, O_WRONLY | O_NONBLOCK, 0, NULL, &g);
	if (!r) {
		r = truncate_file(t, g, (int64_t)a[1]);
		gfile_put(g);
	}
	path_release(&p);
	return r;
}

/* Room that makes the file longer counts; room behind its end that does not show, not. */
static int64_t allocate_limit(struct task *t, struct gfile *g, int mode, uint64_t end)
{
	struct stat st;

	if ((mode & ~(FALLOC_FL_ZERO_RANGE | FALLOC_FL_UNSHARE_RANGE)) || end > INT64_MAX ||
	    !S_ISREG(g->type) || !file_limited(t))
		return 0;
	return fstat(g->host_fd, &st) ? -errno : file_limit_size(t, (uint64_t)st.st_size, end);
}

int64_t sys_fallocate(struct task *t, const uint64_t a[6])
{
	struct address_space *cache;
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	if (g->kind != GFILE_HOST)
		r = gfile_writable(g) ? -EOPNOTSUPP : -EBADF;
	else if (gfile_writable(g))
		r = allocate_limit(t, g, (int)a[1], a[2] + a[3]);
	if (!r)
		r = file_cache_begin_write(g, a[2], a[3], &cache);
	if (!r) {
		r = result(fallocate(g->host_fd, (int)a[1], (off_t)a[2], (off_t)a[3]));
		/* Holes, moves and zeroes: what is cached from here on may be other bytes. */
		file_cache_end_write(cache, a[2], r ? 0 : INT64_MAX - a[2]);
	}
	gfile_put(g);
	return r;
}
