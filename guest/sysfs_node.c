/* SPDX-License-Identifier: MIT */
/* What stands in the files of /sys/devices/system/cpu and /sys/devices/system/node. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest/procfs.h"

static struct mm_sys *guest_sys(struct task *t)
{
	return guest_config(task_guest(t))->sys;
}

static unsigned int nr_nodes(struct task *t)
{
	return mm_sys_nr_nodes(guest_sys(t));
}

/* ---- sets ---------------------------------------------------------------------------- */

/* A question about processor or node @i; @of: the node it is about. */
typedef bool member_fn(struct task *t, unsigned int i, int of);

static bool any_unit(struct task *t, unsigned int i, int of)
{
	(void)t;
	(void)i;
	(void)of;
	return true;
}

static bool cpu_on_node(struct task *t, unsigned int cpu, int node)
{
	return guest_cpu_node(task_guest(t), cpu) == node;
}

static bool node_has_cpu(struct task *t, unsigned int node, int of)
{
	unsigned int cpu;

	(void)of;
	for (cpu = 0; cpu < procfs_nr_cpus(t); cpu++)
		if (cpu_on_node(t, cpu, (int)node))
			return true;
	return false;
}

/* "0-3,5", or nothing. */
static int print_list(struct task *t, unsigned int nr, member_fn *in, int of, FILE *out)
{
	const char *comma = "";
	unsigned int i, end;

	for (i = 0; i < nr; i = end + 1) {
		for (end = i; end < nr && in(t, end, of); end++)
			;
		if (end == i)
			continue;
		fprintf(out, end - i > 1 ? "%s%u-%u" : "%s%u", comma, i, end - 1);
		comma = ",";
	}
	fputc('\n', out);
	return 0;
}

static int show_cpus(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	return print_list(t, procfs_nr_cpus(t), any_unit, 0, out);
}

static int show_nothing(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputc('\n', out);
	return 0;
}

static int show_kernel_max(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("8191\n", out);
	return 0;
}

static int show_one(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("1\n", out);
	return 0;
}

static int show_nodes(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	return print_list(t, nr_nodes(t), any_unit, 0, out);
}

/* Of a node that umm took offline the memory is gone, and without processors all of it. */
static bool node_has_memory(struct task *t, unsigned int node, int of)
{
	(void)of;
	return mm_node_state(guest_sys(t), (int)node) != MM_NODE_OFFLINE;
}

static bool node_is_online(struct task *t, unsigned int node, int of)
{
	return node_has_memory(t, node, of) || node_has_cpu(t, node, of);
}

static int show_has_memory(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	return print_list(t, nr_nodes(t), node_has_memory, 0, out);
}

static int show_online(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	return print_list(t, nr_nodes(t), node_is_online, 0, out);
}

static int show_has_cpu(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	return print_list(t, nr_nodes(t), node_has_cpu, 0, out);
}

/* ---- one node ------------------------------------------------------------------------ */

static int show_cpulist(struct task *t, const struct proc_name *n, FILE *out)
{
	return print_list(t, procfs_nr_cpus(t), cpu_on_node, n->number, out);
}

static int show_cpumap(struct task *t, const struct proc_name *n, FILE *out)
{
	unsigned int nr = procfs_nr_cpus(t), words = (nr + 31) / 32, word, cpu;
	uint32_t v;

	for (word = words; word-- > 0;) {
		v = 0;
		for (cpu = word * 32; cpu < nr && cpu < word * 32 + 32; cpu++)
			if (cpu_on_node(t, cpu, n->number))
				v |= 1u << cpu % 32;
		fprintf(out, words == 1 ? "%x%s" : "%08x%s", v, word ? "," : "\n");
	}
	return 0;
}

static int show_distance(struct task *t, const struct proc_name *n, FILE *out)
{
	unsigned int i;

	for (i = 0; i < nr_nodes(t); i++)
		fprintf(out, "%s%u", i ? " " : "",
			mm_sys_node_distance(guest_sys(t), n->number, (int)i));
	fputc('\n', out);
	return 0;
}

static void node_kb(FILE *out, int node, const char *key, uint64_t pages)
{
	fprintf(out, "Node %d %s:%*s%8" PRIu64 " kB\n", node, key, (int)(15 - strlen(key)), "",
		pages * 4);
}

