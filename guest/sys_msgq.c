/* SPDX-License-Identifier: MIT */
/* System V message queues. */
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <unistd.h>

#include "guest/ipc.h"
#include "guest/message.h"
#include "guest/syscalls.h"

#define MESSAGE_MAX 8192  /* MSGMAX */
#define QUEUE_BYTES 16384 /* MSGMNB */
#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

struct msg_queue {
	struct ipc_object obj;
	struct list_head messages; /* oldest first */
	uint64_t bytes, nr, max_bytes;
	time_t stime, rtime, ctime;
	int32_t lspid, lrpid;
};

static struct msg_queue *queue_of(struct ipc_object *o)
{
	return container_of(o, struct msg_queue, obj);
}

void msgq_free(struct ipc_object *o)
{
	struct msg_queue *q = queue_of(o);

	message_list_free(&q->messages);
	free(q);
}

static int queue_make(struct ipc *ipc, key_t key, int flags)
{
	struct msg_queue *q = calloc(1, sizeof(*q));
	int id;

	if (!q)
		return -ENOMEM;
	list_init(&q->messages);
	q->max_bytes = QUEUE_BYTES;
	q->ctime = time(NULL);
	id = ipc_insert(&ipc->msg, &q->obj, key, flags);
	if (id < 0)
		free(q);
	return id;
}

int64_t sys_msgget(struct task *t, const uint64_t a[6])
{
	struct ipc *ipc = t->g->ipc;
	int flags = (int)a[1], ret;
	struct ipc_object *o;

	pthread_mutex_lock(&ipc->lock);
	ret = ipc_find_key(&ipc->msg, (key_t)a[0], flags, &o);
	if (!ret && !o)
		ret = queue_make(ipc, (key_t)a[0], flags);
	else if (!ret)
		ret = ipc_may(o, flags & 0777) ? -EACCES : o->id;
	pthread_mutex_unlock(&ipc->lock);
	return ret;
}

/* ---- sending and receiving ---------------------------------------------------- */

/*
 * Do @attempt under the lock until it does not say 1 (wait). A queue that has gone
 * while the task slept is -EIDRM.
 */
static int queue_wait(struct task *t, int id,
		      int (*attempt)(struct task *t, struct msg_queue *q, void *arg), void *arg)
{
	struct ipc_waiter w = { .task = t };
	struct ipc *ipc = t->g->ipc;
	struct ipc_object *o;
	bool again = false;
	uint32_t seq;
	int ret;

	list_init(&w.link);
	for (;; again = true) {
		pthread_mutex_lock(&ipc->lock);
		list_del(&w.link);
		list_init(&w.link);
		seq = task_sleep_begin(t);
		ret = ipc_find_id(&ipc->msg, id, &o);
		if (ret && again)
			ret = -EIDRM;
		if (!ret)
			ret = attempt(t, queue_of(o), arg);
		if (ret == 1 && task_has_work(t))
			ret = -ERESTARTNOHAND_;
		if (ret == 1)
			list_add_tail(&w.link, &o->waiters);
		pthread_mutex_unlock(&ipc->lock);
		if (ret != 1)
			return ret;
		task_sleep(t, seq, CLOCK_MONOTONIC, NULL);
	}
}

struct send_request {
	struct message *m;
	int flags;
};

static int send_try(struct task *t, struct msg_queue *q, void *arg)
{
	struct send_request *rq = arg;

	if (ipc_may(&q->obj, 0222))
		return -EACCES;
	if (q->bytes + rq->m->len > q->max_bytes || q->nr + 1 > q->max_bytes)
		return rq->flags & IPC_NOWAIT ? -EAGAIN : 1;
	list_add_tail(&rq->m->link, &q->messages);
	q->bytes += rq->m->len;
	q->nr++;
	q->lspid = t->proc->pid;
	q->stime = time(NULL);
	ipc_wake(&q->obj);
	return 0;
}

int64_t sys_msgsnd(struct task *t, const uint64_t a[6])
{
	struct send_request rq = { .flags = (int)a[3] };
	size_t len = a[2];
	long type;
	int ret;

	if (copy_from_user(t, &type, a[1], sizeof(type)))
		return -EFAULT;
	if (len > MESSAGE_MAX || (int)a[0] < 0 || type < 1)
		return -EINVAL;
	ret = message_load(t, a[1] + sizeof(type), len, &rq.m);
	if (ret)
		return ret;
	rq.m->type = type;
	ret = queue_wait(t, (int)a[0], send_try, &rq);
	if (ret)
		free(rq.m);
	return ret;
}

