/* SPDX-License-Identifier: MIT */
/* signalfd(): see guest/signalfd.h. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/files.h"
#include "guest/signalfd.h"
#include "guest/syscalls.h"

#define NEVER (SIGSET_BIT(SIGKILL) | SIGSET_BIT(SIGSTOP))

struct signalfd {
	struct list_head link; /* guest->signalfds */
	struct guest *g;
	guest_sigset_t set;
	int32_t pid; /* whose signals it rings for */
	int host_fd; /* the gfile's, which outlives this */
	bool rings;
};

/* Is there anything of the set for the process? Lock held. */
static bool anything_pending(const struct proc *p, guest_sigset_t set)
{
	const struct task *t;

	if (p->pending.set & set)
		return true;
	list_for_each_entry(t, &p->tasks, link) if (t->pending.set & set) return true;
	return false;
}

static void ring(struct signalfd *s, bool on)
{
	eventfd_t value;

	if (s->rings == on)
		return;
	s->rings = on;
	if (on)
		eventfd_write(s->host_fd, 1);
	else
		eventfd_read(s->host_fd, &value);
}

void signalfds_update(struct proc *p)
{
	struct signalfd *s;

	list_for_each_entry(s, &p->g->signalfds, link) if (s->pid == p->pid)
		ring(s, anything_pending(p, s->set));
}

void signalfd_free(struct signalfd *s)
{
	guest_lock(s->g);
	list_del(&s->link);
	guest_unlock(s->g);
	free(s);
}

/* ---- reading ------------------------------------------------------------ */

static void describe(const siginfo_t *info, struct signalfd_siginfo *out)
{
	memset(out, 0, sizeof(*out));
	out->ssi_signo = (uint32_t)info->si_signo;
	out->ssi_errno = info->si_errno;
	out->ssi_code = info->si_code;
	switch (info->si_signo) {
	case SIGCHLD:
		out->ssi_pid = (uint32_t)info->si_pid;
		out->ssi_uid = info->si_uid;
		out->ssi_status = info->si_status;
		out->ssi_utime = (uint64_t)info->si_utime;
		out->ssi_stime = (uint64_t)info->si_stime;
		return;
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
		if (info->si_code <= 0)
			break;
		out->ssi_addr = (uintptr_t)info->si_addr;
		return;
	}
	if (info->si_code == SI_TIMER) {
		out->ssi_tid = (uint32_t)info->si_timerid;
		out->ssi_overrun = (uint32_t)info->si_overrun;
	} else {
		out->ssi_pid = (uint32_t)info->si_pid;
		out->ssi_uid = info->si_uid;
	}
	out->ssi_ptr = (uintptr_t)info->si_ptr;
	out->ssi_int = info->si_int;
}

/* Up to @max entries that wait just now. */
static size_t take(struct task *t, struct signalfd *s, struct signalfd_siginfo *out, size_t max)
{
	siginfo_t info;
	size_t nr = 0;

	guest_lock(t->g);
	s->pid = t->proc->pid;
	while (nr < max && signal_dequeue(t, s->set, &info))
		describe(&info, &out[nr++]);
	task_recalc_work(t);
	signalfds_update(t->proc);
	guest_unlock(t->g);
	return nr;
}

/* Another thread's signal rings, too, so the wait also looks after a while. */
#define LOOK_AGAIN_MS 50

static int wait_ring(struct task *t, struct signalfd *s)
{
	struct pollfd p = { s->host_fd, POLLIN, 0 };
	struct timespec ts = { 0, LOOK_AGAIN_MS * 1000000L };
	bool early;
	int64_t n;

	guest_lock(t->g);
	early = s->rings && !((t->pending.set | t->proc->pending.set) & s->set);
	guest_unlock(t->g);
	n = host_syscall_blocking(t, SYS_ppoll, (uint64_t)&p, early ? 0 : 1,
				  early ? (uint64_t)&ts : 0, 0, 0, 0);
	return n == -EINTR ? -ERESTARTSYS_ : n < 0 ? (int)n : 0;
}

#define BATCH 32

int64_t signalfd_read(struct task *t, struct gfile *g, const struct guest_iov *iov)
{
	struct signalfd_siginfo out[BATCH];
	struct guest_iov_pos at = { 0, 0 };
	size_t max = iov->total / sizeof(out[0]), fit, nr, n;
	int err;

	if (!max)
		return -EINVAL;
	max = max < BATCH ? max : BATCH;
	/* One is lost where it cannot be stored; none after it. */
	fit = guest_iov_room(t, iov) / sizeof(out[0]);
	max = max <= fit ? max : fit + 1;
	while (!(nr = take(t, g->signalfd, out, max))) {
		if (gfile_flags(g) & O_NONBLOCK)
			return -EAGAIN;
		err = wait_ring(t, g->signalfd);
		if (err)
			return err;
	}
	n = guest_iov_fill(t, iov, &at, out, nr * sizeof(out[0])) / sizeof(out[0]);
	return n ? (int64_t)(n * sizeof(out[0])) : -EFAULT;
}

/* ---- making ------------------------------------------------------------- */

static int64_t signalfd_make(struct task *t, guest_sigset_t set, int flags)
{
	struct signalfd *s = calloc(1, sizeof(*s));
	struct gfile *g;
	int err;

	if (!s)
		return -ENOMEM;
	s->g = t->g;
	s->set = set;
	s->pid = t->proc->pid;
	s->host_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = s->host_fd < 0 ? -errno : gfile_create(guest_filemaps(t->g), s->host_fd, O_RDWR, &g);
	if (err) {
		free(s);
		return err;
	}
	guest_lock(t->g);
	list_add_tail(&s->link, &t->g->signalfds);
	g->signalfd = s;
	gfile_set_nonblock(g, flags & SFD_NONBLOCK);
	signalfds_update(t->proc);
	guest_unlock(t->g);
	return files_install(t, g, flags & SFD_CLOEXEC);
}

static int64_t signalfd_change(struct task *t, int fd, guest_sigset_t set)
{
	struct gfile *g;
	int err = task_gfile_io(t, (uint64_t)fd, &g);

	if (err)
		return err;
	if (g->signalfd) {
		guest_lock(t->g);
		g->signalfd->set = set;
		g->signalfd->pid = t->proc->pid;
		signalfds_update(t->proc);
		guest_unlock(t->g);
	}
	err = g->signalfd ? fd : -EINVAL;
	gfile_put(g);
	return err;
}

int64_t sys_signalfd4(struct task *t, const uint64_t a[6])
{
	guest_sigset_t set;

	if (a[2] != sizeof(set))
		return -EINVAL;
	if (copy_from_user(t, &set, a[1], sizeof(set)))
		return -EFAULT;
	if (a[3] & ~(uint64_t)(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	set &= ~NEVER;
	return (int)a[0] == -1 ? signalfd_make(t, set, (int)a[3])
			       : signalfd_change(t, (int)a[0], set);
}

int64_t sys_signalfd(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = { a[0], a[1], a[2], 0 };

	return sys_signalfd4(t, b);
}
