/* SPDX-License-Identifier: MIT */
/* System V semaphores and message queues. */
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <time.h>

#include "progs.h"

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int id;

static int op(int number, int change, int flags)
{
	struct sembuf sb = { (unsigned short)number, (short)change, (short)flags };

	return semop(id, &sb, 1);
}

static void show_values(const char *what)
{
	unsigned short v[3];
	union semun arg = { .array = v };

	if (semctl(id, 0, GETALL, arg))
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %d %d %d\n", what, v[0], v[1], v[2]);
}

static void set_value(int number, int value)
{
	union semun arg = { .val = value };

	SHOW(semctl(id, number, SETVAL, arg));
}

static void test_ops(key_t key)
{
	struct sembuf both[2] = { { 0, -1, IPC_NOWAIT }, { 1, -1, IPC_NOWAIT } };
	struct sembuf many[501] = { 0 };
	struct timespec soon = { 0, 20000000 }, bad = { 0, -1 };

	SHOW(semget(key, 3, 0));
	SHOW(semget(key, 0, IPC_CREAT | 0600));
	SHOW(semget(key, -1, IPC_CREAT | 0600));
	id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0600);
	SHOW(semget(key, 3, IPC_CREAT | IPC_EXCL | 0600));
	SHOW(semget(key, 4, 0600));
	SHOW(semget(key, 2, 0600) == id);
	show_values("new");
	set_value(0, 2);
	set_value(2, 32768);
	set_value(2, -1);
	set_value(3, 1);
	SHOW(semop(id, both, 2));
	show_values("all or nothing");
	set_value(1, 1);
	SHOW(semop(id, both, 2));
	show_values("both");
	SHOW(op(1, 0, 0));
	SHOW(op(0, 0, IPC_NOWAIT));
	SHOW(op(3, 1, 0));
	SHOW(op(0, 32767, 0));
	SHOW(semop(id, many, 501));
	SHOW(semop(id, many, 0));
	SHOW(semop(id, (void *)8, 1));
	both[0].sem_op = -10;
	both[0].sem_flg = 0;
	SHOW(semtimedop(id, both, 1, &soon));
	SHOW(semtimedop(id, both, 1, &bad));
	SHOW(semctl(id, 0, GETPID) == getpid());
	SHOW(semctl(id, 5, GETVAL));
	SHOW(semctl(id, 0, 99));
}

static void alarmed(int number)
{
	(void)number;
}

static void test_waits(void)
{
	struct sigaction action = { .sa_handler = alarmed, .sa_flags = SA_RESTART };
	pid_t pid;

	set_value(0, 0);
	pid = fork_flushed();
	if (!pid)
		child_exit(op(0, -2, 0) ? 1 : 0);
	while (semctl(id, 0, GETNCNT) != 1)
		usleep(1000);
	SHOW(op(0, 1, 0));
	usleep(5000);
	SHOW(semctl(id, 0, GETNCNT));
	SHOW(op(0, 1, 0));
	show_child("taker", pid);
	set_value(0, 1);
	pid = fork_flushed();
	if (!pid)
		child_exit(op(0, 0, 0) ? 1 : 0);
	while (semctl(id, 0, GETZCNT) != 1)
		usleep(1000);
	SHOW(op(0, -1, 0));
	show_child("waits for zero", pid);
	/* The end of a process undoes, a kill as well. */
	set_value(0, 5);
	pid = fork_flushed();
	if (!pid) {
		op(0, -3, SEM_UNDO);
		op(1, 4, SEM_UNDO);
		raise(SIGKILL);
	}
	show_child("undone", pid);
	show_values("after it");
	SHOW(op(0, -5, SEM_UNDO));
	set_value(0, 1);
	/* Never restarted. The first may come before the call. */
	sigaction(SIGALRM, &action, NULL);
	ualarm(20000, 20000);
	SHOW(op(0, -2, 0));
	ualarm(0, 0);
	pid = fork_flushed();
	if (!pid) {
		int rc = op(0, -2, 0);

		printf("waiter of a removed set: %d %s\n", rc, strerrorname_np(errno));
		child_exit(0);
	}
	while (semctl(id, 0, GETNCNT) != 1)
		usleep(1000);
	SHOW(semctl(id, 0, IPC_RMID));
	show_child("it", pid);
	SHOW(op(0, 1, 0));
	show_values("gone");
}

