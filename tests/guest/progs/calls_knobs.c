/* SPDX-License-Identifier: MIT */
/*
 * What a program sets for itself, call by call: scheduling, prctl(), limits, what getrusage() and
 * kin are asked. What each gives, and each errno that a program can provoke.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>

#include "calls.h"

/* ---- scheduling ---------------------------------------------------------------------------------- */

static void test_scheduler(void)
{
	struct sched_param zero = { 0 }, one = { 1 }, got = { 9 };
	struct timespec quantum = { -1, -1 };
	int policy;

	printf("-- sched_*\n");
	for (policy = -1; policy < 9; policy++) {
		printf("policy %d: ", policy);
		SHOW(sched_get_priority_max(policy));
		printf("policy %d: ", policy);
		SHOW(sched_get_priority_min(policy));
	}
	SHOW(sched_getscheduler(0));
	SHOW(sched_getscheduler(-1));
	SHOW(sched_getscheduler(NOBODY));
	SHOW(sched_setscheduler(0, SCHED_OTHER, &zero));
	SHOW(sched_setscheduler(0, SCHED_OTHER, &one));
	SHOW(sched_setscheduler(0, SCHED_BATCH, &one));
	SHOW(sched_setscheduler(0, SCHED_FIFO, &zero));
	SHOW(sched_setscheduler(0, SCHED_RR, &(struct sched_param){ 100 }));
	SHOW(sched_setscheduler(0, 4, &zero));
	SHOW(sched_setscheduler(0, 99, &zero));
	SHOW(sched_setscheduler(0, -1, &zero));
	SHOW(sched_setscheduler(0, SCHED_OTHER, NULL));
	SHOW(sched_setscheduler(0, SCHED_OTHER, BAD));
	SHOW(sched_setscheduler(-1, SCHED_OTHER, BAD));
	SHOW(sched_setscheduler(NOBODY, SCHED_OTHER, &zero));
	SHOW(sched_setscheduler(NOBODY, 99, &zero));
	SHOW(sched_setparam(0, &zero));
	SHOW(sched_setparam(0, &one));
	SHOW(sched_setparam(0, NULL));
	SHOW(sched_setparam(-1, &zero));
	SHOW(sched_setparam(NOBODY, &zero));
	SHOW(sched_getparam(0, &got));
	printf("priority %d\n", got.sched_priority);
	SHOW(sched_getparam(0, NULL));
	SHOW(sched_getparam(0, BAD));
	SHOW(sched_getparam(-1, &got));
	SHOW(sched_getparam(-1, NULL));
	SHOW(sched_getparam(NOBODY, &got));
	SHOW(sched_getparam(NOBODY, BAD));
	SHOW(sched_rr_get_interval(0, &quantum));
	printf("a time %d\n", quantum.tv_sec == 0 && quantum.tv_nsec >= 0);
	SHOW(sched_rr_get_interval(-1, &quantum));
	SHOW(sched_rr_get_interval(NOBODY, &quantum));
	SHOW(sched_rr_get_interval(0, BAD));
	SHOW(sched_rr_get_interval(NOBODY, BAD));
}

/* BATCH and IDLE are had by anybody; who has them keeps them over a fork. */
static void test_policies(void)
{
	static const int policies[] = { SCHED_BATCH, SCHED_IDLE, SCHED_OTHER };
	struct sched_param zero = { 0 };
	size_t i;

	printf("-- policies\n");
	for (i = 0; i < 3; i++) {
		SHOW(sched_setscheduler(0, policies[i], &zero));
		SHOW(sched_getscheduler(0));
		SHOW(sched_setparam(0, &zero));
		if (!fork_flushed()) {
			SHOW(sched_getscheduler(0));
			child_exit(0);
		}
		wait(NULL);
	}
	SHOW(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &zero));
	SHOW(sched_getscheduler(0));
	if (!fork_flushed()) {
		SHOW(sched_getscheduler(0));
		child_exit(0);
	}
	wait(NULL);
	SHOW(sched_setscheduler(0, SCHED_OTHER, &zero));
}

