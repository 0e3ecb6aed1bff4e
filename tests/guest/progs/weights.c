/* SPDX-License-Identifier: MIT */
/*
 * /sys/kernel/mm/mempolicy/weighted_interleave on a machine of two nodes: what may be
 * written, and where the pages of a weighted interleaving then go. Prints the same
 * natively (Linux 6.9 and later, as root) and in a guest. Leaves both weights at 1.
 */
#include "tests/guest/progs/progs.h"

#define FOLDER              "/sys/kernel/mm/mempolicy/weighted_interleave"
#define WEIGHTED_INTERLEAVE 6
#define BOTH                3ul
#define BITS                65ul /* the calls count one bit too many */
#define PAGES               24

/* What the file takes of @text: all of it, or errno. */
static long weight_write(int node, const char *text)
{
	char path[128];
	long n;
	int fd;

	snprintf(path, sizeof(path), FOLDER "/node%d", node);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n;
}

static long weight_read(int node)
{
	char path[128];
	FILE *f;
	long n = -1;

	snprintf(path, sizeof(path), FOLDER "/node%d", node);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* New pages by the weights: how many come to node 1? */
static void spread(const char *what)
{
	unsigned long nodes = BOTH;
	void *pages[PAGES];
	int status[PAGES], i, on_1 = 0;
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED || syscall(SYS_set_mempolicy, WEIGHTED_INTERLEAVE, &nodes, BITS)) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		return;
	}
	for (i = 0; i < PAGES; i++) {
		p[i * PAGE] = 1;
		pages[i] = p + i * PAGE;
	}
	syscall(SYS_set_mempolicy, 0, NULL, 0ul);
	if (syscall(SYS_move_pages, 0, (unsigned long)PAGES, pages, NULL, status, 0))
		printf("%s: move_pages: %s\n", what, strerrorname_np(errno));
	/* Whole periods, wherever they begin. */
	for (i = 0; i < PAGES; i++)
		on_1 += status[i] == 1;
	printf("%s: %d of %d pages on node 1\n", what, on_1, PAGES);
	munmap(p, PAGES * PAGE);
}

int main(void)
{
	SHOW(weight_read(0));
	SHOW(weight_read(1));
	SHOW(weight_read(2));
	spread("1 and 1");
	SHOW(weight_write(1, "5\n"));
	SHOW(weight_read(1));
	spread("1 and 5");
	SHOW(weight_write(0, "0x2"));
	SHOW(weight_write(1, "1"));
	SHOW(weight_read(0));
	spread("2 and 1");
	SHOW(weight_write(0, "0\n"));
	SHOW(weight_read(0));
	SHOW(weight_write(0, "2\n"));
	SHOW(weight_write(0, "256\n"));
	SHOW(weight_write(0, "-1\n"));
	SHOW(weight_write(0, "3x\n"));
	SHOW(weight_write(0, "x\n"));
	SHOW(weight_write(2, "3\n"));
	SHOW(weight_read(0));
	SHOW(weight_write(0, "255\n"));
	SHOW(weight_read(0));
	SHOW(weight_write(0, "\n"));
	SHOW(weight_read(0));
	return 0;
}
