/* SPDX-License-Identifier: MIT */
/*
 * System V IPC: shared memory, semaphores, message queues. All are the guest's
 * own; nothing of the host's is seen or made.
 *
 *	guest/ipc.c		keys, numbers, rights: what the three have in common
 *	guest/sys_shm.c		a segment is an address_space; who is attached are its areas
 *	guest/sys_sem.c		sets of semaphores, and what is undone at the end of a process
 *	guest/sys_msgq.c	queues
 *
 * POSIX message queues (guest/mqueue.h) are kept here, too, under the same lock.
 *
 * One lock, ipc->lock, guards everything here. It is taken after guest->lock and
 * before the manager's; nobody sleeps with it. Who has to wait sleeps as a task
 * does (guest/sleep.c) and looks for the object by its number again afterwards.
 */
#ifndef GUEST_IPC_H
#define GUEST_IPC_H

#include <sys/ipc.h>

#include "guest/task.h"

#define IPC_SLOTS_BITS 15 /* Linux's IPCMNI_SHIFT: number = seq << 15 | slot */
#define IPC_SLOTS_MAX  (1u << IPC_SLOTS_BITS)

/* The head of each object. ipc_perm is laid out as the program sees it. */
struct ipc_object {
	struct ipc_perm perm;
	int id;
	struct list_head waiters; /* struct ipc_waiter */
};

struct ipc_table {
	struct ipc_object **slot;
	unsigned int size; /* slots allocated */
	unsigned int used, max;
	uint16_t seq;
};

struct ipc {
	pthread_mutex_t lock;
	struct ipc_table shm, sem, msg;
	struct list_head mqueues; /* guest/mqueue.h: POSIX queues, and their limits */
	long mq_queues_max, mq_msg_max, mq_msg_default, mq_msgsize_max, mq_msgsize_default;
	unsigned int nr_removed_shm; /* removed, but somebody is still attached */
};

/* A task that waits for an object to change. */
struct ipc_waiter {
	struct list_head link;
	struct task *task;
	int kind, index; /* the object's own meaning */
};

struct ipc *ipc_create(void);
/* No process is left. */
void ipc_destroy(struct ipc *ipc);
/* A task has gone (guest->lock not held): segments that nobody uses go, too. */
void ipc_task_ended(struct guest *g);
/* The process ends: what its semaphore operations asked for is undone. */
void ipc_proc_ended(struct guest *g, int32_t pid);

/* ---- for the three families; ipc->lock held ------------------------------ */

/*
 * What a get call with this key and these flags means. 0: *out is the object, or
 * NULL if one is to be made; -ENOENT, -EEXIST. Rights: ipc_may() afterwards.
 */
int ipc_find_key(struct ipc_table *tb, key_t key, int flags, struct ipc_object **out);
/* By number: -EINVAL, -EIDRM. */
int ipc_find_id(struct ipc_table *tb, int id, struct ipc_object **out);
/* By index, as the _STAT commands have it; -EINVAL. */
int ipc_find_index(struct ipc_table *tb, int index, struct ipc_object **out);
/* Highest index in use, 0 if none. */
int ipc_last_index(const struct ipc_table *tb);
/* Number of the new object, -ENOSPC, -ENOMEM. */
int ipc_insert(struct ipc_table *tb, struct ipc_object *o, key_t key, int flags);
/* Waiters are woken, and find it no more. The caller frees it. */
void ipc_remove(struct ipc_table *tb, struct ipc_object *o);
/* @mode: S_IRUGO, S_IWUGO bits wanted; 0 or -EACCES. */
int ipc_may(const struct ipc_object *o, int mode);
/* Owner or creator: 0 or -EPERM. */
int ipc_may_control(const struct ipc_object *o);
/* IPC_SET's owner and mode: 0 or -EINVAL. */
int ipc_set_perm(struct ipc_object *o, const struct ipc_perm *want) UMM_MUST_CHECK;
void ipc_wake(struct ipc_object *o);

/* A row of /proc/sysvipc for each object. Takes ipc->lock. */
void shm_list(struct ipc *ipc, FILE *out);
void sem_list(struct ipc *ipc, FILE *out);
void msgq_list(struct ipc *ipc, FILE *out);

/* guest/sys_shm.c, guest/sys_sem.c, guest/sys_msgq.c */
void shm_free(struct ipc_object *o);
void sem_free(struct ipc_object *o);
void msgq_free(struct ipc_object *o);
/* Removed segments without an area go. Takes ipc->lock. */
void shm_sweep(struct ipc *ipc);
void sem_undo_all(struct ipc *ipc, int32_t pid);
/* The segment behind an area: true, and its key and number. Takes ipc->lock. */
bool shm_identify(struct guest *g, const struct address_space *m, key_t *key, int *id);

#endif
