/* SPDX-License-Identifier: MIT */
/* futex_waitv and the futex calls with a number each (Linux 5.16 and 6.7). */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "progs.h"

#define CALL_WAITV   449
#define CALL_WAKE    454
#define CALL_WAIT    455
#define CALL_REQUEUE 456

#define SIZE_U32 2u
#define PRIVATE  128u
#define ALL      0xffffffffu

struct waiter {
	uint64_t value, address;
	uint32_t flags, reserved;
};

static atomic_uint words[160];
static struct waiter list[160];

static long waitv(const void *waiters, unsigned int nr, unsigned int flags, const void *timeout,
		  int clock)
{
	return syscall(CALL_WAITV, waiters, nr, flags, timeout, clock);
}

static long wake(void *word, unsigned long mask, int nr, unsigned int flags)
{
	return syscall(CALL_WAKE, word, mask, nr, flags);
}

static long wait_one(void *word, unsigned long value, unsigned long mask, unsigned int flags,
		     const void *timeout, int clock)
{
	return syscall(CALL_WAIT, word, value, mask, flags, timeout, clock);
}

static long requeue(const void *waiters, unsigned int flags, int nr_wake, int nr_move)
{
	return syscall(CALL_REQUEUE, waiters, flags, nr_wake, nr_move);
}

static void fill(unsigned int nr, uint32_t flags)
{
	for (unsigned int i = 0; i < nr; i++)
		list[i] = (struct waiter){ .address = (uint64_t)(uintptr_t)&words[i],
					   .flags = flags };
}

