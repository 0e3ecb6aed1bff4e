/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that go from process to process through sockets (SCM_RIGHTS), and by pidfd_getfd():
 * what comes is what was sent, whatever kind it is of, and nothing is lost or left behind.
 */
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include "passed.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* All that is told of a receipt but for the numbers, which are closed. */
static void show_receipt(const char *what, int sock, size_t control, int flags)
{
	struct message m;
	struct msghdr *h = message_init(&m, control);
	long n = recvmsg(sock, h, flags);
	int fds[MOST], error = errno;
	size_t nr = n < 0 ? 0 : taken(h, fds), i;

	printf("%s: %ld %s, flags %#x, control %zu of %zu, %zu descriptors", what, n,
	       n < 0 ? strerrorname_np(error) : "", (unsigned int)h->msg_flags,
	       (size_t)h->msg_controllen, control, nr);
	if (n >= 0 && CMSG_FIRSTHDR(h))
		printf(", length %zu", (size_t)CMSG_FIRSTHDR(h)->cmsg_len);
	for (i = 0; i < nr; i++) {
		printf("%s%d", i ? " " : ", close-on-exec ", fcntl(fds[i], F_GETFD));
		close(fds[i]);
	}
	printf("\n");
}

/* ---- what a descriptor is ------------------------------------------------------------------------ */

static struct stat stat_of(int fd)
{
	struct stat st = { 0 };

	fstat(fd, &st);
	return st;
}

/* Names with numbers in them, which differ between two runs: N for each. */
static void show_link(int fd)
{
	char path[64], text[256], *from, *to;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = 0;
	for (from = to = text; *from; to++) {
		*to = *from >= '0' && *from <= '9' ? 'N' : *from;
		do
			from++;
		while (*to == 'N' && *from >= '0' && *from <= '9');
	}
	*to = 0;
	/* Only the last part of a file's name: where the test runs is its own affair. */
	printf("%s", text[0] == '/' && strncmp(text, "/proc", 5) && strrchr(text, '/')
			     ? strrchr(text, '/')
			     : text);
}

static void show_fd(const char *what, int fd, struct stat sent)
{
	struct stat st = stat_of(fd);
	struct statfs fs = { 0 };

	fstatfs(fd, &fs);
	printf("%s: ", what);
	show_link(fd);
	printf(", mode %o, size %ld, %s, file system %lx, flags %o\n", st.st_mode, (long)st.st_size,
	       st.st_ino == sent.st_ino && st.st_dev == sent.st_dev ? "the same" : "ANOTHER",
	       (long)fs.f_type, fcntl(fd, F_GETFL));
}

/*
 * @fd goes to a child, which shows what it got and then runs @body with it in "got", while the
 * parent does @meanwhile.
 */
#define PASS(what, fd, body, meanwhile)                           \
	do {                                                      \
		struct stat sent_ = stat_of(fd);                  \
		int pair_[2];                                     \
		pid_t pid_;                                       \
		pair_make(pair_, SOCK_STREAM);                    \
		send_fd(pair_[0], fd);                            \
		pid_ = fork_flushed();                            \
		if (!pid_) {                                      \
			int got = (close(fd), recv_fd(pair_[1])); \
			show_fd(what, got, sent_);                \
			body;                                     \
			child_exit(0);                            \
		}                                                 \
		meanwhile;                                        \
		show_child(what, pid_);                           \
		close_two(pair_[0], pair_[1]);                    \
	} while (0)

