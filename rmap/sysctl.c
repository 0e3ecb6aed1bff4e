/* SPDX-License-Identifier: MIT */
/*
 * Settings that programs read and write below /proc/sys/vm, and overcommit.
 *
 * What is promised: the pages of all areas with VM_ACCOUNT (private memory that may be
 * stored to and was not asked for with MAP_NORESERVE), counted where areas are counted
 * (mm_account()), and those of shared memory, counted by object. A promise is looked at
 * before it is made; calls of several processes at once may together go beyond the limit
 * by what they ask for, as with Linux's per-processor counters. What Linux keeps for
 * administrators (admin_reserve_kbytes) is not kept: who may do more is the guest's matter.
 */
#include <umm/sysctl.h>
#include "rmap/vma.h"

#define KIB_PAGES(kib) ((kib) / (UMM_PAGE_SIZE / 1024))
#define PAGES_KIB(nr)  ((nr) * (UMM_PAGE_SIZE / 1024))

static uint64_t all_frames(const struct mm_sys *sys)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		all += node_limit(&sys->nodes[i]);
	return all;
}

void sysctl_init(struct mm_sys *sys)
{
	uint64_t reserve = PAGES_KIB(all_frames(sys)) / 32;

	sys->settings[SYSCTL_OVERCOMMIT_RATIO] = 50;
	sys->settings[SYSCTL_USER_RESERVE_KBYTES] = reserve < 131072 ? reserve : 131072;
	sys->settings[SYSCTL_MAX_MAP_COUNT] = MAX_MAP_COUNT;
	sys->settings[SYSCTL_MMAP_MIN_ADDR] = MMAP_MIN_ADDR;
	sys->settings[SYSCTL_SWAPPINESS] = SWAPPINESS_EQUAL;
	sys->settings[SYSCTL_PAGE_CLUSTER] = (uint64_t)__builtin_ctz(SWAP_READ_MAX);
}

uint64_t sysctl_value(const struct mm_sys *sys, enum vm_setting s)
{
	return __atomic_load_n(&sys->settings[s], __ATOMIC_RELAXED);
}

uint64_t mm_sysctl_get(const struct mm_sys *sys, enum vm_setting s)
{
	uint64_t sum = 0;

	if (s != SYSCTL_MIN_FREE_KBYTES)
		return sysctl_value(sys, s);
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		sum += __atomic_load_n(&sys->nodes[i].wmark[WMARK_MIN], __ATOMIC_RELAXED);
	return PAGES_KIB(sum);
}

static bool in_range(enum vm_setting s, uint64_t value)
{
	switch (s) {
	case SYSCTL_OVERCOMMIT_MEMORY:
		return value <= 2;
	case SYSCTL_SWAPPINESS:
		return value <= 2 * SWAPPINESS_EQUAL;
	case SYSCTL_PAGE_CLUSTER:
		return value <= 31;
	case SYSCTL_OVERCOMMIT_RATIO:
	case SYSCTL_MAX_MAP_COUNT:
	case SYSCTL_MIN_FREE_KBYTES:
		return value <= INT32_MAX;
	default:
		return true;
	}
}

static void store(struct mm_sys *sys, enum vm_setting s, uint64_t value)
{
	__atomic_store_n(&sys->settings[s], value, __ATOMIC_RELAXED);
}

int mm_sysctl_set(struct mm_sys *sys, enum vm_setting s, uint64_t value)
{
	if (!in_range(s, value))
		return -EINVAL;
	/* Linux keeps it page-aligned, and addresses end somewhere. */
	if (s == SYSCTL_MMAP_MIN_ADDR)
		value = value < UMM_TASK_SIZE ? page_align_up(value) : UMM_TASK_SIZE;
	store(sys, s, value);
	if (s == SYSCTL_OVERCOMMIT_RATIO)
		store(sys, SYSCTL_OVERCOMMIT_KBYTES, 0);
	if (s == SYSCTL_OVERCOMMIT_KBYTES && value)
		store(sys, SYSCTL_OVERCOMMIT_RATIO, 0);
	for (unsigned int i = 0; s == SYSCTL_MIN_FREE_KBYTES && i < sys->nr_nodes; i++)
		watermarks_set(sys, &sys->nodes[i]);
	return 0;
}

