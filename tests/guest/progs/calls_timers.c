/* SPDX-License-Identifier: MIT */
/*
 * Timers, sleeps and waits for signals, call by call: what each gives, each errno that a program
 * can provoke, what is left of a time and what a signal makes of a wait. Times are told as whether
 * they are right.
 */
#include <time.h>
#include <ucontext.h>

#include "calls.h"

static struct timespec after(clockid_t clock, long ms)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static bool is_over(clockid_t clock, const struct timespec *then)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec > then->tv_sec || (t.tv_sec == then->tv_sec && t.tv_nsec >= then->tv_nsec);
}

/* ---- interval timers ------------------------------------------------------------------------- */

/* Less than a second is told as one: asked while it is still to come. */
static void show_rounded(void)
{
	struct timespec soon;
	unsigned int left;

	do {
		soon = after(CLOCK_MONOTONIC, 800);
		setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 900000 } }, NULL);
		left = alarm(0);
	} while (is_over(CLOCK_MONOTONIC, &soon));
	printf("of 900 ms are left %u s\n", left);
}

static void test_intervals(void)
{
	static const int signals[] = { SIGALRM, SIGVTALRM, SIGPROF };
	struct itimerval late = { { 7, 0 }, { 100, 500000 } }, soon = { { 0, 0 }, { 0, 10000 } };
	struct itimerval bad = { { 0, 0 }, { 0, 1000000 } }, left;
	int i;

	printf("-- setitimer, getitimer, alarm\n");
	for (i = 0; i < 3; i++) {
		SHOW(setitimer(i, &late, NULL));
		SHOW(getitimer(i, &left));
		printf("%d left %d interval %ld\n", i,
		       left.it_value.tv_sec >= 90 && left.it_value.tv_sec <= 101,
		       (long)left.it_interval.tv_sec);
		SHOW(setitimer(i, &(struct itimerval){ 0 }, &left));
		printf("%d left %d\n", i, left.it_value.tv_sec >= 90);
		install(signals[i], 0);
		caught = 0;
		SHOW(setitimer(i, &soon, NULL));
		while (!caught)
			getppid();
		SHOW(getitimer(i, &left));
		printf("%d caught, left %ld %ld\n", i, (long)left.it_value.tv_sec,
		       (long)left.it_value.tv_usec);
	}
	SHOW(setitimer(3, &late, NULL));
	SHOW(setitimer(-1, &late, NULL));
	SHOW(getitimer(3, &left));
	SHOW(getitimer(3, BAD));
	SHOW(setitimer(ITIMER_REAL, &bad, NULL));
	bad = (struct itimerval){ { 0, -1 }, { 1, 0 } };
	SHOW(setitimer(ITIMER_REAL, &bad, NULL));
	bad = (struct itimerval){ { 0, 0 }, { -1, 0 } };
	SHOW(setitimer(ITIMER_REAL, &bad, NULL));
	SHOW(setitimer(3, &bad, NULL));
	SHOW(setitimer(3, BAD, NULL));
	SHOW(setitimer(ITIMER_REAL, &late, BAD));
	SHOW(getitimer(ITIMER_REAL, &left));
	printf("set all the same %d\n", left.it_value.tv_sec >= 90);
	SHOW(alarm(50) >= 90);
	SHOW(alarm(0) >= 40);
	SHOW(alarm(0));
	show_rounded();
	/* A fork has none. */
	SHOW(alarm(100));
	if (!fork_flushed()) {
		SHOW(alarm(0));
		child_exit(0);
	}
	wait(NULL);
	SHOW(alarm(0) >= 90);
}

/* ---- timers ------------------------------------------------------------------------------------- */

static void timer_signal_block(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(how, &set, NULL);
}

