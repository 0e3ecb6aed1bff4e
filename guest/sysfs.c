/* SPDX-License-Identifier: MIT */
/*
 * /sys/devices/system/cpu and /sys/devices/system/node, as the guest has CPUs and
 * nodes. The rest of /sys is the host's, read only.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/procfs.h"

#define CPU_DIR  "/sys/devices/system/cpu"
#define NODE_DIR "/sys/devices/system/node"

static struct mm_sys *guest_sys(struct task *t)
{
	return guest_config(task_guest(t))->sys;
}

static unsigned int nr_nodes(struct task *t)
{
	return mm_sys_nr_nodes(guest_sys(t));
}

/* CPUs are dealt to nodes in blocks: [first, end) are @node's. */
static void node_cpus(struct task *t, unsigned int node, unsigned int *first, unsigned int *end)
{
	unsigned int cpus = procfs_nr_cpus(t), nodes = nr_nodes(t);

	*first = node * cpus / nodes;
	*end = (node + 1) * cpus / nodes;
}

/* "0-3", "2", or nothing. */
static void print_range(FILE *out, unsigned int first, unsigned int end)
{
	if (end - first > 1)
		fprintf(out, "%u-%u\n", first, end - 1);
	else if (end > first)
		fprintf(out, "%u\n", first);
	else
		fputc('\n', out);
}

static int show_cpus(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	print_range(out, 0, procfs_nr_cpus(t));
	return 0;
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
	print_range(out, 0, nr_nodes(t));
	return 0;
}

/* Nodes that have CPUs. */
static int show_has_cpu(struct task *t, const struct proc_name *n, FILE *out)
{
	unsigned int i, first, end;
	const char *comma = "";

	(void)n;
	for (i = 0; i < nr_nodes(t); i++) {
		node_cpus(t, i, &first, &end);
		if (end == first)
			continue;
		fprintf(out, "%s%u", comma, i);
		comma = ",";
	}
	fputc('\n', out);
	return 0;
}

/* ---- one node ------------------------------------------------------------------------ */

static int show_cpulist(struct task *t, const struct proc_name *n, FILE *out)
{
	unsigned int first, end;

	node_cpus(t, (unsigned int)n->number, &first, &end);
	print_range(out, first, end);
	return 0;
}

static int show_cpumap(struct task *t, const struct proc_name *n, FILE *out)
{
	unsigned int first, end, word, cpu, words = (procfs_nr_cpus(t) + 31) / 32;
	uint32_t v;

	node_cpus(t, (unsigned int)n->number, &first, &end);
	for (word = words; word-- > 0;) {
		v = 0;
		for (cpu = first; cpu < end; cpu++)
			if (cpu / 32 == word)
				v |= 1u << cpu % 32;
		fprintf(out, words == 1 ? "%x%s" : "%08x%s", v, word ? "," : "\n");
	}
	return 0;
}

static int show_distance(struct task *t, const struct proc_name *n, FILE *out)
{
	unsigned int i;

	/* The manager's host knows more; what programs need is local and not. */
	for (i = 0; i < nr_nodes(t); i++)
		fprintf(out, "%s%d", i ? " " : "", (int)i == n->number ? 10 : 20);
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

	mm_sys_node_info(guest_sys(t), n->number, &m);
	node_kb(out, n->number, "MemTotal", m.nr_frames);
	node_kb(out, n->number, "MemFree", m.free);
	node_kb(out, n->number, "MemUsed", m.nr_frames - m.free);
	node_kb(out, n->number, "Mlocked", m.mlocked);
	node_kb(out, n->number, "FilePages", m.file + m.shmem);
	node_kb(out, n->number, "Mapped", m.file);
	node_kb(out, n->number, "AnonPages", m.anon);
	node_kb(out, n->number, "Shmem", m.shmem);
	return 0;
}

static int show_numastat(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mm_node_info m;

	mm_sys_node_info(guest_sys(t), n->number, &m);
	fprintf(out,
		"numa_hit %" PRIu64 "\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\n"
		"local_node %" PRIu64 "\nother_node 0\n",
		m.nr_frames - m.free, m.nr_frames - m.free);
	return 0;
}

/* ---- the tree -------------------------------------------------------------------------- */

