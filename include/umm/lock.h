/* SPDX-License-Identifier: MIT */
/*
 * Locks with a rank, and the one order in which they may be taken.
 *
 *	control locks of policies	LOCK_PLACEMENT	(placement, reclaim: switching, ticks)
 *	ksm->scan_lock			LOCK_KSM	(merging; its settings)
 *	sys->mms_lock			LOCK_MMS	(the list of mms; outermost of the rest)
 *	mm->mmap_lock			LOCK_MMAP
 *	 sys->work_lock			LOCK_WORK	(read: work on entries without mmap_lock)
 *	  folio lock (PG_locked)	LOCK_FOLIO
 *	    mapping->i_mmap_lock	LOCK_I_MMAP
 *	      anon_vma root lock	LOCK_ANON_VMA
 *		page-table lock		LOCK_PTL	(two: lower table frame first)
 *		  mapping->tree_lock	LOCK_TREE	(page cache)
 *		    swap lock		LOCK_SWAP
 *		      node->lru_lock	LOCK_LRU
 *			node->free_lock	LOCK_FREE
 *			  sys->table_drain_lock	LOCK_TABLE_DRAIN (freed tables, a flush)
 *			  everything else (object caches, statistics)  LOCK_LEAF
 *
 * A thread may only take a lock whose rank is higher than that of every lock
 * it holds. Trying (…_trylock) is free of the rule, as it cannot wait. Debug
 * builds (UMM_DEBUG) check it on each acquisition and abort with both ranks;
 * the folio lock reports itself through lock_rank_push()/pop().
 *
 * Equal ranks nest in three known places, each with an order of its own, and
 * announce themselves with the _nested variants: fork (parent's mmap_lock, then
 * the child's), mremap and table splits (page-table locks by frame number), and
 * batches of folio locks, which are all taken by trylock.
 */
#ifndef UMM_LOCK_H
#define UMM_LOCK_H

#include <pthread.h>
#include <umm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum lock_rank {
	LOCK_PLACEMENT = 1,
	LOCK_KSM,
	LOCK_MMS,
	LOCK_MMAP,
	LOCK_WORK,
	LOCK_FOLIO,
	LOCK_I_MMAP,
	LOCK_ANON_VMA,
	LOCK_PTL,
	LOCK_TREE,
	LOCK_SWAP,
	LOCK_LRU,
	LOCK_FREE,
	LOCK_TABLE_DRAIN,
	LOCK_LEAF,
};

struct umm_mutex {
	pthread_mutex_t m;
	enum lock_rank rank;
};

struct umm_rwlock {
	pthread_rwlock_t l;
	enum lock_rank rank;
};

void umm_mutex_init(struct umm_mutex *m, enum lock_rank rank);
void umm_mutex_destroy(struct umm_mutex *m);
void umm_mutex_lock(struct umm_mutex *m);
void umm_mutex_lock_nested(struct umm_mutex *m);
bool umm_mutex_trylock(struct umm_mutex *m);
void umm_mutex_unlock(struct umm_mutex *m);

/* Writers are preferred; a reader must not lock again what it holds. */
void umm_rwlock_init(struct umm_rwlock *l, enum lock_rank rank);
void umm_rwlock_destroy(struct umm_rwlock *l);
void umm_read_lock(struct umm_rwlock *l);
bool umm_read_trylock(struct umm_rwlock *l);
void umm_read_unlock(struct umm_rwlock *l);
void umm_write_lock(struct umm_rwlock *l);
void umm_write_lock_nested(struct umm_rwlock *l);
bool umm_write_trylock(struct umm_rwlock *l);
void umm_write_unlock(struct umm_rwlock *l);

#ifdef UMM_DEBUG
void lock_rank_push(enum lock_rank rank, bool may_wait);
void lock_rank_pop(enum lock_rank rank);
/* Abort unless this thread holds no lock of the manager at all. */
void lock_rank_assert_none(void);
#else
static inline void lock_rank_push(enum lock_rank rank, bool may_wait)
{
	(void)rank;
	(void)may_wait;
}

static inline void lock_rank_pop(enum lock_rank rank)
{
	(void)rank;
}

static inline void lock_rank_assert_none(void)
{
}
#endif

#ifdef __cplusplus
}
#endif

#endif
