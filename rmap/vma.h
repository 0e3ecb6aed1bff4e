/* SPDX-License-Identifier: MIT */
/* What the files that manage areas share among themselves; the rest is in internal.h. */
#ifndef RMAP_VMA_H
#define RMAP_VMA_H

#include "rmap/internal.h"

/* Linux's defaults: stack_guard_gap, vm.mmap_min_addr, vm.max_map_count (rmap/sysctl.c). */
#define STACK_GUARD_GAP (256ul << UMM_PAGE_SHIFT)
#define MMAP_MIN_ADDR   0x10000ul
#define MAX_MAP_COUNT   65530u

#define VM_LOCKED_MASK (VM_LOCKED | VM_LOCKONFAULT)
#define VM_MAY_FLAGS   (VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)

/* Faults publish it while mmap_lock is held for reading only. */
static inline struct anon_vma *vma_anon_vma(const struct vma *vma)
{
	return __atomic_load_n(&vma->anon_vma, __ATOMIC_ACQUIRE);
}

static inline gva_t gva_min(gva_t a, gva_t b)
{
	return a.v < b.v ? a : b;
}

/* ---- vma_tree.c: mmap_lock held, writing where something changes -------- */

/* Where the area begins for its neighbours below: a stack keeps a gap free. */
uint64_t vma_start_gap(const struct vma *vma);
/* start, end or VM_GROWSDOWN changed: the figures of the tree follow. */
void vma_tree_refresh(struct vma *vma);
/* A hole of @len bytes in [low, high), the highest (or lowest) one. -ENOMEM. */
int vma_gap_topdown(struct mm *mm, uint64_t len, uint64_t low, uint64_t high, gva_t *out);
int vma_gap_bottomup(struct mm *mm, uint64_t len, uint64_t low, uint64_t high, gva_t *out);

/* ---- vma.c: mmap_lock held for writing ---------------------------------- */

/* A copy of @vma, linked nowhere, without its anon_vma: another mm's or another place's. */
struct vma *vma_dup(const struct vma *vma, struct mm *mm);
/* @high begins where @low ends, in addresses and in the same object. */
bool vma_contiguous(const struct vma *low, const struct vma *high);
/* New bounds for a linked area, in all trees at once. */
void vma_set_range(struct vma *vma, gva_t start, gva_t end, pgoff_t pgoff);
void vma_set_flags(struct vma *vma, uint64_t flags);
/* vma_split() without the limit on the number of areas: one of the halves goes at once. */
int vma_split_nolimit(struct vma *vma, gva_t addr, struct vma **tail);
/*
 * Split as needed so that *vma, which contains @start, covers no byte outside
 * [start, end). -ENOMEM leaves whole areas, some perhaps split.
 */
int vma_carve(struct vma **vma, gva_t start, gva_t end);
/*
 * The part of *vma inside [start, end) gets @flags: split off, changed, counted
 * and joined with its neighbours. *vma is the area that has it now.
 */
int vma_change_flags(struct vma **vma, gva_t start, gva_t end, uint64_t flags);

/* ---- mseal.c: mmap_lock held -------------------------------------------- */

static inline bool vma_sealed(const struct vma *vma)
{
	return vma->flags & VM_SEALED;
}

/* Any area in [start, end) is sealed. */
bool range_sealed(struct mm *mm, gva_t start, gva_t end);
/* @advice would lose content that the program itself may not change. */
bool advice_sealed(const struct vma *vma, int advice);

/* ---- account.c: figures and limits; mmap_lock held ---------------------- */

void mm_account(struct mm *mm, uint64_t vm_flags, int64_t pages);
/* RLIMIT_AS and RLIMIT_DATA leave room for @pages more. */
bool mm_may_expand(const struct mm *mm, uint64_t vm_flags, uint64_t pages);
/* RLIMIT_MEMLOCK: locking at all; locking @pages more with these flags. */
bool mm_may_lock(const struct mm *mm);
bool mm_lock_limit_ok(const struct mm *mm, uint64_t vm_flags, uint64_t pages);
/* Private memory that may be written counts as a promise of frames. */
bool vm_accountable(uint64_t vm_flags);

/* ---- sysctl.c -------------------------------------------------------------- */

/* May so much more be promised? By overcommit_memory. */
bool mm_overcommit_ok(const struct mm *mm, uint64_t pages);
/* Mode 2, in which MAP_NORESERVE means nothing. */
bool overcommit_never(const struct mm_sys *sys);
static inline uint32_t max_map_count(const struct mm *mm)
{
	return (uint32_t)sysctl_value(mm->sys, SYSCTL_MAX_MAP_COUNT);
}
static inline uint64_t mmap_min_addr(const struct mm *mm)
{
	return sysctl_value(mm->sys, SYSCTL_MMAP_MIN_ADDR);
}

/* ---- place.c ------------------------------------------------------------- */

/*
 * Where @len bytes (page-aligned, not 0) go: at @hint with MAP_FIXED, at or
 * near it without. -ENOMEM; -EINVAL, -EPERM for a bad fixed place.
 */
int vma_find_place(struct mm *mm, gva_t hint, uint64_t len, int map_flags, gva_t *out);
/* The same; without a hint, areas of whole 2 MiB are aligned to them, as on Linux. */
int vma_find_huge_place(struct mm *mm, gva_t hint, uint64_t len, int map_flags, gva_t *out);

/* ---- anon_vma.c ---------------------------------------------------------- */

static inline struct anon_vma *anon_vma_root(const struct anon_vma *av)
{
	return __atomic_load_n(&av->root, __ATOMIC_ACQUIRE);
}

/* One reference, no area, its own root and parent. NULL: no memory. */
struct anon_vma *anon_vma_alloc(struct mm_sys *sys);

/* ---- anon_chain.c: mmap_lock held for writing ------------------------------ */

/* Root lock held for writing: out of, and into, the trees of its whole chain. */
void anon_vma_trees_remove(struct vma *vma);
void anon_vma_trees_insert(struct vma *vma);
bool anon_vma_chain_singular(const struct vma *vma);
void anon_vma_chain_drop(struct vma *vma);

/* ---- mlock.c -------------------------------------------------------------- */

/* No lock held: fault in what is locked in [start, end), past holes. First error. */
int populate_locked(struct mm *mm, gva_t start, gva_t end);

/* ---- willneed.c: no lock held -------------------------------------------- */

/* MADV_POPULATE_*: -ENOMEM at a hole, -EINVAL where the area does not allow it. */
int populate_checked(struct mm *mm, gva_t start, gva_t end, bool write);
/* MADV_WILLNEED; @write means nothing. Always 0: a hint. */
int readahead_range(struct mm *mm, gva_t start, gva_t end, bool write);

/* ---- punch.c: no lock held ------------------------------------------------ */

/* MADV_REMOVE; @write means nothing. */
int punch_range(struct mm *mm, gva_t start, gva_t end, bool write);

#endif
