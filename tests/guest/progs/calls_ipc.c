/* SPDX-License-Identifier: MIT */
/*
 * System V shared memory, semaphores and message queues, call by call, in what sysv_shm.c and
 * sysv_sem.c leave: wrong arguments, every field of IPC_STAT, IPC_SET, rights, undoing, removal
 * while others wait, and what a signal makes of a wait.
 */
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>

#include "calls.h"

#define NONE 0x7ffffff /* no object has this number */

struct letter {
	long type;
	char text[64];
};

static const char *when(time_t t)
{
	time_t now = time(NULL);

	return !t ? "never" : t >= now - 60 && t <= now + 1 ? "now" : "wrong";
}

static const char *whose(pid_t pid)
{
	return !pid ? "nobody" : pid == getpid() ? "mine" : "another's";
}

static void show_perm(const struct ipc_perm *p)
{
	printf("   uid %u gid %u cuid %u cgid %u mode %o, key %s\n", p->uid, p->gid, p->cuid,
	       p->cgid, p->mode, p->__key ? "yes" : "none");
}

/* ---- shared memory ------------------------------------------------------------------------------ */

static void show_shm(int id)
{
	struct shmid_ds ds;

	if (shmctl(id, IPC_STAT, &ds)) {
		printf("   %s\n", strerrorname_np(errno));
		return;
	}
	show_perm(&ds.shm_perm);
	printf("   attached %s, detached %s, changed %s, by %s, last %s, size %zu, %lu times\n",
	       when(ds.shm_atime), when(ds.shm_dtime), when(ds.shm_ctime), whose(ds.shm_cpid),
	       whose(ds.shm_lpid), ds.shm_segsz, (unsigned long)ds.shm_nattch);
}

static void test_shm(void)
{
	int id = shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0640), none = NONE;
	struct shmid_ds ds;
	struct shm_info info;
	pid_t pid;
	char *p;

	printf("-- shared memory\n");
	show_shm(id);
	p = shmat(id, NULL, 0);
	show_shm(id);
	SHOW(shmdt(p));
	show_shm(id);
	pid = fork_flushed();
	if (!pid)
		child_exit(shmat(id, NULL, 0) == (void *)-1);
	show_child("attached and gone", pid);
	show_shm(id);
	SHOW(shmget(IPC_PRIVATE, (size_t)-1, IPC_CREAT | 0600));
	SHOW(shmget(0x554d1234, 100, 0));
	SHOW(shmctl(none, IPC_STAT, &ds));
	SHOW(shmctl(none, IPC_SET, &ds));
	SHOW(shmctl(none, IPC_SET, BAD));
	SHOW(shmctl(none, IPC_RMID, NULL));
	SHOW(shmctl(none, SHM_LOCK, NULL));
	SHOW(shmctl(none, 77, NULL));
	SHOW(shmctl(-1, IPC_STAT, &ds));
	SHOW(shmctl(id, -1, &ds));
	SHOW(shmctl(id, IPC_STAT, BAD));
	SHOW(shmctl(id, IPC_SET, BAD));
	SHOW(shmctl(0, SHM_INFO, (struct shmid_ds *)&info) >= 0);
	SHOW(shmctl(0, SHM_INFO, BAD));
	SHOW(shmctl(0, IPC_INFO, BAD));
	SHOW((long)shmat(none, NULL, 0));
	SHOW((long)shmat(id, (void *)0x800000000000, 0));
	SHOW((long)shmat(id, (void *)0x123, 0));
	SHOW((long)shmat(id, NULL, SHM_REMAP));
	SHOW(shmdt(NULL));
	SHOW(shmdt(&id));
	if (shmctl(id, IPC_STAT, &ds))
		return;
	ds.shm_perm.mode = 07777;
	SHOW(shmctl(id, IPC_SET, &ds));
	show_shm(id);
	ds.shm_perm.uid = (uid_t)-1;
	SHOW(shmctl(id, IPC_SET, &ds));
	ds.shm_perm.uid = 0;
	ds.shm_perm.gid = (gid_t)-1;
	SHOW(shmctl(id, IPC_SET, &ds));
	SHOW(shmctl(id, SHM_LOCK, NULL));
	show_shm(id);
	SHOW(shmctl(id, IPC_RMID, NULL));
	SHOW(shmctl(id, IPC_STAT, &ds));
	SHOW((long)shmat(id, NULL, 0));
}

/* ---- semaphores ------------------------------------------------------------------------------------ */

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static int sem;

static int op(int number, int change, int flags)
{
	struct sembuf sb = { (unsigned short)number, (short)change, (short)flags };

	return semop(sem, &sb, 1);
}

static int control(int id, int number, int cmd, void *arg)
{
	return semctl(id, number, cmd, (union semun){ .buf = arg });
}

static void show_sem(void)
{
	struct semid_ds ds;

	if (control(sem, 0, IPC_STAT, &ds)) {
		printf("   %s\n", strerrorname_np(errno));
		return;
	}
	show_perm(&ds.sem_perm);
	printf("   used %s, changed %s, %lu of them, values %d %d, last %s\n", when(ds.sem_otime),
	       when(ds.sem_ctime), (unsigned long)ds.sem_nsems, semctl(sem, 0, GETVAL),
	       semctl(sem, 1, GETVAL), whose(semctl(sem, 0, GETPID)));
}

