/* SPDX-License-Identifier: MIT */
/*
 * Locks on files, one call after the other: flock(), record locks of processes and of open file
 * descriptions, what conflicts with what, who is told to hold one, waits, deadlocks and what ends
 * a lock.
 */
#include <sys/file.h>

#include "calls.h"

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = {
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	return fcntl(fd, cmd, &fl);
}

/* What stands in the way of a lock for writing. */
static void show_holder(int fd, int cmd, off_t start, off_t len, pid_t child)
{
	struct flock fl = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	if (fcntl(fd, cmd, &fl))
		printf("   %s\n", strerrorname_np(errno));
	else if (fl.l_type == F_UNLCK)
		printf("   nobody, whence %d start %ld length %ld\n", fl.l_whence, (long)fl.l_start,
		       (long)fl.l_len);
	else
		printf("   %s, whence %d start %ld length %ld, %s\n",
		       fl.l_type == F_RDLCK ? "read" : "write", fl.l_whence, (long)fl.l_start,
		       (long)fl.l_len,
		       fl.l_pid == -1         ? "a description"
		       : fl.l_pid == getpid() ? "this process"
		       : fl.l_pid == child    ? "the other"
					      : "somebody");
}

/* A child that makes a lock with @take and holds it until it is killed. */
static pid_t holder(void (*take)(int fd), int fd)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		exit(2);
	pid = fork_flushed();
	if (!pid) {
		take(fd);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(ready[0], &c, 1) != 1)
		exit(2);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- flock ------------------------------------------------------------------------------------ */

static void take_whole(int fd)
{
	(void)fd;
	flock(open("locked", O_RDONLY), LOCK_EX);
}

static void take_shared(int fd)
{
	(void)fd;
	flock(open("locked", O_RDONLY), LOCK_SH);
}

static void test_flock(void)
{
	int a = open("locked", O_RDWR), b = open("locked", O_RDONLY), c, p[2];
	pid_t pid;

	printf("-- flock\n");
	SHOW(flock(-1, LOCK_EX));
	SHOW(flock(a, 0));
	SHOW(flock(a, LOCK_EX | LOCK_SH | LOCK_NB));
	SHOW(flock(a, 64));
	SHOW(flock(open("locked", O_PATH), LOCK_EX));
	if (pipe(p))
		exit(2);
	SHOW(flock(p[0], LOCK_EX | LOCK_NB));
	SHOW(flock(p[0], LOCK_UN));
	SHOW(flock(a, LOCK_EX));
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(a, LOCK_SH));
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	/* What failed to become exclusive has lost what it had. */
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	SHOW(flock(a, LOCK_SH | LOCK_NB));
	/* A duplicate is the same lock, and the last close ends it. */
	c = dup(b);
	SHOW(flock(c, LOCK_SH));
	close(b);
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	close(c);
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	SHOW(flock(a, LOCK_UN));
	SHOW(flock(a, LOCK_UN));
	pid = holder(take_whole, -1);
	SHOW(flock(a, LOCK_SH | LOCK_NB));
	alarm_in(30, 0);
	SHOW(flock(a, LOCK_SH));
	alarm_in(0, 0);
	/* Record locks are another kind. */
	SHOW(lock(a, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(a, F_SETLK, F_UNLCK, 0, 0));
	end(pid);
	SHOW(flock(a, LOCK_EX));
	SHOW(flock(a, LOCK_UN));
	pid = holder(take_shared, -1);
	SHOW(flock(a, LOCK_SH | LOCK_NB));
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	end(pid);
	close(a);
	close(p[0]);
	close(p[1]);
}

/* ---- record locks ------------------------------------------------------------------------------- */

static void take_middle(int fd)
{
	lock(fd, F_SETLK, F_WRLCK, 100, 50);
	lock(fd, F_SETLK, F_RDLCK, 200, 50);
}

