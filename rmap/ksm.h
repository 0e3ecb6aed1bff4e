/* SPDX-License-Identifier: MIT */
/*
 * KSM's own state, for the files rmap/ksm*.c. The design is told in ksm.c.
 *
 * What guards a field is told by a letter:
 *   s  ksm->scan_lock
 *   k  ksm->lock
 *   f  the lock of the merged folio
 *   a  atomic
 */
#ifndef RMAP_KSM_H
#define RMAP_KSM_H

#include <umm/ksm.h>
#include "rmap/vma.h"

/* A process that has mergeable areas. */
struct ksm_mm {
	struct mm *mm;          /* k  NULL once the mm has gone */
	struct list_head link;  /* k  in ksm->mms */
	struct list_head pages; /* s  struct ksm_page, by address */
	uint64_t nr_pages;      /* a */
	uint64_t nr_merged;     /* a  of those: merged when they were last looked at */
	uint64_t unmerged;      /* k  the pass of ksm_unmerge_all() that it was part of */
};

/* One page that the scanner has met: what it remembers until the next round. All s. */
struct ksm_page {
	struct ksm_mm *owner;
	struct list_head link;
	gva_t addr;
	uint64_t hash;            /* of its content when it was last looked at */
	int node;                 /* where it was then */
	uint64_t key;             /* hash, and perhaps node */
	uint64_t round;           /* in the unstable tree of this round; 0: in none */
	struct avl_node unstable; /* in ksm->unstable, by key */
	bool merged;
};

/* All merged frames whose content has one hash: of equal content most likely. s */
struct ksm_bucket {
	struct avl_node tree;
	uint64_t hash;
	struct list_head nodes;
};

struct ksm {
	struct mm_sys *sys;
	struct umm_mutex scan_lock; /* LOCK_KSM: one scan, or change of settings, at a time */
	struct umm_mutex lock;      /* LOCK_LEAF: links between things of different life */
	struct list_head mms;       /* k  struct ksm_mm */
	struct list_head nodes;     /* k  struct ksm_stable_node with a folio */
	struct list_head dead;      /* k  ... whose folio was freed */
	struct avl_node *stable;    /* s  struct ksm_bucket */
	struct avl_node *unstable;  /* s  struct ksm_page, forgotten after each round */
	struct ksm_mm *cursor;      /* k  whose turn it is; NULL: the first's */
	struct ksm_mm *here;        /* k  whose `at` and `addr` are; NULL: nobody's */
	struct list_head *at;       /* s  in here->pages: the last one that was passed */
	gva_t addr;                 /* s  what is next */
	uint64_t round;             /* s  > 0 */
	uint64_t unmerge_passes;    /* s */
	uint64_t nr_unshared; /* a  in the unstable tree, this round or by the end of the last */
	uint64_t nr_dups;     /* a  nodes in buckets beyond one each */
	uint64_t nr_pages;    /* a */
	uint64_t nr_scanned, full_scans; /* a */
	uint64_t knobs[KSM_NR_KNOBS];    /* a */
	uint32_t changes;                /* a  of knobs; the daemon sleeps on it */
};

static inline struct ksm *sys_ksm(const struct mm_sys *sys)
{
	return sys->ksm;
}

/* ---- ksm_node.c: merged folios ------------------------------------------- */

static inline struct ksm_stable_node *folio_stable_node(const struct folio *f)
{
	return (struct ksm_stable_node *)(folio_mapping_raw(f) & ~FOLIO_MAPPING_FLAGS);
}

/* With a reference; NULL: the folio was freed, or is moving just now. */
struct folio *ksm_node_get_folio(struct ksm *k, struct ksm_stable_node *node);
/*
 * Folio locked, anonymous, mapped; the caller sees to it that nobody can store to it.
 * It is merged from here on, with one place: its own. -ENOMEM, -EAGAIN.
 */
int ksm_node_make(struct ksm *k, struct folio *f, struct mm *mm);
/* Folio locked. An ordinary anonymous folio again, if it has no place but its own. */
bool ksm_node_unmake(struct ksm *k, struct folio *f);
/*
 * Folio locked. Page @index of @av's family may map the folio from now on. *added: it
 * was not known before. -ENOMEM, -EBUSY: too many share it.
 */
int ksm_node_add_place(struct ksm *k, struct folio *f, struct mm *mm, struct anon_vma *av,
		       uint64_t index, bool *added);
/* Folio locked. Undo it: nothing there maps the folio. */
void ksm_node_drop_place(struct ksm *k, struct folio *f, struct anon_vma *av, uint64_t index);
/* scan_lock held. Forget places that can map the folio no more. */
void ksm_node_prune(struct ksm *k, struct ksm_stable_node *node);
bool ksm_node_has_room(const struct ksm *k, const struct ksm_stable_node *node);

/* ---- ksm_tree.c: scan_lock held ------------------------------------------------- */

uint64_t frame_hash(const struct mm_sys *sys, pfn_t pfn);
bool frames_equal(const struct mm_sys *sys, pfn_t a, pfn_t b);
/* A merged folio with the content of @frame and room for one more; with a reference, or NULL. */
struct folio *stable_tree_find(struct ksm *k, uint64_t hash, const struct folio *frame);
/* -ENOMEM: it is found by no search, which costs sharing only. */
int stable_tree_insert(struct ksm *k, uint64_t hash, struct ksm_stable_node *node);
/* Free what is left of folios that were freed. */
void stable_tree_reap(struct ksm *k);
/* ksm_node_prune() for all. */
void stable_tree_prune(struct ksm *k);
/* The page of this round that had the same hash; NULL: @page is in the tree now. */
struct ksm_page *unstable_tree_find(struct ksm *k, struct ksm_page *page);
void unstable_tree_erase(struct ksm *k, struct ksm_page *page);
void unstable_tree_forget(struct ksm *k);

/* ---- ksm_merge.c: scan_lock held, no other -------------------------------------- */

/*
 * mmap_lock held. The frame of a page that may be merged, or is, with a reference on
 * its folio; NULL.
 */
struct folio *ksm_get_frame(struct vma *vma, gva_t addr);
bool vma_may_merge(const struct vma *vma);
/*
 * Let @addr of @mm map @to, a merged folio, if it still maps @frame and both are equal;
 * the caller has references on both. 0; -EAGAIN, -EBUSY: not now; -ENOMEM.
 */
int ksm_merge_page(struct ksm *k, struct mm *mm, gva_t addr, struct folio *frame, struct folio *to);
/* The page becomes a merged folio with one place. As above. */
int ksm_make_stable(struct ksm *k, struct mm *mm, gva_t addr, struct folio *frame);
/*
 * Make pages of one frame of a larger folio; uses up the caller's reference. The pages
 * stay where they are mapped.
 */
void ksm_split(struct ksm *k, struct folio *f);

/* ---- ksm_scan.c ------------------------------------------------------------------ */
/* scan_lock held: forget a page; all of a process. */
void ksm_page_free(struct ksm *k, struct ksm_page *page);
void ksm_mm_forget(struct ksm *k, struct ksm_mm *owner);
/* Free what is left of folios and processes that have gone. */
void ksm_reap(struct ksm *k);
/* ksm->lock held: the process is in turn no more. */
void ksm_mm_unlink(struct ksm *k, struct ksm_mm *owner);

/* ---- ksm_unmerge.c: scan_lock held -------------------------------------------------- */
/* Everybody gets pages of his own. -ENOMEM. */
int ksm_unmerge_all(struct ksm *k);

#endif
