/* SPDX-License-Identifier: MIT */
/*
 * Swap areas, reclaim and migration requests, and questions about the state:
 * what a VMM's control interface calls.
 */
#ifndef UMM_RECLAIM_H
#define UMM_RECLAIM_H

#include <umm/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- swap ------------------------------------------------------------- */

struct swap_info {
	uint64_t nr_slots, used; /* pages */
	uint64_t cached;         /* slots whose page is also in memory */
};

/*
 * Add a swap area of @nr_slots pages. @area is handed to ops->swap_io(). Of several,
 * that of the highest @priority is filled first, and of equals the oldest. 0, -EINVAL,
 * -ENOMEM; -EPERM: there are too many.
 */
int swap_on(struct mm_sys *sys, void *area, uint64_t nr_slots, int priority) UMM_MUST_CHECK;
/* All areas together. */
void swap_get_info(struct mm_sys *sys, struct swap_info *out);
/* One area. -ENOENT: no such area. */
int swap_get_area_info(struct mm_sys *sys, const void *area, struct swap_info *out) UMM_MUST_CHECK;

#define SWAP_NAME_MAX 4095

/* One area, for reports and /proc/swaps. */
struct swap_area_info {
	char name[SWAP_NAME_MAX + 1];
	uint64_t nr_slots, used, cached;
	int priority;
	bool leaving; /* swap_off() is under way */
};
/* What people call it; "swap" at first. */
void swap_set_name(struct mm_sys *sys, const void *area, const char *name);
/* The @i-th by priority; false past the last. */
bool swap_get_nth(struct mm_sys *sys, unsigned int i, struct swap_area_info *out);

