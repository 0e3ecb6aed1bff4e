/* SPDX-License-Identifier: MIT */
/*
 * System V semaphores. An operation is tried as a whole under the lock; one that
 * cannot be done sleeps on the set and tries again when anything in it has changed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>

#include "guest/ipc.h"
#include "guest/syscalls.h"
#include "guest/wait_time.h"

#define VALUE_MAX 32767 /* SEMVMX */
#define OPS_MAX   500   /* SEMOPM */
#define SET_MAX   32000 /* SEMMSL */
#define TOTAL_MAX (SET_MAX * 32000)
#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

enum { WAIT_INCREASE, WAIT_ZERO };

struct semaphore {
	int value;
	int32_t pid; /* who changed it last */
};

/* What a process gets back at its end, for one set. */
struct sem_undo {
	struct list_head link;
	int32_t pid;
	int adjust[]; /* one a semaphore */
};

struct sem_set {
	struct ipc_object obj;
	int nr;
	time_t otime, ctime;
	struct list_head undos;
	struct semaphore sem[];
};

static struct sem_set *set_of(struct ipc_object *o)
{
	return container_of(o, struct sem_set, obj);
}

void sem_free(struct ipc_object *o)
{
	struct sem_set *s = set_of(o);
	struct sem_undo *u, *tmp;

	list_for_each_entry_safe(u, tmp, &s->undos, link) free(u);
	free(s);
}

/* ---- semget --------------------------------------------------------------- */

static int set_make(struct ipc *ipc, key_t key, int nr, int flags)
{
	struct sem_set *s = NULL;
	int id;

	if (!nr)
		return -EINVAL;
	s = calloc(1, sizeof(*s) + (size_t)nr * sizeof(s->sem[0]));
	if (!s)
		return -ENOMEM;
	s->nr = nr;
	s->ctime = time(NULL);
	list_init(&s->undos);
	id = ipc_insert(&ipc->sem, &s->obj, key, flags);
	if (id < 0)
		free(s);
	return id;
}

int64_t sys_semget(struct task *t, const uint64_t a[6])
{
	int nr = (int)a[1], flags = (int)a[2], ret;
	struct ipc *ipc = t->g->ipc;
	struct ipc_object *o;

	if (nr < 0 || nr > SET_MAX)
		return -EINVAL;
	pthread_mutex_lock(&ipc->lock);
	ret = ipc_find_key(&ipc->sem, (key_t)a[0], flags, &o);
	if (!ret && !o)
		ret = set_make(ipc, (key_t)a[0], nr, flags);
	else if (!ret && nr > set_of(o)->nr)
		ret = -EINVAL;
	else if (!ret)
		ret = ipc_may(o, flags & 0777) ? -EACCES : o->id;
	pthread_mutex_unlock(&ipc->lock);
	return ret;
}

/* ---- semop ---------------------------------------------------------------- */

static struct sem_undo *undo_find(struct sem_set *s, int32_t pid, bool make)
{
	struct sem_undo *u;

	list_for_each_entry(u, &s->undos, link) if (u->pid == pid) return u;
	u = make ? calloc(1, sizeof(*u) + (size_t)s->nr * sizeof(u->adjust[0])) : NULL;
	if (!u)
		return NULL;
	u->pid = pid;
	list_add_tail(&u->link, &s->undos);
	return u;
}

/* One call on a set. */
struct sem_call {
	struct sembuf ops[OPS_MAX];
	unsigned int nr;
	int highest;
	bool alters, undoes;
	int blocked; /* the operation that could not be done */
};

static void ops_revert(struct sem_set *s, const struct sem_call *c, unsigned int done)
{
	while (done--)
		s->sem[c->ops[done].sem_num].value -= c->ops[done].sem_op;
}

/* Lock held. 0: done; 1: one must wait, c->blocked; or -ERANGE. Nothing is changed then. */
static int ops_try(struct sem_set *s, struct sem_call *c, struct sem_undo *undo, int32_t pid)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < c->nr; i++) {
		const struct sembuf *op = &c->ops[i];
		struct semaphore *sem = &s->sem[op->sem_num];
		int result = sem->value + op->sem_op, adjust;

		if ((!op->sem_op && sem->value) || result < 0) {
			c->blocked = (int)i;
			ret = 1;
			break;
		}
		adjust = op->sem_flg & SEM_UNDO ? undo->adjust[op->sem_num] - op->sem_op : 0;
		if (result > VALUE_MAX || adjust < -VALUE_MAX - 1 || adjust > VALUE_MAX) {
			ret = -ERANGE;
			break;
		}
		sem->value = result;
	}
	if (ret) {
		ops_revert(s, c, i);
		return ret;
	}
	for (i = 0; i < c->nr; i++) {
		if (c->ops[i].sem_flg & SEM_UNDO)
			undo->adjust[c->ops[i].sem_num] -= c->ops[i].sem_op;
		s->sem[c->ops[i].sem_num].pid = pid;
	}
	s->otime = time(NULL);
	if (c->alters)
		ipc_wake(&s->obj);
	return 0;
}

