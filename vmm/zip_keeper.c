/* SPDX-License-Identifier: MIT */
/*
 * The thread that keeps room in compressed memory, so that writers rarely have to: it
 * writes cold pages back when little is left, closes the holes that freed pages leave,
 * and gives memory that nobody needs back to the host.
 */
#include <errno.h>
#include <time.h>

#include "vmm/backend_zip.h"

#define TICK_NS  100000000l
#define KEEP_MAX 16u /* free blocks that are kept: what comes next need not ask the host */

static uint64_t part_of_limit(const struct backend_zip *z, unsigned int sixteenths)
{
	return z->pool.limit / 16 * sixteenths;
}

static bool owner_try_lock(void *arg, uint32_t slot)
{
	struct backend_zip *z = arg;

	return !pthread_mutex_trylock(&z->stripe[slot % STRIPES].lock);
}

static void owner_unlock(void *arg, uint32_t slot)
{
	slot_unlock(arg, slot);
}

static void owner_moved(void *arg, uint32_t slot, uint64_t handle)
{
	struct backend_zip *z = arg;

	z->value[slot] = handle;
}

uint64_t zip_compact(struct backend_zip *z)
{
	static const struct zpool_owner_ops ops = {
		.try_lock = owner_try_lock,
		.unlock = owner_unlock,
		.moved = owner_moved,
	};

	return zpool_compact(&z->pool, &ops, z);
}

static void make_room(struct backend_zip *z)
{
	struct zip_context *x = zip_context_get(&z->codec);

	while (zpool_used(&z->pool) > part_of_limit(z, 14))
		if (zip_writeback(z, x) < 0)
			break;
	zip_context_put(&z->codec, x);
}

static bool keeper_sleep(struct backend_zip *z)
{
	struct timespec t;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += TICK_NS;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_mutex_lock(&z->keeper_lock);
	if (!z->keeper_stop && !atomic_load(&z->keeper_asked))
		pthread_cond_timedwait(&z->keeper_wake, &z->keeper_lock, &t);
	go_on = !z->keeper_stop;
	atomic_store(&z->keeper_asked, false);
	pthread_mutex_unlock(&z->keeper_lock);
	return go_on;
}

static void *keeper_main(void *arg)
{
	struct backend_zip *z = arg;

	while (keeper_sleep(z)) {
		zip_compact(z);
		if (z->has_file && zpool_used(&z->pool) > part_of_limit(z, 15))
			make_room(z);
		zpool_trim(&z->pool, KEEP_MAX);
	}
	return NULL;
}

int zip_keeper_start(struct backend_zip *z)
{
	pthread_condattr_t attr;
	int rc;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&z->keeper_wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = -pthread_create(&z->keeper, NULL, keeper_main, z);
	if (rc)
		pthread_cond_destroy(&z->keeper_wake);
	z->keeper_runs = !rc;
	return rc;
}

void zip_keeper_stop(struct backend_zip *z)
{
	if (!z->keeper_runs)
		return;
	pthread_mutex_lock(&z->keeper_lock);
	z->keeper_stop = true;
	pthread_cond_signal(&z->keeper_wake);
	pthread_mutex_unlock(&z->keeper_lock);
	pthread_join(z->keeper, NULL);
	pthread_cond_destroy(&z->keeper_wake);
	z->keeper_runs = false;
}

void zip_keeper_ask(struct backend_zip *z)
{
	if (!z->has_file || zpool_used(&z->pool) <= part_of_limit(z, 15) ||
	    atomic_exchange(&z->keeper_asked, true))
		return;
	pthread_mutex_lock(&z->keeper_lock);
	pthread_cond_signal(&z->keeper_wake);
	pthread_mutex_unlock(&z->keeper_lock);
}