static const struct proc_file cpu_files[] = {
	{ "kernel_max", show_kernel_max, 0444, false }, { "offline", show_nothing, 0444, false },
	{ "online", show_cpus, 0444, false },           { "possible", show_cpus, 0444, false },
	{ "present", show_cpus, 0444, false },          { NULL, NULL, 0, false },
};

static const struct proc_file one_cpu_files[] = {
	{ "online", show_one, 0444, false },
	{ NULL, NULL, 0, false },
};

static const struct proc_file node_files[] = {
	{ "has_cpu", show_has_cpu, 0444, false },         { "has_memory", show_nodes, 0444, false },
	{ "has_normal_memory", show_nodes, 0444, false }, { "online", show_nodes, 0444, false },
	{ "possible", show_nodes, 0444, false },          { NULL, NULL, 0, false },
};

static const struct proc_file one_node_files[] = {
	{ "cpulist", show_cpulist, 0444, false },   { "cpumap", show_cpumap, 0444, false },
	{ "distance", show_distance, 0444, false }, { "meminfo", show_meminfo, 0444, false },
	{ "numastat", show_numastat, 0444, false }, { NULL, NULL, 0, false },
};

/* "cpu3/online": the number, and what follows it. False: no such unit. */
static bool parse_unit(const char *name, const char *prefix, unsigned int nr, int *number,
		       const char **rest)
{
	size_t len = strlen(prefix);
	char *end;
	unsigned long v;

	if (strncmp(name, prefix, len) || name[len] < '0' || name[len] > '9')
		return false;
	v = strtoul(name + len, &end, 10);
	if (v >= nr || (*end && *end != '/'))
		return false;
	*number = (int)v;
	*rest = end;
	return true;
}

/* One of the two folders: what is in it, and what is in each of its units. */
struct branch {
	const char *dir, *unit;
	const struct proc_file *files, *unit_files;
};

static const struct branch branches[] = {
	{ CPU_DIR, "cpu", cpu_files, one_cpu_files },
	{ NODE_DIR, "node", node_files, one_node_files },
};

static unsigned int branch_units(struct task *t, const struct branch *b)
{
	return b == &branches[0] ? procfs_nr_cpus(t) : nr_nodes(t);
}

static const struct branch *branch_find(const char *name, const char **rest)
{
	size_t i;

	for (i = 0; i < sizeof(branches) / sizeof(*branches); i++)
		if (path_below(name, branches[i].dir, rest))
			return &branches[i];
	return NULL;
}

static int parse_file(const struct proc_file *f, const char *name, struct proc_name *n)
{
	for (; f->name; f++) {
		if (strcmp(f->name, name))
			continue;
		n->type = PROC_FILE;
		n->mode = f->mode;
		n->show = f->show;
		n->leaf = name;
		return 0;
	}
	return -ENOENT;
}

int sysfs_parse(struct task *t, const char *name, struct proc_name *n)
{
	const char *rest;
	const struct branch *b = branch_find(name, &rest);

	memset(n, 0, sizeof(*n));
	n->number = -1;
	if (!b)
		return -ENOENT;
	n->type = PROC_DIR;
	n->mode = 0755;
	if (!*rest)
		return 0;
	if (!parse_unit(rest + 1, b->unit, branch_units(t, b), &n->number, &rest))
		return parse_file(b->files, rest + 1, n);
	return *rest ? parse_file(b->unit_files, rest + 1, n) : 0;
}

static int list_file(const char *dir, const char *name, unsigned char type, proc_entry_fn *fn,
		     void *arg)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", dir, name);
	return fn(name, type, procfs_inode(full), arg);
}

int sysfs_list(struct task *t, const char *name, proc_entry_fn *fn, void *arg)
{
	const char *rest;
	const struct branch *b = branch_find(name, &rest);
	const struct proc_file *f;
	char unit[32];
	unsigned int i;
	int r = 0;

	if (!b)
		return -ENOENT;
	for (f = *rest ? b->unit_files : b->files; !r && f->name; f++)
		r = list_file(name, f->name, DT_REG, fn, arg);
	for (i = 0; !r && !*rest && i < branch_units(t, b); i++) {
		snprintf(unit, sizeof(unit), "%s%u", b->unit, i);
		r = list_file(name, unit, DT_DIR, fn, arg);
	}
	return r;
}
