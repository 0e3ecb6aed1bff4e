/* SPDX-License-Identifier: MIT */
/* Between the requests to migrate (migrate.c) and those who move what they mean. */
#ifndef RMAP_MIGRATE_MOVER_H
#define RMAP_MIGRATE_MOVER_H

#include "rmap/migrate_pick.h"

/*
 * One thread's part of a request. It belongs to the thread that moves its share; between
 * shares, to the thread of the request.
 */
struct mover {
	struct mm_sys *sys;
	const struct migrate_request *req;
	struct migration *m;
	struct migrate_result res;  /* of its shares */
	struct migrate_result told; /* as much of it as the request's result has */
	struct pick_list again;     /* to be tried again */
	uint64_t retried;           /* frames that the engine put there, ever */
	bool last_try;              /* what is busy counts as busy */
	/* The share: picks from @at to before @end. */
	const struct pick_list *picks;
	uint64_t at, end;
	uint64_t handled; /* frames of it with a fate, or on `again` */
};

/* 0 or -ENOMEM. */
int mover_init(struct mover *v, struct mm_sys *sys, const struct migrate_request *req);
/* After the last share: what is left to time is timed. No-op if it was not initialised. */
void mover_destroy(struct mover *v);
/*
 * Give it the picks from @at on, for about as many frames as may be isolated at once.
 * Returns where its share ends.
 */
uint64_t mover_share(struct mover *v, const struct pick_list *picks, uint64_t at);
/* Move the share. @arg is a struct mover. Takes work_lock for reading. */
void mover_run(void *arg);
/* Add what it did since the last time to @res, and what it wants tried again to @again. */
void mover_tell(struct mover *v, struct migrate_result *res, struct pick_list *again);

#endif
