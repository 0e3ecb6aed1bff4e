/* SPDX-License-Identifier: MIT */
/*
 * Calls on sockets and those that wait, one by one: what each gives, each errno that a program can
 * provoke, what a signal makes of it, and what is left of the time. Times are told as whether they
 * are right, ports by role.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>

#include "calls.h"

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- sockets ------------------------------------------------------------------------------- */

static void test_making(void)
{
	int p[2];

	printf("-- socket, socketpair\n");
	SHOW(socket(AF_INET, SOCK_STREAM, 77));
	SHOW(socket(999, SOCK_STREAM, 0));
	SHOW(socket(AF_INET, 77, 0));
	SHOW(socket(AF_UNIX, SOCK_STREAM | 0x100000, 0));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, p));
	SHOW(socketpair(AF_UNIX, SOCK_RAW, 0, p));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, BAD));
	SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p));
	printf("flags %d %d\n", fcntl(p[0], F_GETFD), !!(fcntl(p[1], F_GETFL) & O_NONBLOCK));
	close(p[0]);
	close(p[1]);
}

static void test_naming(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "a.socket" };
	struct sockaddr_un far = { .sun_family = AF_UNIX, .sun_path = "none/a.socket" };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	struct sockaddr_storage got;
	int s = socket(AF_UNIX, SOCK_STREAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);
	int file = file_make("plain", 1);
	socklen_t len = sizeof(got);

	printf("-- bind, listen, connect, names\n");
	SHOW(bind(-1, (void *)&un, sizeof(un)));
	SHOW(bind(file, (void *)&un, sizeof(un)));
	SHOW(bind(s, BAD, sizeof(un)));
	SHOW(bind(s, (void *)&un, 1));
	SHOW(bind(s, (void *)&un, 1000));
	SHOW(bind(s, (void *)&far, sizeof(far)));
	SHOW(bind(s, (void *)&in, sizeof(in)));
	SHOW(connect(s, (void *)&un, sizeof(un)));
	SHOW(bind(s, (void *)&un, sizeof(un)));
	SHOW(bind(s, (void *)&un, sizeof(un)));
	SHOW(bind(t, (void *)&in, 4));
	SHOW(bind(t, (void *)&in, sizeof(in)));
	SHOW(getsockname(t, (void *)&in, &len));
	printf("a port: %d, length %u\n", in.sin_port != 0, len);
	len = 3;
	SHOW(getsockname(s, (void *)&got, &len));
	printf("length %u\n", len);
	len = (socklen_t)-1;
	SHOW(getsockname(s, (void *)&got, &len));
	SHOW(getsockname(s, (void *)&got, BAD));
	len = sizeof(got);
	SHOW(getsockname(s, BAD, &len));
	SHOW(getpeername(s, (void *)&got, &len));
	SHOW(getsockname(file, (void *)&got, &len));
	SHOW(listen(file, 1));
	SHOW(accept(s, NULL, NULL));
	SHOW(listen(s, 1));
	SHOW(accept4(s, NULL, NULL, 1));
	SHOW(accept(-1, NULL, NULL));
	fcntl(s, F_SETFL, O_NONBLOCK);
	SHOW(accept(s, NULL, NULL));
	SHOW(connect(t, (void *)&un, sizeof(un)));
	SHOW(shutdown(t, SHUT_RD));
	SHOW(shutdown(t, 9));
	SHOW(shutdown(file, SHUT_RD));
	/* Folders are compared afterwards, and diff takes two sockets for different. */
	SHOW(unlink(un.sun_path));
	close(s);
	close(t);
	close(file);
}

