/* SPDX-License-Identifier: MIT */
/* signalfd: what is read, poll and epoll, blocking, changes of the set, fork. */
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "progs.h"

static sigset_t set_of(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	if (a)
		sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	return set;
}

static int ready(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 0);
}

static void show_next(const char *what, int fd)
{
	struct signalfd_siginfo info[4];
	ssize_t n = read(fd, info, sizeof(info)), i;

	if (n < 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: %zd bytes", what, n);
	for (i = 0; i < n / (ssize_t)sizeof(info[0]); i++)
		printf(", SIG%s code %d int %d %s", signal_name((int)info[i].ssi_signo),
		       info[i].ssi_code, info[i].ssi_int,
		       (pid_t)info[i].ssi_pid == getpid() ? "from me" : "from other");
	printf("\n");
}

static void *sender(void *arg)
{
	usleep(20000);
	kill(getpid(), *(int *)arg);
	return NULL;
}

static void handled(int number)
{
	(void)number;
}

int main(void)
{
	sigset_t set = set_of(SIGUSR1, SIGRTMIN), none = set_of(0, 0), child = set_of(SIGCHLD, 0);
	struct sigaction action = { .sa_handler = handled };
	struct epoll_event ev = { .events = EPOLLIN };
	struct signalfd_siginfo info;
	int fd, ep, number = SIGUSR1;
	pthread_t thread;
	pid_t pid;

	SHOW(syscall(SYS_signalfd4, -1, &set, 4, 0));
	SHOW(syscall(SYS_signalfd4, -1, (void *)8, 8, 0));
	SHOW(syscall(SYS_signalfd4, -1, &set, 8, 1));
	SHOW(signalfd(99, &set, 0));
	SHOW(signalfd(1, &set, 0));
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &child, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
	SHOW(ready(fd));
	show_next("empty", fd);
	SHOW(read(fd, &info, 100));
	SHOW(write(fd, &info, sizeof(info)));
	kill(getpid(), SIGUSR1);
	sigqueue(getpid(), SIGRTMIN, (union sigval){ 7 });
	sigqueue(getpid(), SIGRTMIN, (union sigval){ 8 });
	SHOW(ready(fd));
	show_next("three", fd);
	SHOW(ready(fd));
	kill(getpid(), SIGUSR1);
	SHOW(sigwaitinfo(&set, NULL) == SIGUSR1);
	SHOW(ready(fd));
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	SHOW(epoll_wait(ep, &ev, 1, 0));
	raise(SIGUSR1);
	SHOW(epoll_wait(ep, &ev, 1, 0));
	show_next("to the thread", fd);
	SHOW(epoll_wait(ep, &ev, 1, 0));
	/* Pending before the descriptor knows of it. */
	SHOW(signalfd(fd, &none, 0) == fd);
	raise(SIGUSR1);
	SHOW(ready(fd));
	SHOW(signalfd(fd, &set, 0) == fd);
	SHOW(ready(fd));
	show_next("after the change", fd);
	SHOW(signalfd(fd, &child, 0) == fd);
	pid = fork_flushed();
	if (!pid)
		child_exit(3);
	SHOW(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 100000));
	SHOW(read(fd, &info, sizeof(info)));
	printf("child: status %d code %d, %s\n", info.ssi_status, info.ssi_code,
	       (pid_t)info.ssi_pid == pid ? "it" : "another");
	waitpid(pid, NULL, 0);
	close(fd);
	/* Blocking, woken by another thread, and interrupted by a handler. */
	fd = signalfd(-1, &set, 0);
	pthread_create(&thread, NULL, sender, &number);
	show_next("woken", fd);
	pthread_join(thread, NULL);
	sigaction(SIGALRM, &action, NULL);
	/* Again and again: the first may come before the read. */
	ualarm(20000, 20000);
	show_next("interrupted", fd);
	ualarm(0, 0);
	/* A child reads its own. */
	pid = fork_flushed();
	if (!pid) {
		kill(getpid(), SIGUSR1);
		show_next("child's own", fd);
		child_exit(0);
	}
	show_child("child", pid);
	kill(getpid(), SIGUSR1);
	show_next("mine again", fd);
	return 0;
}
