/* SPDX-License-Identifier: MIT */
/*
 * What the files of rmap/ share and nobody else sees: the system's state, page
 * table entries, and the calls between the VMA level (areas, trees) and the
 * entry level (page tables, folios).
 */
#ifndef RMAP_INTERNAL_H
#define RMAP_INTERNAL_H

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <umm/mm.h>
#include <umm/reclaim.h>
#include <umm/reclaim_policy.h>
#include <umm/rmap.h>
#include <umm/sysctl.h>

/* Cheap checks, in every build but the release one. */
#ifdef UMM_DEBUG
#define mm_assert(cond) assert(cond)
#else
#define mm_assert(cond) ((void)sizeof((cond) ? 1 : 0))
#endif

/* ---- page-table entries (pte.h has the format) ------------------------ */
#include "rmap/pte.h"
#include "rmap/pressure.h"

/* ---- the system ------------------------------------------------------- */

/* Free frames of a node; rmap/watermark.c. */
enum wmark { WMARK_MIN, WMARK_LOW, WMARK_HIGH, WMARK_NR };

struct mm_node {
	int id;
	pfn_t base;
	uint64_t nr_frames;
	void *hva;
	struct folio *frames; /* nr_frames descriptors */
	struct umm_mutex free_lock;
	struct list_head free[UMM_MAX_ORDER + 1]; /* free_lock; discarded blocks at the tail */
	uint64_t nr_blocks[UMM_MAX_ORDER + 1];    /* free_lock: blocks in each list */
	uint64_t nr_free;                         /* free_lock; read without for estimates */
	enum mm_node_state state;                 /* free_lock; a: read without */
	uint64_t fresh;           /* free_lock; a: frames from here on were never handed out */
	uint64_t nr_discarded;    /* free_lock: frames in free[] without host memory */
	uint64_t hidden;          /* free_lock; a: frames beyond the limit, which nobody gets */
	uint64_t wmark[WMARK_NR]; /* a  frames */
	uint32_t kswapd_awake;    /* a  the background reclaimer sleeps on 0 */
	uint32_t kswapd_failures; /* a  rounds without any gain, in a row */
	struct umm_mutex lru_lock;
	struct policy_node *
		policy; /* lru_lock; a: read with work_lock; who orders the folios, rmap/policy.c */
	struct policy_node *old_policy; /* lru_lock; during a switch: the one before */
	int look_score;                 /* a; does it pay to look around? rmap/policy_look.c */
	uint32_t looks_left_out;        /* a */
	struct shadow_table *shadows;   /* a; NULL before the first eviction; rmap/shadow.c */
	int64_t nr_anon, nr_file, nr_shmem, nr_mlocked; /* a */
	int64_t nr_anon_leaves;                         /* a  2 MiB folios that a leaf maps */
	uint8_t fallback[UMM_MAX_NODES];                /* other nodes, nearest first */
	struct numa_stat stat;                          /* a */
};

/* One page-table frame. */
struct table {
	struct umm_mutex lock; /* guards the entries: LOCK_PTL */
	uint64_t unsettled;    /* lock: see table_settle(); 0: settled */
	uint32_t next_free;    /* of a free table, or of the deposit it lies in */
	uint32_t deposit;      /* lock: level-2 tables, one spare leaf table a 2 MiB leaf */
};

struct mm_sys {
	const struct mm_host_ops *ops;
	void *ctx;
	struct mm_sys_config config;
	unsigned int nr_nodes;
	struct mm_node *nodes;

	/* Page-table frames: free ones are zero; freed ones wait for a flush. */
	struct umm_mutex table_drain_lock; /* LOCK_TABLE_DRAIN: who has it flushes for all */
	struct umm_mutex table_lock;       /* LOCK_LEAF */
	struct table *tables;
	uint32_t table_free, table_quarantine; /* heads of lists by index, ~0u: end */
	uint64_t nr_table_free, nr_table_quarantine;
	uint64_t nr_table_fresh;          /* at the end of the array, never used yet */
	uint64_t flush_begun, flush_over; /* a: numbers of table flushes, see tables_flush() */

	struct swap *swap;        /* rmap/swap.c */
	struct swap_ahead *ahead; /* rmap/swap_ahead.c */
	/* a: what migrations have found out about this host: frames a batch, ns a frame. */
	uint64_t migrate_limit, migrate_ns_frame;
	uint64_t migrate_ns_movers[2]; /* a: ns a frame that one took, and that two took */
	uint64_t migrate_choices;      /* a: between them */
	struct ksm *ksm;               /* rmap/ksm.h */
	struct placements *placements; /* rmap/hint.h */
	bool placement_notes;          /* a: some are being made, or are there; for ever */
	struct umm_mutex policy_lock;  /* LOCK_PLACEMENT: switching reclaim policies; the tick */

	/*
	 * LOCK_MMS, outermost: the list of mms, oldest first (so that a parent
	 * stands before its child). mm_create() adds at the tail; the last
	 * mm_put() unmaps everything while still on the list, under mmap_lock,
	 * and only then removes itself. The validator holds it throughout.
	 */
	struct umm_mutex mms_lock;
	struct list_head mms;
	uint64_t mm_serial;             /* mms_lock: of the newest */
	struct umm_mutex mappings_lock; /* LOCK_LEAF */
	struct list_head mappings;
	/*
	 * LOCK_WORK: read-held by whoever changes entries or cached pages
	 * without any mmap_lock (reclaim, migration, write-back, truncation),
	 * a batch at a time; the validator holds it for writing.
	 */
	struct umm_rwlock work_lock;

