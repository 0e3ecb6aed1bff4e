/* SPDX-License-Identifier: MIT */
/*
 * Guest program: workers THREADS PAGES [COLD]. Memory whose place others decide by its use.
 *
 * The main thread fills everything from processor 0: first COLD pages, then PAGES for each
 * thread. Thread i, bound to processor i, counts in its pages without a pause, so that all
 * of them are used from there and none from elsewhere; the cold ones nobody uses.
 *
 * All are beacons, in the areas `cold`, `worker0`, `worker1` ... Says `at: AREA START END` for
 * each and `ready: PAGES` in all. At SIGUSR1 it says where the kernel that it runs on has each
 * page (a move_pages() query, `AREA NODE...`, beacon_print_nodes()), then `told`, then counts
 * once in the cold pages, so that an observer sees them in use, too. PASS or FAIL at SIGTERM.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lab/beacon_area.h"

#define PAGE        BEACON_PAGE_SIZE
#define MAX_WORKERS 8

static struct area cold = { .name = "cold" };
static struct area areas[MAX_WORKERS];
static pthread_t threads[MAX_WORKERS];
static unsigned long nr_workers;
static volatile bool stop, failed;

static void run_on(unsigned long cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		return;
	printf("FAIL processor %lu: %s\n", cpu, strerrorname_np(errno));
	failed = true;
}

static void *work(void *arg)
{
	struct area *a = arg;

	run_on((unsigned long)(a - areas));
	while (!stop && !failed)
		if (area_count(a))
			failed = true;
	return NULL;
}

static void area_start(struct area *a)
{
	a->start = area_map(a->pages, MAP_PRIVATE, -1);
	if (!a->start)
		exit(2);
	area_fill(a);
	printf("at: %s %lx %lx\n", a->name, (unsigned long)a->start,
	       (unsigned long)a->start + a->pages * PAGE);
}

static void tell_places(const struct area *a)
{
	static void *at[BEACON_MAX_PAGES];
	static int nodes[BEACON_MAX_PAGES];

	for (uint64_t i = 0; i < a->pages; i++)
		at[i] = a->start + i * PAGE;
	if (syscall(SYS_move_pages, 0, a->pages, at, NULL, nodes, 0)) {
		printf("FAIL move_pages: %s\n", strerrorname_np(errno));
		failed = true;
	}
	if (a->pages)
		beacon_print_nodes(a->name, nodes, a->pages);
}

static void tell(void)
{
	tell_places(&cold);
	for (unsigned long i = 0; i < nr_workers; i++)
		tell_places(&areas[i]);
	puts("told");
	fflush(stdout);
	if (area_count(&cold))
		failed = true;
}

static void start_all(unsigned long pages)
{
	static char names[MAX_WORKERS][BEACON_NAME_MAX];

	run_on(0);
	if (cold.pages)
		area_start(&cold);
	for (unsigned long i = 0; i < nr_workers; i++) {
		snprintf(names[i], sizeof(names[i]), "worker%lu", i);
		areas[i] = (struct area){ .name = names[i], .pages = pages };
		area_start(&areas[i]);
	}
	for (unsigned long i = 0; i < nr_workers; i++)
		if (pthread_create(&threads[i], NULL, work, &areas[i]))
			exit(2);
	printf("ready: %lu\n", cold.pages + nr_workers * pages);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned long pages = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	int number = 0;
	sigset_t set;

	nr_workers = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	cold.pages = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	if (!nr_workers || nr_workers > MAX_WORKERS || !pages || pages > BEACON_MAX_PAGES ||
	    cold.pages > BEACON_MAX_PAGES) {
		fprintf(stderr, "usage: workers THREADS PAGES [COLD]\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	start_all(pages);
	while (number != SIGTERM) {
		if (!sigwait(&set, &number) && number == SIGUSR1)
			tell();
	}
	stop = true;
	for (unsigned long i = 0; i < nr_workers; i++)
		pthread_join(threads[i], NULL);
	failed |= area_count(&cold);
	puts(failed ? "FAIL" : "PASS");
	return failed;
}