static void test_timer_errors(timer_t timer)
{
	struct itimerspec late = { .it_value = { 100, 0 } }, bad = late, old;
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	int id;

	event._sigev_un._tid = 1;
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	event._sigev_un._tid = getpid();
	event.sigev_signo = 0;
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	event.sigev_signo = SIGRTMIN;
	event.sigev_notify = 77;
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	event = (struct sigevent){ .sigev_notify = SIGEV_NONE, .sigev_signo = 99 };
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	SHOW(syscall(SYS_timer_delete, id));
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, NULL, &id));
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC_COARSE, NULL, &id));
	SHOW(syscall(SYS_timer_create, -1, NULL, &id));
	SHOW(syscall(SYS_timer_create, 77, BAD, &id));
	SHOW(timer_settime(timer, 0, BAD, NULL));
	SHOW(syscall(SYS_timer_settime, 9999, 0, BAD, NULL));
	SHOW(syscall(SYS_timer_settime, 9999, 0, &late, NULL));
	bad.it_interval.tv_nsec = -1;
	SHOW(syscall(SYS_timer_settime, 9999, 0, &bad, NULL));
	SHOW(timer_settime(timer, 0, &bad, NULL));
	bad = (struct itimerspec){ .it_value = { -1, 0 } };
	SHOW(timer_settime(timer, 0, &bad, NULL));
	SHOW(timer_settime(timer, 0, &late, BAD));
	SHOW(timer_gettime(timer, &old));
	printf("set all the same %d\n", old.it_value.tv_sec >= 90);
	SHOW(timer_settime(timer, 99, &late, NULL));
	SHOW(timer_gettime(timer, BAD));
	SHOW(syscall(SYS_timer_gettime, 9999, BAD));
	SHOW(syscall(SYS_timer_delete, 9999));
}

static void test_overrun(timer_t timer)
{
	struct itimerspec fast = { { 0, 1000000 }, { 0, 1000000 } }, off = { 0 };
	sigset_t set;
	siginfo_t info;

	timer_signal_block(SIG_BLOCK);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	SHOW(timer_settime(timer, 0, &fast, NULL));
	usleep(50000);
	SHOW(sigwaitinfo(&set, &info) == SIGRTMIN);
	printf("code %d value %d, overrun %d\n", info.si_code, info.si_value.sival_int,
	       info.si_overrun >= 10);
	SHOW(timer_getoverrun(timer) >= 0);
	SHOW(timer_settime(timer, 0, &off, NULL));
	while (sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) > 0)
		;
	SHOW(sigtimedwait(&set, &info, &(struct timespec){ 0, 20000000 }));
	timer_signal_block(SIG_UNBLOCK);
}

/* One that is already over fires at once; one of a moment to come does not move with the clock. */
static void test_absolute(timer_t timer, clockid_t clock)
{
	struct itimerspec past = { .it_value = { 1, 0 } }, next = { .it_value = after(clock, 30) };
	struct itimerspec left;

	install(SIGRTMIN, 0);
	caught = 0;
	SHOW(timer_settime(timer, TIMER_ABSTIME, &past, NULL));
	while (!caught)
		usleep(1000);
	SHOW(timer_gettime(timer, &left));
	printf("left %ld %ld\n", (long)left.it_value.tv_sec, left.it_value.tv_nsec);
	caught = 0;
	SHOW(timer_settime(timer, TIMER_ABSTIME, &next, NULL));
	while (!caught)
		usleep(1000);
	printf("not before it %d\n", is_over(clock, &next.it_value));
}

static void test_timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	struct itimerspec soon = { .it_value = { 0, 10000000 } }, left;
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
					    CLOCK_TAI };
	timer_t timer;
	size_t i;

	printf("-- timers\n");
	event.sigev_value.sival_int = 77;
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	for (i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		SHOW(timer_create(clocks[i], &event, &timer));
		test_absolute(timer, clocks[i]);
		if (!i) {
			test_timer_errors(timer);
			test_overrun(timer);
		}
		SHOW(timer_delete(timer));
	}
	SHOW(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer));
	caught = 0;
	SHOW(timer_settime(timer, 0, &soon, NULL));
	while (!caught)
		;
	SHOW(timer_delete(timer));
	event.sigev_notify = SIGEV_NONE;
	SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
	SHOW(timer_settime(timer, 0, &soon, NULL));
	usleep(30000);
	SHOW(timer_gettime(timer, &left));
	printf("left %ld %ld\n", (long)left.it_value.tv_sec, left.it_value.tv_nsec);
	SHOW(timer_getoverrun(timer));
	/* A fork has none. */
	if (!fork_flushed()) {
		SHOW(timer_gettime(timer, &left));
		child_exit(0);
	}
	wait(NULL);
	SHOW(timer_delete(timer));
}

