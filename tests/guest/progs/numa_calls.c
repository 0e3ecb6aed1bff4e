/* SPDX-License-Identifier: MIT */
/*
 * The NUMA calls, on a machine with two nodes and a processor on each: every error
 * and status code, where pages go, and what moves them. Prints what happened; it
 * must print the same natively and in a guest. Run by root: it moves shared pages.
 *
 * Pages are touched by stores only: what a read of an untouched page maps (Linux:
 * the zero page) is not compared. Areas have fixed places, as interleaving goes by
 * address, and are too small for huge pages.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#define WEIGHTED_INTERLEAVE 6
#define BALANCING           (1 << 13)

#define PAGE  4096ul
#define PAGES 16
#define BASE  0x10000000000ul
#define GAP   0x40000000ul
#define BAD   ((void *)8)
#define BITS  65ul /* the calls count one bit too many */
#define NODE0 1ul
#define NODE1 2ul
#define BOTH  3ul
#define AREA  (PAGES * PAGE)

static char *area(int nr)
{
	char *p = mmap((void *)(BASE + (unsigned long)nr * GAP), AREA, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

static const char *name(long err)
{
	static char text[32];

	switch (err) {
	case EPERM:
		return "EPERM";
	case ENOENT:
		return "ENOENT";
	case ESRCH:
		return "ESRCH";
	case EIO:
		return "EIO";
	case EACCES:
		return "EACCES";
	case EFAULT:
		return "EFAULT";
	case EBUSY:
		return "EBUSY";
	case ENODEV:
		return "ENODEV";
	case EINVAL:
		return "EINVAL";
	case ENOMEM:
		return "ENOMEM";
	case ENOSYS:
		return "ENOSYS";
	case EOPNOTSUPP:
		return "EOPNOTSUPP";
	default:
		snprintf(text, sizeof(text), "error %ld", err);
		return text;
	}
}

/* A call's result, put into words. */
static void show(const char *what, long ret)
{
	if (ret < 0)
		printf("%s: %s\n", what, name(errno));
	else
		printf("%s: %ld\n", what, ret);
}

#define SHOW(call) show(#call, call)

static long mbind_(void *p, unsigned long len, unsigned long mode, const unsigned long *nodes,
		   unsigned long bits, unsigned int flags)
{
	return syscall(SYS_mbind, p, len, mode, nodes, bits, flags);
}

static long set_policy(int mode, const unsigned long *nodes, unsigned long bits)
{
	return syscall(SYS_set_mempolicy, mode, nodes, bits);
}

static long get_policy(int *mode, unsigned long *nodes, unsigned long bits, void *addr,
		       unsigned long flags)
{
	return syscall(SYS_get_mempolicy, mode, nodes, bits, addr, flags);
}

static long home(void *p, unsigned long len, unsigned long node, unsigned long flags)
{
	return syscall(SYS_set_mempolicy_home_node, p, len, node, flags);
}

static long migrate(int pid, unsigned long bits, const unsigned long *from, const unsigned long *to)
{
	return syscall(SYS_migrate_pages, pid, bits, from, to);
}

static long move(int pid, unsigned long nr, void **pages, const int *nodes, int *status, int flags)
{
	return syscall(SYS_move_pages, pid, nr, pages, nodes, status, flags);
}

static long mask(unsigned long nodes, char *p, unsigned long mode, unsigned int flags)
{
	return mbind_(p, AREA, mode, &nodes, BITS, flags);
}

static long thread_mask(int mode, unsigned long nodes)
{
	return set_policy(mode, nodes ? &nodes : NULL, nodes ? BITS : 0);
}

/* The physical node of each page, as the kernel tells it. */
static void show_nodes(const char *what, char *p, int pages)
{
	void *at[PAGES];
	int status[PAGES];

	for (int i = 0; i < pages; i++)
		at[i] = p + (unsigned long)i * PAGE;
	printf("%s:", what);
	if (move(0, (unsigned long)pages, at, NULL, status, 0)) {
		printf(" %s\n", name(errno));
		return;
	}
	for (int i = 0; i < pages; i++)
		printf(status[i] < 0 ? " %s" : "", name(-status[i])),
			printf(status[i] >= 0 ? " %d" : "", status[i]);
	putchar('\n');
}

static void touch(char *p, int first, int end)
{
	for (int i = first; i < end; i++)
		p[(unsigned long)i * PAGE] = (char)(i + 1);
}

static void show_policy(const char *what, void *addr, unsigned long flags)
{
	unsigned long nodes = 0;
	int mode = -1;

	if (get_policy(&mode, &nodes, BITS, addr, flags))
		printf("%s: %s\n", what, name(errno));
	else
		printf("%s: mode %#x nodes %#lx\n", what, (unsigned int)mode, nodes);
}

/* policy and places of the area at @p, as numa_maps has them. */
static void show_numa_maps(const char *what, char *p)
{
	char line[1024], start[32], *word;
	FILE *f = fopen("/proc/self/numa_maps", "r");

	snprintf(start, sizeof(start), "%lx ", (unsigned long)p);
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, start, strlen(start)))
			continue;
		printf("%s:", what);
		for (word = strtok(line + strlen(start), " \n"); word; word = strtok(NULL, " \n"))
			if (strncmp(word, "active=", 7) && strncmp(word, "dirty=", 6))
				printf(" %s", word);
		putchar('\n');
	}
	if (f)
		fclose(f);
}

