/* SPDX-License-Identifier: MIT */
/*
 * Copying for migration: runs of frames, past the caches, with a helper thread
 * where that is faster.
 *
 * The runs of a job are handed out in chunks by one counter of frames, so whoever
 * is awake copies; a helper that is not scheduled holds nobody up, but for the
 * chunk it has begun. Whether to wake it is decided by what a frame cost with one
 * thread and with two, of late; the loser is tried again now and then, since the
 * other processor may have become idle or busy. A second thread takes a processor
 * from somebody, so it must be clearly faster; and never from the guest: while its
 * running vCPUs leave none, there is no second thread.
 *
 * The helper (helper.h) is also who moves a part of a large migration of its own
 * accord; then there is no second thread for copies, as both are at it already.
 */
#include "vmm/copier.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <time.h>

#include "vmm/frames.h"

/* 128 KiB: some tens of microseconds, against two atomic operations. */
#define CHUNK_FRAMES 32u
/* Below this the copy is over before the helper is awake. */
#define SHARED_MIN_FRAMES 128u
#define TRY_OTHER_EVERY   64u
/* In percent of the time with one thread. */
#define WORTH_A_THREAD 80u

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ul + (uint64_t)t.tv_nsec;
}

/* Chunks, for as long as there are any. */
static void copy_chunks(struct copier *c, const struct frame_copy *copies, unsigned int nr)
{
	uint64_t begin = 0, at; /* frames before copies[i] */
	unsigned int i = 0;

	for (;;) {
		unsigned int left = CHUNK_FRAMES;

		at = atomic_fetch_add(&c->cursor, CHUNK_FRAMES);
		while (left) {
			uint64_t part;

			while (i < nr && begin + copies[i].nr <= at)
				begin += copies[i++].nr;
			if (i == nr)
				return;
			part = begin + copies[i].nr - at;
			part = part < left ? part : left;
			frames_copy(c->memory, pfn_add(copies[i].dst, at - begin),
				    pfn_add(copies[i].src, at - begin), (uint32_t)part);
			at += part;
			left -= (unsigned int)part;
		}
	}
}

static void copy_job(void *arg)
{
	struct copier *c = arg;

	copy_chunks(c, c->copies, c->nr);
}

/* False: the helper has other work. */
static bool copy_shared(struct copier *c, struct frame_copy *copies, unsigned int nr)
{
	c->copies = copies;
	c->nr = nr;
	atomic_store(&c->cursor, 0);
	if (!helper_begin(c->helper, copy_job, c))
		return false;
	copy_chunks(c, copies, nr);
	helper_end(c->helper);
	return true;
}

/* ---- choosing ----------------------------------------------------------- */

/* Besides the guest's that run just now, and the caller's. */
static bool spare_processor(struct copier *c)
{
	unsigned int used = 1;

	/* Whoever has it makes a vCPU, which takes long. */
	if (pthread_mutex_trylock(&c->pool->lock))
		return false;
	for (unsigned int i = 0; i < c->pool->nr && used < c->cpus; i++)
		used += atomic_load_explicit(&c->pool->all[i]->in_guest, memory_order_relaxed);
	pthread_mutex_unlock(&c->pool->lock);
	return used < c->cpus;
}

static bool choose_two(struct copier *c, uint64_t frames)
{
	struct copier_speed *s = &c->speed;
	bool two;

	if (c->threads == 1 || frames < SHARED_MIN_FRAMES)
		return false;
	if (helper_is_taken(c->helper))
		return false;
	if (c->threads == 2)
		return true;
	if (!spare_processor(c))
		return false;
	if (!s->ns_frame[0] || !s->ns_frame[1])
		return s->ns_frame[0] != 0;
	two = s->ns_frame[1] * 100 < s->ns_frame[0] * WORTH_A_THREAD;
	return ++s->runs % TRY_OTHER_EVERY ? two : !two;
}

static void learn(struct copier *c, bool two, uint64_t ns, uint64_t frames)
{
	uint64_t *was = &c->speed.ns_frame[two], now = ns / frames + 1;

	*was = *was ? (3 * *was + now) / 4 : now;
}

static int check_runs(struct copier *c, struct frame_copy *copies, unsigned int nr,
		      uint64_t *frames)
{
	int rc = 0;

	*frames = 0;
	for (unsigned int i = 0; i < nr; i++) {
		bool ok = copies[i].nr && memory_hva(c->memory, copies[i].dst, copies[i].nr) &&
			  memory_hva(c->memory, copies[i].src, copies[i].nr);

		copies[i].error = ok ? 0 : -EFAULT;
		rc = ok ? rc : -EFAULT;
		*frames += copies[i].nr;
	}
	return rc;
}

static void copy_alone(struct copier *c, const struct frame_copy *copies, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!copies[i].error)
			frames_copy(c->memory, copies[i].dst, copies[i].src, copies[i].nr);
	}
}

int copier_run(struct copier *c, struct frame_copy *copies, unsigned int nr)
{
	uint64_t frames, start;
	int rc = check_runs(c, copies, nr, &frames);
	bool two;

	/* The helper serves one migration; another that runs beside it copies alone. */
	if (rc || pthread_mutex_trylock(&c->lock)) {
		copy_alone(c, copies, nr);
		return rc;
	}
	two = choose_two(c, frames);
	start = now_ns();
	two = two && copy_shared(c, copies, nr);
	if (!two)
		copy_alone(c, copies, nr);
	if (frames >= SHARED_MIN_FRAMES)
		learn(c, two, now_ns() - start, frames);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

bool copier_wants_helper(struct copier *c)
{
	bool wants;

	/* Held for long only by a copy, which then has the helper or does without it. */
	if (pthread_mutex_trylock(&c->lock))
		return false;
	wants = c->threads == 2 || (!c->threads && spare_processor(c));
	pthread_mutex_unlock(&c->lock);
	return wants;
}

void copier_set_threads(struct copier *c, unsigned int threads)
{
	pthread_mutex_lock(&c->lock);
	c->threads = threads;
	pthread_mutex_unlock(&c->lock);
}

void copier_init(struct copier *c, const struct memory *memory, struct vcpu_pool *pool,
		 struct helper *helper)
{
	cpu_set_t set;

	c->memory = memory;
	c->pool = pool;
	c->helper = helper;
	c->cpus = 1;
	pthread_mutex_init(&c->lock, NULL);
	if (!sched_getaffinity(0, sizeof(set), &set))
		c->cpus = (unsigned int)CPU_COUNT(&set);
}

void copier_destroy(struct copier *c)
{
	pthread_mutex_destroy(&c->lock);
}
