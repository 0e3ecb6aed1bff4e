/* SPDX-License-Identifier: MIT */
/*
 * Guest program: places. Memory put or moved to nodes 0 and 1 by each of the guest's own
 * calls: policies of areas and of the thread, with the memory touched after; mbind() with
 * MOVE and MOVE_ALL, move_pages() and migrate_pages() of memory that lies elsewhere; single
 * pages and 2 MiB leaves. The machine needs a processor on both nodes.
 *
 * Each area is beacons, with a name that tells what was done. Says `AREA NODE...`
 * (beacon_print_nodes()) for where each page has to be and `at: AREA ADDRESS`, then
 * `ready: PID PAGES`, and counts until SIGTERM. PASS or FAIL; FAIL too if a call fails.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/beacon_area.h"

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#define WEIGHTED_INTERLEAVE 6

#define PAGE       BEACON_PAGE_SIZE
#define PAGES      16
#define LEAF_PAGES 512
#define MANY_PAGES 1024 /* with entries of their own */
#define MAX_PLACES 32
#define BITS       65ul /* the calls count one bit too many */
#define NODE0      1ul
#define NODE1      2ul
#define BOTH       3ul
#define PAUSE_US   20000

static struct area areas[MAX_PLACES];
static unsigned int nr_areas;
static unsigned long pages_in_all;
static bool failed;
static volatile sig_atomic_t stop;

static void on_stop(int number)
{
	(void)number;
	stop = 1;
}

static void check(const char *what, long ret)
{
	if (ret >= 0)
		return;
	printf("FAIL %s: %s\n", what, strerrorname_np(errno));
	failed = true;
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check("sched_setaffinity", sched_setaffinity(0, sizeof(set), &set));
}

static struct area *area_new(const char *name, uint64_t pages, int flags)
{
	struct area *a = &areas[nr_areas++];

	*a = (struct area){ .name = name, .pages = pages, .start = area_map(pages, flags, -1) };
	if (!a->start)
		exit(2);
	return a;
}

static void bind_area(const struct area *a, unsigned long mode, unsigned long nodes, int flags)
{
	check(a->name, syscall(SYS_mbind, a->start, a->pages * PAGE, mode, nodes ? &nodes : NULL,
			       nodes ? BITS : 0, flags));
}

static void bind_thread(int mode, unsigned long nodes)
{
	check("set_mempolicy",
	      syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, nodes ? BITS : 0));
}

/* Page by page, @of says where the area has to be. */
static void expect(const struct area *a, int (*of)(const struct area *a, uint64_t page))
{
	static int nodes[MANY_PAGES];

	for (uint64_t i = 0; i < a->pages; i++)
		nodes[i] = of(a, i);
	beacon_print_nodes(a->name, nodes, a->pages);
	printf("at: %s %lx\n", a->name, (unsigned long)a->start);
	pages_in_all += a->pages;
}

static int on_0(const struct area *a, uint64_t page)
{
	(void)a;
	(void)page;
	return 0;
}

static int on_1(const struct area *a, uint64_t page)
{
	(void)a;
	(void)page;
	return 1;
}

static int odd_on_1(const struct area *a, uint64_t page)
{
	(void)a;
	return (int)(page % 2);
}

/* By weights of 1 and 2: by page offset, whether the area or the thread has the policy. */
static int by_weight(const struct area *a, uint64_t page)
{
	return ((uintptr_t)a->start / PAGE + page) % 3 != 0;
}

/* ---- policies, then the touch ------------------------------------------------------------- */

struct policy_row {
	const char *name;
	unsigned long mode, nodes;
	int cpu; /* that touches */
	int (*of)(const struct area *a, uint64_t page);
};

