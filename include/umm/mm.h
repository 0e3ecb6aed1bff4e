/* SPDX-License-Identifier: MIT */
/*
 * The memory manager: a system of frames (mm_sys), address spaces of guest
 * processes (mm), their areas (vma), reverse-mapping anchors (anon_vma) and
 * mapped objects (address_space); and the calls of Linux's memory interface.
 *
 * Units: addresses and lengths are bytes, pgoff and frame counts are pages.
 * Errors: 0 or a negative errno, the one that Linux gives for the same mistake.
 * Threads: every function may be called from any thread; unless it says
 * otherwise the caller holds none of the manager's locks.
 */
#ifndef UMM_MM_H
#define UMM_MM_H

#include <umm/avl.h>
#include <umm/folio.h>
#include <umm/host_ops.h>
#include <umm/itree.h>
#include <umm/lock.h>
#include <umm/mempolicy.h>
#include <umm/radix.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the system ------------------------------------------------------- */

struct mm_node_config {
	pfn_t base;         /* multiple of 512 */
	uint64_t nr_frames; /* multiple of 512 */
	void *hva;          /* host view of the first frame */
};

/* Folios of an order: for all anonymous memory, for MADV_HUGEPAGE areas, for none. */
enum thp_mode { THP_NEVER, THP_MADVISE, THP_ALWAYS };

struct mm_sys_config {
	const struct mm_host_ops *ops;
	void *ctx;
	unsigned int nr_nodes;
	struct mm_node_config nodes[UMM_MAX_NODES];
	/* Frames for page tables: never mapped by user entries, zero at start. */
	pfn_t table_base;
	uint64_t nr_tables;
	void *table_hva;
	/* Fills the kernel half (entry 511) of a new root table; may be NULL. */
	void (*init_root)(void *ctx, uint64_t *root);
	/* Changes of non-leaf entries need flush_tables() (shadow paging). */
	bool shadow_paging;
	/* For each order whether anonymous memory uses such folios; [0] is not looked at. */
	uint8_t thp[UMM_MAX_ORDER + 1]; /* enum thp_mode */
	/* Most frames that one anonymous fault maps (1..512); 0 = 512. */
	unsigned int fault_around;
	/*
	 * Pages of a private file area that a store which must copy one copies together
	 * (1..8, a power of two; of pages shared by fork half as many); 0 = 1.
	 */
	unsigned int copy_around;
	/* Distance between watermarks in 1/10000 of a node; 0: WATERMARK_SCALE_DEFAULT. */
	unsigned int watermark_scale;
	/* The host makes holes: ops->hole_protect() and its likes may be called. */
	bool holes;
};

/*
 * Linux's default is 10. Here one fault may want 512 frames at once, and whoever
 * has to reclaim for itself waits for an exit's worth of others too.
 */
#define WATERMARK_SCALE_DEFAULT 50u
#define WATERMARK_SCALE_MAX     1000u

