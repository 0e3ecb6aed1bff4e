/* SPDX-License-Identifier: MIT */
/* madvise: what each advice does to contents, residency, forks and errors. */
#include "progs.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static char *map_filled(int pages)
{
	char *p = mmap(NULL, (size_t)pages * PAGE, RW, ANON, -1, 0);
	int i;

	for (i = 0; i < pages; i++)
		memset(p + i * (long)PAGE, 'A' + i, PAGE);
	return p;
}

static void show_first(const char *what, const char *p, int pages)
{
	int i;

	printf("%s: ", what);
	for (i = 0; i < pages; i++)
		printf("%c", p[i * (long)PAGE] ? p[i * (long)PAGE] : '.');
	printf("\n");
}

static void show_resident(const char *what, char *p, int pages)
{
	unsigned char in[64];
	int i;

	if (mincore(p, (size_t)pages * PAGE, in)) {
		printf("%s: mincore %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s resident: ", what);
	for (i = 0; i < pages; i++)
		printf("%d", in[i] & 1);
	printf("\n");
}

static void test_dontneed(void)
{
	int fd = file_make("advise_file", 4);
	char *p = map_filled(8), *f;

	SHOW(madvise(p + 2 * PAGE, 3 * PAGE, MADV_DONTNEED));
	show_resident("after DONTNEED", p, 8);
	show_first("after DONTNEED", p, 8);
	f = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	f[0] = 'Z';
	f[PAGE] = 'Z';
	show_first("private file, written", f, 4);
	SHOW(madvise(f, PAGE, MADV_DONTNEED));
	show_first("the file is seen again", f, 4);
	munmap(f, 4 * PAGE);
	f = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	f[0] = 'Y';
	SHOW(madvise(f, 4 * PAGE, MADV_DONTNEED));
	show_first("shared file keeps the store", f, 4);
	munmap(f, 4 * PAGE);
	munmap(p, 8 * PAGE);
	close(fd);
}

static void test_shared_dontneed(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	p[0] = 'S';
	SHOW(madvise(p, 2 * PAGE, MADV_DONTNEED));
	show_first("shared anonymous keeps the store", p, 2);
	SHOW(madvise(p, PAGE, MADV_REMOVE));
	show_first("REMOVE punches a hole", p, 2);
	munmap(p, 2 * PAGE);
}

/* Holes in files: seen through every mapping and by read, whatever was dirty. */
static void test_remove(const char *what, int fd)
{
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0), byte[4];
	char *own = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);

	for (int i = 0; i < 4; i++)
		p[i * (long)PAGE] = (char)('0' + i);
	own[PAGE] = 'o';
	printf("%s, REMOVE: %d\n", what, madvise(p + PAGE, 2 * PAGE, MADV_REMOVE));
	show_first("shared", p, 4);
	show_first("private", own, 4);
	for (int i = 0; i < 4; i++)
		if (pread(fd, byte + i, 1, i * (long)PAGE) != 1)
			byte[i] = '?';
		else
			byte[i] = byte[i] ? byte[i] : '.';
	printf("read: %.4s\n", byte);
	p[2 * PAGE] = 'n';
	SHOW(msync(p, 4 * PAGE, MS_SYNC));
	SHOW(pread(fd, byte, 1, 2 * PAGE));
	printf("stored after it: %c\n", byte[0]);
	SHOW(lseek(fd, 0, SEEK_END));
	munmap(p, PAGE);
	SHOW(madvise(p, 4 * PAGE, MADV_REMOVE));
	show_first("past a hole", p + PAGE, 3);
	munmap(p, 4 * PAGE);
	munmap(own, 4 * PAGE);
	close(fd);
}

#define F_SEAL_FUTURE_WRITE_ 0x10

/* A memfd that nobody may write any more: of no mapping, early or late. */
static void test_sealed(int seal)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	char *early, *p;

	if (ftruncate(fd, 4 * PAGE))
		exit(2);
	early = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	SHOW(fcntl(fd, F_ADD_SEALS, seal));
	early[0] = 'e';
	munmap(early, PAGE);
	SHOW(fcntl(fd, F_ADD_SEALS, seal));
	SHOW(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED);
	printf("%s\n", strerrorname_np(errno));
	p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	printf("a private mapping reads %c\n", p[0]);
	p[0] = 'p';
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		printf("before Linux 6.7: %s\n", strerrorname_np(errno));
		return;
	}
	printf("a shared one reads %c\n", p[0]);
	SHOW(mprotect(p, PAGE, RW));
	SHOW(madvise(p, PAGE, MADV_REMOVE));
	munmap(p, PAGE);
	close(fd);
}

static void test_holes(void)
{
	int fd = memfd_create("holes", 0);

	test_remove("a file", file_make("holes", 4));
	if (ftruncate(fd, 4 * PAGE))
		exit(2);
	test_remove("a memfd", fd);
	test_sealed(F_SEAL_WRITE);
	test_sealed(F_SEAL_FUTURE_WRITE_);
}

