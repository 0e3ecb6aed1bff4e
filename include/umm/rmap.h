/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: from a folio to every VMA, and every page-table entry, that
 * maps it; and the users of that walk. Names and contracts are Linux's.
 */
#ifndef UMM_RMAP_H
#define UMM_RMAP_H

#include <umm/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The anchor of anonymous folios. A folio points at one anon_vma; the tree of
 * that anon_vma holds a link (anon_vma_chain) for each VMA that may map the
 * folio: the VMA that faulted it in and the VMAs that forks and splits made of
 * it. Each fork adds an anon_vma below the parent's, so that pages which the
 * child faults in later are looked for in the child's branch alone. All
 * anon_vmas of one such family share the root's lock.
 *
 * Memory of an anon_vma is type-stable: it is kept for later anon_vmas, with
 * its lock initialised for ever, until the system is destroyed. So a walker may
 * lock through a pointer read from folio->mapping before it knows that the
 * anon_vma is still the folio's, and must check again once it has the lock.
 */
struct anon_vma {
	struct mm_sys *sys;
	struct anon_vma *root;  /* a */
	struct umm_rwlock lock; /* used in the root only: LOCK_ANON_VMA */
	int32_t refcount;       /* a  itself, its children's claim on a root, walkers */
	uint32_t num_children; /* root lock: anon_vmas whose parent is this one (and, for a root, itself) */
	uint32_t num_active_vmas;   /* root lock: VMAs whose ->anon_vma is this one */
	struct anon_vma *parent;    /* root lock */
	struct itree tree;          /* root lock: anon_vma_chain.node by vma pgoff */
	struct anon_vma *next_free; /* LOCK_LEAF: the system's cache */
};

struct anon_vma_chain {
	/* These two are all that a walk reads, in one cache line. */
	struct vma *vma;
	struct itree_node node; /* root lock: in anon_vma->tree */
	struct anon_vma *anon_vma;
	struct list_head same_vma; /* in vma->anon_vma_chain */
};

/*
 * One place that shares a merged page (KSM): page @index of a family of areas, the
 * name that an ordinary folio there would have. Not an address of one process, so
 * that it stays right when areas move and when the process that merged it is gone.
 */
struct ksm_rmap_item {
	struct list_head link;     /* in ksm_stable_node.items */
	const struct mm *mm;       /* who merged it, looked at first; never followed */
	struct anon_vma *anon_vma; /* a root; holds a reference */
	pgoff_t index;
};

/*
 * A merged page's anchor: folio->mapping points at it, and it lists every place that
 * shares the page, each once. The list is guarded by the folio lock, the rest is
 * rmap/ksm.h's.
 */
struct ksm_stable_node {
	struct list_head items;
	uint32_t nr_items;          /* written with the folio lock, a */
	struct folio *folio;        /* ksm->lock; NULL: freed */
	struct list_head all;       /* ksm->lock: in ksm->nodes or ksm->dead */
	struct list_head same_hash; /* ksm->scan_lock: in bucket->nodes */
	struct ksm_bucket *bucket;  /* ksm->scan_lock; NULL: in no tree */
};

/*
 * What one walk does. rmap_one is called for each VMA that overlaps the folio,
 * with the address of its first page there; returning false stops the walk.
 */
struct rmap_walk_control {
	void *arg;
	bool try_lock;  /* do not wait for the rmap lock; set contended instead */
	bool contended; /* out */
	bool (*rmap_one)(struct folio *folio, struct vma *vma, gva_t addr, void *arg);
	/* After each rmap_one: true ends the walk. May be NULL. */
	bool (*done)(struct folio *folio);
	/* Instead of the default way to lock the anon_vma. May be NULL. */
	struct anon_vma *(*anon_lock)(struct folio *folio, struct rmap_walk_control *rwc);
	/* True: skip this VMA. May be NULL. */
	bool (*invalid_vma)(struct vma *vma, void *arg);
};

/* Takes the rmap lock itself. Files and KSM: folio locked by the caller. */
void rmap_walk(struct folio *folio, struct rmap_walk_control *rwc);
/* The caller holds the rmap lock of the folio; KSM folios are refused (no call). */
void rmap_walk_locked(struct folio *folio, struct rmap_walk_control *rwc);

/*
 * The anon_vma of a mapped folio, locked for reading; NULL if the folio is not
 * (or no longer) mapped or not anonymous. With rwc->try_lock, NULL and
 * rwc->contended when the lock is held. rwc may be NULL. Unlock with
 * anon_vma_unlock_read().
 */
struct anon_vma *folio_lock_anon_vma_read(struct folio *folio, struct rmap_walk_control *rwc);
/* The anon_vma of a mapped folio with a reference, NULL as above. */
struct anon_vma *folio_get_anon_vma(struct folio *folio);
void anon_vma_put(struct anon_vma *av);
void anon_vma_lock_read(struct anon_vma *av);
bool anon_vma_trylock_read(struct anon_vma *av);
void anon_vma_unlock_read(struct anon_vma *av);
void anon_vma_lock_write(struct anon_vma *av);
void anon_vma_unlock_write(struct anon_vma *av);

/*
 * Where in @vma pages [pgoff, pgoff + nr) lie: the address of the first of them
 * that is inside. -EFAULT if none is. Pure arithmetic; both are safe where the
 * range starts before the area or a sum wraps.
 */