static void test_tcp(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) },
			   peer;
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), a;
	socklen_t len = sizeof(in);
	char text[64] = "";
	int value = 0;

	printf("-- tcp\n");
	SHOW(bind(l, (void *)&in, sizeof(in)));
	SHOW(listen(l, 4));
	SHOW(getsockname(l, (void *)&in, &len));
	SHOW(send(c, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(c, text, 1, 0));
	SHOW(connect(c, (void *)&in, sizeof(in)));
	SHOW(connect(c, (void *)&in, sizeof(in)));
	len = sizeof(peer);
	a = accept4(l, (void *)&peer, &len, SOCK_CLOEXEC);
	printf("accepted %d, from here %d, flags %d\n", a >= 0,
	       peer.sin_addr.s_addr == in.sin_addr.s_addr, fcntl(a, F_GETFD));
	SHOW(send(c, "hello", 5, 0));
	SHOW(recv(a, text, 2, MSG_PEEK));
	SHOW(recv(a, text, 64, MSG_DONTWAIT));
	puts(text);
	SHOW(recv(a, text, 64, MSG_DONTWAIT));
	SHOW(send(c, "12345", 5, MSG_OOB));
	SHOW(recv(a, text, 5, MSG_WAITALL) > 0);
	SHOW(send(c, BAD, 5, 0));
	SHOW(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, BAD, 4));
	SHOW(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &value, 1));
	SHOW(setsockopt(c, SOL_SOCKET, 9999, &value, 4));
	SHOW(setsockopt(c, 9999, 1, &value, 4));
	len = 4;
	SHOW(getsockopt(c, SOL_SOCKET, SO_TYPE, &value, &len));
	printf("type %d\n", value);
	len = 2;
	SHOW(getsockopt(c, SOL_SOCKET, SO_TYPE, &value, &len));
	printf("length %u\n", len);
	SHOW(getsockopt(c, SOL_SOCKET, SO_TYPE, BAD, &len));
	SHOW(getsockopt(c, SOL_SOCKET, SO_TYPE, &value, BAD));
	SHOW(getsockopt(c, SOL_SOCKET, 9999, &value, &len));
	SHOW(shutdown(c, SHUT_WR));
	SHOW(send(c, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(a, text, 64, 0) >= 0);
	SHOW(recv(a, text, 64, 0));
	close(a);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	close(l);
	SHOW(connect(c, (void *)&in, sizeof(in)));
	close(c);
}

static void test_udp(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) },
			   from;
	int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct iovec iov[2] = { { "ab", 2 }, { "cde", 3 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct mmsghdr many[2] = { { .msg_hdr = msg }, { .msg_hdr = msg } };
	struct timespec soon = { 0, 20000000 };
	socklen_t len = sizeof(in);
	static char large[70000];
	char text[64] = "";

	printf("-- udp, messages\n");
	SHOW(bind(s, (void *)&in, sizeof(in)));
	SHOW(getsockname(s, (void *)&in, &len));
	SHOW(sendto(c, "one", 3, 0, NULL, 0));
	SHOW(sendto(c, "one", 3, 0, (void *)&in, 3));
	SHOW(sendto(c, "one", 3, 0, BAD, sizeof(in)));
	SHOW(sendto(c, "one", 3, 0, (void *)&in, sizeof(in)));
	len = sizeof(from);
	SHOW(recvfrom(s, text, 2, MSG_TRUNC, (void *)&from, &len));
	SHOW(recvfrom(s, text, 2, MSG_DONTWAIT, (void *)&from, &len));
	SHOW(connect(c, (void *)&in, sizeof(in)));
	SHOW(sendmsg(c, &msg, 0));
	SHOW(sendmmsg(c, many, 2, 0));
	printf("lengths %u %u\n", many[0].msg_len, many[1].msg_len);
	SHOW(sendmmsg(c, BAD, 2, 0));
	SHOW(sendmsg(c, BAD, 0));
	msg.msg_iovlen = 2000;
	SHOW(sendmsg(c, &msg, 0));
	msg.msg_iovlen = 1;
	iov[0] = (struct iovec){ text, 3 };
	SHOW(recvmsg(s, &msg, 0));
	printf("%.3s, cut %d\n", text, !!(msg.msg_flags & MSG_TRUNC));
	iov[0].iov_base = BAD;
	SHOW(recvmsg(s, &msg, 0));
	iov[0].iov_base = text;
	many[0].msg_hdr = many[1].msg_hdr = msg;
	SHOW(recvmmsg(s, many, 2, MSG_WAITFORONE, &soon));
	SHOW(recvmmsg(s, many, 2, MSG_DONTWAIT, NULL));
	SHOW(recvmmsg(s, many, 2, MSG_DONTWAIT, &(struct timespec){ 0, 2000000000 }));
	SHOW(send(c, large, sizeof(large), 0));
	close(s);
	SHOW(send(c, "x", 1, 0));
	SHOW(recv(c, text, 1, MSG_DONTWAIT));
	close(c);
}

static void send_fd(int s, int fd, int nr)
{
	union {
		char room[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr head;
	} control = { 0 };
	struct iovec iov = { "f", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };

	msg.msg_controllen = CMSG_SPACE((size_t)nr * sizeof(int));
	control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS,
					 .cmsg_len = CMSG_LEN((size_t)nr * sizeof(int)) };
	for (int i = 0; i < nr; i++)
		memcpy(CMSG_DATA(&control.head) + (size_t)i * sizeof(int), &fd, sizeof(int));
	SHOW(sendmsg(s, &msg, 0));
}

static void receive_fds(int s, size_t room, int flags)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = "", text[4] = "";
	struct iovec iov = { text, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *c;
	int fd;

	msg.msg_controllen = room;
	SHOW(recvmsg(s, &msg, flags));
	printf("flags %x, control %zu\n", msg.msg_flags & ~MSG_CMSG_CLOEXEC, msg.msg_controllen);
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		printf("%zu bytes of type %d:", c->cmsg_len, c->cmsg_type);
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			printf(" %s", fcntl(fd, F_GETFD) == FD_CLOEXEC ? "closes" : "stays");
			close(fd);
		}
		puts("");
	}
}