static void test_sem_control(void)
{
	unsigned short values[2] = { 40000, 1 };
	struct semid_ds ds;
	struct seminfo info;

	SHOW(control(sem, 0, SETALL, values));
	values[0] = 2;
	SHOW(control(sem, 99, SETALL, values));
	SHOW(control(sem, 0, SETALL, BAD));
	SHOW(control(sem, 0, GETALL, BAD));
	SHOW(control(sem, 2, GETVAL, NULL));
	SHOW(control(sem, -1, GETVAL, NULL));
	SHOW(control(sem, 2, SETVAL, NULL));
	SHOW(control(sem, 2, SETVAL, (void *)40000));
	SHOW(control(sem, 2, GETPID, NULL));
	SHOW(control(sem, 2, GETNCNT, NULL));
	SHOW(control(NONE, 0, GETVAL, NULL));
	SHOW(control(NONE, 0, SETVAL, (void *)40000));
	SHOW(control(NONE, 0, GETALL, BAD));
	SHOW(control(NONE, 0, IPC_STAT, &ds));
	SHOW(control(NONE, 0, IPC_SET, BAD));
	SHOW(control(NONE, 0, IPC_RMID, NULL));
	SHOW(control(NONE, 0, 99, NULL));
	SHOW(control(-1, 0, IPC_STAT, &ds));
	SHOW(control(sem, 0, IPC_STAT, BAD));
	SHOW(control(sem, 0, IPC_SET, BAD));
	SHOW(control(0, 0, IPC_INFO, BAD));
	SHOW(control(0, 0, IPC_INFO, &info) >= 0);
	printf("   %d %d %d\n", info.semvmx, info.semopm, info.semmsl);
	if (control(sem, 0, IPC_STAT, &ds))
		return;
	ds.sem_perm.mode = 0604;
	SHOW(control(sem, 0, IPC_SET, &ds));
	show_sem();
}

static void test_sem_ops(void)
{
	struct sembuf mixed[3] = { { 0, -1, 0 }, { 1, -5, IPC_NOWAIT }, { 0, 1, 0 } };
	struct sembuf same[2] = { { 0, 3, 0 }, { 0, -4, IPC_NOWAIT } };
	struct timespec soon = { 0, 20000000 }, bad = { 0, 2000000000 }, minus = { -1, 0 };

	SHOW(semop(NONE, mixed, 1));
	SHOW(semop(-1, mixed, 1));
	SHOW(semop(NONE, mixed, 0));
	SHOW(semop(NONE, BAD, 1));
	SHOW(semop(NONE, mixed, 501));
	SHOW(semtimedop(sem, mixed, 1, BAD));
	SHOW(semtimedop(sem, mixed, 1, &bad));
	SHOW(semtimedop(sem, mixed, 1, &minus));
	SHOW(semop(sem, mixed, 3));
	SHOW(semop(sem, same, 2));
	same[1].sem_op = -5;
	SHOW(semop(sem, same, 2));
	show_sem();
	mixed[0] = (struct sembuf){ 0, 0, 0 };
	SHOW(semtimedop(sem, mixed, 1, &soon));
	mixed[0] = (struct sembuf){ 1, -9, 0 };
	SHOW(semtimedop(sem, mixed, 1, &soon));
	SHOW(semtimedop(sem, mixed, 1, &(struct timespec){ 0, 0 }));
	SHOW(op(1, 32767, 0));
	SHOW(op(1, 32700, SEM_UNDO));
	SHOW(op(1, 60, SEM_UNDO));
	SHOW(op(1, -32000, SEM_UNDO));
	SHOW(op(1, -700, 0));
	alarm_in(30, SA_RESTART);
	SHOW(op(1, -30000, 0));
	SHOW(semctl(sem, 0, GETZCNT));
	alarm_in(0, 0);
}

/* What undoing must not do: below zero, or what SETVAL and SETALL have made void. */
static void test_undo(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < 3; i++) {
		control(sem, 0, SETVAL, (void *)5);
		pid = fork_flushed();
		if (!pid) {
			op(0, 4, SEM_UNDO);
			if (i == 1)
				control(sem, 0, SETVAL, (void *)7);
			if (i == 2)
				op(0, -8, 0);
			child_exit(0);
		}
		show_child("undone at the end", pid);
		printf("   %d\n", semctl(sem, 0, GETVAL));
	}
	control(sem, 0, SETVAL, (void *)5);
	pid = fork_flushed();
	if (!pid) {
		op(0, -3, SEM_UNDO);
		if (!fork())
			_exit(0);
		wait(NULL);
		printf("   a child of its own undid nothing: %d\n", semctl(sem, 0, GETVAL));
		op(0, 3, SEM_UNDO);
		child_exit(0);
	}
	show_child("given back", pid);
	printf("   %d\n", semctl(sem, 0, GETVAL));
}