static void bind_cpu(int cpu)
{
	unsigned int on = 99, node = 99;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	SHOW(sched_setaffinity(0, sizeof(set), &set));
	syscall(SYS_getcpu, &on, &node, NULL);
	printf("on processor %u of node %u\n", on, node);
}

/* ---- errors ------------------------------------------------------------------------------ */

static void mbind_errors(char *p)
{
	unsigned long n0 = NODE0, none = 0, n9 = 1ul << 9, many[64] = { NODE0 };

	puts("mbind: errors");
	SHOW(mbind_(p, AREA, 7, &n0, BITS, 0));
	SHOW(mbind_(p, AREA, 99, &n0, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, &n0, BITS,
		    0));
	SHOW(mbind_(p, AREA, MPOL_INTERLEAVE | BALANCING, &n0, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND | BALANCING, &n0, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &none, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, NULL, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, NULL, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n0, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n0, 1, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n0, 2, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n9, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, BAD, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, many, 4096, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n0, 40000, 0));
	many[20] = 1;
	SHOW(mbind_(p, AREA, MPOL_BIND, many, 4096, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, many, 1025, 0));
	SHOW(mbind_(p, AREA, MPOL_DEFAULT, &n0, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_DEFAULT, &none, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_DEFAULT, NULL, 0, MPOL_MF_STRICT));
	SHOW(mbind_(p, AREA, MPOL_LOCAL, &n0, BITS, 0));
	SHOW(mbind_(p, AREA, MPOL_LOCAL | MPOL_F_STATIC_NODES, NULL, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_PREFERRED | MPOL_F_STATIC_NODES, NULL, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_PREFERRED, NULL, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n0, BITS, 1 << 3));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n0, BITS, 1 << 10));
	SHOW(mbind_(p + 1, AREA, MPOL_BIND, &n0, BITS, 0));
	SHOW(mbind_(p, 0, MPOL_BIND, &n0, BITS, 0));
	SHOW(mbind_(p, ~0ul - PAGE, MPOL_BIND, &n0, BITS, 0));
	SHOW(mbind_(p, AREA + PAGE, MPOL_BIND, &n0, BITS, 0));
	SHOW(mbind_(p - PAGE, AREA, MPOL_BIND, &n0, BITS, 0));
	SHOW(mbind_(p - PAGE, AREA, MPOL_DEFAULT, NULL, 0, 0));
	SHOW(mbind_(p + AREA, AREA, MPOL_DEFAULT, NULL, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_DEFAULT, NULL, 0, 0));
}