/* Monotonic event counters of the whole system, and of each node. */
enum mm_event {
	EV_FAULT,
	EV_FAULT_ANON,
	EV_FAULT_FILE,
	EV_FAULT_SWAP,
	EV_FAULT_COW,
	EV_FAULT_WAIT_MIGRATION,
	EV_FRAMES_MAPPED,
	EV_ZAP_CALLS,
	EV_ZAP_RANGES,
	EV_ZAP_FRAMES,
	EV_TABLE_FLUSH,
	EV_PGSCAN,
	EV_PGSTEAL,
	/* Of these, by the background reclaimers and by allocations; the rest by request. */
	EV_PGSCAN_KSWAPD,
	EV_PGSCAN_DIRECT,
	EV_PGSTEAL_KSWAPD,
	EV_PGSTEAL_DIRECT,
	EV_PAGEOUTRUN,      /* rounds of background reclaimers */
	EV_KSWAPD_LOW_HIT,  /* ... after which the node was short again at once */
	EV_KSWAPD_HIGH_HIT, /* ... which stopped short of the high watermark */
	EV_PGSWAPIN,
	EV_PGSWAPOUT,
	EV_PGSWAP_ZERO,
	EV_PGFILE_READ,
	EV_PGFILE_WRITE,
	EV_MIGRATE_OK,
	EV_MIGRATE_FAIL,
	EV_RMAP_WALKS,
	EV_RMAP_VISITS,
	EV_DIRECT_RECLAIM,
	EV_OOM,
	EV_DISCARDED,
	/* Automatic placement, by Linux's names (umm/placement.h counts more). */
	EV_NUMA_PTE_UPDATES,
	EV_NUMA_HINT_FAULTS,
	EV_NUMA_HINT_FAULTS_LOCAL,
	EV_NUMA_PAGES_MIGRATED,
	EV_PGPROMOTE_CANDIDATE,
	EV_PGPROMOTE_SUCCESS,
	EV_PGDEMOTE_KSWAPD,
	EV_PGDEMOTE_DIRECT,
	EV_THP_FAULT_ALLOC,
	EV_THP_FAULT_FALLBACK,
	EV_THP_COLLAPSE_ALLOC,
	EV_THP_COLLAPSE_FAILED,
	EV_THP_SPLIT_PMD,
	EV_THP_SPLIT_FOLIO,
	EV_MEMORY_FAILURE,
	EV_KSM_MERGE,      /* pages that came to share a frame */
	EV_KSM_COW,        /* stores that took one out again */
	EV_KSM_SWPIN_COPY, /* swapped out merged, copied on the way in */
	/* Pages back that were evicted not long ago; and what the policy then held for hot. */
	EV_WORKINGSET_REFAULT_ANON,
	EV_WORKINGSET_REFAULT_FILE,
	EV_WORKINGSET_ACTIVATE_ANON,
	EV_WORKINGSET_ACTIVATE_FILE,
	EV_WORKINGSET_DISTANCE, /* sum of the refault distances, in frames (rmap/shadow.c) */
	EV_POLICY_LOOKED,       /* entries that walks and look-arounds passed */
	EV_POLICY_YOUNG,        /* ... and found used */
	EV_NR
};

/* Objects alive; all zero once every mm and mapping is gone. */
enum mm_object {
	OBJ_MM,
	OBJ_VMA,
	OBJ_ANON_VMA,
	OBJ_ANON_VMA_CHAIN,
	OBJ_ADDRESS_SPACE,
	OBJ_TABLE,
	OBJ_NR
};

int mm_sys_create(const struct mm_sys_config *config, struct mm_sys **out) UMM_MUST_CHECK;
/* Every mm and address_space must be gone. */
void mm_sys_destroy(struct mm_sys *sys);

/* The mode of an order, 1 to 9 (9: 2 MiB); a change acts on the next fault. -EINVAL. */
enum thp_mode mm_sys_thp(const struct mm_sys *sys, unsigned int order);
int mm_sys_set_thp(struct mm_sys *sys, unsigned int order, enum thp_mode mode) UMM_MUST_CHECK;

uint64_t mm_sys_event(const struct mm_sys *sys, enum mm_event ev);
const char *mm_event_name(enum mm_event ev);
int64_t mm_sys_objects(const struct mm_sys *sys, enum mm_object obj);

/* Frames handed out, by where they were meant to go; as numastat(8) tells them. */
struct numa_stat {
	uint64_t hit, miss, foreign, interleave, local, other;
};
/*
 * draining: no new frames come from it, and what is there has still to go;
 * offline: nothing is there any more. mm_node_offline() in umm/reclaim.h.
 */
enum mm_node_state { MM_NODE_ONLINE, MM_NODE_DRAINING, MM_NODE_OFFLINE };

struct mm_node_info {
	enum mm_node_state state;
	pfn_t base;       /* its first frame */
	uint64_t present; /* frames that it has, whatever its state */
	/*
	 * What may be used of it: its frames or its limit; while it is not online, only
	 * what is in use still.
	 */
	uint64_t nr_frames, free;
	uint64_t wmark_min, wmark_low, wmark_high; /* of free frames, rmap/watermark.c */
	uint64_t anon, file, shmem, mlocked;
	uint64_t anon_huge; /* of anon: in folios that a 2 MiB leaf maps */
	struct numa_stat stat;
};
unsigned int mm_sys_nr_nodes(const struct mm_sys *sys);
/* Free blocks of 2^o frames, for each order o; what was never used is of the largest. */
void mm_sys_free_blocks(struct mm_sys *sys, int node, uint64_t blocks[UMM_MAX_ORDER + 1]);
/* 10: the same node, more: further away. */
unsigned int mm_sys_node_distance(const struct mm_sys *sys, int from, int to);
void mm_sys_node_info(const struct mm_sys *sys, int node, struct mm_node_info *out);
enum mm_node_state mm_node_state(const struct mm_sys *sys, int node);

