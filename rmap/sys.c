/* SPDX-License-Identifier: MIT */
/* The life of a memory system, and its counters. */
#include "rmap/internal.h"

static int check_config(const struct mm_sys_config *c)
{
	if (!c->ops || !c->nr_nodes || c->nr_nodes > UMM_MAX_NODES || c->nr_tables < 8 ||
	    !c->table_hva || c->fault_around > UMM_PTRS_PER_TABLE || c->copy_around > 8 ||
	    (c->copy_around & (c->copy_around - 1)))
		return -EINVAL;
	for (unsigned int i = 0; i < c->nr_nodes; i++) {
		const struct mm_node_config *n = &c->nodes[i];

		if (!n->hva || !n->nr_frames || n->nr_frames % UMM_PTRS_PER_TABLE ||
		    n->base.v % UMM_PTRS_PER_TABLE)
			return -EINVAL;
	}
	return 0;
}

int mm_sys_create(const struct mm_sys_config *config, struct mm_sys **out)
{
	struct mm_sys *sys;
	int ret = check_config(config);

	if (ret)
		return ret;
	sys = config->ops->alloc(config->ctx, sizeof(*sys));
	if (!sys)
		return -ENOMEM;
	sys->ops = config->ops;
	sys->ctx = config->ctx;
	sys->config = *config;
	sys->nr_nodes = config->nr_nodes;
	memcpy(sys->thp, config->thp, sizeof(sys->thp));
	sys->watermark_scale = config->watermark_scale ? config->watermark_scale
						       : WATERMARK_SCALE_DEFAULT;
	if (!sys->config.fault_around)
		sys->config.fault_around = UMM_PTRS_PER_TABLE;
	umm_mutex_init(&sys->mms_lock, LOCK_MMS);
	umm_mutex_init(&sys->mappings_lock, LOCK_LEAF);
	umm_mutex_init(&sys->anon_cache_lock, LOCK_LEAF);
	umm_rwlock_init(&sys->work_lock, LOCK_WORK);
	pressure_init(&sys->pressure);
	list_init(&sys->mms);
	list_init(&sys->mappings);
	ret = frames_init(sys);
	if (ret)
		goto fail_frames;
	sysctl_init(sys);
	ret = policies_init(sys);
	if (ret)
		goto fail_policies;
	ret = pgtable_init(sys);
	if (ret)
		goto fail_tables;
	ret = swap_init(sys);
	if (ret)
		goto fail_swap;
	ret = placement_init(sys);
	if (ret)
		goto fail_placement;
	ret = ksm_init(sys);
	if (ret)
		goto fail_ksm;
	*out = sys;
	return 0;

fail_ksm:
	placement_destroy(sys);
fail_placement:
	swap_destroy(sys);
fail_swap:
	pgtable_destroy(sys);
fail_tables:
	policies_destroy(sys);
fail_policies:
	frames_destroy(sys);
fail_frames:
	sys_free(sys, sys, sizeof(*sys));
	return ret;
}

void mm_sys_destroy(struct mm_sys *sys)
{
	if (!sys)
		return;
	mm_assert(list_empty(&sys->mms) && list_empty(&sys->mappings));
	ksm_destroy(sys);
	anon_vma_cache_destroy(sys);
	placement_destroy(sys);
	swap_destroy(sys);
	pgtable_destroy(sys);
	policies_destroy(sys);
	frames_destroy(sys);
	umm_rwlock_destroy(&sys->work_lock);
	pressure_destroy(&sys->pressure);
	umm_mutex_destroy(&sys->anon_cache_lock);
	umm_mutex_destroy(&sys->mappings_lock);
	umm_mutex_destroy(&sys->mms_lock);
	sys_free(sys, sys, sizeof(*sys));
}

