/* SPDX-License-Identifier: MIT */
/*
 * Reads into memory that cannot be written: EFAULT, and what Linux keeps is still there afterwards.
 * Then the flags of descriptors that stand for something else than a file (F_SETFL, FIONBIO).
 */
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "calls.h"

static char *page; /* the last one that can be written, before one that cannot */

static void *room(size_t bytes)
{
	return page + PAGE - bytes;
}

static void show_events(const char *what, int fd, size_t bytes)
{
	struct inotify_event *e;
	char text[1024];
	ssize_t n = read(fd, bytes ? room(bytes) : text, 1024), at;

	printf("%s: %ld %s\n", what, (long)n, n < 0 ? strerrorname_np(errno) : "");
	for (at = 0; !bytes && at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
		e = (struct inotify_event *)(text + at);
		printf("   %s\n", e->len ? e->name : "none");
	}
}

static void make_events(void)
{
	close(file_make("a", 0));
	close(file_make("a-name-of-more-than-sixteen-letters", 0));
	close(file_make("c", 0));
	unlink("a");
	unlink("a-name-of-more-than-sixteen-letters");
	unlink("c");
}

static void test_inotify(void)
{
	int fd = inotify_init1(IN_NONBLOCK);

	printf("-- inotify\n");
	SHOW(inotify_add_watch(fd, ".", IN_CREATE));
	make_events();
	SHOW(read(fd, BAD, 1024));
	show_events("but the first", fd, 0);
	make_events();
	show_events("room for one", fd, 32);
	show_events("but two", fd, 0);
	make_events();
	show_events("room for one and a half", fd, 50);
	show_events("but two", fd, 0);
	make_events();
	show_events("room for two", fd, 32 + 64);
	show_events("all of three", fd, 0);
	SHOW(read(fd, BAD, 1024));
	SHOW(read(fd, BAD, 4));
	make_events();
	SHOW(read(fd, BAD, 4));
	SHOW(read(fd, room(20), 20));
	show_events("all", fd, 0);
	close(fd);
}

static void show_signals(const char *what, int fd, void *to, size_t nr)
{
	long n = read(fd, to, nr * sizeof(struct signalfd_siginfo));

	printf("%s: %ld %s\n", what, n, n < 0 ? strerrorname_np(errno) : "");
}

static void test_signalfd(void)
{
	static struct signalfd_siginfo all[8];
	sigset_t set;
	int fd, i;

	printf("-- signalfd\n");
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	for (i = 0; i < 6; i++)
		sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i });
	show_signals("nowhere", fd, BAD, 3);
	show_signals("room for one", fd, room(sizeof(all[0])), 3);
	show_signals("room for half", fd, room(sizeof(all[0]) / 2), 3);
	show_signals("the rest", fd, all, 8);
	for (i = 0; all[i].ssi_signo; i++)
		printf("   %d\n", all[i].ssi_int);
	close(fd);
}

static void test_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, got[4];
	int fd = epoll_create1(0), a = eventfd(1, 0), b = eventfd(1, 0);

	printf("-- epoll\n");
	ev.data.u32 = 1;
	SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, a, &ev));
	ev.data.u32 = 2;
	SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, b, &ev));
	SHOW(epoll_wait(fd, BAD, 4, 0));
	SHOW(epoll_wait(fd, BAD, 4, -1));
	SHOW(epoll_wait(fd, room(sizeof(ev)), 4, 0));
	SHOW(epoll_wait(fd, got, 4, 0));
	SHOW(got[0].data.u32);
	SHOW(epoll_wait(fd, got, 4, 0));
	SHOW(epoll_wait(fd, BAD, 4, 0));
	SHOW(epoll_wait(fd, BAD, 4, 1));
	close(fd);
	close_two(a, b);
}