static void thread_errors(void)
{
	unsigned long n0 = NODE0, none = 0, n9 = 1ul << 9;

	puts("set_mempolicy: errors");
	SHOW(set_policy(7, &n0, BITS));
	SHOW(set_policy(-1, &n0, BITS));
	SHOW(set_policy(MPOL_BIND, NULL, 0));
	SHOW(set_policy(MPOL_BIND, &none, BITS));
	SHOW(set_policy(MPOL_BIND, &n9, BITS));
	SHOW(set_policy(MPOL_BIND, BAD, BITS));
	SHOW(set_policy(MPOL_BIND, &n0, 40000));
	SHOW(set_policy(MPOL_DEFAULT, &n0, BITS));
	SHOW(set_policy(MPOL_INTERLEAVE | BALANCING, &n0, BITS));
	SHOW(set_policy(MPOL_LOCAL, &n0, BITS));
	SHOW(set_policy(MPOL_DEFAULT, NULL, 0));
}

static void get_errors(char *p)
{
	unsigned long nodes[16];
	int mode;

	puts("get_mempolicy: errors");
	SHOW(get_policy(&mode, nodes, 1025, NULL, 8));
	SHOW(get_policy(&mode, nodes, 1, NULL, 0));
	SHOW(get_policy(&mode, NULL, 0, p, 0));
	SHOW(get_policy(&mode, NULL, 0, p + GAP / 2, MPOL_F_ADDR));
	SHOW(get_policy(&mode, NULL, 0, NULL, MPOL_F_NODE));
	SHOW(get_policy(&mode, NULL, 0, NULL, MPOL_F_MEMS_ALLOWED | MPOL_F_NODE));
	SHOW(get_policy(&mode, NULL, 0, p, MPOL_F_MEMS_ALLOWED | MPOL_F_ADDR));
	SHOW(get_policy(BAD, NULL, 0, NULL, 0));
	SHOW(get_policy(NULL, BAD, 1025, NULL, 0));
	SHOW(get_policy(NULL, nodes, 40000, NULL, 0));
	SHOW(get_policy(NULL, NULL, 0, NULL, 0));
	memset(nodes, 0xff, sizeof(nodes));
	SHOW(get_policy(NULL, nodes, 1025, NULL, MPOL_F_MEMS_ALLOWED));
	printf("allowed %lx, then %lx %lx\n", nodes[0], nodes[1], nodes[15]);
}

static void home_errors(char *p)
{
	unsigned long n0 = NODE0;

	puts("set_mempolicy_home_node");
	SHOW(home(p, AREA, 0, 0));
	SHOW(home(p + 1, AREA, 0, 0));
	SHOW(home(p, AREA, 0, 1));
	SHOW(home(p, AREA, 9, 0));
	SHOW(home(p, AREA, 5000, 0));
	SHOW(home(p, 0, 0, 0));
	SHOW(home(p, ~0ul - PAGE, 0, 0));
	SHOW(home(p + GAP / 2, AREA, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_INTERLEAVE, &n0, BITS, 0));
	SHOW(home(p, AREA, 0, 0));
	SHOW(mbind_(p, AREA, MPOL_BIND, &n0, BITS, 0));
	SHOW(home(p, AREA, 1, 0));
	SHOW(mbind_(p, AREA, MPOL_DEFAULT, NULL, 0, 0));
}

static void migrate_errors(void)
{
	unsigned long n0 = NODE0, n1 = NODE1, none = 0, n9 = 1ul << 9, mixed = NODE0 | 1ul << 9;

	puts("migrate_pages: errors");
	SHOW(migrate(-1, BITS, &n0, &n1));
	SHOW(migrate(0x7ffffff, BITS, &n0, &n1));
	SHOW(migrate(0, BITS, BAD, &n1));
	SHOW(migrate(0, BITS, &n0, BAD));
	SHOW(migrate(0, 40000, &n0, &n1));
	SHOW(migrate(0, BITS, &n0, &none));
	SHOW(migrate(0, BITS, &n0, &n9));
	SHOW(migrate(0, BITS, &none, &n0));
	SHOW(migrate(0, BITS, &n9, &mixed));
}

