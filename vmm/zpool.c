/* SPDX-License-Identifier: MIT */
#include "vmm/zpool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct zobject {
	uint32_t owner;
	uint16_t len;
};

struct zblock {
	struct list_head link; /* of its class, or of the free ones */
	struct zobject *objects;
	uint16_t class, nr, used;
	uint64_t free[ZPOOL_BLOCK_MAX / 64]; /* bit set: no object there */
};

static unsigned int class_size(unsigned int class)
{
	return (class + 1) * ZPOOL_CLASS_STEP;
}

static uint8_t *block_memory(const struct zpool *pool, const struct zblock *b)
{
	return pool->base + (uint64_t)(b - pool->blocks) * ZPOOL_BLOCK;
}

static uint64_t handle_of(const struct zpool *pool, const struct zblock *b, unsigned int i)
{
	return (uint64_t)(b - pool->blocks) * ZPOOL_BLOCK_MAX + i;
}

static struct zblock *handle_block(const struct zpool *pool, uint64_t handle)
{
	return &pool->blocks[handle / ZPOOL_BLOCK_MAX];
}

int zpool_init(struct zpool *pool, uint64_t limit)
{
	memset(pool, 0, sizeof(*pool));
	pool->limit = limit;
	pool->max = limit / ZPOOL_BLOCK;
	pool->base = mmap(NULL, pool->max * ZPOOL_BLOCK, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->base == MAP_FAILED)
		return -ENOMEM;
	pool->blocks = mmap(NULL, pool->max * sizeof(*pool->blocks), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->blocks == MAP_FAILED) {
		munmap(pool->base, pool->max * ZPOOL_BLOCK);
		return -ENOMEM;
	}
	pthread_mutex_init(&pool->lock, NULL);
	list_init(&pool->free);
	list_init(&pool->bare);
	for (unsigned int c = 0; c < ZPOOL_CLASSES; c++) {
		pthread_mutex_init(&pool->classes[c].lock, NULL);
		for (unsigned int f = 0; f < ZPOOL_FULLNESS_NR; f++)
			list_init(&pool->classes[c].blocks[f]);
	}
	return 0;
}

void zpool_destroy(struct zpool *pool)
{
	for (uint64_t i = 0; i < pool->fresh; i++)
		free(pool->blocks[i].objects);
	for (unsigned int c = 0; c < ZPOOL_CLASSES; c++)
		pthread_mutex_destroy(&pool->classes[c].lock);
	pthread_mutex_destroy(&pool->lock);
	munmap(pool->blocks, pool->max * sizeof(*pool->blocks));
	munmap(pool->base, pool->max * ZPOOL_BLOCK);
}

/* ---- blocks; the class is locked -------------------------------------------- */

static struct zblock *list_take(struct list_head *list)
{
	struct zblock *b;

	if (list_empty(list))
		return NULL;
	b = list_entry(list->next, struct zblock, link);
	list_del(&b->link);
	return b;
}

static struct zblock *block_take(struct zpool *pool)
{
	struct zblock *b;

	pthread_mutex_lock(&pool->lock);
	b = list_take(&pool->free);
	if (b)
		pool->nr_free--;
	else
		b = list_take(&pool->bare);
	if (!b && pool->fresh < pool->max)
		b = &pool->blocks[pool->fresh++];
	pthread_mutex_unlock(&pool->lock);
	return b;
}

static void block_give(struct zpool *pool, struct zblock *b)
{
	pthread_mutex_lock(&pool->lock);
	list_add(&b->link, &pool->free);
	pool->nr_free++;
	pthread_mutex_unlock(&pool->lock);
}

static int block_new(struct zpool *pool, unsigned int class, struct zblock **out)
{
	unsigned int nr = (unsigned int)(ZPOOL_BLOCK / class_size(class));
	uint64_t cost = ZPOOL_BLOCK + nr * sizeof(struct zobject);
	struct zblock *b = zpool_used(pool) + cost <= pool->limit ? block_take(pool) : NULL;

	if (!b)
		return -ENOSPC;
	b->objects = malloc(nr * sizeof(*b->objects));
	if (!b->objects) {
		block_give(pool, b);
		return -ENOMEM;
	}
	b->class = (uint16_t) class;
	b->nr = (uint16_t)nr;
	b->used = 0;
	memset(b->free, 0, sizeof(b->free));
	for (unsigned int i = 0; i < nr; i++)
		b->free[i / 64] |= 1ull << i % 64;
	atomic_fetch_add_explicit(&pool->bytes, cost, memory_order_relaxed);
	pool->classes[class].nr_blocks++;
	*out = b;
	return 0;
}

static void block_end(struct zpool *pool, struct zblock *b)
{
	atomic_fetch_sub_explicit(&pool->bytes, ZPOOL_BLOCK + b->nr * sizeof(*b->objects),
				  memory_order_relaxed);
	pool->classes[b->class].nr_blocks--;
	free(b->objects);
	b->objects = NULL;
	block_give(pool, b);
}

/* Into the list that its fullness asks for; a full block is in none. */
static void block_file(struct zclass *c, struct zblock *b)
{
	if (b->used < b->nr)
		list_add(&b->link, &c->blocks[b->used * ZPOOL_FULLNESS_NR / b->nr]);
}

static void block_unfile(struct zblock *b)
{
	if (b->used < b->nr)
		list_del(&b->link);
}

static struct zblock *block_fullest(struct zclass *c)
{
	for (unsigned int f = ZPOOL_FULLNESS_NR; f--;)
		if (!list_empty(&c->blocks[f]))
			return list_entry(c->blocks[f].next, struct zblock, link);
	return NULL;
}

