/* SPDX-License-Identifier: MIT */
/*
 * Between the requests (migrate.c: which folios to move) and the engine
 * (migrate_batch.c: how a list of isolated folios moves).
 */
#ifndef RMAP_MIGRATE_H
#define RMAP_MIGRATE_H

#include "rmap/internal.h"

/* About as many frames as a caller should isolate at a time. */
#define MIGRATE_BATCH 256u

struct migrate_item {
	struct folio *src, *dst;
	struct anon_vma *av; /* keeps the source's anon_vma while nothing maps it */
	bool failed;
};

/* One request under way. The engine counts into *res; it belongs to one thread. */
struct migration {
	struct mm_sys *sys;
	const struct migrate_request *req;
	struct migrate_result *res;
	struct zap_batch zap;
	struct migrate_item items[MIGRATE_BATCH];
	unsigned int nr;
	uint64_t ns_alloc;      /* since the batch began */
	struct list_head *list; /* what migrate_list() has still to do */
	/*
	 * Hooks of the request, NULL where the engine's own way will do; called with
	 * work_lock and the folio lock of @src held.
	 * target: 2^order frames to move @src to, with one reference; NULL: none left.
	 * stays:  @src was not moved and *why is about to count it; false: do not, it
	 *         will be tried again. It may be called without the folio lock.
	 */
	struct folio *(*target)(struct migration *m, struct folio *src, unsigned int order);
	bool (*stays)(struct migration *m, struct folio *src, const uint64_t *why);
	void *request; /* the hooks' own */
};

/*
 * => returns NULL without memory; *out is cleared
 * => req and out stay the caller's and must outlive the migration
 */
struct migration *migration_start(struct mm_sys *sys, const struct migrate_request *req,
				  struct migrate_result *out);

/* Free the migration and add what it did to the events of the system. */
void migration_end(struct migration *m);

/*
 * Move isolated folios (chained by ->lru) to req->to, in one batch or more.
 * => caller holds sys->work_lock for reading
 * => list is empty afterwards; every folio is put back on its LRU, moved or not
 */
void migrate_list(struct migration *m, struct list_head *list);

#endif
