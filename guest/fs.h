/* SPDX-License-Identifier: MIT */
/* Working directory and umask of a process (shared by CLONE_FS). */
#ifndef GUEST_FS_H
#define GUEST_FS_H

#include "guest/guest.h"

/*
 * A directory that is, or was, somebody's working directory. Counted, because a
 * call may still resolve names from it while another thread changes directory.
 */
struct fs_dir {
	int32_t refs; /* a */
	int fd;       /* O_PATH; owned */
	/*
	 * Absolute name where names must be looked at by us: "/" and folders of
	 * procfs and sysfs that we make ourselves. NULL: the host resolves.
	 */
	char *path;
};

/* The working directory, with a reference. */
struct fs_dir *fs_cwd(struct fs *fs);
void fs_dir_put(struct fs_dir *d);
/* Change directory. @fd (O_PATH) is owned from now on, @path is copied; -ENOMEM. */
int fs_set_cwd(struct fs *fs, int fd, const char *path);
mode_t fs_umask(struct fs *fs);
/* Returns the old one. */
mode_t fs_set_umask(struct fs *fs, mode_t mask);

#endif