static void test_rights(void)
{
	int p[2], file = file_make("passed", 1);

	printf("-- SCM_RIGHTS\n");
	SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	send_fd(p[0], 999, 1);
	send_fd(p[0], file, 2);
	receive_fds(p[1], CMSG_SPACE(8 * sizeof(int)), MSG_CMSG_CLOEXEC);
	send_fd(p[0], file, 3);
	receive_fds(p[1], CMSG_LEN(sizeof(int)), 0);
	send_fd(p[0], file, 1);
	receive_fds(p[1], 0, 0);
	close(file);
	close(p[0]);
	close(p[1]);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void test_interrupted(void)
{
	struct timespec left, time = { 100, 0 };
	struct epoll_event event;
	struct pollfd one;
	struct timeval tv;
	int p[2], s[2], e = epoll_create1(0);
	long start;
	char c;
	fd_set set;

	printf("-- interrupted\n");
	if (pipe(p) || socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		perror("pipe");
	one = (struct pollfd){ p[0], POLLIN, 0 };
	for (int restart = 0; restart < 2; restart++) {
		int flags = restart ? SA_RESTART : 0;

		alarm_in(30, flags);
		SHOW(poll(&one, 1, 100000));
		alarm_in(30, flags);
		SHOW(epoll_wait(e, &event, 1, 100000));
		alarm_in(30, flags);
		tv = (struct timeval){ 100, 0 };
		FD_ZERO(&set);
		FD_SET(p[0], &set);
		SHOW(select(p[0] + 1, &set, NULL, NULL, &tv));
		printf("left: %d\n", tv.tv_sec >= 50 && tv.tv_sec < 100);
		alarm_in(30, flags);
		SHOW(nanosleep(&time, &left));
		printf("left: %d\n", left.tv_sec >= 50 && left.tv_sec < 100);
		alarm_in(30, flags);
		SHOW(pause());
		alarm_in(30, flags);
		/* A socket with a timeout does not begin again. */
		setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 100, 0 }, 16);
		start = now_ms();
		SHOW(recv(s[0], &c, 1, 0));
		alarm_in(30, flags);
		SHOW(read(s[0], &c, 1));
		printf("before its end: %d\n", now_ms() - start < 90000);
		printf("caught %d\n", caught > 0);
		alarm_in(0, 0);
		setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0, 50000 }, 16);
		SHOW(recv(s[0], &c, 1, 0));
		setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0, 0 }, 16);
	}
	alarm_in(30, 0);
	SHOW(read(p[0], &c, 1));
	alarm_in(30, 0);
	SHOW(recv(s[0], &c, 1, 0));
	alarm_in(30, 0);
	SHOW(waitpid(-1, NULL, 0));
	alarm_in(0, 0);
	close(e);
}

