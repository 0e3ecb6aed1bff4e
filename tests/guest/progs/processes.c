/* SPDX-License-Identifier: MIT */
/* fork, copy on write, wait4, waitid, orphans, process groups, sessions, vfork. */
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "progs.h"

#define RW (PROT_READ | PROT_WRITE)

static void test_cow(void)
{
	volatile char *p = mmap(NULL, 64 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i, wrong = 0, level;
	pid_t pid = 0;

	for (i = 0; i < 64; i++)
		p[i * (long)PAGE] = (char)i;
	/* A chain of five generations: each changes one page more than its parent. */
	fflush(stdout);
	for (level = 0; level < 5; level++) {
		pid = fork();
		if (pid)
			break;
		p[level * (long)PAGE] = (char)(100 + level);
	}
	for (i = 0; i < 64; i++)
		wrong += p[i * (long)PAGE] != (i < level ? 100 + i : i);
	if (pid > 0) {
		int status = -1;

		waitpid(pid, &status, 0);
		wrong += WIFEXITED(status) ? WEXITSTATUS(status) : 100;
	}
	if (level)
		_exit(wrong);
	printf("wrong pages in five generations: %d\n", wrong);
	munmap((void *)p, 64 * PAGE);
}

static void show_waitid(const char *what, idtype_t type, pid_t id, int options)
{
	siginfo_t info;
	int rc;

	memset(&info, 0, sizeof(info));
	rc = waitid(type, (id_t)id, &info, options);
	if (rc)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: code %d status %d, %s\n", what, info.si_code, info.si_status,
		       info.si_pid ? "a child" : "nobody");
}

static void test_waitid(void)
{
	int go[2];
	pid_t pid;
	char c;

	show_waitid("no children", P_ALL, 0, WEXITED);
	if (pipe(go))
		exit(2);
	pid = fork_flushed();
	if (!pid) {
		close(go[1]);
		raise(SIGSTOP);
		_exit(read(go[0], &c, 1) ? 9 : 3);
	}
	show_waitid("stopped", P_PID, pid, WSTOPPED);
	show_waitid("nothing new", P_PID, pid, WEXITED | WNOHANG);
	kill(pid, SIGCONT);
	show_waitid("continued", P_PID, pid, WCONTINUED);
	close(go[0]);
	close(go[1]);
	show_waitid("looked at", P_PID, pid, WEXITED | WNOWAIT);
	show_waitid("reaped", P_PID, pid, WEXITED);
	show_waitid("gone", P_PID, pid, WEXITED);
	show_waitid("no options", P_ALL, 0, 0);
	SHOW(waitpid(-1, NULL, 0));
	SHOW(waitpid(getpid(), NULL, 0));
}

static void test_wait4(void)
{
	struct rusage usage;
	int status = 0;
	pid_t pid = fork_flushed();

	if (!pid)
		_exit(300);
	SHOW(wait4(pid, &status, 0, &usage) == pid);
	printf("status %#x\n", (unsigned int)status);
	pid = fork_flushed();
	if (!pid) {
		pause();
		_exit(0);
	}
	SHOW(wait4(pid, &status, WNOHANG, NULL));
	kill(pid, SIGTERM);
	SHOW(wait4(-1, &status, 0, NULL) == pid);
	printf("status %#x\n", (unsigned int)status);
}

static void test_groups(void)
{
	int ready[2], go[2];
	char byte;
	pid_t a, b;

	if (pipe(ready) || pipe(go))
		return;
	a = fork_flushed();
	if (!a) {
		setpgid(0, 0);
		b = fork();
		if (write(ready[1], "r", 1) != 1)
			_exit(9);
		if (b)
			waitpid(b, NULL, 0);
		else
			pause();
		_exit(0);
	}
	SHOW(read(ready[0], &byte, 1));
	SHOW(read(ready[0], &byte, 1));
	SHOW(getpgid(a) == a);
	SHOW(getpgid(0) == getpgrp());
	SHOW(setpgid(a, 999999));
	SHOW(kill(-a, SIGTERM));
	SHOW(waitpid(-a, NULL, 0) == a);
	a = fork_flushed();
	if (!a) {
		SHOW(setsid() == getpid());
		SHOW(getpgrp() == getpid());
		SHOW(getsid(0) == getpid());
		SHOW(setsid());
		child_exit(0);
	}
	show_child("session", a);
}

/* An orphan is adopted by the nearest subreaper. */
static void test_orphan(void)
{
	int p[2];
	char byte = 0;
	pid_t pid, grandchild = 0;

	if (pipe(p))
		return;
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = fork_flushed();
	if (!pid) {
		pid_t parent = getpid();

		if (fork())
			_exit(0);
		while (getppid() == parent)
			usleep(1000);
		grandchild = getpid();
		if (write(p[1], &grandchild, sizeof(grandchild)) < 0)
			_exit(9);
		_exit(7);
	}
	show_child("child", pid);
	SHOW(read(p[0], &grandchild, sizeof(grandchild)));
	show_child("adopted", grandchild);
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 0));
	close(p[1]);
	SHOW(read(p[0], &byte, 1));
	close(p[0]);
}

static void test_vfork(void)
{
	volatile int shared = 1;
	pid_t pid;

	fflush(stdout);
	pid = vfork();
	if (!pid) {
		shared = 2;
		_exit(4);
	}
	printf("vfork shares memory: %d\n", shared);
	show_child("vfork", pid);
	fflush(stdout);
	pid = vfork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "echo from sh; exit 6", (char *)NULL);
		_exit(127);
	}
	show_child("vfork and exec", pid);
	pid = vfork();
	if (!pid) {
		execl("/nonexistent", "x", (char *)NULL);
		shared = errno;
		_exit(8);
	}
	show_child("vfork, failed exec", pid);
	printf("its errno: %s\n", strerrorname_np(shared));
}

static void test_many_children(void)
{
	int i, sum = 0, status;

	fflush(stdout);
	for (i = 0; i < 40; i++)
		if (!fork())
			_exit(i);
	while (wait(&status) > 0)
		sum += WEXITSTATUS(status);
	printf("sum of 40 statuses: %d\n", sum);
	SHOW(wait(&status));
}

static void test_pidfd(void)
{
	pid_t pid = fork_flushed();
	struct pollfd entry = { .events = POLLIN };
	int fd;

	if (!pid) {
		usleep(10000);
		_exit(11);
	}
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	entry.fd = fd;
	printf("pidfd_open: %s\n", fd >= 0 ? "opened" : strerrorname_np(errno));
	SHOW(poll(&entry, 1, 100000));
	show_waitid("by pidfd", (idtype_t)3, fd, WEXITED);
	close(fd);
}

static void test_names(void)
{
	char name[16] = "";

	SHOW(prctl(PR_SET_NAME, "self-test"));
	SHOW(prctl(PR_GET_NAME, name));
	printf("%s\n", name);
	SHOW(prctl(PR_SET_PDEATHSIG, SIGTERM));
	SHOW(prctl(PR_SET_PDEATHSIG, 0));
	SHOW(prctl(PR_SET_DUMPABLE, 1));
	SHOW(prctl(-7));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(umask(022) <= 0777);
	SHOW(umask(077));
}

int main(void)
{
	test_cow();
	test_waitid();
	test_wait4();
	test_groups();
	test_orphan();
	test_vfork();
	test_many_children();
	test_pidfd();
	test_names();
	return 0;
}