static const char *const event_names[EV_NR] = {
	[EV_FAULT] = "fault",
	[EV_FAULT_ANON] = "fault_anon",
	[EV_FAULT_FILE] = "fault_file",
	[EV_FAULT_SWAP] = "fault_swap",
	[EV_FAULT_COW] = "fault_cow",
	[EV_FAULT_WAIT_MIGRATION] = "fault_wait_migration",
	[EV_FRAMES_MAPPED] = "frames_mapped",
	[EV_ZAP_CALLS] = "zap_calls",
	[EV_ZAP_RANGES] = "zap_ranges",
	[EV_ZAP_FRAMES] = "zap_frames",
	[EV_TABLE_FLUSH] = "table_flush",
	[EV_PGSCAN] = "pgscan",
	[EV_PGSTEAL] = "pgsteal",
	[EV_PGSCAN_KSWAPD] = "pgscan_kswapd",
	[EV_PGSCAN_DIRECT] = "pgscan_direct",
	[EV_PGSTEAL_KSWAPD] = "pgsteal_kswapd",
	[EV_PGSTEAL_DIRECT] = "pgsteal_direct",
	[EV_PAGEOUTRUN] = "pageoutrun",
	[EV_KSWAPD_LOW_HIT] = "kswapd_low_wmark_hit_quickly",
	[EV_KSWAPD_HIGH_HIT] = "kswapd_high_wmark_hit_quickly",
	[EV_PGSWAPIN] = "pswpin",
	[EV_PGSWAPOUT] = "pswpout",
	[EV_PGSWAP_ZERO] = "pswp_zero",
	[EV_PGFILE_READ] = "file_read",
	[EV_PGFILE_WRITE] = "file_write",
	[EV_MIGRATE_OK] = "pgmigrate_success",
	[EV_MIGRATE_FAIL] = "pgmigrate_fail",
	[EV_RMAP_WALKS] = "rmap_walks",
	[EV_RMAP_VISITS] = "rmap_visits",
	[EV_DIRECT_RECLAIM] = "allocstall",
	[EV_OOM] = "oom",
	[EV_DISCARDED] = "discarded",
	[EV_NUMA_PTE_UPDATES] = "numa_pte_updates",
	[EV_NUMA_HINT_FAULTS] = "numa_hint_faults",
	[EV_NUMA_HINT_FAULTS_LOCAL] = "numa_hint_faults_local",
	[EV_NUMA_PAGES_MIGRATED] = "numa_pages_migrated",
	[EV_PGPROMOTE_CANDIDATE] = "pgpromote_candidate",
	[EV_PGPROMOTE_SUCCESS] = "pgpromote_success",
	[EV_PGDEMOTE_KSWAPD] = "pgdemote_kswapd",
	[EV_PGDEMOTE_DIRECT] = "pgdemote_direct",
	[EV_THP_FAULT_ALLOC] = "thp_fault_alloc",
	[EV_THP_FAULT_FALLBACK] = "thp_fault_fallback",
	[EV_THP_COLLAPSE_ALLOC] = "thp_collapse_alloc",
	[EV_THP_COLLAPSE_FAILED] = "thp_collapse_alloc_failed",
	[EV_THP_SPLIT_PMD] = "thp_split_pmd",
	[EV_THP_SPLIT_FOLIO] = "thp_split_page",
	[EV_MEMORY_FAILURE] = "memory_failure",
	[EV_KSM_MERGE] = "ksm_merge",
	[EV_KSM_COW] = "cow_ksm",
	[EV_KSM_SWPIN_COPY] = "ksm_swpin_copy",
	[EV_WORKINGSET_REFAULT_ANON] = "workingset_refault_anon",
	[EV_WORKINGSET_REFAULT_FILE] = "workingset_refault_file",
	[EV_WORKINGSET_DISTANCE] = "workingset_refault_distance",
	[EV_WORKINGSET_ACTIVATE_ANON] = "workingset_activate_anon",
	[EV_WORKINGSET_ACTIVATE_FILE] = "workingset_activate_file",
	[EV_POLICY_LOOKED] = "policy_looked",
	[EV_POLICY_YOUNG] = "policy_young",
};

const char *mm_event_name(enum mm_event ev)
{
	return ev < EV_NR ? event_names[ev] : NULL;
}

uint64_t mm_sys_event(const struct mm_sys *sys, enum mm_event ev)
{
	return __atomic_load_n(&sys->events[ev], __ATOMIC_RELAXED);
}

int64_t mm_sys_objects(const struct mm_sys *sys, enum mm_object obj)
{
	return __atomic_load_n(&sys->objects[obj], __ATOMIC_RELAXED);
}

unsigned int mm_sys_nr_nodes(const struct mm_sys *sys)
{
	return sys->nr_nodes;
}

unsigned int mm_sys_node_distance(const struct mm_sys *sys, int from, int to)
{
	return sys->ops->node_distance(sys->ctx, from, to);
}

enum mm_node_state mm_node_state(const struct mm_sys *sys, int node)
{
	return __atomic_load_n(&sys->nodes[node].state, __ATOMIC_RELAXED);
}

static uint64_t at_least_zero(const int64_t *counter)
{
	int64_t v = __atomic_load_n(counter, __ATOMIC_RELAXED);

	return v > 0 ? (uint64_t)v : 0;
}

void mm_sys_node_info(const struct mm_sys *sys, int node, struct mm_node_info *out)
{
	const struct mm_node *n = &sys->nodes[node];
	uint64_t free = node_nr_free(n), limit = node_limit(n);
	enum mm_node_state state = mm_node_state(sys, node);

	*out = (struct mm_node_info){
		.state = state,
		.base = n->base,
		.present = n->nr_frames,
		.nr_frames = state == MM_NODE_ONLINE ? limit : limit - free,
		.free = state == MM_NODE_ONLINE ? free : 0,
		.wmark_min = __atomic_load_n(&n->wmark[WMARK_MIN], __ATOMIC_RELAXED),
		.wmark_low = __atomic_load_n(&n->wmark[WMARK_LOW], __ATOMIC_RELAXED),
		.wmark_high = __atomic_load_n(&n->wmark[WMARK_HIGH], __ATOMIC_RELAXED),
		.anon = at_least_zero(&n->nr_anon),
		.anon_huge = at_least_zero(&n->nr_anon_leaves) << UMM_PMD_ORDER,
		.file = at_least_zero(&n->nr_file),
		.shmem = at_least_zero(&n->nr_shmem),
		.mlocked = at_least_zero(&n->nr_mlocked),
		.stat = {
			.hit = __atomic_load_n(&n->stat.hit, __ATOMIC_RELAXED),
			.miss = __atomic_load_n(&n->stat.miss, __ATOMIC_RELAXED),
			.foreign = __atomic_load_n(&n->stat.foreign, __ATOMIC_RELAXED),
			.interleave = __atomic_load_n(&n->stat.interleave, __ATOMIC_RELAXED),
			.local = __atomic_load_n(&n->stat.local, __ATOMIC_RELAXED),
			.other = __atomic_load_n(&n->stat.other, __ATOMIC_RELAXED),
		},
	};
}