/* Lock held: rights and numbers, then the operations. As ops_try(), or -errno. */
static int call_try(struct task *t, struct sem_call *c, int id, bool again, struct sem_set **out)
{
	struct sem_undo *undo = NULL;
	struct ipc_object *o;
	int err = ipc_find_id(&t->g->ipc->sem, id, &o);

	if (err)
		return again ? -EIDRM : err;
	*out = set_of(o);
	if (c->highest >= set_of(o)->nr)
		return -EFBIG;
	if (ipc_may(o, c->alters ? 0222 : 0444))
		return -EACCES;
	if (c->undoes) {
		undo = undo_find(set_of(o), t->proc->pid, true);
		if (!undo)
			return -ENOMEM;
	}
	err = ops_try(set_of(o), c, undo, t->proc->pid);
	if (err == 1 && (c->ops[c->blocked].sem_flg & IPC_NOWAIT))
		return -EAGAIN;
	return err;
}

static int call_wait(struct task *t, struct sem_call *c, int id, uint64_t deadline)
{
	struct timespec until = { (time_t)(deadline / 1000000000u),
				  (long)(deadline % 1000000000u) };
	struct ipc_waiter w = { .task = t };
	struct ipc *ipc = t->g->ipc;
	struct sem_set *s = NULL;
	bool again = false;
	uint32_t seq;
	int ret, slept = 0;

	list_init(&w.link);
	for (;; again = true) {
		pthread_mutex_lock(&ipc->lock);
		list_del(&w.link);
		list_init(&w.link);
		seq = task_sleep_begin(t);
		ret = call_try(t, c, id, again, &s);
		if (ret == 1 && slept == -ETIMEDOUT)
			ret = -EAGAIN;
		if (ret == 1 && task_has_work(t))
			ret = -EINTR;
		if (ret == 1) {
			w.kind = c->ops[c->blocked].sem_op ? WAIT_INCREASE : WAIT_ZERO;
			w.index = c->ops[c->blocked].sem_num;
			list_add_tail(&w.link, &s->obj.waiters);
		}
		pthread_mutex_unlock(&ipc->lock);
		if (ret != 1)
			return ret;
		slept = task_sleep(t, seq, CLOCK_MONOTONIC,
				   deadline == WAIT_FOREVER ? NULL : &until);
	}
}

static int call_read(struct task *t, struct sem_call *c, uint64_t user, uint64_t nr)
{
	unsigned int i;

	if (copy_from_user(t, c->ops, user, nr * sizeof(c->ops[0])))
		return -EFAULT;
	c->nr = (unsigned int)nr;
	for (i = 0; i < c->nr; i++) {
		if (c->ops[i].sem_num > c->highest)
			c->highest = c->ops[i].sem_num;
		c->alters |= c->ops[i].sem_op != 0;
		c->undoes |= (c->ops[i].sem_flg & SEM_UNDO) != 0;
	}
	return 0;
}

int64_t sys_semtimedop(struct task *t, const uint64_t a[6])
{
	struct sem_call c;
	uint64_t deadline;
	int err;

	c.nr = 0;
	c.highest = 0;
	c.alters = c.undoes = false;
	err = wait_deadline_user(t, a[3], &deadline);
	if (err)
		return err;
	if (!(unsigned int)a[2] || (int)a[0] < 0)
		return -EINVAL;
	if ((unsigned int)a[2] > OPS_MAX)
		return -E2BIG;
	err = call_read(t, &c, a[1], (unsigned int)a[2]);
	return err ? err : call_wait(t, &c, (int)a[0], deadline);
}

int64_t sys_semop(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = { a[0], a[1], a[2], 0 };

	return sys_semtimedop(t, b);
}

/* ---- the end of a process --------------------------------------------------- */

static void undo_apply(struct sem_set *s, struct sem_undo *u)
{
	int i;

	for (i = 0; i < s->nr; i++) {
		if (!u->adjust[i])
			continue;
		s->sem[i].value += u->adjust[i];
		if (s->sem[i].value < 0)
			s->sem[i].value = 0;
		if (s->sem[i].value > VALUE_MAX)
			s->sem[i].value = VALUE_MAX;
		s->sem[i].pid = u->pid;
	}
	s->otime = time(NULL);
	list_del(&u->link);
	free(u);
	ipc_wake(&s->obj);
}