static void test_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 }, got[4];
	int e = epoll_create1(EPOLL_CLOEXEC), other = epoll_create1(0), p[2], file;

	printf("-- epoll\n");
	if (pipe(p))
		perror("pipe");
	file = file_make("f", 1);
	SHOW(epoll_create1(1));
	SHOW(epoll_create(0));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, file, &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, e, &event));
	SHOW(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, 999, &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], BAD));
	SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL));
	SHOW(epoll_ctl(e, 9, p[0], &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
	SHOW(epoll_ctl(other, EPOLL_CTL_ADD, e, &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, other, &event));
	SHOW(epoll_wait(e, got, 4, 0));
	SHOW(epoll_wait(e, got, 0, 0));
	SHOW(epoll_wait(p[0], got, 1, 0));
	SHOW(write(p[1], "x", 1));
	SHOW(epoll_wait(e, BAD, 4, 0));
	SHOW(epoll_wait(other, got, 4, 100));
	SHOW(epoll_wait(e, got, 4, 100));
	printf("events %x, data %d\n", got[0].events, (int)got[0].data.u64);
	close(p[1]);
	SHOW(epoll_wait(e, got, 4, 100));
	printf("events %x\n", got[0].events);
	SHOW(syscall(SYS_epoll_pwait2, e, got, 4, &(struct timespec){ 0, -1 }, NULL, 0));
	close(p[0]);
	SHOW(epoll_wait(e, got, 4, 0));
	close(e);
	close(other);
	close(file);
}

static void test_poll(void)
{
	struct pollfd fds[3] = { { -1, POLLIN, 99 }, { 999, POLLIN, 0 }, { 0, 0, 0 } };
	struct timespec bad = { 0, 2000000000 }, time = { 0, 20000000 };
	int p[2];
	fd_set set;

	printf("-- poll, select\n");
	if (pipe(p))
		perror("pipe");
	fds[2] = (struct pollfd){ p[1], POLLOUT | POLLIN, 0 };
	SHOW(poll(fds, 3, 0));
	printf("%x %x %x\n", fds[0].revents, fds[1].revents, fds[2].revents);
	SHOW(poll(BAD, 1, 0));
	SHOW(poll(NULL, 0, 5));
	SHOW(ppoll(fds, 1, &bad, NULL));
	SHOW(syscall(SYS_ppoll, fds, 1, &time, NULL, 8));
	printf("left %ld\n", time.tv_nsec);
	SHOW(syscall(SYS_ppoll, fds, 1, &time, &set, 4));
	SHOW(syscall(SYS_ppoll, fds, 1, BAD, NULL, 8));
	FD_ZERO(&set);
	FD_SET(500, &set);
	SHOW(select(501, &set, NULL, NULL, &(struct timeval){ 0, 0 }));
	SHOW(select(-1, NULL, NULL, NULL, NULL));
	SHOW(select(1, BAD, NULL, NULL, NULL));
	SHOW(select(0, NULL, NULL, NULL, &(struct timeval){ -1, 0 }));
	close(p[0]);
	fds[2].revents = 0;
	SHOW(poll(&fds[2], 1, 0));
	printf("%x\n", fds[2].revents);
	close(p[1]);
}

static void test_counters(void)
{
	struct itimerspec late = { .it_value = { 100, 0 } }, soon = { .it_value = { 0, 10000000 } },
			  old;
	int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK), t, g;
	uint64_t v = 0;
	sigset_t set;

	printf("-- eventfd, timerfd, signalfd\n");
	SHOW(eventfd(0, 0x100));
	SHOW(read(e, &v, 4));
	SHOW(read(e, &v, 8));
	printf("value %d\n", (int)v);
	SHOW(read(e, &v, 8));
	SHOW(write(e, &(uint64_t){ UINT64_MAX }, 8));
	SHOW(write(e, &(uint64_t){ UINT64_MAX - 1 }, 8));
	SHOW(write(e, &(uint64_t){ 1 }, 8));
	SHOW(write(e, BAD, 8));
	SHOW(read(s, &v, 8));
	printf("value %d\n", (int)v);
	SHOW(timerfd_create(99, 0));
	SHOW(timerfd_create(CLOCK_MONOTONIC, 1));
	t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	SHOW(read(t, &v, 8));
	SHOW(timerfd_settime(t, 0, BAD, NULL));
	SHOW(timerfd_settime(t, 99, &soon, NULL));
	SHOW(timerfd_settime(e, 0, &soon, NULL));
	SHOW(timerfd_settime(t, 0, &late, &old));
	SHOW(timerfd_gettime(t, &old));
	printf("left %d\n", old.it_value.tv_sec > 10 && old.it_value.tv_sec < 100);
	SHOW(timerfd_settime(t, 0, &soon, &old));
	SHOW(poll(&(struct pollfd){ t, POLLIN, 0 }, 1, 100000));
	SHOW(read(t, BAD, 8));
	soon.it_value.tv_nsec = 2000000000;
	SHOW(timerfd_settime(t, 0, &soon, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	g = signalfd(-1, &set, SFD_NONBLOCK);
	SHOW(signalfd(-1, &set, 1));
	SHOW(signalfd(e, &set, 0));
	SHOW(read(g, &v, 8));
	SHOW(raise(SIGUSR1));
	SHOW(read(g, BAD, sizeof(struct signalfd_siginfo)));
	SHOW(read(g, &(struct signalfd_siginfo){ 0 }, sizeof(struct signalfd_siginfo)));
	close(e);
	close(s);
	close(t);
	close(g);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	test_making();
	test_naming();
	test_tcp();
	test_udp();
	test_rights();
	test_poll();
	test_epoll();
	test_counters();
	test_interrupted();
	return 0;
}