static void test_mistakes(void)
{
	int rw = open("locked", O_RDWR), r = open("locked", O_RDONLY), p[2];
	int w = open("locked", O_WRONLY);
	struct flock fl = { .l_type = F_WRLCK };

	printf("-- record locks: mistakes\n");
	SHOW(lock(-1, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(r, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(w, F_SETLK, F_RDLCK, 0, 0));
	SHOW(lock(r, F_SETLK, F_RDLCK, 0, 0));
	SHOW(lock(r, F_SETLK, F_UNLCK, 0, 0));
	SHOW(lock(rw, F_SETLK, 7, 0, 0));
	SHOW(lock(rw, F_GETLK, 7, 0, 0));
	SHOW(lock(rw, F_GETLK, F_UNLCK, 0, 0));
	SHOW(lock(rw, F_SETLK, F_WRLCK, -1, 0));
	SHOW(lock(rw, F_SETLK, F_WRLCK, 10, -20));
	SHOW(lock(rw, F_SETLK, F_WRLCK, INT64_MAX, 10));
	SHOW(fcntl(rw, F_SETLK, BAD));
	SHOW(fcntl(rw, F_GETLK, BAD));
	SHOW(fcntl(rw, F_OFD_SETLK, BAD));
	SHOW(fcntl(-1, F_SETLK, BAD));
	fl.l_whence = 9;
	SHOW(fcntl(rw, F_SETLK, &fl));
	SHOW(fcntl(rw, F_GETLK, &fl));
	fl.l_whence = SEEK_CUR;
	fl.l_start = -1;
	SHOW(fcntl(rw, F_SETLK, &fl));
	fl.l_whence = SEEK_SET;
	fl.l_start = 0;
	fl.l_pid = 5;
	SHOW(fcntl(rw, F_OFD_SETLK, &fl));
	SHOW(fcntl(rw, F_OFD_GETLK, &fl));
	SHOW(fcntl(rw, F_SETLK, &fl));
	SHOW(lock(rw, F_SETLK, F_UNLCK, 0, 0));
	SHOW(lock(r, F_OFD_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(rw, F_OFD_GETLK, F_UNLCK, 0, 0));
	if (pipe(p))
		exit(2);
	SHOW(lock(p[0], F_SETLK, F_RDLCK, 0, 0));
	close(rw);
	close(r);
	close(w);
	close(p[0]);
	close(p[1]);
}

static void test_records(void)
{
	int fd = open("locked", O_RDWR), other;
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 5, .l_len = 5 };
	pid_t pid = holder(take_middle, fd);

	printf("-- record locks\n");
	show_holder(fd, F_GETLK, 0, 0, pid);
	show_holder(fd, F_GETLK, 120, 0, pid);
	show_holder(fd, F_GETLK, 150, 0, pid);
	show_holder(fd, F_GETLK, 0, 100, pid);
	show_holder(fd, F_OFD_GETLK, 0, 0, pid);
	SHOW(lock(fd, F_SETLK, F_RDLCK, 140, 20));
	SHOW(lock(fd, F_SETLK, F_RDLCK, 210, 20));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 210, 20));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 250, -1));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(fd, F_OFD_SETLK, F_WRLCK, 100, 10));
	alarm_in(30, 0);
	SHOW(lock(fd, F_SETLKW, F_WRLCK, 100, 10));
	SHOW(lock(fd, F_OFD_SETLKW, F_WRLCK, 100, 10));
	alarm_in(0, 0);
	end(pid);
	SHOW(lock(fd, F_SETLKW, F_WRLCK, 100, 10));
	show_holder(fd, F_GETLK, 0, 0, pid);
	/* Of a description, also of this process. */
	show_holder(fd, F_OFD_GETLK, 0, 0, pid);
	SHOW(lseek(fd, 50, SEEK_SET));
	SHOW(fcntl(fd, F_SETLK, &fl));
	fl.l_whence = SEEK_END;
	fl.l_start = -10;
	SHOW(fcntl(fd, F_SETLK, &fl));
	pid = fork_flushed();
	if (!pid) {
		show_holder(fd, F_GETLK, 0, 0, getppid());
		show_holder(fd, F_GETLK, 50, 20, getppid());
		show_holder(fd, F_GETLK, 1000, 0, getppid());
		SHOW(lock(fd, F_SETLK, F_UNLCK, 0, 0));
		show_holder(fd, F_GETLK, 50, 20, getppid());
		child_exit(0);
	}
	show_child("the locks are not its", pid);
	/* Any descriptor that is closed ends them. */
	other = open("locked", O_RDONLY);
	close(other);
	pid = fork_flushed();
	if (!pid) {
		show_holder(fd, F_GETLK, 0, 0, getppid());
		child_exit(0);
	}
	show_child("closed", pid);
	close(fd);
}

