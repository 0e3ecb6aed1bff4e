/* SPDX-License-Identifier: MIT */
/* /proc/PID/mem: reading and writing memory, one's own and a child's, past its protection. */
#include "progs.h"

#define RW (PROT_READ | PROT_WRITE)

/* A bad buffer, which the compiler is not to see through. */
static void *volatile nowhere = (void *)8;
static int own;

static void show_read(const char *what, const void *p, size_t len)
{
	char buf[4 * PAGE];
	ssize_t n;

	errno = 0;
	n = pread(own, buf, len, (off_t)(uintptr_t)p);
	if (n > 0)
		printf("read %s: %zd bytes, first %d, last %d\n", what, n, buf[0], buf[n - 1]);
	else
		printf("read %s: %zd %s\n", what, n, n < 0 ? strerrorname_np(errno) : "");
}

static void show_write(const char *what, void *p, int value, size_t len)
{
	char buf[4 * PAGE];
	ssize_t n;

	memset(buf, value, sizeof(buf));
	errno = 0;
	n = pwrite(own, buf, len, (off_t)(uintptr_t)p);
	printf("write %s: %zd %s\n", what, n, n < 0 ? strerrorname_np(errno) : "");
}

static void test_protection(void)
{
	char *base = arena(16), *p;

	p = mmap(base, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	show_read("untouched", p, 8);
	show_write("writable", p, 5, 10);
	printf("which is seen: %d\n", p[9]);
	show_read("it", p, 12);
	mprotect(p, 2 * PAGE, PROT_READ);
	show_write("read-only", p + PAGE - 4, 6, 8);
	printf("which is seen: %d %d\n", p[PAGE - 1], p[PAGE + 3]);
	mprotect(p, 2 * PAGE, PROT_NONE);
	show_read("without any access", p + PAGE - 4, 8);
	show_write("without any access", p, 7, 8);
	show_read("that", p, 8);
	mprotect(p, 2 * PAGE, PROT_READ);
	printf("which is seen: %d\n", p[7]);
	/* Still nobody else may store there. */
	fault_catch();
	try_write("a store", p, 1, base);
	show_read("up to the end", p + 3 * PAGE, 3 * PAGE);
	show_read("up to the end, amid a page", p + 4 * PAGE - 16, 64);
	show_write("up to the end", p + 4 * PAGE - 16, 8, 64);
	show_read("behind it", p + 4 * PAGE, 8);
	show_write("behind it", p + 4 * PAGE, 8, 8);
	show_read("nothing", p, 0);
	munmap(p, 4 * PAGE);
	show_read("what is gone", p, 8);
}

static void test_files(void)
{
	int fd = file_make("file", 2), ro = open("file", O_RDONLY);
	char *priv = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	char *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char *other = mmap(NULL, PAGE, RW, MAP_SHARED, fd, (off_t)PAGE);
	char *locked = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0), c = 0;

	show_read("a file", priv, 8);
	show_write("a private mapping of it", priv, 'X', 1);
	show_write("a shared one that is read-only", shared, 'Y', 1);
	show_write("one that cannot be written", locked, 'Z', 1);
	show_write("one that can", other, 'W', 1);
	printf("they read %c %c %c %c\n", priv[0], shared[0], locked[0], other[0]);
	SHOW(pread(fd, &c, 1, 0));
	printf("the file has %c\n", c);
	SHOW(pread(fd, &c, 1, (off_t)PAGE));
	printf("and %c\n", c);
	munmap(priv, PAGE);
	munmap(shared, PAGE);
	munmap(other, PAGE);
	munmap(locked, PAGE);
	close(fd);
	close(ro);
}

static void test_position(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), buf[16];
	off_t at = (off_t)(uintptr_t)p;

	p[0] = 1;
	p[4] = 2;
	p[12] = 3;
	printf("seek: %d\n", lseek(own, at, SEEK_SET) == at);
	SHOW(read(own, buf, 4));
	SHOW(read(own, buf, 1));
	printf("then %d\n", buf[0]);
	printf("on: %d\n", lseek(own, 7, SEEK_CUR) == at + 12);
	SHOW(write(own, "\4", 1));
	printf("now %d, at %ld\n", p[12], (long)(lseek(own, 0, SEEK_CUR) - at));
	SHOW(lseek(own, 0, SEEK_END));
	SHOW(pread(own, nowhere, 8, at));
	SHOW(pwrite(own, nowhere, 8, at));
	SHOW(pread(own, buf, 8, 0));
	SHOW(pread(own, buf, 8, INT64_MAX - 16));
	SHOW(pread(own, buf, 8, (off_t)1 << 47));
	munmap(p, 2 * PAGE);
}

/* A child's memory is its own: what is stored there is not seen here. */
static void test_child(void)
{
	char *p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), path[64], c = 0;
	int go[2], fd;
	pid_t pid;

	p[0] = 11;
	if (pipe(go))
		exit(2);
	pid = fork_flushed();
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) >= 0)
			printf("the child has %d\n", p[0]);
		child_exit(0);
	}
	close(go[0]);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR);
	SHOW(pread(fd, &c, 1, (off_t)(uintptr_t)p));
	SHOW(pwrite(fd, "\x16", 1, (off_t)(uintptr_t)p));
	printf("read %d, ours is %d\n", c, p[0]);
	close(go[1]);
	show_child("child", pid);
	SHOW(pread(fd, &c, 1, (off_t)(uintptr_t)p));
	SHOW(pwrite(fd, "\x16", 1, (off_t)(uintptr_t)p));
	close(fd);
	SHOW(open(path, O_RDONLY));
	munmap(p, PAGE);
}

int main(void)
{
	own = open("/proc/self/mem", O_RDWR);
	test_protection();
	test_files();
	test_position();
	test_child();
	return 0;
}