void sem_undo_all(struct ipc *ipc, int32_t pid)
{
	struct sem_undo *u;
	unsigned int i;

	pthread_mutex_lock(&ipc->lock);
	for (i = 0; i < ipc->sem.size; i++) {
		struct sem_set *s = ipc->sem.slot[i] ? set_of(ipc->sem.slot[i]) : NULL;

		u = s ? undo_find(s, pid, false) : NULL;
		if (u)
			undo_apply(s, u);
	}
	pthread_mutex_unlock(&ipc->lock);
}

/* ---- semctl ----------------------------------------------------------------- */

static void undo_forget(struct sem_set *s, int first, int last)
{
	struct sem_undo *u;
	int i;

	list_for_each_entry(u, &s->undos, link) for (i = first; i <= last; i++) u->adjust[i] = 0;
}

static int64_t count_waiters(struct sem_set *s, int index, int kind)
{
	struct ipc_waiter *w;
	int64_t nr = 0;

	list_for_each_entry(w, &s->obj.waiters, link) nr += w->kind == kind && w->index == index;
	return nr;
}

/* Lock held. The commands about one semaphore. */
static int64_t control_one(struct task *t, struct sem_set *s, int index, int cmd, int value)
{
	if (ipc_may(&s->obj, cmd == SETVAL ? 0222 : 0444))
		return -EACCES;
	if (index < 0 || index >= s->nr)
		return -EINVAL;
	switch (cmd) {
	case GETVAL:
		return s->sem[index].value;
	case GETPID:
		return s->sem[index].pid;
	case GETNCNT:
		return count_waiters(s, index, WAIT_INCREASE);
	case GETZCNT:
		return count_waiters(s, index, WAIT_ZERO);
	default:
		s->sem[index].value = value;
		s->sem[index].pid = t->proc->pid;
		s->ctime = time(NULL);
		undo_forget(s, index, index);
		ipc_wake(&s->obj);
		return 0;
	}
}

static int64_t sem_control_one(struct task *t, const uint64_t a[6])
{
	struct ipc *ipc = t->g->ipc;
	int value = (int)a[3];
	struct ipc_object *o;
	int64_t ret;

	if ((int)a[2] == SETVAL && (value < 0 || value > VALUE_MAX))
		return -ERANGE;
	pthread_mutex_lock(&ipc->lock);
	ret = ipc_find_id(&ipc->sem, (int)a[0], &o);
	if (!ret)
		ret = control_one(t, set_of(o), (int)a[1], (int)a[2], value);
	pthread_mutex_unlock(&ipc->lock);
	return ret;
}

/* Lock held: GETALL and SETALL with @values, one a semaphore. */
static int control_all(struct task *t, struct sem_set *s, int cmd, uint16_t *values)
{
	int i;

	for (i = 0; i < s->nr; i++) {
		if (cmd == GETALL)
			values[i] = (uint16_t)s->sem[i].value;
		else if (values[i] > VALUE_MAX)
			return -ERANGE;
	}
	if (cmd == GETALL)
		return 0;
	for (i = 0; i < s->nr; i++) {
		s->sem[i].value = values[i];
		s->sem[i].pid = t->proc->pid;
	}
	s->ctime = time(NULL);
	undo_forget(s, 0, s->nr - 1);
	ipc_wake(&s->obj);
	return 0;
}

/* How many semaphores it has, if it may be looked at, or changed. */
static int set_size(struct ipc *ipc, int id, int cmd)
{
	struct ipc_object *o;
	int ret;

	pthread_mutex_lock(&ipc->lock);
	ret = ipc_find_id(&ipc->sem, id, &o);
	if (!ret)
		ret = ipc_may(o, cmd == SETALL ? 0222 : 0444);
	if (!ret)
		ret = set_of(o)->nr;
	pthread_mutex_unlock(&ipc->lock);
	return ret;
}

static int64_t sem_control_all(struct task *t, const uint64_t a[6])
{
	struct ipc *ipc = t->g->ipc;
	int cmd = (int)a[2], nr = set_size(ipc, (int)a[0], cmd), ret;
	uint16_t values[SET_MAX];
	struct ipc_object *o;

	if (nr < 0)
		return nr;
	if (cmd == SETALL && copy_from_user(t, values, a[3], (size_t)nr * sizeof(values[0])))
		return -EFAULT;
	pthread_mutex_lock(&ipc->lock);
	ret = ipc_find_id(&ipc->sem, (int)a[0], &o) ? -EIDRM
						    : control_all(t, set_of(o), cmd, values);
	pthread_mutex_unlock(&ipc->lock);
	if (!ret && cmd == GETALL && copy_to_user(t, a[3], values, (size_t)nr * sizeof(values[0])))
		ret = -EFAULT;
	return ret;
}