/* ---- mapped objects --------------------------------------------------- */

/*
 * What a file, or a piece of shared anonymous memory, looks like to the
 * manager: its cached pages and every VMA that maps it.
 *   i_mmap      LOCK_I_MMAP: VMAs by the page offsets that they map
 *   pages       LOCK_TREE: index -> folio, or (swp_entry << 1 | 1) for shared
 *               memory that was swapped out
 */
struct address_space {
	struct mm_sys *sys;
	const struct mapping_ops *ops; /* NULL: shared memory, swap-backed */
	void *file;                    /* for ops; owned by whoever made it */
	struct umm_rwlock i_mmap_lock;
	struct itree i_mmap;
	struct umm_mutex tree_lock;
	struct radix pages;
	uint64_t shmem_size;        /* bytes, shared memory only */
	int64_t nr_dirty;           /* a  folios with PG_dirty in the cache (files) */
	int64_t nr_writeback;       /* a  folios that are being written to the file */
	int32_t refcount;           /* a */
	int32_t nr_writable_shared; /* a  VM_SHARED|VM_MAYWRITE areas */
	uint64_t committed;         /* pages that were promised for it; set before use */
	bool tmpfs;                 /* a file in memory: policies belong to it; set before use */
	struct list_head policies;  /* tree_lock: struct shared_policy */
	struct list_head holds;     /* tree_lock: struct mapping_hold */
	struct list_head all;       /* LOCK_LEAF: the system's list */
};

/* Bytes [start, end) of a file that somebody is changing; the changer's own. */
struct mapping_hold {
	struct list_head list; /* tree_lock: of mapping->holds */
	uint64_t start, end;
};

/*
 * A new address_space with one reference. For a file, @ops and @file are kept
 * and ops->release(file) is called when the last reference goes. For shared
 * anonymous memory pass ops = NULL and its size in bytes.
 */
int mapping_create(struct mm_sys *sys, const struct mapping_ops *ops, void *file,
		   uint64_t shmem_size, struct address_space **out) UMM_MUST_CHECK;
struct address_space *mapping_get(struct address_space *m);
/* At zero: drops all pages (dirty ones are written first), then release(). */
void mapping_put(struct address_space *m);

/*
 * Coherence with read() and write() on the same file. Before a read of
 * [off, off + len): mapping_flush() writes dirty cached pages of the range
 * back (write-protecting them everywhere first), and waits for those that are
 * being written. After a write of exactly [off, off + len): mapping_refresh()
 * reads these bytes (no more, so that stores next to them are not undone) again
 * into the pages that are cached. From before the file changes until then the
 * bytes are held, or else a page that is written back for what was stored next
 * to them would bring the old ones.
 */
int mapping_flush(struct address_space *m, uint64_t off, uint64_t len) UMM_MUST_CHECK;
int mapping_refresh(struct address_space *m, uint64_t off, uint64_t len) UMM_MUST_CHECK;
/*
 * Nothing of the cache is written to bytes [off, off + len) of the file until
 * mapping_unhold(); returns when what was on its way there has arrived. Pages stay
 * dirty instead. @h is the caller's and stays in its place; several may overlap.
 * Takes no lock that a caller outside the manager could hold; a hold may be kept
 * across anything, as nobody waits for one.
 */
void mapping_hold(struct address_space *m, struct mapping_hold *h, uint64_t off, uint64_t len);
void mapping_unhold(struct address_space *m, struct mapping_hold *h);
/* Is the file being changed by this guest at the moment, through the cache or past it? */
bool mapping_changing(struct address_space *m);
/* The file was changed by others: read again what is cached and has not been stored to. */
int mapping_reread(struct address_space *m) UMM_MUST_CHECK;
/* The file was cut to @size: unmap (private copies too) and drop what lies past it. */
void mapping_truncate(struct address_space *m, uint64_t size);
/* Drop clean, unmapped cached pages (all of them; the file changed elsewhere). */
void mapping_invalidate(struct address_space *m);
/* Frames of the cache now. */
uint64_t mapping_nr_cached(struct address_space *m);

/* ---- areas ------------------------------------------------------------ */

