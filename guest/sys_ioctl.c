/* SPDX-License-Identifier: MIT */
/*
 * ioctl: those whose argument is known. An unknown one could make the host read
 * or write memory of the VMM, so it is refused with ENOTTY.
 */
#include <errno.h>
#include <linux/fs.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "guest/ctty.h"
#include "guest/proc_io.h"
#include "guest/syscalls.h"

/* The kernel's struct termios; that of libc is larger. */
#define KERNEL_TERMIOS_SIZE  36
#define KERNEL_TERMIOS2_SIZE 44

/* libc's headers name these by a structure that they do not define. */
#define TERMIOS2_GET       _IOC(_IOC_READ, 'T', 0x2a, KERNEL_TERMIOS2_SIZE)
#define TERMIOS2_SET       _IOC(_IOC_WRITE, 'T', 0x2b, KERNEL_TERMIOS2_SIZE)
#define TERMIOS2_SET_WAIT  _IOC(_IOC_WRITE, 'T', 0x2c, KERNEL_TERMIOS2_SIZE)
#define TERMIOS2_SET_FLUSH _IOC(_IOC_WRITE, 'T', 0x2d, KERNEL_TERMIOS2_SIZE)

enum arg_kind {
	ARG_NONE, /* ignored, or a plain number */
	ARG_IN,   /* read by the host */
	ARG_OUT,  /* written by the host */
	ARG_INOUT,
};

struct ioctl_known {
	unsigned int request;
	enum arg_kind kind;
	unsigned int size;
};

static const struct ioctl_known known[] = {
	{ FIONREAD, ARG_OUT, sizeof(int) },
	{ FIOQSIZE, ARG_OUT, sizeof(loff_t) },
	{ TIOCOUTQ, ARG_OUT, sizeof(int) },
	{ TCGETS, ARG_OUT, KERNEL_TERMIOS_SIZE },
	{ TCSETS, ARG_IN, KERNEL_TERMIOS_SIZE },
	{ TCSETSW, ARG_IN, KERNEL_TERMIOS_SIZE },
	{ TCSETSF, ARG_IN, KERNEL_TERMIOS_SIZE },
	{ TERMIOS2_GET, ARG_OUT, KERNEL_TERMIOS2_SIZE },
	{ TERMIOS2_SET, ARG_IN, KERNEL_TERMIOS2_SIZE },
	{ TERMIOS2_SET_WAIT, ARG_IN, KERNEL_TERMIOS2_SIZE },
	{ TERMIOS2_SET_FLUSH, ARG_IN, KERNEL_TERMIOS2_SIZE },
	{ TCSBRK, ARG_NONE, 0 },
	{ TCSBRKP, ARG_NONE, 0 },
	{ TIOCSBRK, ARG_NONE, 0 },
	{ TIOCCBRK, ARG_NONE, 0 },
	{ TCXONC, ARG_NONE, 0 },
	{ TCFLSH, ARG_NONE, 0 },
	{ TIOCGWINSZ, ARG_OUT, sizeof(struct winsize) },
	{ TIOCEXCL, ARG_NONE, 0 },
	{ TIOCNXCL, ARG_NONE, 0 },
	{ TIOCGPTN, ARG_OUT, sizeof(int) },
	{ TIOCSPTLCK, ARG_IN, sizeof(int) },
	{ TIOCGPTLCK, ARG_OUT, sizeof(int) },
	{ TIOCPKT, ARG_IN, sizeof(int) },
	{ TIOCGPKT, ARG_OUT, sizeof(int) },
	{ TIOCGEXCL, ARG_OUT, sizeof(int) },
	{ TIOCGETD, ARG_OUT, sizeof(int) },
	{ TIOCGDEV, ARG_OUT, sizeof(unsigned int) },
	{ TIOCMGET, ARG_OUT, sizeof(int) },
	{ FS_IOC_GETFLAGS, ARG_OUT, sizeof(int) },
	{ FS_IOC_SETFLAGS, ARG_IN, sizeof(int) },
	{ FIGETBSZ, ARG_OUT, sizeof(int) },
	{ BLKGETSIZE64, ARG_OUT, sizeof(uint64_t) },
	{ BLKSSZGET, ARG_OUT, sizeof(int) },
	{ SIOCGIFINDEX, ARG_INOUT, sizeof(struct ifreq) },
	{ SIOCGIFFLAGS, ARG_INOUT, sizeof(struct ifreq) },
	{ SIOCGIFADDR, ARG_INOUT, sizeof(struct ifreq) },
	{ SIOCGIFMTU, ARG_INOUT, sizeof(struct ifreq) },
};

static const struct ioctl_known *ioctl_find(unsigned int request)
{
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].request == request)
			return &known[i];
	return NULL;
}

static int64_t ioctl_host(struct task *t, struct gfile *g, const struct ioctl_known *k,
			  uint64_t arg)
{
	char buf[64] = { 0 };
	uint64_t host_arg = k->kind == ARG_NONE ? (uint64_t)(int)arg : (uint64_t)buf;
	int64_t r;

	_Static_assert(sizeof(struct ifreq) <= sizeof(buf), "room for every argument");
	if ((k->kind == ARG_IN || k->kind == ARG_INOUT) && copy_from_user(t, buf, arg, k->size))
		return -EFAULT;
	/* TCSETSW and TCSBRK wait for the terminal. */
	r = host_syscall_blocking(t, SYS_ioctl, (uint64_t)g->host_fd, k->request, host_arg, 0, 0,
				  0);
	if (r >= 0 && (k->kind == ARG_OUT || k->kind == ARG_INOUT) &&
	    copy_to_user(t, arg, buf, k->size))
		return -EFAULT;
	return r == -EINTR ? -ERESTARTSYS_ : r;
}

/* Those that every open file has. */
static int64_t ioctl_flag(struct task *t, struct gfile *g, unsigned int request, uint64_t arg)
{
	int on;

	if (copy_from_user(t, &on, arg, sizeof(on)))
		return -EFAULT;
	if (request == FIOASYNC)
		return gfile_set_async(g, on);
	if (!gfile_is_ours(g))
		return ioctl(g->host_fd, FIONBIO, &on) ? -errno : 0;
	gfile_set_nonblock(g, on);
	return 0;
}

int64_t sys_ioctl(struct task *t, const uint64_t a[6])
{
	unsigned int request = (unsigned int)a[1];
	const struct ioctl_known *k;
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	switch (request) {
	case FIOCLEX:
	case FIONCLEX:
		r = files_set_cloexec(task_files(t), (int)a[0], request == FIOCLEX);
		break;
	case FIOASYNC:
	case FIONBIO:
		r = ioctl_flag(t, g, request, a[2]);
		break;
	case FICLONE:
		r = -EOPNOTSUPP; /* the other file is named by a guest number */
		break;
	case FS_IOC_SETFLAGS:
		if (g->sealed) {
			r = -EPERM;
			break;
		}
		/* fall through */
	default:
		if (g->tty && ctty_ioctl(t, g, request, a[2], &r))
			break;
		if (g->io) {
			r = proc_io_ioctl(t, g, request, a[2]);
			break;
		}
		k = gfile_is_ours(g) ? NULL : ioctl_find(request);
		r = k ? ioctl_host(t, g, k, a[2]) : -ENOTTY;
	}
	gfile_put(g);
	return r;
}