	struct umm_mutex anon_cache_lock; /* LOCK_LEAF */
	struct anon_vma *anon_cache;      /* type-stable free anon_vmas */

	uint8_t thp[UMM_MAX_ORDER + 1]; /* a  enum thp_mode */
	uint64_t nr_poisoned;           /* a  frames */
	uint64_t events[EV_NR];         /* a */
	int64_t objects[OBJ_NR];        /* a */
	uint64_t reclaim_seq;           /* a  counts reclaim rounds that freed something */
	uint64_t settings[SYSCTL_NR];   /* a  rmap/sysctl.c */
	int64_t committed;              /* a  pages promised */
	uint32_t watermark_scale;       /* a  distance of watermarks, 1/10000 of a node */
	struct pressure pressure;
	uint32_t futile_reclaims;                 /* a  direct ones in a row whose writes failed */
	uint32_t kswapd_stop;                     /* a  the background reclaimers end */
	uint8_t interleave_weight[UMM_MAX_NODES]; /* a  0: never set */
	uint64_t online;         /* a  bit a node that frames may come from; one at least */
	uint32_t nodes_changing; /* a  1: somebody takes a node offline or compacts it */
};

static inline void sys_count(struct mm_sys *sys, enum mm_event ev, uint64_t nr)
{
	__atomic_fetch_add(&sys->events[ev], nr, __ATOMIC_RELAXED);
}

static inline void sys_object(struct mm_sys *sys, enum mm_object obj, int64_t delta)
{
	__atomic_fetch_add(&sys->objects[obj], delta, __ATOMIC_RELAXED);
}

/* Before what is resident becomes less: VmHWM. */
static inline void mm_note_peak(struct mm *mm)
{
	int64_t rss = 0;

	for (int i = MM_ANONPAGES; i <= MM_SHMEMPAGES; i++)
		rss += __atomic_load_n(&mm->counters[i], __ATOMIC_RELAXED);
	if (rss > __atomic_load_n(&mm->peak_rss, __ATOMIC_RELAXED))
		__atomic_store_n(&mm->peak_rss, rss, __ATOMIC_RELAXED);
}

static inline void mm_count(struct mm *mm, enum mm_counter c, int64_t nr)
{
	if (nr < 0 && c != MM_SWAPENTS)
		mm_note_peak(mm);
	__atomic_fetch_add(&mm->counters[c], nr, __ATOMIC_RELAXED);
}

static inline struct mm_node *folio_node(const struct mm_sys *sys, const struct folio *f)
{
	return &sys->nodes[f->node];
}

/* As sys_frame() and folio_pfn(), for who asks of every page. */
static inline struct folio *frame_find(const struct mm_sys *sys, pfn_t pfn)
{
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		const struct mm_node *n = &sys->nodes[i];

		if (pfn.v - n->base.v < n->nr_frames)
			return &n->frames[pfn.v - n->base.v];
	}
	return NULL;
}

static inline pfn_t folio_first_pfn(const struct mm_sys *sys, const struct folio *f)
{
	const struct mm_node *n = folio_node(sys, f);

	return pfn_add(n->base, (uint64_t)(f - n->frames));
}

static inline void *sys_alloc(struct mm_sys *sys, size_t size)
{
	return sys->ops->alloc(sys->ctx, size);
}

static inline void sys_free(struct mm_sys *sys, void *p, size_t size)
{
	if (p)
		sys->ops->free(sys->ctx, p, size);
}

/* ---- frames.c: nodes and their frames --------------------------------- */

/* The node of a frame (of which @pfn must be one), used or not. */
int sys_node_of(const struct mm_sys *sys, pfn_t pfn);
uint64_t frames_nr_free(const struct mm_sys *sys); /* of all nodes that are online */
/* Free frames of one node that may be handed out: none of those beyond its limit. */
static inline uint64_t node_nr_free(const struct mm_node *n)
{
	uint64_t free = __atomic_load_n(&n->nr_free, __ATOMIC_RELAXED);
	uint64_t hidden = __atomic_load_n(&n->hidden, __ATOMIC_RELAXED);

	return free > hidden ? free - hidden : 0;
}
/* What the node may have in use at most: its frames, or less by mm_limit_set(). */
static inline uint64_t node_limit(const struct mm_node *n)
{
	return n->nr_frames - __atomic_load_n(&n->hidden, __ATOMIC_RELAXED);
}
/* From now on frames come from @node, or not. */
void frames_set_state(struct mm_sys *sys, int node, enum mm_node_state state);
/* The nodes among @nodes that are online; all that are, if none of these is. */
uint64_t nodes_online(const struct mm_sys *sys, uint64_t nodes);
int frames_init(struct mm_sys *sys);
void frames_destroy(struct mm_sys *sys);

/* ---- buddy.c: free frames ---------------------------------------------- */