static struct timespec in_ms(int clock, long ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

/* ---- errors --------------------------------------------------------------------- */

static void bad_waitv(void)
{
	struct timespec past = { 1, 0 }, odd = { 0, 1000000000 }, negative = { -1, 0 };
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct waiter *edge = (struct waiter *)(void *)(pages + PAGE) - 1;

	munmap(pages + PAGE, PAGE);
	printf("-- futex_waitv\n");
	fill(160, SIZE_U32 | PRIVATE);
	SHOW(waitv(list, 0, 0, NULL, 0));
	SHOW(waitv(list, 129, 0, NULL, 0));
	SHOW(waitv(list, 1, 1, NULL, 0));
	SHOW(waitv(NULL, 1, 0, NULL, 0));
	SHOW(waitv((void *)8, 1, 0, NULL, 0));
	SHOW(waitv(list, 1, 0, &past, CLOCK_MONOTONIC));
	SHOW(waitv(list, 128, 0, &past, CLOCK_REALTIME));
	SHOW(waitv(list, 1, 0, &past, CLOCK_BOOTTIME));
	SHOW(waitv(list, 1, 0, &odd, CLOCK_MONOTONIC));
	SHOW(waitv(list, 1, 0, &negative, CLOCK_MONOTONIC));
	SHOW(waitv(list, 1, 0, (void *)8, CLOCK_MONOTONIC));
	*edge = list[0];
	SHOW(waitv(edge, 2, 0, NULL, 0));
	edge->reserved = 1;
	SHOW(waitv(edge, 2, 0, NULL, 0));
	for (uint32_t size = 0; size < 4; size++) {
		list[1].flags = size;
		printf("size %u ", size);
		SHOW(waitv(list, 2, 0, &past, CLOCK_MONOTONIC));
	}
	list[1].flags = SIZE_U32 | 16;
	SHOW(waitv(list, 2, 0, &past, CLOCK_MONOTONIC));
	fill(2, SIZE_U32);
	list[1].value = 1ul << 32;
	SHOW(waitv(list, 2, 0, &past, CLOCK_MONOTONIC));
	list[1].value = 7;
	SHOW(waitv(list, 2, 0, NULL, 0));
	list[1].address++;
	SHOW(waitv(list, 2, 0, NULL, 0));
	list[1].address = 0;
	SHOW(waitv(list, 2, 0, NULL, 0));
	list[1].address = 1ul << 63;
	SHOW(waitv(list, 2, 0, NULL, 0));
	/* The same word twice. */
	fill(1, SIZE_U32);
	list[1] = list[0];
	SHOW(waitv(list, 2, 0, &past, CLOCK_MONOTONIC));
	munmap(pages, PAGE);
}

static void bad_others(void)
{
	struct timespec past = { 1, 0 }, odd = { 0, -1 };
	uint32_t ok = SIZE_U32 | PRIVATE;

	printf("-- futex_wait, futex_wake, futex_requeue\n");
	SHOW(wake(&words[0], ALL, 1, ok));
	SHOW(wake(&words[0], ALL, 0, ok));
	SHOW(wake(&words[0], 0, 1, ok));
	SHOW(wake(&words[0], 1ul << 32, 1, ok));
	SHOW(wake(&words[0], ALL, 1, PRIVATE));
	SHOW(wake(&words[0], ALL, 1, PRIVATE | 3));
	SHOW(wake(&words[0], ALL, 1, ok | 16));
	SHOW(wake((char *)&words[0] + 2, ALL, 1, ok));
	SHOW(wake(NULL, ALL, 0, SIZE_U32));
	SHOW(wake(NULL, ALL, 1, SIZE_U32));
	SHOW(wake(&words[0], ALL, -1, ok));
	SHOW(wait_one(&words[0], 1, ALL, ok, NULL, 0));
	SHOW(wait_one(&words[0], 0, ALL, ok, &past, CLOCK_MONOTONIC));
	SHOW(wait_one(&words[0], 0, ALL, ok, &past, CLOCK_REALTIME));
	SHOW(wait_one(&words[0], 0, ALL, ok, &past, 7));
	SHOW(wait_one(&words[0], 0, ALL, ok, &odd, CLOCK_MONOTONIC));
	SHOW(wait_one(&words[0], 0, ALL, ok, (void *)8, CLOCK_MONOTONIC));
	SHOW(wait_one(&words[0], 0, 0, ok, NULL, 0));
	SHOW(wait_one(&words[0], 1ul << 32, ALL, ok, NULL, 0));
	SHOW(wait_one(&words[0], 0, 1ul << 32, ok, NULL, 0));
	SHOW(wait_one(&words[0], 0, ALL, 0, NULL, 0));
	SHOW(wait_one(NULL, 0, ALL, SIZE_U32, NULL, 0));
	fill(2, ok);
	SHOW(requeue(list, 0, 1, 1));
	SHOW(requeue(list, 1, 1, 1));
	SHOW(requeue(NULL, 0, 1, 1));
	SHOW(requeue((void *)8, 0, 1, 1));
	SHOW(requeue(list, 0, -1, 1));
	SHOW(requeue(list, 0, 1, -1));
	list[0].value = 1;
	SHOW(requeue(list, 0, 1, 1));
	list[0].value = 0;
	list[1].flags = 1;
	SHOW(requeue(list, 0, 1, 1));
	list[1].flags = ok;
	list[1].address++;
	SHOW(requeue(list, 0, 1, 1));
}

/* ---- waiting and waking ----------------------------------------------------------- */

struct sleeper {
	pthread_t thread;
	struct waiter *list;
	unsigned int nr;
	long result;
};

static void *sleep_on(void *arg)
{
	struct sleeper *s = arg;

	s->result = waitv(s->list, s->nr, 0, NULL, 0);
	return NULL;
}

/* Wake until somebody was there to be woken. */
static void wake_surely(void *word, uint32_t flags)
{
	while (wake(word, ALL, 1, flags) != 1)
		sched_yield();
}

static void woken_at(unsigned int nr, unsigned int which, uint32_t flags)
{
	struct sleeper s = { .list = list, .nr = nr };

	fill(nr, flags);
	pthread_create(&s.thread, NULL, sleep_on, &s);
	wake_surely(&words[which], flags);
	pthread_join(s.thread, NULL);
	printf("%u words, flags %u, number %u woken: %ld\n", nr, flags, which, s.result);
	/* It left all the other words. */
	for (unsigned int i = 0; i < nr; i++)
		if (wake(&words[i], ALL, 1, flags))
			printf("somebody still waits for word %u\n", i);
}

/* How many one call has woken at two words of a waiter; what it was told is in @s. */
static long wake_two(struct sleeper *s)
{
	long woken;

	pthread_create(&s->thread, NULL, sleep_on, s);
	do {
		sched_yield();
		/* It adds nothing, and what is there is not less than nothing. */
		woken = syscall(SYS_futex, &words[0], FUTEX_WAKE_OP_PRIVATE, 1, 1, &words[1],
				FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_GE, 0));
	} while (!woken);
	pthread_join(s->thread, NULL);
	return woken;
}

