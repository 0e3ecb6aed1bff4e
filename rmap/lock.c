/* SPDX-License-Identifier: MIT */
/*
 * Locks with a rank. In debug builds each thread counts the locks that it holds
 * of each rank, which is enough to see an acquisition that goes down the ladder
 * at the moment it is made, whether or not it happens to deadlock this time.
 */
#include <umm/lock.h>

#ifdef UMM_DEBUG
#include <stdio.h>
#include <stdlib.h>

#define NR_RANKS (LOCK_LEAF + 1)

static _Thread_local unsigned int held[NR_RANKS];

static const char *rank_name(enum lock_rank rank)
{
	switch (rank) {
	case LOCK_PLACEMENT:
		return "placement";
	case LOCK_KSM:
		return "ksm scan_lock";
	case LOCK_MMS:
		return "mms_lock";
	case LOCK_MMAP:
		return "mmap_lock";
	case LOCK_WORK:
		return "work_lock";
	case LOCK_FOLIO:
		return "folio lock";
	case LOCK_I_MMAP:
		return "i_mmap_lock";
	case LOCK_ANON_VMA:
		return "anon_vma lock";
	case LOCK_PTL:
		return "page-table lock";
	case LOCK_TREE:
		return "tree_lock";
	case LOCK_SWAP:
		return "swap lock";
	case LOCK_LRU:
		return "lru_lock";
	case LOCK_FREE:
		return "free_lock";
	case LOCK_TABLE_DRAIN:
		return "table drain lock";
	case LOCK_LEAF:
		return "leaf lock";
	}
	return "lock of no rank";
}

static enum lock_rank highest_held(void)
{
	enum lock_rank r = LOCK_LEAF;

	while (r && !held[r])
		r--;
	return r;
}

static void check_order(enum lock_rank rank, bool same_allowed)
{
	enum lock_rank top = highest_held();

	if (top < rank || (same_allowed && top == rank))
		return;
	fprintf(stderr, "lock order: waiting for a %s (rank %d) with a %s (rank %d) held\n",
		rank_name(rank), (int)rank, rank_name(top), (int)top);
	abort();
}

void lock_rank_push(enum lock_rank rank, bool may_wait)
{
	if (may_wait)
		check_order(rank, false);
	held[rank]++;
}

static void rank_push_nested(enum lock_rank rank)
{
	check_order(rank, true);
	held[rank]++;
}

void lock_rank_pop(enum lock_rank rank)
{
	if (!held[rank]) {
		fprintf(stderr, "lock order: a %s is released by a thread that holds none\n",
			rank_name(rank));
		abort();
	}
	held[rank]--;
}

void lock_rank_assert_none(void)
{
	enum lock_rank top = highest_held();

	if (!top)
		return;
	fprintf(stderr, "lock order: a %s is still held\n", rank_name(top));
	abort();
}
#else
static void rank_push_nested(enum lock_rank rank)
{
	(void)rank;
}
#endif

void umm_mutex_init(struct umm_mutex *m, enum lock_rank rank)
{
	pthread_mutex_init(&m->m, NULL);
	m->rank = rank;
}

void umm_mutex_destroy(struct umm_mutex *m)
{
	pthread_mutex_destroy(&m->m);
}

void umm_mutex_lock(struct umm_mutex *m)
{
	lock_rank_push(m->rank, true);
	pthread_mutex_lock(&m->m);
}

void umm_mutex_lock_nested(struct umm_mutex *m)
{
	rank_push_nested(m->rank);
	pthread_mutex_lock(&m->m);
}

bool umm_mutex_trylock(struct umm_mutex *m)
{
	if (pthread_mutex_trylock(&m->m))
		return false;
	lock_rank_push(m->rank, false);
	return true;
}

void umm_mutex_unlock(struct umm_mutex *m)
{
	lock_rank_pop(m->rank);
	pthread_mutex_unlock(&m->m);
}

void umm_rwlock_init(struct umm_rwlock *l, enum lock_rank rank)
{
	pthread_rwlockattr_t attr;

	/* A stream of readers (walks, faults) must not starve fork or munmap. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&l->l, &attr);
	pthread_rwlockattr_destroy(&attr);
	l->rank = rank;
}

void umm_rwlock_destroy(struct umm_rwlock *l)
{
	pthread_rwlock_destroy(&l->l);
}

void umm_read_lock(struct umm_rwlock *l)
{
	lock_rank_push(l->rank, true);
	pthread_rwlock_rdlock(&l->l);
}

bool umm_read_trylock(struct umm_rwlock *l)
{
	if (pthread_rwlock_tryrdlock(&l->l))
		return false;
	lock_rank_push(l->rank, false);
	return true;
}

void umm_read_unlock(struct umm_rwlock *l)
{
	lock_rank_pop(l->rank);
	pthread_rwlock_unlock(&l->l);
}

void umm_write_lock(struct umm_rwlock *l)
{
	lock_rank_push(l->rank, true);
	pthread_rwlock_wrlock(&l->l);
}

void umm_write_lock_nested(struct umm_rwlock *l)
{
	rank_push_nested(l->rank);
	pthread_rwlock_wrlock(&l->l);
}

bool umm_write_trylock(struct umm_rwlock *l)
{
	if (pthread_rwlock_trywrlock(&l->l))
		return false;
	lock_rank_push(l->rank, false);
	return true;
}

void umm_write_unlock(struct umm_rwlock *l)
{
	lock_rank_pop(l->rank);
	pthread_rwlock_unlock(&l->l);
}
