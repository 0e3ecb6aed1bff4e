/* SPDX-License-Identifier: MIT */
/* read() and write() in all their forms; guest/file_rw.h tells the design. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/file_rw.h"
#include "guest/ctty.h"
#include "guest/file_change.h"
#include "guest/proc_io.h"
#include "guest/filemap.h"
#include "guest/procfs.h"
#include "guest/file_limit.h"
#include "guest/mqueue.h"
#include "guest/signalfd.h"
#include "guest/socket.h"

/* Up to here a copy is cheaper than finding and pinning the frames. */
#define BOUNCE_MAX 16384u
/* As O_DIRECT wants it. */
#define BOUNCE_ALIGN __attribute__((aligned(4096)))
/* One buffer for what may block: a pipe holds as much unless told otherwise. */
#define STREAM_MAX 65536u
/* A socket may be one of messages, which come and go whole. */
#define SOCKET_MAX (1u << 20)
/* One batch of pinned frames. */
#define PIN_BATCH_VECS  256u
#define PIN_BATCH_BYTES (1u << 20)

static int64_t host_rw(struct gfile *g, bool write, const struct iovec *v, unsigned int nr,
		       int64_t pos, int rwf)
{
	ssize_t n;

	if (rwf)
		n = write ? pwritev2(g->host_fd, v, (int)nr, pos, rwf)
			  : preadv2(g->host_fd, v, (int)nr, pos, rwf);
	else if (pos < 0)
		n = write ? writev(g->host_fd, v, (int)nr) : readv(g->host_fd, v, (int)nr);
	else
		n = write ? pwritev(g->host_fd, v, (int)nr, pos)
			  : preadv(g->host_fd, v, (int)nr, pos);
	return n < 0 ? -errno : n;
}

/* ---- regular files ------------------------------------------------------------ */

static int64_t bounce_read(struct task *t, struct gfile *g, const struct guest_iov *iov, size_t len,
			   int64_t pos, int rwf)
{
	char buf[BOUNCE_MAX] BOUNCE_ALIGN;
	struct iovec v = { buf, len };
	struct guest_iov_pos at = { 0, 0 };
	int64_t n = host_rw(g, false, &v, 1, pos, rwf);
	size_t copied;

	if (n <= 0)
		return n;
	copied = guest_iov_fill(t, iov, &at, buf, (size_t)n);
	if (copied < (size_t)n && pos < 0)
		lseek(g->host_fd, (off_t)copied - n, SEEK_CUR);
	return copied ? (int64_t)copied : -EFAULT;
}

static int64_t bounce_write(struct task *t, struct gfile *g, const struct guest_iov *iov,
			    size_t total, int64_t pos, int rwf)
{
	char buf[BOUNCE_MAX] BOUNCE_ALIGN;
	struct iovec v = { buf, 0 };
	struct guest_iov_pos at = { 0, 0 };

	v.iov_len = guest_iov_drain(t, iov, &at, buf, total);
	if (!v.iov_len)
		return -EFAULT;
	return host_rw(g, true, &v, 1, pos, rwf);
}

/*
 * Pin what comes next in the vector, a batch at most. Returns the bytes that the
 * pieces cover; 0: the very first byte is bad.
 */
static size_t pin_batch(struct task *t, const struct guest_iov *iov, struct guest_iov_pos at,
			bool write_memory, size_t max, struct mm_pin_vec *pins, unsigned int *nr)
{
	size_t total = 0, want, got;
	unsigned int n;

	*nr = 0;
	while (at.index < iov->nr && total < max && *nr < PIN_BATCH_VECS) {
		want = iov->v[at.index].iov_len - at.offset;
		if (!want) {
			at = (struct guest_iov_pos){ at.index + 1, 0 };
			continue;
		}
		want = want < max - total ? want : max - total;
		if (mm_pin(task_mm(t), gva_make((uint64_t)iov->v[at.index].iov_base + at.offset),
			   want, write_memory, pins + *nr, PIN_BATCH_VECS - *nr, &n, &got))
			break;
		*nr += n;
		total += got;
		if (got < want)
			break;
		at.offset += want;
	}
	return total;
}

