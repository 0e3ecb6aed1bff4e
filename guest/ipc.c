/* SPDX-License-Identifier: MIT */
/* What shared memory, semaphores and message queues of System V have in common. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/ipc.h"
#include "guest/mqueue.h"

/* Linux's SHMMNI, SEMMNI and MSGMNI. */
#define SHM_MAX 4096
#define SEM_MAX 32000
#define MSG_MAX 32000

#define FIRST_SIZE 16
#define MODE_BITS  0777

struct ipc *ipc_create(void)
{
	struct ipc *ipc = calloc(1, sizeof(*ipc));

	if (!ipc)
		return NULL;
	pthread_mutex_init(&ipc->lock, NULL);
	ipc->shm.max = SHM_MAX;
	ipc->sem.max = SEM_MAX;
	ipc->msg.max = MSG_MAX;
	mqueue_limits_init(ipc);
	return ipc;
}

static void table_free(struct ipc_table *tb, void (*free_object)(struct ipc_object *o))
{
	unsigned int i;

	for (i = 0; i < tb->size; i++)
		if (tb->slot[i])
			free_object(tb->slot[i]);
	free(tb->slot);
}

void ipc_destroy(struct ipc *ipc)
{
	if (!ipc)
		return;
	table_free(&ipc->shm, shm_free);
	table_free(&ipc->sem, sem_free);
	table_free(&ipc->msg, msgq_free);
	mqueue_free_all(ipc);
	pthread_mutex_destroy(&ipc->lock);
	free(ipc);
}

void ipc_task_ended(struct guest *g)
{
	if (__atomic_load_n(&g->ipc->nr_removed_shm, __ATOMIC_RELAXED))
		shm_sweep(g->ipc);
}

void ipc_proc_ended(struct guest *g, int32_t pid)
{
	sem_undo_all(g->ipc, pid);
	mqueue_proc_ended(g->ipc, pid);
}

/* ---- finding ------------------------------------------------------------ */

int ipc_find_key(struct ipc_table *tb, key_t key, int flags, struct ipc_object **out)
{
	unsigned int i;

	*out = NULL;
	if (key == IPC_PRIVATE)
		return 0;
	for (i = 0; i < tb->size; i++) {
		if (!tb->slot[i] || tb->slot[i]->perm.__key != key)
			continue;
		if ((flags & IPC_CREAT) && (flags & IPC_EXCL))
			return -EEXIST;
		*out = tb->slot[i];
		return 0;
	}
	return flags & IPC_CREAT ? 0 : -ENOENT;
}

int ipc_find_index(struct ipc_table *tb, int index, struct ipc_object **out)
{
	if (index < 0 || (unsigned int)index >= tb->size || !tb->slot[index])
		return -EINVAL;
	*out = tb->slot[index];
	return 0;
}

int ipc_find_id(struct ipc_table *tb, int id, struct ipc_object **out)
{
	int err;

	if (id < 0)
		return -EINVAL;
	err = ipc_find_index(tb, id & (int)(IPC_SLOTS_MAX - 1), out);
	if (!err && (*out)->id != id)
		return -EIDRM;
	return err;
}

int ipc_last_index(const struct ipc_table *tb)
{
	int i;

	for (i = (int)tb->size - 1; i > 0 && !tb->slot[i]; i--)
		;
	return i > 0 ? i : 0;
}

/* ---- making and removing ------------------------------------------------ */

static int table_grow(struct ipc_table *tb)
{
	unsigned int size = tb->size ? tb->size * 2 : FIRST_SIZE;
	struct ipc_object **slot = realloc(tb->slot, size * sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	memset(slot + tb->size, 0, (size - tb->size) * sizeof(*slot));
	tb->slot = slot;
	tb->size = size;
	return 0;
}

int ipc_insert(struct ipc_table *tb, struct ipc_object *o, key_t key, int flags)
{
	unsigned int i = 0;

	if (tb->used >= tb->max)
		return -ENOSPC;
	while (i < tb->size && tb->slot[i])
		i++;
	if (i == tb->size && table_grow(tb))
		return -ENOMEM;
	memset(&o->perm, 0, sizeof(o->perm));
	o->perm.__key = key;
	o->perm.uid = o->perm.cuid = geteuid();
	o->perm.gid = o->perm.cgid = getegid();
	o->perm.mode = (unsigned int)flags & MODE_BITS;
	o->perm.__seq = tb->seq;
	o->id = (int)((unsigned int)tb->seq << IPC_SLOTS_BITS | i);
	/* A number never is negative, so a sequence has 16 bits but one. */
	tb->seq = (tb->seq + 1) & 0x7fff;
	list_init(&o->waiters);
	tb->slot[i] = o;
	tb->used++;
	return o->id;
}

void ipc_wake(struct ipc_object *o)
{
	struct ipc_waiter *w;

	list_for_each_entry(w, &o->waiters, link) task_wake(w->task);
}

void ipc_remove(struct ipc_table *tb, struct ipc_object *o)
{
	struct ipc_waiter *w, *tmp;

	list_for_each_entry_safe(w, tmp, &o->waiters, link)
	{
		list_del(&w->link);
		list_init(&w->link);
		task_wake(w->task);
	}
	tb->slot[(unsigned int)o->id & (IPC_SLOTS_MAX - 1)] = NULL;
	tb->used--;
}

/* ---- rights --------------------------------------------------------------- */

int ipc_may(const struct ipc_object *o, int mode)
{
	unsigned int granted = o->perm.mode, euid = geteuid(), egid = getegid();

	if (euid == o->perm.uid || euid == o->perm.cuid)
		granted >>= 6;
	else if (egid == o->perm.gid || egid == o->perm.cgid || group_member(o->perm.gid) ||
		 group_member(o->perm.cgid))
		granted >>= 3;
	/* The wish may name the bits of any class. */
	mode = (mode >> 6 | mode >> 3 | mode) & 7;
	return !((unsigned int)mode & ~granted & 7) || !euid ? 0 : -EACCES;
}

int ipc_may_control(const struct ipc_object *o)
{
	unsigned int euid = geteuid();

	return !euid || euid == o->perm.uid || euid == o->perm.cuid ? 0 : -EPERM;
}

int ipc_set_perm(struct ipc_object *o, const struct ipc_perm *want)
{
	/* The number that is nobody's, where other calls leave the owner as it is. */
	if (want->uid == (uid_t)-1 || want->gid == (gid_t)-1)
		return -EINVAL;
	o->perm.uid = want->uid;
	o->perm.gid = want->gid;
	o->perm.mode = (o->perm.mode & ~(unsigned int)MODE_BITS) | (want->mode & MODE_BITS);
	return 0;
}
