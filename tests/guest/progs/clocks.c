/* SPDX-License-Identifier: MIT */
/*
 * Clocks by the C library, so by the vDSO where there is one.
 *
 *	clocks sample COUNT	COUNT lines "counter monotonic real" [ns], 1 ms apart
 *	clocks order SECONDS	4 threads: no clock may go back, seen by any of them;
 *				nor by one that asks the kernel in between
 *	clocks many COUNT	read COUNT times, say how long one took
 *	clocks vdso		the line of the vDSO and its page in maps, and its symbol
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define THREADS 4

static _Atomic uint64_t latest[3], reads, steps_back;
static _Atomic int done;

static uint64_t ns_of(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000ull + (uint64_t)ts->tv_nsec;
}

static uint64_t clock_now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ns_of(&ts);
}

static uint64_t kernel_now(clockid_t clock)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, clock, &ts);
	return ns_of(&ts);
}

static uint64_t day_now(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (uint64_t)tv.tv_sec * 1000000000ull + (uint64_t)tv.tv_usec * 1000;
}

/* The quickest of several readings, and the counter in its middle. */
static void sample(clockid_t clock, uint64_t *counter, uint64_t *ns)
{
	uint64_t best = UINT64_MAX, before, after, now;

	for (int i = 0; i < 20; i++) {
		_mm_lfence();
		before = __rdtsc();
		now = clock_now(clock);
		_mm_lfence();
		after = __rdtsc();
		if (after - before >= best)
			continue;
		best = after - before;
		*counter = before + best / 2;
		*ns = now;
	}
}

static int run_sample(int count)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t counter[2], ns[2];

	/* A guest's first milliseconds have no line yet; what a system call says is older. */
	usleep(50000);
	for (int i = 0; i < count; i++) {
		sample(CLOCK_MONOTONIC, &counter[0], &ns[0]);
		sample(CLOCK_REALTIME, &counter[1], &ns[1]);
		printf("%lu %lu %lu %lu\n", counter[0], ns[0], counter[1], ns[1]);
		nanosleep(&ms, NULL);
	}
	return 0;
}

/* @now was read after somebody had seen @before. */
static void must_not_be_before(const char *what, uint64_t before, uint64_t now)
{
	if (now >= before)
		return;
	if (atomic_fetch_add(&steps_back, 1) < 5)
		printf("%s went back by %lu ns\n", what, before - now);
}

static void raise_latest(int which, uint64_t now)
{
	uint64_t old = atomic_load(&latest[which]);

	while (now > old && !atomic_compare_exchange_weak(&latest[which], &old, now))
		;
}

static void *order_main(void *arg)
{
	uint64_t before, now, n = 0;

	(void)arg;
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		before = atomic_load(&latest[0]);
		now = clock_now(CLOCK_MONOTONIC);
		must_not_be_before("monotonic time", before, now);
		raise_latest(0, now);
		before = atomic_load(&latest[1]);
		now = clock_now(CLOCK_REALTIME);
		must_not_be_before("real time", before, now);
		raise_latest(1, now);
		before = atomic_load(&latest[2]);
		now = day_now();
		must_not_be_before("time of day", before, now);
		raise_latest(2, now);
		if (++n % 64 == 0) {
			now = clock_now(CLOCK_MONOTONIC);
			before = kernel_now(CLOCK_MONOTONIC);
			must_not_be_before("the kernel's clock after ours", now, before);
			now = clock_now(CLOCK_MONOTONIC);
			must_not_be_before("our clock after the kernel's", before, now);
		}
	}
	atomic_fetch_add(&reads, n * 3);
	return NULL;
}

static int run_order(int seconds)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, order_main, NULL);
	sleep((unsigned int)seconds);
	atomic_store(&done, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%s\n", steps_back ? "went back" : "never back");
	fprintf(stderr, "%lu reads, %lu steps back\n", reads, steps_back);
	return steps_back != 0;
}

static int run_many(int count)
{
	uint64_t start = clock_now(CLOCK_MONOTONIC), ns;
	struct timeval tv;

	for (int i = 0; i < count; i++)
		gettimeofday(&tv, NULL);
	ns = clock_now(CLOCK_MONOTONIC) - start;
	printf("%lu ns a call\n", ns / (unsigned int)count);
	return 0;
}

static int run_vdso(void)
{
	const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[256], expected[32];

	snprintf(expected, sizeof(expected), "%lx-", (unsigned long)image);
	while (maps && fgets(line, sizeof(line), maps)) {
		if (strstr(line, "[vvar"))
			printf("vvar\n");
		else if (strstr(line, "[vdso]"))
			printf("vdso %.4s %s\n", strchr(line, ' ') + 1,
			       strncmp(line, expected, strlen(expected)) ? "elsewhere" : "there");
	}
	printf("%s\n", image && !memcmp(image, "\177ELF", 4) ? "ELF" : "no ELF");
	return 0;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 1;

	if (argc > 1 && !strcmp(argv[1], "sample"))
		return run_sample(n);
	if (argc > 1 && !strcmp(argv[1], "order"))
		return run_order(n);
	if (argc > 1 && !strcmp(argv[1], "many"))
		return run_many(n);
	if (argc > 1 && !strcmp(argv[1], "vdso"))
		return run_vdso();
	fprintf(stderr, "usage: clocks sample|order|many|vdso [N]\n");
	return 2;
}
