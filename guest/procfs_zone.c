/* SPDX-License-Identifier: MIT */
/*
 * /proc/zoneinfo: each node of the guest is one zone, "Normal", in the form that tools
 * read Linux's. What has no counterpart here (per-CPU lists, lists by age) is left out
 * or, where readers expect the line, 0.
 */
#include <inttypes.h>

#include "guest/procfs.h"
#include "guest/task.h"

static void print_stat(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, "      %-12s %" PRIu64 "\n", name, value);
}

/* The same division into lists as in the node's meminfo. */
static void print_node_stats(FILE *out, const struct mm_node_info *m)
{
	fputs("  per-node stats\n", out);
	print_stat(out, "nr_inactive_anon", m->shmem);
	print_stat(out, "nr_active_anon", m->anon);
	print_stat(out, "nr_inactive_file", m->file);
	print_stat(out, "nr_active_file", 0);
	print_stat(out, "nr_unevictable", m->mlocked);
	print_stat(out, "nr_anon_pages", m->anon);
	print_stat(out, "nr_mapped", m->file);
	print_stat(out, "nr_file_pages", m->file + m->shmem);
	print_stat(out, "nr_shmem", m->shmem);
	print_stat(out, "nr_anon_transparent_hugepages", m->anon_huge >> UMM_PMD_ORDER);
}

/* Pages: managed are those that may be used, less than present under a limit. */
static void print_sizes(FILE *out, const struct mm_node_info *m)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "boost", 0 },
		{ "min", m->wmark_min },
		{ "low", m->wmark_low },
		{ "high", m->wmark_high },
		{ "spanned", m->present },
		{ "present", m->present },
		{ "managed", m->nr_frames },
		{ "cma", 0 },
	};

	fprintf(out, "  pages free     %" PRIu64 "\n", m->free);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		fprintf(out, "        %-8s %" PRIu64 "\n", rows[i].name, rows[i].value);
	fputs("        protection: (0)\n", out);
}

static void print_zone_stats(FILE *out, const struct mm_node_info *m)
{
	print_stat(out, "nr_free_pages", m->free);
	print_stat(out, "nr_zone_inactive_anon", m->shmem);
	print_stat(out, "nr_zone_active_anon", m->anon);
	print_stat(out, "nr_zone_inactive_file", m->file);
	print_stat(out, "nr_zone_active_file", 0);
	print_stat(out, "nr_zone_unevictable", m->mlocked);
	print_stat(out, "nr_mlock", m->mlocked);
	print_stat(out, "numa_hit", m->stat.hit);
	print_stat(out, "numa_miss", m->stat.miss);
	print_stat(out, "numa_foreign", m->stat.foreign);
	print_stat(out, "numa_interleave", m->stat.interleave);
	print_stat(out, "numa_local", m->stat.local);
	print_stat(out, "numa_other", m->stat.other);
}

int procfs_show_zoneinfo(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mm_sys *sys = guest_config(task_guest(t))->sys;
	struct mm_node_info m;

	(void)n;
	for (unsigned int i = 0; i < mm_sys_nr_nodes(sys); i++) {
		mm_sys_node_info(sys, (int)i, &m);
		fprintf(out, "Node %u, zone %8s\n", i, "Normal");
		print_node_stats(out, &m);
		print_sizes(out, &m);
		print_zone_stats(out, &m);
		fprintf(out, "  node_unreclaimable:  0\n  start_pfn:           %" PRIu64 "\n",
			m.base.v);
	}
	return 0;
}