static void areas_with_policy(void)
{
	static const struct policy_row rows[] = {
		{ "mbind-default", MPOL_DEFAULT, 0, 1, on_1 },
		{ "mbind-bind", MPOL_BIND, NODE1, 0, on_1 },
		{ "mbind-bind-both", MPOL_BIND, BOTH, 1, on_1 },
		{ "mbind-preferred", MPOL_PREFERRED, NODE1, 0, on_1 },
		{ "mbind-preferred-many", MPOL_PREFERRED_MANY, NODE1, 0, on_1 },
		{ "mbind-interleave", MPOL_INTERLEAVE, BOTH, 0, odd_on_1 },
		{ "mbind-relative", MPOL_BIND | MPOL_F_RELATIVE_NODES, NODE1, 0, on_1 },
		{ "mbind-static", MPOL_BIND | MPOL_F_STATIC_NODES, NODE1, 0, on_1 },
		{ "mbind-weighted", WEIGHTED_INTERLEAVE, BOTH, 0, by_weight },
		{ "mbind-local", MPOL_LOCAL, 0, 1, on_1 },
	};
	const struct policy_row *r;

	for (r = rows; r < rows + sizeof(rows) / sizeof(*rows); r++) {
		struct area *a = area_new(r->name, PAGES, MAP_PRIVATE);

		bind_area(a, r->mode, r->nodes, 0);
		run_on(r->cpu);
		area_fill(a);
		expect(a, r->of);
	}
}

static void threads_with_policy(void)
{
	static const struct policy_row rows[] = {
		{ "thread-default", MPOL_DEFAULT, 0, 1, on_1 },
		{ "thread-bind", MPOL_BIND, NODE1, 0, on_1 },
		{ "thread-preferred", MPOL_PREFERRED, NODE1, 0, on_1 },
		{ "thread-preferred-many", MPOL_PREFERRED_MANY, NODE1, 0, on_1 },
		{ "thread-interleave", MPOL_INTERLEAVE, BOTH, 0, odd_on_1 },
		{ "thread-weighted", WEIGHTED_INTERLEAVE, BOTH, 0, by_weight },
		{ "thread-local", MPOL_LOCAL, 0, 1, on_1 },
	};
	const struct policy_row *r;

	for (r = rows; r < rows + sizeof(rows) / sizeof(*rows); r++) {
		struct area *a = area_new(r->name, PAGES, MAP_PRIVATE);

		run_on(r->cpu);
		bind_thread((int)r->mode, r->nodes);
		area_fill(a);
		bind_thread(MPOL_DEFAULT, 0);
		expect(a, r->of);
	}
}

static void home_node(void)
{
	struct area *a = area_new("home-node", PAGES, MAP_PRIVATE);

	bind_area(a, MPOL_BIND, BOTH, 0);
	check("set_mempolicy_home_node",
	      syscall(SYS_set_mempolicy_home_node, a->start, a->pages * PAGE, 1ul, 0ul));
	run_on(0);
	area_fill(a);
	expect(a, on_1);
}

/* ---- what lies on node 0 and moves ---------------------------------------------------------- */

static struct area *area_on_0(const char *name, uint64_t pages, int flags)
{
	struct area *a = area_new(name, pages, flags);

	if (pages == LEAF_PAGES)
		check("madvise", madvise(a->start, pages * PAGE, MADV_HUGEPAGE));
	run_on(0);
	area_fill(a);
	return a;
}

static void move_odd_pages(struct area *a, uint64_t step)
{
	void *at[PAGES];
	int to[PAGES], status[PAGES];
	unsigned long nr = 0;

	for (uint64_t i = step == 1 ? 0 : 1; i < a->pages && nr < PAGES; i += step) {
		at[nr] = a->start + i * PAGE;
		to[nr++] = 1;
	}
	check(a->name, syscall(SYS_move_pages, 0, nr, at, to, status, MPOL_MF_MOVE));
}

static void moves(void)
{
	struct area *a = area_on_0("move-by-mbind", PAGES, MAP_PRIVATE);

	bind_area(a, MPOL_BIND, NODE1, MPOL_MF_MOVE | MPOL_MF_STRICT);
	expect(a, on_1);
	a = area_on_0("moveless-mbind", PAGES, MAP_PRIVATE);
	bind_area(a, MPOL_BIND, NODE1, 0);
	expect(a, on_0);
	a = area_on_0("move-by-move-pages", PAGES, MAP_PRIVATE);
	move_odd_pages(a, 2);
	expect(a, odd_on_1);
	a = area_on_0("leaf-by-mbind", LEAF_PAGES, MAP_PRIVATE);
	bind_area(a, MPOL_BIND, NODE1, MPOL_MF_MOVE | MPOL_MF_STRICT);
	expect(a, on_1);
	/* The first pages of it name all of it. */
	a = area_on_0("leaf-by-move-pages", LEAF_PAGES, MAP_PRIVATE);
	move_odd_pages(a, 1);
	expect(a, on_1);
}

