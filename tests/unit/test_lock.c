/* SPDX-License-Identifier: MIT */
/*
 * Locks lock, and debug builds notice who goes down the ladder. What must abort
 * does so in a forked child.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <umm/lock.h>
#include <unistd.h>
#include "tests/unit/util.h"

#define THREADS 4
#define ROUNDS  20000

static struct umm_mutex mutex;
static struct umm_rwlock rwlock;
static uint64_t shared_count;

static void *count_with_mutex(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		umm_mutex_lock(&mutex);
		shared_count++;
		umm_mutex_unlock(&mutex);
	}
	return arg;
}

/* Writers count; readers see both halves of what writers change together. */
static uint64_t twin[2];
static uint64_t torn; /* a */

static void *write_or_read(void *arg)
{
	bool writer = arg;

	for (int i = 0; i < ROUNDS; i++) {
		if (writer) {
			umm_write_lock(&rwlock);
			twin[0]++;
			twin[1]++;
			umm_write_unlock(&rwlock);
		} else {
			umm_read_lock(&rwlock);
			if (twin[0] != twin[1])
				__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
			umm_read_unlock(&rwlock);
		}
	}
	return NULL;
}

static void run_threads(void *(*fn)(void *), bool half)
{
	static int yes;
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL(pthread_create(&t[i], NULL, fn, half && i % 2 ? &yes : NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void test_mutex_excludes(void)
{
	umm_mutex_init(&mutex, LOCK_LEAF);
	shared_count = 0;
	run_threads(count_with_mutex, false);
	CU_ASSERT_EQUAL(shared_count, (uint64_t)THREADS * ROUNDS);
	umm_mutex_destroy(&mutex);
}

static void test_rwlock_excludes(void)
{
	umm_rwlock_init(&rwlock, LOCK_LEAF);
	twin[0] = twin[1] = torn = 0;
	run_threads(write_or_read, true);
	CU_ASSERT_EQUAL(torn, 0);
	CU_ASSERT_EQUAL(twin[0], (uint64_t)THREADS / 2 * ROUNDS);
	umm_rwlock_destroy(&rwlock);
}

static void *try_all(void *arg)
{
	bool *got = arg;

	got[0] = umm_mutex_trylock(&mutex);
	got[1] = umm_read_trylock(&rwlock);
	got[2] = umm_write_trylock(&rwlock);
	for (int i = 0; i < 3; i++) {
		if (!got[i])
			continue;
		if (i == 0)
			umm_mutex_unlock(&mutex);
		else if (i == 1)
			umm_read_unlock(&rwlock);
		else
			umm_write_unlock(&rwlock);
	}
	return NULL;
}

/* Trying never waits: it fails where another thread holds the lock. */
static void test_trylock(void)
{
	bool got[3];

	umm_mutex_init(&mutex, LOCK_PTL);
	umm_rwlock_init(&rwlock, LOCK_MMAP);
	umm_write_lock(&rwlock);
	umm_mutex_lock(&mutex);
	unit_in_thread(try_all, got);
	CU_ASSERT_FALSE(got[0] || got[1] || got[2]);
	umm_mutex_unlock(&mutex);
	umm_write_unlock(&rwlock);
	umm_read_lock(&rwlock);
	unit_in_thread(try_all, got);
	CU_ASSERT_TRUE(got[0] && got[1]);
	CU_ASSERT_FALSE(got[2]);
	umm_read_unlock(&rwlock);
	umm_mutex_destroy(&mutex);
	umm_rwlock_destroy(&rwlock);
}

#ifdef UMM_DEBUG

/* Does @fn abort? Its words go to nobody. */
static bool aborts(void (*fn)(void))
{
	int status, null;
	pid_t pid = fork();

	if (!pid) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		fn();
		_exit(0);
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static struct umm_mutex low, low2, high;

static void init_ladder(void)
{
	umm_mutex_init(&low, LOCK_PTL);
	umm_mutex_init(&low2, LOCK_PTL);
	umm_mutex_init(&high, LOCK_LRU);
	umm_rwlock_init(&rwlock, LOCK_MMAP);
}

static void go_up(void)
{
	init_ladder();
	umm_read_lock(&rwlock);
	umm_mutex_lock(&low);
	umm_mutex_lock(&high);
	umm_mutex_unlock(&low); /* in any order */
	umm_mutex_unlock(&high);
	umm_read_unlock(&rwlock);
	lock_rank_assert_none();
}

static void go_down(void)
{
	init_ladder();
	umm_mutex_lock(&high);
	umm_mutex_lock(&low);
}

static void rwlock_down(void)
{
	init_ladder();
	umm_mutex_lock(&low);
	umm_read_lock(&rwlock);
}

static void write_down(void)
{
	init_ladder();
	umm_mutex_lock(&low);
	umm_write_lock(&rwlock);
}

static void same_rank(void)
{
	init_ladder();
	umm_mutex_lock(&low);
	umm_mutex_lock(&low2);
}

static void same_rank_nested(void)
{
	init_ladder();
	umm_mutex_lock(&low);
	umm_mutex_lock_nested(&low2);
}

static void nested_down(void)
{
	init_ladder();
	umm_mutex_lock(&high);
	umm_mutex_lock_nested(&low);
}

static void try_down(void)
{
	init_ladder();
	umm_mutex_lock(&high);
	if (!umm_mutex_trylock(&low))
		abort();
	umm_mutex_unlock(&low);
	umm_mutex_unlock(&high);
}

static void pop_too_many(void)
{
	lock_rank_push(LOCK_FOLIO, true);
	lock_rank_pop(LOCK_FOLIO);
	lock_rank_pop(LOCK_FOLIO);
}

static void forget_unlock(void)
{
	init_ladder();
	umm_mutex_lock(&low);
	lock_rank_assert_none();
}

static void test_ranks(void)
{
	CU_ASSERT_FALSE(aborts(go_up));
	CU_ASSERT_FALSE(aborts(same_rank_nested));
	CU_ASSERT_FALSE(aborts(try_down));
	CU_ASSERT_TRUE(aborts(go_down));
	CU_ASSERT_TRUE(aborts(rwlock_down));
	CU_ASSERT_TRUE(aborts(write_down));
	CU_ASSERT_TRUE(aborts(same_rank));
	CU_ASSERT_TRUE(aborts(nested_down));
	CU_ASSERT_TRUE(aborts(pop_too_many));
	CU_ASSERT_TRUE(aborts(forget_unlock));
}
#endif

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "mutex_excludes", test_mutex_excludes },
		{ "rwlock_excludes", test_rwlock_excludes },
		{ "trylock_never_waits", test_trylock },
#ifdef UMM_DEBUG
		{ "ranks_are_checked", test_ranks },
#endif
	};

#ifndef UMM_DEBUG
	printf("# skip ranks_are_checked: this build does not check lock ranks\n");
#endif
	return unit_run("lock", tests, ARRAY_LEN(tests), argc, argv);
}
