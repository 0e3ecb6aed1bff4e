/* SPDX-License-Identifier: MIT */
/*
 * Threads pass descriptors of processes, of /proc and of the host to and fro, and drop some on the
 * way. Each that comes must be what was sent. One round a line of input, one line of answer, so
 * that umm's own descriptors can be counted meanwhile.
 */
#include <pthread.h>

#include "passed.h"

#define THREADS 4
#define PASSES  300

static int wrong; /* atomic */

static int make(unsigned int kind)
{
	return kind == 0   ? pidfd_of(getpid(), 0)
	       : kind == 1 ? open("/proc/self/comm", O_RDONLY)
			   : open("/dev/null", O_RDONLY);
}

static bool is_kind(int fd, unsigned int kind)
{
	static const char *const names[] = { "anon_inode:[pidfd]", "/comm", "/dev/null" };
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, text, sizeof(text) - 1) > 0 && strstr(text, names[kind]);
}

static void one_pass(unsigned int seed, int shared[3])
{
	unsigned int kind = seed % 3;
	int pair[2], got;

	pair_make(pair, seed & 8 ? SOCK_STREAM : SOCK_DGRAM);
	/* The same open file is in messages of several threads at once. */
	send_fd(pair[0], shared[kind]);
	got = make(kind);
	send_fd(pair[0], got);
	close(got);
	if (seed & 16) {
		got = recv_fd(pair[1]);
		if (!is_kind(got, kind))
			__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
		close(got);
	}
	close_two(pair[0], pair[1]);
}

static void *passes(void *arg)
{
	static int shared[3] = { -1, -1, -1 };
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	unsigned int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < 3; i++)
		if (shared[i] < 0)
			shared[i] = make(i);
	pthread_mutex_unlock(&lock);
	for (i = 0; i < PASSES; i++)
		one_pass(i * 5 + (unsigned int)(uintptr_t)arg, shared);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	char line[16];
	uintptr_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		for (i = 0; i < THREADS; i++)
			if (pthread_create(&threads[i], NULL, passes, (void *)i))
				return 2;
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		printf("%d wrong\n", wrong);
	}
	return 0;
}
