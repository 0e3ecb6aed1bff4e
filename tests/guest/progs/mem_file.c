/* SPDX-License-Identifier: MIT */
/* File mappings: coherence with read and write, sharing, truncation, memfd, shared anonymous. */
#include <sys/uio.h>

#include "progs.h"

#define RW (PROT_READ | PROT_WRITE)

static void test_coherence(void)
{
	int fd = file_make("coherent", 4), other = open("coherent", O_RDWR);
	char *shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	char *twin = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, other, 0);
	char *private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char buffer[8] = "";

	memcpy(shared + 10, "stored", 6);
	SHOW(pread(other, buffer, 6, 10));
	printf("read sees the store: %s\n", buffer);
	printf("the twin sees it: %.6s\n", twin + 10);
	printf("the untouched private mapping sees it: %.6s\n", private + 10);
	SHOW(pwrite(other, "WRITE", 5, PAGE + 3));
	printf("the mapping sees the write: %.5s\n", shared + PAGE + 3);
	private[PAGE] = 'P';
	SHOW(pwrite(other, "again", 5, PAGE + 3));
	printf("a private copy does not: %.5s\n", private + PAGE + 3);
	printf("nor the file the private store: %c\n", twin[PAGE]);
	printf("across pages: ");
	SHOW(pwrite(other, "0123456789", 10, 3 * PAGE - 5));
	printf("%.10s\n", shared + 3 * PAGE - 5);
	SHOW(munmap(shared, 4 * PAGE));
	SHOW(pread(fd, buffer, 6, 10));
	printf("kept after munmap: %.6s\n", buffer);
	munmap(twin, 4 * PAGE);
	munmap(private, 4 * PAGE);
	close(fd);
	close(other);
}

/* Reading a file into its own mapping and writing it from there. */
static void test_self_io(void)
{
	int fd = file_make("selfio", 4);
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	struct iovec parts[2] = { { p + 2 * PAGE + 100, 50 }, { p, 50 } };

	SHOW(pread(fd, p, PAGE, PAGE));
	printf("%c%c\n", p[0], p[PAGE - 1]);
	SHOW(pwrite(fd, p + 2 * PAGE, PAGE, 3 * PAGE));
	printf("%c\n", p[3 * PAGE]);
	SHOW(pwritev(fd, parts, 2, PAGE));
	printf("%c%c%c\n", p[PAGE], p[PAGE + 50], p[PAGE + 100]);
	munmap(p, 4 * PAGE);
	close(fd);
}

static void test_truncate(void)
{
	int fd = file_make("truncated", 4);
	char *p = mmap(NULL, 6 * PAGE, RW, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);

	private[2 * PAGE] = 'Q';
	try_read("last page", p + 3 * PAGE, p);
	try_read("behind the end", p + 4 * PAGE, p);
	try_write("behind the end", p + 5 * PAGE + 7, 1, p);
	SHOW(ftruncate(fd, PAGE + 100));
	try_read("kept", p + PAGE, p);
	try_read("the rest of the last page is zero", p + PAGE + 100, p);
	try_read("cut off", p + 2 * PAGE, p);
	try_write("cut off", p + 3 * PAGE + 1, 1, p);
	try_read("private, cut off", private + 3 * PAGE, private);
	try_read("private copy, cut off", private + 2 * PAGE, private);
	SHOW(ftruncate(fd, 4 * PAGE));
	try_read("grown again: zero", p + PAGE + 100, p);
	try_read("grown again: zero", p + 2 * PAGE, p);
	try_write("grown again", p + 3 * PAGE, 5, p);
	SHOW(munmap(p, 6 * PAGE));
	SHOW(munmap(private, 4 * PAGE));
	close(fd);
}

/* Stores behind the end within the last page stay in the page, never in the file. */
static void test_odd_end(void)
{
	int fd = file_make("odd", 1);
	char *p, buffer[16] = "";
	struct stat st;

	SHOW(ftruncate(fd, 100));
	p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	p[99] = 'E';
	p[150] = 'X';
	SHOW(msync(p, PAGE, MS_SYNC));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size);
	munmap(p, PAGE);
	SHOW(pread(fd, buffer, 16, 95));
	printf("%.5s\n", buffer);
	SHOW(write(fd, "x", 1));
	close(fd);
}

static void test_closed_and_unlinked(void)
{
	int fd = file_make("gone", 2);
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);

	SHOW(close(fd));
	SHOW(unlink("gone"));
	p[0] = 'G';
	printf("%c%c\n", p[0], p[PAGE]);
	SHOW(madvise(p, 2 * PAGE, MADV_PAGEOUT));
	printf("%c%c\n", p[0], p[PAGE]);
	munmap(p, 2 * PAGE);
}

static void test_memfd(void)
{
	int fd = memfd_create("self-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *p, byte = 0;
	pid_t pid;

	SHOW(ftruncate(fd, 3 * PAGE));
	p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	printf("zero: %d\n", p[2 * PAGE]);
	p[PAGE] = 'm';
	SHOW(pread(fd, &byte, 1, PAGE));
	printf("%c\n", byte);
	pid = fork_flushed();
	if (!pid) {
		p[0] = 'c';
		child_exit(0);
	}
	show_child("child", pid);
	printf("the child's store: %c\n", p[0]);
	SHOW(fcntl(fd, F_GET_SEALS));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	SHOW(ftruncate(fd, 4 * PAGE));
	SHOW(memfd_create("x", 0x4000));
	munmap(p, 3 * PAGE);
	close(fd);
}

static void test_shared_anonymous(void)
{
	volatile char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	p[0] = 1;
	pid = fork_flushed();
	if (!pid) {
		p[PAGE] = 2;
		p[0] = 3;
		child_exit(p[0]);
	}
	show_child("child", pid);
	printf("%d %d %d\n", p[0], p[PAGE], p[2 * PAGE]);
	munmap((void *)p, 4 * PAGE);
}

static void test_private_file_cow(void)
{
	int fd = file_make("cow_file", 3);
	char *p = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0), byte;
	pid_t pid;

	p[0] = '1';
	pid = fork_flushed();
	if (!pid) {
		p[0] = '2';
		p[PAGE] = '3';
		printf("child: %c%c%c\n", p[0], p[PAGE], p[2 * PAGE]);
		child_exit(0);
	}
	show_child("child", pid);
	printf("parent: %c%c%c\n", p[0], p[PAGE], p[2 * PAGE]);
	SHOW(pread(fd, &byte, 1, 0));
	printf("file: %c\n", byte);
	munmap(p, 3 * PAGE);
	close(fd);
}

int main(void)
{
	fault_catch();
	test_coherence();
	test_self_io();
	test_truncate();
	test_odd_end();
	test_closed_and_unlinked();
	test_memfd();
	test_shared_anonymous();
	test_private_file_cow();
	return 0;
}
