/* SPDX-License-Identifier: MIT */
/*
 * Between the manager and its reclaim policies: folios handed over and taken back, what
 * was evicted of late, and who was used. Part of internal.h.
 */
#ifndef RMAP_LRU_H
#define RMAP_LRU_H

/* ---- lru.c: handing folios to the reclaim policy and back --------------------- */
void lru_add_many(struct mm_sys *sys, struct folio **f, unsigned int nr);
/* A new folio; @active: surely wanted. */
void lru_add(struct mm_sys *sys, struct folio *f, bool active);
/* A page that was read in from swap or a file; it may have been evicted lately. */
void lru_add_read(struct mm_sys *sys, struct folio *f);
void lru_del(struct mm_sys *sys, struct folio *f); /* no-op if the policy does not have it */
/*
 * Take up to @nr frames' worth of the policy's next victims onto @out: each with a
 * reference and PG_lru clear. Returns the frames scanned.
 */
uint64_t lru_isolate(struct mm_sys *sys, int node, uint64_t nr, struct list_head *out,
		     uint64_t *taken);
/* Isolate this one folio: true with a reference if the policy had it. */
bool lru_isolate_folio(struct mm_sys *sys, struct folio *f);
/*
 * The same for many, most of one node, whose lru_lock is kept from one call to the
 * next, for @nr folios at a time. lru_hold_end() lets go, before anything that may wait.
 */
struct lru_hold {
	struct mm_node *node; /* NULL: nothing is held */
	unsigned int nr, used;
};
bool lru_isolate_held(struct mm_sys *sys, struct lru_hold *hold, struct folio *f);
void lru_hold_end(struct lru_hold *hold);
/* @active: it was used, or is to be out of the way; else: as it was. Drops the reference. */
void lru_putback(struct mm_sys *sys, struct folio *f, bool active);
/* Many at once, as they were. */
void lru_putback_list(struct mm_sys *sys, struct folio **f, unsigned int nr);
/* The same of locked ones, which it unlocks. */
void lru_putback_locked(struct mm_sys *sys, struct folio **f, unsigned int nr);
/* Not needed soon, its owner says. */
void lru_deactivate(struct mm_sys *sys, struct folio *f);
/* Frames that the node's policies have. */
uint64_t lru_frames(struct mm_sys *sys, int node);
/* Does its policy take victims whether they were used or not? work_lock held. */
bool lru_is_blind(struct mm_sys *sys, const struct folio *f);
/* During a switch: up to @nr folios from the old policy to the new; how many there were. */
unsigned int lru_hand_over(struct mm_node *n, unsigned int nr);

/* ---- shadow.c: what was evicted not long ago ---------------------------------------- */
/* Where an evicted folio's content is to be found again. */
struct shadow_place {
	uintptr_t object; /* of a file; 0: nowhere, unless `swap` */
	uint64_t first;   /* index or swap entry of its first page */
	bool swap;
};
/* Of a folio that still is in its cache. */
struct shadow_place shadow_place(const struct folio *f);
/* In the swap cache: shadow_evicted() of its place comes soon. */
void shadow_prefetch(struct mm_sys *sys, const struct folio *f);
/* @nr frames that were at @place left the node. */
void shadow_evicted(struct mm_sys *sys, int node, const struct shadow_place *place,
		    unsigned int nr);
/* Was this page of a file evicted not long ago? */
bool shadow_expects(struct mm_sys *sys, const struct address_space *m, pgoff_t index);
/*
 * A folio of one frame comes back: was it evicted, and how many frames ago? It is
 * forgotten then.
 */
bool shadow_refault(struct mm_sys *sys, const struct folio *f, uint64_t *distance);
void shadows_destroy(struct mm_sys *sys, struct mm_node *n);

/* ---- policy_look.c: who was used --------------------------------------------------- */
/* No lock held: the policy's accessed() for all used folios of the node; frames. */
uint64_t policy_walk(struct mm_sys *sys, int node);
/* No lock held: was the folio of this frame of the node used? */
bool policy_sample(struct mm_sys *sys, int node, uint64_t frame);
/*
 * The walk stands at a used 4 KiB entry of a folio of the node, its lock and work_lock
 * held: used neighbours are told to the policy, or get PG_referenced, and are then to
 * be zapped with @zap.
 */
void policy_look_around(struct mm_sys *sys, struct mm_node *n, const struct page_vma_mapped_walk *w,
			struct zap_batch *zap);
/*
 * folio_referenced() of a locked, isolated folio, PG_referenced included; looks around.
 * work_lock held.
 */
int folio_referenced_around(struct mm_sys *sys, struct folio *f, uint64_t *vm_flags,
			    struct zap_batch *zap);

/* ---- policy.c: which policy that is ---------------------------------------------- */
int policies_init(struct mm_sys *sys);
void policies_destroy(struct mm_sys *sys);
extern const struct reclaim_policy policy_active_inactive, policy_fifo, policy_clock, policy_mglru,
	policy_damon, policy_random_choice;

#endif
