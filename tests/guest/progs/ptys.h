/* SPDX-License-Identifier: MIT */
/*
 * Terminals of a self-test: made, given to sessions of their own, and what is told of them without
 * a number that differs between two runs.
 */
#ifndef UMM_TESTS_PTYS_H
#define UMM_TESTS_PTYS_H

#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "progs.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

struct pty {
	int master;
	char name[64];
};

static inline struct pty pty_open(void)
{
	struct pty p = { .master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) };

	if (p.master < 0 || unlockpt(p.master) || ptsname_r(p.master, p.name, sizeof(p.name))) {
		perror("posix_openpt");
		exit(2);
	}
	return p;
}

static inline int slave_open(const struct pty *p)
{
	int fd = open(p->name, O_RDWR | O_NOCTTY);

	if (fd < 0) {
		perror(p->name);
		exit(2);
	}
	return fd;
}

/* A child that leads a session; the calling process goes on when it has ended. */
#define IN_SESSION(what, body)                       \
	do {                                         \
		pid_t session_pid_ = fork_flushed(); \
		if (!session_pid_) {                 \
			setsid();                    \
			body;                        \
			child_exit(0);               \
		}                                    \
		show_child(what, session_pid_);      \
	} while (0)

/* The same, and its controlling terminal is @p's, on descriptor @fd. */
#define IN_TERMINAL(what, p, fd, body)            \
	IN_SESSION(what, {                        \
		int fd = open((p)->name, O_RDWR); \
		body;                             \
	})

/* Numbers by what they are of. */
static inline const char *role(long pid)
{
	return pid == 0           ? "none"
	       : pid == getpid()  ? "me"
	       : pid == getpgrp() ? "my group"
	       : pid == getsid(0) ? "my session"
	       : pid == getppid() ? "my parent"
	       : pid < 0          ? strerrorname_np(errno)
				  : "somebody";
}

static inline void show_numbers(const char *what, int fd)
{
	int group = -2, session = -2;

	errno = 0;
	if (ioctl(fd, TIOCGPGRP, &group))
		group = -1;
	printf("%s: group %s", what, role(group));
	errno = 0;
	if (ioctl(fd, TIOCGSID, &session))
		session = -1;
	printf(", session %s\n", role(session));
}

/* Field 7 and 8 of /proc/self/stat, compared with the device of @fd. */
static inline void show_stat(const char *what, int fd)
{
	struct stat st = { 0 };
	unsigned int device = 0;
	char text[1024];
	int group = 0;

	fstat(fd, &st);
	file_get("/proc/self/stat", text, sizeof(text));
	if (!strrchr(text, ')') ||
	    sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %u %d", &device, &group) != 2)
		printf("%s: cannot read it\n", what);
	else
		printf("%s: tty_nr %s, tpgid %s\n", what,
		       !device                                                  ? "0"
		       : device == (major(st.st_rdev) << 8 | minor(st.st_rdev)) ? "this"
										: "another",
		       group == -1 ? "-1" : role(group));
}

static inline void show_dev_tty(const char *what)
{
	int fd = open("/dev/tty", O_RDWR);

	if (fd < 0) {
		printf("%s: /dev/tty: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: /dev/tty: %s\n", what, isatty(fd) ? "a terminal" : "no terminal");
	show_numbers("by /dev/tty", fd);
	close(fd);
}

static inline sigset_t set_of(int a, int b, int c, int d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	sigaddset(&set, b);
	sigaddset(&set, c);
	sigaddset(&set, d);
	return set;
}

static inline void block(int a, int b, int c, int d)
{
	sigset_t set = set_of(a, b, c, d);

	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* The next of the blocked signals, which must come. */
static inline void await(int a, int b, int c, int d)
{
	sigset_t set = set_of(a, b, c, d);
	siginfo_t info;
	int number = sigwaitinfo(&set, &info);

	printf("SIG%s, code %d, from %d\n", signal_name(number), info.si_code, info.si_pid);
}

static inline void show_pending(const char *what)
{
	sigset_t set;
	int number;

	sigpending(&set);
	printf("%s, pending:", what);
	for (number = 1; number < 32; number++)
		if (sigismember(&set, number) == 1)
			printf(" SIG%s", signal_name(number));
	printf("\n");
}

/* One byte through a pipe, from one process to another. */
static inline void tell(const int pipe_fds[2])
{
	if (write(pipe_fds[1], "x", 1) != 1)
		_exit(3);
}

static inline void hear(const int pipe_fds[2])
{
	char c;

	if (read(pipe_fds[0], &c, 1) != 1)
		_exit(3);
}

static inline void make_pipe(int pipe_fds[2])
{
	if (pipe(pipe_fds)) {
		perror("pipe");
		exit(2);
	}
}

static inline void show_bytes(const char *what, const char *text, ssize_t n)
{
	ssize_t i;

	if (n < 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: \"", what);
	for (i = 0; i < n; i++)
		printf(text[i] < ' ' ? "\\%o" : "%c", text[i]);
	printf("\"\n");
}

static inline void show_read(const char *what, int fd)
{
	char text[256];
	ssize_t n = read(fd, text, sizeof(text));

	show_bytes(what, text, n);
}

/* What comes from @fd until @end, which must come. */
static inline void show_until(const char *what, int fd, const char *end)
{
	char text[4096];
	ssize_t n, have = 0;

	text[0] = 0;
	while (!strstr(text, end)) {
		n = read(fd, text + have, sizeof(text) - 1 - (size_t)have);
		if (n <= 0)
			break;
		have += n;
		text[have] = 0;
	}
	show_bytes(what, text, have);
}

static inline void set_mode(int fd, tcflag_t off, tcflag_t on)
{
	struct termios mode;

	tcgetattr(fd, &mode);
	mode.c_lflag = (mode.c_lflag & ~off) | on;
	tcsetattr(fd, TCSANOW, &mode);
}

static inline void on_signal(int number)
{
	(void)number;
}

static inline void catch_signal(int number, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(number, &action, NULL);
}

#endif
