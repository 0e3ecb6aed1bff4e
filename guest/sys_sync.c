/* SPDX-License-Identifier: MIT */
/* Sizes and durability of files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/file_change.h"
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

static int64_t truncate_file(struct task *t, struct gfile *g, int64_t size)
{
	struct file_change change;
	struct stat st;
	int64_t r;

	r = fstat(g->host_fd, &st) ? -errno : 0;
	if (!r && S_ISREG(st.st_mode))
		r = file_limit_size(t, (uint64_t)st.st_size, (uint64_t)size);
	if (r)
		return r;
	/* Dirty pages past the new end are not written after it was cut: they are dropped. */
	file_cut_begin(gfile_cache(g), (uint64_t)size, &change);
	r = result(ftruncate(g->host_fd, size));
	file_cut_end(&change, !r && size < st.st_size);
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

/* Bytes that fallocate() changes: [off, off + len) of the file. */
struct changed_bytes {
	uint64_t off, len;
};

static struct changed_bytes changed_by_allocation(const struct gfile *g, int mode, uint64_t off,
						  uint64_t len)
{
	uint64_t rest = off < INT64_MAX ? INT64_MAX - off : 0;
	struct stat st;

	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
		return (struct changed_bytes){ off, rest };
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return (struct changed_bytes){ off, len < rest ? len : rest };
	/* Only what is new; behind the end of a file, stores through mappings mean nothing. */
	if (fstat(g->host_fd, &st) || off + len < off || off + len <= (uint64_t)st.st_size)
		return (struct changed_bytes){ off, 0 };
	return (struct changed_bytes){ (uint64_t)st.st_size, off + len - (uint64_t)st.st_size };
}

int64_t sys_fallocate(struct task *t, const uint64_t a[6])
{
	struct changed_bytes bytes = { 0, 0 };
	struct file_change change;
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	if (g->kind != GFILE_HOST)
		r = gfile_writable(g) ? -EOPNOTSUPP : -EBADF;
	else if (gfile_writable(g))
		r = allocate_limit(t, g, (int)a[1], a[2] + a[3]);
	if (!r) {
		bytes = changed_by_allocation(g, (int)a[1], a[2], a[3]);
		r = file_change_begin(g, bytes.off, bytes.len, &change);
	}
	if (!r) {
		r = result(fallocate(g->host_fd, (int)a[1], (off_t)a[2], (off_t)a[3]));
		file_change_end(&change, bytes.off, r ? 0 : bytes.len);
	}
	gfile_put(g);
	return r;
}
