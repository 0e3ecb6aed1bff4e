/* SPDX-License-Identifier: MIT */
/*
 * Swap in compressed memory; shared by backend_zip.c (slots) and zip_writeback.c (the
 * coldest to a file).
 *
 * A slot is empty, or its page is kept in one of four ways: as the word that fills it,
 * packed, as it is (what would not get smaller), or in the write-back file. Packed and
 * plain pages are objects of a zpool, with a limit on their memory.
 *
 * Locks, in this order: writeback_lock, a slot's (one of STRIPES, by number), the
 * pool's, lru_lock. No lock but writeback_lock is held over I/O: a slot being written
 * to the file is marked SLOT_LEAVING, and the mark is gone if it changed meanwhile.
 */
#ifndef VMM_BACKEND_ZIP_H
#define VMM_BACKEND_ZIP_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/swap_backend.h"
#include "vmm/swapfile.h"
#include "vmm/zip_codec.h"
#include "vmm/zpool.h"

#define STRIPES 256u

enum {
	SLOT_EMPTY,
	SLOT_SAME,   /* value: the word */
	SLOT_PACKED, /* value: a handle of the pool */
	SLOT_PLAIN,  /* the same, not packed */
	SLOT_FILE,   /* value: page of the write-back file */
	SLOT_KIND = 0x7f,
	SLOT_LEAVING = 0x80, /* with PACKED, PLAIN: a copy is on its way to the file */
};

/* Which pages leave first: those that cost most, and of these the longest unused. */
enum zip_lru { ZIP_LRU_PLAIN, ZIP_LRU_PACKED, ZIP_LRU_NR };
#define ZIP_END UINT32_MAX /* of a list */

/* Slots by number + 1; next 0: in no list, which is how fresh memory reads. */
struct zip_link {
	uint32_t prev, next;
};

struct backend_zip {
	struct swap_backend base;
	struct zip_codec codec;
	struct zpool pool;
	struct {
		pthread_mutex_t lock;
	} __attribute__((aligned(64))) stripe[STRIPES];
	/* By slot; guarded by its stripe, links by lru_lock. */
	uint64_t *value;
	uint8_t *kind;
	struct zip_link *links;
	pthread_mutex_t lru_lock;
	uint32_t head[ZIP_LRU_NR], tail[ZIP_LRU_NR]; /* lru_lock; head: the coldest */
	_Atomic uint64_t nr[SLOT_FILE + 1];          /* slots, by kind */

	/* The write-back file: zip_writeback.c. */
	bool has_file;
	struct swapfile file;
	pthread_mutex_t writeback_lock; /* guards next, bounce: one at a time */
	_Atomic uint64_t *used;         /* bit a page of the file */
	uint64_t next;                  /* word of `used' to look at first */
	uint8_t *bounce;
	_Atomic uint64_t retry_at; /* CLOCK_MONOTONIC ns; after an error */
	_Atomic uint64_t written_back, writeback_errors;

	/* The thread that keeps room: writes back ahead of need, compacts, trims. */
	pthread_t keeper;
	bool keeper_runs;
	pthread_mutex_t keeper_lock;
	pthread_cond_t keeper_wake;
	bool keeper_stop; /* keeper_lock */
	_Atomic bool keeper_asked;
};

static inline void slot_lock(struct backend_zip *z, uint64_t slot)
{
	pthread_mutex_lock(&z->stripe[slot % STRIPES].lock);
}

static inline void slot_unlock(struct backend_zip *z, uint64_t slot)
{
	pthread_mutex_unlock(&z->stripe[slot % STRIPES].lock);
}

/* Slot locked: its content goes, its place with it. */
void zip_slot_clear(struct backend_zip *z, uint64_t slot);
/* Slot locked: it is kept in this way now; it was empty. */
void zip_slot_set(struct backend_zip *z, uint64_t slot, uint8_t kind, uint64_t value);
/* Slot locked, PACKED or PLAIN: its page, to @page. 0 or -EIO. */
int zip_slot_unpack(struct backend_zip *z, struct zip_context *x, uint64_t slot,
		    void *page) UMM_MUST_CHECK;

/* Take the coldest off its list. False: there is none. */
bool zip_lru_take(struct backend_zip *z, uint32_t *slot);
/* At the warm end of the list of its kind, unless it is in a list. */
void zip_lru_add(struct backend_zip *z, uint32_t slot, uint8_t kind);

/* ---- zip_writeback.c ---- */

int zip_writeback_open(struct backend_zip *z, const struct swap_spec *spec,
		       struct errmsg *e) UMM_MUST_CHECK;
void zip_writeback_close(struct backend_zip *z);
/*
 * Write some of the coldest pages, up to a cluster, to the file and give up their
 * memory. How many, at least one; -ENOSPC: the file is full, or there is none, or
 * nothing to write; or the error of the transfer, after which it is not tried for a
 * while. No slot is locked.
 */
int zip_writeback(struct backend_zip *z, struct zip_context *x);
/* May some MiB more be written back? Any lock may be held. */
bool zip_writeback_room(const struct backend_zip *z);
void zip_file_page_free(struct backend_zip *z, uint64_t page);

/* ---- zip_keeper.c ---- */

/* Move objects together, to have whole blocks free: how many. No slot is locked. */
uint64_t zip_compact(struct backend_zip *z);

int zip_keeper_start(struct backend_zip *z) UMM_MUST_CHECK;
void zip_keeper_stop(struct backend_zip *z);
/* Memory is used up more than it should be? Then wake it. */
void zip_keeper_ask(struct backend_zip *z);

#endif