static void advance(const struct guest_iov *iov, struct guest_iov_pos *at, size_t n)
{
	size_t left;

	while (n) {
		left = iov->v[at->index].iov_len - at->offset;
		if (n < left) {
			at->offset += n;
			return;
		}
		n -= left;
		*at = (struct guest_iov_pos){ at->index + 1, 0 };
	}
}

/* Where the next byte of the vector is; there is one. */
static gva_t next_byte(const struct guest_iov *iov, struct guest_iov_pos at)
{
	while (at.offset == iov->v[at.index].iov_len)
		at = (struct guest_iov_pos){ at.index + 1, 0 };
	return gva_make((uint64_t)iov->v[at.index].iov_base + at.offset);
}

/* As pin_batch(), which may have failed for want of memory alone. */
static size_t pin_batch_or_kill(struct task *t, const struct guest_iov *iov,
				struct guest_iov_pos at, bool write_memory, size_t max,
				struct mm_pin_vec *pins, unsigned int *nr)
{
	unsigned int tries = 0;
	size_t batch;

	do
		batch = pin_batch(t, iov, at, write_memory, max, pins, nr);
	while (!batch && user_retry_after_oom(t, next_byte(iov, at),
					      write_memory ? FAULT_FLAG_WRITE : 0, &tries));
	return batch;
}

/* Straight between guest frames and a regular file, batch by batch. */
static int64_t pinned_rw(struct task *t, struct gfile *g, bool write, const struct guest_iov *iov,
			 size_t limit, int64_t pos, int rwf)
{
	struct mm_pin_vec pins[PIN_BATCH_VECS];
	struct iovec v[PIN_BATCH_VECS];
	struct guest_iov_pos at = { 0, 0 };
	size_t done = 0, batch;
	unsigned int nr, i;
	int64_t n;

	while (done < limit) {
		batch = limit - done < PIN_BATCH_BYTES ? limit - done : PIN_BATCH_BYTES;
		batch = pin_batch_or_kill(t, iov, at, !write, batch, pins, &nr);
		if (!batch)
			return done ? (int64_t)done : -EFAULT;
		for (i = 0; i < nr; i++)
			v[i] = (struct iovec){ pins[i].hva, pins[i].len };
		n = host_rw(g, write, v, nr, pos < 0 ? -1 : pos + (int64_t)done, rwf);
		mm_unpin(task_mm(t), pins, nr, !write && n > 0);
		if (n <= 0)
			return done ? (int64_t)done : n;
		done += (size_t)n;
		advance(iov, &at, (size_t)n);
		if ((size_t)n < batch)
			break;
	}
	return (int64_t)done;
}

/* ---- regular files --------------------------------------------------------------- */

/* Where a transfer will start, for flushing: exact unless others move the offset. */
static uint64_t transfer_start(const struct gfile *g, bool write, int64_t pos, int rwf)
{
	struct stat st;
	off_t at;

	if (write && ((rwf & RWF_APPEND) || (gfile_flags(g) & O_APPEND)))
		return fstat(g->host_fd, &st) ? 0 : (uint64_t)st.st_size;
	if (pos >= 0)
		return (uint64_t)pos;
	at = lseek(g->host_fd, 0, SEEK_CUR);
	return at < 0 ? 0 : (uint64_t)at;
}

/*
 * How much of a large read can succeed: buffers beyond the end of the file need
 * not be faulted in. Files whose size says nothing (of sysfs and the like): all.
 */
static size_t read_limit(const struct gfile *g, size_t total, int64_t pos)
{
	struct stat st;
	uint64_t at;

	if (g->type != S_IFREG || fstat(g->host_fd, &st) || !st.st_size)
		return total;
	at = transfer_start(g, false, pos, 0);
	if (at >= (uint64_t)st.st_size)
		return 1; /* the host says 0, or has grown since */
	return total < (uint64_t)st.st_size - at ? total : (uint64_t)st.st_size - at;
}

