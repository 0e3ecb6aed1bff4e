/* SPDX-License-Identifier: MIT */
/* epoll: the host's, on host descriptors; the program's data passes through. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "guest/file_rw.h"
#include "guest/syscalls.h"
#include "guest/task.h"
#include "guest/wait_time.h"

/* Events fetched by one call at most; more come with the next. */
#define EPOLL_BATCH 256

static int64_t create(struct task *t, int flags)
{
	int fd = epoll_create1(flags | EPOLL_CLOEXEC);

	return fd < 0 ? -errno : files_install_host(t, fd, flags & EPOLL_CLOEXEC);
}

int64_t sys_epoll_create(struct task *t, const uint64_t a[6])
{
	return (int)a[0] <= 0 ? -EINVAL : create(t, 0);
}

int64_t sys_epoll_create1(struct task *t, const uint64_t a[6])
{
	return a[0] & ~(uint64_t)EPOLL_CLOEXEC ? -EINVAL : create(t, (int)a[0]);
}

int64_t sys_epoll_ctl(struct task *t, const uint64_t a[6])
{
	struct epoll_event ev = { .events = 0 };
	struct gfile *ep, *g;
	int64_t r;

	if ((int)a[1] != EPOLL_CTL_DEL && copy_from_user(t, &ev, a[3], sizeof(ev)))
		return -EFAULT;
	r = task_gfile_io(t, a[0], &ep);
	if (r)
		return r;
	r = task_gfile_io(t, a[2], &g);
	if (!r) {
		r = epoll_ctl(ep->host_fd, (int)a[1], g->host_fd, &ev) ? -errno : 0;
		gfile_put(g);
	}
	gfile_put(ep);
	return r;
}

/* Until there are events; they stay where they are. */
static int64_t await_events(struct task *t, const struct gfile *ep, uint64_t deadline)
{
	struct pollfd p = { .fd = ep->host_fd, .events = POLLIN };
	struct timespec ts;

	return host_syscall_blocking(t, SYS_ppoll, (uint64_t)&p, 1,
				     (uint64_t)wait_time_left(deadline, &ts), 0, 0, 0);
}

/* Up to @max events, of which the program's memory takes @room: what is not told must stay. */
static int64_t take_events(struct task *t, const struct gfile *ep, struct epoll_event *ev,
			   size_t max, size_t room, uint64_t deadline)
{
	struct timespec ts;
	int64_t n;

	if (!room) {
		n = await_events(t, ep, deadline);
		return n > 0 ? -EFAULT : n;
	}
	return host_syscall_blocking(t, SYS_epoll_pwait2, (uint64_t)ep->host_fd, (uint64_t)ev,
				     max < room ? max : room,
				     (uint64_t)wait_time_left(deadline, &ts), 0, 8);
}

static int64_t do_wait(struct task *t, uint64_t epfd, uint64_t user_events, int max,
		       uint64_t deadline)
{
	struct epoll_event ev[EPOLL_BATCH];
	struct gfile *ep;
	size_t room;
	int64_t n;

	if (max <= 0 || max > (int)(INT32_MAX / sizeof(struct epoll_event)))
		return -EINVAL;
	if (!guest_range_ok(user_events, (uint64_t)max * sizeof(*ev)))
		return -EFAULT;
	n = task_gfile_io(t, epfd, &ep);
	if (n)
		return n;
	max = max < EPOLL_BATCH ? max : EPOLL_BATCH;
	room = mm_writable_span(task_mm(t), gva_make(user_events), (size_t)max * sizeof(*ev)) /
	       sizeof(*ev);
	n = take_events(t, ep, ev, (size_t)max, room, deadline);
	gfile_put(ep);
	if (n > 0 && copy_to_user(t, user_events, ev, (size_t)n * sizeof(*ev)))
		return -EFAULT;
	return n;
}

/*
 * Linux ends epoll_wait() with EINTR for any signal. A kick of ours that is no
 * signal must not show, so the wait goes on when no handler has run.
 */
static int64_t wait_restart(struct task *t, const uint64_t args[6])
{
	int64_t n = do_wait(t, args[0], args[1], (int)args[2], args[3]);

	if (n != -EINTR)
		return n;
	t->restart.fn = wait_restart;
	memcpy(t->restart.args, args, sizeof(t->restart.args));
	return -ERESTARTBLOCK_;
}

int64_t sys_epoll_wait(struct task *t, const uint64_t a[6])
{
	const uint64_t args[6] = { a[0], a[1], a[2], wait_deadline_ms((int)a[3]) };

	return wait_restart(t, args);
}

/*
 * With a mask: begun anew from the system call itself, which sets the mask
 * again. The time counts from the start then.
 */
static int64_t wait_masked(struct task *t, const uint64_t args[6], uint64_t set, uint64_t size)
{
	int64_t n;

	if (!set)
		return wait_restart(t, args);
	n = wait_set_mask(t, set, size);
	if (!n)
		n = do_wait(t, args[0], args[1], (int)args[2], args[3]);
	return n == -EINTR ? -ERESTARTNOHAND_ : n;
}

int64_t sys_epoll_pwait(struct task *t, const uint64_t a[6])
{
	const uint64_t args[6] = { a[0], a[1], a[2], wait_deadline_ms((int)a[3]) };

	return wait_masked(t, args, a[4], a[5]);
}

int64_t sys_epoll_pwait2(struct task *t, const uint64_t a[6])
{
	uint64_t args[6] = { a[0], a[1], a[2] };
	int r = wait_deadline_user(t, a[3], &args[3]);

	return r ? r : wait_masked(t, args, a[4], a[5]);
}