/* ---- sleeping ------------------------------------------------------------------------------------- */

static void test_sleeping(void)
{
	struct timespec bad = { 0, 1000000000 }, minus = { -1, 0 }, late = { 100, 0 }, left;
	static const clockid_t clocks[] = { CLOCK_REALTIME,
					    CLOCK_MONOTONIC,
					    CLOCK_BOOTTIME,
					    CLOCK_TAI,
					    CLOCK_PROCESS_CPUTIME_ID,
					    CLOCK_THREAD_CPUTIME_ID,
					    CLOCK_MONOTONIC_RAW,
					    CLOCK_REALTIME_COARSE,
					    77,
					    -1 };
	size_t i;

	printf("-- sleeping\n");
	for (i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		printf("clock %d: ", clocks[i]);
		SHOW(syscall(SYS_clock_nanosleep, clocks[i], 0, &minus, NULL));
	}
	SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, NULL));
	SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &bad, NULL));
	SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &minus, NULL));
	SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD, NULL));
	SHOW(syscall(SYS_clock_nanosleep, 77, 0, BAD, NULL));
	SHOW(syscall(SYS_nanosleep, &bad, NULL));
	SHOW(syscall(SYS_nanosleep, &minus, NULL));
	SHOW(syscall(SYS_nanosleep, BAD, NULL));
	for (i = 0; i < 4; i++) {
		left = after(clocks[i], 20);
		SHOW(syscall(SYS_clock_nanosleep, clocks[i], TIMER_ABSTIME, &left, NULL));
		printf("not before it %d\n", is_over(clocks[i], &left));
		alarm_in(30, SA_RESTART);
		SHOW(syscall(SYS_clock_nanosleep, clocks[i], 0, &late, &left));
		printf("left %d\n", left.tv_sec >= 90 && left.tv_sec < 100);
		left = after(clocks[i], 50000);
		SHOW(syscall(SYS_clock_nanosleep, clocks[i], TIMER_ABSTIME, &left, NULL));
		alarm_in(0, 0);
	}
	alarm_in(30, 0);
	SHOW(syscall(SYS_nanosleep, &late, BAD));
	SHOW(syscall(SYS_nanosleep, &late, NULL));
	alarm_in(0, 0);
}

/* ---- signals ------------------------------------------------------------------------------------------ */

