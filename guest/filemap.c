/* SPDX-License-Identifier: MIT */
/* The table of page caches; guest/filemap.h tells the design. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest/filemap.h"
#include "guest/host_dir.h"
#include "guest/path.h"
#include "guest/vdso.h"

#define FILEMAPS_BUCKETS 1024

struct file_mapping {
	struct file_mapping *next; /* table lock: bucket */
	struct list_head lru;      /* table lock: most recently used first */
	struct address_space *space;
	uint64_t dev, ino;
	int read_fd;
	int write_fd;                 /* a  -1 until somebody may write */
	struct timespec mtime, ctime; /* stamp_lock: the file as we last saw it */
	int64_t size;
	pthread_mutex_t stamp_lock;
	pthread_mutex_t write_lock; /* filemap_write_lock() */
	char *path;
};

struct filemaps {
	struct mm_sys *sys;
	pthread_mutex_t lock; /* leaf of guest/; never held across a call of the manager */
	struct file_mapping *bucket[FILEMAPS_BUCKETS];
	struct list_head lru;
	unsigned int nr; /* a  also read without the lock */
};

static struct file_mapping **filemaps_bucket(struct filemaps *fm, uint64_t dev, uint64_t ino)
{
	return &fm->bucket[(ino * 0x9e3779b97f4a7c15ul + dev) >> 54];
}

/* ---- the file behind a cache ------------------------------------------- */