/* Give the host memory behind free frames of @node (-1: all) back; frames. */
uint64_t frames_discard_free(struct mm_sys *sys, int node);
/* From now on the node hands out no more than @nr frames; what is in use stays. */
void frames_set_limit(struct mm_node *n, uint64_t nr);
/* Give free frames back to the host until no more than its limit stand behind the node. */
uint64_t frames_trim(struct mm_sys *sys, struct mm_node *n);
/*
 * For compaction. Take the free blocks among the 512 frames from @first of the
 * node out of the allocator, onto @out; returns frames. Meanwhile f->order and
 * f->swap (of a block: what is known of its content) tell of each. work_lock is
 * held until all are given back or used.
 */
uint64_t frames_isolate_free(struct mm_node *n, uint64_t first, struct list_head *out);

/* ---- folio_alloc.c: folios of free frames ------------------------------ */

/* Never reclaim for this one (reclaim itself, migration targets). */
#define ALLOC_NORECLAIM (1u << 0)
/* Only @node, no fallback. */
#define ALLOC_THISNODE (1u << 1)
/* The content must be zero. */
#define ALLOC_ZERO (1u << 2)
/* Only frames that the host has given memory for already. */
#define ALLOC_POPULATED (1u << 3)
/*
 * folio_alloc_run(): no reference yet, so nobody but the caller finds the folios, who
 * may fill them in without locked operations, and then sets the count or frees them.
 */
#define ALLOC_FROZEN (1u << 4)
/* A migration's target: its source is free when it has moved. */
#define ALLOC_IN_STEAD (1u << 5)

/*
 * Where a frame may come from: never from a node outside `nodes`, those of
 * `first` (0: no such wish) before the others, and among these in the order of
 * their distance from `node`.
 */
struct place {
	uint64_t nodes, first; /* bit a node */
	int node;
	int local; /* where the thread runs that asks, for statistics */
	/* The policy interleaves: the pages around this one have places of their own. */
	bool spread;
};

/*
 * A folio of 2^order frames with one reference, unlocked, on no list. Host
 * memory stands behind it. Large orders may fail for want of a contiguous
 * block; the caller falls back. NULL: no memory, even after direct reclaim
 * (of the place's nodes only). Only LOCK_MMAP and folio locks may be held.
 */
struct folio *folio_alloc_at(struct mm_sys *sys, struct place place, unsigned int order,
			     unsigned int flags);
/* The same without a policy: @node, or else the nearest that has one. */
struct folio *folio_alloc(struct mm_sys *sys, int node, unsigned int order, unsigned int flags);
/*
 * One block of 2^block_order consecutive frames, carved into folios of
 * 2^folio_order. Never reclaims. Returns how many folios stand in out[], or 0.
 */
unsigned int folio_alloc_run(struct mm_sys *sys, struct place place, unsigned int block_order,
			     unsigned int folio_order, unsigned int flags, struct folio **out);
/* folio_put() of each; f[] is used up. Those that were the last are freed with few locks. */
void folio_put_list(struct mm_sys *sys, struct folio **f, unsigned int nr);
/*
 * Of a folio without references (ALLOC_FROZEN): give it @flags and its lock, in one store.
 * A stray PG_waiters of its former life may be lost by that; who set it looks again.
 */
void folio_lock_new(struct folio *f, uint32_t flags);
/*
 * Unlock, set the flags @mark, which are clear, and drop a reference, in one step. True:
 * it was the last one, and the caller frees the folio.
 */
bool folio_put_marking(struct mm_sys *sys, struct folio *f, uint32_t mark) UMM_MUST_CHECK;
/* folio_try_get(), and where that succeeds clear the flags @clear in the same step. */
bool folio_try_get_clearing(struct folio *f, uint32_t clear) UMM_MUST_CHECK;
/* The last reference is gone: clear all state, give the frames back. */
void folio_free(struct mm_sys *sys, struct folio *f);
/* The same for many, with few locks; f[] is used up. */
void folio_free_list(struct mm_sys *sys, struct folio **f, unsigned int nr);
/* Blocks from frames_isolate_free(): free again, or a folio with one reference; 0 or -ENOMEM. */
void frames_return_block(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known);
int frames_use_block(struct mm_sys *sys, struct folio *f, unsigned int order, uint32_t known);

/* ---- hole.c: frames without host memory ------------------------------------------- */
/* Every frame of the folio is a hole. */
bool folio_is_hole(const struct mm_sys *sys, const struct folio *f);
/* This frame of a folio in use is one. */
bool frame_is_hole(const struct mm_sys *sys, pfn_t pfn);
/*
 * Its frames have host memory and content, unless -EIO. Without it a touch brings them
 * back as well, but has nobody to tell of an error. With a reference or the folio lock.
 */
int folio_fill(struct mm_sys *sys, struct folio *f) UMM_MUST_CHECK;
/* It is being freed: nobody wants what its holes have. True: no host memory is behind it. */
bool folio_drop_holes(struct mm_sys *sys, struct folio *f);

/* ---- node.c ---------------------------------------------------------------- */
/* One change of a node at a time; false: another is under way. */
bool node_change_begin(struct mm_sys *sys);
void node_change_end(struct mm_sys *sys);

