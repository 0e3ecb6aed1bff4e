/* SPDX-License-Identifier: MIT */
/*
 * Stopping the world: for hosts where tables cannot be flushed while vCPUs run, and where
 * one may wait for a hole inside KVM meanwhile (zap.c, holed.c).
 *
 * Each vCPU raises its in_guest flag before KVM_RUN and then looks at `paused`;
 * the pauser sets `paused` and then looks at the flags. Both orders are
 * sequentially consistent, so at least one sees the other. There may be several
 * pausers, and one may pause again; who is the last to resume lets the vCPUs go on.
 */
#include <sched.h>
#include <time.h>

#include "vmm/vcpu.h"

void vcpu_pause_wait(struct vcpu *v)
{
	struct vcpu_pool *pool = v->pool;

	do {
		atomic_store(&v->in_guest, false);
		pthread_mutex_lock(&pool->pause_lock);
		while (atomic_load(&pool->paused))
			pthread_cond_wait(&pool->pause_over, &pool->pause_lock);
		pthread_mutex_unlock(&pool->pause_lock);
		atomic_store(&v->in_guest, true);
	} while (atomic_load(&pool->paused));
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ul + (uint64_t)t.tv_nsec;
}

/* false: it is not out of the guest in time. */
static bool await_exit(struct vcpu *v, uint64_t deadline)
{
	if (atomic_load(&v->in_guest))
		vcpu_kick(v);
	while (atomic_load(&v->in_guest)) {
		if (now_ns() > deadline)
			return false;
		sched_yield();
	}
	return true;
}

void vcpu_pool_pause(struct vcpu_pool *pool)
{
	(void)vcpu_pool_try_pause(pool, UINT64_MAX);
}

bool vcpu_pool_try_pause(struct vcpu_pool *pool, uint64_t ns)
{
	uint64_t deadline = ns == UINT64_MAX ? ns : now_ns() + ns;
	unsigned int nr;
	bool all = true;

	pthread_mutex_lock(&pool->pause_lock);
	atomic_fetch_add(&pool->paused, 1);
	pthread_mutex_unlock(&pool->pause_lock);

	pthread_mutex_lock(&pool->lock);
	nr = pool->nr;
	pthread_mutex_unlock(&pool->lock);
	/* A vCPU made from here on sees `paused`. */
	for (unsigned int i = 0; i < nr && all; i++)
		all = await_exit(pool->all[i], deadline);
	return all;
}

void vcpu_pool_resume(struct vcpu_pool *pool)
{
	pthread_mutex_lock(&pool->pause_lock);
	atomic_fetch_sub(&pool->paused, 1);
	pthread_cond_broadcast(&pool->pause_over);
	pthread_mutex_unlock(&pool->pause_lock);
}