static int ready(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* ---- kinds ------------------------------------------------------------------------------------- */

static long send_signal(int pidfd, int number)
{
	return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
}

static pid_t sleeper(void)
{
	pid_t pid = fork_flushed();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

static void show_waitid(int fd, int options)
{
	siginfo_t info = { .si_pid = 0 };
	long r = waitid((idtype_t)P_PIDFD, (id_t)fd, &info, options);

	printf("waitid: %ld %s, SIG%s, status %d\n", r, r ? strerrorname_np(errno) : "",
	       info.si_pid ? signal_name(info.si_signo) : "none", info.si_status);
}

static void test_pidfd(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_of(pid, O_NONBLOCK), back[2];
	struct stat st = stat_of(fd);

	printf("-- processes\n");
	/* Through a child and back, so that the parent may wait for the process. */
	pair_make(back, SOCK_SEQPACKET);
	PASS(
		"pidfd", fd, {
			SHOW(ready(got, POLLIN));
			show_waitid(got, WEXITED | WNOHANG);
			SHOW(syscall(SYS_pidfd_getfd, got, 4000, 0));
			SHOW(read(got, &st, 8));
			send_fd(back[0], got);
			SHOW(send_signal(got, 0));
			SHOW(send_signal(got, SIGKILL));
		}, );
	close(fd);
	fd = recv_fd(back[1]);
	show_fd("and back", fd, st);
	SHOW(fcntl(fd, F_SETFL, 0));
	show_waitid(fd, WEXITED);
	/* Reaped, it is hung up, too, from some version of Linux on. */
	SHOW(ready(fd, POLLIN) & POLLIN);
	SHOW(send_signal(fd, 0));
	close(fd);
	close_two(back[0], back[1]);
}

static void test_queue(void)
{
	char name[32], text[64] = "";
	struct mq_attr attr = { .mq_maxmsg = 3, .mq_msgsize = 32 };
	mqd_t q;

	printf("-- message queues\n");
	snprintf(name, sizeof(name), "/passed-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
	SHOW(mq_unlink(name));
	SHOW(mq_send(q, "first", 5, 1));
	PASS(
		"queue", q, {
			SHOW(ready(got, POLLIN | POLLOUT));
			SHOW(mq_receive(got, text, sizeof(text), NULL));
			printf("%s\n", text);
			SHOW(mq_receive(got, text, sizeof(text), NULL));
			SHOW(mq_send(got, "answer", 6, 1));
			SHOW(mq_getattr(got, &attr));
			printf("%ld %ld %ld\n", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize);
		}, );
	SHOW(mq_receive(q, text, sizeof(text), NULL));
	SHOW(mq_send(q, "later", 6, 1));
	/* Nobody else has it: it is on its way only. */
	PASS(
		"the last of it", q,
		{
			SHOW(mq_receive(got, text, sizeof(text), NULL));
			printf("%s\n", text);
		},
		close(q));
}

static void test_signals(void)
{
	sigset_t set;
	int fd;

	printf("-- signals\n");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	PASS(
		"signalfd", fd, {
			struct signalfd_siginfo info = { 0 };

			SHOW(read(got, &info, sizeof(info)));
			raise(SIGUSR1);
			SHOW(read(got, &info, sizeof(info)));
			SHOW(info.ssi_signo);
			sigaddset(&set, SIGUSR2);
			SHOW(signalfd(got, &set, 0) == got);
		}, );
	close(fd);
}

static void test_proc(void)
{
	char text[64] = "", path[64];
	struct stat st;
	int fd;

	printf("-- /proc\n");
	snprintf(path, sizeof(path), "/proc/%d/comm", getpid());
	fd = open(path, O_RDWR);
	PASS(
		"a file of the sender", fd, {
			SHOW(read(got, text, sizeof(text) - 1));
			printf("%s", text);
			SHOW(lseek(got, 0, SEEK_SET));
			SHOW(write(got, "new", 3));
		}, );
	SHOW(pread(fd, text, sizeof(text), 0));
	/* The position is one for both. */
	SHOW(lseek(fd, 0, SEEK_CUR));
	close(fd);
	fd = open("/proc/self/pagemap", O_RDONLY);
	PASS("pagemap", fd, SHOW(read(got, text, 12)), );
	close(fd);
	fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
	PASS(
		"a folder", fd, {
			SHOW(fstatat(got, "status", &st, 0));
			SHOW(st.st_mode);
			SHOW(openat(got, "nothing", O_RDONLY));
		}, );
	close(fd);
}

/* What is the host's altogether. */
static void test_plain(void)
{
	struct itimerspec at = { .it_value = { 0, 1000000 } };
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 7 };
	uint64_t value = 5;
	char text[256];
	int fd, inside;

	printf("-- others\n");
	fd = eventfd(3, 0);
	PASS(
		"eventfd", fd, {
			SHOW(read(got, &value, sizeof(value)));
			SHOW(value);
		}, );
	close(fd);
	fd = timerfd_create(CLOCK_MONOTONIC, 0);
	SHOW(timerfd_settime(fd, 0, &at, NULL));
	PASS(
		"timerfd", fd, {
			SHOW(read(got, &value, sizeof(value)));
			SHOW(value);
		}, );
	close(fd);
	fd = inotify_init();
	SHOW(inotify_add_watch(fd, ".", IN_CREATE));
	close(file_make("seen", 0));
	PASS("inotify", fd, SHOW(read(got, text, sizeof(text))), );
	close(fd);
	inside = pidfd_of(getpid(), 0);
	fd = epoll_create1(0);
	SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, inside, &ev));
	PASS("epoll with a pidfd", fd, SHOW(epoll_wait(got, &ev, 1, 0)), );
	close(inside);
	inside = eventfd(1, 0);
	SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, inside, &ev));
	PASS(
		"epoll with an eventfd", fd, {
			SHOW(epoll_wait(got, &ev, 1, 0));
			SHOW(ev.data.u32);
		}, );
	close_two(fd, inside);
	fd = (int)syscall(SYS_memfd_create, "memory", 0);
	PASS("memfd", fd, SHOW(write(got, "abc", 3)), );
	SHOW(pread(fd, text, sizeof(text), 0));
	close(fd);
	fd = open(".", O_PATH);
	PASS("a place", fd, SHOW(read(got, text, 1)), );
	close(fd);
}

