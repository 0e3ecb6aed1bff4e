/* SPDX-License-Identifier: MIT */
/* timer_create: signals, values, overruns, absolute times, notification by thread, CPU time. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "progs.h"

static volatile sig_atomic_t caught;
static volatile int code, value, overruns; /* the most that a signal told */

static void note(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	code = info->si_code;
	value = info->si_value.sival_int;
	if (info->si_overrun > overruns)
		overruns = info->si_overrun;
	caught++;
}

static void on_thread(union sigval v)
{
	value = v.sival_int;
	caught = 1;
}

static void await(int count)
{
	while (caught < count)
		usleep(1000);
}

static struct timespec after(long ns)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_nsec += ns;
	now.tv_sec += now.tv_nsec / 1000000000;
	now.tv_nsec %= 1000000000;
	return now;
}

static void test_interval(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec timing = { { 0, 5000000 }, { 0, 10000000 } }, left;
	sigset_t set;
	timer_t timer;
	int before;

	event.sigev_value.sival_int = 42;
	SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
	SHOW(timer_settime(timer, 0, &timing, &left));
	printf("was off: %d\n", !left.it_value.tv_sec && !left.it_value.tv_nsec);
	await(5);
	printf("code %d value %d\n", code, value);
	SHOW(timer_gettime(timer, &left));
	printf("left: at most the interval %d, interval %ld\n",
	       !left.it_value.tv_sec && left.it_value.tv_nsec <= 5000000, left.it_interval.tv_nsec);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	usleep(100000);
	before = caught;
	overruns = 0;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* On a busy machine the next is there before this is asked: it has counted few. */
	printf("one signal for many periods: %d, the others counted: %d\n",
	       caught - before <= 2 || overruns >= 5, overruns >= 5);
	SHOW(timer_delete(timer));
}

static void test_others(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD };
	struct itimerspec timing = { { 0, 0 }, { 0, 0 } };
	timer_t timer;

	SHOW(timer_create(CLOCK_REALTIME, NULL, &timer));
	caught = 0;
	timing.it_value = after(20000000);
	SHOW(timer_settime(timer, TIMER_ABSTIME, &timing, NULL));
	await(1);
	printf("at its time: code %d\n", code);
	event.sigev_value.sival_int = 43;
	event.sigev_notify_function = on_thread;
	SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
	caught = 0;
	timing.it_value = (struct timespec){ 0, 10000000 };
	SHOW(timer_settime(timer, 0, &timing, NULL));
	await(1);
	printf("in a thread: value %d\n", value);
	SHOW(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &timer));
	caught = 0;
	SHOW(timer_settime(timer, 0, &timing, NULL));
	while (!caught)
		;
	printf("after processor time: code %d\n", code);
}

static void test_mistakes(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99 };
	struct itimerspec timing = { { 0, 0 }, { 0, 1000000000 } };
	timer_t timer;

	SHOW(timer_create(77, NULL, &timer));
	SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, &event, &timer));
	SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, (void *)16, &timer));
	SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, (void *)16));
	SHOW(timer_create(CLOCK_REALTIME, NULL, &timer));
	SHOW(timer_settime(timer, 0, &timing, NULL));
	SHOW(timer_settime(timer, 0, NULL, NULL));
	SHOW(timer_delete(timer));
	SHOW(timer_delete(timer));
	SHOW(syscall(SYS_timer_gettime, 1234, &timing));
	SHOW(syscall(SYS_timer_getoverrun, 1234));
}

static atomic_int newest, ended;

static void *delete_newest(void *arg)
{
	int id;

	while (!ended)
		for (id = newest; id < newest + 8; id++)
			syscall(SYS_timer_delete, id);
	return arg;
}

/* A thread deletes timers whose numbers timer_create() is about to tell, or cannot. */
static void test_deleted_at_birth(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	pthread_t thread;
	int id = 0, i;

	pthread_create(&thread, NULL, delete_newest, NULL);
	for (i = 0; i < 4000; i++) {
		syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, (void *)16);
		if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
			continue;
		newest = id + 1;
		syscall(SYS_timer_delete, id);
	}
	ended = 1;
	pthread_join(thread, NULL);
	printf("alive\n");
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(SIGRTMIN, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	test_interval();
	test_others();
	test_mistakes();
	test_deleted_at_birth();
	return 0;
}