static int show_meminfo(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mm_node_info m;
	int node = n->number;

	mm_sys_node_info(guest_sys(t), node, &m);
	node_kb(out, node, "MemTotal", m.nr_frames);
	node_kb(out, node, "MemFree", m.free);
	node_kb(out, node, "MemUsed", m.nr_frames - m.free);
	node_kb(out, node, "SwapCached", 0);
	node_kb(out, node, "Active", m.anon);
	node_kb(out, node, "Inactive", m.file + m.shmem);
	node_kb(out, node, "Active(anon)", m.anon);
	node_kb(out, node, "Inactive(anon)", m.shmem);
	node_kb(out, node, "Active(file)", 0);
	node_kb(out, node, "Inactive(file)", m.file);
	node_kb(out, node, "Unevictable", m.mlocked);
	node_kb(out, node, "Mlocked", m.mlocked);
	node_kb(out, node, "Dirty", 0);
	node_kb(out, node, "Writeback", 0);
	node_kb(out, node, "FilePages", m.file + m.shmem);
	node_kb(out, node, "Mapped", m.file);
	node_kb(out, node, "AnonPages", m.anon);
	node_kb(out, node, "Shmem", m.shmem);
	node_kb(out, node, "AnonHugePages", m.anon_huge);
	fprintf(out,
		"Node %d HugePages_Total:     0\nNode %d HugePages_Free:      0\n"
		"Node %d HugePages_Surp:      0\n",
		node, node, node);
	return 0;
}

static void print_numastat(FILE *out, const struct numa_stat *s)
{
	fprintf(out,
		"numa_hit %" PRIu64 "\nnuma_miss %" PRIu64 "\nnuma_foreign %" PRIu64
		"\ninterleave_hit %" PRIu64 "\nlocal_node %" PRIu64 "\nother_node %" PRIu64 "\n",
		s->hit, s->miss, s->foreign, s->interleave, s->local, s->other);
}

static int show_numastat(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mm_node_info m;

	mm_sys_node_info(guest_sys(t), n->number, &m);
	print_numastat(out, &m.stat);
	return 0;
}

static int show_vmstat(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mm_node_info m;

	mm_sys_node_info(guest_sys(t), n->number, &m);
	fprintf(out, "nr_free_pages %" PRIu64 "\nnr_mlock %" PRIu64 "\n", m.free, m.mlocked);
	fprintf(out,
		"numa_hit %" PRIu64 "\nnuma_miss %" PRIu64 "\nnuma_foreign %" PRIu64
		"\nnuma_interleave %" PRIu64 "\nnuma_local %" PRIu64 "\nnuma_other %" PRIu64 "\n",
		m.stat.hit, m.stat.miss, m.stat.foreign, m.stat.interleave, m.stat.local,
		m.stat.other);
	fprintf(out, "nr_anon_pages %" PRIu64 "\nnr_mapped %" PRIu64 "\n", m.anon, m.file);
	fprintf(out, "nr_file_pages %" PRIu64 "\nnr_shmem %" PRIu64 "\n", m.file + m.shmem,
		m.shmem);
	return 0;
}

/* ---- the tables ---------------------------------------------------------------------- */

const struct proc_file sysfs_cpu_files[] = {
	{ "kernel_max", show_kernel_max, 0444, false, NULL },
	{ "offline", show_nothing, 0444, false, NULL },
	{ "online", show_cpus, 0444, false, NULL },
	{ "possible", show_cpus, 0444, false, NULL },
	{ "present", show_cpus, 0444, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};

const struct proc_file sysfs_one_cpu_files[] = {
	{ "online", show_one, 0444, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};

const struct proc_file sysfs_node_files[] = {
	{ "has_cpu", show_has_cpu, 0444, false, NULL },
	{ "has_memory", show_has_memory, 0444, false, NULL },
	{ "has_normal_memory", show_has_memory, 0444, false, NULL },
	{ "online", show_online, 0444, false, NULL },
	{ "possible", show_nodes, 0444, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};

const struct proc_file sysfs_one_node_files[] = {
	{ "cpulist", show_cpulist, 0444, false, NULL },
	{ "cpumap", show_cpumap, 0444, false, NULL },
	{ "distance", show_distance, 0444, false, NULL },
	{ "meminfo", show_meminfo, 0444, false, NULL },
	{ "numastat", show_numastat, 0444, false, NULL },
	{ "vmstat", show_vmstat, 0444, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};