static void test_affinity(void)
{
	unsigned long mask[16] = { 0 }, all[16] = { 0 };
	long size = syscall(SYS_sched_getaffinity, 0, sizeof(all), all);

	printf("-- affinity\n");
	printf("a size %d\n", size > 0 && size % 8 == 0);
	SHOW(syscall(SYS_sched_getaffinity, 0, 0, mask));
	SHOW(syscall(SYS_sched_getaffinity, 0, 7, mask));
	SHOW(syscall(SYS_sched_getaffinity, 0, 127, mask));
	SHOW(syscall(SYS_sched_getaffinity, 0, 128, BAD));
	SHOW(syscall(SYS_sched_getaffinity, NOBODY, 128, BAD));
	SHOW(syscall(SYS_sched_getaffinity, NOBODY, 7, BAD));
	SHOW(syscall(SYS_sched_getaffinity, -1, 128, mask));
	SHOW(syscall(SYS_sched_setaffinity, 0, 128, mask));
	SHOW(syscall(SYS_sched_setaffinity, 0, 0, mask));
	SHOW(syscall(SYS_sched_setaffinity, 0, 128, BAD));
	SHOW(syscall(SYS_sched_setaffinity, NOBODY, 128, BAD));
	SHOW(syscall(SYS_sched_setaffinity, NOBODY, 128, mask));
	SHOW(syscall(SYS_sched_setaffinity, -1, 128, all));
	mask[15] = 1ul << 63;
	SHOW(syscall(SYS_sched_setaffinity, 0, 128, mask));
	mask[0] = 1;
	SHOW(syscall(SYS_sched_setaffinity, 0, 128, mask));
	memset(mask, 0, sizeof(mask));
	SHOW(syscall(SYS_sched_getaffinity, 0, 128, mask) > 0);
	printf("only the first: %d\n", mask[0] == 1 && !mask[15]);
	SHOW(syscall(SYS_sched_setaffinity, 0, 1, all));
	SHOW(syscall(SYS_sched_setaffinity, 0, 128, all));
	SHOW(syscall(SYS_getcpu, NULL, NULL, NULL));
	SHOW(syscall(SYS_getcpu, BAD, NULL, NULL));
	SHOW(sched_yield());
}

static void test_nice(void)
{
	printf("-- getpriority, setpriority\n");
	SHOW(syscall(SYS_getpriority, 3, 0));
	SHOW(syscall(SYS_getpriority, -1, 0));
	SHOW(syscall(SYS_getpriority, PRIO_PROCESS, NOBODY));
	SHOW(syscall(SYS_getpriority, PRIO_PGRP, NOBODY));
	SHOW(syscall(SYS_getpriority, PRIO_USER, NOBODY));
	SHOW(setpriority(3, 0, 0));
	SHOW(setpriority(PRIO_PROCESS, NOBODY, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 500));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, (id_t)getpid(), 4));
	if (!fork_flushed()) {
		SHOW(getpriority(PRIO_PROCESS, 0));
		child_exit(0);
	}
	wait(NULL);
}

/* ---- prctl ---------------------------------------------------------------------------------------- */

static void test_flags(void)
{
	/* Those that take and tell a number, and the numbers to try. */
	static const struct {
		const char *name;
		int set, get;
	} knobs[] = {
		{ "dumpable", PR_SET_DUMPABLE, PR_GET_DUMPABLE },
		{ "keepcaps", PR_SET_KEEPCAPS, PR_GET_KEEPCAPS },
		{ "no new privileges", PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS },
		{ "huge pages", PR_SET_THP_DISABLE, PR_GET_THP_DISABLE },
		{ "timer slack", PR_SET_TIMERSLACK, PR_GET_TIMERSLACK },
	};
	static const unsigned long values[] = { 1, 0, 2, 77777, (unsigned long)-1 };
	size_t i, j;

	printf("-- prctl: numbers\n");
	for (i = 0; i < sizeof(knobs) / sizeof(*knobs); i++) {
		printf("%s: at first ", knobs[i].name);
		SHOW(prctl(knobs[i].get, 0, 0, 0, 0));
		for (j = 0; j < sizeof(values) / sizeof(*values); j++) {
			/* Of slack, as of the host's processes, there is no largest. */
			if (knobs[i].set == PR_SET_TIMERSLACK && j == 4)
				continue;
			/* Linux 6.18 has flags here. */
			if (knobs[i].set == PR_SET_THP_DISABLE && j > 1)
				continue;
			printf("%s %ld: ", knobs[i].name, (long)values[j]);
			SHOW(prctl(knobs[i].set, values[j], 0, 0, 0));
			SHOW(prctl(knobs[i].get, 0, 0, 0, 0));
		}
		printf("%s, more arguments: ", knobs[i].name);
		SHOW(prctl(knobs[i].get, 0, 0, 0, 7));
	}
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	prctl(PR_SET_TIMERSLACK, 0, 0, 0, 0);
	SHOW(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
}

static void test_prctl(void)
{
	char name[17] = "";
	int value = -1;
	void *address = NULL;

	printf("-- prctl\n");
	SHOW(prctl(-1));
	SHOW(prctl(9999));
	SHOW(prctl(PR_SET_NAME, BAD));
	SHOW(prctl(PR_GET_NAME, BAD));
	SHOW(prctl(PR_SET_NAME, "a name that is far too long"));
	SHOW(prctl(PR_GET_NAME, name));
	puts(name);
	SHOW(prctl(PR_SET_NAME, ""));
	SHOW(prctl(PR_GET_NAME, name));
	printf("%zu\n", strlen(name));
	SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	SHOW(prctl(PR_GET_PDEATHSIG, &value));
	printf("signal %d\n", value);
	SHOW(prctl(PR_GET_PDEATHSIG, BAD));
	SHOW(prctl(PR_SET_PDEATHSIG, 65));
	SHOW(prctl(PR_SET_PDEATHSIG, -1));
	if (!fork_flushed()) {
		SHOW(prctl(PR_GET_PDEATHSIG, &value));
		printf("of the child %d\n", value);
		child_exit(0);
	}
	wait(NULL);
	SHOW(prctl(PR_SET_PDEATHSIG, 0));
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 5));
	SHOW(prctl(PR_GET_CHILD_SUBREAPER, &value));
	printf("subreaper %d\n", value);
	SHOW(prctl(PR_GET_CHILD_SUBREAPER, BAD));
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 0));
	SHOW(prctl(PR_GET_TSC, &value));
	printf("tsc %d\n", value);
	SHOW(prctl(PR_GET_TSC, BAD));
	SHOW(prctl(PR_GET_TIMING));
	SHOW(prctl(PR_SET_TIMING, 0));
	SHOW(prctl(PR_SET_TIMING, 1));
	SHOW(prctl(PR_GET_SECCOMP));
	SHOW(prctl(PR_GET_TID_ADDRESS, &address));
	SHOW(prctl(PR_GET_TID_ADDRESS, BAD));
	SHOW(prctl(PR_GET_SECUREBITS));
	SHOW(prctl(PR_CAPBSET_READ, 0));
	SHOW(prctl(PR_CAPBSET_READ, 999));
	SHOW(prctl(PR_CAPBSET_DROP, 999));
	SHOW(prctl(PR_CAP_AMBIENT, 9, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 999, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 1, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
	SHOW(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 9, 0, 0));
	SHOW(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	SHOW(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SHOW(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0));
	SHOW(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0));
	SHOW(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
	SHOW(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_FPEMU, 1));
	SHOW(prctl(PR_SET_ENDIAN, 0));
	SHOW(prctl(PR_SET_UNALIGN, 0));
}

