/* SPDX-License-Identifier: MIT */
/*
 * Working directory and umask. The VMM is one process and these belong to each
 * guest process, so the VMM's own umask is 0 (fs_create() sees to it) and modes
 * are masked here, and names are resolved from an O_PATH descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/fs.h"
#include "guest/path.h"

struct fs {
	int32_t refs; /* a */
	pthread_mutex_t lock;
	struct fs_dir *cwd;
	mode_t umask;
};

static struct fs_dir *fs_dir_create(int fd, const char *path)
{
	struct fs_dir *d = calloc(1, sizeof(*d));

	if (!d)
		goto fail;
	d->refs = 1;
	d->fd = fd;
	if (path) {
		d->path = strdup(path);
		if (!d->path)
			goto fail;
	}
	return d;
fail:
	free(d);
	close(fd);
	return NULL;
}

void fs_dir_put(struct fs_dir *d)
{
	if (!d || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
		return;
	close(d->fd);
	free(d->path);
	free(d);
}

struct fs_dir *fs_cwd(struct fs *fs)
{
	struct fs_dir *d;

	pthread_mutex_lock(&fs->lock);
	d = fs->cwd;
	__atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&fs->lock);
	return d;
}

int fs_set_cwd(struct fs *fs, int fd, const char *path)
{
	struct fs_dir *d = fs_dir_create(fd, path), *old;

	if (!d)
		return -ENOMEM;
	pthread_mutex_lock(&fs->lock);
	old = fs->cwd;
	fs->cwd = d;
	pthread_mutex_unlock(&fs->lock);
	fs_dir_put(old);
	return 0;
}

mode_t fs_umask(struct fs *fs)
{
	return __atomic_load_n(&fs->umask, __ATOMIC_RELAXED);
}

mode_t fs_set_umask(struct fs *fs, mode_t mask)
{
	return __atomic_exchange_n(&fs->umask, mask & 0777, __ATOMIC_RELAXED);
}

static struct fs *fs_alloc(struct fs_dir *cwd, mode_t mask)
{
	struct fs *fs = calloc(1, sizeof(*fs));

	if (!fs) {
		fs_dir_put(cwd);
		return NULL;
	}
	fs->refs = 1;
	pthread_mutex_init(&fs->lock, NULL);
	fs->cwd = cwd;
	fs->umask = mask;
	return fs;
}

int fs_create(struct fs **out)
{
	struct fs_dir *cwd;
	char path[PATH_MAX];
	int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (host_fd_path(fd, path, sizeof(path)))
		path[0] = 0;
	cwd = fs_dir_create(fd, strcmp(path, "/") ? NULL : path);
	*out = cwd ? fs_alloc(cwd, umask(0)) : NULL;
	return *out ? 0 : -ENOMEM;
}

int fs_fork(struct fs *fs, struct fs **out)
{
	*out = fs_alloc(fs_cwd(fs), fs_umask(fs));
	return *out ? 0 : -ENOMEM;
}

struct fs *fs_get(struct fs *fs)
{
	__atomic_fetch_add(&fs->refs, 1, __ATOMIC_RELAXED);
	return fs;
}

void fs_put(struct fs *fs)
{
	if (!fs || __atomic_sub_fetch(&fs->refs, 1, __ATOMIC_ACQ_REL))
		return;
	fs_dir_put(fs->cwd);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}
