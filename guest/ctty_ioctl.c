/* SPDX-License-Identifier: MIT */
/* The ioctls of job control, and what others have to do with it. */
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "guest/ctty.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

/* The kernel's numbers of TCSETS2, TCSETSW2 and TCSETSF2. */
#define IS_TERMIOS2_SET(request) ((request) >= 0x402c542b && (request) <= 0x402c542d)

static int tell_number(struct task *t, uint64_t arg, int32_t number)
{
	return copy_to_user(t, arg, &number, sizeof(number));
}

static int64_t set_pgrp(struct task *t, const struct gfile *f, uint64_t arg)
{
	int r = ctty_check(t, f->tty, SIGTTOU);
	int32_t pgid;

	if (r)
		return r == -EIO ? -ENOTTY : r;
	if (copy_from_user(t, &pgid, arg, sizeof(pgid)))
		return -EFAULT;
	return ctty_set_pgrp(t, f, pgid);
}

/* umm's own: the host tells umm, which passes it on. */
static int64_t set_size(struct task *t, const struct gfile *f, uint64_t arg)
{
	struct winsize size, old;

	if (copy_from_user(t, &size, arg, sizeof(size)))
		return -EFAULT;
	memset(&old, 0, sizeof(old));
	if (ioctl(f->host_fd, TIOCGWINSZ, &old) || ioctl(f->host_fd, TIOCSWINSZ, &size))
		return -errno;
	if (!f->tty->own && memcmp(&size, &old, sizeof(size)))
		ctty_signal(f->tty, SIGWINCH);
	return 0;
}

/* TIOCSIG, of masters only: as if it had been typed. */
static int64_t send_signal(const struct gfile *f, int sig)
{
	if (!f->pty_master)
		return -ENOTTY;
	if (sig != SIGINT && sig != SIGQUIT && sig != SIGTSTP)
		return -EINVAL;
	ctty_signal(f->tty, sig);
	return 0;
}

/* TIOCGPTPEER: the slave, whatever its name is now. */
static int64_t open_peer(struct task *t, const struct gfile *f, int flags)
{
	struct gfile *slave;
	int fd, r;

	if (!f->pty_master)
		return -EIO;
	/* It came from outside as it is: there is no opening again for more. */
	if (f->sealed)
		return -EACCES;
	fd = ioctl(f->host_fd, TIOCGPTPEER, (flags & ~O_ASYNC) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	r = gfile_create(guest_filemaps(task_guest(t)), fd, flags & ~O_ASYNC, &slave);
	if (r)
		return r;
	ctty_attach(task_guest(t), slave);
	ctty_opened(t, slave, flags);
	return files_install(t, slave, flags & O_CLOEXEC);
}

/* Those that change the terminal for everybody, and are not for the background. */
static int check_change(struct task *t, const struct gfile *f, unsigned int request)
{
	switch (request) {
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return ctty_check(t, f->tty, SIGTTOU);
	case TCSBRK:
	case TCSBRKP:
	case TIOCSBRK:
	case TIOCCBRK:
	case TCXONC:
	case TCFLSH:
		return f->pty_master ? 0 : ctty_check(t, f->tty, SIGTTOU);
	default:
		return IS_TERMIOS2_SET(request) ? ctty_check(t, f->tty, SIGTTOU) : 0;
	}
}

bool ctty_ioctl(struct task *t, struct gfile *f, unsigned int request, uint64_t arg, int64_t *r)
{
	int32_t number = 0;

	if (!f->pty_master && ctty_is_hung_up(f->tty)) {
		*r = request == TIOCSPGRP ? -ENOTTY : -EIO;
		return true;
	}
	switch (request) {
	case TIOCGPGRP:
		*r = ctty_pgrp(t, f, &number);
		*r = *r ? *r : tell_number(t, arg, number);
		return true;
	case TIOCSPGRP:
		*r = set_pgrp(t, f, arg);
		return true;
	case TIOCGSID:
		*r = ctty_session(t, f, &number);
		*r = *r ? *r : tell_number(t, arg, number);
		return true;
	case TIOCSCTTY:
		*r = ctty_take(t, f, arg);
		return true;
	case TIOCNOTTY:
		*r = ctty_leave(t, f);
		return true;
	case TIOCSWINSZ:
		*r = set_size(t, f, arg);
		return true;
	case TIOCSIG:
		*r = send_signal(f, (int)arg);
		return true;
	case TIOCPKT:
		*r = -ENOTTY;
		return !f->pty_master;
	case TIOCGPTPEER:
		*r = open_peer(t, f, (int)arg);
		return true;
	default:
		*r = check_change(t, f, request);
		return *r != 0;
	}
}