static void test_sem(void)
{
	pid_t pid;

	printf("-- semaphores\n");
	SHOW(semget(IPC_PRIVATE, 32001, IPC_CREAT | 0600));
	SHOW(semget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
	sem = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
	show_sem();
	test_sem_control();
	test_sem_ops();
	test_undo();
	pid = fork_flushed();
	if (!pid)
		child_exit(op(0, -30000, SEM_UNDO) ? errno : 0);
	while (semctl(sem, 0, GETNCNT) != 1)
		usleep(1000);
	SHOW(semctl(sem, 0, IPC_RMID));
	show_child("a waiter, its errno", pid);
	SHOW(semctl(sem, 0, IPC_RMID));
	SHOW(op(0, 1, 0));
}

/* ---- message queues ---------------------------------------------------------------------------------- */

static void show_msg(int id)
{
	struct msqid_ds ds;

	if (msgctl(id, IPC_STAT, &ds)) {
		printf("   %s\n", strerrorname_np(errno));
		return;
	}
	show_perm(&ds.msg_perm);
	printf("   sent %s by %s, received %s by %s, changed %s, %lu messages, %lu of %lu bytes\n",
	       when(ds.msg_stime), whose(ds.msg_lspid), when(ds.msg_rtime), whose(ds.msg_lrpid),
	       when(ds.msg_ctime), ds.msg_qnum, ds.__msg_cbytes, ds.msg_qbytes);
}

static void test_msg_errors(int id)
{
	struct letter m = { 1, "text" };
	struct msqid_ds ds;

	SHOW(msgsnd(NONE, &m, 4, 0));
	SHOW(msgsnd(-1, &m, 4, 0));
	SHOW(msgsnd(id, &m, (size_t)-1, 0));
	SHOW(msgsnd(id, BAD, 4, 0));
	SHOW(msgsnd(NONE, BAD, 4, 0));
	m.type = -1;
	SHOW(msgsnd(id, &m, 4, 0));
	SHOW(msgrcv(NONE, &m, 4, 0, 0));
	SHOW(msgrcv(-1, &m, 4, 0, 0));
	SHOW(msgrcv(id, &m, (size_t)-1, 0, 0));
	SHOW(msgrcv(id, &m, 4, 0, IPC_NOWAIT));
	SHOW(msgrcv(id, BAD, 4, 0, IPC_NOWAIT));
	SHOW(msgrcv(id, &m, 4, 0, MSG_COPY));
	SHOW(msgrcv(id, &m, 4, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT));
	SHOW(msgctl(NONE, IPC_STAT, &ds));
	SHOW(msgctl(NONE, IPC_SET, BAD));
	SHOW(msgctl(NONE, IPC_RMID, NULL));
	SHOW(msgctl(NONE, 99, NULL));
	SHOW(msgctl(-1, IPC_STAT, &ds));
	SHOW(msgctl(id, IPC_STAT, BAD));
	SHOW(msgctl(id, IPC_SET, BAD));
	SHOW(msgctl(0, IPC_INFO, BAD));
}

static void test_msg(void)
{
	int id = msgget(IPC_PRIVATE, 0640);
	struct letter m = { 5, "text" }, got = { 0, "" };
	struct msqid_ds ds;
	pid_t pid;

	printf("-- message queues\n");
	show_msg(id);
	test_msg_errors(id);
	m.type = 5;
	SHOW(msgsnd(id, &m, 4, 0));
	show_msg(id);
	SHOW(msgrcv(id, &got, 2, 5, 0));
	/* Bytes that cannot be put there are lost with their message. */
	SHOW(msgrcv(id, BAD, 4, 5, 0));
	show_msg(id);
	if (msgctl(id, IPC_STAT, &ds))
		return;
	ds.msg_qbytes = 10;
	ds.msg_perm.mode = 0606;
	SHOW(msgctl(id, IPC_SET, &ds));
	show_msg(id);
	SHOW(msgsnd(id, &m, 8, IPC_NOWAIT));
	SHOW(msgsnd(id, &m, 8, IPC_NOWAIT));
	SHOW(msgsnd(id, &m, 11, IPC_NOWAIT));
	alarm_in(30, SA_RESTART);
	SHOW(msgsnd(id, &m, 8, 0));
	SHOW(msgrcv(id, &got, 8, 9, 0));
	alarm_in(0, 0);
	pid = fork_flushed();
	if (!pid) {
		while (!msgsnd(id, &m, 8, 0))
			;
		/* It was removed before the call, or under it. */
		child_exit(errno == EIDRM || errno == EINVAL ? 0 : errno);
	}
	SHOW(msgrcv(id, &got, 8, 0, 0));
	SHOW(msgrcv(id, &got, 8, 0, 0));
	do
		msgctl(id, IPC_STAT, &ds);
	while (!ds.msg_qnum);
	usleep(5000);
	SHOW(msgctl(id, IPC_RMID, NULL));
	show_child("a sender", pid);
	SHOW(msgsnd(id, &m, 4, 0));
	SHOW(msgrcv(id, &got, 4, 0, 0));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_shm();
	test_sem();
	test_msg();
	return 0;
}