/* Waits for a lock that @first gives back: it has to be had then. */
static void test_handed_over(int cmd)
{
	int fd = open("locked", O_RDWR), mine;
	pid_t pid;

	SHOW(lock(fd, cmd == F_SETLKW ? F_SETLK : F_OFD_SETLK, F_WRLCK, 0, 10));
	pid = fork_flushed();
	if (!pid) {
		mine = open("locked", O_RDWR);
		alarm_in(60000, 0);
		child_exit(lock(mine, cmd, F_WRLCK, 5, 10) ? 1 : 0);
	}
	await_sleep(pid);
	SHOW(lock(fd, cmd == F_SETLKW ? F_SETLK : F_OFD_SETLK, F_UNLCK, 0, 10));
	show_child("had it then", pid);
	close(fd);
}

static void test_descriptions(void)
{
	int a = open("locked", O_RDWR), b = open("locked", O_RDWR), c;
	pid_t pid;

	printf("-- locks of descriptions\n");
	SHOW(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	SHOW(lock(b, F_OFD_SETLK, F_WRLCK, 5, 10));
	SHOW(lock(b, F_OFD_SETLK, F_RDLCK, 5, 10));
	SHOW(lock(b, F_SETLK, F_WRLCK, 5, 10));
	show_holder(b, F_GETLK, 0, 0, 0);
	show_holder(b, F_OFD_GETLK, 0, 0, 0);
	c = dup(a);
	SHOW(lock(c, F_OFD_SETLK, F_RDLCK, 0, 5));
	close(c);
	SHOW(lock(b, F_OFD_SETLK, F_RDLCK, 0, 5));
	SHOW(lock(b, F_OFD_SETLK, F_RDLCK, 0, 6));
	pid = fork_flushed();
	if (!pid) {
		SHOW(lock(a, F_OFD_SETLK, F_UNLCK, 0, 0));
		child_exit(0);
	}
	show_child("a child gives them back", pid);
	SHOW(lock(b, F_OFD_SETLK, F_WRLCK, 0, 20));
	close(b);
	SHOW(lock(a, F_OFD_SETLK, F_WRLCK, 0, 20));
	close(a);
	test_handed_over(F_OFD_SETLKW);
	test_handed_over(F_SETLKW);
}

/* ---- deadlocks -------------------------------------------------------------------------------- */

#define RING_MAX 5

/* Each locks its own byte, then the next one's: just one of them closes the circle. */
static int ring_member(int i, int nr, int ready, int go)
{
	int fd = open("locked", O_RDWR);
	char c;

	if (lock(fd, F_SETLK, F_WRLCK, i, 1))
		return 2;
	if (write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
		return 2;
	alarm_in(60000, 0);
	if (!lock(fd, F_SETLKW, F_WRLCK, (i + 1) % nr, 1))
		return 0;
	return errno == EDEADLK ? 1 : 3;
}

static void test_ring(int nr)
{
	int ready[2], go[2], i, status, ends[4] = { 0 };
	char c;

	if (pipe(ready) || pipe(go))
		exit(2);
	fflush(stdout);
	for (i = 0; i < nr; i++)
		if (!fork())
			_exit(ring_member(i, nr, ready[1], go[0]));
	for (i = 0; i < nr; i++)
		if (read(ready[0], &c, 1) != 1)
			exit(2);
	if (write(go[1], "xxxxxxxx", (size_t)nr) != nr)
		exit(2);
	for (i = 0; i < nr; i++)
		if (wait(&status) > 0)
			ends[WEXITSTATUS(status) & 3]++;
	printf("%d in a circle: %d had the lock, %d EDEADLK, %d other, %d interrupted\n", nr,
	       ends[0], ends[1], ends[2], ends[3]);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	close(file_make("locked", 1));
	test_flock();
	test_mistakes();
	test_records();
	test_descriptions();
	printf("-- deadlocks\n");
	test_ring(2);
	test_ring(RING_MAX);
	return 0;
}