/* After FREE a page holds the old contents or zeroes, until it is written. */
static void test_free(void)
{
	char *p = map_filled(4);
	int i, bad = 0;

	SHOW(madvise(p, 4 * PAGE, MADV_FREE));
	for (i = 0; i < 4; i++)
		bad += p[i * (long)PAGE] != 0 && p[i * (long)PAGE] != 'A' + i;
	printf("FREE: %d bad pages\n", bad);
	p[0] = 'w';
	SHOW(madvise(p, 4 * PAGE, MADV_PAGEOUT));
	printf("written after FREE: %c\n", p[0]);
	munmap(p, 4 * PAGE);
	p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHOW(madvise(p, PAGE, MADV_FREE));
	munmap(p, PAGE);
}

static void test_hints(void)
{
	char *p = map_filled(8);

	SHOW(madvise(p, 8 * PAGE, MADV_COLD));
	SHOW(madvise(p, 8 * PAGE, MADV_PAGEOUT));
	show_first("after COLD and PAGEOUT", p, 8);
	SHOW(madvise(p, 8 * PAGE, MADV_PAGEOUT));
	SHOW(madvise(p, 8 * PAGE, MADV_WILLNEED));
	show_first("after PAGEOUT and WILLNEED", p, 8);
	SHOW(madvise(p, 8 * PAGE, MADV_NORMAL));
	SHOW(madvise(p, 8 * PAGE, MADV_RANDOM));
	SHOW(madvise(p, 8 * PAGE, MADV_SEQUENTIAL));
	SHOW(madvise(p, 8 * PAGE, MADV_NORMAL));
	SHOW(madvise(p, 8 * PAGE, MADV_HUGEPAGE));
	SHOW(madvise(p, 8 * PAGE, MADV_NOHUGEPAGE));
	show_first("after hints", p, 8);
	munmap(p, 8 * PAGE);
}

static void test_populate(void)
{
	char *p = mmap(NULL, 8 * PAGE, RW, ANON, -1, 0);

	show_resident("untouched", p, 8);
	SHOW(madvise(p, 2 * PAGE, MADV_POPULATE_READ));
	SHOW(madvise(p + 2 * PAGE, 2 * PAGE, MADV_POPULATE_WRITE));
	show_resident("populated", p, 4);
	mprotect(p + 4 * PAGE, PAGE, PROT_READ);
	mprotect(p + 5 * PAGE, PAGE, PROT_NONE);
	SHOW(madvise(p + 4 * PAGE, PAGE, MADV_POPULATE_READ));
	SHOW(madvise(p + 4 * PAGE, PAGE, MADV_POPULATE_WRITE));
	SHOW(madvise(p + 5 * PAGE, PAGE, MADV_POPULATE_READ));
	munmap(p + 6 * PAGE, PAGE);
	SHOW(madvise(p + 6 * PAGE, PAGE, MADV_POPULATE_READ));
	munmap(p, 8 * PAGE);
}

static void test_fork_advice(void)
{
	char *p = map_filled(6);
	pid_t pid;

	SHOW(madvise(p + PAGE, PAGE, MADV_DONTFORK));
	SHOW(madvise(p + 2 * PAGE, PAGE, MADV_WIPEONFORK));
	SHOW(madvise(p + 3 * PAGE, PAGE, MADV_WIPEONFORK));
	SHOW(madvise(p + 3 * PAGE, PAGE, MADV_KEEPONFORK));
	pid = fork_flushed();
	if (!pid) {
		fault_catch();
		try_read("child, plain", p, p);
		try_read("child, DONTFORK", p + PAGE, p);
		try_read("child, WIPEONFORK", p + 2 * PAGE, p);
		try_read("child, KEEPONFORK", p + 3 * PAGE, p);
		show_vmas("child's VMAs", p, 6);
		child_exit(0);
	}
	show_child("child", pid);
	show_first("parent", p, 6);
	SHOW(madvise(p + PAGE, PAGE, MADV_DOFORK));
	pid = fork_flushed();
	if (!pid) {
		show_first("second child", p, 6);
		child_exit(0);
	}
	show_child("second child", pid);
	munmap(p, 6 * PAGE);
	p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHOW(madvise(p, PAGE, MADV_WIPEONFORK));
	munmap(p, PAGE);
}

static void test_errors(void)
{
	char *p = map_filled(4);

	SHOW(madvise(p, PAGE, 9999));
	SHOW(madvise(p + 1, PAGE, MADV_DONTNEED));
	SHOW(madvise(p, 0, MADV_DONTNEED));
	SHOW(madvise(p, SIZE_MAX, MADV_DONTNEED));
	munmap(p + PAGE, PAGE);
	SHOW(madvise(p, 4 * PAGE, MADV_DONTNEED));
	show_first("before the hole", p, 1);
	show_first("after the hole", p + 2 * PAGE, 2);
	SHOW(madvise(p + PAGE, PAGE, MADV_WILLNEED));
	SHOW(madvise(p + PAGE, PAGE, MADV_COLD));
	munmap(p, 4 * PAGE);
}

int main(void)
{
	test_dontneed();
	test_shared_dontneed();
	test_holes();
	test_free();
	test_hints();
	test_populate();
	test_fork_advice();
	test_errors();
	return 0;
}
