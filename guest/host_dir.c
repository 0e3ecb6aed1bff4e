/* SPDX-License-Identifier: MIT */
#include "guest/host_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static int proc_fd = -1;

static void open_proc(void)
{
	proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int host_proc_fd(void)
{
	pthread_once(&opened, open_proc);
	return proc_fd;
}

int host_proc_open(const char *name, int flags)
{
	int fd = openat(host_proc_fd(), name, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

FILE *host_proc_fopen(const char *name)
{
	int fd = host_proc_open(name, O_RDONLY);
	FILE *f;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	f = fdopen(fd, "r");
	if (!f)
		close(fd);
	return f;
}

int host_dir_enter(int dirfd)
{
	static __thread bool alone;

	/* Threads begin with the directory of who made them, shared. */
	if (!alone && unshare(CLONE_FS))
		return -errno;
	alone = true;
	return fchdir(dirfd) ? -errno : 0;
}
