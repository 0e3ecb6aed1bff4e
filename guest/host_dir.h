/* SPDX-License-Identifier: MIT */
/*
 * Folders of the host by descriptor, never by name.
 *
 * The threads that answer a guest's calls may live in another tree of mounts
 * than the one umm was started in (vmm/confine.h), where there is no /proc.
 * What umm itself needs of it, the links to its open files above all, it
 * reaches through one descriptor opened beforehand; no name that a program
 * gives leads there.
 */
#ifndef GUEST_HOST_DIR_H
#define GUEST_HOST_DIR_H

#include <stdio.h>
#include <umm/types.h>

/*
 * The host's /proc (O_PATH), opened at the first question and never closed: ask
 * once before the first confined thread. -1 where there is none.
 */
int host_proc_fd(void);
/* openat() below it. A descriptor, or -errno. */
int host_proc_open(const char *name, int flags) UMM_MUST_CHECK;
/* fopen(..., "re") below it; NULL with errno. */
FILE *host_proc_fopen(const char *name);

/*
 * For host calls that take a name and no folder: names are relative to @dirfd in
 * the calling thread from now on. Each thread has a working directory of its own
 * for this; programs' working directories are descriptors (guest/fs.h). 0 or -errno.
 */
int host_dir_enter(int dirfd) UMM_MUST_CHECK;

#endif
