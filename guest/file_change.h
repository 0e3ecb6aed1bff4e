/* SPDX-License-Identifier: MIT */
/*
 * Host files that are read and changed beside mappings of them.
 *
 * The guest's reads and writes go to the host's file. Before a read, stores through
 * mappings are written there. A change holds its bytes (mapping_hold()) from before the
 * host is called until the cache has been read again, so that nothing which was stored
 * next to them, and is written back meanwhile, brings back what they were.
 */
#ifndef GUEST_FILE_CHANGE_H
#define GUEST_FILE_CHANGE_H

#include "guest/files.h"

/* A change under way; the caller's, in its place from begin to end. */
struct file_change {
	struct address_space *cache; /* one reference; NULL: nobody has the file mapped */
	struct mapping_hold hold;
};

/* The host is about to read [off, off + len) of the file. 0 or -errno. */
int file_cache_before_read(const struct gfile *g, uint64_t off, uint64_t len) UMM_MUST_CHECK;

/*
 * The host is about to change [off, off + len) itself. On an error nothing is held and there
 * is nothing to end. Ended by file_change_end() with the bytes that did change, which are
 * read again; none of these calls may be made for the same file in between.
 */
int file_change_begin(const struct gfile *g, uint64_t off, uint64_t len,
		      struct file_change *c) UMM_MUST_CHECK;
void file_change_end(struct file_change *c, uint64_t off, uint64_t len);

/*
 * The file is about to end at @size: what lies behind is not written, as that would make it
 * longer again. @cache: with a reference, which is used up; or NULL. @done: it was cut.
 */
void file_cut_begin(struct address_space *cache, uint64_t size, struct file_change *c);
void file_cut_end(struct file_change *c, bool done);

#endif