static int64_t sem_info(struct task *t, int cmd, uint64_t user)
{
	struct ipc *ipc = t->g->ipc;
	struct seminfo info = { .semmap = TOTAL_MAX,
				.semmni = (int)ipc->sem.max,
				.semmns = TOTAL_MAX,
				.semmnu = TOTAL_MAX,
				.semmsl = SET_MAX,
				.semopm = OPS_MAX,
				.semume = OPS_MAX,
				.semusz = 20,
				.semvmx = VALUE_MAX,
				.semaem = VALUE_MAX };
	unsigned int i;
	int last;

	pthread_mutex_lock(&ipc->lock);
	last = ipc_last_index(&ipc->sem);
	if (cmd == SEM_INFO) {
		info.semusz = (int)ipc->sem.used;
		info.semaem = 0;
		for (i = 0; i < ipc->sem.size; i++)
			info.semaem += ipc->sem.slot[i] ? set_of(ipc->sem.slot[i])->nr : 0;
	}
	pthread_mutex_unlock(&ipc->lock);
	return copy_to_user(t, user, &info, sizeof(info)) ? -EFAULT : last;
}

static int64_t sem_stat(struct task *t, int id, int cmd, uint64_t user)
{
	struct ipc *ipc = t->g->ipc;
	struct semid_ds ds = { 0 };
	struct ipc_object *o;
	int64_t ret;

	pthread_mutex_lock(&ipc->lock);
	ret = cmd == IPC_STAT ? ipc_find_id(&ipc->sem, id, &o) : ipc_find_index(&ipc->sem, id, &o);
	if (!ret && cmd != SEM_STAT_ANY)
		ret = ipc_may(o, 0444);
	if (!ret) {
		ds.sem_perm = o->perm;
		ds.sem_otime = set_of(o)->otime;
		ds.sem_ctime = set_of(o)->ctime;
		ds.sem_nsems = (unsigned long)set_of(o)->nr;
		ret = cmd == IPC_STAT ? 0 : o->id;
	}
	pthread_mutex_unlock(&ipc->lock);
	if (ret >= 0 && copy_to_user(t, user, &ds, sizeof(ds)))
		return -EFAULT;
	return ret;
}

static int64_t sem_change(struct task *t, int id, int cmd, uint64_t user)
{
	struct ipc_object *o, *gone = NULL;
	struct ipc *ipc = t->g->ipc;
	struct semid_ds ds;
	int err;

	if (cmd == IPC_SET && copy_from_user(t, &ds, user, sizeof(ds)))
		return -EFAULT;
	pthread_mutex_lock(&ipc->lock);
	err = ipc_find_id(&ipc->sem, id, &o);
	if (!err)
		err = ipc_may_control(o);
	if (!err && cmd == IPC_SET) {
		err = ipc_set_perm(o, &ds.sem_perm);
		if (!err)
			set_of(o)->ctime = time(NULL);
	} else if (!err) {
		ipc_remove(&ipc->sem, o);
		gone = o;
	}
	pthread_mutex_unlock(&ipc->lock);
	if (gone)
		sem_free(gone);
	return err;
}

int64_t sys_semctl(struct task *t, const uint64_t a[6])
{
	int cmd = (int)a[2];

	if ((int)a[0] < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case SEM_INFO:
		return sem_info(t, cmd, a[3]);
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY:
		return sem_stat(t, (int)a[0], cmd, a[3]);
	case GETVAL:
	case GETPID:
	case GETNCNT:
	case GETZCNT:
	case SETVAL:
		return sem_control_one(t, a);
	case GETALL:
	case SETALL:
		return sem_control_all(t, a);
	case IPC_RMID:
	case IPC_SET:
		return sem_change(t, (int)a[0], cmd, a[3]);
	default:
		return -EINVAL;
	}
}

/* ---- /proc/sysvipc/sem ------------------------------------------------------ */

void sem_list(struct ipc *ipc, FILE *out)
{
	unsigned int i;

	fputs("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n",
	      out);
	pthread_mutex_lock(&ipc->lock);
	for (i = 0; i < ipc->sem.size; i++) {
		const struct ipc_object *o = ipc->sem.slot[i];
		const struct sem_set *s = o ? set_of(ipc->sem.slot[i]) : NULL;

		if (!s)
			continue;
		fprintf(out, "%10d %10d  %4o %10u %5u %5u %5u %5u %10ld %10ld\n", o->perm.__key,
			o->id, o->perm.mode, (unsigned int)s->nr, o->perm.uid, o->perm.gid,
			o->perm.cuid, o->perm.cgid, s->otime, s->ctime);
	}
	pthread_mutex_unlock(&ipc->lock);
}
