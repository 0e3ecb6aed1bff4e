/* SPDX-License-Identifier: MIT */
/*
 * What Linux's /proc/sys/vm sets, and the memory that is promised (overcommit). Names,
 * units and defaults are Linux's (Documentation/admin-guide/sysctl/vm.rst and
 * Documentation/mm/overcommit-accounting.rst).
 */
#ifndef UMM_SYSCTL_H
#define UMM_SYSCTL_H

#include <umm/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vm_setting {
	SYSCTL_OVERCOMMIT_MEMORY, /* 0: refuse what could never be; 1: nothing; 2: beyond the limit */
	SYSCTL_OVERCOMMIT_RATIO,    /* percent of memory that the limit has, beside swap ... */
	SYSCTL_OVERCOMMIT_KBYTES,   /* ... or this much, if not 0; setting one clears the other */
	SYSCTL_USER_RESERVE_KBYTES, /* what mode 2 keeps free of a process that has most */
	SYSCTL_MAX_MAP_COUNT,       /* areas of a process */
	SYSCTL_MMAP_MIN_ADDR,       /* bytes */
	SYSCTL_MIN_FREE_KBYTES,     /* min watermarks of all nodes together */
	/*
	 * 0..200: of pages that could go, those of swap are taken this often, those of files 200
	 * less this, the more frequent of them always. Only where nobody named what to reclaim,
	 * and not when there is nothing else. 100 is the default: both as they come.
	 */
	SYSCTL_SWAPPINESS,
	SYSCTL_PAGE_CLUSTER, /* power of two of the pages that a swap-in may read; at most 6 */
	SYSCTL_NR
};

/* Any thread. -EINVAL: not in Linux's range. A change acts on the next call. */
uint64_t mm_sysctl_get(const struct mm_sys *sys, enum vm_setting s);
int mm_sysctl_set(struct mm_sys *sys, enum vm_setting s, uint64_t value) UMM_MUST_CHECK;

/* Pages: the limit of mode 2, and what is promised (Committed_AS). */
uint64_t mm_commit_limit(const struct mm_sys *sys);
uint64_t mm_committed(const struct mm_sys *sys);

/*
 * Shared memory of @size bytes, as mapping_create() makes it; all of it is promised, as
 * long as it lives, if @reserve. -ENOMEM: more than may be.
 */
int mapping_create_shmem(struct mm *mm, uint64_t size, bool reserve,
			 struct address_space **out) UMM_MUST_CHECK;

/* Clean pages of files that nobody maps leave the cache. Frames. */
uint64_t mm_drop_caches(struct mm_sys *sys);

#ifdef __cplusplus
}
#endif

#endif