struct receive_request {
	size_t size;
	long type;
	int flags;
	struct message *m; /* taken, or a copy: the caller's */
};

static struct message *message_find(struct msg_queue *q, const struct receive_request *rq)
{
	struct message *m, *best = NULL;
	long nr = 0;

	list_for_each_entry(m, &q->messages, link)
	{
		if (rq->flags & MSG_COPY) {
			if (nr++ == rq->type)
				return m;
		} else if (!rq->type) {
			return m;
		} else if (rq->type < 0) {
			/* The lowest type up to the bound; LONG_MIN's has no positive twin. */
			if ((uint64_t)m->type <= -(uint64_t)rq->type &&
			    (!best || m->type < best->type))
				best = m;
		} else if ((m->type == rq->type) != !!(rq->flags & MSG_EXCEPT)) {
			return m;
		}
	}
	return best;
}

static struct message *message_copy(const struct message *m)
{
	struct message *copy = malloc(sizeof(*m) + m->len);

	if (copy)
		memcpy(copy, m, sizeof(*m) + m->len);
	return copy;
}

static int receive_try(struct task *t, struct msg_queue *q, void *arg)
{
	struct receive_request *rq = arg;
	struct message *m;

	if (ipc_may(&q->obj, 0444))
		return -EACCES;
	m = message_find(q, rq);
	if (!m)
		return rq->flags & IPC_NOWAIT ? -ENOMSG : 1;
	if (m->len > rq->size && !(rq->flags & MSG_NOERROR))
		return -E2BIG;
	if (rq->flags & MSG_COPY) {
		rq->m = message_copy(m);
		return rq->m ? 0 : -ENOMEM;
	}
	list_del(&m->link);
	q->bytes -= m->len;
	q->nr--;
	q->lrpid = t->proc->pid;
	q->rtime = time(NULL);
	rq->m = m;
	ipc_wake(&q->obj);
	return 0;
}

int64_t sys_msgrcv(struct task *t, const uint64_t a[6])
{
	struct receive_request rq = { .size = a[2], .type = (long)a[3], .flags = (int)a[4] };
	int64_t ret;
	size_t len;

	if ((int)a[0] < 0 || (long)a[2] < 0)
		return -EINVAL;
	if ((rq.flags & MSG_COPY) && ((rq.flags & MSG_EXCEPT) || !(rq.flags & IPC_NOWAIT)))
		return -EINVAL;
	ret = queue_wait(t, (int)a[0], receive_try, &rq);
	if (ret)
		return ret;
	len = rq.m->len < rq.size ? rq.m->len : rq.size;
	if (copy_to_user(t, a[1], &rq.m->type, sizeof(rq.m->type)) ||
	    copy_to_user(t, a[1] + sizeof(rq.m->type), rq.m->data, len))
		ret = -EFAULT;
	else
		ret = (int64_t)len;
	free(rq.m);
	return ret;
}

/* ---- msgctl ------------------------------------------------------------------- */

static int64_t msg_info(struct task *t, int cmd, uint64_t user)
{
	struct ipc *ipc = t->g->ipc;
	struct msginfo info = { .msgpool = (int)(ipc->msg.max * (QUEUE_BYTES / 1024)),
				.msgmap = QUEUE_BYTES,
				.msgmax = MESSAGE_MAX,
				.msgmnb = QUEUE_BYTES,
				.msgmni = (int)ipc->msg.max,
				.msgssz = 16,
				.msgtql = QUEUE_BYTES,
				.msgseg = 0xffff };
	unsigned int i;
	int last;

	pthread_mutex_lock(&ipc->lock);
	last = ipc_last_index(&ipc->msg);
	if (cmd == MSG_INFO) {
		info.msgpool = (int)ipc->msg.used;
		info.msgmap = info.msgtql = 0;
		for (i = 0; i < ipc->msg.size; i++) {
			if (!ipc->msg.slot[i])
				continue;
			info.msgmap += (int)queue_of(ipc->msg.slot[i])->nr;
			info.msgtql += (int)queue_of(ipc->msg.slot[i])->bytes;
		}
	}
	pthread_mutex_unlock(&ipc->lock);
	return copy_to_user(t, user, &info, sizeof(info)) ? -EFAULT : last;
}

