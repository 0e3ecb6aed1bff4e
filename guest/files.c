/* SPDX-License-Identifier: MIT */
/* The descriptor table: numbers, close-on-exec, dup, close, fork. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest/ctty.h"
#include "guest/host_dir.h"
#include "guest/mqueue.h"

/* A number given out whose file is still being opened. */
#define SLOT_RESERVED ((struct gfile *)1)
#define FILES_FIRST   64

struct files {
	int32_t refs; /* a */
	pthread_mutex_t lock;
	struct gfile **slot;
	uint8_t *cloexec;
	unsigned int size; /* slots allocated */
	unsigned int hint; /* no free slot below */
	struct record_owner *records;
};

static bool slot_used(const struct files *f, int fd)
{
	return fd >= 0 && (unsigned int)fd < f->size && f->slot[fd] && f->slot[fd] != SLOT_RESERVED;
}

void files_lock(struct files *f)
{
	pthread_mutex_lock(&f->lock);
}

void files_unlock(struct files *f)
{
	pthread_mutex_unlock(&f->lock);
}

struct record_owner **files_record_owners(struct files *f)
{
	return &f->records;
}

/* Lock held: room for @nr slots at least. */
static int files_grow(struct files *f, unsigned int nr)
{
	unsigned int size = f->size ? f->size : FILES_FIRST;
	struct gfile **slot;
	uint8_t *cloexec;

	while (size < nr)
		size *= 2;
	if (size == f->size)
		return 0;
	slot = calloc(size, sizeof(*slot));
	cloexec = calloc(size, 1);
	if (!slot || !cloexec) {
		free(slot);
		free(cloexec);
		return -ENOMEM;
	}
	if (f->size) {
		memcpy(slot, f->slot, f->size * sizeof(*slot));
		memcpy(cloexec, f->cloexec, f->size);
	}
	free(f->slot);
	free(f->cloexec);
	f->slot = slot;
	f->cloexec = cloexec;
	f->size = size;
	return 0;
}

int files_create(struct files **out)
{
	struct files *f = calloc(1, sizeof(*f));

	if (!f || files_grow(f, FILES_FIRST)) {
		free(f);
		return -ENOMEM;
	}
	f->refs = 1;
	pthread_mutex_init(&f->lock, NULL);
	*out = f;
	return 0;
}

