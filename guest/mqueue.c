/* SPDX-License-Identifier: MIT */
/* POSIX message queues as things with a name: guest/mqueue.h has the design. */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "guest/files.h"
#include "guest/fs.h"
#include "guest/mqueue.h"
#include "guest/procfs.h"

/* What Linux keeps for a message and for a priority beside the bytes (6.12, 64 bits). */
#define MESSAGE_OVERHEAD  48u
#define PRIORITY_OVERHEAD 48u

#define FULL_VALUE (UINT64_MAX - 1) /* the highest that an eventfd has: not writable */
#define TEXT_MAX   80

void mqueue_limits_init(struct ipc *ipc)
{
	list_init(&ipc->mqueues);
	ipc->mq_queues_max = 256;
	ipc->mq_msg_max = ipc->mq_msg_default = 10;
	ipc->mq_msgsize_max = ipc->mq_msgsize_default = 8192;
}

/* ---- queues; lock held ------------------------------------------------------------ */

static struct mqueue *find_name(struct ipc *ipc, const char *name)
{
	struct mqueue *q;

	list_for_each_entry(q, &ipc->mqueues,
			    link) if (!q->unlinked && !strcmp(q->name, name)) return q;
	return NULL;
}

static uint64_t charged_to(struct ipc *ipc, uid_t uid)
{
	uint64_t sum = 0;
	struct mqueue *q;

	list_for_each_entry(q, &ipc->mqueues, link) if (q->charged == uid) sum += q->charge;
	return sum;
}

static unsigned int count_queues(struct ipc *ipc)
{
	struct mqueue *q;
	unsigned int nr = 0;

	list_for_each_entry(q, &ipc->mqueues, link) nr++;
	return nr;
}

/* The sizes of a new queue, and what they cost. -EINVAL, -EOVERFLOW, -EMFILE. */
static int set_sizes(struct task *t, struct ipc *ipc, struct mqueue *q, const struct mq_attr *attr)
{
	bool raise = creds_capable(CAP_SYS_RESOURCE);
	uint64_t nr, size, overhead;

	q->max_messages = attr                                    ? attr->mq_maxmsg
			  : ipc->mq_msg_default < ipc->mq_msg_max ? ipc->mq_msg_default
								  : ipc->mq_msg_max;
	q->message_size = attr                                            ? attr->mq_msgsize
			  : ipc->mq_msgsize_default < ipc->mq_msgsize_max ? ipc->mq_msgsize_default
									  : ipc->mq_msgsize_max;
	if (q->max_messages <= 0 || q->message_size <= 0)
		return -EINVAL;
	if (q->max_messages > (raise ? MQUEUE_HARD_MESSAGES : ipc->mq_msg_max) ||
	    q->message_size > (raise ? MQUEUE_HARD_SIZE : ipc->mq_msgsize_max))
		return -EINVAL;
	nr = (uint64_t)q->max_messages;
	size = (uint64_t)q->message_size;
	overhead = nr * MESSAGE_OVERHEAD;
	overhead += (nr < MQUEUE_PRIO_MAX ? nr : MQUEUE_PRIO_MAX) * PRIORITY_OVERHEAD;
	q->charge = nr * size + overhead;
	q->charged = getuid();
	if (charged_to(ipc, q->charged) + q->charge > task_rlimit(t, RLIMIT_MSGQUEUE))
		return -EMFILE;
	return 0;
}

static int make_queue(struct task *t, const char *name, mode_t mode, const struct mq_attr *attr,
		      struct mqueue **out)
{
	struct ipc *ipc = t->g->ipc;
	struct mqueue *q;
	int err;