/* ---- limits and figures ------------------------------------------------------------------------------ */

static void test_limits(void)
{
	struct rlimit got, high = { 10, 5 };
	struct rusage usage;
	struct tms tms;

	printf("-- limits and figures\n");
	SHOW(getrlimit((unsigned int)-1, &got));
	SHOW(getrlimit(RLIM_NLIMITS, &got));
	SHOW(getrlimit(RLIM_NLIMITS, BAD));
	SHOW(getrlimit(RLIMIT_CORE, BAD));
	SHOW(setrlimit(RLIMIT_CORE, &high));
	SHOW(setrlimit(RLIMIT_CORE, BAD));
	SHOW(setrlimit(RLIM_NLIMITS, BAD));
	SHOW(syscall(SYS_prlimit64, NOBODY, RLIMIT_CORE, NULL, &got));
	SHOW(syscall(SYS_prlimit64, -1, RLIMIT_CORE, NULL, &got));
	SHOW(syscall(SYS_prlimit64, NOBODY, RLIM_NLIMITS, NULL, &got));
	SHOW(syscall(SYS_prlimit64, NOBODY, RLIMIT_CORE, BAD, &got));
	SHOW(syscall(SYS_prlimit64, 0, RLIM_NLIMITS, NULL, NULL));
	SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &high, &got));
	SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, NULL));
	high = (struct rlimit){ 4096, 8192 };
	SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &high, BAD));
	SHOW(getrlimit(RLIMIT_CORE, &got));
	printf("%lu of %lu\n", (unsigned long)got.rlim_cur, (unsigned long)got.rlim_max);
	if (!fork_flushed()) {
		SHOW(getrlimit(RLIMIT_CORE, &got));
		printf("%lu of %lu\n", (unsigned long)got.rlim_cur, (unsigned long)got.rlim_max);
		child_exit(0);
	}
	wait(NULL);
	SHOW(getrusage(77, &usage));
	SHOW(getrusage(77, BAD));
	SHOW(getrusage(RUSAGE_SELF, BAD));
	SHOW(getrusage(RUSAGE_CHILDREN, &usage));
	SHOW(getrusage(RUSAGE_THREAD, &usage));
	SHOW(times(&tms) > 0);
	SHOW(syscall(SYS_times, NULL) > 0);
	SHOW(syscall(SYS_times, BAD));
	SHOW(syscall(SYS_personality, 0xffffffff));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_scheduler();
	test_policies();
	test_affinity();
	test_nice();
	test_flags();
	test_prctl();
	test_limits();
	return 0;
}
