/* SPDX-License-Identifier: MIT */
/*
 * Stopping the world: only for hosts where tables cannot be flushed while
 * vCPUs run (zap.c).
 *
 * Each vCPU raises its in_guest flag before KVM_RUN and then looks at `paused`;
 * the pauser sets `paused` and then looks at the flags. Both orders are
 * sequentially consistent, so at least one sees the other.
 */
#include <sched.h>

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

/* One pauser at a time: the caller holds the flush lock. */
void vcpu_pool_pause(struct vcpu_pool *pool)
{
	unsigned int nr;

	pthread_mutex_lock(&pool->pause_lock);
	atomic_store(&pool->paused, true);
	pthread_mutex_unlock(&pool->pause_lock);

	pthread_mutex_lock(&pool->lock);
	nr = pool->nr;
	pthread_mutex_unlock(&pool->lock);
	/* A vCPU made from here on sees `paused`. */
	for (unsigned int i = 0; i < nr; i++) {
		if (atomic_load(&pool->all[i]->in_guest))
			vcpu_kick(pool->all[i]);
		while (atomic_load(&pool->all[i]->in_guest))
			sched_yield();
	}
}

void vcpu_pool_resume(struct vcpu_pool *pool)
{
	pthread_mutex_lock(&pool->pause_lock);
	atomic_store(&pool->paused, false);
	pthread_cond_broadcast(&pool->pause_over);
	pthread_mutex_unlock(&pool->pause_lock);
}