/* ---- place_page.c, mempolicy.c: where new pages go ------------------------------------ */
/*
 * Where the folio of 2^order pages at @addr of @vma goes: by the area's policy,
 * its object's (shared memory), the calling thread's, or next to its processor.
 * mmap_lock held, either way. @addr is rounded down to the folio.
 */
struct place place_for(const struct vma *vma, gva_t addr, unsigned int order);
/* The same for page @index of an object, whoever maps it. */
struct place place_for_page(struct address_space *m, pgoff_t index);
struct place place_on_node(int node);
/* By @p (NULL: none), for a page that stands at @index where pages interleave. */
struct place place_by_policy(struct mm_sys *sys, const struct mempolicy *p, uint64_t index);
/* @nr frames meant for @p came from @node. */
void count_placed(struct mm_sys *sys, const struct place *p, int node, uint64_t nr);
/* The node of the processor that the calling thread runs on. */
int sys_current_node(const struct mm_sys *sys);
/* The guest's thread that the caller works for; NULL: none. */
struct mm_thread *sys_current_thread(const struct mm_sys *sys);
/* Was the calling thread killed? Then nobody waits for what it does: long work stops. */
bool sys_caller_ends(const struct mm_sys *sys);
/* The @n-th node of a set, from 0; there are more than @n. */
int node_nth(uint64_t nodes, unsigned int n);
/* mm_thread_next_node(), and count it. */
int thread_take_node(struct mm_thread *t);
/* What holds for the page at @addr of @vma, with a reference; NULL: the thread's. mmap_lock held. */
struct mempolicy *vma_policy_at(const struct vma *vma, gva_t addr);
/* A copy of @p with another home. -ENOMEM. */
int mempolicy_with_home(const struct mempolicy *p, int home, struct mempolicy **out);

/* ---- shared_policy.c ------------------------------------------------------- */
/* The object's policy for page @index, with a reference; NULL: none. */
struct mempolicy *shared_policy_find(struct address_space *m, pgoff_t index);
/* Pages [first, last] have @p (NULL: none) from now on. -ENOMEM. */
int shared_policy_set(struct address_space *m, pgoff_t first, pgoff_t last, struct mempolicy *p);
void shared_policies_drop(struct address_space *m);
/* Shared memory and files of tmpfs have policies of their own. */
static inline bool mapping_is_shmem(const struct address_space *m)
{
	return !m->ops || m->tmpfs;
}

/* ---- folio.c ----------------------------------------------------------- */
/* Set the reference count from exactly @expected to 0, so that nobody gets one; undo. */
bool folio_ref_freeze(struct folio *f, int expected) UMM_MUST_CHECK;
void folio_ref_unfreeze(struct folio *f, int refs);

#include "rmap/lru.h"

/* ---- folio_rmap.c: map counts ----------------------------------------- */
/* All: the entry's page-table lock held. @frame may be a tail. */
void folio_add_new_anon_rmap(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr);
/* An existing anonymous folio gets one more entry at frame; exclusive as told. */
void folio_add_anon_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame,
			     struct vma *vma, gva_t addr, bool exclusive);
void folio_add_file_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame);
/* fork: one more entry for the child (anon or file). */
void folio_dup_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame);
void folio_remove_rmap_pte(struct mm_sys *sys, struct folio *f, struct folio *frame);
/* The same for an anonymous folio that the caller has locked: cheaper for the only entry. */
void folio_add_first_anon_rmap(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr,
			       bool exclusive);
void folio_remove_last_rmap(struct mm_sys *sys, struct folio *f);
/* The same for 2 MiB leaves, of folios of order 9; the level-2 table's lock held. */
void folio_add_new_anon_rmap_pmd(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr);
void folio_add_anon_rmap_pmd(struct mm_sys *sys, struct folio *f, struct vma *vma, gva_t addr,
			     bool exclusive);
void folio_add_rmap_pmd(struct mm_sys *sys, struct folio *f);
void folio_remove_rmap_pmd(struct mm_sys *sys, struct folio *f);
/* One leaf becomes 512 entries: counts and references. */
void folio_rmap_pmd_to_ptes(struct mm_sys *sys, struct folio *f);
/* All frames of an anonymous folio: owned by one process alone, or not. */
void folio_set_exclusive(struct folio *f);
void folio_clear_exclusive(struct folio *f);
/* Locked, anonymous, of one frame, mapped by nobody: it is @vma's family's now, at @addr. */
void folio_rehome_anon(struct folio *f, struct vma *vma, gva_t addr);
/* The writer owns the folio alone: from now on it belongs to vma's anon_vma. */
void folio_move_anon_rmap(struct folio *f, struct vma *vma);
void folio_mark_mlocked(struct mm_sys *sys, struct folio *f);
void folio_clear_mlocked(struct mm_sys *sys, struct folio *f);
/* Which RSS counter a folio belongs to. */
enum mm_counter folio_counter(const struct folio *f);

#include "rmap/tables.h"

/* ---- zap.c, unmap.c: tearing entries down ------------------------------ */

/*
 * try_to_unmap() and try_to_migrate() may leave the zap of a whole batch for
 * later; until then a vCPU may still reach the frame behind a swap or migration
 * entry. Whoever removes, moves or narrows such an entry calls this first (page-
 * table lock held): it adds the frame if there still is one. (Entries that hold
 * no trace of their frame, of files and lazyfree pages, are zapped at once.)
 */
