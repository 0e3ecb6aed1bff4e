/* SPDX-License-Identifier: MIT */
/*
 * Memory calls on 64 TiB of which three pages were ever touched, as programs have that
 * reserve shadow memory or a heap's whole range: what they answer, and that each takes
 * as long as the pages that are there, not as the range.
 */
#include <sys/wait.h>

#include "progs.h"

#define SIZE (64ul << 40)

#ifndef MADV_COLD
#define MADV_COLD    20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static char *area;

static void show(const char *what, long ret)
{
	printf("%s: %s, pages %c%c%c\n", what, ret < 0 ? strerrorname_np(errno) : "done",
	       area[0] ? area[0] : '.', area[SIZE / 2] ? area[SIZE / 2] : '.',
	       area[SIZE - 1] ? area[SIZE - 1] : '.');
}

static void fill(void)
{
	area[0] = 'a';
	area[SIZE / 2] = 'b';
	area[SIZE - 1] = 'c';
}

static void advise(const char *what, int advice)
{
	fill();
	show(what, madvise(area, SIZE, advice));
}

static void fork_it(void)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid)
		_exit(area[0] + area[SIZE / 2] + area[SIZE - 1] == 'a' + 'b' + 'c' ? 0 : 1);
	waitpid(pid, &status, 0);
	show("fork", status ? -1 : 0);
}

int main(void)
{
	area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (area == MAP_FAILED) {
		printf("mmap: %s\n", strerrorname_np(errno));
		return 1;
	}
	advise("willneed", MADV_WILLNEED);
	advise("cold", MADV_COLD);
	advise("pageout", MADV_PAGEOUT);
	advise("dontneed", MADV_DONTNEED);
	advise("collapse", MADV_COLLAPSE);
	fill();
	show("read only", mprotect(area, SIZE, PROT_READ));
	show("writable", mprotect(area, SIZE, PROT_READ | PROT_WRITE));
	fork_it();
	area = mremap(area, SIZE, SIZE - PAGE, MREMAP_MAYMOVE);
	area = mremap(area, SIZE - PAGE, SIZE, MREMAP_MAYMOVE);
	show("mremap", 0);
	printf("munmap: %d\n", munmap(area, SIZE));
	return 0;
}
