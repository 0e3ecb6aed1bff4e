/* SPDX-License-Identifier: MIT */
/*
 * poll and select. Both become the host's ppoll() on host descriptors: select()
 * by a list of the descriptors in its sets. A call that was interrupted without
 * a handler having run goes on with the time that is left.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "guest/files.h"
#include "guest/syscalls.h"
#include "guest/task.h"
#include "guest/wait_time.h"

#define POLL_ON_STACK 32

/* ---- host descriptors for a list of guest ones ------------------------------- */

struct poll_list {
	struct pollfd *host;
	struct gfile **held;
	unsigned int nr, nr_bad; /* bad: no such descriptor, POLLNVAL */
};

static int poll_list_make(struct task *t, const struct pollfd *guest, unsigned int nr,
			  struct poll_list *l)
{
	unsigned int i;

	l->nr = nr;
	l->nr_bad = 0;
	l->host = calloc(nr + 1, sizeof(*l->host));
	l->held = calloc(nr + 1, sizeof(struct gfile *));
	if (!l->host || !l->held) {
		free(l->host);
		free(l->held);
		return -ENOMEM;
	}
	for (i = 0; i < nr; i++) {
		l->host[i] = (struct pollfd){ -1, guest[i].events, 0 };
		if (guest[i].fd < 0)
			continue;
		l->held[i] = files_lookup(task_files(t), guest[i].fd);
		if (l->held[i])
			l->host[i].fd = l->held[i]->host_fd;
		else
			l->nr_bad++;
	}
	return 0;
}

static void poll_list_free(struct poll_list *l)
{
	unsigned int i;

	for (i = 0; i < l->nr; i++)
		gfile_put(l->held[i]);
	free(l->host);
	free(l->held);
}

/* revents of all into @guest. How many have some, or -errno of the wait. */
static int64_t poll_wait(struct task *t, struct pollfd *guest, unsigned int nr, uint64_t deadline)
{
	struct timespec ts, *limit;
	struct poll_list l;
	unsigned int i;
	int64_t n;

	n = poll_list_make(t, guest, nr, &l);
	if (n)
		return n;
	/* With an answer at hand, only look. */
	limit = wait_time_left(l.nr_bad ? 0 : deadline, &ts);
	n = host_syscall_blocking(t, SYS_ppoll, (uint64_t)l.host, nr, (uint64_t)limit, 0, 8, 0);
	if (n >= 0) {
		n += l.nr_bad;
		for (i = 0; i < nr; i++)
			guest[i].revents = guest[i].fd >= 0 && !l.held[i] ? POLLNVAL
									  : l.host[i].revents;
	}
	poll_list_free(&l);
	return n;
}

/* ---- poll --------------------------------------------------------------------- */

static int64_t do_poll(struct task *t, uint64_t user_fds, uint64_t nr, uint64_t deadline)
{
	struct pollfd few[POLL_ON_STACK], *fds = few;
	unsigned int i;
	int64_t n;

	if (nr > task_rlimit(t, RLIMIT_NOFILE) || nr > INT32_MAX)
		return -EINVAL;
	if (nr > POLL_ON_STACK) {
		fds = calloc(nr, sizeof(*fds));
		if (!fds)
			return -ENOMEM;
	}
	n = copy_from_user(t, fds, user_fds, nr * sizeof(*fds));
	if (!n)
		n = poll_wait(t, fds, (unsigned int)nr, deadline);
	for (i = 0; n >= 0 && i < nr; i++)
		if (copy_to_user(t, user_fds + i * sizeof(*fds) + offsetof(struct pollfd, revents),
				 &fds[i].revents, sizeof(fds[i].revents)))
			n = -EFAULT;
	if (fds != few)
		free(fds);
	return n;
}

static int64_t poll_restart(struct task *t, const uint64_t args[6])
{
	int64_t n = do_poll(t, args[0], args[1], args[2]);

	if (n != -EINTR)
		return n;
	t->restart.fn = poll_restart;
	memcpy(t->restart.args, args, sizeof(t->restart.args));
	return -ERESTARTBLOCK_;
}

int64_t sys_poll(struct task *t, const uint64_t a[6])
{
	const uint64_t args[6] = { a[0], (unsigned int)a[1], wait_deadline_ms((int)a[2]) };

	return poll_restart(t, args);
}

/* The mask of ppoll() and its relatives; a null pointer leaves the mask alone. */
int wait_set_mask(struct task *t, uint64_t user_set, uint64_t size)
{
	guest_sigset_t set;

	if (!user_set)
		return 0;
	if (size != sizeof(set))
		return -EINVAL;
	if (copy_from_user(t, &set, user_set, sizeof(set)))
		return -EFAULT;
	task_set_temporary_mask(t, set);
	return 0;
}

/* Tell the program what is left of its time; a restart then waits for that. */
static int64_t finish_wait(struct task *t, uint64_t user_ts, uint64_t deadline, int64_t n)
{
	struct timespec ts;

	if (user_ts && wait_time_left(deadline, &ts) && copy_to_user(t, user_ts, &ts, sizeof(ts)) &&
	    n == -EINTR)
		return -EINTR;
	return n == -EINTR ? -ERESTARTNOHAND_ : n;
}

