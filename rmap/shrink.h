/* SPDX-License-Identifier: MIT */
/* Between who asks for memory (reclaim.c) and what becomes of isolated folios (shrink.c). */
#ifndef RMAP_SHRINK_H
#define RMAP_SHRINK_H

#include "rmap/internal.h"
#include "rmap/swap_write.h"

#define BATCH SWAP_BATCH
/* So many, less one, are written at a time. */
#define SHRINK_BATCHES 4u
/* About as many frames as a caller should isolate at a time. */
#define SHRINK_ISOLATE (4 * BATCH)

/* Folios that nothing maps any more, locked, on their way out. */
struct shrink_batch {
	struct folio *folios[BATCH];
	unsigned int nr;
	struct swap_write write;
};

struct shrink {
	struct mm_sys *sys;
	const struct reclaim_request *req;
	struct reclaim_result *res;
	struct zap_batch zap;
	/* Locked and still mapped: victims that have or shall get a slot. */
	struct folio *victims[BATCH];
	unsigned int nr_victims;
	/* One is being filled while those before it are written: a ring, the oldest first. */
	struct shrink_batch batches[SHRINK_BATCHES];
	unsigned int oldest, nr_under_way; /* the next is being filled */
	struct list_head demoted;          /* on their way to a slow node */
	enum { DEMOTE_NEVER, DEMOTE_FIRST, DEMOTE_ONLY } demote;
	enum { BY_REQUEST, BY_KSWAPD, BY_ALLOCATION } by;
	/* rmap/balance.c: how far each kind is from its turn; frames passed over; now none is. */
	uint64_t turn[2], spared;
	bool spares_none;
	int error; /* first hard one */
};

/* Nothing demoted, by request, counts cleared; @req and @res must outlive it. */
void shrink_init(struct shrink *s, struct mm_sys *sys, const struct reclaim_request *req,
		 struct reclaim_result *res);
/* Adds what was done to the events of the system. */
void shrink_end(struct shrink *s);
/*
 * Free isolated folios (chained by ->lru), or put them back.
 * => caller holds sys->work_lock for reading
 * => @list is used up
 */
void shrink_list(struct shrink *s, struct list_head *list);

/* ---- reclaim_runs.c: one rmap walk for many neighbours ------------------------------- */
/* How many folios from the first one walk can look for: 1 if only try_to_unmap() can. */
unsigned int unmap_run_length(struct folio *const *f, unsigned int nr);
/*
 * try_to_unmap() of a run of locked folios in the swap cache. Some may stay mapped: ask
 * folio_mapped() of each; try_to_unmap() then tells more.
 */
void unmap_run(struct mm_sys *sys, struct folio *const *f, unsigned int nr, struct zap_batch *zap);

/* ---- balance.c: pages of files or those of swap ------------------------------------------ */
/* Of a folio that could go: is it passed over this time? */
bool balance_spares(struct shrink *s, const struct folio *f);

/* ---- shrink_split.c: large folios of which little is used ------------------------------ */
/*
 * An isolated, locked folio that reclaim comes across: if it is large and mostly unused,
 * it is a page from now on, and the others are isolated at the end of @rest.
 */
void shrink_split(struct shrink *s, struct folio *f, struct list_head *rest);

/* ---- hole.c ---------------------------------------------------------------------------- */
/* The victims, locked, keep their entries and lose their host memory; then they are put back. */
void hole_victims(struct shrink *s);

#endif