static int filemap_read(void *file, uint64_t off, void *hva, size_t len)
{
	struct file_mapping *m = file;
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(m->read_fd, (char *)hva + done, len - done, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	memset((char *)hva + done, 0, len - done);
	return 0;
}

/*
 * The file as it is now is what we have seen. Looked at under the lock: what is compared with
 * it there is never older than the last change of our own.
 */
static void filemap_stamp(struct file_mapping *m)
{
	struct stat st;

	pthread_mutex_lock(&m->stamp_lock);
	if (!fstat(m->read_fd, &st)) {
		m->mtime = st.st_mtim;
		m->ctime = st.st_ctim;
		m->size = st.st_size;
	}
	pthread_mutex_unlock(&m->stamp_lock);
}

static int filemap_write(void *file, uint64_t off, const void *hva, size_t len)
{
	struct file_mapping *m = file;
	int fd = __atomic_load_n(&m->write_fd, __ATOMIC_ACQUIRE);
	size_t done = 0;
	ssize_t n;

	if (fd < 0)
		return -EBADF;
	while (done < len) {
		n = pwrite(fd, (const char *)hva + done, len - done, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	filemap_stamp(m);
	return 0;
}

static int filemap_punch(void *file, uint64_t off, uint64_t len)
{
	const int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct file_mapping *m = file;
	int fd = __atomic_load_n(&m->write_fd, __ATOMIC_ACQUIRE);

	if (fd < 0)
		return -EBADF;
	if (fallocate(fd, how, (off_t)off, (off_t)len))
		return -errno;
	filemap_stamp(m);
	return 0;
}

static int64_t filemap_size(void *file)
{
	struct file_mapping *m = file;
	struct stat st;

	return fstat(m->read_fd, &st) ? -errno : st.st_size;
}

static int filemap_fsync(void *file)
{
	struct file_mapping *m = file;

	return fsync(m->read_fd) ? -errno : 0;
}

static void filemap_release(void *file)
{
	struct file_mapping *m = file;

	close(m->read_fd);
	if (m->write_fd >= 0)
		close(m->write_fd);
	pthread_mutex_destroy(&m->write_lock);
	pthread_mutex_destroy(&m->stamp_lock);
	free(m->path);
	free(m);
}

static const struct mapping_ops filemap_ops = {
	.read = filemap_read,
	.write = filemap_write,
	.punch = filemap_punch,
	.size = filemap_size,
	.sync = filemap_fsync,
	.release = filemap_release,
};

/*
 * Another open file description of the same file, with flags of its own. Where
 * the host forbids opening it again (its mode changed since), a duplicate.
 */
static int host_reopen(int host_fd, int flags)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "self/fd/%d", host_fd);
	fd = host_proc_open(name, flags | O_NOCTTY);
	if (fd < 0)
		fd = fcntl(host_fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

/* ---- the table ---------------------------------------------------------- */

int filemaps_create(struct mm_sys *sys, struct filemaps **out)
{
	struct filemaps *fm = calloc(1, sizeof(*fm));

	if (!fm)
		return -ENOMEM;
	fm->sys = sys;
	pthread_mutex_init(&fm->lock, NULL);
	list_init(&fm->lru);
	*out = fm;
	return 0;
}

/* Table lock held. */
static struct file_mapping *filemaps_lookup(struct filemaps *fm, uint64_t dev, uint64_t ino)
{
	struct file_mapping *m = *filemaps_bucket(fm, dev, ino);

	while (m && (m->ino != ino || m->dev != dev))
		m = m->next;
	return m;
}

/* Table lock held: take it out; the caller puts the table's reference. */
static void filemaps_unlink(struct filemaps *fm, struct file_mapping *m)
{
	struct file_mapping **p = filemaps_bucket(fm, m->dev, m->ino);

	while (*p != m)
		p = &(*p)->next;
	*p = m->next;
	list_del(&m->lru);
	__atomic_store_n(&fm->nr, fm->nr - 1, __ATOMIC_RELEASE);
}

/*
 * Table lock held: nobody but the table uses it. New references are only made
 * from the table under its lock, or from one that somebody else has, so an idle
 * cache stays idle while the lock is held.
 */
static bool filemap_idle(const struct file_mapping *m)
{
	return __atomic_load_n(&m->space->refcount, __ATOMIC_ACQUIRE) == 1;
}

void filemaps_destroy(struct filemaps *fm)
{
	struct file_mapping *m;

	if (!fm)
		return;
	while (!list_empty(&fm->lru)) {
		m = list_first_entry(&fm->lru, struct file_mapping, lru);
		filemaps_unlink(fm, m);
		mapping_put(m->space);
	}
	pthread_mutex_destroy(&fm->lock);
	free(fm);
}

struct address_space *filemaps_find(struct filemaps *fm, uint64_t dev, uint64_t ino)
{
	struct address_space *space = NULL;
	struct file_mapping *m;

	if (!__atomic_load_n(&fm->nr, __ATOMIC_ACQUIRE))
		return NULL;
	pthread_mutex_lock(&fm->lock);
	m = filemaps_lookup(fm, dev, ino);
	if (m)
		space = mapping_get(m->space);
	pthread_mutex_unlock(&fm->lock);
	return space;
}

static int filemap_create(struct filemaps *fm, int host_fd, const struct stat *st,
			  struct file_mapping **out)
{
	struct file_mapping *m = calloc(1, sizeof(*m));
	char path[PATH_MAX];
	struct statfs fs;
	int r;

	if (!m)
		return -ENOMEM;
	m->dev = st->st_dev;
	m->ino = st->st_ino;
	m->write_fd = -1;
	r = host_fd_path(host_fd, path, sizeof(path));
	m->path = strdup(r ? "" : path);
	pthread_mutex_init(&m->stamp_lock, NULL);
	pthread_mutex_init(&m->write_lock, NULL);
	m->read_fd = m->path ? host_reopen(host_fd, O_RDONLY) : -ENOMEM;
	if (m->read_fd < 0) {
		r = m->read_fd;
		goto fail;
	}
	filemap_stamp(m);
	r = mapping_create(fm->sys, &filemap_ops, m, 0, &m->space);
	if (r) {
		close(m->read_fd);
		goto fail;
	}
	/* Nobody else knows it yet. Memory policies of such files are the file's own. */
	m->space->tmpfs = !fstatfs(host_fd, &fs) && fs.f_type == TMPFS_MAGIC;
	*out = m;
	return 0;
fail:
	pthread_mutex_destroy(&m->write_lock);
	pthread_mutex_destroy(&m->stamp_lock);
	free(m->path);
	free(m);
	return r;
}

/* Give a cache the right to write. Several may try at once; the first wins. */
static int filemap_make_writable(struct file_mapping *m, int host_fd)
{
	int fd, none = -1;

	if (__atomic_load_n(&m->write_fd, __ATOMIC_ACQUIRE) >= 0)
		return 0;
	fd = host_reopen(host_fd, O_RDWR);
	if (fd < 0)
		return fd;
	if (!__atomic_compare_exchange_n(&m->write_fd, &none, fd, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		close(fd);
	return 0;
}

/* Table lock held: the least recently used idle cache, if there are too many. */
static struct file_mapping *filemaps_take_surplus(struct filemaps *fm)
{
	struct list_head *p;
	struct file_mapping *m;

	if (fm->nr <= FILEMAPS_IDLE_MAX)
		return NULL;
	for (p = fm->lru.prev; p != &fm->lru; p = p->prev) {
		m = list_entry(p, struct file_mapping, lru);
		if (!filemap_idle(m))
			continue;
		filemaps_unlink(fm, m);
		return m;
	}
	return NULL;
}

int filemaps_open(struct filemaps *fm, int host_fd, bool writable, struct address_space **out)
{
	struct file_mapping *m, *fresh = NULL, *surplus, **bucket;
	struct stat st;
	int r;

	if (fstat(host_fd, &st))
		return -errno;
	filemaps_revalidate(fm, &st);
	pthread_mutex_lock(&fm->lock);
	m = filemaps_lookup(fm, st.st_dev, st.st_ino);
	if (!m) {
		pthread_mutex_unlock(&fm->lock);
		r = filemap_create(fm, host_fd, &st, &fresh);
		if (r)
			return r;
		pthread_mutex_lock(&fm->lock);
		m = filemaps_lookup(fm, st.st_dev, st.st_ino);
	}
	if (!m) {
		m = fresh;
		fresh = NULL;
		bucket = filemaps_bucket(fm, m->dev, m->ino);
		m->next = *bucket;
		*bucket = m;
		list_add(&m->lru, &fm->lru);
		__atomic_store_n(&fm->nr, fm->nr + 1, __ATOMIC_RELEASE);
	} else {
		list_del(&m->lru);
		list_add(&m->lru, &fm->lru);
	}
	*out = mapping_get(m->space);
	surplus = filemaps_take_surplus(fm);
	pthread_mutex_unlock(&fm->lock);
	if (surplus)
		mapping_put(surplus->space);
	if (fresh)
		mapping_put(fresh->space);
	r = writable ? filemap_make_writable(m, host_fd) : 0;
	if (r) {
		mapping_put(*out);
		*out = NULL;
	}
	return r;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* stamp_lock held. */
static bool stamp_is(const struct file_mapping *m, const struct stat *st)
{
	return m->size == st->st_size && same_time(m->mtime, st->st_mtim) &&
	       same_time(m->ctime, st->st_ctim);
}

/*
 * Did others change the file? *size is what it is now, *old what it was. Changes of our own
 * tell what they did (filemap_stamp()) before they are over, so a difference while none is
 * under way is not ours.
 */
static bool changed_by_others(struct file_mapping *m, int64_t *old, int64_t *size)
{
	struct stat st;
	bool changed = false;

	pthread_mutex_lock(&m->stamp_lock);
	if (!fstat(m->read_fd, &st)) {
		*old = m->size;
		*size = st.st_size;
		changed = !stamp_is(m, &st) && !mapping_changing(m->space);
	}
	pthread_mutex_unlock(&m->stamp_lock);
	return changed;
}

static bool looks_as_before(struct file_mapping *m, const struct stat *st)
{
	bool same;

	pthread_mutex_lock(&m->stamp_lock);
	same = stamp_is(m, st);
	pthread_mutex_unlock(&m->stamp_lock);
	return same;
}

void filemaps_revalidate(struct filemaps *fm, const struct stat *st)
{
	struct address_space *space = filemaps_find(fm, st->st_dev, st->st_ino);
	int64_t old, size;

	if (!space)
		return;
	if (!looks_as_before(space->file, st) && changed_by_others(space->file, &old, &size)) {
		if (size < old)
			mapping_truncate(space, (uint64_t)size);
		mapping_invalidate(space);
		/* What is mapped or dirty could not be dropped: the clean rest is read again. */
		if (!mapping_flush(space, 0, (uint64_t)size) && !mapping_reread(space))
			filemap_restamp(space);
	}
	mapping_put(space);
}

void filemap_restamp(struct address_space *space)
{
	filemap_stamp(space->file);
}

void filemap_write_lock(struct address_space *space)
{
	struct file_mapping *m = space->file;

	pthread_mutex_lock(&m->write_lock);
}

void filemap_write_unlock(struct address_space *space)
{
	struct file_mapping *m = space->file;

	pthread_mutex_unlock(&m->write_lock);
}

void filemaps_forget_unlinked(struct filemaps *fm, uint64_t dev, uint64_t ino)
{
	struct file_mapping *m;
	struct stat st;

	if (!__atomic_load_n(&fm->nr, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&fm->lock);
	m = filemaps_lookup(fm, dev, ino);
	if (m && filemap_idle(m) && !fstat(m->read_fd, &st) && st.st_nlink == 0)
		filemaps_unlink(fm, m);
	else
		m = NULL;
	pthread_mutex_unlock(&fm->lock);
	if (m)
		mapping_put(m->space);
}

int filemaps_sync(struct filemaps *fm)
{
	struct address_space **all;
	struct file_mapping *m;
	unsigned int nr = 0, i;
	int r = 0, e;

	pthread_mutex_lock(&fm->lock);
	all = calloc(fm->nr + 1, sizeof(struct address_space *));
	if (all)
		list_for_each_entry(m, &fm->lru, lru) all[nr++] = mapping_get(m->space);
	pthread_mutex_unlock(&fm->lock);
	if (!all)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		e = mapping_flush(all[i], 0, INT64_MAX);
		r = r ? r : e;
		mapping_put(all[i]);
	}
	free(all);
	return r;
}

unsigned int filemaps_count(struct filemaps *fm, unsigned int *idle)
{
	struct file_mapping *m;
	unsigned int nr;

	*idle = 0;
	pthread_mutex_lock(&fm->lock);
	list_for_each_entry(m, &fm->lru, lru) *idle += filemap_idle(m);
	nr = fm->nr;
	pthread_mutex_unlock(&fm->lock);
	return nr;
}

/* ---- questions about a cache -------------------------------------------- */

int mapping_readlink(const struct address_space *m, char *buf, size_t size)
{
	const struct file_mapping *fm = m->file;

	return m->ops == &filemap_ops ? host_fd_path(fm->read_fd, buf, size) : -ENOENT;
}

const char *mapping_path(const struct address_space *m)
{
	const struct file_mapping *fm = m->file;

	if (m->ops == &filemap_ops)
		return fm->path;
	return vdso_is(m) ? VDSO_NAME : "";
}

void mapping_identity(const struct address_space *m, uint64_t *dev, uint64_t *ino)
{
	const struct file_mapping *fm = m->file;

	*dev = m->ops == &filemap_ops ? fm->dev : 0;
	*ino = m->ops == &filemap_ops ? fm->ino : 0;
}