#define VM_READ        (1ul << 0)
#define VM_WRITE       (1ul << 1)
#define VM_EXEC        (1ul << 2)
#define VM_SHARED      (1ul << 3)
#define VM_MAYREAD     (1ul << 4)
#define VM_MAYWRITE    (1ul << 5)
#define VM_MAYEXEC     (1ul << 6)
#define VM_MAYSHARE    (1ul << 7)
#define VM_GROWSDOWN   (1ul << 8)
#define VM_LOCKED      (1ul << 13)
#define VM_LOCKONFAULT (1ul << 14)
#define VM_SEQ_READ    (1ul << 15)
#define VM_RAND_READ   (1ul << 16)
#define VM_DONTCOPY    (1ul << 17)
#define VM_DONTEXPAND  (1ul << 18)
#define VM_ACCOUNT     (1ul << 20)
#define VM_NORESERVE   (1ul << 21)
#define VM_SYNC        (1ul << 23)
#define VM_WIPEONFORK  (1ul << 25)
#define VM_DONTDUMP    (1ul << 26)
/* Made since /proc/PID/clear_refs cleared it, so all its pages count as written. */
#define VM_SOFTDIRTY  (1ul << 27)
#define VM_HUGEPAGE   (1ul << 29)
#define VM_NOHUGEPAGE (1ul << 30)
/* The stack of an exec in progress: not to be migrated. */
#define VM_STACK_INCOMPLETE_SETUP (1ul << 31)
/* Linux has it at bit 31. */
#define VM_MERGEABLE (1ul << 32)
/* mseal: place, size and protection stay as they are. */
#define VM_SEALED       (1ul << 63)
#define VM_ACCESS_FLAGS (VM_READ | VM_WRITE | VM_EXEC)

struct anon_vma;

#define SWAP_STREAMS 4u

/*
 * One area of a process: [start, end), one protection, one object.
 * start, end, pgoff and flags change under mmap_lock for writing, and start,
 * end and pgoff also with the rmap trees that hold the area locked for writing;
 * so a reader of either sees a whole area.
 */
struct vma {
	struct mm *mm;
	gva_t start, end;
	uint64_t flags; /* VM_*; a for walkers without mmap_lock */
	/*
	 * Page offset of `start`: in the file, or for anonymous areas the
	 * linear index that folio->index is compared with (start >> 12 when the
	 * area was made, kept when mremap moves it).
	 */
	pgoff_t pgoff;
	struct address_space *mapping; /* one reference; NULL: private anonymous */
	struct mempolicy *policy;      /* mmap_lock: one reference; NULL: the thread's holds */
	struct itree_node shared;      /* i_mmap_lock: in mapping->i_mmap */
	struct anon_vma *anon_vma;     /* set once, under mm->anon_lock and mmap_lock for reading */
	struct list_head anon_vma_chain; /* mmap_lock writing, or mm->anon_lock */
	struct avl_node tree;            /* mmap_lock: in mm->vmas */
	/* Of the areas below this one in the tree: first byte taken, end, largest hole. */
	uint64_t subtree_start, subtree_end, subtree_gap;
	/* Fault-around streak: hints, raced on purpose with relaxed atomics. */
	uint64_t around_next;
	uint32_t around_nr;
	/* Where swap-in goes on reading, the same kind of hints: rmap/swap_window.c. */
	struct swap_stream {
		uint64_t next;  /* page number behind the last window */
		uint32_t pages; /* of the last window; 0: none yet */
		uint64_t asked; /* page number behind what was read ahead */
	} swap_streams[SWAP_STREAMS];
	uint32_t swap_turn, swap_start;
};

static inline uint64_t vma_flags(const struct vma *v)
{
	return __atomic_load_n(&v->flags, __ATOMIC_RELAXED);
}

static inline uint64_t vma_pages(const struct vma *v)
{
	return (v->end.v - v->start.v) >> UMM_PAGE_SHIFT;
}

static inline bool vma_is_anonymous(const struct vma *v)
{
	return !v->mapping;
}

/* ---- address spaces of processes -------------------------------------- */

enum placement_kind { PLACEMENT_BALANCE, PLACEMENT_TIER, PLACEMENT_KINDS };

