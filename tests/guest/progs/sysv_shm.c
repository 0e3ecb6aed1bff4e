/* SPDX-License-Identifier: MIT */
/* System V shared memory: rights to attach, what forks and ends do, the life of a removed one. */
#include <sys/ipc.h>
#include <sys/shm.h>

#include "progs.h"

static int id;

static void show_segment(const char *what)
{
	struct shmid_ds ds;

	if (shmctl(id, IPC_STAT, &ds)) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: size %zu, attached %lu, mode %o, key %s, cpid %s, lpid %s\n", what,
	       ds.shm_segsz, (unsigned long)ds.shm_nattch, ds.shm_perm.mode,
	       ds.shm_perm.__key ? "yes" : "no", ds.shm_cpid == getpid() ? "mine" : "other",
	       ds.shm_lpid ? "set" : "none");
}

/* What /proc/sysvipc/shm says of the segment: all but times and what is in memory. */
static void show_row(key_t key)
{
	char line[512];
	FILE *f = fopen("/proc/sysvipc/shm", "r");
	int row_key, row_id, end = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "shmid"))
			printf("%s", line);
		if (sscanf(line, "%d %d %n", &row_key, &row_id, &end) < 2 || row_key != key ||
		    row_id != id)
			continue;
		line[end + 25] = 0;
		printf("row: %s\n", line + end);
	}
	if (f)
		fclose(f);
}

static void test_get(key_t key)
{
	SHOW(shmget(key, 4096, 0600));
	SHOW(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
	id = shmget(key, 5 * PAGE + 100, IPC_CREAT | IPC_EXCL | 0640);
	printf("made: %d\n", id >= 0);
	SHOW(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600));
	SHOW(shmget(key, 6 * PAGE, 0));
	SHOW(shmget(key, 7 * PAGE, IPC_CREAT | 0600));
	SHOW(shmget(key, 0, 0) == id);
	SHOW(shmget(key, 4096, IPC_CREAT | 0600) == id);
	show_segment("new");
	show_row(key);
}

static void test_attach(void)
{
	char *room = arena(64), *p, *q;

	show_address("at a hint", shmat(id, room, 0), room);
	SHOW(shmat(id, room + PAGE, 0) == (void *)-1);
	SHOW(shmat(id, room + 100, 0) == (void *)-1);
	show_address("rounded", shmat(id, room + 10 * PAGE + 100, SHM_RND), room);
	show_address("remap", shmat(id, room + 8 * PAGE, SHM_REMAP | SHM_RDONLY), room);
	SHOW(shmat(id, NULL, SHM_REMAP) == (void *)-1);
	SHOW(shmat(-1, NULL, 0) == (void *)-1);
	SHOW(shmat(id + 1000, NULL, 0) == (void *)-1);
	show_segment("three");
	fault_catch();
	memset(room, 'x', 6 * PAGE);
	try_read("through the second", room + 8 * PAGE + 3 * PAGE, room);
	try_write("read only", room + 8 * PAGE, 1, room);
	try_read("past the end", room + 6 * PAGE, room);
	SHOW(mprotect(room + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	SHOW(shmdt(room + PAGE));
	SHOW(shmdt(room + 100));
	SHOW(munmap(room + 2 * PAGE, PAGE));
	show_segment("with a hole");
	SHOW(shmdt(room));
	show_segment("detached");
	SHOW(shmdt(room));
	SHOW(shmdt(room + 8 * PAGE));
	show_segment("all detached");
	p = shmat(id, NULL, 0);
	q = shmat(id, NULL, 0);
	p[5] = 42;
	printf("both: %d\n", q[5]);
	SHOW(shmdt(q));
	SHOW(shmdt(p));
}

static void test_fork_and_exit(void)
{
	char *p = shmat(id, NULL, 0);
	pid_t pid;

	p[0] = 1;
	pid = fork_flushed();
	if (!pid) {
		show_segment("in the child");
		p[0] = 2;
		child_exit(shmdt(p));
	}
	show_child("child", pid);
	printf("it stored %d\n", p[0]);
	pid = fork_flushed();
	if (!pid)
		child_exit(0);
	show_child("child that leaves it attached", pid);
	show_segment("after");
	SHOW(shmctl(id, IPC_RMID, NULL));
	show_segment("removed while attached");
	pid = fork_flushed();
	if (!pid) {
		char *again = shmat(id, NULL, 0);

		printf("attached again: %d, reads %d\n", again != (void *)-1, again[0]);
		child_exit(0);
	}
	show_child("late child", pid);
	p[1] = 3;
	SHOW(shmdt(p));
	show_segment("gone");
	SHOW(shmctl(id, IPC_RMID, NULL));
}

static void test_control(key_t key)
{
	struct shmid_ds ds;
	struct shminfo limits;

	id = shmget(key, 4096, IPC_CREAT | 0600);
	SHOW(shmctl(id, IPC_STAT, &ds));
	ds.shm_perm.mode = 0444;
	SHOW(shmctl(id, IPC_SET, &ds));
	show_segment("mode");
	SHOW(shmctl(id, SHM_LOCK, NULL));
	show_segment("locked");
	SHOW(shmctl(id, SHM_UNLOCK, NULL));
	SHOW(shmctl(id, 77, NULL));
	SHOW(shmctl(id, IPC_STAT, (void *)8));
	SHOW(shmctl(-1, IPC_RMID, NULL));
	SHOW(shmctl(0, IPC_INFO, (void *)&limits) >= 0);
	printf("limits: %lu %lu %lu\n", limits.shmmax, limits.shmmin, limits.shmmni);
	SHOW(shmctl(id, IPC_RMID, NULL));
	SHOW(shmget(key, 0, 0));
}

int main(void)
{
	key_t key = 0x554d0000 ^ getpid();

	test_get(key);
	test_attach();
	test_fork_and_exit();
	test_control(key);
	return 0;
}
