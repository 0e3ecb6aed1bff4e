/* SPDX-License-Identifier: MIT */
/*
 * The page caches of host files.
 *
 * Whoever maps or executes a file gets the one address_space of its inode, keyed
 * by (st_dev, st_ino). The table keeps one reference on each, so that the cache
 * outlives its last user: up to FILEMAPS_IDLE_MAX unused ones are kept, the least
 * recently used go first. As the cache holds the file open, its inode number
 * cannot be given to another file behind our back.
 *
 * Coherence. The guest's own reads and writes go to the host file and meet the
 * cache through mapping_flush() and mapping_refresh() (guest/file_change.h). What
 * others on the host do is seen when a file is opened or mapped: size, mtime and
 * ctime are compared with what they were, and the cache is read again if they
 * moved. Stores through MAP_SHARED reach the file at msync, at flushes, and at
 * the latest when the cache goes.
 */
#ifndef GUEST_FILEMAP_H
#define GUEST_FILEMAP_H

#include <sys/stat.h>

#include "guest/guest.h"

/* Caches without a user that are kept. */
#define FILEMAPS_IDLE_MAX 512

/*
 * The cache of the regular file behind @host_fd, made if there is none, with a
 * reference. @writable: dirty pages will have to be written. Opens the file anew:
 * offset and flags of @host_fd are not used. 0 or -errno.
 */
int filemaps_open(struct filemaps *fm, int host_fd, bool writable,
		  struct address_space **out) UMM_MUST_CHECK;
/* The cache of this inode with a reference, NULL if there is none. Cheap. */
struct address_space *filemaps_find(struct filemaps *fm, uint64_t dev, uint64_t ino);
/* The file was opened and looks like @st: drop what others have made stale. */
void filemaps_revalidate(struct filemaps *fm, const struct stat *st);
/*
 * One write at a time whose place is the file's end or a shared offset, as on Linux. Taken
 * before any lock of the manager and of guest/, kept across the write.
 */
void filemap_write_lock(struct address_space *m);
void filemap_write_unlock(struct address_space *m);
/* We changed the file ourselves through @m: what it looks like now is no news. */
void filemap_restamp(struct address_space *m);
/* A name of the file went: drop the cache if it was the last and nobody uses it. */
void filemaps_forget_unlinked(struct filemaps *fm, uint64_t dev, uint64_t ino);
/* Write everything back (sync). The first error. */
int filemaps_sync(struct filemaps *fm);
/* Caches in the table; how many of them without a user (for tests and stat). */
unsigned int filemaps_count(struct filemaps *fm, unsigned int *idle);
/* Name of the file now, with " (deleted)" if it has none. 0 or -errno. */
int mapping_readlink(const struct address_space *m, char *buf, size_t size);

#endif