/* Where the scanner for one kind of placement policy stands in an mm (umm/placement.h). */
struct hint_scan {
	gva_t at;       /* the scanner's own, as all that is not marked a */
	uint64_t due;   /* ns; 0: not begun */
	uint64_t delay; /* ns between windows */
	uint32_t passes;
	uint32_t block;                  /* a  pages that one fault speaks for */
	uint64_t hints;                  /* set by the last window */
	uint32_t faults;                 /* a  since the last window ... */
	uint32_t pass_faults;            /* a  ... since the pass began ... */
	uint32_t pass_local;             /* a  ... and those of pages on the right node */
	uint32_t touched[UMM_MAX_NODES]; /* a  faults by node, halved after each pass */
};

enum mm_counter { MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES, MM_SWAPENTS, MM_NR_COUNTERS };

#define MM_LEVEL2_KNOWN 4

struct mm {
	struct mm_sys *sys;
	pfn_t root; /* top page table, for CR3; beside sys, as reverse walks read both */
	/* a  level-2 tables found of late, by the GiB they are for: address >> 30 and frame */
	uint64_t level2[MM_LEVEL2_KNOWN];
	uint64_t serial; /* its number: no other mm of the system had or will have it */
	int32_t users;   /* a  guest threads and visitors */
	struct umm_rwlock mmap_lock;
	struct umm_mutex anon_lock; /* LOCK_LEAF: publishes vma->anon_vma */
	struct avl_node *vmas;      /* mmap_lock: areas by start */
	uint32_t nr_vmas;
	int64_t counters[MM_NR_COUNTERS]; /* a  frames or swap entries */
	int64_t peak_rss;                 /* a  pages */
	int64_t nr_tables;                /* a  page tables, spare ones too */
	uint64_t total_vm, locked_vm, data_vm, stack_vm, exec_vm; /* mmap_lock: pages */
	uint64_t peak_vm;                                         /* mmap_lock: most of total_vm */
	uint64_t def_flags; /* mmap_lock: mlockall(MCL_FUTURE) */
	/* Set once by exec, before the program runs; brk by mm_brk(). */
	gva_t start_code, end_code, start_data, end_data;
	gva_t start_brk, brk, start_stack, mmap_base;
	gva_t arg_start, arg_end, env_start, env_end;
	uint64_t rlim_stack, rlim_data, rlim_as, rlim_memlock; /* a  bytes, ~0: none */
	bool exiting; /* a  the last thread is gone: folio_referenced says -1 */
	bool reaped;  /* mmap_lock: by mm_reap() */
	int32_t id;   /* a  the guest's pid, for reports; set by the owner */
	struct hint_scan scan[PLACEMENT_KINDS];
	struct ksm_mm *ksm;   /* set once, mmap_lock for writing: it has mergeable areas */
	bool merge_any;       /* mmap_lock: PR_SET_MEMORY_MERGE */
	struct list_head all; /* LOCK_LEAF: the system's list */
};

/* A new, empty address space with one user. -ENOMEM. */
int mm_create(struct mm_sys *sys, struct mm **out) UMM_MUST_CHECK;
/*
 * fork: a copy-on-write copy of @parent with one user. On failure nothing is
 * left behind and the parent is as it was.
 */
int mm_fork(struct mm *parent, struct mm **out) UMM_MUST_CHECK;
/*
 * All users of @mm are about to end: its private memory goes at once. Who still
 * faults on it gets FAULT_BUS; shared memory is left to the end. Callers hold a user.
 */
void mm_reap(struct mm *mm);
struct mm *mm_get(struct mm *mm);
/* The last put unmaps everything and frees the page tables. */
void mm_put(struct mm *mm);
/* Find by serial number and take a user; NULL: it is gone, or on its way. */
struct mm *mm_find_serial(struct mm_sys *sys, uint64_t serial);

/* mmap_lock held (either way). First area that ends above @addr; neighbours. */
struct vma *vma_find(struct mm *mm, gva_t addr);
struct vma *vma_next(struct vma *v);
struct vma *vma_prev(struct vma *v);

/* ---- Linux's memory calls --------------------------------------------- */