static void show_status(const char *what, const int *status, int nr)
{
	printf("%s:", what);
	for (int i = 0; i < nr; i++) {
		if (status[i] < 0)
			printf(" %s", name(-status[i]));
		else
			printf(" %d", status[i]);
	}
	putchar('\n');
}

static void move_errors(char *p)
{
	void *pages[8] = { p, p + PAGE, p + 2 * PAGE, p + 15 * PAGE, p + GAP / 2, p + 100, NULL, p };
	int nodes[8] = { 0, 0, 0, 0, 0, 0, 0, 0 }, status[8];

	puts("move_pages: errors and status");
	touch(p, 0, 8);
	SHOW(move(0, 1, pages, nodes, status, 1));
	SHOW(move(0, 1, pages, nodes, status, 1 << 5));
	SHOW(move(-1, 1, pages, nodes, status, 0));
	SHOW(move(0x7ffffff, 1, pages, nodes, status, 0));
	SHOW(move(0, 1, BAD, nodes, status, MPOL_MF_MOVE));
	SHOW(move(0, 1, BAD, NULL, status, MPOL_MF_MOVE));
	SHOW(move(0, 1, pages, BAD, status, MPOL_MF_MOVE));
	SHOW(move(0, 1, pages, nodes, BAD, MPOL_MF_MOVE));
	SHOW(move(0, 1, pages, NULL, BAD, 0));
	SHOW(move(0, 0, NULL, NULL, NULL, 0));
	SHOW(move(0, 0, NULL, nodes, NULL, MPOL_MF_MOVE));
	nodes[0] = 9;
	SHOW(move(0, 1, pages, nodes, status, MPOL_MF_MOVE));
	nodes[0] = -1;
	SHOW(move(0, 1, pages, nodes, status, MPOL_MF_MOVE));
	nodes[0] = 5000;
	SHOW(move(0, 1, pages, nodes, status, MPOL_MF_MOVE));
	nodes[0] = 0;
	SHOW(move(0, 8, pages, NULL, status, 0));
	show_status("asked", status, 8);
	for (int i = 0; i < 8; i++)
		nodes[i] = 1;
	memset(status, 77, sizeof(status));
	SHOW(move(0, 8, pages, nodes, status, MPOL_MF_MOVE));
	show_status("moved to 1", status, 8);
	/* Each page twice: the second finds it taken. */
	for (int i = 0; i < 8; i++) {
		pages[i] = p + (unsigned long)(i / 2) * PAGE;
		nodes[i] = 0;
	}
	SHOW(move(0, 8, pages, nodes, status, MPOL_MF_MOVE));
	show_status("twice to 0", status, 8);
	for (int i = 0; i < 8; i++) {
		pages[i] = p + (unsigned long)i * PAGE;
		nodes[i] = i & 1;
	}
	SHOW(move(getpid(), 8, pages, nodes, status, MPOL_MF_MOVE));
	show_status("here and there", status, 8);
	show_nodes("are on", p, 8);
	nodes[5] = 9;
	memset(status, 0, sizeof(status));
	for (int i = 0; i < 5; i++)
		nodes[i] = 1;
	SHOW(move(0, 8, pages, nodes, status, MPOL_MF_MOVE));
	show_nodes("before the bad node", p, 8);
}

/* ---- where pages go --------------------------------------------------------------------- */