struct letter {
	long type;
	char text[64];
};

static void show_letter(int queue, size_t size, long type, int flags)
{
	struct letter m = { 0 };
	ssize_t n = msgrcv(queue, &m, size, type, flags);

	if (n < 0)
		printf("receive %ld %#x: %s\n", type, (unsigned int)flags, strerrorname_np(errno));
	else
		printf("receive %ld %#x: %zd bytes of type %ld: %.*s\n", type, (unsigned int)flags,
		       n, m.type, (int)n, m.text);
}

static void test_queue(key_t key)
{
	struct sigaction action = { .sa_handler = alarmed, .sa_flags = SA_RESTART };
	struct letter m = { 1, "first" };
	static char large[9000];
	struct msqid_ds ds;
	int queue, sent = 0;
	pid_t pid;

	SHOW(msgget(key, 0));
	queue = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
	SHOW(msgget(key, IPC_CREAT | IPC_EXCL | 0600));
	SHOW(msgget(key, 0) == queue);
	SHOW(msgsnd(queue, &m, 5, 0));
	m = (struct letter){ 3, "third" };
	SHOW(msgsnd(queue, &m, 5, 0));
	m = (struct letter){ 2, "second" };
	SHOW(msgsnd(queue, &m, 6, 0));
	m.type = 0;
	SHOW(msgsnd(queue, &m, 6, 0));
	*(long *)large = 1;
	SHOW(msgsnd(queue, large, 8193, 0));
	SHOW(msgsnd(queue, (void *)8, 1, 0));
	SHOW(msgsnd(-1, &m, 1, 0));
	show_letter(queue, 64, 9, IPC_NOWAIT);
	show_letter(queue, 64, -3, 0);
	show_letter(queue, 3, -3, 0);
	show_letter(queue, 3, -3, MSG_NOERROR);
	m = (struct letter){ 7, "" };
	SHOW(msgsnd(queue, &m, 0, 0));
	show_letter(queue, 64, 3, MSG_EXCEPT);
	show_letter(queue, 64, 0, 0);
	show_letter(queue, 64, 0, IPC_NOWAIT);
	*(long *)large = 4;
	while (!msgsnd(queue, large, 1000, IPC_NOWAIT))
		sent++;
	printf("full after %d: %s\n", sent, strerrorname_np(errno));
	SHOW(msgctl(queue, IPC_STAT, &ds));
	printf("%lu messages, %lu of %lu bytes\n", ds.msg_qnum, ds.__msg_cbytes, ds.msg_qbytes);
	pid = fork_flushed();
	if (!pid)
		child_exit(msgsnd(queue, large, 1000, 0) ? 1 : 0);
	await_sleep(pid);
	while (sent--)
		msgrcv(queue, large, 1000, 0, 0);
	show_child("sender", pid);
	SHOW(msgrcv(queue, large, 1000, 0, 0));
	sigaction(SIGALRM, &action, NULL);
	ualarm(20000, 20000);
	show_letter(queue, 64, 0, 0);
	ualarm(0, 0);
	pid = fork_flushed();
	if (!pid) {
		show_letter(queue, 64, 0, 0);
		child_exit(0);
	}
	await_sleep(pid);
	SHOW(msgctl(queue, IPC_RMID, NULL));
	show_child("receiver of a removed queue", pid);
	SHOW(msgctl(queue, IPC_RMID, NULL));
	SHOW(msgctl(queue, 99, NULL));
}

int main(void)
{
	key_t key = 0x554d0000 ^ getpid();

	test_ops(key);
	test_waits();
	test_queue(key);
	return 0;
}
