/* SPDX-License-Identifier: MIT */
/* POSIX message queues: names, limits, order, waiting, notices, poll. */
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "progs.h"

#define OTHER     4242
#define LONG_NAME 256

static char name[64]; /* of the queue that most tests use; no other run has it */

static mqd_t make(long messages, long size, int flags)
{
	struct mq_attr attr = { .mq_maxmsg = messages, .mq_msgsize = size };

	return mq_open(name, O_CREAT | O_RDWR | flags, 0600, &attr);
}

static void drop(mqd_t q)
{
	mq_close(q);
	mq_unlink(name);
}

static const char *outcome(long result)
{
	return result == -1 ? strerrorname_np(errno) : "done";
}

static struct timespec in_ms(long ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

/* The system call itself: the C library takes the slash off, and checks. */
static long raw_open(const char *path, int flags, unsigned int mode, const void *attr)
{
	long fd = syscall(SYS_mq_open, path, flags, mode, attr);

	if (fd >= 0)
		close((int)fd);
	return fd >= 0 ? 0 : -1;
}

/* ---- names and sizes --------------------------------------------------------------- */

static void names(void)
{
	char longer[LONG_NAME + 1], *own = name + 1;
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 1 };

	printf("-- names\n");
	SHOW(raw_open(own, O_RDWR, 0, NULL));
	SHOW(raw_open("", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(raw_open(".", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(raw_open("..", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(raw_open("a/b", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(raw_open("/a", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(raw_open((char *)8, O_RDWR | O_CREAT, 0600, NULL));
	SHOW(raw_open(own, O_RDWR | O_CREAT, 0600, (void *)8));
	SHOW(raw_open(own, O_RDWR, 0600, (void *)8));
	memset(longer, 'x', LONG_NAME);
	longer[LONG_NAME] = 0;
	SHOW(raw_open(longer, O_RDWR | O_CREAT, 0600, NULL));
	SHOW(syscall(SYS_mq_unlink, longer));
	SHOW(syscall(SYS_mq_unlink, own));
	SHOW(syscall(SYS_mq_unlink, ""));
	SHOW(syscall(SYS_mq_unlink, "a/b"));
	SHOW(syscall(SYS_mq_unlink, 8));
	SHOW(raw_open(own, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
	SHOW(raw_open(own, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
	SHOW(raw_open(own, O_RDWR | O_CREAT, 0600, NULL));
	SHOW(raw_open(own, O_ACCMODE, 0600, NULL));
	SHOW(raw_open(own, O_RDONLY, 0, NULL));
	SHOW(syscall(SYS_mq_unlink, own));
	SHOW(raw_open(own, O_RDONLY, 0, NULL));
}

static void size(long messages, long bytes)
{
	struct mq_attr got;
	mqd_t q = make(messages, bytes, 0);

	printf("%ld messages of %ld: %s", messages, bytes, outcome(q));
	if (q >= 0 && !mq_getattr(q, &got))
		printf(", %ld of %ld, flags %lx, %ld there", got.mq_maxmsg, got.mq_msgsize,
		       got.mq_flags, got.mq_curmsgs);
	putchar('\n');
	if (q >= 0)
		drop(q);
}

static void sizes(void)
{
	struct mq_attr got;
	mqd_t q = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);

	printf("-- sizes\n");
	if (q < 0 || mq_getattr(q, &got))
		exit(2);
	printf("without attributes: %ld of %ld\n", got.mq_maxmsg, got.mq_msgsize);
	drop(q);
	size(0, 1);
	size(1, 0);
	size(-1, 1);
	size(1, -1);
	size(1, 1);
	size(10, 8192);
	size(11, 100);
	size(5, 8193);
	size(65536, 1);
	size(65537, 1);
	size(1, (16 << 20) + 1);
	size(LONG_MAX, LONG_MAX);
}

/*
 * RLIMIT_MSGQUEUE counts messages and what the kernel keeps with them, of all of a
 * user's queues: root's tests are those of one who has no others.
 */
static void limit(void)
{
	struct rlimit now;
	mqd_t q;

	if (!getuid() && (setgid(OTHER) || setuid(OTHER)))
		exit(2);
	getrlimit(RLIMIT_MSGQUEUE, &now);
	now.rlim_cur = 4 * 100 + 4 * 96;
	setrlimit(RLIMIT_MSGQUEUE, &now);
	size(4, 100);
	size(4, 101);
	size(5, 1);
	now.rlim_cur--;
	setrlimit(RLIMIT_MSGQUEUE, &now);
	size(4, 100);
	/* An unlinked queue counts as long as it is open. */
	q = make(2, 100, 0);
	mq_unlink(name);
	size(3, 100);
	size(1, 100);
	mq_close(q);
	size(3, 100);
	child_exit(0);
}

/* ---- messages ------------------------------------------------------------------------ */

static void show_next(mqd_t q)
{
	char text[64] = "";
	unsigned int priority = 99;
	ssize_t n = mq_receive(q, text, sizeof(text), &priority);

	if (n < 0)
		printf("receive: %s\n", strerrorname_np(errno));
	else
		printf("%.*s, priority %u\n", (int)n, text, priority);
}

static void order(void)
{
	struct mq_attr attr = { .mq_flags = O_NONBLOCK, .mq_maxmsg = 99 }, got;
	mqd_t q = make(6, 8, O_NONBLOCK), reader, writer;
	char text[64];
	struct timespec odd = { 0, 1000000000 }, past = { 1, 0 };

	printf("-- messages\n");
	SHOW(mq_send(q, "low", 3, 1));
	SHOW(mq_send(q, "high 1", 6, 32767));
	SHOW(mq_send(q, "mid 1", 5, 7));
	SHOW(mq_send(q, "high 2", 6, 32767));
	SHOW(mq_send(q, "mid 2", 5, 7));
	SHOW(mq_send(q, "", 0, 0));
	SHOW(mq_send(q, "more", 4, 5));
	SHOW(mq_send(q, "more", 4, 32768));
	SHOW(mq_send(q, "too long!", 9, 0));
	SHOW(mq_send(q, (char *)8, 4, 0));
	SHOW(mq_timedsend(q, "more", 4, 0, &odd));
	SHOW(mq_timedsend(q, "more", 4, 0, &past));
	SHOW(mq_timedsend(q, "more", 4, 0, (struct timespec *)8));
	SHOW(mq_getattr(q, &got));
	printf("flags %lx, %ld there\n", got.mq_flags, got.mq_curmsgs);
	SHOW(mq_receive(q, text, 7, NULL));
	for (int i = 0; i < 7; i++)
		show_next(q);
	SHOW(mq_send(q, "fits", 4, 0));
	SHOW(mq_receive(q, text, 8, NULL));
	SHOW(mq_send(q, "lost", 4, 0));
	SHOW(syscall(SYS_mq_timedreceive, q, 8, 64, NULL, NULL));
	show_next(q);
	reader = mq_open(name, O_RDONLY);
	writer = mq_open(name, O_WRONLY);
	SHOW(mq_send(reader, "x", 1, 0));
	SHOW(mq_receive(writer, text, sizeof(text), NULL));
	SHOW(mq_send(0, "x", 1, 0));
	SHOW(mq_send(-1, "x", 1, 0));
	SHOW(mq_receive(99, text, sizeof(text), NULL));
	SHOW(mq_getattr(0, &got));
	SHOW(mq_notify(0, NULL));
	/* Only O_NONBLOCK can be set, and only of this open queue. */
	SHOW(mq_setattr(reader, &attr, &got));
	printf("was %lx\n", got.mq_flags);
	mq_getattr(reader, &got);
	printf("is %lx, %ld\n", got.mq_flags, got.mq_maxmsg);
	mq_getattr(writer, &got);
	printf("the other's %lx\n", got.mq_flags);
	attr.mq_flags = O_APPEND;
	SHOW(mq_setattr(reader, &attr, NULL));
	show_next(reader);
	printf("fcntl: %x %x %x\n", fcntl(reader, F_GETFD),
	       fcntl(reader, F_GETFL) & (O_ACCMODE | O_NONBLOCK),
	       fcntl(writer, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	SHOW(fcntl(reader, F_SETFL, 0));
	mq_getattr(reader, &got);
	printf("is %lx\n", got.mq_flags);
	mq_send(writer, "status", 6, 0);
	SHOW(write(writer, "x", 1));
	memset(text, 0, sizeof(text));
	SHOW(read(reader, text, sizeof(text) - 1));
	fputs(text, stdout);
	mq_close(reader);
	mq_close(writer);
	drop(q);
}

/* ---- waiting -------------------------------------------------------------------------- */

static void caught(int number)
{
	(void)number;
}

static void waiting(void)
{
	struct sigaction action = { .sa_handler = caught };
	mqd_t q = make(1, 16, 0);
	struct timespec soon = in_ms(30), past = { 1, 0 };
	char text[64];
	pid_t pid, parent = getpid();

	printf("-- waiting\n");
	SHOW(mq_timedreceive(q, text, sizeof(text), NULL, &past));
	SHOW(mq_timedreceive(q, text, sizeof(text), NULL, &soon));
	SHOW(mq_timedsend(q, "full", 4, 0, &past));
	soon = in_ms(30);
	SHOW(mq_timedsend(q, "more", 4, 0, &soon));
	/* A child sends twenty through room for one. */
	pid = fork_flushed();
	if (!pid) {
		for (int i = 0; i < 20; i++) {
			snprintf(text, sizeof(text), "message %d", i);
			if (mq_send(q, text, strlen(text), (unsigned int)i % 3))
				child_exit(1);
		}
		child_exit(0);
	}
	for (int i = 0; i < 21; i++)
		show_next(q);
	show_child("the sender", pid);
	/* A signal ends a wait, or it goes on. */
	sigaction(SIGUSR1, &action, NULL);
	pid = fork_flushed();
	if (!pid) {
		while (!kill(parent, SIGUSR1))
			usleep(2000);
		child_exit(0);
	}
	SHOW(mq_receive(q, text, sizeof(text), NULL));
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	soon = in_ms(50);
	SHOW(mq_timedreceive(q, text, sizeof(text), NULL, &soon));
	kill(pid, SIGKILL);
	show_child("the one with the signals", pid);
	drop(q);
}

/* Who opened it first may still use a queue whose name has gone. */
static void unlinked(void)
{
	mqd_t q = make(2, 16, O_NONBLOCK), other;

	printf("-- unlinked\n");
	mq_send(q, "old", 3, 0);
	SHOW(mq_unlink(name));
	other = make(2, 16, O_NONBLOCK);
	show_next(other);
	show_next(q);
	mq_close(q);
	drop(other);
}

/* ---- poll --------------------------------------------------------------------------------- */

static void show_poll(const char *what, mqd_t q)
{
	struct pollfd p = { q, POLLIN | POLLOUT, 0 };
	int n = poll(&p, 1, 0);

	printf("%s: %d,%s%s\n", what, n, p.revents & POLLIN ? " in" : "",
	       p.revents & POLLOUT ? " out" : "");
}

static void polls(void)
{
	mqd_t q = make(2, 16, O_NONBLOCK), again;
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd p = { q, POLLIN, 0 };
	int epoll = epoll_create1(0);
	pid_t pid;

	printf("-- poll\n");
	SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, q, &ev));
	show_poll("empty", q);
	SHOW(epoll_wait(epoll, &ev, 1, 0));
	mq_send(q, "a", 1, 0);
	show_poll("one of two", q);
	SHOW(epoll_wait(epoll, &ev, 1, 0));
	mq_send(q, "b", 1, 0);
	show_poll("full", q);
	again = mq_open(name, O_RDWR);
	show_poll("full, opened now", again);
	show_next(q);
	show_poll("one again", again);
	show_next(q);
	show_poll("empty again", q);
	pid = fork_flushed();
	if (!pid) {
		usleep(20000);
		mq_send(q, "late", 4, 0);
		child_exit(0);
	}
	SHOW(poll(&p, 1, 100000));
	show_next(again);
	show_child("the late sender", pid);
	close(epoll);
	mq_close(again);
	drop(q);
}

/* ---- notices ------------------------------------------------------------------------------- */

static void show_notice(const char *what, pid_t sender)
{
	sigset_t set;
	siginfo_t info;
	struct timespec none = { 0, 0 };

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (sigtimedwait(&set, &info, &none) < 0)
		printf("%s: no notice\n", what);
	else
		printf("%s: code %d, value %d, pid %s, uid %s\n", what, info.si_code,
		       info.si_value.sival_int, info.si_pid == sender ? "of the sender" : "another",
		       info.si_uid == getuid() ? "of the sender" : "another");
}

static struct sigevent wanted_notice = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };

static void bad_notices(mqd_t q)
{
	struct sigevent bad = { .sigev_notify = 77 };

	SHOW(mq_notify(q, &bad));
	bad.sigev_notify = SIGEV_SIGNAL;
	bad.sigev_signo = 65;
	SHOW(mq_notify(q, &bad));
	bad.sigev_signo = -1;
	SHOW(mq_notify(q, &bad));
	SHOW(syscall(SYS_mq_notify, q, 8));
}

static void one_notice(mqd_t q)
{
	struct sigevent *ev = &wanted_notice;
	pid_t pid;

	SHOW(mq_notify(q, ev));
	SHOW(mq_notify(q, ev));
	pid = fork_flushed();
	if (!pid) {
		SHOW(mq_notify(q, ev));
		/* Not the child's, and closing it is no end of it either. */
		SHOW(mq_notify(q, NULL));
		SHOW(mq_close(q));
		child_exit(0);
	}
	show_child("the child", pid);
	SHOW(mq_send(q, "one", 3, 0));
	show_notice("the first message", getpid());
	SHOW(mq_send(q, "two", 3, 0));
	show_notice("the second", getpid());
	show_next(q);
	show_next(q);
	SHOW(mq_send(q, "three", 5, 0));
	show_notice("without a notice asked for", getpid());
	SHOW(mq_notify(q, ev));
	SHOW(mq_send(q, "four", 4, 0));
	show_notice("into a queue that was not empty", getpid());
	show_next(q);
	show_next(q);
	pid = fork_flushed();
	if (!pid)
		child_exit(mq_send(q, "child", 5, 0));
	show_child("the sender", pid);
	show_notice("by another process", pid);
	show_next(q);
}

static void no_notice(mqd_t q)
{
	struct sigevent *ev = &wanted_notice;
	mqd_t again;

	SHOW(mq_notify(q, ev));
	SHOW(mq_notify(q, NULL));
	SHOW(mq_send(q, "taken back", 10, 0));
	show_notice("taken back", getpid());
	show_next(q);
	/* Closing any descriptor of the queue takes it back. */
	again = mq_open(name, O_RDWR);
	SHOW(mq_notify(q, ev));
	SHOW(mq_close(again));
	SHOW(mq_send(q, "closed", 6, 0));
	show_notice("after a close", getpid());
	show_next(q);
}

/* Someone who waits gets the message, and the notice stays for the next. */
static void notice_stays(mqd_t q)
{
	mqd_t again;
	char text[64];
	pid_t pid;

	SHOW(mq_notify(q, &wanted_notice));
	again = mq_open(name, O_RDWR);
	pid = fork_flushed();
	if (!pid)
		child_exit(mq_receive(again, text, sizeof(text), NULL) == 6 ? 0 : 1);
	await_sleep(pid);
	SHOW(mq_send(q, "waited", 6, 0));
	show_child("the receiver", pid);
	show_notice("while somebody waited", getpid());
	SHOW(mq_send(q, "after", 5, 0));
	show_notice("afterwards", getpid());
	show_next(q);
	mq_close(again);
}

static void notices(void)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	mqd_t q = make(4, 16, O_NONBLOCK);
	sigset_t set;
	pid_t pid;

	printf("-- notices\n");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	wanted_notice.sigev_value.sival_int = 17;
	bad_notices(q);
	one_notice(q);
	no_notice(q);
	notice_stays(q);
	/* One who is gone is not waited for. */
	pid = fork_flushed();
	if (!pid)
		child_exit(mq_notify(q, &wanted_notice) ? 1 : 0);
	show_child("asked and ended", pid);
	SHOW(mq_notify(q, &none));
	SHOW(mq_send(q, "silent", 6, 0));
	show_notice("none wanted", getpid());
	drop(q);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Who has waited for longer is served first: each child says what it got. */
static void receivers_in_line(mqd_t q)
{
	char text[16];
	pid_t pid[2];

	for (int i = 0; i < 2; i++) {
		pid[i] = fork_flushed();
		if (!pid[i])
			child_exit(mq_receive(q, text, sizeof(text), NULL) == 1 ? text[0] : 9);
		await_sleep(pid[i]);
	}
	mq_send(q, "1", 1, 0);
	mq_send(q, "2", 1, 0);
	show_child("the first receiver", pid[0]);
	show_child("the second", pid[1]);
}

static void senders_in_line(mqd_t q)
{
	pid_t pid[2];

	mq_send(q, "full", 4, 0);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork_flushed();
		if (!pid[i])
			child_exit(mq_send(q, i ? "second" : "first", i ? 6 : 5, 0));
		await_sleep(pid[i]);
	}
	for (int i = 0; i < 3; i++)
		show_next(q);
	show_child("the first sender", pid[0]);
	show_child("the second", pid[1]);
}

static void lines(void)
{
	mqd_t q = make(1, 16, 0);

	printf("-- lines\n");
	receivers_in_line(q);
	senders_in_line(q);
	drop(q);
}

/* ---- rights ----------------------------------------------------------------------------------- */

static void rights(void)
{
	mqd_t q;
	pid_t pid;

	printf("-- rights\n");
	umask(0);
	q = mq_open(name, O_CREAT | O_RDWR, 0640, NULL);
	pid = fork_flushed();
	if (!pid) {
		if (setgid(OTHER) || setuid(OTHER))
			child_exit(2);
		SHOW(raw_open(name + 1, O_RDONLY, 0, NULL));
		SHOW(raw_open(name + 1, O_WRONLY, 0, NULL));
		SHOW(syscall(SYS_mq_unlink, name + 1));
		size(11, 100);
		/* What is open stays so. */
		SHOW(mq_send(q, "x", 1, 0));
		child_exit(0);
	}
	show_child("another user", pid);
	drop(q);
	umask(077);
	q = mq_open(name, O_CREAT | O_RDWR, 0666, NULL);
	pid = fork_flushed();
	if (!pid) {
		if (setgid(OTHER) || setuid(OTHER))
			child_exit(2);
		SHOW(raw_open(name + 1, O_RDONLY, 0, NULL));
		child_exit(0);
	}
	show_child("another user, after umask", pid);
	umask(0);
	drop(q);
}

static void show_file(const char *file)
{
	char path[128], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", file);
	f = fopen(path, "r");
	if (f && fgets(text, sizeof(text), f))
		printf("%s: %s", file, text);
	if (f)
		fclose(f);
}

static void show_as_file(mqd_t q)
{
	char path[64], text[128], bytes[8] = "";
	struct statx sx;
	struct stat st;
	ssize_t n;

	SHOW(fstat(q, &st));
	printf("mode %o, size %ld, names %lu, mine %d\n", st.st_mode, (long)st.st_size,
	       (unsigned long)st.st_nlink, st.st_uid == geteuid() && st.st_gid == getegid());
	SHOW(fstatat(q, "", &st, AT_EMPTY_PATH));
	SHOW(statx(q, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
	printf("mode %o and %o, size %ld\n", st.st_mode, sx.stx_mode, (long)sx.stx_size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", q);
	n = readlink(path, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	printf("it is the queue of that name: %d, %s\n", !strncmp(text, name, strlen(name)),
	       n > 0 ? text + strlen(name) : "-");
	SHOW(lseek(q, 3, SEEK_SET));
	SHOW(read(q, bytes, 3));
	SHOW(lseek(q, -5, SEEK_CUR));
	SHOW(lseek(q, 1, SEEK_CUR));
	SHOW(read(q, bytes + 3, 3));
	puts(bytes);
	SHOW(lseek(q, 0, SEEK_END));
	SHOW(read(q, bytes, 3));
	SHOW(lseek(q, 0, 77));
	SHOW(lseek(q, -1, SEEK_SET));
}

static void as_file(void)
{
	mqd_t q;

	printf("-- as a file\n");
	umask(022);
	q = mq_open(name, O_CREAT | O_RDWR, 0666, NULL);
	show_as_file(q);
	SHOW(mq_unlink(name));
	show_as_file(q);
	SHOW(mq_close(q));
}

int main(void)
{
	pid_t pid;

	snprintf(name, sizeof(name), "/umm-test-%d", getpid());
	show_file("queues_max");
	show_file("msg_max");
	show_file("msgsize_max");
	show_file("msg_default");
	show_file("msgsize_default");
	names();
	sizes();
	printf("-- RLIMIT_MSGQUEUE\n");
	pid = fork_flushed();
	if (!pid)
		limit();
	show_child("another user's", pid);
	order();
	waiting();
	unlinked();
	polls();
	notices();
	lines();
	as_file();
	/* Only root has somebody else to become. */
	if (!getuid())
		rights();
	return 0;
}