static void placement(int nr)
{
	static const struct {
		const char *what;
		unsigned long mode, nodes;
	} rows[] = {
		{ "bind 1", MPOL_BIND, NODE1 },
		{ "bind 0-1", MPOL_BIND, BOTH },
		{ "preferred 0", MPOL_PREFERRED, NODE0 },
		{ "preferred 0-1", MPOL_PREFERRED, BOTH },
		{ "preferred, no node", MPOL_PREFERRED, 0 },
		{ "preferred-many 0", MPOL_PREFERRED_MANY, NODE0 },
		{ "interleave 0-1", MPOL_INTERLEAVE, BOTH },
		{ "interleave 1", MPOL_INTERLEAVE, NODE1 },
		{ "interleave static 0-1,9", MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, BOTH | 1 << 9 },
		{ "interleave relative 3", MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, 1 << 3 },
		{ "weighted interleave 0-1", WEIGHTED_INTERLEAVE, BOTH },
		{ "local", MPOL_LOCAL, 0 },
		{ "bind balancing 0", MPOL_BIND | BALANCING, NODE0 },
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		unsigned long nodes = rows[i].nodes;
		char *p = area(nr);

		show(rows[i].what,
		     mbind_(p, AREA, rows[i].mode, nodes ? &nodes : NULL, nodes ? BITS : 0, 0));
		show_policy("is", p + 5 * PAGE, MPOL_F_ADDR);
		touch(p, 3, 9);
		touch(p, 0, 9);
		show_nodes("area", p, 10);
		if (!(rows[i].mode & BALANCING))
			show_numa_maps("numa_maps", p);
		munmap(p, AREA);
		p = area(nr);
		show("thread", thread_mask((int)rows[i].mode, rows[i].nodes));
		show_policy("is", NULL, 0);
		show_policy("at", p, MPOL_F_ADDR);
		touch(p, 0, 9);
		show_nodes("thread's", p, 10);
		SHOW(set_policy(MPOL_DEFAULT, NULL, 0));
		munmap(p, AREA);
	}
}

static void node_questions(char *p)
{
	int mode = -1;

	puts("get_mempolicy: nodes");
	SHOW(thread_mask(MPOL_BIND, NODE1));
	p[11 * PAGE] = 1;
	SHOW(get_policy(&mode, NULL, 0, p + 11 * PAGE, MPOL_F_ADDR | MPOL_F_NODE));
	printf("on node %d\n", mode);
	SHOW(thread_mask(MPOL_INTERLEAVE, NODE1));
	SHOW(get_policy(&mode, NULL, 0, NULL, MPOL_F_NODE));
	printf("next is node %d\n", mode);
	SHOW(thread_mask(WEIGHTED_INTERLEAVE, NODE0));
	SHOW(get_policy(&mode, NULL, 0, NULL, MPOL_F_NODE));
	printf("next is node %d\n", mode);
	SHOW(set_policy(MPOL_DEFAULT, NULL, 0));
}

static void areas(int nr)
{
	unsigned long n1 = NODE1, both = BOTH;
	char *p = area(nr);

	puts("parts of an area");
	SHOW(mbind_(p + 4 * PAGE, 4 * PAGE, MPOL_BIND, &n1, BITS, 0));
	SHOW(mbind_(p + 6 * PAGE, 4 * PAGE, MPOL_INTERLEAVE, &both, BITS, 0));
	touch(p, 0, PAGES);
	show_nodes("are on", p, PAGES);
	show_policy("before", p + 3 * PAGE, MPOL_F_ADDR);
	show_policy("bound", p + 5 * PAGE, MPOL_F_ADDR);
	show_policy("interleaved", p + 9 * PAGE, MPOL_F_ADDR);
	munmap(p, AREA);
}

