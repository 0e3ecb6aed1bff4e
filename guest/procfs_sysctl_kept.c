/* SPDX-License-Identifier: MIT */
/*
 * The files of /proc/sys/vm that set what the memory manager has not, so that who reads one finds
 * what was written to it, and never what the host has: a value of the guest's own, with Linux's
 * range and default (Documentation/admin-guide/sysctl/vm.rst). Those that act all the same do it
 * where the value is asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "guest/procfs.h"
#include "guest/task.h"

/* The comments are the notes of docs/linux-abi.md; the order is that of enum sysctl_kept. */
static const struct kept_file {
	const char *name;
	int64_t min, max, first;
	mode_t mode;
} kept_files[] = {
	/* kept, has no effect: in overcommit mode 2 the privileged are bound like everybody */
	{ "admin_reserve_kbytes", 0, INT64_MAX, 8192, 0644 },
	/* kept, has no effect: locked pages are moved, as with 1 */
	{ "compact_unevictable_allowed", 0, 1, 1, 0644 },
	/* kept, has no effect: nothing compacts before somebody asks for it */
	{ "compaction_proactiveness", 0, 100, 20, 0644 },
	/* kept, and takes dirty_background_ratio's place; no effect: nothing writes pages of files
	 * before msync, reclaim or the end of their mapping does */
	{ "dirty_background_bytes", 1, INT64_MAX, 0, 0644 },
	/* kept, has no effect, as dirty_background_bytes */
	{ "dirty_background_ratio", 0, 100, 10, 0644 },
	/* kept, has no effect: nobody is held up for pages that are not yet written */
	{ "dirty_bytes", 2 * UMM_PAGE_SIZE, INT64_MAX, 0, 0644 },
	/* kept, has no effect: the host writes files when it does */
	{ "dirty_expire_centisecs", 0, INT_MAX, 3000, 0644 },
	/* kept, has no effect, as dirty_bytes */
	{ "dirty_ratio", 0, 100, 20, 0644 },
	/* kept, has no effect, as dirty_expire_centisecs */
	{ "dirty_writeback_centisecs", INT_MIN, INT_MAX, 500, 0644 },
	/* kept, has no effect, as dirty_expire_centisecs */
	{ "dirtytime_expire_seconds", 0, INT_MAX, 43200, 0644 },
	/* kept, has no effect: what cannot be had in one piece is had in pages */
	{ "extfrag_threshold", 0, 1000, 500, 0644 },
	/* kept, has no effect: there are no huge pages to be had by shmget */
	{ "hugetlb_shm_group", INT_MIN, INT_MAX, 0, 0644 },
	/* kept, has no effect: there is no disk that could rest */
	{ "laptop_mode", INT_MIN, INT_MAX, 0, 0644 },
	/* kept, has no effect: areas go downwards from the stack, as with 0 */
	{ "legacy_va_layout", 0, INT_MAX, 0, 0644 },
	/* acts: 0, 1, 2 on what memfd_create is not told */
	{ "memfd_noexec", 0, 2, 0, 0644 },
	/* kept, has no effect, as zone_reclaim_mode */
	{ "min_slab_ratio", 0, 100, 5, 0644 },
	/* kept, has no effect, as zone_reclaim_mode */
	{ "min_unmapped_ratio", 0, 100, 1, 0644 },
	/* kept, has no effect: addresses are the same in each run */
	{ "mmap_rnd_bits", 28, 32, 28, 0600 },
	/* kept, has no effect, as mmap_rnd_bits */
	{ "mmap_rnd_compat_bits", 8, 16, 8, 0600 },
	/* kept, has no effect: none can be had, however many are wanted */
	{ "nr_overcommit_hugepages", 0, INT64_MAX, 0, 0644 },
	/* kept, has no effect: the counts of numastat go on */
	{ "numa_stat", 0, 1, 1, 0644 },
	/* kept, has no effect: one line on standard error tells who was killed, as with 0 */
	{ "oom_dump_tasks", INT_MIN, INT_MAX, 1, 0644 },
	/* acts: who asked for memory is killed, if it may be */
	{ "oom_kill_allocating_task", INT_MIN, INT_MAX, 0, 0644 },
	/* kept, has no effect: locks of pages are not handed over in that way */
	{ "page_lock_unfairness", 0, INT_MAX, 5, 0644 },
	/* kept, has no effect: there is no kernel that could panic */
	{ "panic_on_oom", 0, 2, 0, 0644 },
	/* kept, has no effect: there are no lists of free pages by processor; 0, or 8 and more */
	{ "percpu_pagelist_high_fraction", 0, INT_MAX, 0, 0644 },
	/* kept, has no effect: counts are made when they are read */
	{ "stat_interval", 0, INT_MAX / 1000, 1, 0644 },
	/* kept, has no effect: there is no userfaultfd */
	{ "unprivileged_userfaultfd", 0, 1, 0, 0644 },
	/* kept, has no effect: names and inodes are in the host's memory */
	{ "vfs_cache_pressure", 0, INT_MAX, 100, 0644 },
	/* kept, has no effect: watermarks stay where watermark_scale_factor has them */
	{ "watermark_boost_factor", 0, INT_MAX, 15000, 0644 },
	/* kept, has no effect: the next node is asked before anything is reclaimed, as with 0 */
	{ "zone_reclaim_mode", 0, INT_MAX, 0, 0644 },
};

