/* SPDX-License-Identifier: MIT */
/*
 * Memory for compressed pages: objects of 1 to 4096 bytes, packed, with a limit.
 *
 * Memory comes in blocks of 64 KiB, each of objects of one size class; classes are 64
 * bytes apart, so that an object wastes 32 bytes on average and no block more than 6 %
 * at its end. An object is named by a handle, and has an owner, a number of the
 * user's. What freed objects leave behind is bounded by compaction, which moves the
 * objects of the emptiest blocks into the holes of the fullest and tells their owners.
 *
 * Locks: one a class, one for the free blocks below it. Calls may come from any
 * thread; nobody else may use a handle that is being freed or moved, so users hold a
 * lock of their own around zpool_free() and around use of zpool_at(). Compaction asks
 * for that lock with the class locked, hence only tries.
 */
#ifndef VMM_ZPOOL_H
#define VMM_ZPOOL_H

#include <pthread.h>
#include <umm/list.h>
#include <umm/types.h>

#define ZPOOL_BLOCK       (64ul << 10)
#define ZPOOL_CLASS_STEP  64u
#define ZPOOL_CLASSES     (UMM_PAGE_SIZE / ZPOOL_CLASS_STEP)
#define ZPOOL_BLOCK_MAX   (ZPOOL_BLOCK / ZPOOL_CLASS_STEP) /* objects a block */
#define ZPOOL_FULLNESS_NR 4u

struct zblock;

struct zclass {
	pthread_mutex_t lock;
	struct list_head blocks[ZPOOL_FULLNESS_NR]; /* with room, by how full */
	uint64_t nr_blocks, nr_used;                /* lock; blocks; objects */
};

struct zpool {
	uint8_t *base;  /* of the reservation */
	uint64_t max;   /* blocks */
	uint64_t limit; /* of bytes below */
	struct zblock *blocks;
	pthread_mutex_t lock;    /* guards the two below; inside a class lock */
	struct list_head free;   /* blocks that still have host memory */
	uint64_t nr_free, fresh; /* how many; blocks from here on were never used */
	struct list_head bare;   /* blocks whose memory the host has back */
	_Atomic uint64_t bytes;  /* host memory in use, what describes it included */
	_Atomic uint64_t data;   /* bytes that were asked for */
	_Atomic uint64_t moved;  /* objects, by compaction */
	struct zclass classes[ZPOOL_CLASSES];
};

/* At most @limit bytes, of blocks and what describes them. 0 or -ENOMEM. */
int zpool_init(struct zpool *pool, uint64_t limit) UMM_MUST_CHECK;
void zpool_destroy(struct zpool *pool);

/* 0; -ENOSPC: at the limit; -ENOMEM. */
int zpool_alloc(struct zpool *pool, uint32_t owner, unsigned int len,
		uint64_t *handle) UMM_MUST_CHECK;
void zpool_free(struct zpool *pool, uint64_t handle);
/* Where the object is, and how long. */
void *zpool_at(const struct zpool *pool, uint64_t handle, unsigned int *len);

/* Host memory of the blocks that are in use, descriptions included. */
uint64_t zpool_used(const struct zpool *pool);

/* What compaction needs of the owners of objects. */
struct zpool_owner_ops {
	/* Lock the owner, if that can be done without waiting. */
	bool (*try_lock)(void *arg, uint32_t owner);
	void (*unlock)(void *arg, uint32_t owner);
	/* Locked: its object is at @handle now. */
	void (*moved)(void *arg, uint32_t owner, uint64_t handle);
};

/* Until no class has holes worth more than a block and an eighth of it. Blocks gained. */
uint64_t zpool_compact(struct zpool *pool, const struct zpool_owner_ops *ops, void *arg);
/* Give the memory of free blocks beyond @keep back to the host. */
void zpool_trim(struct zpool *pool, uint64_t keep);

#endif