/* The VMM holds the descriptors of all guest processes: take what the host allows. */
static void host_raise_nofile(void)
{
	struct rlimit lim;

	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* Room for host descriptor @fd's number, and a gfile of @copy in it (owned from now on). */
static int adopt(struct guest *g, struct files *f, int fd, int copy)
{
	struct gfile *file;
	int r = copy < 0 ? -errno : gfile_create(guest_filemaps(g), copy, -1, &file);

	if (r)
		return r;
	file->sealed = guest_config(g)->own_root;
	ctty_attach(g, file);
	/* A folder would be a way out. */
	if (file->sealed && S_ISDIR(file->type)) {
		gfile_put(file);
		return -EISDIR;
	}
	r = files_grow(f, (unsigned int)fd + 1);
	if (r)
		gfile_put(file);
	else
		f->slot[fd] = file;
	return r;
}

/*
 * What else whoever started us left open for the program: all of the VMM's own
 * descriptors close on exec, these do not. They are moved, not copied, so that
 * the other end of a pipe sees when the program closes it.
 */
static int adopt_inherited(struct guest *g, struct files *f)
{
	int fd = host_proc_open("self/fd", O_RDONLY | O_DIRECTORY), r = 0;
	struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (!r && (e = readdir(dir))) {
		fd = atoi(e->d_name);
		if (fd <= 2 || fcntl(fd, F_GETFD) != 0)
			continue;
		r = adopt(g, f, fd, fcntl(fd, F_DUPFD_CLOEXEC, 3));
		if (!r)
			close(fd);
	}
	closedir(dir);
	return r;
}

int files_create_stdio(struct guest *g, struct files **out)
{
	struct files *f;
	int fd, r;

	r = files_create(&f);
	if (r)
		return r;
	host_raise_nofile();
	r = adopt_inherited(g, f);
	for (fd = 0; !r && fd <= 2; fd++)
		/* Closed by whoever started us: closed in the guest. */
		if (fcntl(fd, F_GETFD) >= 0)
			r = adopt(g, f, fd, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	if (r)
		files_put(f);
	else
		*out = f;
	return r;
}

int files_fork(struct files *f, struct files **out)
{
	struct files *copy;
	unsigned int i;
	int r = files_create(&copy);

	if (r)
		return r;
	files_lock(f);
	r = files_grow(copy, f->size);
	for (i = 0; !r && i < f->size; i++) {
		if (!slot_used(f, (int)i))
			continue;
		copy->slot[i] = gfile_get(f->slot[i]);
		copy->cloexec[i] = f->cloexec[i];
	}
	files_unlock(f);
	if (r) {
		files_put(copy);
		return r;
	}
	*out = copy;
	return 0;
}

struct files *files_get(struct files *f)
{
	__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

void files_put(struct files *f)
{
	unsigned int i;

	if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return;
	record_owners_free(f->records);
	for (i = 0; i < f->size; i++)
		if (slot_used(f, (int)i))
			gfile_put(f->slot[i]);
	pthread_mutex_destroy(&f->lock);
	free(f->slot);
	free(f->cloexec);
	free(f);
}

struct gfile *files_lookup(struct files *f, int fd)
{
	struct gfile *g = NULL;

	files_lock(f);
	if (slot_used(f, fd))
		g = gfile_get(f->slot[fd]);
	files_unlock(f);
	return g;
}

int task_gfile(struct task *t, uint64_t fd, struct gfile **out)
{
	*out = files_lookup(task_files(t), (int)fd);
	return *out ? 0 : -EBADF;
}

int task_gfile_io(struct task *t, uint64_t fd, struct gfile **out)
{
	int r = task_gfile(t, fd, out);

	if (!r && ((*out)->flags & O_PATH)) {
		gfile_put(*out);
		r = -EBADF;
	}
	return r;
}

/* ---- making and closing descriptors ------------------------------------- */

int files_reserve(struct task *t, int min)
{
	struct files *f = task_files(t);
	uint64_t limit = task_rlimit(t, RLIMIT_NOFILE);
	unsigned int fd;
	int r;

	if (limit > INT_MAX)
		limit = INT_MAX;
	if (min < 0 || (uint64_t)min >= limit)
		return min > 0 ? -EINVAL : -EMFILE;
	files_lock(f);
	fd = (unsigned int)min > f->hint ? (unsigned int)min : f->hint;
	while (fd < f->size && f->slot[fd])
		fd++;
	if (fd >= limit) {
		r = -EMFILE;
		goto out;
	}
	r = files_grow(f, fd + 1);
	if (r)
		goto out;
	f->slot[fd] = SLOT_RESERVED;
	f->cloexec[fd] = 0;
	if ((unsigned int)min <= f->hint)
		f->hint = fd + 1;
	r = (int)fd;
out:
	files_unlock(f);
	return r;
}

void files_publish(struct files *f, int fd, struct gfile *g, bool cloexec)
{
	files_lock(f);
	f->slot[fd] = g;
	f->cloexec[fd] = cloexec;
	files_unlock(f);
}

/* Lock held. */
static void slot_clear(struct files *f, int fd)
{
	f->slot[fd] = NULL;
	f->cloexec[fd] = 0;
	if ((unsigned int)fd < f->hint)
		f->hint = (unsigned int)fd;
}

void files_unreserve(struct files *f, int fd)
{
	files_lock(f);
	slot_clear(f, fd);
	files_unlock(f);
}

int files_install(struct task *t, struct gfile *g, bool cloexec)
{
	int fd = files_reserve(t, 0);

	if (fd < 0)
		gfile_put(g);
	else
		files_publish(task_files(t), fd, g, cloexec);
	return fd;
}

int files_install_host(struct task *t, int host_fd, bool cloexec)
{
	struct gfile *g;
	int r = gfile_create(guest_filemaps(task_guest(t)), host_fd, -1, &g);

	if (r)
		return r;
	ctty_attach(task_guest(t), g);
	return files_install(t, g, cloexec);
}

/* What closing left to be done without the lock. */
struct closed {
	struct gfile *g;
	const struct files *from;
	int lock_fd;
};

/* Lock held, @fd in use: take it out of the table. */
static struct closed slot_close(struct files *f, int fd)
{
	struct closed c = { .g = f->slot[fd], .from = f, .lock_fd = -1 };

	slot_clear(f, fd);
	if (f->records)
		c.lock_fd = record_owner_drop(&f->records, c.g->dev, c.g->ino);
	return c;
}

static void closed_finish(struct closed c)
{
	if (c.lock_fd >= 0)
		close(c.lock_fd);
	if (c.g && c.g->mq)
		mqueue_flush(c.g->mq, c.from);
	gfile_put(c.g);
}

int files_close(struct files *f, int fd)
{
	struct closed c;

	files_lock(f);
	if (!slot_used(f, fd)) {
		files_unlock(f);
		return -EBADF;
	}
	c = slot_close(f, fd);
	files_unlock(f);
	closed_finish(c);
	return 0;
}

void files_close_range(struct files *f, unsigned int first, unsigned int last, bool only_cloexec)
{
	int fd;

	if (first > INT_MAX)
		return;
	for (fd = files_next(f, (int)first); fd >= 0 && (unsigned int)fd <= last;
	     fd = files_next(f, fd + 1)) {
		if (only_cloexec)
			files_set_cloexec(f, fd, true);
		else
			files_close(f, fd);
	}
}

void files_close_on_exec(struct files *f)
{
	int fd;

	for (fd = files_next(f, 0); fd >= 0; fd = files_next(f, fd + 1))
		if (files_get_cloexec(f, fd) == 1)
			files_close(f, fd);
}

int files_dup_to(struct files *f, int oldfd, int newfd, bool cloexec, uint64_t limit)
{
	struct closed c = { .g = NULL, .lock_fd = -1 };
	struct gfile *g;
	int r = newfd;

	files_lock(f);
	if (!slot_used(f, oldfd) || newfd < 0 || (uint64_t)newfd >= limit) {
		r = -EBADF;
		goto out;
	}
	g = f->slot[oldfd];
	if (files_grow(f, (unsigned int)newfd + 1)) {
		r = -ENOMEM;
		goto out;
	}
	if (f->slot[newfd] == SLOT_RESERVED) {
		r = -EBUSY;
		goto out;
	}
	gfile_get(g);
	if (f->slot[newfd])
		c = slot_close(f, newfd);
	f->slot[newfd] = g;
	f->cloexec[newfd] = cloexec;
out:
	files_unlock(f);
	closed_finish(c);
	return r;
}

/* ---- questions ------------------------------------------------------------ */

int files_get_cloexec(struct files *f, int fd)
{
	int r;

	files_lock(f);
	r = slot_used(f, fd) ? f->cloexec[fd] : -EBADF;
	files_unlock(f);
	return r;
}

int files_set_cloexec(struct files *f, int fd, bool on)
{
	int r = -EBADF;

	files_lock(f);
	if (slot_used(f, fd)) {
		f->cloexec[fd] = on;
		r = 0;
	}
	files_unlock(f);
	return r;
}

int files_next(struct files *f, int from)
{
	int fd = -1;

	files_lock(f);
	for (; (unsigned int)from < f->size && fd < 0; from++)
		if (slot_used(f, from))
			fd = from;
	files_unlock(f);
	return fd;
}

unsigned int files_size(struct files *f)
{
	unsigned int size;

	files_lock(f);
	size = f->size;
	files_unlock(f);
	return size;
}

bool files_shared(struct files *f)
{
	return __atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) > 1;
}