/* What is lost natively, too. */
static void test_lost(void)
{
	struct mq_attr attr = { .mq_maxmsg = 3, .mq_msgsize = 32 };
	int fd = eventfd(7, EFD_NONBLOCK);
	uint64_t value;
	char name[32];
	mqd_t q;

	printf("-- others\n");
	SHOW(read(fd, BAD, 8));
	SHOW(read(fd, &value, 8));
	close(fd);
	snprintf(name, sizeof(name), "/bad-reads-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
	SHOW(mq_unlink(name));
	SHOW(mq_send(q, "text", 4, 0));
	SHOW(mq_receive(q, BAD, 32, NULL));
	SHOW(mq_receive(q, page, 32, NULL));
	close(q);
	fd = open("/proc/self/comm", O_RDONLY);
	SHOW(read(fd, BAD, 20));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(read(fd, page, 20));
	close(fd);
}

/* ---- flags ------------------------------------------------------------------------------------------ */

static void show_flags(const char *what, int fd)
{
	int on = 1, off = 0;

	printf("%s: %o\n", what, fcntl(fd, F_GETFL));
	SHOW(ioctl(fd, FIONBIO, &on));
	printf("   %o\n", fcntl(fd, F_GETFL));
	SHOW(ioctl(fd, FIONBIO, &off));
	SHOW(ioctl(fd, FIONBIO, BAD));
	printf("   %o\n", fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
	printf("   %o\n", fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_SETFL, O_DIRECT));
	SHOW(fcntl(fd, F_SETFL, O_RDWR | O_CREAT | O_TRUNC | O_NOATIME));
	printf("   %o\n", fcntl(fd, F_GETFL));
	SHOW(ioctl(fd, FIOASYNC, &off));
	SHOW(ioctl(fd, FIOASYNC, BAD));
	SHOW(fcntl(fd, F_SETFL, O_ASYNC));
	printf("   %o\n", fcntl(fd, F_GETFL));
	SHOW(ioctl(fd, FIOASYNC, &off));
	SHOW(ioctl(fd, FIOASYNC, &on));
	printf("   %o\n", fcntl(fd, F_GETFL));
	close(fd);
}

static void test_flags(void)
{
	struct mq_attr attr = { .mq_maxmsg = 3, .mq_msgsize = 32 };
	char name[32];
	sigset_t set;

	printf("-- flags\n");
	sigemptyset(&set);
	show_flags("pidfd", (int)syscall(SYS_pidfd_open, getpid(), 0));
	show_flags("pidfd", (int)syscall(SYS_pidfd_open, getpid(), O_NONBLOCK));
	snprintf(name, sizeof(name), "/flags-%d", getpid());
	show_flags("queue", mq_open(name, O_RDWR | O_CREAT, 0600, &attr));
	show_flags("queue", mq_open(name, O_WRONLY | O_NONBLOCK));
	SHOW(mq_unlink(name));
	show_flags("signalfd", signalfd(-1, &set, 0));
	show_flags("signalfd", signalfd(-1, &set, SFD_NONBLOCK));
	show_flags("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
	show_flags("eventfd", eventfd(0, EFD_NONBLOCK));
	show_flags("inotify", inotify_init());
	show_flags("epoll", epoll_create1(0));
	show_flags("/proc", open("/proc/self/maps", O_RDONLY));
	show_flags("/proc", open("/proc/self/comm", O_RDWR | O_NONBLOCK));
	show_flags("/proc", open("/proc/self/pagemap", O_RDONLY));
	show_flags("/proc", open("/proc/self", O_RDONLY | O_DIRECTORY));
	show_flags("/proc", open("/proc/self", O_PATH));
	show_flags("terminal", open("/dev/ptmx", O_RDWR | O_NOCTTY));
	show_flags("folder", open(".", O_RDONLY));
}

/* The flag is one for all that have the open file, and it acts. */
static void test_acts(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getppid(), 0), copy = dup(fd), on = 1;
	pid_t pid = fork_flushed();
	siginfo_t info;

	if (!pid) {
		pause();
		_exit(0);
	}
	close_two(fd, copy);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	copy = dup(fd);
	SHOW(ioctl(copy, FIONBIO, &on));
	SHOW(waitid((idtype_t)3, (id_t)fd, &info, WEXITED));
	kill(pid, SIGKILL);
	show_child("child", pid);
	close_two(fd, copy);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || mprotect(page + PAGE, PAGE, PROT_NONE))
		return 2;
	test_inotify();
	test_signalfd();
	test_epoll();
	test_lost();
	test_flags();
	test_acts();
	return 0;
}
