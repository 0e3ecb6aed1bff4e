/* SPDX-License-Identifier: MIT */
/*
 * Between the requests (migrate.c: which folios to move) and the engine
 * (migrate_batch.c: how a list of isolated folios moves, with its parts
 * migrate_target.c, migrate_copy.c and migrate_runs.c,
 * migrate_early.c, migrate_time.c).
 */
#ifndef RMAP_MIGRATE_H
#define RMAP_MIGRATE_H

#include "rmap/internal.h"

/* About as many frames as a caller should isolate at a time. */
#define MIGRATE_ISOLATE 4096u
/* The most folios that are moved at once, and the most frames of them. */
#define MIGRATE_BATCH 512u
/* Several 2 MiB folios share one flush of the tables. */
#define MIGRATE_BATCH_FRAMES 4096u
/*
 * How long the entries of a batch may be gone, which is how long a fault waits:
 * the batch is made so large that it takes this, as far as the last ones tell.
 */
#define MIGRATE_WINDOW_NS 2000000ul
/* At this the rest of a batch is given back, to be tried again. */
#define MIGRATE_LATE_NS 3500000ul
/* So often; then it is moved however long it takes. */
#define MIGRATE_TRIES 3u

enum migrate_step {
	MIGRATE_LOCKED,   /* still mapped */
	MIGRATE_UNMAPPED, /* migration entries */
	MIGRATE_LATE,     /* unmapped, and to be given back for want of time */
};

struct migrate_item {
	struct folio *src, *dst;
	pfn_t src_pfn, dst_pfn;
	uint32_t nr;         /* frames */
	struct anon_vma *av; /* keeps the source's anon_vma while nothing maps it */
	enum migrate_step step;
	uint8_t tries;
	bool copied;      /* dst has what src had when its D bits were last cleared */
	bool was_dirty;   /* copied: PG_dirty is lent to the search for stores since */
	bool failed;      /* the copy failed */
	bool moved;       /* the identity is dst's now, and the entries become so */
	bool zap;         /* an entry was replaced in this walk */
	bool frozen;      /* dst has no reference and no lock yet: nobody finds it */
	uint32_t sharers; /* entries when it was collected */
	uint32_t refs;    /* of entries that a run replaced: held for when they come back */
	uint64_t *why;    /* not moved: the count of the reason; NULL if late */
};

/* One request under way. The engine counts into *res; it belongs to one thread. */
struct migration {
	struct mm_sys *sys;
	const struct migrate_request *req;
	struct migrate_result *res;
	struct zap_batch zap;
	struct migrate_item items[MIGRATE_BATCH];
	struct frame_copy copies[MIGRATE_BATCH];
	struct folio *put[2 * MIGRATE_BATCH]; /* folios on their way to lists */
	unsigned int nr;                      /* items */
	unsigned int frames;                  /* of the items */
	unsigned int limit; /* frames a batch; adapts; a larger folio goes alone */
	unsigned int max_limit;
	uint64_t ns_copy_frame;  /* of late; 0: not known yet */
	struct anon_vma *put_av; /* gets back so many references, all at once */
	int32_t put_av_refs;
	struct mm_node *anon_node; /* has so many anonymous frames more than it knows */
	int64_t nr_anon;
	struct list_head *list;      /* what migrate_list() has still to do */
	struct list_head kept;       /* time_copy: sources, `swap` says where they went */
	struct placement *placement; /* the folios move for it; NULL: by request */
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

/* ---- between the parts of the engine -------------------------------------------- */

uint64_t migrate_now_ns(void);
/* Not moved: count it, unlock it, and back to its list. */
void migrate_put_back(struct migration *m, struct folio *f, uint64_t *why);

/* migrate_target.c: give items [from, m->nr) their frames; those that get none leave. */
void migrate_find_targets(struct migration *m, unsigned int from);

/*
 * migrate_copy.c: copy the items that @wanted picks, runs of neighbours at once;
 * an item whose copy failed is marked. With @deadline (0: none) what was not
 * begun by then becomes MIGRATE_LATE, unless it was so too often.
 */
void migrate_copy(struct migration *m, bool (*wanted)(const struct migrate_item *it),
		  uint64_t deadline);

/* For req->time_walk: walk to the entries of every item, and do nothing there. */
void migrate_time_walks(struct migration *m);
/*
 * For req->time_copy: keep the sources of @nr moves, which nothing refers to any
 * more, until migrate_time_kept() copies them all once more, and frees them.
 */
void migrate_keep(struct migration *m, struct folio **dst, struct folio **src, unsigned int nr);
void migrate_time_kept(struct migration *m);

/*
 * migrate_runs.c: how many items from the first can be looked for by one walk; and
 * that walk, to replace all their entries (the caller asks folio_mapped() of each),
 * or to restore them to src or, where it moved, dst.
 */
unsigned int migrate_run_length(const struct migrate_item *items, unsigned int nr);
void migrate_unmap_run(struct migration *m, struct migrate_item *items, unsigned int nr);
void migrate_restore_run(struct migration *m, struct migrate_item *items, unsigned int nr);

/* migrate_early.c: copy while the guest goes on using the source. */
bool migrate_wants_early(const struct migration *m);
void migrate_copy_early(struct migration *m);
/* Unmapped and zapped: take back PG_dirty, and forget the copies that are stale. */
void migrate_check_early(struct migration *m);

#endif
