/* SPDX-License-Identifier: MIT */
/* A benchmark's memory cgroup: its limit, and what is told when there is no memory left in it. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/util.h"
#include "vmm/bench_cgroup.h"

#define LIMIT   (8ul << 20)
#define WAIT_MS 20000u

/* False after telling why: no right to make one here. */
static bool cgroup_made(struct bench_cgroup *g)
{
	struct errmsg e;

	if (!bench_cgroup_create(g, &e))
		return true;
	printf("  (skipped: %s) ", e.text);
	return false;
}

static bool file_set(const struct bench_cgroup *g, const char *name, const char *value)
{
	char path[PATH_MAX + 64];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	f = fopen(path, "we");
	if (!f)
		return false;
	ok = fputs(value, f) >= 0;
	return !fclose(f) && ok;
}

/* No swap for it, whatever others have turned on meanwhile. */
static bool swap_forbid(const struct bench_cgroup *g)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", LIMIT);
	return g->v1 ? file_set(g, "memory.memsw.limit_in_bytes", text)
		     : file_set(g, "memory.swap.max", "0");
}

/* Goes into @g and stores to so much memory. */
static pid_t child_start(const struct bench_cgroup *g, size_t bytes)
{
	pid_t pid = fork();
	char *p;

	if (pid)
		return pid;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || bench_cgroup_enter(g))
		_exit(2);
	memset(p, 1, bytes);
	_exit(0);
}

static bool child_ended(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

static void pause_ms(unsigned int ms)
{
	const struct timespec t = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&t, NULL);
}

static void test_enough(void)
{
	struct cgroup_oom oom;
	struct bench_cgroup g;
	struct errmsg e;
	int status = -1;
	pid_t pid;

	if (!cgroup_made(&g))
		return;
	CU_ASSERT_EQUAL(bench_cgroup_limit(&g, LIMIT, &e), 0);
	pid = child_start(&g, LIMIT / 4);
	CU_ASSERT_TRUE_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_FALSE(bench_cgroup_nudge(&g));
	bench_cgroup_oom(&g, &oom);
	CU_ASSERT_EQUAL(oom.met, 0);
	CU_ASSERT_EQUAL(oom.killed, 0);
	bench_cgroup_destroy(&g);
	CU_ASSERT_NOT_EQUAL(access(g.dir, F_OK), 0);
}

/* It waits (version 1), or is killed; either way that is told, and with it why. */
static void test_out_of_memory(void)
{
	bool waited = false, ended = false;
	struct bench_cgroup g;
	struct cgroup_oom oom;
	struct errmsg e;
	int status = 0;
	pid_t pid;

	if (!cgroup_made(&g))
		return;
	CU_ASSERT_EQUAL(bench_cgroup_limit(&g, LIMIT, &e), 0);
	if (!swap_forbid(&g)) {
		printf("  (skipped: swap cannot be forbidden in a cgroup here) ");
		bench_cgroup_destroy(&g);
		return;
	}
	pid = child_start(&g, 4 * LIMIT);
	CU_ASSERT_TRUE_FATAL(pid > 0);
	for (unsigned int ms = 0; ms < WAIT_MS && !waited && !ended; ms += 10) {
		pause_ms(10);
		waited = bench_cgroup_nudge(&g);
		ended = child_ended(pid, &status);
	}
	CU_ASSERT_TRUE(waited || ended);
	bench_cgroup_oom(&g, &oom);
	CU_ASSERT_TRUE(oom.met > 0 || oom.killed > 0);
	CU_ASSERT_EQUAL(oom.killed > 0, ended);
	CU_ASSERT_EQUAL(oom.peak_swap_bytes, 0);
	if (!ended) {
		kill(pid, SIGKILL);
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	}
	CU_ASSERT_TRUE(WIFSIGNALED(status));
	bench_cgroup_destroy(&g);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "what fits in runs through, and nothing is left behind", test_enough },
		{ "what does not fit waits or is killed, and that is counted", test_out_of_memory },
	};

	return unit_run("bench_cgroup", tests, ARRAY_LEN(tests), argc, argv);
}