int vma_address(const struct vma *vma, pgoff_t pgoff, uint64_t nr, gva_t *out);
/* One past the last byte of the folio's range in @vma, clamped to the area. */
gva_t vma_address_end(const struct vma *vma, pgoff_t pgoff, uint64_t nr);
/*
 * Where @frame (any frame of a folio) would be in @vma: for anonymous folios
 * only if the area's anon_vma has the same root, for files only if the object
 * is the same. -EFAULT otherwise.
 */
int page_address_in_vma(const struct mm_sys *sys, struct folio *frame, const struct vma *vma,
			gva_t *out);

/* ---- page_vma_mapped_walk --------------------------------------------- */

#define PVMW_SYNC      (1u << 0) /* take the page-table lock before looking */
#define PVMW_MIGRATION (1u << 1) /* yield migration entries instead of present ones */

/*
 * Iterate over the entries of @vma that map pages [pfn, pfn + nr_pages), from
 * @address on. Each true return has the entry's lock (ptl) held:
 *   pte != NULL: one entry of 4 KiB at `address`
 *   pte == NULL, pmd != NULL: a 2 MiB leaf at `address`
 * To stop early call page_vma_mapped_walk_done(); after that (or after the entry
 * was split) the next call starts anew at `address`.
 */
struct page_vma_mapped_walk {
	pfn_t pfn;
	uint64_t nr_pages;
	pgoff_t pgoff;
	struct vma *vma;
	gva_t address;
	uint64_t *pmd;
	uint64_t *pte;
	struct umm_mutex *ptl; /* held if not NULL */
	unsigned int flags;
};

void pvmw_init(struct page_vma_mapped_walk *w, struct folio *folio, struct vma *vma, gva_t addr,
	       unsigned int flags);
bool page_vma_mapped_walk(struct page_vma_mapped_walk *w);
void page_vma_mapped_walk_done(struct page_vma_mapped_walk *w);
/* True if @frame's folio is mapped by @vma just now (any entry). */
bool page_mapped_in_vma(struct folio *folio, struct vma *vma);

/* ---- users of the walk ------------------------------------------------ */

/*
 * Has anybody touched the folio since its A bits were last cleared? Clears
 * nothing. Caller holds a reference. True also for a file folio that is locked.
 */
bool folio_is_young(struct mm_sys *sys, struct folio *folio);
/*
 * Clear the A bits of all entries that map the folio, without a zap: a vCPU
 * that keeps using a cached translation is not seen, which makes the folio look
 * idle for one interval more and is the price of a scan that costs no zap.
 * Any A bit: not idle, and young (so that folio_referenced still counts it).
 * File and KSM folios need the lock and are skipped when it is taken.
 */
void page_idle_clear_pte_refs(struct mm_sys *sys, struct folio *folio);

/*
 * How many mappings used the folio since last asked; clears what it counts.
 * -1: the rmap lock was contended, or the folio is private to an exiting
 * process. *vm_flags collects the flags of the VMAs that referenced it, and
 * VM_LOCKED of one that locks it (the walk stops there). @is_locked: the caller
 * holds the folio lock.
 */
int folio_referenced(struct mm_sys *sys, struct folio *folio, bool is_locked, uint64_t *vm_flags);

/*
 * Write-protect and clean every shared mapping, then zap. Folio locked.
 * Returns the number of entries that were dirty or writable.
 */
int folio_mkclean(struct mm_sys *sys, struct folio *folio);

enum ttu_flags {
	TTU_IGNORE_MLOCK = 1u << 0,
	TTU_SYNC = 1u << 1,
	TTU_BATCH_FLUSH = 1u << 2, /* queue the zap in *batch; the caller zaps */
	TTU_RMAP_LOCKED = 1u << 3,
	TTU_HWPOISON = 1u << 4,
	TTU_SPLIT_HUGE_PMD = 1u << 5,
};

/*
 * Frames whose translations are gone from the tables but may still be cached
 * by vCPUs. zap_batch_flush() makes them safe to reuse, copy or write.
 */
struct zap_batch {
	struct mm_sys *sys;
	struct frame_range *ranges; /* fixed[] or grown */
	unsigned int nr, cap;
	struct frame_range fixed[64];
	bool tables; /* a non-leaf or 2 MiB entry changed too */
};
void zap_batch_init(struct zap_batch *b, struct mm_sys *sys);
void zap_batch_add(struct zap_batch *b, pfn_t pfn, uint32_t nr);
void zap_batch_flush(struct zap_batch *b);
/* Its first part: only what leaves need; a no-op without any. */
void zap_batch_flush_tables(struct zap_batch *b);
/* Flushes what is left. */
void zap_batch_destroy(struct zap_batch *b);

/*
 * Replace every entry by a swap entry (anonymous: the folio is in the swap
 * cache), or drop it (files). Folio locked. The caller asks folio_mapped()
 * afterwards. Without TTU_BATCH_FLUSH it zaps itself and @batch may be NULL.
 */
void try_to_unmap(struct mm_sys *sys, struct folio *folio, unsigned int flags,
		  struct zap_batch *batch);
/*
 * Replace every entry by a migration entry. Folio locked. The caller asks
 * folio_mapped() afterwards and undoes with remove_migration_ptes(folio, folio).
 */
void try_to_migrate(struct mm_sys *sys, struct folio *folio, unsigned int flags,
		    struct zap_batch *batch);
/*
 * Turn the migration entries that point at @src into entries for @dst (which
 * may be @src itself). Both locked. @locked: the caller holds the rmap lock.
 */
void remove_migration_ptes(struct mm_sys *sys, struct folio *src, struct folio *dst, bool locked);

#ifdef __cplusplus
}
#endif

#endif
