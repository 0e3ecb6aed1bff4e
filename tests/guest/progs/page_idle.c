/* SPDX-License-Identifier: MIT */
/*
 * /sys/kernel/mm/page_idle/bitmap: pages marked idle stay so until somebody uses them,
 * whoever it is. Few kernels are built with it; what is right stands in
 * tests/guest/page_idle.txt, after Documentation/admin-guide/mm/idle_page_tracking.rst
 * and mm/page_idle.c.
 *
 *	i	idle	.	used, or unknown to the tracker
 */
#include <linux/kernel-page-flags.h>

#include "progs.h"

#define RW    (PROT_READ | PROT_WRITE)
#define PAGES 8u

static int bitmap;

static uint64_t pfn_of(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t e = 0;

	if (fd < 0 || pread(fd, &e, 8, (off_t)((uintptr_t)p / PAGE * 8)) != 8 || !(e >> 63)) {
		printf("pagemap has no such page\n");
		exit(2);
	}
	close(fd);
	return e & ((1ul << 55) - 1);
}

static void mark(const char *p)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		uint64_t pfn = pfn_of(p + i * PAGE), word = 1ul << (pfn % 64);

		if (pwrite(bitmap, &word, 8, (off_t)(pfn / 64 * 8)) != 8)
			perror("mark");
	}
}

static void show(const char *what, const char *p)
{
	char text[PAGES + 1] = "";

	for (unsigned int i = 0; i < PAGES; i++) {
		uint64_t pfn = pfn_of(p + i * PAGE), word = 0;

		if (pread(bitmap, &word, 8, (off_t)(pfn / 64 * 8)) != 8)
			perror("look");
		text[i] = word >> (pfn % 64) & 1 ? 'i' : '.';
	}
	printf("%-40s %s\n", what, text);
}

static void show_flags(const char *what, const char *p)
{
	int fd = open("/proc/kpageflags", O_RDONLY);
	uint64_t flags = 0;

	if (pread(fd, &flags, 8, (off_t)(pfn_of(p) * 8)) != 8)
		perror("kpageflags");
	printf("%-40s %s\n", what, flags >> KPF_IDLE & 1 ? "IDLE" : "not IDLE");
	close(fd);
}

static void use(const volatile char *p)
{
	(void)*p;
}

static void test_private(char *p)
{
	show("new pages", p);
	mark(p);
	show("marked", p);
	show_flags("the first is", p);
	use(p + PAGE);
	p[3 * PAGE] = 1;
	show("1 read, 3 stored to", p);
	show_flags("the first is", p);
	show_flags("the second is", p + PAGE);
	show("looked at again", p);
	mark(p);
	show("marked again", p);
	use(p + PAGE);
	show("1 read again", p);
}

static void test_sharers(char *p)
{
	int go[2], done[2];
	pid_t pid;
	char c;

	if (pipe(go) || pipe(done))
		exit(2);
	pid = fork_flushed();
	if (!pid) {
		if (read(go[0], &c, 1) == 1)
			use(p + 5 * PAGE);
		if (write(done[1], "d", 1) != 1)
			_exit(1);
		(void)!read(go[0], &c, 1);
		_exit(0);
	}
	mark(p);
	if (write(go[1], "g", 1) != 1 || read(done[0], &c, 1) != 1)
		exit(2);
	show("a child read 5", p);
	if (write(go[1], "g", 1) != 1)
		exit(2);
	show_child("child", pid);
}

static void test_errors(void)
{
	uint64_t words[4] = { 0 };
	const off_t end = (off_t)1 << 50;

	SHOW(pread(bitmap, words, 4, 0));
	SHOW(pread(bitmap, words, 8, 4));
	SHOW(pwrite(bitmap, words, 12, 0));
	SHOW(pread(bitmap, words, 8, end));
	SHOW(pwrite(bitmap, words, 8, end));
	SHOW(pwrite(bitmap, words, 0, end));
	SHOW(pread(bitmap, words, 32, 0));
	SHOW(lseek(bitmap, 8, SEEK_SET));
	SHOW(read(bitmap, words, 16));
	SHOW(lseek(bitmap, 0, SEEK_CUR));
}

int main(void)
{
	char *p = mmap(NULL, PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bitmap = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	if (bitmap < 0) {
		perror("bitmap");
		return 2;
	}
	for (unsigned int i = 0; i < PAGES; i++)
		p[i * PAGE] = 1;
	test_private(p);
	test_sharers(p);
	test_errors();
	return 0;
}