static void queue_stat(const struct msg_queue *q, struct msqid_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ds->msg_perm = q->obj.perm;
	ds->msg_stime = q->stime;
	ds->msg_rtime = q->rtime;
	ds->msg_ctime = q->ctime;
	ds->__msg_cbytes = q->bytes;
	ds->msg_qnum = q->nr;
	ds->msg_qbytes = q->max_bytes;
	ds->msg_lspid = q->lspid;
	ds->msg_lrpid = q->lrpid;
}

static int64_t msg_stat(struct task *t, int id, int cmd, uint64_t user)
{
	struct ipc *ipc = t->g->ipc;
	struct msqid_ds ds;
	struct ipc_object *o;
	int64_t ret;

	pthread_mutex_lock(&ipc->lock);
	ret = cmd == IPC_STAT ? ipc_find_id(&ipc->msg, id, &o) : ipc_find_index(&ipc->msg, id, &o);
	if (!ret && cmd != MSG_STAT_ANY)
		ret = ipc_may(o, 0444);
	if (!ret) {
		queue_stat(queue_of(o), &ds);
		ret = cmd == IPC_STAT ? 0 : o->id;
	}
	pthread_mutex_unlock(&ipc->lock);
	if (ret >= 0 && copy_to_user(t, user, &ds, sizeof(ds)))
		return -EFAULT;
	return ret;
}

/* Lock held. */
static int queue_set(struct msg_queue *q, const struct msqid_ds *ds)
{
	int err;

	if (ds->msg_qbytes > QUEUE_BYTES && geteuid())
		return -EPERM;
	err = ipc_set_perm(&q->obj, &ds->msg_perm);
	if (err)
		return err;
	q->max_bytes = ds->msg_qbytes;
	q->ctime = time(NULL);
	ipc_wake(&q->obj);
	return 0;
}

int64_t sys_msgctl(struct task *t, const uint64_t a[6])
{
	struct ipc_object *o, *gone = NULL;
	struct ipc *ipc = t->g->ipc;
	int cmd = (int)a[1], err;
	struct msqid_ds ds;

	if ((int)a[0] < 0 || cmd < 0)
		return -EINVAL;
	if (cmd == IPC_INFO || cmd == MSG_INFO)
		return msg_info(t, cmd, a[2]);
	if (cmd == IPC_STAT || cmd == MSG_STAT || cmd == MSG_STAT_ANY)
		return msg_stat(t, (int)a[0], cmd, a[2]);
	if (cmd != IPC_SET && cmd != IPC_RMID)
		return -EINVAL;
	if (cmd == IPC_SET && copy_from_user(t, &ds, a[2], sizeof(ds)))
		return -EFAULT;
	pthread_mutex_lock(&ipc->lock);
	err = ipc_find_id(&ipc->msg, (int)a[0], &o);
	if (!err)
		err = ipc_may_control(o);
	if (!err && cmd == IPC_SET) {
		err = queue_set(queue_of(o), &ds);
	} else if (!err) {
		ipc_remove(&ipc->msg, o);
		gone = o;
	}
	pthread_mutex_unlock(&ipc->lock);
	if (gone)
		msgq_free(gone);
	return err;
}

/* ---- /proc/sysvipc/msg -------------------------------------------------------- */

void msgq_list(struct ipc *ipc, FILE *out)
{
	unsigned int i;

	fputs("       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      "
	      "stime      rtime      ctime\n",
	      out);
	pthread_mutex_lock(&ipc->lock);
	for (i = 0; i < ipc->msg.size; i++) {
		const struct ipc_object *o = ipc->msg.slot[i];
		const struct msg_queue *s = o ? queue_of(ipc->msg.slot[i]) : NULL;

		if (!s)
			continue;
		fprintf(out,
			"%10d %10d  %4o  %10lu %10lu %5u %5u %5u %5u %5u %5u %10ld %10ld %10ld\n",
			o->perm.__key, o->id, o->perm.mode, s->bytes, s->nr, (unsigned int)s->lspid,
			(unsigned int)s->lrpid, o->perm.uid, o->perm.gid, o->perm.cuid,
			o->perm.cgid, s->stime, s->rtime, s->ctime);
	}
	pthread_mutex_unlock(&ipc->lock);
}