struct mm_map_request {
	gva_t addr;   /* hint, or the place with MAP_FIXED* */
	uint64_t len; /* bytes, > 0 */
	int prot;     /* PROT_* */
	int flags;    /* MAP_* */
	/*
	 * The object, NULL for private anonymous memory. The call takes its own
	 * reference. For MAP_SHARED|MAP_ANONYMOUS leave NULL: one is made.
	 */
	struct address_space *mapping;
	uint64_t offset; /* bytes into the object, page-aligned */
	/* What the descriptor allows: MAYREAD/MAYWRITE/MAYEXEC; 0 = all. */
	uint64_t may;
	uint64_t extra_flags; /* VM_* to add: VM_GROWSDOWN, ... */
};

int mm_mmap(struct mm *mm, const struct mm_map_request *req, gva_t *out) UMM_MUST_CHECK;
int mm_munmap(struct mm *mm, gva_t addr, uint64_t len) UMM_MUST_CHECK;
int mm_mprotect(struct mm *mm, gva_t addr, uint64_t len, int prot) UMM_MUST_CHECK;
int mm_mremap(struct mm *mm, gva_t old, uint64_t old_len, uint64_t new_len, int flags,
	      gva_t new_addr, gva_t *out) UMM_MUST_CHECK;
/* Like the system call: returns the break that holds afterwards. */
gva_t mm_brk(struct mm *mm, gva_t brk);
int mm_madvise(struct mm *mm, gva_t addr, uint64_t len, int advice) UMM_MUST_CHECK;
int mm_mlock(struct mm *mm, gva_t addr, uint64_t len, int mlock2_flags) UMM_MUST_CHECK;
int mm_munlock(struct mm *mm, gva_t addr, uint64_t len) UMM_MUST_CHECK;
int mm_mlockall(struct mm *mm, int flags) UMM_MUST_CHECK;
int mm_munlockall(struct mm *mm) UMM_MUST_CHECK;
/* vec: one byte a page, bit 0 = resident. */
int mm_mincore(struct mm *mm, gva_t addr, uint64_t len, uint8_t *vec) UMM_MUST_CHECK;
int mm_msync(struct mm *mm, gva_t addr, uint64_t len, int flags) UMM_MUST_CHECK;
/* -ENOMEM: not all of it is mapped, and then none is sealed. @flags: 0. */
int mm_mseal(struct mm *mm, gva_t addr, uint64_t len, uint64_t flags) UMM_MUST_CHECK;
/* Write all dirty pages of every shared file mapping of @mm back (exit, sync). */
int mm_sync(struct mm *mm) UMM_MUST_CHECK;

/* ---- faults ----------------------------------------------------------- */

#define FAULT_FLAG_WRITE (1u << 0)
#define FAULT_FLAG_INSTR (1u << 1)
/* Do not check the area's protection beyond what ptrace-like access may do. */
#define FAULT_FLAG_FORCE (1u << 2)
/* Map only the page asked for. */
#define FAULT_FLAG_SINGLE (1u << 3)

enum fault_result {
	FAULT_DONE,     /* mapped (or somebody else did): run again */
	FAULT_MAPERR,   /* SIGSEGV, SEGV_MAPERR */
	FAULT_ACCERR,   /* SIGSEGV, SEGV_ACCERR */
	FAULT_BUS,      /* SIGBUS, BUS_ADRERR: past the end of a file, or I/O error */
	FAULT_HWPOISON, /* SIGBUS, BUS_MCEERR_AR */
	FAULT_OOM,      /* no memory and nothing to reclaim: somebody must die */
};

/*
 * Resolve a page fault of @mm at @addr. Takes mmap_lock for reading (for
 * writing where a stack grows), may sleep for I/O and for migrations.
 */
enum fault_result mm_fault(struct mm *mm, gva_t addr, unsigned int flags);

/*
 * Make one 2 MiB leaf of the small entries at @base (a multiple of 2 MiB), of
 * which at most @max_none may be empty; @forced: whatever the modes say, as
 * MADV_COLLAPSE. Waits for mmap_lock. 0; -EEXIST: there is one; -EINVAL: the area
 * or its entries do not allow it; -EAGAIN: pages are swapped out; -EBUSY: pages
 * are shared or in use; -ENOMEM.
 */
int mm_collapse(struct mm *mm, gva_t base, unsigned int max_none, bool forced) UMM_MUST_CHECK;
/*
 * MADV_COLLAPSE: the same, forced, for all whole 2 MiB of the areas in [start, end),
 * bringing back what is swapped out. 0, or the last error; goes on after any but -ENOMEM
 * and an area that can have no leaves. Where there is no table, nothing is done: -EINVAL.
 */
