/* SPDX-License-Identifier: MIT */
#include "vmm/bench_nbd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool ended(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == pid;
}

int bench_nbd_start(struct bench_nbd *n, const char *dir, uint64_t bytes, struct errmsg *e)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	char size[32];

	n->pid = 0;
	if (snprintf(n->socket, sizeof(n->socket), "%s/nbd.sock", dir) >= (int)sizeof(n->socket))
		return errmsg_set(e, -ENAMETOOLONG, "%.200s is too long for a socket's name", dir);
	snprintf(size, sizeof(size), "%" PRIu64, bytes);
	unlink(n->socket);
	n->pid = fork();
	if (n->pid < 0)
		return errmsg_set(e, -errno, "fork: %s", strerror(errno));
	if (!n->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("nbdkit", "nbdkit", "-f", "-U", n->socket, "memory", size, NULL);
		_exit(127);
	}
	for (unsigned int i = 0; i < 250; i++) {
		if (!access(n->socket, F_OK))
			return 0;
		if (ended(n->pid)) {
			n->pid = 0;
			break;
		}
		nanosleep(&pause, NULL);
	}
	bench_nbd_stop(n);
	return errmsg_set(e, -ENOENT,
			  "no NBD server: nbdkit (Debian: apt-get install nbdkit) does "
			  "not start");
}

void bench_nbd_stop(struct bench_nbd *n)
{
	if (n->pid <= 0)
		return;
	kill(n->pid, SIGTERM);
	waitpid(n->pid, NULL, 0);
	unlink(n->socket);
	n->pid = 0;
}
