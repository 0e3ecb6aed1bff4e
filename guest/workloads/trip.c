/* SPDX-License-Identifier: MIT */
/* Ways between a program and its system, one after the other: calls, faults, new processes, pipes. */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"

#define STRIDE (2ul << 20)

static uint64_t count = 10000;

static double per_operation(uint64_t start)
{
	return (double)(wl_now_ns() - start) / (double)count;
}

static int measure_calls(double *ns)
{
	uint64_t i, start = wl_now_ns(), wrong = 0;
	long parent = getppid();

	for (i = 0; i < count; i++)
		wrong += syscall(SYS_getppid) != parent;
	*ns = per_operation(start);
	return wrong != 0;
}

/* Pages so far apart, and in such an order, that none comes with another. */
static int measure_faults(double *ns)
{
	size_t size = count * STRIDE;
	uint64_t i, start;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || madvise(p, size, MADV_NOHUGEPAGE) || madvise(p, size, MADV_RANDOM)) {
		perror("trip: mmap");
		return 1;
	}
	start = wl_now_ns();
	for (i = count; i-- > 0;)
		*(volatile char *)(p + i * STRIDE) = 1;
	*ns = per_operation(start);
	return munmap(p, size) != 0;
}

static int measure_spawns(double *ns, char *self)
{
	char *argv[] = { self, (char *)"--what", (char *)"nothing", NULL };
	uint64_t i, start = wl_now_ns();
	int status, bad = 0;
	pid_t pid;

	for (i = 0; i < count && !bad; i++) {
		pid = fork();
		if (!pid) {
			execv("/proc/self/exe", argv);
			_exit(127);
		}
		bad = pid < 0 || waitpid(pid, &status, 0) != pid || status;
	}
	*ns = per_operation(start);
	return bad;
}

/* A byte to and fro: each round is two switches. */
static int measure_switches(double *ns)
{
	int there[2], back[2], bad = 0;
	uint64_t i, start;
	char c = 0;
	pid_t pid;

	if (pipe(there) || pipe(back)) {
		perror("trip: pipe");
		return 1;
	}
	pid = fork();
	if (!pid) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
			;
		_exit(0);
	}
	start = wl_now_ns();
	for (i = 0; i < count && !bad; i++)
		bad = write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1;
	*ns = per_operation(start) / 2;
	close(there[1]);
	return pid < 0 || waitpid(pid, NULL, 0) != pid || bad;
}

int main(int argc, char **argv)
{
	const char *what = "call";
	const struct wl_option options[] = {
		{ "what", WL_TEXT, &what, "call, fault, spawn, switch or nothing" },
		{ "count", WL_COUNT, &count, "operations" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "The time of one way in and out of the system.", options);
	double ns = 0;

	if (rc)
		return rc < 0 ? 2 : 0;
	if (!strcmp(what, "nothing"))
		return 0;
	if (!count) {
		fprintf(stderr, "trip: --count must not be 0\n");
		return 2;
	}
	if (!strcmp(what, "call"))
		rc = measure_calls(&ns);
	else if (!strcmp(what, "fault"))
		rc = measure_faults(&ns);
	else if (!strcmp(what, "spawn"))
		rc = measure_spawns(&ns, argv[0]);
	else if (!strcmp(what, "switch"))
		rc = measure_switches(&ns);
	else {
		fprintf(stderr, "trip: --what: there is no '%s'\n", what);
		return 2;
	}
	fprintf(stderr, "trip: %.3f us\n", ns / 1000);
	printf("trip %s: %s\n", what, rc ? "failed" : "done");
	return rc;
}