	/* Linux compares without a sign: a negative limit is none. */
	if (count_queues(ipc) >= (unsigned int)ipc->mq_queues_max &&
	    !creds_capable(CAP_SYS_RESOURCE))
		return -ENOSPC;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	err = set_sizes(t, ipc, q, attr);
	if (err) {
		free(q);
		return err;
	}
	q->ipc = ipc;
	clock_gettime(CLOCK_REALTIME, &q->made);
	strcpy(q->name, name);
	q->mode = mode & 0777 & ~fs_umask(task_fs(t));
	q->uid = geteuid();
	q->gid = getegid();
	list_init(&q->messages);
	list_init(&q->senders);
	list_init(&q->receivers);
	list_init(&q->opens);
	list_add_tail(&q->link, &ipc->mqueues);
	*out = q;
	return 0;
}

static void free_if_gone(struct mqueue *q)
{
	if (!q->unlinked || !list_empty(&q->opens))
		return;
	list_del(&q->link);
	message_list_free(&q->messages);
	free(q);
}

static int find_or_make(struct task *t, const char *name, int flags, mode_t mode,
			const struct mq_attr *attr, struct mqueue **out)
{
	*out = find_name(t->g->ipc, name);
	if (!*out)
		return flags & O_CREAT ? make_queue(t, name, mode, attr, out) : -ENOENT;
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	return creds_allowed((*out)->mode, (*out)->uid, (*out)->gid, creds_wanted(flags)) ? 0
											  : -EACCES;
}

/* ---- what poll() finds; lock held ---------------------------------------------------- */

static void set_event(int fd, enum mqueue_fill fill)
{
	const uint64_t values[] = { 0, 1, FULL_VALUE };
	struct iovec iov = { &(uint64_t){ 0 }, sizeof(uint64_t) };

	/* Never blocks, whatever others with the same host descriptor did to it. */
	(void)!preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
	if (fill != MQUEUE_EMPTY)
		eventfd_write(fd, values[fill]);
}

void mqueue_ring(struct mqueue *q)
{
	enum mqueue_fill now = !q->nr                     ? MQUEUE_EMPTY
			       : q->nr >= q->max_messages ? MQUEUE_FULL
							  : MQUEUE_SOME;
	struct mqueue_open *o;

	if (now == q->fill)
		return;
	q->fill = now;
	list_for_each_entry(o, &q->opens, link) set_event(o->host_fd, now);
}

/* ---- opening and closing ---------------------------------------------------------------- */

static int open_file(struct task *t, int flags, struct gfile **out)
{
	struct mqueue_open *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->host_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = o->host_fd < 0
		      ? -errno
		      : gfile_create(guest_filemaps(t->g), o->host_fd, flags & O_ACCMODE, out);
	if (err) {
		free(o);
		return err;
	}
	list_init(&o->link);
	(*out)->mq = o;
	gfile_set_nonblock(*out, flags & O_NONBLOCK);
	return 0;
}

int mqueue_open_name(struct task *t, const char *name, int flags, mode_t mode,
		     const struct mq_attr *attr)
{
	struct ipc *ipc = t->g->ipc;
	int fd = files_reserve(t, 0), err;
	struct mqueue *q;
	struct gfile *g;

	if (fd < 0)
		return fd;
	err = open_file(t, flags, &g);
	if (err)
		goto out;
	pthread_mutex_lock(&ipc->lock);
	err = find_or_make(t, name, flags, mode, attr, &q);
	if (!err) {
		g->mq->q = q;
		list_add_tail(&g->mq->link, &q->opens);
		set_event(g->mq->host_fd, q->fill);
	}
	pthread_mutex_unlock(&ipc->lock);
	if (!err) {
		files_publish(task_files(t), fd, g, true);
		return fd;
	}
	gfile_put(g);
out:
	files_unreserve(task_files(t), fd);
	return err;
}

void mqueue_close(struct mqueue_open *o)
{
	struct ipc *ipc = o->q ? o->q->ipc : NULL;

	if (ipc) {
		pthread_mutex_lock(&ipc->lock);
		list_del(&o->link);
		free_if_gone(o->q);
		pthread_mutex_unlock(&ipc->lock);
	}
	free(o);
}