void zap_batch_add_hidden(struct zap_batch *b, uint64_t entry);

/*
 * Collects zaps and the references of what was unmapped; finish zaps first and
 * only then drops the references (law 2).
 */
struct mmu_gather {
	struct mm *mm;
	struct zap_batch zap;
	struct folio **folios; /* fixed[] or grown */
	unsigned int nr, cap;
	struct folio *fixed[128];
};
void mmu_gather_init(struct mmu_gather *g, struct mm *mm);
void mmu_gather_finish(struct mmu_gather *g);
void mmu_gather_folio(struct mmu_gather *g, struct folio *f); /* takes over a reference */

/*
 * Entry-level work on [start, end) of one area, page-aligned, inside it.
 * mmap_lock held as noted: W writing, R at least reading.
 */
/* W/R  drop all entries: present, swap, migration. */
void unmap_range(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end);
/* W    the entries get what vma->flags (already new) allow. */
void change_protection(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end);
/* A swap or migration entry as it is when its page may not come back writable; exclusive it stays. */
uint64_t migration_entry_read_only(struct mm_sys *sys, uint64_t e);
/* W    move entries; both areas exist and are linked. Returns bytes moved: less than @len
 *      when no table could be had. Rmap locks are taken inside. */
uint64_t move_page_tables(struct vma *old_vma, gva_t old, struct vma *new_vma, gva_t new_addr,
			  uint64_t len);
/* W (both)  fork: copy entries of @src to @dst, write-protecting private ones. */
int copy_page_range(struct mmu_gather *g, struct vma *dst, struct vma *src);
/* R    MADV_FREE, MADV_COLD, MADV_PAGEOUT. */
void madvise_free_range(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end);
void madvise_cold_range(struct mmu_gather *g, struct vma *vma, gva_t start, gva_t end);
void madvise_pageout_range(struct vma *vma, gva_t start, gva_t end);
/* Split large folios of which only a part lies in the range. mmap_lock held, no page-table lock. */
void madvise_split_edges(struct vma *vma, gva_t start, gva_t end);
/* R    residency of each page, one byte a page. */
void mincore_range(struct vma *vma, gva_t start, gva_t end, uint8_t *vec);
/* R    after VM_LOCKED was set or cleared in the area: mark the mapped folios. */
void mlock_range(struct vma *vma, gva_t start, gva_t end, bool lock);
/* R    any A bit or D bit statistics for smaps. */
void usage_range(struct vma *vma, struct vma_usage *u);

/*
 * No lock held: fault every page of [start, end) in as an access would, over
 * areas. @write: MADV_POPULATE_WRITE; else read, and write where the area is
 * private and writable if @mlock. 0, -ENOMEM (hole or memory), -EFAULT (bad), -EINTR
 * (the thread was killed).
 */
int populate_range(struct mm *mm, gva_t start, gva_t end, bool write, bool mlock);

/* ---- vma.c, vma_tree.c, anon_vma.c: the VMA level ----------------------- */

struct vma *vma_alloc(struct mm *mm);
void vma_free(struct vma *vma); /* drops the object's reference; unlinked before */
/* mm->vmas only (mmap_lock writing). */
void vma_tree_insert(struct mm *mm, struct vma *vma);
void vma_tree_remove(struct mm *mm, struct vma *vma);
struct vma *vma_find_exact(struct mm *mm, gva_t addr); /* the area that contains addr, or NULL */
struct vma *vma_first(struct mm *mm);
bool vma_tree_valid(struct mm *mm);
/* Link into mm and the object's i_mmap; unlink from i_mmap and the anon_vmas. */
void vma_link(struct mm *mm, struct vma *vma);
void vma_unlink_rmap(struct vma *vma);
/* mmap_lock writing. Split at @addr (inside): the new part is returned. NULL: -ENOMEM. */
int vma_split(struct vma *vma, gva_t addr, struct vma **tail);
/* Join with equal neighbours; returns the area that now covers vma's range. */
struct vma *vma_merge_around(struct vma *vma);
/* A stack (VM_GROWSDOWN) grows down to cover @addr; mmap_lock writing. 0 or -ENOMEM/-EFAULT. */
int vma_expand_down(struct vma *vma, gva_t addr);
/* munmap without taking mmap_lock (writing, held by the caller). */
int munmap_locked(struct mm *mm, gva_t addr, uint64_t len);
/* Everything, at the end of an mm; mmap_lock writing. */
void unmap_all(struct mm *mm);
/* fork's VMA half: areas, anon_vmas, and copy_page_range() for each. */
int dup_vmas(struct mm *dst, struct mm *src);

/* First fault of an area: give it an anon_vma (mmap_lock reading). */
int anon_vma_prepare(struct vma *vma);
int anon_vma_clone(struct vma *dst, const struct vma *src);
int anon_vma_fork(struct vma *child, const struct vma *parent);
void unlink_anon_vmas(struct vma *vma);
/* Locks the root of the area's anon_vma for writing around changes of start, end, pgoff. */
void vma_lock_anon(struct vma *vma);
void vma_unlock_anon(struct vma *vma);
void anon_vma_get(struct anon_vma *av);
/* Of references held already; and to give back. */
void anon_vma_get_many(struct anon_vma *av, int32_t nr);
void anon_vma_put_many(struct anon_vma *av, int32_t nr);
void anon_vma_cache_destroy(struct mm_sys *sys);

