/* SPDX-License-Identifier: MIT */
#include "vmm/vcpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/entry.h"

/* Of no effect here: all memory is of one type. */
#define CR3_PWT (1ull << 3)

int vcpu_pool_init(struct vcpu_pool *pool, const struct kvm *kvm, const struct memory *memory)
{
	pool->kvm = kvm;
	pool->memory = memory;
	/* Until probed: the level that hardware enters. */
	pool->syscall_cpl = 0;
	pool->tsc_is_host = true;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_mutex_init(&pool->pause_lock, NULL);
	pthread_cond_init(&pool->pause_over, NULL);
	return vcpu_state_limits(pool);
}

static void vcpu_destroy(struct vcpu *v)
{
	if (v->run)
		munmap(v->run, v->pool->kvm->run_size);
	if (v->fd >= 0)
		close(v->fd);
	pthread_mutex_destroy(&v->owner_lock);
	free(v);
}

void vcpu_pool_destroy(struct vcpu_pool *pool)
{
	if (!pool->kvm)
		return;
	for (unsigned int i = 0; i < pool->nr; i++)
		vcpu_destroy(pool->all[i]);
	pthread_cond_destroy(&pool->pause_over);
	pthread_mutex_destroy(&pool->pause_lock);
	pthread_mutex_destroy(&pool->lock);
}

/*
 * The number of vCPUs that KVM makes ends at its limit of ids, of descriptors,
 * of memory: for the caller all of these mean "no more threads now".
 */
static int vcpu_create(struct vcpu_pool *pool, unsigned int id, struct vcpu **out)
{
	struct vcpu *v = aligned_alloc(64, (sizeof(*v) + 63) & ~(size_t)63);
	int rc;

	if (!v)
		return -EAGAIN;
	memset(v, 0, sizeof(*v));
	v->pool = pool;
	v->id = id;
	pthread_mutex_init(&v->owner_lock, NULL);
	v->fd = kvm_vcpu_create(pool->kvm, id);
	if (v->fd < 0) {
		vcpu_destroy(v);
		return -EAGAIN;
	}
	v->run = mmap(NULL, pool->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		v->run = NULL;
		vcpu_destroy(v);
		return -EAGAIN;
	}
	v->page = entry_vcpu_page(pool->memory, id);
	rc = vcpu_state_init(v);
	if (rc) {
		vcpu_destroy(v);
		return rc;
	}
	*out = v;
	return 0;
}

void vcpu_events_drop(struct vcpu *v)
{
	struct kvm_vcpu_events events;

	if (kvm_vcpu_get_events(v->fd, &events))
		return;
	events.exception.injected = 0;
	events.exception.pending = 0;
	(void)!kvm_vcpu_set_events(v->fd, &events);
}

static void vcpu_reset(struct vcpu *v)
{
	memset(&v->regs, 0, sizeof(v->regs));
	v->regs.rflags = 2;
	v->regs_dirty = v->segs_dirty = true;
	vcpu_data_segments(&v->run->s.regs.sregs);
	/*
	 * The next program's root may be in the frame of the last one's, and a
	 * CR3 that does not change flushes nothing: so let it change.
	 */
	v->cr3_bits ^= CR3_PWT;
	v->root_dirty = true;
	v->exits_at_get = atomic_load_explicit(&v->counters.exits, memory_order_relaxed);
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_RELAXED);
	/* Nothing of the last program's extended registers and exceptions is for the next. */
	if (v->used) {
		vcpu_xsave_reset(v);
		vcpu_events_drop(v);
	}
	v->used = true;
}

int vcpu_pool_get(struct vcpu_pool *pool, struct vcpu **out)
{
	struct vcpu *v;
	int rc = 0;

	pthread_mutex_lock(&pool->lock);
	v = pool->free;
	if (v) {
		pool->free = v->next_free;
	} else if (pool->nr >= pool->kvm->max_vcpus) {
		rc = -EAGAIN;
	} else {
		rc = vcpu_create(pool, pool->nr, &v);
		if (!rc)
			pool->all[pool->nr++] = v;
	}
	pthread_mutex_unlock(&pool->lock);
	if (rc)
		return rc;
	vcpu_reset(v);
	kick_enter(v);
	*out = v;
	return 0;
}

void vcpu_pool_put(struct vcpu_pool *pool, struct vcpu *v)
{
	kick_leave(v);
	if (v->broken)
		return;
	pthread_mutex_lock(&pool->lock);
	v->next_free = pool->free;
	pool->free = v;
	pthread_mutex_unlock(&pool->lock);
}