static void test_waiting(void)
{
	struct timespec bad = { 0, 1000000000 }, zero = { 0, 0 }, late = { 100, 0 };
	siginfo_t info = { .si_code = SI_QUEUE };
	sigset_t set;

	printf("-- sigqueue, sigtimedwait\n");
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	SHOW(sigqueue(getpid(), 0, (union sigval){ 0 }));
	SHOW(sigqueue(getpid(), 65, (union sigval){ 0 }));
	SHOW(sigqueue(getpid(), -1, (union sigval){ 0 }));
	SHOW(sigqueue(4190000, SIGUSR1, (union sigval){ 0 }));
	SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD));
	SHOW(syscall(SYS_rt_sigqueueinfo, 4190000, SIGUSR1, BAD));
	info.si_code = SI_USER;
	SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
	info.si_code = SI_TKILL;
	SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
	SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), -1, SIGUSR1, &info));
	SHOW(syscall(SYS_rt_tgsigqueueinfo, -1, getpid(), SIGUSR1, &info));
	SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), 99, &info));
	SHOW(syscall(SYS_tgkill, getpid(), -1, SIGUSR1));
	SHOW(syscall(SYS_tgkill, 4190000, getpid(), SIGUSR1));
	SHOW(syscall(SYS_tkill, 0, SIGUSR1));
	SHOW(syscall(SYS_tkill, 4190000, SIGUSR1));
	SHOW(syscall(SYS_tkill, getpid(), 99));
	SHOW(sigqueue(getpid(), SIGRTMIN, (union sigval){ 5 }));
	SHOW(sigqueue(getpid(), SIGUSR1, (union sigval){ 6 }));
	SHOW(sigtimedwait(&set, &info, &zero));
	printf("code %d value %d\n", info.si_code, info.si_value.sival_int);
	SHOW(syscall(SYS_rt_sigtimedwait, &set, BAD, &zero, 8));
	SHOW(sigtimedwait(&set, &info, &zero));
	SHOW(syscall(SYS_rt_sigtimedwait, &set, &info, &bad, 8));
	SHOW(syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 16));
	SHOW(syscall(SYS_rt_sigtimedwait, &set, &info, BAD, 8));
	SHOW(syscall(SYS_rt_sigtimedwait, BAD, &info, &bad, 8));
	alarm_in(30, SA_RESTART);
	SHOW(sigtimedwait(&set, &info, &late));
	SHOW(sigwaitinfo(&set, &info));
	SHOW(sigsuspend(&set));
	alarm_in(0, 0);
	SHOW(syscall(SYS_rt_sigsuspend, &set, 4));
	SHOW(syscall(SYS_rt_sigpending, &set, 16));
	SHOW(syscall(SYS_rt_sigprocmask, 9, NULL, NULL, 8));
	SHOW(syscall(SYS_rt_sigprocmask, 9, &set, NULL, 8));
	SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
	SHOW(syscall(SYS_rt_sigaction, SIGSTOP, NULL, NULL, 8));
	SHOW(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
}

static void on_stack(int number)
{
	static char other[65536];
	stack_t now;

	(void)number;
	SHOW(sigaltstack(NULL, &now));
	printf("flags %x\n", (unsigned int)now.ss_flags);
	SHOW(sigaltstack(&(stack_t){ .ss_sp = other, .ss_size = sizeof(other) }, NULL));
}

static void test_stacks(void)
{
	static char memory[65536];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) }, old;
	struct sigaction action = { .sa_handler = on_stack, .sa_flags = SA_ONSTACK };

	printf("-- sigaltstack\n");
	sigaction(SIGUSR2, &action, NULL);
	SHOW(sigaltstack(NULL, NULL));
	SHOW(sigaltstack(NULL, &old));
	printf("flags %x\n", (unsigned int)old.ss_flags);
	SHOW(sigaltstack(BAD, NULL));
	SHOW(sigaltstack(NULL, BAD));
	stack.ss_flags = 99;
	SHOW(sigaltstack(&stack, NULL));
	stack.ss_flags = SS_ONSTACK;
	SHOW(sigaltstack(&stack, &old));
	SHOW(sigaltstack(NULL, &old));
	printf("flags %x\n", (unsigned int)old.ss_flags);
	SHOW(raise(SIGUSR2));
	stack.ss_flags = (int)(1u << 31);
	SHOW(sigaltstack(&stack, &old));
	SHOW(raise(SIGUSR2));
	SHOW(sigaltstack(NULL, &old));
	printf("flags %x, the one from the handler %d\n", (unsigned int)old.ss_flags,
	       old.ss_sp != memory);
	stack = (stack_t){ .ss_sp = memory, .ss_size = 2047 };
	SHOW(sigaltstack(&stack, NULL));
	stack.ss_flags = SS_DISABLE;
	SHOW(sigaltstack(&stack, NULL));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_intervals();
	test_timers();
	test_sleeping();
	test_waiting();
	test_stacks();
	return 0;
}