static int64_t regular_read(struct task *t, struct gfile *g, const struct guest_iov *iov,
			    int64_t pos, int rwf)
{
	struct address_space *cache = gfile_cache(g);
	size_t limit;
	int r = 0;

	if (g->kind == GFILE_PROC && transfer_start(g, false, pos, 0) == 0)
		r = procfs_refresh(t, g);
	if (cache) {
		r = mapping_flush(cache, transfer_start(g, false, pos, rwf), iov->total);
		mapping_put(cache);
	}
	if (r)
		return r;
	limit = iov->total > BOUNCE_MAX ? read_limit(g, iov->total, pos) : iov->total;
	if (limit <= BOUNCE_MAX)
		return bounce_read(t, g, iov, limit, pos, rwf);
	return pinned_rw(t, g, false, iov, limit, pos, rwf);
}

/* The write, where it starts being known. */
static int64_t write_at(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos,
			int rwf, uint64_t start)
{
	size_t total = iov->total;
	struct file_change change;
	int64_t n;
	int r = 0;

	if (file_limited(t) && S_ISREG(g->type))
		r = file_limit_write(t, start, &total);
	if (!r)
		r = file_change_begin(g, start, total, &change);
	if (r)
		return r;
	if (total <= BOUNCE_MAX)
		n = bounce_write(t, g, iov, total, pos, rwf);
	else
		n = pinned_rw(t, g, true, iov, total, pos, rwf);
	file_change_end(&change, start, n > 0 ? (uint64_t)n : 0);
	return n;
}

static int64_t regular_write(struct task *t, struct gfile *g, const struct guest_iov *iov,
			     int64_t pos, int rwf)
{
	bool append = (rwf & RWF_APPEND) || (gfile_flags(g) & O_APPEND);
	struct address_space *cache = gfile_cache(g);
	/* At the descriptor's offset, or at the end: where that is must hold until it is written. */
	bool alone = cache && (pos < 0 || append);
	uint64_t start = 0;
	int64_t n;

	if (alone)
		filemap_write_lock(cache);
	if (cache || file_limited(t))
		start = transfer_start(g, true, pos, rwf);
	n = write_at(t, g, iov, pos, rwf, start);
	if (alone)
		filemap_write_unlock(cache);
	if (cache)
		mapping_put(cache);
	return n;
}

/* ---- everything that may block ---------------------------------------------------- */

static int64_t stream_call(struct task *t, struct gfile *g, bool write, void *buf, size_t len,
			   int64_t pos, int rwf)
{
	struct iovec v = { buf, len };
	int64_t n;

	if (rwf || pos >= 0)
		n = host_syscall_blocking(t, write ? SYS_pwritev2 : SYS_preadv2,
					  (uint64_t)g->host_fd, (uint64_t)&v, 1, (uint64_t)pos, 0,
					  (uint64_t)rwf);
	else if (write && g->pty_master)
		n = ctty_master_write(t, g, buf, len);
	else
		n = host_syscall_blocking(t, write ? SYS_write : SYS_read, (uint64_t)g->host_fd,
					  (uint64_t)buf, len, 0, 0, 0);
	return sock_interrupted(g, n, write ? SO_SNDTIMEO : SO_RCVTIMEO);
}

/* Devices such as /dev/zero fill whatever they are given; a short read ends it. */
static int64_t stream_read_into(struct task *t, struct gfile *g, const struct guest_iov *iov,
				char *buf, size_t size, int64_t pos, int rwf)
{
	struct guest_iov_pos at = { 0, 0 };
	size_t done = 0, want, copied;
	int64_t n;

	do {
		want = iov->total - done < size ? iov->total - done : size;
		n = stream_call(t, g, false, buf, want, pos < 0 ? -1 : pos + (int64_t)done, rwf);
		if (n <= 0)
			return done ? (int64_t)done : n;
		copied = guest_iov_fill(t, iov, &at, buf, (size_t)n);
		done += copied;
		if (copied < (size_t)n)
			return done ? (int64_t)done : -EFAULT;
	} while (g->type == S_IFCHR && (size_t)n == size && done < iov->total);
	return (int64_t)done;
}