int mm_collapse_range(struct mm *mm, gva_t start, gva_t end) UMM_MUST_CHECK;
/*
 * Try up to @nr places from *cursor on; it moves on, and is 0 at the end of the
 * address space. Returns how many leaves were made.
 */
unsigned int mm_collapse_scan(struct mm *mm, gva_t *cursor, unsigned int nr, unsigned int max_none);
/* Where a scan of all processes is; starts as zeroes. */
struct collapse_cursor {
	int32_t mm_id;
	gva_t addr;
};
/* The same for the process that is next in turn. One caller at a time. */
unsigned int mm_sys_collapse_scan(struct mm_sys *sys, struct collapse_cursor *at, unsigned int nr,
				  unsigned int max_none);

/* ---- access from the host --------------------------------------------- */

/*
 * Copy between host and guest memory, faulting pages in as the guest would.
 * Returns 0, or -EFAULT with *done (may be NULL) telling how many bytes were
 * copied before the bad address.
 */
int mm_copy_from_guest(struct mm *mm, void *dst, gva_t src, size_t len,
		       size_t *done) UMM_MUST_CHECK;
int mm_copy_to_guest(struct mm *mm, gva_t dst, const void *src, size_t len,
		     size_t *done) UMM_MUST_CHECK;
/*
 * The same, as ptrace may: the area's protection keeps nobody from reading, and no
 * store from a private page, which is copied first; a shared one is only written where
 * the area allows it.
 */
int mm_peek_guest(struct mm *mm, void *dst, gva_t src, size_t len, size_t *done) UMM_MUST_CHECK;
int mm_poke_guest(struct mm *mm, gva_t dst, const void *src, size_t len,
		  size_t *done) UMM_MUST_CHECK;
/*
 * How many bytes from @addr on, @len at most, lie in areas that programs may store to and in what
 * these map, stacks grown as a store would. For who must know before what it copies is gone: a
 * page that cannot be had at all (no memory, lost) is not looked for; a file may be cut after.
 */
size_t mm_writable_span(struct mm *mm, gva_t addr, size_t len);
/* Length without the NUL; -EFAULT; -ENAMETOOLONG if no NUL in @size bytes. */
ssize_t mm_strncpy_from_guest(struct mm *mm, char *dst, gva_t src, size_t size) UMM_MUST_CHECK;

/*
 * Atomic access to one aligned 32-bit word of guest memory, faulting it in.
 * -EFAULT; -EINVAL if not aligned. cmpxchg: *old is what was found.
 */
int mm_read_u32(struct mm *mm, gva_t addr, uint32_t *out) UMM_MUST_CHECK;
int mm_cmpxchg_u32(struct mm *mm, gva_t addr, uint32_t expect, uint32_t desired,
		   uint32_t *old) UMM_MUST_CHECK;

/*
 * Pins: host views of guest memory that stay valid, at the same frames, until
 * mm_unpin(). Pinned folios are neither migrated nor reclaimed, and fork copies
 * them at once. @write faults for writing and marks the folios dirty.
 */
struct mm_pin_vec {
	void *hva;
	size_t len;
	struct folio *folio;
};
/*
 * Pin [addr, addr + len) as at most @max pieces (frames that are consecutive in
 * host memory share one only if they belong to one folio). *nr is the number of
 * pieces, *bytes how much they cover: less than @len when @max was reached or a
 * later page is bad. -EFAULT if not even the first byte can be had.
 */
int mm_pin(struct mm *mm, gva_t addr, size_t len, bool write, struct mm_pin_vec *vec,
	   unsigned int max, unsigned int *nr, size_t *bytes) UMM_MUST_CHECK;
void mm_unpin(struct mm *mm, struct mm_pin_vec *vec, unsigned int nr, bool wrote);

/*
 * What two futex words have in common when they are the same word: for private
 * memory the mm and the address, for shared memory the object and the offset.
 * A shared key holds a reference on the object until mm_futex_key_put().
 */
struct mm_futex_key {
	uintptr_t object;
	uint64_t offset;
	bool shared;
};
int mm_futex_key_get(struct mm *mm, gva_t addr, bool process_shared,
		     struct mm_futex_key *key) UMM_MUST_CHECK;
void mm_futex_key_put(struct mm_futex_key *key);

#ifdef __cplusplus
}
#endif

#endif