int64_t sys_ppoll(struct task *t, const uint64_t a[6])
{
	uint64_t deadline;
	int64_t r = wait_deadline_user(t, a[2], &deadline);

	if (!r)
		r = wait_set_mask(t, a[3], a[4]);
	if (r)
		return r;
	return finish_wait(t, a[2], deadline, do_poll(t, a[0], (unsigned int)a[1], deadline));
}

/* ---- select ------------------------------------------------------------------- */

/* What Linux counts as readable, writable, exceptional. */
#define SET_IN  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SET_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SET_EX  POLLPRI

struct select_sets {
	unsigned int nr;  /* descriptors */
	size_t bytes;     /* of each set */
	uint64_t user[3]; /* in, out, exceptional; 0: none */
	uint8_t *bits[3];
};

static const short select_events[3] = { SET_IN, SET_OUT, SET_EX };

static bool set_test(const uint8_t *set, unsigned int fd)
{
	return set[fd / 8] & (1u << (fd % 8));
}

static void sets_free(struct select_sets *s)
{
	free(s->bits[0]);
	free(s->bits[1]);
	free(s->bits[2]);
}

static int sets_load(struct task *t, struct select_sets *s)
{
	int i, r = 0;

	for (i = 0; i < 3; i++) {
		s->bits[i] = calloc(1, s->bytes + 8);
		if (!s->bits[i])
			r = -ENOMEM;
	}
	for (i = 0; !r && i < 3; i++)
		if (s->user[i])
			r = copy_from_user(t, s->bits[i], s->user[i], s->bytes);
	return r;
}

/* The descriptors in any set, as a list for poll. */
static unsigned int sets_to_list(const struct select_sets *s, struct pollfd *fds)
{
	unsigned int fd, i, nr = 0;
	short events;

	for (fd = 0; fd < s->nr; fd++) {
		events = 0;
		for (i = 0; i < 3; i++)
			if (set_test(s->bits[i], fd))
				events |= select_events[i];
		if (events)
			fds[nr++] = (struct pollfd){ (int)fd, events, 0 };
	}
	return nr;
}

/* Sets from the answers; the number of bits set, -EBADF. */
static int64_t list_to_sets(struct select_sets *s, const struct pollfd *fds, unsigned int nr)
{
	int64_t count = 0;
	unsigned int i, k;
	bool was;

	for (k = 0; k < nr; k++)
		if (fds[k].revents & POLLNVAL)
			return -EBADF;
	for (k = 0; k < nr; k++) {
		for (i = 0; i < 3; i++) {
			was = set_test(s->bits[i], (unsigned int)fds[k].fd);
			if (was && (fds[k].revents & select_events[i]))
				count++;
			else
				s->bits[i][fds[k].fd / 8] &= (uint8_t) ~(1u << (fds[k].fd % 8));
		}
	}
	return count;
}

static int64_t do_select(struct task *t, int nr, const uint64_t user[3], uint64_t deadline)
{
	struct select_sets s = { .user = { user[0], user[1], user[2] } };
	struct pollfd *fds = NULL;
	unsigned int in_use;
	int64_t n;
	int i;

	if (nr < 0)
		return -EINVAL;
	/* Descriptors that the table has no room for are ignored, as Linux does. */
	s.nr = files_size(task_files(t));
	s.nr = (unsigned int)nr < s.nr ? (unsigned int)nr : s.nr;
	s.bytes = (s.nr + 63) / 64 * 8;
	n = sets_load(t, &s);
	if (!n) {
		fds = calloc(s.nr + 1, sizeof(*fds));
		n = fds ? 0 : -ENOMEM;
	}
	if (n)
		goto out;
	in_use = sets_to_list(&s, fds);
	n = poll_wait(t, fds, in_use, deadline);
	if (n >= 0)
		n = list_to_sets(&s, fds, in_use);
	for (i = 0; n >= 0 && i < 3; i++)
		if (s.user[i] && copy_to_user(t, s.user[i], s.bits[i], s.bytes))
			n = -EFAULT;
out:
	free(fds);
	sets_free(&s);
	return n;
}

int64_t sys_select(struct task *t, const uint64_t a[6])
{
	uint64_t deadline = WAIT_FOREVER;
	struct timespec ts;
	struct timeval tv;
	int64_t n;

	if (a[4]) {
		if (copy_from_user(t, &tv, a[4], sizeof(tv)))
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		ts = (struct timespec){ tv.tv_sec + tv.tv_usec / 1000000,
					tv.tv_usec % 1000000 * 1000 };
		deadline = wait_deadline(&ts);
	}
	n = do_select(t, (int)a[0], a + 1, deadline);
	if (a[4] && wait_time_left(deadline, &ts)) {
		tv = (struct timeval){ ts.tv_sec, ts.tv_nsec / 1000 };
		if (copy_to_user(t, a[4], &tv, sizeof(tv)) && n == -EINTR)
			return -EINTR;
	}
	return n == -EINTR ? -ERESTARTNOHAND_ : n;
}

int64_t sys_pselect6(struct task *t, const uint64_t a[6])
{
	uint64_t deadline, mask[2] = { 0, 0 };
	int64_t r = wait_deadline_user(t, a[4], &deadline);

	if (!r && a[5])
		r = copy_from_user(t, mask, a[5], sizeof(mask));
	if (!r)
		r = wait_set_mask(t, mask[0], mask[1]);
	if (r)
		return r;
	return finish_wait(t, a[4], deadline, do_select(t, (int)a[0], a + 1, deadline));
}