_Static_assert(sizeof(kept_files) / sizeof(*kept_files) == KEPT_NR, "one for each");

void sysctl_kept_init(struct sysctls_kept *s)
{
	static const int32_t ratios[LOWMEM_RATIOS] = { 256, 256, 32, 0, 0 };

	for (int i = 0; i < KEPT_NR; i++)
		s->value[i] = kept_files[i].first;
	memcpy(s->lowmem_ratio, ratios, sizeof(ratios));
}

static void keep(struct sysctls_kept *s, enum sysctl_kept which, int64_t value)
{
	__atomic_store_n(&s->value[which], value, __ATOMIC_RELAXED);
}

/* ---- one number ------------------------------------------------------------------------------ */

static int show_kept(struct task *t, const struct proc_name *n, FILE *out)
{
	fprintf(out, "%" PRId64 "\n", sysctl_kept(&t->g->sysctls, (enum sysctl_kept)n->number));
	return 0;
}

/* Of the two ways to say how much, only the last one that was used counts. */
static void clear_other_way(struct sysctls_kept *s, enum sysctl_kept which)
{
	static const enum sysctl_kept ways[][2] = {
		{ KEPT_DIRTY_BACKGROUND_BYTES, KEPT_DIRTY_BACKGROUND_RATIO },
		{ KEPT_DIRTY_BYTES, KEPT_DIRTY_RATIO },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		for (int k = 0; k < 2; k++)
			if (ways[i][k] == which)
				keep(s, ways[i][!k], 0);
}

static int store_kept(struct task *t, const struct proc_name *n, const char *text)
{
	enum sysctl_kept which = (enum sysctl_kept)n->number;
	const struct kept_file *f = &kept_files[which];
	int64_t value;
	int r = procfs_parse_signed(text, &value);

	if (r)
		return r;
	if (value < f->min || value > f->max)
		return -EINVAL;
	if (which == KEPT_PERCPU_HIGH_FRACTION && value && value < 8)
		return -EINVAL;
	if (value != sysctl_kept(&t->g->sysctls, which))
		clear_other_way(&t->g->sysctls, which);
	keep(&t->g->sysctls, which, value);
	return 0;
}

/* ---- what is no single number ------------------------------------------------------------------ */

static int show_lowmem(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	for (int i = 0; i < LOWMEM_RATIOS; i++)
		fprintf(out, "%d%c",
			__atomic_load_n(&t->g->sysctls.lowmem_ratio[i], __ATOMIC_RELAXED),
			i < LOWMEM_RATIOS - 1 ? '\t' : '\n');
	return 0;
}

/* As many as are given, the first of them first; less than 1 is none. */
static int store_lowmem(struct task *t, const struct proc_name *n, const char *text)
{
	int64_t value;
	int i, r = 0;

	(void)n;
	for (i = 0; i < LOWMEM_RATIOS; i++) {
		text += strspn(text, " \t\n");
		if (!*text)
			break;
		r = procfs_parse_signed(text, &value);
		if (r || value < INT_MIN || value > INT_MAX)
			return -EINVAL;
		__atomic_store_n(&t->g->sysctls.lowmem_ratio[i], value < 1 ? 0 : (int32_t)value,
				 __ATOMIC_RELAXED);
		text += strcspn(text, " \t\n");
	}
	return i ? 0 : -EINVAL;
}

static int show_order(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("Node\n", out);
	return 0;
}

static int store_order(struct task *t, const struct proc_name *n, const char *text)
{
	(void)t;
	(void)n;
	return *text && strchr("dDnN", *text) ? 0 : -EINVAL;
}

static int show_empty(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	(void)out;
	return 0;
}

static const struct proc_file odd_files[] = {
	/* kept, has no effect: nodes have one zone each */
	{ "lowmem_reserve_ratio", show_lowmem, 0644, true, store_lowmem },
	/* there is one order, Node, as on Linux since 4.14 */
	{ "numa_zonelist_order", show_order, 0644, true, store_order },
	/* taken: counts are made when they are read */
	{ "stat_refresh", show_empty, 0600, true, NULL },
	{ NULL, NULL, 0, false, NULL },
};

int procfs_sysctl_kept_parse(const char *leaf, struct proc_name *n)
{
	for (int i = 0; i < KEPT_NR; i++) {
		if (strcmp(kept_files[i].name, leaf))
			continue;
		n->type = PROC_FILE;
		n->mode = kept_files[i].mode;
		n->show = show_kept;
		n->store = store_kept;
		n->writable = true;
		n->number = i;
		n->leaf = kept_files[i].name;
		return 0;
	}
	return proc_file_find(odd_files, leaf, n);
}

int procfs_sysctl_kept_list(const char *dir, proc_entry_fn *fn, void *arg)
{
	char name[128];
	int r = 0;

	for (int i = 0; !r && i < KEPT_NR; i++) {
		snprintf(name, sizeof(name), "%s/%s", dir, kept_files[i].name);
		r = fn(kept_files[i].name, DT_REG, procfs_inode(name), arg);
	}
	return r ? r : proc_files_list(dir, odd_files, fn, arg);
}
