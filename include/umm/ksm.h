/* SPDX-License-Identifier: MIT */
/*
 * KSM: pages of equal content in areas that asked for it (MADV_MERGEABLE,
 * PR_SET_MEMORY_MERGE) share one frame, read only, until somebody stores.
 *
 * Names and meanings are those of Linux's /sys/kernel/mm/ksm. There is no shared
 * zero page here (see docs/architecture.md), so pages of zeroes are merged like
 * any others and use_zero_pages does not exist.
 */
#ifndef UMM_KSM_H
#define UMM_KSM_H

#include <umm/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ksm_run { KSM_STOP, KSM_MERGE, KSM_UNMERGE };

enum ksm_knob {
	KSM_RUN,                /* enum ksm_run */
	KSM_PAGES_TO_SCAN,      /* by the daemon, before it sleeps */
	KSM_SLEEP_MILLISECS,    /* the daemon's pause */
	KSM_MAX_PAGE_SHARING,   /* places that may share one frame, forks not counted; >= 2 */
	KSM_MERGE_ACROSS_NODES, /* 0: only pages of one node are merged */
	KSM_NR_KNOBS
};

uint64_t ksm_get(const struct mm_sys *sys, enum ksm_knob knob);
/*
 * -EINVAL: no such value; -EBUSY: max_page_sharing and merge_across_nodes change only
 * while nothing is merged. KSM_RUN = KSM_UNMERGE gives every sharer a page of its own
 * before it returns; -ENOMEM: it could not, and nothing runs. Without locks.
 */
int ksm_set(struct mm_sys *sys, enum ksm_knob knob, uint64_t value) UMM_MUST_CHECK;

/*
 * Look at the next @nr pages, of all processes in turn, and merge what is equal: at
 * most once around. Does so whatever KSM_RUN says, that is the daemon's to ask.
 * Returns how many pages it looked at. Without locks.
 */
uint64_t ksm_scan(struct mm_sys *sys, uint64_t nr);

/*
 * For the daemon, which scans while KSM_RUN says so: sleep until a setting changes after
 * ksm_changes() was read, or ksm_wake(); may return early.
 */
uint32_t ksm_changes(const struct mm_sys *sys);
void ksm_wait_change(struct mm_sys *sys, uint32_t seen);
void ksm_wake(struct mm_sys *sys);

struct ksm_stats {
	uint64_t pages_shared;   /* frames that stand for more than one page */
	uint64_t pages_sharing;  /* entries beyond one a frame: what is saved */
	uint64_t pages_unshared; /* looked at, unchanged for a round, and met no equal */
	uint64_t pages_volatile; /* changed since the round before */
	uint64_t pages_scanned, full_scans;
	uint64_t stable_node_dups; /* frames whose content another merged frame has too */
	uint64_t rmap_items;       /* pages that the scanner knows */
	int64_t general_profit;    /* bytes saved, less the bytes that this takes */
};
void ksm_get_stats(struct mm_sys *sys, struct ksm_stats *out);

/* One process, as /proc/PID/ksm_stat has it; as of the last round. */
struct ksm_mm_stats {
	uint64_t rmap_items, merging_pages;
	int64_t process_profit;
};
void ksm_get_mm_stats(struct mm *mm, struct ksm_mm_stats *out);

/*
 * prctl(PR_SET_MEMORY_MERGE): all areas that can be merged are mergeable, those to
 * come too; inherited by fork. Off: none is, and all is unmerged. -ENOMEM, half done.
 */
int mm_set_merge_any(struct mm *mm, bool on) UMM_MUST_CHECK;
bool mm_merge_any(const struct mm *mm);

#ifdef __cplusplus
}
#endif

#endif
