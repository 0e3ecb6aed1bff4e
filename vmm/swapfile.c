/* SPDX-License-Identifier: MIT */
#include "vmm/swapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* With O_DIRECT if it can be had; *direct tells. */
static int open_either(const char *path, int flags, bool *direct)
{
	int fd = open(path, flags | O_DIRECT, 0600);

	*direct = fd >= 0;
	/* EINVAL: this file system cannot. */
	if (fd < 0 && errno == EINVAL)
		fd = open(path, flags, 0600);
	return fd < 0 ? -errno : fd;
}

/* For file systems without O_TMPFILE. Through the page cache: rare enough. */
static int open_and_unlink(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/umm-swap-XXXXXX", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static int open_unnamed(struct swapfile *file, struct errmsg *e)
{
	const char *dir = getenv("TMPDIR");

	if (!dir || !*dir)
		dir = "/var/tmp";
	file->fd = open_either(dir, O_RDWR | O_CLOEXEC | O_TMPFILE, &file->direct);
	if (file->fd == -EOPNOTSUPP || file->fd == -EISDIR)
		file->fd = open_and_unlink(dir);
	if (file->fd < 0)
		return errmsg_set(e, file->fd,
				  "cannot make a swap file in %s: %s (set TMPDIR to a "
				  "directory on a disk, or name a file)",
				  dir, strerror(-file->fd));
	return 0;
}

static int open_named(struct swapfile *file, const char *path, uint64_t bytes, struct errmsg *e)
{
	int flags = O_RDWR | O_CLOEXEC | (bytes ? O_CREAT : 0);
	struct stat st;

	/* A device that is mounted or otherwise in use is refused by O_EXCL. */
	if (!stat(path, &st) && S_ISBLK(st.st_mode))
		flags = O_RDWR | O_CLOEXEC | O_EXCL;
	file->fd = open_either(path, flags, &file->direct);
	if (file->fd < 0)
		return errmsg_set(e, file->fd, "cannot open swap file %s: %s%s", path,
				  strerror(-file->fd),
				  file->fd == -ENOENT && !bytes ? "; FILE:SIZE makes one" : "");
	if (flock(file->fd, LOCK_EX | LOCK_NB))
		return errmsg_set(e, -EBUSY, "swap file %s is in use by another process", path);
	return 0;
}

/*
 * Blocks are reserved beforehand, as swapon wants them: running out of disk in
 * the middle of reclaim helps nobody. A file system that cannot reserve gets a
 * sparse file, and ENOSPC comes with the transfer.
 */
static int grow(struct swapfile *file, const char *path, uint64_t have, uint64_t bytes,
		struct errmsg *e)
{
	int rc;

	if (have >= bytes)
		return 0;
	do {
		rc = fallocate(file->fd, 0, 0, (off_t)bytes) ? -errno : 0;
	} while (rc == -EINTR);
	if (rc == -EOPNOTSUPP)
		rc = ftruncate(file->fd, (off_t)bytes) ? -errno : 0;
	if (rc)
		return errmsg_set(e, rc, "cannot give swap file %s %llu MiB: %s", path,
				  (unsigned long long)(bytes >> 20), strerror(-rc));
	return 0;
}

static int size_find(struct swapfile *file, const char *path, uint64_t bytes, struct errmsg *e)
{
	uint64_t size = 0;
	struct stat st;
	int rc;

	if (fstat(file->fd, &st))
		return errmsg_set(e, -errno, "swap file %s: %s", path, strerror(errno));
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(file->fd, BLKGETSIZE64, &size))
			return errmsg_set(e, -errno, "swap device %s: %s", path, strerror(errno));
		if (bytes > size)
			return errmsg_set(e, -ENOSPC, "swap device %s has %llu MiB, not %llu", path,
					  (unsigned long long)(size >> 20),
					  (unsigned long long)(bytes >> 20));
	} else if (S_ISREG(st.st_mode)) {
		size = (uint64_t)st.st_size;
		rc = grow(file, path, size, bytes, e);
		if (rc)
			return rc;
	} else {
		return errmsg_set(e, -EINVAL,
				  "swap file %s is neither a regular file nor a block "
				  "device",
				  path);
	}
	file->nr_slots = (bytes ? bytes : size) >> UMM_PAGE_SHIFT;
	if (!file->nr_slots)
		return errmsg_set(e, -EINVAL, "swap file %s is empty: give a size", path);
	return 0;
}

int swapfile_open(struct swapfile *file, const char *path, uint64_t bytes, struct errmsg *e)
{
	bool new = path[0] && bytes &&access(path, F_OK);
	int rc;

	file->fd = -1;
	file->first = 0;
	rc = path[0] ? open_named(file, path, bytes, e) : open_unnamed(file, e);
	if (!rc)
		rc = size_find(file, path[0] ? path : "(unnamed)", bytes, e);
	/* An empty file that was made for nothing is not left behind. */
	if (rc && new && file->fd >= 0)
		unlink(path);
	if (rc)
		swapfile_close(file);
	return rc;
}

int swapfile_take(struct swapfile *file, const struct guest_swap_file *given, struct errmsg *e)
{
	*file = (struct swapfile){
		.fd = fcntl(given->fd, F_DUPFD_CLOEXEC, 0),
		.nr_slots = given->nr_slots,
		.direct = given->direct,
		.first = 1,
	};
	if (file->fd < 0)
		return errmsg_set(e, -errno, "swap file %s: %s", given->name, strerror(errno));
	if (!flock(file->fd, LOCK_EX | LOCK_NB))
		return 0;
	swapfile_close(file);
	return errmsg_set(e, -EBUSY, "swap file %s is in use", given->name);
}

void swapfile_close(struct swapfile *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}
