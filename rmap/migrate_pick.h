/* SPDX-License-Identifier: MIT */
/* Between the requests to migrate (migrate.c) and the choice of folios (migrate_pick.c). */
#ifndef RMAP_MIGRATE_PICK_H
#define RMAP_MIGRATE_PICK_H

#include "rmap/migrate.h"

/*
 * Folios by the number of their first frame, their order, and how warm they are.
 * They are not held: what becomes of them meanwhile is found when their turn comes.
 */
struct pick_list {
	uint64_t *v; /* warmth << 60 | pfn << 4 | order: sorts by warmth, then by frame */
	uint64_t nr, room;
};

#define PICK_WARM_SHIFT 60
#define PICK_ORDER_BITS 4
#define PICK_ORDER(v)   ((unsigned int)((v) & ((1u << PICK_ORDER_BITS) - 1)))
#define PICK_PFN(v)     pfn_make(((v) & ((1ul << PICK_WARM_SHIFT) - 1)) >> PICK_ORDER_BITS)
#define PICK_FRAMES(v)  (1ul << PICK_ORDER(v))

/* Room for one more at least. 0 or -ENOMEM. */
int pick_list_grow(struct mm_sys *sys, struct pick_list *list);
/* 0 or -ENOMEM. */
static inline int pick_list_add(struct mm_sys *sys, struct pick_list *list, pfn_t pfn,
				unsigned int order)
{
	int ret = list->nr == list->room ? pick_list_grow(sys, list) : 0;

	if (!ret)
		list->v[list->nr++] = pfn.v << PICK_ORDER_BITS | order;
	return ret;
}
void pick_list_free(struct mm_sys *sys, struct pick_list *list);
uint64_t pick_list_frames(const struct pick_list *list, uint64_t from);

/*
 * The place in the source of a request. Counts into @res what does not go on the
 * list: already there, shared, and in a dry run why it would stay.
 */
struct picker {
	struct mm_sys *sys;
	const struct migrate_request *req;
	struct migrate_result *res;
	struct pick_list picks;
	uint64_t *seen; /* a bit a frame: a process may map a folio in many places */
	uint64_t nr_seen_words;
	int error;
	/* What comes next: a frame of a node, a page of the list, or an address. */
	unsigned int node;
	uint64_t at;
	struct mm_cursor cursor;
	bool done;
};

/* 0 or -ENOMEM. */
int picker_init(struct picker *p, struct mm_sys *sys, const struct migrate_request *req,
		struct migrate_result *res);
void picker_destroy(struct picker *p);
/* About how many frames there are to look at, for progress. */
uint64_t picker_estimate(const struct picker *p);
/*
 * The next folios, about @max of them, replace p->picks; none at the end. 0 or
 * -ENOMEM. No lock held.
 */
int picker_next(struct picker *p, uint64_t max);
/* Sort p->picks, coldest first, and keep @percent of their frames; returns the rest. */
uint64_t picker_keep_coldest(struct picker *p, unsigned int percent);

#endif
