/* SPDX-License-Identifier: MIT */
/*
 * What is typed: ^C, ^\ and ^Z on a pty of the guest.
 *
 * The host's line discipline does with such a character all that Linux does (it is echoed, and what
 * was typed and written before is thrown away), but finds no group to send the signal to. That is
 * done here. The order matters: the program that is signalled may write at once, and
 * that must not be thrown away. So the write ends with the character, and the signal is sent
 * when the host has worked on it, which it does in a thread of its own.
 */
#include <ctype.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest/ctty.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

/* How long the host is waited for: it takes microseconds, but may be busy. */
#define SETTLE_TRIES   200
#define SETTLE_STEP_NS 500000

/* The signal that character @c asks for, 0: none. @literal: it is quoted; then, the next one is. */
static int typed_signal(const struct termios *mode, unsigned char c, bool *literal)
{
	bool quoted = *literal;

	*literal = false;
	if (mode->c_iflag & ISTRIP)
		c &= 0x7f;
	if (mode->c_iflag & IUCLC && mode->c_lflag & IEXTEN)
		c = (unsigned char)tolower(c);
	/* 0 stands for no character. */
	if (quoted || !c)
		return 0;
	if (c == mode->c_cc[VINTR])
		return SIGINT;
	if (c == mode->c_cc[VQUIT])
		return SIGQUIT;
	if (c == mode->c_cc[VSUSP])
		return SIGTSTP;
	*literal = c == mode->c_cc[VLNEXT] && mode->c_lflag & ICANON && mode->c_lflag & IEXTEN;
	return 0;
}

/* Up to and including the first character that sends a signal, in *sig; or all. */
static size_t until_signal(const struct termios *mode, const char *buf, size_t len, bool *literal,
			   int *sig)
{
	size_t i;

	*sig = 0;
	for (i = 0; i < len && !*sig; i++)
		*sig = typed_signal(mode, (unsigned char)buf[i], literal);
	return i;
}

/*
 * Wait until the host has worked on what was written to the master. Asking whether the slave
 * can be read makes it do so at once, unless there is something to read already; but then that
 * is thrown away when the character's turn comes.
 */
static void settle(int master)
{
	const struct timespec step = { .tv_nsec = SETTLE_STEP_NS };
	struct pollfd slave = { .events = POLLIN };
	int i;

	slave.fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (slave.fd < 0)
		return;
	for (i = 0; i < SETTLE_TRIES && poll(&slave, 1, 0) > 0 && slave.revents & POLLIN; i++)
		nanosleep(&step, NULL);
	close(slave.fd);
}

static int64_t host_write(struct task *t, const struct gfile *f, const char *buf, size_t len)
{
	return host_syscall_blocking(t, SYS_write, (uint64_t)f->host_fd, (uint64_t)buf, len, 0, 0,
				     0);
}

int64_t ctty_master_write(struct task *t, struct gfile *f, const char *buf, size_t len)
{
	struct ctty *c = f->tty;
	struct termios mode;
	size_t done = 0, part;
	bool literal;
	int64_t n;
	int sig;

	if (!__atomic_load_n(&c->pgrp, __ATOMIC_RELAXED) || tcgetattr(f->host_fd, &mode) ||
	    !(mode.c_lflag & ISIG) || mode.c_lflag & EXTPROC)
		return host_write(t, f, buf, len);
	do {
		literal = __atomic_load_n(&c->literal, __ATOMIC_RELAXED);
		part = until_signal(&mode, buf + done, len - done, &literal, &sig);
		n = host_write(t, f, buf + done, part);
		if (n < 0)
			return done ? (int64_t)done : n;
		done += (size_t)n;
		if ((size_t)n < part)
			break;
		__atomic_store_n(&c->literal, literal, __ATOMIC_RELAXED);
		if (!sig)
			continue;
		if (!(mode.c_lflag & NOFLSH))
			settle(f->host_fd);
		ctty_signal(c, sig);
	} while (done < len);
	return (int64_t)done;
}
