/* SPDX-License-Identifier: MIT */
/* The calls on POSIX message queues. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/files.h"
#include "guest/mqueue.h"
#include "guest/syscalls.h"

_Static_assert(sizeof(struct mq_attr) == 64, "as the kernel has it");

/* ---- names ----------------------------------------------------------------------- */

/* The C library has taken the leading slash off. @name: MQUEUE_NAME_MAX + 1 bytes. */
static int get_name(struct task *t, uint64_t user, char *name)
{
	char path[PATH_MAX];
	ssize_t n = mm_strncpy_from_guest(t->mm, path, gva_make(user), sizeof(path));

	if (n < 0)
		return (int)n;
	if (!n)
		return -ENOENT;
	if (!strcmp(path, ".") || !strcmp(path, "..") || strchr(path, '/'))
		return -EACCES;
	if (n > MQUEUE_NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(name, path);
	return 0;
}

int64_t sys_mq_open(struct task *t, const uint64_t a[6])
{
	char name[MQUEUE_NAME_MAX + 1];
	struct mq_attr attr;
	int err;

	if (a[3] && copy_from_user(t, &attr, a[3], sizeof(attr)))
		return -EFAULT;
	err = get_name(t, a[0], name);
	return err ? err : mqueue_open_name(t, name, (int)a[1], (mode_t)a[2], a[3] ? &attr : NULL);
}

int64_t sys_mq_unlink(struct task *t, const uint64_t a[6])
{
	char name[MQUEUE_NAME_MAX + 1];
	int err = get_name(t, a[0], name);

	return err ? err : mqueue_unlink(t, name);
}

/* ---- messages --------------------------------------------------------------------- */

/* What the descriptor names, with a reference. */
static int get_queue(struct task *t, uint64_t fd, struct gfile **out)
{
	int err = task_gfile_io(t, (uint32_t)fd, out);

	if (err || (*out)->mq)
		return err;
	gfile_put(*out);
	return -EBADF;
}

static int get_deadline(struct task *t, uint64_t user, struct timespec *ts)
{
	if (!user)
		return 0;
	if (copy_from_user(t, ts, user, sizeof(*ts)))
		return -EFAULT;
	return ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= 1000000000 ? -EINVAL : 0;
}

int64_t sys_mq_timedsend(struct task *t, const uint64_t a[6])
{
	struct message *m = NULL;
	struct timespec ts;
	struct gfile *g;
	int err = get_deadline(t, a[4], &ts);

	if (!err && (uint32_t)a[3] >= MQUEUE_PRIO_MAX)
		err = -EINVAL;
	if (!err)
		err = get_queue(t, a[0], &g);
	if (err)
		return err;
	if (!gfile_writable(g))
		err = -EBADF;
	else if (a[2] > (uint64_t)g->mq->q->message_size)
		err = -EMSGSIZE;
	else
		err = message_load(t, a[1], a[2], &m);
	if (!err) {
		m->type = (long)(uint32_t)a[3];
		err = mqueue_send(t, g->mq->q, m, !(gfile_flags(g) & O_NONBLOCK),
				  a[4] ? &ts : NULL);
	}
	if (err)
		free(m);
	gfile_put(g);
	return err;
}

int64_t sys_mq_timedreceive(struct task *t, const uint64_t a[6])
{
	struct message *m = NULL;
	struct timespec ts;
	uint32_t priority;
	struct gfile *g;
	int64_t ret = get_deadline(t, a[4], &ts);

	if (!ret)
		ret = get_queue(t, a[0], &g);
	if (ret)
		return ret;
	if (!gfile_readable(g))
		ret = -EBADF;
	else if (a[2] < (uint64_t)g->mq->q->message_size)
		ret = -EMSGSIZE;
	else
		ret = mqueue_receive(t, g->mq->q, &m, !(gfile_flags(g) & O_NONBLOCK),
				     a[4] ? &ts : NULL);
	gfile_put(g);
	if (ret)
		return ret;
	priority = (uint32_t)m->type;
	ret = (int64_t)m->len;
	if ((a[3] && copy_to_user(t, a[3], &priority, sizeof(priority))) ||
	    copy_to_user(t, a[1], m->data, m->len))
		ret = -EFAULT;
	free(m);
	return ret;
}

/* ---- notices and attributes ---------------------------------------------------------- */

/* Lock held. @ev NULL: no more notices. */
static int set_notify(struct task *t, struct mqueue *q, const struct sigevent *ev)
{
	if (!ev) {
		if (q->notify.pid == t->proc->pid)
			q->notify.pid = 0;
		return 0;
	}
	if (q->notify.pid)
		return -EBUSY;
	q->notify = (struct mqueue_notify){ .pid = t->proc->pid,
					    .files = t->files,
					    .how = ev->sigev_notify,
					    .signo = ev->sigev_signo,
					    .value = (uintptr_t)ev->sigev_value.sival_ptr };
	return 0;
}

/* SIGEV_THREAD is told through a netlink socket of the kernel's: there is none here. */
static int check_event(const struct sigevent *ev)
{
	switch (ev->sigev_notify) {
	case SIGEV_NONE:
		return 0;
	case SIGEV_SIGNAL:
		return ev->sigev_signo < 0 || ev->sigev_signo > GUEST_NSIG ? -EINVAL : 0;
	case SIGEV_THREAD:
		return -ENOSYS;
	default:
		return -EINVAL;
	}
}

int64_t sys_mq_notify(struct task *t, const uint64_t a[6])
{
	struct sigevent ev;
	struct gfile *g;
	int err = 0;

	if (a[1]) {
		if (copy_from_user(t, &ev, a[1], sizeof(ev)))
			return -EFAULT;
		err = check_event(&ev);
	}
	if (!err)
		err = get_queue(t, a[0], &g);
	if (err)
		return err;
	pthread_mutex_lock(&t->g->ipc->lock);
	err = set_notify(t, g->mq->q, a[1] ? &ev : NULL);
	pthread_mutex_unlock(&t->g->ipc->lock);
	gfile_put(g);
	return err;
}

int64_t sys_mq_getsetattr(struct task *t, const uint64_t a[6])
{
	struct mq_attr new, old = { 0 };
	struct gfile *g;
	int err;

	if (a[1]) {
		if (copy_from_user(t, &new, a[1], sizeof(new)))
			return -EFAULT;
		if (new.mq_flags & ~(long)O_NONBLOCK)
			return -EINVAL;
	}
	err = get_queue(t, a[0], &g);
	if (err)
		return err;
	pthread_mutex_lock(&t->g->ipc->lock);
	old.mq_flags = gfile_flags(g) & O_NONBLOCK;
	old.mq_maxmsg = g->mq->q->max_messages;
	old.mq_msgsize = g->mq->q->message_size;
	old.mq_curmsgs = g->mq->q->nr;
	if (a[1])
		gfile_set_nonblock(g, new.mq_flags &O_NONBLOCK);
	pthread_mutex_unlock(&t->g->ipc->lock);
	gfile_put(g);
	return a[2] && copy_to_user(t, a[2], &old, sizeof(old)) ? -EFAULT : 0;
}
