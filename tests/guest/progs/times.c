/* SPDX-License-Identifier: MIT */
/* Clocks, sleeps and timers: the results and that they took about as long as they should. */
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/random.h>
#include <sched.h>
#include <time.h>

#include "progs.h"

static double now(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return -1;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void expect(const char *what, double spent, double low, double high)
{
	printf("%s: %s\n", what, spent >= low && spent <= high ? "as expected" : "wrong");
	if (spent < low || spent > high)
		fprintf(stderr, "%s: %f is not in %f..%f\n", what, spent, low, high);
}

static void test_sleep(void)
{
	struct timespec ts = { 0, 50000000 }, bad = { 0, 2000000000 };
	double start = now(CLOCK_MONOTONIC), at;

	SHOW(nanosleep(&ts, NULL));
	expect("50 ms", now(CLOCK_MONOTONIC) - start, 0.049, 30);
	SHOW(nanosleep(&bad, NULL));
	at = now(CLOCK_MONOTONIC) + 0.05;
	ts.tv_sec = (time_t)at;
	ts.tv_nsec = (long)((at - (double)ts.tv_sec) * 1e9);
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
	expect("until then", now(CLOCK_MONOTONIC) - at, -0.001, 30);
	printf("clock_nanosleep of a bad clock: %s\n",
	       strerrorname_np(clock_nanosleep(99, 0, &ts, NULL)));
}

static void test_clocks(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME,         CLOCK_MONOTONIC,
					    CLOCK_BOOTTIME,         CLOCK_MONOTONIC_RAW,
					    CLOCK_REALTIME_COARSE,  CLOCK_PROCESS_CPUTIME_ID,
					    CLOCK_THREAD_CPUTIME_ID };
	struct timespec ts;
	struct timeval tv;
	double last, next;
	size_t i;
	int k, back;

	for (i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		last = now(clocks[i]);
		for (back = 0, k = 0; k < 1000; k++, last = next) {
			next = now(clocks[i]);
			back += next < last;
		}
		printf("clock %d: %s, goes back %d times\n", (int)clocks[i],
		       last >= 0 ? "runs" : "fails", back);
	}
	SHOW(clock_gettime(99, &ts));
	SHOW(clock_getres(CLOCK_MONOTONIC, &ts));
	SHOW(gettimeofday(&tv, NULL));
	expect("gettimeofday", (double)tv.tv_sec - (double)time(NULL), -2, 2);
	expect("realtime", now(CLOCK_REALTIME) - (double)time(NULL), -2, 2);
}

static void test_cpu_time(void)
{
	double start = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
	volatile unsigned long x = 0;
	struct rusage usage;

	/* On a busy machine a share of the time: as long as it takes. */
	while (now(CLOCK_PROCESS_CPUTIME_ID) - start < 0.05 && now(CLOCK_MONOTONIC) - wall < 10)
		x++;
	expect("CPU time of a loop", now(CLOCK_PROCESS_CPUTIME_ID) - start, 0.02, 2);
	SHOW(getrusage(RUSAGE_SELF, &usage));
	expect("rusage",
	       (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
		       (double)usage.ru_stime.tv_usec / 1e6,
	       0.02, 5);
	printf("maxrss %d, times %d\n", usage.ru_maxrss > 0, times(NULL) != -1);
}

static volatile int alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

static void test_timers(void)
{
	struct itimerval timer = { { 0, 10000 }, { 0, 10000 } }, got, off = { { 0, 0 }, { 0, 0 } };

	signal(SIGALRM, on_alarm);
	SHOW(setitimer(ITIMER_REAL, &timer, NULL));
	while (alarms < 3)
		pause();
	SHOW(getitimer(ITIMER_REAL, &got));
	printf("interval %ld\n", (long)got.it_interval.tv_usec);
	SHOW(setitimer(ITIMER_REAL, &off, NULL));
	SHOW(setitimer(77, &timer, NULL));
	SHOW(alarm(100));
	SHOW(alarm(0) >= 90);
	/* In user mode without a call: the timer must break into a loop. */
	alarms = 0;
	timer.it_interval.tv_usec = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
	while (!alarms)
		;
	printf("a loop was interrupted: %d\n", alarms);
}

static void test_system(void)
{
	struct utsname name;
	struct sysinfo info;
	unsigned char bytes[16] = { 0 };
	unsigned int cpu, node;
	cpu_set_t set;

	SHOW(uname(&name));
	printf("%s %s\n", name.sysname, name.machine);
	SHOW(sysinfo(&info));
	printf("memory %d\n", info.totalram > 0);
	SHOW(getrandom(bytes, sizeof(bytes), 0));
	SHOW(getrandom(bytes, sizeof(bytes), 0x100));
	SHOW(sched_getaffinity(0, sizeof(set), &set));
	printf("cpus %d\n", CPU_COUNT(&set) >= 1);
	SHOW(syscall(SYS_getcpu, &cpu, &node, NULL));
	SHOW(sched_yield());
	SHOW(getuid() == geteuid());
	SHOW(syscall(9999));
	SHOW(syscall(SYS_restart_syscall));
}

int main(void)
{
	test_sleep();
	test_clocks();
	test_cpu_time();
	test_timers();
	test_system();
	return 0;
}