/* Shared memory: the object has the policy, whoever touches it. */
static void shared_object(void)
{
	char *p = mmap((void *)(BASE + 20 * GAP), AREA, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	unsigned long n1 = NODE1;
	int pid;

	puts("shared memory");
	SHOW(mbind_(p + 2 * PAGE, 3 * PAGE, MPOL_BIND, &n1, BITS, 0));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		touch(p, 0, 8);
		show_policy("child", p + 3 * PAGE, MPOL_F_ADDR);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	touch(p, 0, 8);
	show_nodes("are on", p, 8);
	munmap(p, AREA);
}

/* ---- what moves ------------------------------------------------------------------------- */

/* Rows 81 and around: private pages move, shared ones only by MOVE_ALL. */
static void moves(int nr)
{
	void *pages[4];
	int nodes[4] = { 0, 0, 0, 0 }, status[4];
	int to[2], from[2], pid;
	char *p = area(nr), c = 0;

	puts("moves");
	SHOW(mask(NODE0, p, MPOL_BIND, 0));
	touch(p, 0, 8);
	SHOW(mask(NODE1, p, MPOL_BIND, MPOL_MF_STRICT));
	show_policy("still", p, MPOL_F_ADDR);
	SHOW(mask(NODE1, p, MPOL_BIND, 0));
	show_nodes("no flag", p, 8);
	SHOW(mask(NODE1, p, MPOL_BIND, MPOL_MF_MOVE));
	show_nodes("move", p, 8);
	SHOW(mask(BOTH, p, MPOL_INTERLEAVE, MPOL_MF_MOVE | MPOL_MF_STRICT));
	show_nodes("on either, so stay", p, 8);
	SHOW(mask(NODE0, p, MPOL_INTERLEAVE, MPOL_MF_MOVE | MPOL_MF_STRICT));
	show_nodes("move to 0", p, 8);

	if (pipe(to) || pipe(from))
		exit(2);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		touch(p, 0, 4); /* copies of its own */
		(void)!write(from[1], &c, 1);
		(void)!read(to[0], &c, 1);
		show_nodes("the child's", p, 8);
		fflush(stdout);
		_exit(0);
	}
	(void)!read(from[0], &c, 1);
	SHOW(mask(NODE1, p, MPOL_BIND, MPOL_MF_MOVE | MPOL_MF_STRICT));
	show_nodes("shared stay", p, 8);
	for (int i = 0; i < 4; i++) {
		pages[i] = p + (unsigned long)(i + 3) * PAGE;
		nodes[i] = i == 0 ? 0 : 1;
	}
	SHOW(move(0, 4, pages, nodes, status, MPOL_MF_MOVE));
	show_status("move_pages", status, 4);
	SHOW(move(0, 4, pages, nodes, status, MPOL_MF_MOVE_ALL));
	show_status("move_pages, all", status, 4);
	show_nodes("are on", p, 8);
	SHOW(mask(NODE1, p, MPOL_BIND, MPOL_MF_MOVE_ALL | MPOL_MF_STRICT));
	show_nodes("move all", p, 8);
	(void)!write(to[1], &c, 1);
	waitpid(pid, NULL, 0);
	munmap(p, AREA);
}

static void migrations(int nr)
{
	unsigned long n0 = NODE0, n1 = NODE1, both = BOTH;
	char *p = area(nr);

	puts("migrate_pages");
	SHOW(mask(BOTH, p, MPOL_INTERLEAVE, 0));
	touch(p, 0, 8);
	show_nodes("at first", p, 8);
	SHOW(migrate(0, BITS, &n0, &n1) >= 0);
	show_nodes("0 to 1", p, 8);
	SHOW(migrate(getpid(), BITS, &both, &n0) >= 0);
	show_nodes("0-1 to 0", p, 8);
	SHOW(migrate(0, BITS, &both, &both) >= 0);
	show_nodes("0-1 to 0-1", p, 8);
	for (int i = 0; i < 8; i++)
		if (p[(unsigned long)i * PAGE] != (char)(i + 1))
			puts("wrong byte");
	munmap(p, AREA);
}

/* The thread's policy goes to children; exec keeps it. */
static void inheritance(char *self)
{
	int pid;

	puts("inheritance");
	SHOW(thread_mask(MPOL_INTERLEAVE, BOTH));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		show_policy("child", NULL, 0);
		fflush(stdout);
		execl(self, self, "policy", NULL);
		_exit(3);
	}
	waitpid(pid, NULL, 0);
	SHOW(set_policy(MPOL_DEFAULT, NULL, 0));
}

int main(int argc, char **argv)
{
	char *p;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (argc > 1) {
		show_policy("after exec", NULL, 0);
		return 0;
	}
	bind_cpu(1);
	p = area(0);
	mbind_errors(p);
	thread_errors();
	get_errors(p);
	home_errors(p);
	migrate_errors();
	bind_cpu(0);
	move_errors(p);
	node_questions(p);
	placement(1);
	bind_cpu(1);
	placement(1);
	areas(2);
	shared_object();
	moves(3);
	migrations(4);
	inheritance(argv[0]);
	return 0;
}
