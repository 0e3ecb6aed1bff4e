/* SPDX-License-Identifier: MIT */
/*
 * What Linux's /proc/PID/pagemap tells of the pages of a process, and what
 * /proc/PID/clear_refs clears of them. Layouts and numbers are Linux's
 * (Documentation/admin-guide/mm/pagemap.rst and soft-dirty.rst).
 */
#ifndef UMM_PAGEMAP_H
#define UMM_PAGEMAP_H

#include <umm/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One page's 64 bits. */
#define PM_PFRAME_MASK    ((1ul << 55) - 1) /* present: the frame; swapped: type, offset << 5 */
#define PM_SWAP_SHIFT     5
#define PM_SOFT_DIRTY     (1ul << 55)
#define PM_MMAP_EXCLUSIVE (1ul << 56) /* no other entry maps the frame */
#define PM_FILE           (1ul << 61) /* of a file, or of shared memory */
#define PM_SWAP           (1ul << 62)
#define PM_PRESENT        (1ul << 63)

/*
 * The bits of @nr pages from @addr (page-aligned, in user space) on; 0 where no area
 * is. @pfns: with frame numbers and swap slots. Takes mmap_lock for reading, for 2 MiB
 * at a time, so what it tells is of one moment only within these.
 */
void mm_pagemap(struct mm *mm, gva_t addr, uint64_t nr, bool pfns, uint64_t *out);

/* What only mm_pagemap_scan() tells, in bits that are free. */
#define PM_SCAN_TABLE (1ul << 58) /* tables reach to here, and it may have been written */
#define PM_SCAN_AREA  (1ul << 59)
#define PM_SCAN_HUGE  (1ul << 60) /* one entry maps all 2 MiB */

/*
 * For the ioctl PAGEMAP_SCAN: the bits, without frame numbers, of the pages from the first
 * area at or above @addr on, which is returned, up to @end (both page-aligned, in user
 * space) and no further than the next 2 MiB. *nr: how many; 0: there is no area. @out has
 * room for PM_SCAN_MAX.
 */
#define PM_SCAN_MAX 512u
gva_t mm_pagemap_scan(struct mm *mm, gva_t addr, gva_t end, uint64_t *out, uint64_t *nr);

/* What is written to clear_refs. */
enum clear_refs {
	CLEAR_REFS_ALL = 1,        /* references of all pages ... */
	CLEAR_REFS_ANON = 2,       /* ... of areas without an object */
	CLEAR_REFS_MAPPED = 3,     /* ... of the others */
	CLEAR_REFS_SOFT_DIRTY = 4, /* from now on pages count as not written */
	CLEAR_REFS_PEAK_RSS = 5,   /* VmHWM is what is resident now */
};

/* 0, or -EINVAL for another number. Takes mmap_lock, for one area at a time. */
int mm_clear_refs(struct mm *mm, int what) UMM_MUST_CHECK;

/* ---- frames ----------------------------------------------------------------------------- */

/* One past the last frame of the last node. */
pfn_t mm_sys_end_pfn(const struct mm_sys *sys);
/*
 * /proc/kpageflags and kpagecount of one frame, as it is just now: KPF_* bits
 * (linux/kernel-page-flags.h), and how many entries map it. No frame: KPF_NOPAGE, 0.
 */
uint64_t mm_page_flags(const struct mm_sys *sys, pfn_t pfn);
uint64_t mm_page_count(const struct mm_sys *sys, pfn_t pfn);

/*
 * /sys/kernel/mm/page_idle/bitmap: @nr words for 64 frames each, from @first on, the
 * lowest bit first. A bit that is set means a folio of the reclaim policy's, at its first
 * frame, which nobody used since it was last marked idle. Marking zaps, once a call, so
 * that with shadow paging the next use is seen; looking does not.
 */
void mm_page_idle_read(struct mm_sys *sys, pfn_t first, uint64_t *words, unsigned int nr);
void mm_page_idle_mark(struct mm_sys *sys, pfn_t first, const uint64_t *words, unsigned int nr);

#ifdef __cplusplus
}
#endif

#endif