int mqueue_unlink(struct task *t, const char *name)
{
	struct ipc *ipc = t->g->ipc;
	struct mqueue *q;
	int err = 0;

	pthread_mutex_lock(&ipc->lock);
	q = find_name(ipc, name);
	if (!q)
		err = -ENOENT;
	else if (geteuid() != q->uid && !creds_capable(CAP_FOWNER))
		err = -EPERM; /* the folder that Linux has them in is sticky */
	if (!err) {
		q->unlinked = true;
		free_if_gone(q);
	}
	pthread_mutex_unlock(&ipc->lock);
	return err;
}

void mqueue_flush(struct mqueue_open *o, const struct files *files)
{
	struct mqueue *q = o->q;

	pthread_mutex_lock(&q->ipc->lock);
	if (q->notify.pid && q->notify.files == files)
		q->notify.pid = 0;
	pthread_mutex_unlock(&q->ipc->lock);
}

void mqueue_proc_ended(struct ipc *ipc, int32_t pid)
{
	struct mqueue *q;

	pthread_mutex_lock(&ipc->lock);
	list_for_each_entry(q, &ipc->mqueues, link) if (q->notify.pid == pid) q->notify.pid = 0;
	pthread_mutex_unlock(&ipc->lock);
}

void mqueue_free_all(struct ipc *ipc)
{
	struct mqueue *q, *tmp;

	list_for_each_entry_safe(q, tmp, &ipc->mqueues, link)
	{
		list_del(&q->link);
		message_list_free(&q->messages);
		free(q);
	}
}

void mqueue_stat(const struct mqueue_open *o, struct stat *st)
{
	struct mqueue *q = o->q;

	memset(st, 0, sizeof(*st));
	pthread_mutex_lock(&q->ipc->lock);
	st->st_mode = S_IFREG | q->mode;
	st->st_nlink = !q->unlinked;
	st->st_uid = q->uid;
	st->st_gid = q->gid;
	pthread_mutex_unlock(&q->ipc->lock);
	st->st_dev = makedev(0, MQUEUE_DEV);
	st->st_ino = procfs_inode(q->name);
	st->st_size = MQUEUE_TEXT_SIZE;
	st->st_blksize = UMM_PAGE_SIZE;
	st->st_atim = st->st_mtim = st->st_ctim = q->made;
}

int64_t mqueue_seek(struct gfile *g, int64_t offset, int whence)
{
	int64_t from = whence == SEEK_CUR   ? (int64_t)g->dir_pos
		       : whence == SEEK_END ? MQUEUE_TEXT_SIZE
					    : 0;

	if (whence < SEEK_SET || whence > SEEK_END || __builtin_add_overflow(from, offset, &from) ||
	    from < 0)
		return -EINVAL;
	g->dir_pos = (uint64_t)from;
	return from;
}

int mqueue_readlink(const struct mqueue_open *o, char *buf, size_t size)
{
	struct mqueue *q = o->q;
	int n;

	pthread_mutex_lock(&q->ipc->lock);
	n = snprintf(buf, size, "/%s%s", q->name, q->unlinked ? " (deleted)" : "");
	pthread_mutex_unlock(&q->ipc->lock);
	return (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int64_t mqueue_read(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos)
{
	struct mqueue *q = g->mq->q;
	struct guest_iov_pos at = { 0, 0 };
	uint64_t from = pos < 0 ? g->dir_pos : (uint64_t)pos;
	char text[TEXT_MAX];
	size_t len, n;

	pthread_mutex_lock(&q->ipc->lock);
	len = (size_t)snprintf(text, sizeof(text),
			       "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
			       (unsigned long long)q->bytes, q->notify.pid ? q->notify.how : 0,
			       q->notify.pid && q->notify.how == SIGEV_SIGNAL ? q->notify.signo : 0,
			       q->notify.pid);
	pthread_mutex_unlock(&q->ipc->lock);
	if (from >= len)
		return 0;
	n = len - from < iov->total ? len - from : iov->total;
	n = guest_iov_fill(t, iov, &at, text + from, n);
	if (!n && iov->total)
		return -EFAULT;
	if (pos < 0)
		g->dir_pos = from + n;
	return (int64_t)n;
}
