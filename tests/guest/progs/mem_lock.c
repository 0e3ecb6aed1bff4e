/* SPDX-License-Identifier: MIT */
/* The mlock family, mincore and msync: results, errors, and what is resident. */
#include <sys/resource.h>

#include "progs.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

static void show_resident(const char *what, char *p, int pages)
{
	unsigned char in[64];
	int i;

	if (mincore(p, (size_t)pages * PAGE, in)) {
		printf("%s: mincore %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: ", what);
	for (i = 0; i < pages; i++)
		printf("%d", in[i] & 1);
	printf("\n");
}

static void show_locked(const char *what)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];

	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "VmLck:", 6))
			printf("%s: %s", what, line);
	if (status)
		fclose(status);
}

static void test_mlock(void)
{
	char *p = mmap(NULL, 16 * PAGE, RW, ANON, -1, 0);

	show_resident("untouched", p, 8);
	SHOW(mlock(p, 4 * PAGE));
	show_resident("locked 0-3", p, 8);
	show_locked("locked 4");
	show_vmas("the lock splits", p, 8);
	SHOW(mlock2(p + 4 * PAGE, 2 * PAGE, MLOCK_ONFAULT));
	show_resident("locked on fault 4-5", p, 8);
	p[4 * PAGE] = 1;
	show_resident("touched 4", p, 8);
	SHOW(madvise(p, PAGE, MADV_DONTNEED));
	SHOW(madvise(p, PAGE, MADV_PAGEOUT));
	SHOW(munlock(p, 6 * PAGE));
	show_locked("unlocked");
	show_vmas("merged again", p, 8);
	SHOW(mlock(p + 1, 1));
	show_locked("an unaligned lock takes the page");
	SHOW(munlock(p, PAGE));
	SHOW(mlock(p, 0));
	SHOW(mlock2(p, PAGE, 0x80));
	munmap(p + 8 * PAGE, PAGE);
	SHOW(mlock(p + 6 * PAGE, 4 * PAGE));
	SHOW(munlock(p + 8 * PAGE, PAGE));
	SHOW(munlock(p, 16 * PAGE));
	munmap(p, 16 * PAGE);
}

static void test_mlockall(void)
{
	char *p;

	SHOW(mlockall(0));
	SHOW(mlockall(0x100));
	SHOW(mlockall(MCL_FUTURE));
	p = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0);
	show_resident("mapped under MCL_FUTURE", p, 4);
	SHOW(munlockall());
	munmap(p, 4 * PAGE);
	show_locked("after munlockall");
}

static void test_mincore(void)
{
	char *p = mmap(NULL, 8 * PAGE, RW, ANON, -1, 0);
	unsigned char in[8];

	p[PAGE] = 1;
	p[3 * PAGE] = 1;
	show_resident("1 and 3", p, 8);
	SHOW(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED));
	show_resident("1", p, 8);
	SHOW(mincore(p + 1, PAGE, in));
	SHOW(mincore(p, PAGE, NULL));
	SHOW(mincore(p, 0, in));
	munmap(p + 4 * PAGE, PAGE);
	SHOW(mincore(p, 8 * PAGE, in));
	munmap(p, 8 * PAGE);
}

static void test_msync(void)
{
	int fd = file_make("sync_file", 4);
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0), byte;

	p[PAGE] = 'M';
	SHOW(msync(p, 4 * PAGE, MS_SYNC));
	SHOW(pread(fd, &byte, 1, PAGE));
	printf("in the file: %c\n", byte);
	SHOW(msync(p, 4 * PAGE, MS_ASYNC));
	SHOW(msync(p, 4 * PAGE, MS_SYNC | MS_ASYNC));
	SHOW(msync(p, 4 * PAGE, 0x100));
	SHOW(msync(p + 1, PAGE, MS_SYNC));
	SHOW(msync(p, 0, MS_SYNC));
	mlock(p, PAGE);
	SHOW(msync(p, 4 * PAGE, MS_SYNC | MS_INVALIDATE));
	munlock(p, PAGE);
	SHOW(msync(p, 4 * PAGE, MS_SYNC | MS_INVALIDATE));
	munmap(p + 2 * PAGE, PAGE);
	SHOW(msync(p, 4 * PAGE, MS_SYNC));
	munmap(p, 4 * PAGE);
	close(fd);
}

int main(void)
{
	struct rlimit limit = { 1UL << 20, 1UL << 20 };

	SHOW(setrlimit(RLIMIT_MEMLOCK, &limit));
	SHOW(getrlimit(RLIMIT_MEMLOCK, &limit));
	printf("limit %lu\n", (unsigned long)limit.rlim_cur);
	test_mlock();
	test_mlockall();
	test_mincore();
	test_msync();
	return 0;
}