/* ---- overcommit ------------------------------------------------------------------------- */

uint64_t mm_commit_limit(const struct mm_sys *sys)
{
	uint64_t kbytes = sysctl_value(sys, SYSCTL_OVERCOMMIT_KBYTES);
	uint64_t ratio = sysctl_value(sys, SYSCTL_OVERCOMMIT_RATIO);
	struct swap_info swap;

	swap_get_info((struct mm_sys *)sys, &swap);
	return swap.nr_slots + (kbytes ? KIB_PAGES(kbytes) : all_frames(sys) * ratio / 100);
}

uint64_t mm_committed(const struct mm_sys *sys)
{
	int64_t nr = __atomic_load_n(&sys->committed, __ATOMIC_RELAXED);

	return nr > 0 ? (uint64_t)nr : 0;
}

void sys_commit(struct mm_sys *sys, int64_t pages)
{
	__atomic_fetch_add(&sys->committed, pages, __ATOMIC_RELAXED);
}

bool mm_overcommit_ok(const struct mm *mm, uint64_t pages)
{
	const struct mm_sys *sys = mm->sys;
	uint64_t mode = sysctl_value(sys, SYSCTL_OVERCOMMIT_MEMORY), limit, reserve;
	struct swap_info swap;

	if (mode == 1)
		return true;
	if (mode == 0) {
		swap_get_info(mm->sys, &swap);
		return pages <= all_frames(sys) + swap.nr_slots;
	}
	/* So that who has most of it leaves room for somebody to end it. */
	reserve = KIB_PAGES(sysctl_value(sys, SYSCTL_USER_RESERVE_KBYTES));
	if (reserve > mm->total_vm / 32)
		reserve = mm->total_vm / 32;
	limit = mm_commit_limit(sys);
	return limit > reserve && pages < limit - reserve &&
	       mm_committed(sys) + pages < limit - reserve;
}

bool overcommit_never(const struct mm_sys *sys)
{
	return sysctl_value(sys, SYSCTL_OVERCOMMIT_MEMORY) == 2;
}

int mapping_create_shmem(struct mm *mm, uint64_t size, bool reserve, struct address_space **out)
{
	uint64_t pages = page_align_up(size) >> UMM_PAGE_SHIFT;
	int ret;

	if (reserve && !mm_overcommit_ok(mm, pages))
		return -ENOMEM;
	ret = mapping_create(mm->sys, NULL, NULL, size, out);
	if (!ret && reserve) {
		(*out)->committed = pages;
		sys_commit(mm->sys, (int64_t)pages);
	}
	return ret;
}

/* ---- drop_caches -------------------------------------------------------------------------- */

/* The file's cache that comes after @prev, whose reference is dropped; NULL: no more. */
static struct address_space *next_file(struct mm_sys *sys, struct address_space *prev)
{
	struct address_space *found = NULL, *m;
	struct list_head *at;

	umm_mutex_lock(&sys->mappings_lock);
	at = prev ? prev->all.next : sys->mappings.next;
	for (; at != &sys->mappings && !found; at = at->next) {
		m = container_of(at, struct address_space, all);
		if (m->ops && mapping_try_get(m))
			found = m;
	}
	umm_mutex_unlock(&sys->mappings_lock);
	if (prev)
		mapping_put(prev);
	return found;
}

uint64_t mm_drop_caches(struct mm_sys *sys)
{
	struct address_space *m = NULL;
	uint64_t dropped = 0;

	while ((m = next_file(sys, m))) {
		uint64_t before = mapping_nr_cached(m), after;

		mapping_invalidate(m);
		after = mapping_nr_cached(m);
		dropped += before > after ? before - after : 0;
	}
	return dropped;
}
