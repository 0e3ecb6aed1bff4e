/* SPDX-License-Identifier: MIT */
/*
 * Who waits when somebody's memory is slow to come back? A child fills MIB of memory, makes
 * the file FULL, and verifies it over and over. The parent, whose memory is locked, waits for
 * the file GO and then makes LEAVES 2 MiB leaves of single pages, each with a flush of tables,
 * says so, and kills the child.
 *
 *	holeflush MIB FULL GO
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEAF   (2ul << 20)
#define PAGE   4096ul
#define LEAVES 100

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int child_main(uint64_t words, const char *full)
{
	volatile uint64_t *w =
		mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (w == MAP_FAILED)
		return 2;
	for (uint64_t i = 0; i < words; i++)
		w[i] = i;
	close(open(full, O_WRONLY | O_CREAT, 0600));
	for (;;)
		for (uint64_t i = 0; i < words; i += PAGE / 8)
			if (w[i] != i)
				return 3;
}

static int make_leaf(void)
{
	char *room =
		mmap(NULL, 2 * LEAF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *leaf = (char *)(((uintptr_t)room + LEAF - 1) & ~(LEAF - 1));

	if (room == MAP_FAILED)
		return -1;
	for (uint64_t i = 0; i < LEAF; i += PAGE)
		leaf[i] = 1;
	if (madvise(leaf, LEAF, MADV_COLLAPSE))
		return -1;
	return munmap(room, 2 * LEAF);
}

int main(int argc, char **argv)
{
	int made = 0, status = 0;
	pid_t child;

	if (argc != 4 || mlockall(MCL_CURRENT)) {
		perror("holeflush");
		return 2;
	}
	child = fork();
	if (!child)
		_exit(child_main(strtoull(argv[1], NULL, 10) << 17, argv[2]));
	while (access(argv[3], F_OK))
		usleep(10000);
	while (made < LEAVES && !make_leaf())
		made++;
	if (made < LEAVES)
		perror("holeflush");
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	printf("%d leaves, child: %s %d\n", made, WIFSIGNALED(status) ? "signal" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return 0;
}