/* For the host to move pages out of, so that two 2 MiB blocks are left with few. */
static void many_pages(void)
{
	struct area *a = area_new("many", MANY_PAGES, MAP_PRIVATE);

	check("madvise", madvise(a->start, a->pages * PAGE, MADV_NOHUGEPAGE));
	run_on(1);
	area_fill(a);
	expect(a, on_1);
}

/* What a child maps too: shared memory, and what is the child's own. */
struct shared {
	struct area *stays, *goes, *own;
};

static void make_shared(struct shared *s)
{
	s->stays = area_on_0("shared-by-move", PAGES, MAP_SHARED);
	s->goes = area_on_0("shared-by-move-all", PAGES, MAP_SHARED);
}

static void move_shared(const struct shared *s, int child)
{
	unsigned long from = NODE0, to = NODE1;

	/* By root, so what is shared goes too. */
	check("migrate_pages", syscall(SYS_migrate_pages, child, BITS, &from, &to));
	expect(s->own, on_1);
	bind_area(s->stays, MPOL_BIND, NODE0, MPOL_MF_MOVE);
	expect(s->stays, on_1);
	bind_area(s->goes, MPOL_BIND, NODE0, MPOL_MF_MOVE_ALL | MPOL_MF_STRICT);
	expect(s->goes, on_0);
}

/* ---- and then counting ------------------------------------------------------------------------ */

/* The parent counts in all areas but the child's own, where the child does. */
static void count_until_stop(const struct area *own, bool is_child)
{
	while (!failed && !stop) {
		for (unsigned int i = 0; i < nr_areas; i++)
			if ((&areas[i] == own) == is_child)
				failed |= area_count(&areas[i]);
		usleep(PAUSE_US);
	}
	fflush(stdout);
}

/* Maps all of the shared areas, fills its own; says at @ready when. */
static int child_run(struct shared *s, int ready)
{
	for (uint64_t i = 0; i < PAGES; i++)
		failed |= !beacon_right(s->stays, i) || !beacon_right(s->goes, i);
	area_fill(s->own);
	if (failed || write(ready, "r", 1) != 1)
		return 1;
	count_until_stop(s->own, true);
	return failed;
}

static void write_weight(int node, const char *weight)
{
	char path[80];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/mempolicy/weighted_interleave/node%d", node);
	f = fopen(path, "we");
	check(path, f && fputs(weight, f) >= 0 && !fclose(f) ? 0 : -1);
}

/* Before anything else: what a fork shares would be copied, to elsewhere, at the next store. */
static int child_start(struct shared *s)
{
	int ready[2], child;
	char c;

	make_shared(s);
	s->own = area_new("child-by-migrate-pages", PAGES, MAP_PRIVATE);
	if (failed || pipe(ready) || (child = fork()) < 0)
		return -1;
	if (!child) {
		close(ready[0]);
		_exit(child_run(s, ready[1]));
	}
	close(ready[1]);
	return read(ready[0], &c, 1) == 1 ? child : -1;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_stop };
	int child, status = -1;
	struct shared s;

	sigaction(SIGTERM, &action, NULL);
	run_on(0);
	child = child_start(&s);
	if (child < 0)
		return 2;
	move_shared(&s, child);
	write_weight(1, "2");
	areas_with_policy();
	threads_with_policy();
	home_node();
	moves();
	many_pages();
	printf("ready: %d %lu\n", getpid(), pages_in_all);
	fflush(stdout);
	count_until_stop(s.own, false);
	kill(child, SIGTERM);
	/* Natively it is the whole kernel's: as it was found. */
	write_weight(1, "1");
	failed |= waitpid(child, &status, 0) != child || status;
	puts(failed ? "FAIL" : "PASS");
	return failed;
}