/* ---- pagecache.c, writeback.c, truncate.c, shmem.c ----------------------- */

/*
 * The folio at @index, with a reference, locked and up to date; read from the
 * file (with readahead) or made, as needed. 0; -EFAULT past the end of the
 * object (SIGBUS); -EIO; -ENOMEM. Sleeps: no lock held, not even mmap_lock.
 */
int pagecache_get(struct address_space *m, pgoff_t index, bool random, struct folio **out);
/* Locked: it is page @index of @m still, and up to date. */
bool pagecache_is(const struct address_space *m, pgoff_t index, struct folio *f);
/* With a reference, unlocked, if cached now. */
struct folio *pagecache_find(struct address_space *m, pgoff_t index);
/* The next cached folio at or after *index up to @last, with a reference; sets *index. */
struct folio *pagecache_next(struct address_space *m, pgoff_t *index, pgoff_t last);
/* Enter a new folio: takes a reference for the cache. -EEXIST, -ENOMEM. */
int pagecache_insert(struct address_space *m, pgoff_t index, struct folio *f);
/*
 * Locked and unmapped: out of the cache. Without @discard only if it is clean and
 * nobody but the cache and the caller holds it. The caller's reference stays.
 */
bool pagecache_remove(struct mm_sys *sys, struct folio *f, bool discard);
/* Locked, references frozen: @dst takes @src's place, and its reference. */
void pagecache_replace(struct address_space *m, struct folio *src, struct folio *dst);
/* True if it was clean before. */
bool folio_mark_dirty(struct folio *f);
/*
 * Locked. Write a dirty file folio to its file; its entries are cleaned first. -EBUSY: some of
 * it is held (mapping_hold()), so it is dirty still.
 */
int pagecache_write(struct mm_sys *sys, struct folio *f);
/*
 * The first bytes in [*from, *to) that nobody holds: sets both, or false. Good for as long as
 * a folio with these bytes has PG_writeback, if it was set before.
 */
bool mapping_free_bytes(struct address_space *m, uint64_t *from, uint64_t *to);
bool mapping_being_written(const struct address_space *m);
/* Write the dirty pages [first, last], but for what is held; takes work_lock. */
int mapping_write_range(struct address_space *m, pgoff_t first, pgoff_t last);
/* Shared memory: pages [first, last] read as zero from now on. */
void mapping_punch(struct address_space *m, pgoff_t first, pgoff_t last);
/* Zap all entries of pages [first, last] in every area; private copies too if @even_cows. */
void unmap_mapping_range(struct address_space *m, pgoff_t first, pgoff_t last, bool even_cows);
/*
 * Shared memory. swapout: an unmapped, locked folio leaves the cache and lives
 * on in the swap cache, its slot in its place; false if that failed.
 */
bool shmem_swapout(struct mm_sys *sys, struct folio *f);
/* Make or bring back the page at @index; the caller looks it up again afterwards. */
int shmem_fill(struct address_space *m, pgoff_t index);
/* In mapping->pages a swapped-out page is its entry, marked by bit 0. */
static inline uintptr_t shmem_value(swp_entry_t e)
{
	return (e.v << 1) | 1;
}

static inline swp_entry_t shmem_entry(uintptr_t value)
{
	return (swp_entry_t){ value >> 1 };
}

/* ---- swap.c ------------------------------------------------------------ */
int swap_init(struct mm_sys *sys);
void swap_destroy(struct mm_sys *sys);
/* Reference counts of a slot: one for each entry that holds it (and the shmem tree). */
int swap_dup(struct mm_sys *sys, swp_entry_t e);
/* The same for @nr slots from @e on: all or none. */
int swap_dup_many(struct mm_sys *sys, swp_entry_t e, unsigned int nr);
/* The same for the slots of @nr locked folios of one frame in the swap cache. */
int swap_dup_folios(struct mm_sys *sys, struct folio *const *f, unsigned int nr);
void swap_put(struct mm_sys *sys, swp_entry_t e);
int swap_count(struct mm_sys *sys, swp_entry_t e);
/* More than half of all slots are taken. */
bool swap_is_crowded(struct mm_sys *sys);
/* No slot is free, or there is no swap. */
bool swap_is_full(struct mm_sys *sys);
/* The entry's area is on its way out: nothing is to keep a slot there. */
bool swap_is_leaving(struct mm_sys *sys, swp_entry_t e);
/*
 * Give each locked folio a run of slots and enter it in the swap cache, dirty. Returns
 * how many got one; of the others PG_swapcache stays clear.
 */
unsigned int swap_add_folios(struct mm_sys *sys, struct folio *const *f, unsigned int nr);
/* Remove a locked folio from the swap cache; slots without entries become free. */
void swap_del_folio(struct mm_sys *sys, struct folio *f);
/* The same for folios whose reference counts are frozen at zero. */
void swap_del_frozen_folios(struct mm_sys *sys, struct folio *const *f, unsigned int nr);
/*
 * Locked. Out of the swap cache if no entry names any of its slots and it is
 * not being written: true, and the folio is dirty. Mapped or not.
 */