struct swap_off_request {
	/* As with a migration: slots read back, of those in use at the beginning. */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/*
 * Take an area away: all that it holds is read back. Then no call names @area any
 * more. @req may be NULL. -ENOENT: no such area; -ENOMEM: no room for what it holds,
 * in memory and the other areas; -EIO: a page could not be read; -EBUSY: pages that
 * are in use for long, or it is being taken away already; -EINTR: stopped by
 * progress(). After an error the area goes on as before.
 */
int swap_off(struct mm_sys *sys, void *area, const struct swap_off_request *req) UMM_MUST_CHECK;

/* ---- reclaim ---------------------------------------------------------- */

struct reclaim_request {
	uint64_t nr_frames;     /* how many to free; UINT64_MAX: all that can be */
	struct mm *mm;          /* only folios this one maps; NULL: anybody's */
	gva_t start, end;       /* with mm: only this range; 0, 0: all */
	int node;               /* -1: any */
	bool ignore_references; /* take used folios too (MADV_PAGEOUT, reclaim all) */
	bool discard;           /* give the host memory back at once */
	/*
	 * Instead of unmapping: take only the host memory, entries and frames stay as they are.
	 * The host must have been asked for it (ops->hole_protect). Then `freed' counts frames
	 * without memory now, and `swapped' and `zero' how they went.
	 */
	bool holes;
};

struct reclaim_result {
	uint64_t scanned, freed;         /* frames */
	uint64_t swapped, written, zero; /* how: to swap, to files, zero pages */
	uint64_t referenced, mlocked, pinned, busy, no_swap, io_error; /* why not */
};

/* 0, or the first hard error; *out is filled in any case. Progress: may be NULL. */
int mm_reclaim(struct mm_sys *sys, const struct reclaim_request *req,
	       struct reclaim_result *out) UMM_MUST_CHECK;

/* ---- reclaim ahead of need ------------------------------------------------ */

/*
 * What the background reclaimer of a node does: sleeps (ops->wait) until an
 * allocation finds little free, reclaims until there is enough, and so on until
 * mm_background_stop(). One thread of the host's runs it for each node.
 */
void mm_background_reclaim(struct mm_sys *sys, int node);
/* All of them return soon. The host waits for its threads. */
void mm_background_stop(struct mm_sys *sys);
/* One round, by the calling thread: true if there is enough now. */
bool mm_background_round(struct mm_sys *sys, int node);

/*
 * What a thread does that reads swapped pages ahead of programs: sleeps (ops->wait)
 * until faults find a stream, and so on until mm_swap_readers_stop(). Any number may
 * run, each has one transfer under way; without one nothing is read ahead.
 */
void mm_swap_reader(struct mm_sys *sys);
/* All of them return soon. The host waits for its threads. */
void mm_swap_readers_stop(struct mm_sys *sys);
/* Distance of the watermarks of all nodes, 1 to WATERMARK_SCALE_MAX. -EINVAL. */
unsigned int mm_sys_watermark_scale(const struct mm_sys *sys);
int mm_sys_set_watermark_scale(struct mm_sys *sys, unsigned int scale) UMM_MUST_CHECK;

/* ---- pressure ------------------------------------------------------------ */

enum { PRESSURE_SOME, PRESSURE_FULL, PRESSURE_KINDS };
#define PRESSURE_AVERAGES 3 /* over 10, 60 and 300 s */

/* What threads lost waiting for memory: by percent of the time, and in all. */
struct mm_pressure {
	double avg[PRESSURE_KINDS][PRESSURE_AVERAGES];
	uint64_t total_us[PRESSURE_KINDS];
};
void mm_pressure_get(struct mm_sys *sys, struct mm_pressure *out);
/* So many threads more (or, negative, fewer) that are not asleep: for "full". */
void mm_pressure_busy(struct mm_sys *sys, int threads);

/* ---- the limit ---------------------------------------------------------- */

/* A node cannot have a share smaller than this, in frames: 2 MiB. */
#define LIMIT_NODE_MIN 512u

struct limit_request {
	uint64_t nr_frames; /* of all nodes together; each has its share */
	/* As with a migration; total is what the limit falls by. */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct limit_result {
	uint64_t nr_frames;                /* the limit that holds now */
	uint64_t reclaimed, discarded;     /* frames; what concurrent reclaim did is not in it */
	uint64_t no_swap, mlocked, pinned; /* why not more, by the last look */
	int error;                         /* the first hard one, of I/O */
	bool stopped;                      /* by progress() */
};

/* Frames that the guest may have in use. At first: all that there are. */
uint64_t mm_limit(const struct mm_sys *sys);
/*
 * Let the guest have @nr_frames, at most those of its nodes. Shrinking reclaims and
 * gives host memory back; where not enough can go, the limit stays at what was
 * reached, which is no error: out->nr_frames tells. -EINVAL: too much, or less than
 * LIMIT_NODE_MIN a node; -EAGAIN: another change of nodes or limit is under way.
 */
int mm_limit_set(struct mm_sys *sys, const struct limit_request *req,
		 struct limit_result *out) UMM_MUST_CHECK;

/* ---- migration -------------------------------------------------------- */

enum migrate_mode {
	MIGRATE_AUTO,       /* as the measured speeds say */
	MIGRATE_STOP,       /* the page is unmapped while it is copied */
	MIGRATE_OPTIMISTIC, /* copied while mapped, and again if it was stored to meanwhile */
};

/* How often what is busy or pinned for an instant is tried; Linux does it as often. */
#define MIGRATE_DEFAULT_TRIES 10u

struct migrate_request {
	int to;             /* target node */
	uint64_t from_mask; /* bit per source node; 0: every node but the target */
	struct mm *mm;      /* only folios this one maps; NULL: all of the guest */
	gva_t start, end;   /* with mm: only this range; 0, 0: all */
	/* Only these pages, in this order: addresses of mm, or frame numbers without mm. */
	const uint64_t *pages;
	uint64_t nr_pages;
	bool move_shared;     /* with mm: also folios that other processes map (MPOL_MF_MOVE_ALL) */
	bool dry_run;         /* only count */
	bool give_back;       /* return the source nodes' free host memory to the host */
	unsigned int percent; /* of the frames that could go, coldest first; 0: all */
	unsigned int tries;   /* 0: MIGRATE_DEFAULT_TRIES */
	enum migrate_mode mode;
	/*
	 * Most frames at once, and between two calls of progress(); 0: as many as the
	 * time of a fault allows.
	 */
	unsigned int batch;
	/* That move, 1 or 2 (each with its own batch), if the host has them; 0: as is faster. */
	unsigned int threads;
	/*
	 * For benchmarks. Keep all sources until the end and then time nothing but the
	 * copies of the same frames, from the targets back: the limit. And time rmap
	 * walks that only look, before each batch (which warm the caches for it).
	 */
	bool time_copy, time_walk;
	/*
	 * Called now and then without locks, *out being up to date; may sleep;
	 * returning true stops. May be NULL.
	 */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/*
 * Frames. A folio counts with all of its frames, and once, also if only a part of
 * it is in the range, or if it is mapped many times.
 * total = moved + would_move + already_there + shared + pinned + busy + no_memory +
 *	   failed + left + gone
 */
struct migrate_result {
	uint64_t total; /* what the request means: process, nodes, pages */
	uint64_t moved;
	uint64_t folios;     /* that these were; not in total */
	uint64_t would_move; /* dry_run */
	uint64_t already_there;
	uint64_t shared;    /* not asked for: mapped by other processes too */
	uint64_t pinned;    /* held by host I/O, at each try */
	uint64_t busy;      /* in other hands, at each try */
	uint64_t no_memory; /* the target is full */
	uint64_t failed;    /* the copy failed */
	uint64_t left;      /* beyond percent; or stopped before their turn */
	uint64_t gone;      /* freed before their turn */
	uint64_t absent;    /* pages of the list with no frame; not in total */
	uint64_t discarded; /* give_back: frames; not in total */
	bool stopped;       /* by progress() */
	/*
	 * Time: choosing, isolating and locking folios; frames on the target (and the host
	 * memory behind them); rmap walks; flushes of tables, for 2 MiB leaves; ... Where
	 * two threads moved, sums of both.
	 */
	uint64_t ns_find, ns_alloc, ns_unmap, ns_flush, ns_zap, ns_copy, ns_restore;
	uint64_t ns_window;         /* the longest that a batch was without entries */
	uint64_t batches;           /* how many */
	uint64_t early, stale;      /* frames copied while mapped: for good; in vain */
	uint64_t late;              /* frames given back for want of time, and tried again */
	uint64_t ns_bare;           /* time_copy: copying all that was moved, alone */
	uint64_t ns_aside;          /* time_copy: keeping the sources for that */
	uint64_t ns_walk, mappings; /* time_walk: walks, and the entries they found */
};

/* 0; -EINVAL; -ENODEV: the target is not online; -ENOMEM, with *out telling what was done all the same. */
int mm_migrate(struct mm_sys *sys, const struct migrate_request *req,
	       struct migrate_result *out) UMM_MUST_CHECK;

/* ---- nodes -------------------------------------------------------------- */

struct node_request {
	int node;
	/* As with a migration. */
	unsigned int tries;
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct node_offline_result {
	enum mm_node_state state;
	uint64_t used_before, used_after; /* frames of the node that are in use */
	uint64_t moved, reclaimed, discarded;
	/* Why those stay that do, by the last look at them. */
	uint64_t pinned, busy, no_memory, failed;
	bool stopped; /* by progress() */
};

/*
 * Drain the node: no frames come from it any more, what it has moves to the other
 * nodes, nearest first, and what has no room there is reclaimed. Then it is
 * offline and its memory is the host's. What stays, although there is room,
 * leaves it draining: the call may be repeated, or undone by mm_node_online().
 * For want of room, or if it is stopped, it is online again.
 *
 * 0, out->state telling which; -EINVAL; -EBUSY: the last node that is online;
 * -EAGAIN: another change of a node is under way; -ENOMEM.
 */
int mm_node_offline(struct mm_sys *sys, const struct node_request *req,
		    struct node_offline_result *out) UMM_MUST_CHECK;
/* 0, -EINVAL, -EAGAIN. Online already is no error. */
int mm_node_online(struct mm_sys *sys, int node) UMM_MUST_CHECK;

/* How free memory hangs together, and of what sizes folios are. */
struct node_blocks {
	uint64_t free[UMM_MAX_ORDER + 1];   /* free blocks of 2^order frames */
	uint64_t folios[UMM_MAX_ORDER + 1]; /* in use; counted without a lock */
};
void mm_node_blocks(struct mm_sys *sys, int node, struct node_blocks *out);

struct node_compact_result {
	uint64_t free_before, free_after; /* frames */
	uint64_t huge_before, huge_after; /* free blocks of 2 MiB */
	uint64_t moved, pinned, busy, failed;
	bool stopped;
};
/*
 * Make free blocks of 2 MiB: frames in use move from the low end of the node to
 * free frames at its high end. 0; -EINVAL; -ENODEV: not online; -EAGAIN; -ENOMEM.
 */
int mm_node_compact(struct mm_sys *sys, const struct node_request *req,
		    struct node_compact_result *out) UMM_MUST_CHECK;

/* ---- questions -------------------------------------------------------- */

/* One entry that maps a frame. */
struct rmap_entry {
	int32_t mm_id;
	gva_t vma_start, vma_end, addr;
	uint64_t vma_flags;
	uint64_t entry; /* the raw page-table entry */
	bool huge;      /* a 2 MiB leaf */
};

struct frame_info {
	pfn_t pfn, head;
	int node;
	unsigned int order;
	uint32_t flags; /* folio flags */
	int refcount, mapcount, pincount;
	bool anon, ksm, file, free;
	pgoff_t index;
};

/*
 * Who maps this frame: found by an rmap walk. Fills up to @max entries; *nr is
 * how many there are. -EINVAL: no such frame. -EAGAIN: it changed hands.
 */
int mm_query_frame(struct mm_sys *sys, pfn_t pfn, struct frame_info *info,
		   struct rmap_entry *entries, unsigned int max, unsigned int *nr) UMM_MUST_CHECK;
/* The frame behind an address, 0 and *present = false if none. */
int mm_query_address(struct mm *mm, gva_t addr, pfn_t *pfn, uint64_t *entry,
		     bool *present) UMM_MUST_CHECK;

/* Figures of one area as /proc/PID/smaps has them; pages. */
struct vma_usage {
	uint64_t rss, pss_x4096, shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t referenced, anonymous, lazyfree, swap, locked;
	uint64_t anon_huge; /* of anonymous: mapped by 2 MiB entries */
	uint64_t on_node[UMM_MAX_NODES];
	uint64_t mapmax; /* most entries that map one of the frames */
	uint64_t swapcache, active, writeback;
	uint64_t ksm; /* merged */
};
/* A copy of one area, for reports. */
struct vma_report {
	gva_t start, end;
	uint64_t flags;
	pgoff_t pgoff;
	struct address_space *mapping; /* with a reference: mapping_put() it */
	bool has_anon_vma;
	struct mempolicy *policy; /* of its first page, valid during the call only; NULL: none */
	struct vma_usage usage;   /* only if asked for */
};
/*
 * Calls @fn for each area in address order, mmap_lock held for reading (so @fn
 * must not call back). Stops when it returns non-zero, and returns that.
 */
int mm_for_each_vma(struct mm *mm, bool usage, int (*fn)(const struct vma_report *r, void *arg),
		    void *arg);

/* ---- the validator ---------------------------------------------------- */

struct mm_validate_report {
	uint64_t errors;
	uint64_t frames, mms, vmas, entries; /* how much was checked */
	char first[256];                     /* the first error, told in words */
};
/*
 * Check every law that can be checked by looking: forward equals reverse, map
 * counts, reference counts, trees, counters, swap counts. Stops all changes by
 * taking every mmap_lock for writing and every folio found locked is waited
 * for; the guest runs on with the translations it has. 0, -EUCLEAN if anything
 * is wrong, -ENOMEM.
 */
int mm_validate(struct mm_sys *sys, struct mm_validate_report *out) UMM_MUST_CHECK;

/* Frames that killing this mm would free, for the out-of-memory choice. */
uint64_t mm_badness(struct mm *mm);

#ifdef __cplusplus
}
#endif

#endif
