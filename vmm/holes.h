/* SPDX-License-Identifier: MIT */
/*
 * Holes: the way in which a VMM without reverse mappings takes memory from a running
 * guest, to be compared with unmapping. The guest's entries stay as they are and the frame
 * stays taken; its host memory goes, and comes back when anybody touches it.
 *
 *	out	write-protect -> look for pins -> copy to a buffer -> slots, one request
 *		-> punch (MADV_DONTNEED) what nobody stored to meanwhile
 *	in	a touch, by a vCPU, umm or the kernel on behalf of either, is a missing event
 *		-> read the slot to a buffer -> UFFDIO_COPY, which wakes
 *
 * A store to a frame on its way out is a write-protect event: the frame stays, and the slot
 * is put. So is a frame that others zap meanwhile, as a zap clears the protection.
 *
 * Who serves events waits for nothing that a thread may hold that touches guest memory:
 * - the one lock here is never held while guest memory is touched;
 * - the back end belongs to the holes alone, and sees buffers, never guest memory. So
 *   nobody faults with one of its locks held, as might happen in an area of `--swap`.
 *
 * A slot that cannot be read keeps its content and its frame is LOST: who touched it waits.
 * The owner (vmm/holed.c) takes the page away from those that map it, who get SIGBUS, and
 * tries again where that cannot be done.
 *
 * All functions may be called from any thread. Frames are guest RAM.
 */
#ifndef VMM_HOLES_H
#define VMM_HOLES_H

#include <pthread.h>
#include <stdatomic.h>

#include <umm/host_ops.h>

#include "vmm/hole_table.h"
#include "vmm/memory.h"
#include "vmm/swap_areas.h"

/* Threads that serve events: as many slots are read at once. */
#define HOLE_SERVERS 4u
/* Buffers for reading, and for writing, in pages. */
#define HOLE_IN_PAGES  16u
#define HOLE_OUT_PAGES 256u

struct holes_counts {
	uint64_t frames;                 /* holes now */
	uint64_t lost;                   /* of these: cannot be read */
	uint64_t slots, used;            /* where their content is */
	uint64_t out, out_zero;          /* frames made holes; of these without a slot */
	uint64_t stayed;                 /* stored to, or zapped, on their way out */
	uint64_t in, in_zero;            /* holes filled again */
	uint64_t in_asked;               /* of these: umm asked first, no event */
	uint64_t dropped;                /* holes of frames that became free */
	uint64_t faults;                 /* events that filled a hole */
	uint64_t fault_ns, fault_max_ns; /* from the event's arrival to the wake-up */
	uint64_t fresh;                  /* events of frames that had no memory, and no hole */
	uint64_t write_errors, read_errors;
	uint64_t given_up; /* lost for good: told by the owner */
};

struct holes_config {
	const struct memory *memory; /* its RAM is registered with `uffd` for missing pages */
	int uffd;
	const struct swap_spec *spec;
	/* For tests; NULL. Not 0: the transfer's error. */
	int (*fail)(void *arg, const struct swap_io *io);
	void *arg;
};

struct holes {
	struct holes_config cfg;
	struct memory buffers; /* RAM as the back end knows it */
	struct swap_areas areas;
	struct swap_backend *area;
	void *zeroes; /* HOLE_ZERO_BYTES */

	pthread_mutex_t out_lock; /* the buffers for writing; outside `lock` */
	pthread_mutex_t lock;     /* guards what follows */
	pthread_cond_t changed;   /* a hole was filled, or not; a buffer is free */
	struct hole_table table;
	uint32_t in_free; /* bit a buffer for reading */
	struct holes_counts counts;
	void (*on_loss)(void *arg);
	void *on_loss_arg;
	unsigned int calling; /* on_loss: under way */

	pthread_t servers[HOLE_SERVERS];
	unsigned int nr_servers;
	int stop_fd;
};

/* 0, or -errno with a sentence for the user. */
int holes_create(const struct holes_config *cfg, struct holes **out,
		 struct errmsg *e) UMM_MUST_CHECK;
/* Nobody touches guest memory any more. NULL is allowed. */
void holes_destroy(struct holes *h);

/* Contracts: include/umm/host_ops.h. */
int holes_protect(struct holes *h, struct frame_hole *v, unsigned int nr);
void holes_write(struct holes *h, struct frame_hole *v, unsigned int nr);
int holes_fill(struct holes *h, pfn_t pfn, uint32_t nr);
void holes_drop(struct holes *h, pfn_t pfn, uint32_t nr);
uint32_t holes_here(struct holes *h, pfn_t pfn, uint32_t nr);
/* populate_frames() where missing pages are events. */
int holes_populate(struct holes *h, pfn_t pfn, uint32_t nr);
/* Clear the protection of these frames, so that none of them leaves. */
int holes_unprotect(struct holes *h, pfn_t pfn, uint64_t nr);

/* Is there a hole that somebody may wait for? */
bool holes_any(struct holes *h);
/* The first frame at or after *pfn that cannot be read; false: none. */
bool holes_find_lost(struct holes *h, pfn_t *pfn);
/* Try to read it once more; 0: whoever waits goes on. */
int holes_try_again(struct holes *h, pfn_t pfn);
/* Nothing maps it any more: what it held is lost, who waits goes on and finds that out. */
void holes_give_up(struct holes *h, pfn_t pfn);

/* @fn is called, without a lock, when one more cannot be read; NULL: nobody is. */
void holes_on_loss(struct holes *h, void (*fn)(void *arg), void *arg);

void holes_counts_read(struct holes *h, struct holes_counts *out);

/* ---- between holes.c, hole_out.c and hole_in.c --------------------------------------- */

static inline void *hole_hva(const struct holes *h, uint64_t frame)
{
	return h->cfg.memory->ram + (frame << UMM_PAGE_SHIFT);
}

static inline uint64_t hole_frame_of(const struct holes *h, pfn_t pfn)
{
	return pfn.v - h->table.base;
}

/* lock held: free again, and told to the back end. */
void holes_slot_put(struct holes *h, uint32_t slot);
/* Transfers between slots and buffers; each has its error. No lock. */
void holes_transfer(struct holes *h, struct swap_io *ios, unsigned int nr);
/* Fresh zero pages where there are none. 0, -ENOMEM. */
int holes_zero(struct holes *h, uint64_t frame, uint64_t nr);
/* What a thread that serves events does, until stop_fd can be read. */
void *holes_server(void *arg);
/* Wake those that wait for the page. */
void holes_wake(struct holes *h, uint64_t frame);

#endif
