/* SPDX-License-Identifier: MIT */
/* RLIMIT_FSIZE: how large a program's stores may make a file. */
#ifndef GUEST_FILE_LIMIT_H
#define GUEST_FILE_LIMIT_H

#include "guest/task.h"

/*
 * A write of *len bytes at @start of a regular file: *len is cut to what the limit
 * leaves room for. -EFBIG, and SIGXFSZ to the calling thread: nothing. Call it where
 * @len is not 0.
 */
int file_limit_write(struct task *t, uint64_t start, size_t *len) UMM_MUST_CHECK;
/* The file of @old bytes gets @size: 0, or -EFBIG and SIGXFSZ. */
int file_limit_size(struct task *t, uint64_t old, uint64_t size) UMM_MUST_CHECK;
/* Is there a limit at all? Saves asking where a write would begin. */
bool file_limited(struct task *t);

#endif