static int64_t stream_write_from(struct task *t, struct gfile *g, const struct guest_iov *iov,
				 char *buf, size_t size, int64_t pos, int rwf)
{
	struct guest_iov_pos at = { 0, 0 };
	size_t done = 0, want, got;
	int64_t n;

	do {
		want = iov->total - done < size ? iov->total - done : size;
		got = guest_iov_drain(t, iov, &at, buf, want);
		/* A pipe takes whole pages: one that is bad at its end is not taken. */
		if (got < want)
			want = got & UMM_PAGE_MASK;
		if (!want && iov->total)
			return done ? (int64_t)done : -EFAULT;
		n = stream_call(t, g, true, buf, want, pos < 0 ? -1 : pos + (int64_t)done, rwf);
		if (n == -EPIPE)
			task_raise(t, SIGPIPE, SI_USER, gva_make(0));
		if (n < 0)
			return done ? (int64_t)done : n;
		done += (size_t)n;
		if (got > want)
			break;
	} while ((size_t)n == want && done < iov->total);
	return (int64_t)done;
}

static size_t stream_chunk(const struct gfile *g, bool write)
{
	int size;

	if (g->type == S_IFSOCK)
		return SOCKET_MAX;
	size = g->type == S_IFIFO && !write ? fcntl(g->host_fd, F_GETPIPE_SZ) : 0;
	return size > (int)STREAM_MAX ? (size_t)size : STREAM_MAX;
}

static int64_t stream_rw(struct task *t, struct gfile *g, bool write, const struct guest_iov *all,
			 int64_t pos, int rwf)
{
	struct guest_iov part = *all, *iov = &part;
	size_t max = stream_chunk(g, write), size;
	char small[BOUNCE_MAX], *buf = small;
	int64_t n = 0;

	if (!write && pos < 0)
		n = stream_room(t, g, all, rwf & RWF_NOWAIT, &part.total);
	if (n)
		return n;
	if (!write && !g->type && gfile_is_inotify(g) && guest_iov_room(t, all) < all->total)
		return inotify_read_events(t, g, all);
	size = iov->total < max ? iov->total : max;
	if (size > sizeof(small)) {
		buf = malloc(size);
		if (!buf)
			return -ENOMEM;
	}
	n = write ? stream_write_from(t, g, iov, buf, size, pos, rwf)
		  : stream_read_into(t, g, iov, buf, size, pos, rwf);
	if (buf != small)
		free(buf);
	return n;
}

/*
 * /dev/zero and /dev/urandom never wait, so they may see pinned frames; /dev/null
 * and /dev/zero take everything without a look at it.
 */
static bool device_fills(const struct gfile *g)
{
	return g->type == S_IFCHR && (g->rdev == makedev(1, 5) || g->rdev == makedev(1, 9));
}

static bool device_swallows(const struct gfile *g)
{
	return g->type == S_IFCHR && (g->rdev == makedev(1, 3) || g->rdev == makedev(1, 5));
}

/* ---- the two doors ------------------------------------------------------------------ */

int64_t file_read(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos,
		  int rwf)
{
	int r;

	if (!gfile_readable(g))
		return -EBADF;
	if (g->type == S_IFDIR)
		return -EISDIR;
	if (g->signalfd)
		return pos < 0 ? signalfd_read(t, g, iov) : -ESPIPE;
	if (g->mq)
		return mqueue_read(t, g, iov, pos);
	if (g->io)
		return proc_io_read(t, g, iov, pos);
	if (g->tty) {
		r = ctty_check_io(t, g, false);
		if (r)
			return r;
	}
	if (g->type != S_IFREG && g->type != S_IFBLK && !device_fills(g))
		return stream_rw(t, g, false, iov, pos, rwf);
	return iov->total ? regular_read(t, g, iov, pos, rwf) : 0;
}

int64_t file_write(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos,
		   int rwf)
{
	int r;

	if (!gfile_writable(g))
		return -EBADF;
	if (g->signalfd || g->mq)
		return -EINVAL;
	if (g->io)
		return proc_io_write(t, g, iov, pos);
	if (device_swallows(g))
		return (int64_t)iov->total;
	if (g->tty) {
		r = ctty_check_io(t, g, true);
		if (r)
			return r;
	}
	if (g->type != S_IFREG && g->type != S_IFBLK)
		return stream_rw(t, g, true, iov, pos, rwf);
	if (g->kind == GFILE_PROC)
		return procfs_write(t, g, iov);
	return iov->total ? regular_write(t, g, iov, pos, rwf) : 0;
}
