/* SPDX-License-Identifier: MIT */
/*
 * Frames and folios.
 *
 * There is one `struct folio` of 64 bytes a guest frame, in an array by pfn. A
 * folio is 2^order consecutive frames, aligned to its size; the descriptor of
 * its first frame (the head) speaks for all, the others (tails) point back to
 * it and carry only what belongs to their own frame: PG_anon_exclusive and the
 * number of entries that map this frame.
 *
 * What guards a field is told by a letter:
 *   a  atomic
 *   f  the folio lock
 *   l  the node's lru_lock
 *   b  the node's free_lock, while the frame is free
 *   p  written with a reference and the page-table lock of the mapping entry
 */
#ifndef UMM_FOLIO_H
#define UMM_FOLIO_H

#include <assert.h>
#include <umm/list.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mm_sys;
struct anon_vma;
struct address_space;

enum folio_flag {
	PG_locked,     /* the folio lock; waiters sleep on the flags word */
	PG_waiters,    /* somebody sleeps for PG_locked or PG_writeback */
	PG_uptodate,   /* content is valid */
	PG_dirty,      /* content newer than its backing store */
	PG_referenced, /* used since the policy last looked */
	PG_young,      /* page idle tracking took the A bits: counts as one reference */
	PG_idle,       /* set by idle tracking, cleared by any reference */
	PG_active,     /* the policy holds it for hot (active_inactive: on that list) */
	PG_lru,        /* with the node's reclaim policy */
	PG_swapbacked, /* goes to swap (anonymous and shared memory); clear: file, lazyfree */
	PG_swapcache,  /* `swap` is valid and the swap cache knows the folio */
	PG_writeback,  /* being written */
	PG_mlocked,    /* in a VM_LOCKED vma: not reclaimed */
	PG_hwpoison,
	PG_head,           /* first frame of a folio of order >= 1 */
	PG_tail,           /* another frame of it */
	PG_buddy,          /* free, head of a free block */
	PG_zeroed,         /* free, and known to read as zero */
	PG_discarded,      /* free, and no host memory stands behind it */
	PG_anon_exclusive, /* per frame: anonymous, owned by one process alone */
	PG_epoch,          /* l  while PG_lru: which of two policies has it, during a switch */
	PG_holed,          /* some of its frames may have no host memory (rmap/hole.c) */
			   /* From bit 24 on: the reclaim policy's note (umm/reclaim_policy.h). */
};

/* Low bits of folio->mapping. */
#define FOLIO_MAPPING_ANON    0x1ul
#define FOLIO_MAPPING_MOVABLE 0x2ul
#define FOLIO_MAPPING_KSM     (FOLIO_MAPPING_ANON | FOLIO_MAPPING_MOVABLE)
#define FOLIO_MAPPING_FLAGS   FOLIO_MAPPING_KSM

struct folio {
	uint32_t flags;    /* a  1u << enum folio_flag */
	int32_t refcount;  /* a  0: free. One for each entry, for the page cache
				 *    or swap cache, for each user */
	uintptr_t mapping; /* a  anon_vma | ANON, stable node | KSM, address_space, 0 */
	union {
		pgoff_t index;                    /* f  in units of pages, of the head frame */
		struct {                          /* a  second frame of a large folio */
			int32_t entire_mapcount;  /* 2 MiB leaves that map it */
			int32_t nr_frames_mapped; /* frames with mapcount > 0 */
		} large;
	};
	struct list_head lru;   /* l, b */
	uint64_t swap;          /* f  swp_entry_t.v while PG_swapcache */
	int32_t mapcount;       /* a  entries that map this frame (not the 2 MiB ones) */
	int32_t total_mapcount; /* a  head: entries that map any part of the folio */
	int32_t pincount;       /* a  head: host accesses in progress */
	uint8_t order;          /* fixed while refcount > 0, or b */
	uint8_t node;           /* fixed once the frame's block was first used */
	uint16_t head_offset;   /* tails: frames back to the head */
};

static_assert(sizeof(struct folio) == 64, "one cache line a frame");

static inline uint32_t folio_flags(const struct folio *f)
{
	return __atomic_load_n(&f->flags, __ATOMIC_ACQUIRE);
}

static inline bool folio_test(const struct folio *f, enum folio_flag bit)
{
	return folio_flags(f) & (1u << bit);
}

static inline void folio_set(struct folio *f, enum folio_flag bit)
{
	__atomic_fetch_or(&f->flags, 1u << bit, __ATOMIC_ACQ_REL);
}

static inline void folio_clear(struct folio *f, enum folio_flag bit)
{
	__atomic_fetch_and(&f->flags, ~(1u << bit), __ATOMIC_ACQ_REL);
}

