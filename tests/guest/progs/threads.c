/* SPDX-License-Identifier: MIT */
/* Threads: mutexes, conditions, barriers, robust mutexes, raw futexes, TLS, exit, exec. */
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "progs.h"

#define THREADS 6

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter;
static atomic_int turn;
static _Thread_local int own;

static long futex(void *word, int operation, uint32_t value, const void *timeout, void *word2,
		  uint32_t value3)
{
	return syscall(SYS_futex, word, operation, value, timeout, word2, value3);
}

static void *count_up(void *arg)
{
	int i;

	for (i = 0; i < 20000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
		own++;
	}
	pthread_barrier_wait(&barrier);
	return (void *)((long)own + (long)arg);
}

static void *take_turns(void *arg)
{
	int number = (int)(long)arg, i;

	for (i = 0; i < 50; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % THREADS != number)
			pthread_cond_wait(&condition, &mutex);
		turn++;
		pthread_cond_broadcast(&condition);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void run_threads(const char *what, void *(*function)(void *))
{
	pthread_t threads[THREADS];
	void *result;
	long sum = 0, i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, function, (void *)i))
			printf("pthread_create failed\n");
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		sum += (long)result;
	}
	printf("%s: results sum to %ld\n", what, sum);
}

static void *die_with_lock(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void test_robust(void)
{
	pthread_mutex_t *robust =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attributes;
	pthread_t thread;
	pid_t pid;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(robust, &attributes);
	pthread_create(&thread, NULL, die_with_lock, robust);
	pthread_join(thread, NULL);
	printf("owner died: %d\n", pthread_mutex_lock(robust) == EOWNERDEAD);
	pthread_mutex_consistent(robust);
	pthread_mutex_unlock(robust);
	pid = fork_flushed();
	if (!pid) {
		pthread_mutex_lock(robust);
		kill(getpid(), SIGKILL);
	}
	show_child("owner", pid);
	printf("owner killed: %d\n", pthread_mutex_lock(robust) == EOWNERDEAD);
	pthread_mutex_consistent(robust);
	printf("unlock: %d\n", pthread_mutex_unlock(robust));
}

static uint32_t word, word2;
static atomic_int woken;

static void *wait_on_word(void *bits)
{
	if (!futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL,
		   (uint32_t)(long)bits))
		woken++;
	return NULL;
}

/* Waits, at most a minute, until so many threads were woken. */
static void await_woken(const char *what, int count)
{
	int tries;

	for (tries = 0; tries < 60000 && woken < count; tries++)
		usleep(1000);
	printf("%s: %d woken\n", what, woken);
}

/* Waits until so many threads stand in the queue: to move them to where they are counts them. */
static void await_waiters(uint32_t *at, int flags, long count)
{
	int tries;

	for (tries = 0; tries < 20000; tries++) {
		if (futex(at, FUTEX_CMP_REQUEUE | flags, 0, (void *)100L, at, 0) >= count)
			return;
		usleep(1000);
	}
	printf("they do not come to wait\n");
}

static void *wait_on_shared(void *at)
{
	if (!futex(at, FUTEX_WAIT, 0, NULL, NULL, 0))
		woken++;
	return NULL;
}

/* Who asks to wake none wakes one; requeued, also shared ones, are moved and counted. */
static void test_futex_counts(int map_flag)
{
	uint32_t *words = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, map_flag | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[6];
	int i;

	woken = 0;
	for (i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, wait_on_shared, words);
	await_waiters(words, 0, 6);
	SHOW(futex(words, FUTEX_WAKE, 0, NULL, NULL, 0));
	SHOW(futex(words, FUTEX_WAKE, (uint32_t)-1, NULL, NULL, 0));
	SHOW(futex(words, FUTEX_WAKE_OP, 0, NULL, words + 2, 0));
	await_woken("none of them", 3);
	SHOW(futex(words, FUTEX_REQUEUE, 0, NULL, words + 1, 0));
	SHOW(futex(words, FUTEX_REQUEUE, 1, (void *)1L, words + 1, 0));
	SHOW(futex(words + 1, FUTEX_WAKE, 10, NULL, NULL, 0));
	SHOW(futex(words, FUTEX_WAKE, 10, NULL, NULL, 0));
	await_woken("all", 6);
	for (i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	munmap(words, PAGE);
}

static void test_futex(void)
{
	struct timespec soon = { 0, 5000000 };
	pthread_t threads[4];
	long i, moved;

	SHOW(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT, 0, &soon, NULL, 0));
	SHOW(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOW(futex((char *)&word + 1, FUTEX_WAIT, 0, NULL, NULL, 0));
	SHOW(futex(NULL, FUTEX_WAIT, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
	SHOW(futex(&word, 99, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &word2, 5));
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, wait_on_word, (void *)(1L << i));
	await_waiters(&word, FUTEX_PRIVATE_FLAG, 4);
	futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 4);
	await_woken("bit 4", 1);
	moved = futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)10L, &word2, 0);
	printf("woken and moved: %ld\n", moved);
	await_woken("requeue", 2);
	SHOW(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 0));
	SHOW(futex(&word2, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 0));
	await_woken("all", 4);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static atomic_int interrupted;