bool swap_try_free(struct mm_sys *sys, struct folio *f);
/* The cached folio of a slot, with a reference; NULL. */
struct folio *swap_cache_find(struct mm_sys *sys, swp_entry_t e);
/* Put a fresh locked folio of order 0 in the cache for @e: -EEXIST, -ENOENT (slot free), -ENOMEM. */
int swap_cache_insert(struct mm_sys *sys, struct folio *f, swp_entry_t e);
/*
 * The folios of @nr slots, from the cache or read in with one request to frames
 * of their places[]; each out[]
 * with a reference, unlocked, NULL if it could not be had. Returns why out[0] is
 * NULL: -ENOMEM, -EIO, -EAGAIN (changed meanwhile), -ENOENT (the slot is free).
 */
#define SWAP_READ_MAX 64u
int swap_read_folios(struct mm_sys *sys, const swp_entry_t *e, const struct place *places,
		     unsigned int nr, struct folio **out);
bool swap_is_zero(struct mm_sys *sys, swp_entry_t e);
/* Locked, in the swap cache: the content of each is all zero and need not be written, or not. */
void swap_set_zero(struct mm_sys *sys, struct folio *const *f, const bool *zero, unsigned int nr);
/* In the swap cache, locked: writes to the folio's area fail, or find no room. An estimate. */
bool swap_slot_is_bad(const struct mm_sys *sys, const struct folio *f);
/* What the slots of this folio of the swap cache have may be gone: it is no clean copy. */
bool swap_is_doubtful(struct mm_sys *sys, const struct folio *f);
/* Migration: @dst takes @src's place in the swap cache. Both locked. */
void swap_cache_replace(struct mm_sys *sys, struct folio *src, struct folio *dst);

/* ---- fault.c and friends ------------------------------------------------ */
struct fault_wait;
struct fault {
	struct mm *mm;
	struct vma *vma;
	gva_t addr;         /* page-aligned */
	unsigned int flags; /* FAULT_FLAG_* */
	uint64_t orig;      /* the entry that was seen */
	/* fault_wait.c; NULL only where no handler has to wait. */
	struct fault_wait *wait;
};
/* thp.c: may an area use folios of an order; the largest one up to @order that it may. */
bool thp_order_enabled(const struct mm_sys *sys, const struct vma *vma, unsigned int order);
unsigned int thp_best_order(const struct mm_sys *sys, const struct vma *vma, unsigned int order);
/* Too little is free to fill more than what was asked for. */
bool memory_is_short(const struct mm_sys *sys);
/* Resolved by a 2 MiB leaf, there already or new; false: small entries must do. */
bool fault_huge(struct fault *f);
enum fault_result fault_anon(struct fault *f);
enum fault_result fault_file(struct fault *f);
enum fault_result fault_swap(struct fault *f);
enum fault_result fault_wp(struct fault *f);
/*
 * A store made a private copy, of a page of a file or (@anon) of one shared with
 * relatives: copy its neighbours as well, as far as that needs no waiting.
 * mmap_lock held for reading, no other.
 */
void copy_around(struct fault *f, bool anon);
/*
 * swap_window.c: the pages to read for a fault in @vma, itself among them, no more than
 * SWAP_READ_MAX and all in one page table.
 */
void swap_window_choose(struct vma *vma, gva_t addr, gva_t *start, gva_t *end);
/*
 * The stream that @addr is of: the next pages to be read ahead of it, in one page table.
 * Each call goes further; false: there is none, or that is far enough.
 */
bool swap_window_ahead(struct vma *vma, gva_t addr, gva_t *start, gva_t *end);
/* swap_ahead.c: after a swap-in of @addr. mmap_lock held, no other. */
void swap_ahead(struct vma *vma, gva_t addr);
int swap_ahead_init(struct mm_sys *sys) UMM_MUST_CHECK;
/* No reader runs any more. */
void swap_ahead_destroy(struct mm_sys *sys);
/* Wait until the migration entry at the fault's address is gone. */
void migration_entry_wait(struct mm *mm, gva_t addr);
/* The folio whose lock that means; it may be free already. NULL: the entry is gone. */
struct folio *migration_entry_folio(struct mm *mm, gva_t addr);

/* ---- cursor.c ------------------------------------------------------------ */
/* Walks the entries of one mm and isolates the folios behind them. */
struct mm_cursor {
	struct mm *mm;
	gva_t at, end;
	int to;             /* >= 0: skip folios on this node; set after init */
	uint64_t from_mask; /* not 0: only folios on these nodes */
	bool private_only;  /* skip folios that others map too */
	bool locked;        /* the caller holds mmap_lock */
	bool look;          /* isolate nothing, only count what is on these nodes: */
	uint64_t found;     /* ... frames */
	/*
	 * Instead of isolating: called for each entry's folio, page-table lock held,
	 * adds to `taken` what it took.
	 */
	void (*visit)(struct mm_cursor *c, struct folio *f);
	void *visitor;
	unsigned int taken;                         /* frames, by the last call */
	uint64_t seen, already_there, shared, busy; /* frames */
};
/* [start, end), both 0: everything. */
void mm_cursor_init(struct mm_cursor *c, struct mm *mm, gva_t start, gva_t end);
/* About @max frames of folios onto @out, each with a reference; 0 at the end. */
unsigned int mm_cursor_isolate(struct mm_cursor *c, struct list_head *out, unsigned int max);

