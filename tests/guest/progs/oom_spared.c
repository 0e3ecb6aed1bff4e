/* SPDX-License-Identifier: MIT */
/*
 * Memory runs out below a process that has most of it. With "spared" it has set its oom_score_adj
 * to -1000, so that the other one is killed, and it finds what it had stored; with "equal" it is
 * itself the victim. The memory is the guest's: never to be run natively.
 */
#include <sys/sysinfo.h>

#include "progs.h"

/* A page's content tells its number. */
static bool fill(uint64_t *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		memory[i * PAGE / sizeof(*memory)] = i * 7919 + 1;
	return true;
}

static bool is_filled(const uint64_t *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		if (memory[i * PAGE / sizeof(*memory)] != i * 7919 + 1)
			return false;
	return true;
}

static uint64_t *reserve(size_t pages)
{
	uint64_t *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

/* Has half of all memory; tells when it has, and looks at it when it is told to. */
static void be_large(bool spared, size_t pages, int tell, int go)
{
	uint64_t *memory = reserve(pages);
	char c = 0;

	if (spared && !file_put("/proc/self/oom_score_adj", "-1000"))
		perror("oom_score_adj");
	fill(memory, pages);
	if (write(tell, &c, 1) != 1 || read(go, &c, 1) != 1)
		child_exit(3);
	child_exit(is_filled(memory, pages) ? 0 : 4);
}

/* Takes one page after the other of more than there is left: only who is spared may take all. */
static void be_greedy(size_t pages)
{
	fill(reserve(pages), pages);
	child_exit(0);
}

int main(int argc, char **argv)
{
	bool spared = argc > 1 && !strcmp(argv[1], "spared");
	int tell[2], go[2];
	struct sysinfo all;
	pid_t large, greedy;
	size_t pages;
	char c = 0;

	if (sysinfo(&all) || pipe(tell) || pipe(go) || all.totalram > 1ul << 30) {
		fputs("only in a guest with less than 1 GiB\n", stderr);
		return 2;
	}
	pages = all.totalram * all.mem_unit / PAGE;
	large = fork_flushed();
	if (!large)
		be_large(spared, pages / 2, tell[1], go[0]);
	if (read(tell[0], &c, 1) != 1)
		return 2;
	greedy = fork_flushed();
	if (!greedy)
		/* Spared, the large one's half is not to be had; else a third more than the rest is. */
		be_greedy(spared ? pages : pages * 2 / 3);
	show_child("the greedy one", greedy);
	if (write(go[1], &c, 1) != 1)
		perror("go");
	show_child("the large one", large);
	return 0;
}
