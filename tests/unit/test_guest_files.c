/* SPDX-License-Identifier: MIT */
/* Descriptor tables: numbers, duplicates, limits, close-on-exec, fork, record locks. */
#include <sys/syscall.h>

#include "tests/unit/guest_task.h"

static void test_lowest_number(void)
{
	struct guest_unit u;
	int i;

	guest_unit_open(&u);
	for (i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(guest_open(&u, "/dev/null", O_RDONLY), i);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close, 1), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close, 3), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close, 3), -EBADF);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup, 0), 1);
	CU_ASSERT_EQUAL(guest_open(&u, "/dev/null", O_RDONLY), 3);
	CU_ASSERT_EQUAL(guest_open(&u, "/dev/null", O_RDONLY), 5);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, 0, F_DUPFD, 20), 20);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, 0, F_DUPFD, 20), 21);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup, 0), 6);
	guest_unit_close(&u);
}

static void test_limit(void)
{
	struct guest_unit u;
	int i;

	guest_unit_open(&u);
	u.t->proc->rlim[RLIMIT_NOFILE].rlim_cur = 8;
	for (i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(guest_open(&u, "/dev/null", O_RDONLY), i);
	CU_ASSERT_EQUAL(guest_open(&u, "made", O_CREAT | O_WRONLY), -EMFILE);
	CU_ASSERT_NOT_EQUAL(access("made", F_OK), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, pipe2, u.buf.v, 0), -EMFILE);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup2, 0, 8), -EBADF);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, 0, F_DUPFD, 8), -EINVAL);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close, 7), 0);
	/* One free number is not enough for a pipe, and is free afterwards. */
	CU_ASSERT_EQUAL(GUEST_CALL(&u, pipe2, u.buf.v, 0), -EMFILE);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup, 0), 7);
	guest_unit_close(&u);
}

static void test_dup2(void)
{
	struct guest_unit u;
	struct gfile *a, *b;

	guest_unit_open(&u);
	guest_open(&u, "/dev/null", O_RDONLY);
	guest_open(&u, "/dev/zero", O_RDONLY);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup2, 0, 1), 1);
	a = files_lookup(u.t->files, 0);
	b = files_lookup(u.t->files, 1);
	CU_ASSERT_PTR_EQUAL(a, b);
	gfile_put(a);
	gfile_put(b);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup2, 0, 0), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup2, 9, 9), -EBADF);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup2, 9, 0), -EBADF);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup3, 0, 0, 0), -EINVAL);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup3, 0, 5, O_CLOEXEC), 5);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, 5, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, dup2, 5, 6), 6);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, 6, F_GETFD), 0);
	guest_unit_close(&u);
}

static void test_fork_and_exec(void)
{
	struct guest_unit u;
	struct files *child;

	guest_unit_open(&u);
	guest_open(&u, "/dev/null", O_RDONLY);
	guest_open(&u, "/dev/null", O_RDONLY | O_CLOEXEC);
	guest_open(&u, "/dev/null", O_RDONLY);
	CU_ASSERT_EQUAL(files_fork(u.t->files, &child), 0);
	CU_ASSERT_EQUAL(files_close(u.t->files, 0), 0);
	CU_ASSERT_EQUAL(files_next(child, 0), 0);
	files_close_on_exec(child);
	CU_ASSERT_EQUAL(files_next(child, 1), 2);
	CU_ASSERT_EQUAL(files_next(u.t->files, 0), 1);
	files_put(child);
	guest_unit_close(&u);
}

static void test_close_range(void)
{
	struct guest_unit u;
	int i;

	guest_unit_open(&u);
	for (i = 0; i < 10; i++)
		guest_open(&u, "/dev/null", O_RDONLY);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close_range, 5, 4, 0), -EINVAL);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close_range, 3, 6, 0), 0);
	CU_ASSERT_EQUAL(files_next(u.t->files, 3), 7);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close_range, 8, ~0u, 4 /* CLOEXEC */), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, 7, F_GETFD), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, 9, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close_range, 0, ~0u, 0), 0);
	CU_ASSERT_EQUAL(files_next(u.t->files, 0), -1);
	guest_unit_close(&u);
}

/* A record lock of this process on the whole file, as seen by another process. */
static bool locked_elsewhere(const char *name)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(name, O_RDWR);
	bool locked;

	locked = fcntl(fd, F_OFD_SETLK, &fl) && (errno == EAGAIN || errno == EACCES);
	close(fd);
	return locked;
}

static void test_record_locks(void)
{
	struct guest_unit u;
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct files *child, *parent;
	uint64_t user;
	int a, b;

	guest_unit_open(&u);
	a = guest_open(&u, "db", O_RDWR | O_CREAT);
	b = guest_open(&u, "db", O_RDONLY);
	user = guest_put(&u, 4096, &fl, sizeof(fl));
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, (uint64_t)b, F_SETLK, user), -EBADF);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, (uint64_t)a, F_SETLK, user), 0);
	CU_ASSERT_TRUE(locked_elsewhere("db"));
	/* Another process of the guest, with the same open file: refused. */
	CU_ASSERT_EQUAL(files_fork(u.t->files, &child), 0);
	parent = u.t->files;
	u.t->files = child;
	CU_ASSERT_EQUAL(GUEST_CALL(&u, fcntl, (uint64_t)a, F_SETLK, user), -EAGAIN);
	u.t->files = parent;
	files_put(child);
	CU_ASSERT_TRUE(locked_elsewhere("db"));
	/* Closing any descriptor of the file lets all locks of the process go. */
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close, (uint64_t)b), 0);
	CU_ASSERT_FALSE(locked_elsewhere("db"));
	guest_unit_close(&u);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "the lowest free number", test_lowest_number },
		{ "RLIMIT_NOFILE", test_limit },
		{ "dup2 and dup3", test_dup2 },
		{ "fork copies, exec closes", test_fork_and_exec },
		{ "close_range", test_close_range },
		{ "record locks belong to a process", test_record_locks },
	};

	return unit_run("guest_files", tests, ARRAY_LEN(tests), argc, argv);
}