/* ---- split.c ------------------------------------------------------------ */
/* Split a locked large folio into order-0 ones; -EAGAIN if somebody uses it. */
int folio_split(struct mm_sys *sys, struct folio *f);
/*
 * The same, but the other parts that are mapped stay isolated: chained by ->lru at the end
 * of @rest, unlocked, each with a reference.
 */
int folio_split_onto(struct mm_sys *sys, struct folio *f, struct list_head *rest);

/* ---- hint.h, tier.c: automatic placement --------------------------------- */
int placement_init(struct mm_sys *sys);
void placement_destroy(struct mm_sys *sys);
struct placement;
/* Nobody ever asked for placement: what it notes of frames need not be looked for. */
static inline bool placement_has_notes(const struct mm_sys *sys)
{
	return __atomic_load_n(&sys->placement_notes, __ATOMIC_RELAXED);
}
/* @src's identity moves to @dst; for @p, or NULL: by request. Both locked. */
void placement_moved(struct mm_sys *sys, struct placement *p, struct folio *src, struct folio *dst);
/* The folio is freed. */
void placement_forget(struct mm_sys *sys, struct folio *f);
/*
 * Reclaim: where this cold folio goes instead of to swap; < 0: nowhere. demote_list moves
 * isolated folios there and returns the frames that went; work_lock held.
 */
int demotion_target(struct mm_sys *sys, struct folio *f);
uint64_t demote_list(struct mm_sys *sys, struct list_head *list, bool direct);
/* Is there a slow node that cold memory goes to? */
bool demotion_is_on(const struct mm_sys *sys);

/* ---- ksm.c, ksm_node.c, ksm_unmerge.c: merged pages ----------------------- */
struct ksm;
int ksm_init(struct mm_sys *sys);
void ksm_destroy(struct mm_sys *sys);
/* mmap_lock writing, or the mm is not known yet: it has mergeable areas. -ENOMEM. */
int ksm_enter(struct mm *mm);
/* The mm goes, all its areas are gone. */
void ksm_exit(struct mm *mm);
/* What a new area of @mm with these flags, of @mapping or NULL, has besides. */
uint64_t ksm_new_flags(const struct mm *mm, uint64_t flags);
/* W    MADV_MERGEABLE, MADV_UNMERGEABLE: the new flags of a part of an area. */
int ksm_advise(struct vma *vma, gva_t start, gva_t end, bool merge, uint64_t *flags);
/* The merged folio is freed, nobody holds it. Any lock but LEAF ones. */
void ksm_folio_freed(struct mm_sys *sys, struct folio *f);
/* Locked, unmapped, in no cache: anonymous still, but merged no more. */
void ksm_folio_poisoned(struct mm_sys *sys, struct folio *f);
/* @src's identity moves to @dst: both locked, @src's references frozen. */
void ksm_folio_moved(struct mm_sys *sys, struct folio *src, struct folio *dst);
/* What must hold of merged folios besides; work_lock and all mmap_locks for writing. */
const char *ksm_folio_wrong(struct mm_sys *sys, struct folio *f);
/* No scan while it is locked: before mms_lock. */
void ksm_lock(struct mm_sys *sys);
void ksm_unlock(struct mm_sys *sys);

/* mm.c: a user more, unless the last one is gone. */
bool mm_try_get(struct mm *mm);
/* mapping.c: a reference more, unless the last one is gone. mappings_lock held. */
bool mapping_try_get(struct address_space *m);

/* ---- watermark.c, kswapd.c: reclaim ahead of need ---------------------------- */
/* Compute the node's watermarks from its limit. */
uint64_t sysctl_value(const struct mm_sys *sys, enum vm_setting s);
/* Of swappiness: neither kind of page is preferred. */
#define SWAPPINESS_EQUAL 100u
void sysctl_init(struct mm_sys *sys);
/* So many pages more, or fewer, are promised. */
void sys_commit(struct mm_sys *sys, int64_t pages);
void watermarks_set(struct mm_sys *sys, struct mm_node *n);
/* The node is short, or holds more host memory than it may. Any lock may be held. */
void kswapd_wake(struct mm_sys *sys, struct mm_node *n);
/* Somebody freed something: it is worth trying again. */
static inline void kswapd_encourage(struct mm_node *n)
{
	if (__atomic_load_n(&n->kswapd_failures, __ATOMIC_RELAXED))
		__atomic_store_n(&n->kswapd_failures, 0, __ATOMIC_RELAXED);
}

/* reclaim.c: up to @nr frames of @node, for its background reclaimer; returns how many. */
uint64_t reclaim_background(struct mm_sys *sys, int node, uint64_t nr);
/* reclaim.c: free at least one frame for an allocation at @place. */
bool reclaim_direct(struct mm_sys *sys, struct place place, uint64_t nr);
/* So many of these in a row could write nothing that memory counts as out. */
bool reclaim_is_futile(const struct mm_sys *sys);
/* Demote up to @nr cold frames of a fast @node, swap none; returns how many went. */
uint64_t reclaim_demote(struct mm_sys *sys, int node, uint64_t nr);

#endif