/* Again and again: the first may come before the wait. */
static void *send_to_main(void *arg)
{
	while (!interrupted) {
		usleep(20000);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	return NULL;
}

static void on_signal(int number)
{
	(void)number;
	woken++;
}

static void test_thread_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct timespec wait = { 100, 0 };
	pthread_t self = pthread_self(), thread;

	sigaction(SIGUSR1, &action, NULL);
	woken = 0;
	pthread_create(&thread, NULL, send_to_main, &self);
	SHOW(futex(&word, FUTEX_WAIT, 0, &wait, NULL, 0));
	interrupted = 1;
	pthread_join(thread, NULL);
	printf("handled: %d\n", woken > 0);
}

static void *sleep_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void test_cancel(void)
{
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, sleep_for_ever, NULL);
	usleep(10000);
	SHOW(pthread_cancel(thread));
	pthread_join(thread, &result);
	printf("cancelled: %d\n", result == PTHREAD_CANCELED);
}

static void *exit_process(void *arg)
{
	(void)arg;
	usleep(5000);
	exit(21);
}

static void *exec_process(void *arg)
{
	(void)arg;
	execl("/bin/sh", "sh", "-c", "exit 22", (char *)NULL);
	return NULL;
}

static void *crash(void *arg)
{
	(void)arg;
	*(volatile int *)16 = 1;
	return NULL;
}

/* One thread ends the process, or replaces it, while others sleep, wait or spin. */
static void test_process_end(void)
{
	static void *(*const ends[])(void *) = { exit_process, exec_process, crash };
	static const char *const names[] = { "exit", "exec", "crash" };
	pthread_t thread;
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		pid = fork_flushed();
		if (!pid) {
			pthread_create(&thread, NULL, sleep_for_ever, NULL);
			pthread_create(&thread, NULL, wait_on_word, (void *)1L);
			pthread_create(&thread, NULL, ends[i], NULL);
			for (;;)
				woken++;
		}
		show_child(names[i], pid);
	}
	pid = fork_flushed();
	if (!pid) {
		pthread_create(&thread, NULL, exit_process, NULL);
		pthread_exit(NULL);
	}
	show_child("main thread ends first", pid);
}

static void *short_life(void *arg)
{
	return arg;
}

static void test_many(void)
{
	pthread_t thread;
	long i, failed = 0;

	for (i = 0; i < 300; i++) {
		if (pthread_create(&thread, NULL, short_life, NULL))
			failed++;
		else
			pthread_join(thread, NULL);
	}
	printf("300 threads one by one: %ld failed\n", failed);
}

static void test_semaphore(void)
{
	sem_t *semaphore =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec past = { 1, 0 };
	pid_t pid;

	sem_init(semaphore, 1, 0);
	SHOW(sem_timedwait(semaphore, &past));
	pid = fork_flushed();
	if (!pid) {
		sem_wait(semaphore);
		_exit(13);
	}
	sem_post(semaphore);
	show_child("semaphore across processes", pid);
}

int main(void)
{
	pthread_barrier_init(&barrier, NULL, THREADS);
	run_threads("counting", count_up);
	printf("counter %ld, own %d\n", counter, own);
	run_threads("turns", take_turns);
	printf("turns %d\n", turn);
	test_robust();
	test_futex();
	test_futex_counts(MAP_PRIVATE);
	test_futex_counts(MAP_SHARED);
	test_thread_signals();
	test_cancel();
	test_process_end();
	test_many();
	test_semaphore();
	return 0;
}
