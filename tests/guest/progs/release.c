/* SPDX-License-Identifier: MIT */
/* process_mrelease: the memory of a process that was killed. */
#include <poll.h>
#include <sched.h>

#include "progs.h"

#define CALL_PIDFD_OPEN       434
#define CALL_PROCESS_MRELEASE 448

static long pidfd_open_(pid_t pid)
{
	return syscall(CALL_PIDFD_OPEN, pid, 0);
}

static long release(long fd, unsigned int flags)
{
	return syscall(CALL_PROCESS_MRELEASE, fd, flags);
}

static pid_t sleeper(void)
{
	pid_t pid = fork_flushed();

	if (pid)
		return pid;
	for (;;)
		pause();
}

static void errors(void)
{
	int other = open("/dev/null", O_RDONLY);
	pid_t pid = sleeper();
	long fd = pidfd_open_(pid);
	struct pollfd ended = { (int)fd, POLLIN, 0 };

	SHOW(release(-1, 0));
	SHOW(release(other, 0));
	SHOW(release(fd, 1));
	SHOW(release(-1, 1));
	SHOW(release(fd, ~0u));
	SHOW(release(fd, 0));
	SHOW(release(pidfd_open_(getpid()), 0));
	kill(pid, SIGKILL);
	poll(&ended, 1, -1);
	/* A zombie has no memory any more. */
	SHOW(release(fd, 0));
	show_child("the killed one", pid);
	SHOW(release(fd, 0));
	close(other);
	close((int)fd);
}

static int share_memory(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

/* Two processes with one memory: killing one gives nothing back. */
static void shared_memory(void)
{
	static char stack[2][65536] __attribute__((aligned(16)));
	pid_t a = fork_flushed();

	if (!a) {
		pid_t lives =
			clone(share_memory, stack[0] + sizeof(stack[0]), CLONE_VM | SIGCHLD, NULL);
		pid_t dies =
			clone(share_memory, stack[1] + sizeof(stack[1]), CLONE_VM | SIGCHLD, NULL);
		long fd = pidfd_open_(dies);

		kill(dies, SIGKILL);
		/* On its way out (EINVAL: the memory is in use), or already gone (ESRCH). */
		if (release(fd, 0) == -1 && (errno == EINVAL || errno == ESRCH))
			printf("nothing of it was released\n");
		else
			printf("released what others use\n");
		show_child("the killed one", dies);
		kill(lives, SIGKILL);
		show_child("the other one", lives);
		child_exit(3);
	}
	show_child("the user of shared memory", a);
}

/*
 * Kill a child that writes its memory to a pipe all the time and release it in the
 * middle of that: what comes out of the pipe is the child's or nothing, never zeroes.
 */
static void while_it_writes(void)
{
	enum { SIZE = 8 << 20 };
	static char got[1 << 16];
	int pipes[2], i;
	long zeroes = 0, done = 0, gone = 0, odd = 0;

	for (i = 0; i < 40; i++) {
		ssize_t n, all = 0;
		pid_t pid;
		long fd;

		if (pipe(pipes))
			exit(2);
		pid = fork_flushed();
		if (!pid) {
			char *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			close(pipes[0]);
			memset(mem, 7, SIZE);
			for (;;)
				if (write(pipes[1], mem, SIZE) < 0)
					_exit(1);
		}
		close(pipes[1]);
		fd = pidfd_open_(pid);
		while (all < (i + 1) * 10000) {
			n = read(pipes[0], got, sizeof(got));
			if (n <= 0)
				exit(2);
			all += n;
		}
		kill(pid, SIGKILL);
		if (!release(fd, 0))
			done++;
		else if (errno == ESRCH)
			gone++;
		else
			odd++;
		while ((n = read(pipes[0], got, sizeof(got))) > 0)
			for (ssize_t k = 0; k < n; k++)
				zeroes += got[k] != 7;
		waitpid(pid, NULL, 0);
		close(pipes[0]);
		close((int)fd);
	}
	printf("%ld released or gone, %ld otherwise, %ld wrong bytes\n", done + gone, odd, zeroes);
}

int main(void)
{
	errors();
	shared_memory();
	while_it_writes();
	return 0;
}