static void woken_twice(void)
{
	struct sleeper s = { .list = list, .nr = 3 };

	fill(3, SIZE_U32 | PRIVATE);
	/* At the first word alone if it came between the two. */
	while (wake_two(&s) != 2)
		;
	printf("two words woken at once: %ld\n", s.result);
}

/* A private waiter must not hear of a shared wake in private memory, nor the reverse. */
static void waits(void)
{
	struct timespec ts;

	printf("-- waits\n");
	for (uint32_t flags = SIZE_U32; flags <= (SIZE_U32 | PRIVATE); flags += PRIVATE) {
		woken_at(1, 0, flags);
		woken_at(3, 0, flags);
		woken_at(3, 2, flags);
		woken_at(128, 127, flags);
	}
	woken_twice();
	fill(2, SIZE_U32 | PRIVATE);
	ts = in_ms(CLOCK_MONOTONIC, 20);
	SHOW(waitv(list, 2, 0, &ts, CLOCK_MONOTONIC));
	ts = in_ms(CLOCK_REALTIME, 20);
	SHOW(waitv(list, 2, 0, &ts, CLOCK_REALTIME));
}

/* Waiters of the first word go to the second: then only the second wakes them. */
static void moves(uint32_t flags)
{
	struct sleeper s[3];
	int moved = 0, woken = 0, i;

	fill(2, flags);
	for (i = 0; i < 3; i++) {
		s[i] = (struct sleeper){ .list = list, .nr = 1 };
		pthread_create(&s[i].thread, NULL, sleep_on, &s[i]);
	}
	while (moved < 3) {
		long n = requeue(list, 0, 0, 1);

		moved += n > 0 ? (int)n : 0;
		sched_yield();
	}
	printf("moved %d, left at the first word: %ld\n", moved, wake(&words[0], ALL, 9, flags));
	woken = (int)wake(&words[1], ALL, 9, flags);
	printf("woken at the second: %d\n", woken);
	for (i = 0; i < 3; i++) {
		pthread_join(s[i].thread, NULL);
		printf("waiter %d: %ld\n", i, s[i].result);
	}
}

/* ---- across processes, and by signals --------------------------------------------- */

static void across_fork(void)
{
	atomic_uint *shared =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct waiter two[2] = { { 0, (uint64_t)(uintptr_t)&words[0], SIZE_U32 | PRIVATE, 0 },
				 { 0, (uint64_t)(uintptr_t)shared, SIZE_U32, 0 } };
	pid_t pid = fork_flushed();

	if (!pid) {
		printf("child: %ld\n", waitv(two, 2, 0, NULL, 0));
		child_exit(0);
	}
	while (wake(shared, ALL, 1, SIZE_U32) != 1)
		sched_yield();
	show_child("woken from the parent", pid);
}

static void caught(int number)
{
	(void)number;
}

static void by_signal(int flags)
{
	struct sigaction action = { .sa_handler = caught, .sa_flags = flags };
	/* Far beyond the signals, on a busy machine too, where it is not waited for. */
	struct timespec ts = in_ms(CLOCK_MONOTONIC, flags & SA_RESTART ? 100 : 20000);
	struct timespec start, end;
	timer_t timer;
	struct itimerspec every = { .it_value = { 0, 20000000 } };

	sigaction(SIGALRM, &action, NULL);
	if (timer_create(CLOCK_MONOTONIC, NULL, &timer))
		exit(2);
	fill(2, SIZE_U32 | PRIVATE);
	clock_gettime(CLOCK_MONOTONIC, &start);
	timer_settime(timer, 0, &every, NULL);
	SHOW(waitv(list, 2, 0, &ts, CLOCK_MONOTONIC));
	timer_settime(timer, 0, &every, NULL);
	SHOW(wait_one(&words[0], 0, ALL, SIZE_U32, &ts, CLOCK_MONOTONIC));
	clock_gettime(CLOCK_MONOTONIC, &end);
	/* Restarted calls end at the deadline that they began with, others before it. */
	printf("at the deadline: %s\n",
	       end.tv_sec > ts.tv_sec || (end.tv_sec == ts.tv_sec && end.tv_nsec >= ts.tv_nsec)
		       ? "yes"
		       : "no");
	timer_delete(timer);
}

int main(void)
{
	bad_waitv();
	bad_others();
	waits();
	printf("-- requeue\n");
	moves(SIZE_U32 | PRIVATE);
	printf("-- others\n");
	across_fork();
	by_signal(0);
	by_signal(SA_RESTART);
	return 0;
}
