/* SPDX-License-Identifier: MIT */
/*
 * Calls on other processes, one by one: descriptors that stand for them, waiting by those, their
 * memory read, written and advised. What each gives, and each errno that a program can provoke.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "calls.h"

#define BY_PIDFD ((idtype_t)3)
#define RW       (PROT_READ | PROT_WRITE)

static int pidfd_open_(pid_t pid, unsigned int flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_signal(int fd, int sig, void *info, unsigned int flags)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static int advise(int fd, struct iovec *iov, size_t nr, int advice, unsigned int flags)
{
	return (int)syscall(SYS_process_madvise, fd, iov, nr, advice, flags);
}

/* A child that waits for its end. */
static pid_t child_idle(void)
{
	pid_t pid = fork_flushed();

	while (!pid)
		pause();
	return pid;
}

static void child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- descriptors of processes --------------------------------------------------------------- */

static void test_opening(void)
{
	int self = pidfd_open_(getpid(), 0), loose = pidfd_open_(getpid(), O_NONBLOCK);
	struct pollfd one = { self, POLLIN, 0 };
	struct epoll_event event = { .events = EPOLLIN };
	int e = epoll_create1(0);
	uint64_t value = 1;
	struct stat st;

	printf("-- pidfd_open\n");
	SHOW(pidfd_open_(0, 0));
	SHOW(pidfd_open_(-1, 0));
	SHOW(pidfd_open_(NOBODY, 0));
	SHOW(pidfd_open_(getpid(), 0x40000000));
	SHOW(pidfd_open_(NOBODY, 0x40000000));
	printf("opened %d %d\n", self >= 0, loose >= 0);
	SHOW(fcntl(self, F_GETFD));
	SHOW(fcntl(self, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	SHOW(fcntl(loose, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	SHOW(read(self, &value, 8));
	SHOW(write(self, &value, 8));
	SHOW(lseek(self, 0, SEEK_SET));
	SHOW(poll(&one, 1, 0));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, self, &event));
	SHOW(epoll_wait(e, &event, 1, 0));
	SHOW(fstat(self, &st));
	SHOW(dup2(self, 50));
	SHOW(pidfd_signal(50, 0, NULL, 0));
	close(50);
	close(self);
	close(loose);
	close(e);
}

static void test_signalling(void)
{
	int self = pidfd_open_(getpid(), 0), file = file_make("plain", 1), fd;
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE }, got;
	pid_t pid = child_idle();
	sigset_t set;

	printf("-- pidfd_send_signal\n");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = pidfd_open_(pid, 0);
	SHOW(pidfd_signal(-1, 0, NULL, 0));
	SHOW(pidfd_signal(file, 0, NULL, 0));
	SHOW(pidfd_signal(-1, 0, NULL, 0x100));
	SHOW(pidfd_signal(self, 0, NULL, 0x100));
	SHOW(pidfd_signal(self, 99, NULL, 0));
	SHOW(pidfd_signal(self, -1, NULL, 0));
	SHOW(pidfd_signal(self, SIGUSR1, BAD, 0));
	SHOW(pidfd_signal(self, SIGUSR2, &info, 0));
	info.si_value.sival_int = 17;
	SHOW(pidfd_signal(self, SIGUSR1, &info, 0));
	SHOW(sigwaitinfo(&set, &got));
	printf("code %d value %d\n", got.si_code, got.si_value.sival_int);
	SHOW(pidfd_signal(self, SIGUSR1, NULL, 0));
	SHOW(sigwaitinfo(&set, &got));
	printf("code %d, from here %d\n", got.si_code, got.si_pid == getpid());
	info.si_code = SI_USER;
	SHOW(pidfd_signal(fd, SIGUSR1, &info, 0));
	info.si_code = SI_TKILL;
	SHOW(pidfd_signal(fd, SIGUSR1, &info, 0));
	SHOW(pidfd_signal(fd, SIGTERM, NULL, 0));
	show_child("its target", pid);
	SHOW(pidfd_signal(fd, 0, NULL, 0));
	SHOW(pidfd_signal(fd, SIGTERM, NULL, 0));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	close(fd);
	close(self);
	close(file);
}

static void show_waited(int fd, int options)
{
	siginfo_t info;
	int rc;

	memset(&info, 0, sizeof(info));
	rc = waitid(BY_PIDFD, (id_t)fd, &info, options);
	if (rc)
		printf("waited, options %#x: %s\n", (unsigned int)options, strerrorname_np(errno));
	else
		printf("waited, options %#x: %s code %d status %d uid %d\n", (unsigned int)options,
		       info.si_pid ? "a child" : "nobody", info.si_code, info.si_status,
		       (int)info.si_uid);
}

static void test_waiting(void)
{
	int self = pidfd_open_(getpid(), 0), file = file_make("plain", 1), fd, loose;
	pid_t pid = child_idle(), other = child_idle();
	struct pollfd one;
	uint64_t value;

	printf("-- waitid by descriptor\n");
	fd = pidfd_open_(pid, 0);
	loose = pidfd_open_(pid, O_NONBLOCK);
	one = (struct pollfd){ fd, POLLIN, 0 };
	SHOW(waitid(BY_PIDFD, (id_t)-1, NULL, WEXITED));
	SHOW(waitid(BY_PIDFD, 999, NULL, WEXITED));
	SHOW(waitid(BY_PIDFD, (id_t)file, NULL, WEXITED));
	SHOW(waitid(BY_PIDFD, (id_t)self, NULL, WEXITED));
	SHOW(waitid(BY_PIDFD, (id_t)fd, NULL, 0));
	SHOW(waitid(BY_PIDFD, (id_t)fd, NULL, WEXITED | 0x10000));
	SHOW(waitid((idtype_t)9, (id_t)fd, NULL, WEXITED));
	show_waited(fd, WEXITED | WNOHANG);
	show_waited(loose, WEXITED);
	show_waited(loose, WEXITED | WNOHANG);
	kill(pid, SIGSTOP);
	show_waited(fd, WSTOPPED);
	kill(pid, SIGCONT);
	show_waited(fd, WCONTINUED);
	alarm_in(30, 0);
	SHOW(waitid(BY_PIDFD, (id_t)fd, NULL, WEXITED));
	alarm_in(0, 0);
	SHOW(poll(&one, 1, 0));
	kill(pid, SIGTERM);
	SHOW(poll(&one, 1, 100000));
	printf("readable %d\n", !!(one.revents & POLLIN));
	SHOW(read(fd, &value, 8));
	SHOW(poll(&one, 1, 0));
	SHOW(pidfd_open_(pid, 0) >= 0);
	SHOW(pidfd_signal(fd, 0, NULL, 0));
	show_waited(fd, WEXITED | WNOWAIT);
	show_waited(loose, WEXITED);
	show_waited(fd, WEXITED);
	SHOW(poll(&one, 1, 0));
	SHOW(pidfd_open_(pid, 0));
	close(fd);
	fd = pidfd_open_(other, 0);
	kill(other, SIGKILL);
	SHOW(waitid(BY_PIDFD, (id_t)fd, BAD, WEXITED | WNOWAIT));
	SHOW(syscall(SYS_waitid, BY_PIDFD, fd, NULL, WEXITED | WNOWAIT, BAD));
	SHOW(waitid(BY_PIDFD, (id_t)fd, NULL, WEXITED));
	SHOW(waitpid(-1, NULL, WNOHANG));
	close(fd);
	close(self);
	close(file);
}

/* The other waits: what processes.c does not ask. */
static void test_wait_mistakes(void)
{
	pid_t pid = child_idle();
	int status;

	printf("-- wait4 and waitid\n");
	SHOW(wait4(pid, &status, 0x100, NULL));
	SHOW(wait4(pid, &status, WNOWAIT, NULL));
	SHOW(syscall(SYS_wait4, 0x80000000, &status, 0, NULL));
	SHOW(waitpid(-NOBODY, &status, 0));
	SHOW(waitid(P_PID, 0, NULL, WEXITED));
	SHOW(waitid(P_PID, (id_t)-5, NULL, WEXITED));
	SHOW(waitid(P_PGID, (id_t)-5, NULL, WEXITED));
	SHOW(waitid(P_PGID, 0, NULL, WEXITED | WNOHANG));
	SHOW(waitid(P_PGID, NOBODY, NULL, WEXITED));
	SHOW(waitid(P_ALL, (id_t)-5, NULL, WEXITED | WNOHANG));
	SHOW(waitid(P_PID, (id_t)pid, BAD, WEXITED | WNOHANG));
	SHOW(waitid(P_PID, NOBODY, BAD, WEXITED));
	SHOW(waitpid(pid, &status, WNOHANG | __WCLONE));
	SHOW(waitpid(pid, &status, WNOHANG | __WALL));
	kill(pid, SIGKILL);
	SHOW(wait4(pid, BAD, 0, NULL));
	SHOW(wait4(pid, &status, 0, NULL));
	pid = child_idle();
	kill(pid, SIGKILL);
	SHOW(wait4(pid, NULL, 0, BAD));
	SHOW(wait4(pid, NULL, 0, NULL));
}

/* ---- memory of others ------------------------------------------------------------------------ */

/* The same addresses in the child, as it is a copy; the child stores another letter. */
static char *shared_room;
static pid_t copy_child(void)
{
	int go[2];
	pid_t pid;
	char c;

	shared_room = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(shared_room, 'p', 8 * PAGE);
	mprotect(shared_room + 2 * PAGE, PAGE, PROT_READ);
	mprotect(shared_room + 3 * PAGE, PAGE, PROT_NONE);
	munmap(shared_room + 5 * PAGE, PAGE);
	if (pipe(go))
		exit(2);
	pid = fork_flushed();
	if (!pid) {
		memset(shared_room, 'c', 2 * PAGE);
		if (write(go[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(go[0], &c, 1) != 1)
		exit(2);
	close(go[0]);
	close(go[1]);
	return pid;
}

#define READ(pid, nr_here, nr_there, flags) \
	SHOW(process_vm_readv(pid, here, nr_here, there, nr_there, flags))
#define WRITE(pid, nr_here, nr_there, flags) \
	SHOW(process_vm_writev(pid, here, nr_here, there, nr_there, flags))

static void test_memory_errors(pid_t pid)
{
	char text[64] = "";
	struct iovec here[2] = { { text, 4 }, { text + 4, 8 } };
	struct iovec there[2] = { { shared_room, 6 }, { shared_room + PAGE, 6 } };

	printf("-- process_vm_readv, process_vm_writev: mistakes\n");
	READ(NOBODY, 1, 1, 0);
	READ(-1, 1, 1, 0);
	READ(0, 1, 1, 0);
	READ(pid, 1, 1, 1);
	READ(NOBODY, 1, 1, 1);
	READ(pid, 1025, 1, 0);
	READ(pid, 1, 1025, 0);
	READ(pid, 0, 1, 0);
	READ(pid, 1, 0, 0);
	READ(NOBODY, 0, 1, 0);
	READ(NOBODY, 1, 0, 0);
	SHOW(process_vm_readv(pid, BAD, 1, there, 1, 0));
	SHOW(process_vm_readv(pid, here, 1, BAD, 1, 0));
	SHOW(process_vm_readv(NOBODY, BAD, 1, there, 1, 0));
	SHOW(process_vm_readv(NOBODY, here, 1, BAD, 1, 0));
	SHOW(process_vm_readv(pid, BAD, 0, there, 1, 0));
	here[0].iov_len = (size_t)-1;
	READ(pid, 1, 1, 0);
	here[0].iov_len = 4;
	there[0].iov_len = (size_t)-1;
	READ(pid, 1, 1, 0);
	there[0].iov_len = 6;
	here[1].iov_len = (size_t)-1;
	READ(pid, 2, 1, 0);
	here[1].iov_len = 8;
	here[0].iov_len = there[0].iov_len = 0;
	READ(NOBODY, 1, 1, 0);
	here[0] = (struct iovec){ BAD, 4 };
	there[0].iov_len = 4;
	READ(pid, 1, 1, 0);
	WRITE(pid, 1, 1, 0);
	here[0].iov_base = text;
	there[0].iov_base = BAD;
	READ(pid, 1, 1, 0);
	WRITE(pid, 1, 1, 0);
	there[0].iov_base = (void *)0xffff888000000000;
	READ(pid, 1, 1, 0);
	here[0].iov_base = (void *)0xffff888000000000;
	READ(pid, 1, 1, 0);
}

static void test_memory(void)
{
	char text[PAGE * 4] = "";
	struct iovec here[2] = { { text, 4 }, { text + 8, 8 } };
	struct iovec there[2] = { { shared_room, 6 }, { shared_room + PAGE, 6 } };
	pid_t pid = copy_child();

	test_memory_errors(pid);
	printf("-- process_vm_readv, process_vm_writev\n");
	there[0].iov_base = shared_room;
	there[1].iov_base = shared_room + PAGE;
	READ(pid, 2, 2, 0);
	printf("%.4s|%.8s, here %c\n", text, text + 8, shared_room[0]);
	READ(getpid(), 1, 1, 0);
	printf("own: %.4s\n", text);
	/* Over the edges of rights and of what is there. */
	here[0].iov_len = 3 * PAGE;
	there[0] = (struct iovec){ shared_room + PAGE + 100, 3 * PAGE };
	READ(pid, 1, 1, 0);
	WRITE(pid, 1, 1, 0);
	there[0] = (struct iovec){ shared_room + 2 * PAGE, 10 };
	WRITE(pid, 1, 1, 0);
	there[0] = (struct iovec){ shared_room + 3 * PAGE, 10 };
	READ(pid, 1, 1, 0);
	there[0] = (struct iovec){ shared_room + 5 * PAGE - 4, 10 };
	READ(pid, 1, 1, 0);
	/* A whole element, then one that is not there. */
	there[0] = (struct iovec){ shared_room, 10 };
	there[1] = (struct iovec){ shared_room + 5 * PAGE, 10 };
	READ(pid, 1, 2, 0);
	WRITE(pid, 1, 2, 0);
	memcpy(text, "written", 7);
	here[0].iov_len = 7;
	WRITE(pid, 1, 1, 0);
	memset(text, 0, 16);
	READ(pid, 1, 1, 0);
	printf("read back: %.7s, here %c\n", text, shared_room[0]);
	/* The local side ends in the middle. */
	here[0] = (struct iovec){ shared_room + 5 * PAGE - 5, 20 };
	there[0] = (struct iovec){ shared_room, 20 };
	READ(pid, 1, 1, 0);
	WRITE(pid, 1, 1, 0);
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
	here[0] = (struct iovec){ text, 4 };
	READ(pid, 1, 1, 0);
	waitpid(pid, NULL, 0);
	READ(pid, 1, 1, 0);
	munmap(shared_room, 8 * PAGE);
}

static void test_advising(void)
{
	pid_t pid = copy_child();
	int fd = pidfd_open_(pid, 0), self = pidfd_open_(getpid(), 0), file = file_make("plain", 1);
	struct iovec iov[3] = { { shared_room, PAGE }, { shared_room + PAGE, PAGE } };

	printf("-- process_madvise\n");
	SHOW(advise(fd, iov, 2, MADV_COLD, 0));
	SHOW(advise(self, iov, 2, MADV_COLD, 0));
	SHOW(advise(fd, iov, 1, MADV_PAGEOUT, 0));
	SHOW(advise(fd, iov, 1, MADV_WILLNEED, 0));
	SHOW(advise(fd, iov, 0, MADV_COLD, 0));
	SHOW(advise(fd, iov, 2, MADV_DONTNEED, 0));
	SHOW(advise(fd, iov, 2, 9999, 0));
	SHOW(advise(fd, iov, 2, MADV_COLD, 1));
	SHOW(advise(-1, iov, 2, MADV_COLD, 0));
	SHOW(advise(file, iov, 2, MADV_COLD, 0));
	SHOW(advise(-1, iov, 2, 9999, 0));
	SHOW(advise(-1, BAD, 2, MADV_COLD, 0));
	SHOW(advise(-1, iov, 2, 9999, 1));
	SHOW(advise(fd, BAD, 1, MADV_COLD, 0));
	SHOW(advise(fd, iov, 1025, MADV_COLD, 0));
	iov[1].iov_len = (size_t)-1;
	SHOW(advise(fd, iov, 2, MADV_COLD, 0));
	iov[1] = (struct iovec){ shared_room + PAGE + 1, PAGE };
	SHOW(advise(fd, iov, 2, MADV_COLD, 0));
	SHOW(advise(fd, iov + 1, 1, MADV_COLD, 0));
	iov[1] = (struct iovec){ shared_room + 5 * PAGE, PAGE };
	SHOW(advise(fd, iov, 2, MADV_COLD, 0));
	SHOW(advise(fd, iov + 1, 1, MADV_COLD, 0));
	iov[1] = (struct iovec){ shared_room + PAGE, 0 };
	SHOW(advise(fd, iov, 2, MADV_COLD, 0));
	child_kill(pid);
	SHOW(advise(fd, iov, 1, MADV_COLD, 0));
	close(fd);
	close(self);
	close(file);
	munmap(shared_room, 8 * PAGE);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_opening();
	test_signalling();
	test_waiting();
	test_wait_mistakes();
	test_memory();
	test_advising();
	return 0;
}