static struct zblock *block_emptiest(struct zclass *c)
{
	for (unsigned int f = 0; f < ZPOOL_FULLNESS_NR; f++)
		if (!list_empty(&c->blocks[f]))
			return list_entry(c->blocks[f].prev, struct zblock, link);
	return NULL;
}

/* ---- objects; the class is locked -------------------------------------------- */

static unsigned int object_take(struct zclass *c, struct zblock *b, struct zobject o)
{
	unsigned int w = 0, i;

	while (!b->free[w])
		w++;
	i = w * 64 + (unsigned int)__builtin_ctzll(b->free[w]);
	b->free[w] &= b->free[w] - 1;
	b->objects[i] = o;
	b->used++;
	c->nr_used++;
	return i;
}

static void object_drop(struct zclass *c, struct zblock *b, unsigned int i)
{
	b->free[i / 64] |= 1ull << i % 64;
	b->used--;
	c->nr_used--;
}

int zpool_alloc(struct zpool *pool, uint32_t owner, unsigned int len, uint64_t *handle)
{
	unsigned int class = (len - 1) / ZPOOL_CLASS_STEP;
	struct zclass *c = &pool->classes[class];
	struct zblock *b;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	b = block_fullest(c);
	if (b)
		list_del(&b->link);
	else
		rc = block_new(pool, class, &b);
	if (!rc) {
		struct zobject o = { .owner = owner, .len = (uint16_t)len };

		*handle = handle_of(pool, b, object_take(c, b, o));
		block_file(c, b);
		atomic_fetch_add_explicit(&pool->data, len, memory_order_relaxed);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void zpool_free(struct zpool *pool, uint64_t handle)
{
	struct zblock *b = handle_block(pool, handle);
	struct zclass *c = &pool->classes[b->class];
	unsigned int i = (unsigned int)(handle % ZPOOL_BLOCK_MAX);

	pthread_mutex_lock(&c->lock);
	atomic_fetch_sub_explicit(&pool->data, b->objects[i].len, memory_order_relaxed);
	block_unfile(b);
	object_drop(c, b, i);
	if (b->used)
		block_file(c, b);
	else
		block_end(pool, b);
	pthread_mutex_unlock(&c->lock);
}

void *zpool_at(const struct zpool *pool, uint64_t handle, unsigned int *len)
{
	const struct zblock *b = handle_block(pool, handle);
	unsigned int i = (unsigned int)(handle % ZPOOL_BLOCK_MAX);

	*len = b->objects[i].len;
	return block_memory(pool, b) + i * class_size(b->class);
}

uint64_t zpool_used(const struct zpool *pool)
{
	return atomic_load_explicit(&pool->bytes, memory_order_relaxed);
}

/* ---- compaction ---------------------------------------------------------------- */

/* Move one object into the fullest block other than its own. */
static bool object_move(struct zpool *pool, struct zclass *c, struct zblock *from, unsigned int i,
			const struct zpool_owner_ops *ops, void *arg)
{
	struct zobject o = from->objects[i];
	unsigned int size = class_size(from->class), at;
	struct zblock *to = block_fullest(c);

	if (!to || !ops->try_lock(arg, o.owner))
		return false;
	list_del(&to->link);
	at = object_take(c, to, o);
	memcpy(block_memory(pool, to) + at * size, block_memory(pool, from) + i * size, o.len);
	block_file(c, to);
	object_drop(c, from, i);
	ops->moved(arg, o.owner, handle_of(pool, to, at));
	ops->unlock(arg, o.owner);
	atomic_fetch_add_explicit(&pool->moved, 1, memory_order_relaxed);
	return true;
}

/* Empty the emptiest block. False: some of its objects could not be moved. */
static bool block_compact(struct zpool *pool, struct zclass *c, const struct zpool_owner_ops *ops,
			  void *arg)
{
	struct zblock *from = block_emptiest(c);

	if (!from)
		return false;
	list_del(&from->link);
	for (unsigned int i = 0; i < from->nr; i++) {
		if (from->free[i / 64] & 1ull << i % 64)
			continue;
		if (!object_move(pool, c, from, i, ops, arg)) {
			block_file(c, from);
			return false;
		}
	}
	block_end(pool, from);
	return true;
}

static bool worth_compacting(const struct zclass *c, unsigned int class)
{
	uint64_t nr = ZPOOL_BLOCK / class_size(class), holes = c->nr_blocks * nr - c->nr_used;

	return holes > nr + c->nr_blocks * nr / 8;
}

uint64_t zpool_compact(struct zpool *pool, const struct zpool_owner_ops *ops, void *arg)
{
	uint64_t gained = 0;

	for (unsigned int i = 0; i < ZPOOL_CLASSES; i++) {
		struct zclass *c = &pool->classes[i];
		bool more = true;

		/* The lock is let go of after each block: others wait for one at most. */
		while (more) {
			pthread_mutex_lock(&c->lock);
			more = worth_compacting(c, i) && block_compact(pool, c, ops, arg);
			pthread_mutex_unlock(&c->lock);
			gained += more;
		}
	}
	return gained;
}

void zpool_trim(struct zpool *pool, uint64_t keep)
{
	struct zblock *b;

	for (;;) {
		pthread_mutex_lock(&pool->lock);
		b = pool->nr_free > keep ? list_take(&pool->free) : NULL;
		pool->nr_free -= !!b;
		pthread_mutex_unlock(&pool->lock);
		if (!b)
			return;
		madvise(block_memory(pool, b), ZPOOL_BLOCK, MADV_DONTNEED);
		pthread_mutex_lock(&pool->lock);
		list_add(&b->link, &pool->bare);
		pthread_mutex_unlock(&pool->lock);
	}
}