static inline bool folio_test_set(struct folio *f, enum folio_flag bit)
{
	return __atomic_fetch_or(&f->flags, 1u << bit, __ATOMIC_ACQ_REL) & (1u << bit);
}

static inline bool folio_test_clear(struct folio *f, enum folio_flag bit)
{
	return __atomic_fetch_and(&f->flags, ~(1u << bit), __ATOMIC_ACQ_REL) & (1u << bit);
}

static inline struct folio *folio_head(struct folio *frame)
{
	/* Who holds no reference looks again later: the folio may be another by then. */
	return folio_test(frame, PG_tail)
		       ? frame - __atomic_load_n(&frame->head_offset, __ATOMIC_RELAXED)
		       : frame;
}

static inline unsigned int folio_nr(const struct folio *f)
{
	return 1u << f->order;
}

static inline uintptr_t folio_mapping_raw(const struct folio *f)
{
	return __atomic_load_n(&f->mapping, __ATOMIC_ACQUIRE);
}

/*
 * Where the folio lies in what it belongs to. Fixed while the folio is locked; a reverse
 * walk without that lock may meet one that is being given to another family, which is
 * unmapped then: whatever index the walk sees, no entry it finds maps the folio.
 */
static inline pgoff_t folio_index(const struct folio *f)
{
	return pgoff_make(__atomic_load_n(&f->index.v, __ATOMIC_RELAXED));
}

static inline bool folio_test_anon(const struct folio *f)
{
	return folio_mapping_raw(f) & FOLIO_MAPPING_ANON;
}

static inline bool folio_test_ksm(const struct folio *f)
{
	return (folio_mapping_raw(f) & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_KSM;
}

/* The file or shared memory that the folio caches; NULL for anonymous ones. */
static inline struct address_space *folio_file_mapping(const struct folio *f)
{
	uintptr_t m = folio_mapping_raw(f);

	return m & FOLIO_MAPPING_FLAGS ? NULL : (struct address_space *)m;
}

/* Entries that map any part of the folio. */
static inline int folio_mapcount(const struct folio *f)
{
	return __atomic_load_n(&f->total_mapcount, __ATOMIC_ACQUIRE);
}

/* Entries of either size that map this one frame of the folio. */
static inline int folio_frame_mapcount(const struct folio *f, const struct folio *frame)
{
	int nr = __atomic_load_n(&frame->mapcount, __ATOMIC_RELAXED);

	if (f->order)
		nr += __atomic_load_n(&f[1].large.entire_mapcount, __ATOMIC_RELAXED);
	return nr;
}

static inline bool folio_mapped(const struct folio *f)
{
	return folio_mapcount(f) > 0;
}

static inline int folio_refcount(const struct folio *f)
{
	return __atomic_load_n(&f->refcount, __ATOMIC_ACQUIRE);
}

static inline int folio_pincount(const struct folio *f)
{
	return __atomic_load_n(&f->pincount, __ATOMIC_ACQUIRE);
}

/*
 * References. get: the caller has one already. try_get: false if the folio is
 * free (or about to be); what was found must be checked again afterwards, as
 * the frame may have been reused. put: frees at zero; may be called with locks
 * up to LOCK_TREE held.
 */
void folio_get(struct folio *f);
void folio_get_many(struct folio *f, int nr);
bool folio_try_get(struct folio *f) UMM_MUST_CHECK;
void folio_put(struct mm_sys *sys, struct folio *f);
void folio_put_many(struct mm_sys *sys, struct folio *f, int nr);

/*
 * Counts that programs can drive up without end (forks, mappings, pins) stop far
 * from where they would wrap: what asks for one more is refused. The room above
 * is for those that hold a reference for a moment.
 */
#define FOLIO_REFS_MAX (INT32_MAX / 2)

static inline bool folio_crowded(const struct folio *f)
{
	return folio_refcount(f) >= FOLIO_REFS_MAX;
}

/* The folio lock. Needs a reference. */
void folio_lock(struct mm_sys *sys, struct folio *f);
bool folio_trylock(struct folio *f) UMM_MUST_CHECK;
void folio_unlock(struct mm_sys *sys, struct folio *f);
void folio_wait_locked(struct mm_sys *sys, struct folio *f);
void folio_wait_writeback(struct mm_sys *sys, struct folio *f);
void folio_end_writeback(struct mm_sys *sys, struct folio *f);

/* Conversions. @pfn must be a frame of some node (else NULL). */
struct folio *sys_frame(const struct mm_sys *sys, pfn_t pfn);
pfn_t folio_pfn(const struct mm_sys *sys, const struct folio *f);
/* Host view of the frame; valid for the life of the system. */
void *frame_hva(const struct mm_sys *sys, pfn_t pfn);

#ifdef __cplusplus
}
#endif

#endif
