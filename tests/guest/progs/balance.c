/* SPDX-License-Identifier: MIT */
/*
 * What swappiness does when memory is short: memory that was stored to and pages of a file, as
 * much of each, and as much again that pushes some of them out. To be run in a guest with 64 MiB
 * and swap. The argument is the swappiness; with a second one, page-cluster is set and the pages
 * that one fault brings back are told.
 */
#include "progs.h"

#define MIB   (1ul << 20)
#define PART  (20 * MIB)
#define PAGES (PART / PAGE)
#define RW    (PROT_READ | PROT_WRITE)

static char *filled(size_t size)
{
	char *p = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || madvise(p, size, MADV_NOHUGEPAGE))
		exit(2);
	for (size_t i = 0; i < size; i += PAGE)
		*(uint64_t *)(p + i) = i * 2654435761u + 1;
	return p;
}

static size_t resident(char *p, size_t size)
{
	static unsigned char there[PAGES];
	size_t nr = 0;

	if (mincore(p, size, there))
		exit(2);
	for (size_t i = 0; i < size / PAGE; i++)
		nr += there[i] & 1;
	return nr;
}

static void show_balance(void)
{
	int fd = file_make("pages", PAGES);
	char *file = mmap(NULL, PART, PROT_READ, MAP_SHARED, fd, 0), *anon = filled(PART);
	volatile char sum = 0;

	for (size_t i = 0; i < PAGES; i++)
		sum = (char)(sum + file[i * PAGE]);
	filled(PART + 10 * MIB);
	fprintf(stderr, "in memory: %zu pages stored to, %zu of the file, of %zu each\n",
		resident(anon, PART), resident(file, PART), PAGES);
	printf("%s\n", resident(anon, PART) > resident(file, PART) + PAGES / 4 ? "the file's went"
		       : resident(file, PART) > resident(anon, PART) + PAGES / 4
			       ? "what was stored to went"
			       : "both went");
	for (size_t i = 0; i < PART; i += PAGE)
		if (*(uint64_t *)(anon + i) != i * 2654435761u + 1)
			printf("page %zu is wrong\n", i / PAGE);
}

static void show_cluster(void)
{
	char *anon = filled(MIB);
	size_t before;

	SHOW(madvise(anon, MIB, MADV_PAGEOUT));
	before = resident(anon, MIB);
	*(volatile char *)(anon + 128 * PAGE) = 1;
	printf("one fault brings %zu\n", resident(anon, MIB) - before);
}

int main(int argc, char **argv)
{
	if (argc < 2 || !file_put("/proc/sys/vm/swappiness", argv[1]) ||
	    (argc > 2 && !file_put("/proc/sys/vm/page-cluster", argv[2]))) {
		perror("settings");
		return 2;
	}
	if (argc > 2)
		show_cluster();
	else
		show_balance();
	return 0;
}