/* ---- pidfd_getfd ----------------------------------------------------------------------------------- */

static void test_getfd(void)
{
	struct mq_attr attr = { .mq_maxmsg = 3, .mq_msgsize = 32 };
	char name[32], text[64] = "";
	pid_t pid;
	int self, got;
	mqd_t q;

	printf("-- pidfd_getfd\n");
	snprintf(name, sizeof(name), "/taken-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
	SHOW(mq_unlink(name));
	self = pidfd_of(getpid(), 0);
	pid = fork_flushed();
	if (!pid) {
		close(q);
		got = (int)syscall(SYS_pidfd_getfd, self, q, 0);
		SHOW(mq_send(got, "taken", 6, 0));
		got = (int)syscall(SYS_pidfd_getfd, self, self, 0);
		show_fd("a pidfd", got, stat_of(self));
		child_exit(0);
	}
	show_child("taker", pid);
	SHOW(mq_receive(q, text, sizeof(text), NULL));
	printf("%s\n", text);
	close_two(self, q);
}

/* ---- the ways ---------------------------------------------------------------------------------------- */

/* Three of each: of the host's and of ours. */
static void three_make(int fds[3])
{
	fds[0] = pidfd_of(getpid(), 0);
	fds[1] = eventfd(0, 0);
	fds[2] = open("/proc/self/comm", O_RDONLY);
}

static void test_receipts(int type)
{
	size_t one = CMSG_SPACE(sizeof(int)), three = CMSG_SPACE(3 * sizeof(int));
	int pair[2], fds[3];
	struct message m;
	char byte;

	pair_make(pair, type);
	three_make(fds);
	send_fds(pair[0], fds, 3);
	show_receipt("peek", pair[1], three, MSG_PEEK);
	show_receipt("peek, less", pair[1], one, MSG_PEEK);
	show_receipt("all", pair[1], three, MSG_CMSG_CLOEXEC);
	send_fds(pair[0], fds, 3);
	show_receipt("room for more", pair[1], 2 * three, 0);
	send_fds(pair[0], fds, 3);
	show_receipt("room for one", pair[1], CMSG_LEN(sizeof(int)), 0);
	send_fds(pair[0], fds, 3);
	show_receipt("one and a half", pair[1], CMSG_LEN(sizeof(int)) + 2, 0);
	send_fds(pair[0], fds, 3);
	show_receipt("room for none", pair[1], CMSG_LEN(0), 0);
	send_fds(pair[0], fds, 3);
	show_receipt("no room", pair[1], 0, 0);
	send_fds(pair[0], fds, 3);
	SHOW(recv(pair[1], &byte, 1, 0));
	send_fds(pair[0], fds, 3);
	message_init(&m, three)->msg_control = NULL;
	SHOW(recvmsg(pair[1], &m.h, 0));
	printf("nowhere: flags %#x, control %zu\n", (unsigned int)m.h.msg_flags,
	       (size_t)m.h.msg_controllen);
	send_fds(pair[0], fds, 3);
	message_init(&m, three)->msg_control = BAD;
	SHOW(recvmsg(pair[1], &m.h, 0));
	printf("bad: flags %#x\n", (unsigned int)m.h.msg_flags);
	close(fds[2]);
	close_two(fds[0], fds[1]);
	close_two(pair[0], pair[1]);
}

/* The lowest number that is free: nothing was left open by what came before. */
static int lowest(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void test_limit(void)
{
	struct rlimit old, limit;
	size_t three = CMSG_SPACE(3 * sizeof(int));
	int pair[2], fds[3], more;

	printf("-- no numbers left\n");
	pair_make(pair, SOCK_DGRAM);
	three_make(fds);
	getrlimit(RLIMIT_NOFILE, &old);
	for (more = 0; more < 3; more++) {
		send_fds(pair[0], fds, 3);
		limit = old;
		limit.rlim_cur = (rlim_t)(lowest() + more);
		setrlimit(RLIMIT_NOFILE, &limit);
		show_receipt("receipt", pair[1], three, 0);
		setrlimit(RLIMIT_NOFILE, &old);
	}
	close(fds[2]);
	close_two(fds[0], fds[1]);
	close_two(pair[0], pair[1]);
}

static void test_errors(void)
{
	int pair[2], fds[MOST], i;
	struct message m;
	struct msghdr *h;

	printf("-- what cannot be sent\n");
	pair_make(pair, SOCK_DGRAM);
	fds[0] = pidfd_of(getpid(), 0);
	fds[1] = -1;
	SHOW(send_fds(pair[0], fds, 2));
	fds[1] = 4000;
	SHOW(send_fds(pair[0], fds, 2));
	for (i = 1; i < MOST; i++)
		fds[i] = fds[0];
	SHOW(send_fds(pair[0], fds, 254));
	SHOW(send_fds(pair[0], fds, 253));
	show_receipt("253", pair[1], CMSG_SPACE(253 * sizeof(int)), 0);
	SHOW(send_fds(pair[0], fds, 0));
	show_receipt("none", pair[1], CMSG_SPACE(sizeof(int)), 0);
	h = message_of(&m, fds, 1);
	CMSG_FIRSTHDR(h)->cmsg_type = 99;
	SHOW(sendmsg(pair[0], h, 0));
	h = message_of(&m, fds, 1);
	CMSG_FIRSTHDR(h)->cmsg_len = 3;
	SHOW(sendmsg(pair[0], h, 0));
	h = message_of(&m, fds, 1);
	h->msg_controllen = sizeof(m.control);
	CMSG_FIRSTHDR(h)->cmsg_len = sizeof(m.control) + 1;
	SHOW(sendmsg(pair[0], h, 0));
	SHOW(recv(pair[1], &m.byte, 1, MSG_DONTWAIT));
	close(pair[1]);
	SHOW(send_fds(pair[0], fds, 1));
	close_two(pair[0], fds[0]);
}

static void test_many(void)
{
	struct message m[3];
	struct mmsghdr all[3];
	int pair[2], fds[3], got[MOST], i;

	printf("-- many messages\n");
	pair_make(pair, SOCK_DGRAM);
	three_make(fds);
	for (i = 0; i < 3; i++)
		all[i].msg_hdr = *message_of(&m[i], fds + i, 1);
	SHOW(sendmmsg(pair[0], all, 3, 0));
	for (i = 0; i < 3; i++)
		all[i].msg_hdr = *message_init(&m[i], CMSG_SPACE(sizeof(int)));
	SHOW(recvmmsg(pair[1], all, 3, MSG_CMSG_CLOEXEC, NULL));
	for (i = 0; i < 3; i++) {
		if (taken(&all[i].msg_hdr, got) != 1)
			printf("nothing\n");
		else
			show_fd("one of them", got[0], stat_of(fds[i]));
		close(got[0]);
		close(fds[i]);
	}
	close_two(pair[0], pair[1]);
}

/* By name, where no end knows the other. */
static void test_named(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "named" };
	int to = socket(AF_UNIX, SOCK_DGRAM, 0), from = socket(AF_UNIX, SOCK_DGRAM, 0);
	int fd = pidfd_of(getpid(), 0), got;
	struct message m;
	struct msghdr *h = message_of(&m, &fd, 1);

	printf("-- by name\n");
	SHOW(bind(to, (struct sockaddr *)&name, sizeof(name)));
	h->msg_name = &name;
	h->msg_namelen = sizeof(name);
	SHOW(sendmsg(from, h, 0));
	got = recv_fd(to);
	show_fd("pidfd", got, stat_of(fd));
	close_two(got, fd);
	close_two(from, to);
	unlink("named");
}

/* Sent, and the message outlives who sent it and a program that began meanwhile. */
static void test_exec(const char *self)
{
	int pair[2];
	char number[16];
	pid_t pid = sleeper(), program;

	printf("-- by a new program\n");
	pair_make(pair, SOCK_STREAM);
	send_fd(pair[0], pidfd_of(pid, 0));
	program = fork_flushed();
	if (!program) {
		snprintf(number, sizeof(number), "%d", pair[1]);
		execl(self, self, number, NULL);
		_exit(4);
	}
	show_child("the program", program);
	show_child("the process that was passed on", pid);
	close_two(pair[0], pair[1]);
}

static int after_exec(int sock)
{
	int fd = recv_fd(sock);

	show_fd("pidfd", fd, stat_of(fd));
	SHOW(send_signal(fd, SIGTERM));
	child_exit(0);
	return 0;
}

/* Messages that nobody receives: a queue without a name goes with the last of them. */
static void test_unreceived(void)
{
	struct mq_attr attr = { .mq_maxmsg = 8, .mq_msgsize = 8192 };
	struct rlimit limit = { 10 * 8192 * 8, 10 * 8192 * 8 };
	int pair[2], i, failed = 0;
	char name[32];
	mqd_t q;

	printf("-- never received\n");
	setrlimit(RLIMIT_MSGQUEUE, &limit);
	snprintf(name, sizeof(name), "/unreceived-%d", getpid());
	for (i = 0; i < 200; i++) {
		q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
		failed += q < 0;
		mq_unlink(name);
		pair_make(pair, i % 2 ? SOCK_DGRAM : SOCK_STREAM);
		send_fd(pair[0], q);
		send_fd(pair[0], q);
		close(q);
		/* The second of two, or both. */
		if (i % 3)
			close(recv_fd(pair[1]));
		close_two(pair[i % 2], pair[!(i % 2)]);
	}
	printf("%d queues could not be made\n", failed);
}

/* Of a message the sender's number may be unknown, but is no other's. */
static void test_credentials(void)
{
	struct message m;
	struct msghdr *h = message_init(&m, CMSG_SPACE(sizeof(struct ucred)));
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer), least = 2;
	int pair[2], on = 1;
	pid_t parent = getpid(), child;

	printf("-- who it is\n");
	pair_make(pair, SOCK_STREAM);
	SHOW(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	child = fork_flushed();
	if (!child) {
		SHOW(getsockopt(pair[1], SOL_SOCKET, SO_PEERCRED, &peer, &len));
		printf("length %u, pid %s, uid %s\n", len,
		       peer.pid == parent ? "of the parent" : "OF ANOTHER",
		       peer.uid == getuid() ? "of the parent" : "OF ANOTHER");
		peer.pid = -1;
		SHOW(getsockopt(pair[1], SOL_SOCKET, SO_PEERCRED, &peer, &least));
		SHOW(least);
		SHOW(write(pair[1], "x", 1));
		child_exit(0);
	}
	show_child("asker", child);
	SHOW(recvmsg(pair[0], h, 0));
	if (CMSG_FIRSTHDR(h) && CMSG_FIRSTHDR(h)->cmsg_type == SCM_CREDENTIALS) {
		memcpy(&peer, CMSG_DATA(CMSG_FIRSTHDR(h)), sizeof(peer));
		printf("pid %s, uid %s\n",
		       !peer.pid || peer.pid == child ? "as it should be" : "OF ANOTHER",
		       peer.uid == getuid() ? "of the sender" : "OF ANOTHER");
	}
	close_two(pair[0], pair[1]);
}

int main(int argc, char **argv)
{
	int first = lowest();

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		return after_exec(atoi(argv[1]));
	test_pidfd();
	test_queue();
	test_signals();
	test_proc();
	test_plain();
	test_getfd();
	printf("-- by packets\n");
	test_receipts(SOCK_DGRAM);
	printf("-- by a stream\n");
	test_receipts(SOCK_STREAM);
	test_limit();
	test_errors();
	test_many();
	test_named();
	test_exec(argv[0]);
	test_unreceived();
	test_credentials();
	SHOW(lowest() - first);
	return 0;
}
