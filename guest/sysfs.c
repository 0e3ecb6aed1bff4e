/* SPDX-License-Identifier: MIT */
/*
 * The tree of /sys/devices/system/cpu and /sys/devices/system/node: which names
 * there are. What stands in the files: sysfs_node.c. KSM's folder is in sysfs_ksm.c,
 * that of transparent huge pages in sysfs_thp.c, that of memory policies in
 * sysfs_mempolicy.c, page idle tracking in proc_pages.c; the rest of /sys is the host's,
 * read only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/procfs.h"

#define CPU_DIR  "/sys/devices/system/cpu"
#define NODE_DIR "/sys/devices/system/node"

static unsigned int nr_nodes(struct task *t)
{
	return mm_sys_nr_nodes(guest_config(task_guest(t))->sys);
}

/* ---- the tree -------------------------------------------------------------------------- */

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
	if (v >= nr || v > INT_MAX || (*end && *end != '/'))
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
	{ CPU_DIR, "cpu", sysfs_cpu_files, sysfs_one_cpu_files },
	{ NODE_DIR, "node", sysfs_node_files, sysfs_one_node_files },
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

static int cpu_node(struct task *t, unsigned int cpu)
{
	return guest_cpu_node(task_guest(t), cpu);
}

/*
 * A node's folder has a link to each of its processors, and theirs to it: the
 * @rest of a unit's name, from its link on. True with the link's target in
 * @target, and what follows the link in *below.
 */
static bool find_link(struct task *t, const struct branch *b, int number, const char *rest,
		      char target[64], const char **below)
{
	const struct branch *other = b == &branches[0] ? &branches[1] : &branches[0];
	int to, cpu, node;

	if (*rest != '/' || !parse_unit(rest + 1, other->unit, branch_units(t, other), &to, below))
		return false;
	cpu = b == &branches[0] ? number : to;
	node = b == &branches[0] ? to : number;
	snprintf(target, 64, "%s/%s%d", other->dir, other->unit, to);
	return cpu_node(t, (unsigned int)cpu) == node;
}

bool sysfs_follow(struct task *t, const char *name, char target[64], const char **below)
{
	const char *rest;
	const struct branch *b = branch_find(name, &rest);
	int number;

	return b && *rest && parse_unit(rest + 1, b->unit, branch_units(t, b), &number, &rest) &&
	       find_link(t, b, number, rest, target, below);
}

/* A unit that the host may have and the guest has not. */
bool sysfs_hides(struct task *t, const char *name)
{
	const char *rest;
	const struct branch *b = branch_find(name, &rest);
	int number;

	if (path_below(name, SYSFS_MEMPOLICY_DIR, NULL) ||
	    path_below(name, SYSFS_PAGE_IDLE_DIR, NULL))
		return true; /* all that there is of it was found before */
	return b && *rest && parse_unit(rest + 1, b->unit, UINT_MAX, &number, &rest) &&
	       (unsigned int)number >= branch_units(t, b);
}

/* A folder that holds nothing but these files; @rest follows its name. */
static int parse_in_folder(const struct proc_file *files, const char *rest, struct proc_name *n)
{
	if (*rest)
		return proc_file_find(files, rest + 1, n);
	n->type = PROC_DIR;
	n->mode = 0755;
	return 0;
}

int sysfs_parse(struct task *t, const char *name, struct proc_name *n)
{
	const char *rest, *below;
	const struct branch *b = branch_find(name, &rest);
	char target[64];

	memset(n, 0, sizeof(*n));
	n->number = -1;
	if (path_below(name, SYSFS_KSM_DIR, &rest))
		return parse_in_folder(sysfs_ksm_files, rest, n);
	if (path_below(name, SYSFS_THP_DIR, &rest))
		return parse_in_folder(sysfs_thp_files, rest, n);
	if (path_below(name, SYSFS_MEMPOLICY_DIR, &rest))
		return sysfs_mempolicy_parse(t, rest, n);
	if (path_below(name, SYSFS_PAGE_IDLE_DIR, &rest))
		return sysfs_page_idle_parse(rest, n);
	if (!b)
		return -ENOENT;
	n->type = PROC_DIR;
	n->mode = 0755;
	if (!*rest)
		return 0;
	if (!parse_unit(rest + 1, b->unit, branch_units(t, b), &n->number, &rest))
		return proc_file_find(b->files, rest + 1, n);
	if (find_link(t, b, n->number, rest, target, &below) && !*below) {
		n->type = PROC_LINK;
		n->mode = 0777;
		n->leaf = rest + 1;
		return 0;
	}
	return *rest ? proc_file_find(b->unit_files, rest + 1, n) : 0;
}

ssize_t sysfs_readlink(struct task *t, const char *name, char *out, size_t size)
{
	const char *rest, *below;
	char target[64];

	if (!sysfs_follow(t, name, target, &below) || *below)
		return -EINVAL;
	path_below(target, "/sys/devices/system", &rest);
	return snprintf(out, size, "../..%s", rest);
}

static int list_file(const char *dir, const char *name, unsigned char type, proc_entry_fn *fn,
		     void *arg)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", dir, name);
	return fn(name, type, procfs_inode(full), arg);
}

/* The links in a unit's folder. */
static int list_links(struct task *t, const struct branch *b, const char *name, int number,
		      proc_entry_fn *fn, void *arg)
{
	unsigned int i;
	char link[32];
	int r = 0;

	if (b == &branches[0]) {
		snprintf(link, sizeof(link), "node%d", cpu_node(t, (unsigned int)number));
		return list_file(name, link, DT_LNK, fn, arg);
	}
	for (i = 0; !r && i < procfs_nr_cpus(t); i++) {
		snprintf(link, sizeof(link), "cpu%u", i);
		if (cpu_node(t, i) == number)
			r = list_file(name, link, DT_LNK, fn, arg);
	}
	return r;
}

int sysfs_list(struct task *t, const char *name, proc_entry_fn *fn, void *arg)
{
	const char *rest;
	const struct branch *b = branch_find(name, &rest);
	char unit[32];
	unsigned int i;
	int r = 0, number;
	bool top;

	if (path_below(name, SYSFS_KSM_DIR, NULL))
		return proc_files_list(name, sysfs_ksm_files, fn, arg);
	if (path_below(name, SYSFS_THP_DIR, NULL))
		return proc_files_list(name, sysfs_thp_files, fn, arg);
	if (path_below(name, SYSFS_MEMPOLICY_DIR, &rest))
		return sysfs_mempolicy_list(t, rest, fn, arg);
	if (path_below(name, SYSFS_PAGE_IDLE_DIR, NULL))
		return sysfs_page_idle_list(fn, arg);
	if (!b)
		return -ENOENT;
	if (*rest && parse_unit(rest + 1, b->unit, branch_units(t, b), &number, &rest))
		r = list_links(t, b, name, number, fn, arg);
	top = !strcmp(name, b->dir);
	if (!r)
		r = proc_files_list(name, top ? b->files : b->unit_files, fn, arg);
	for (i = 0; !r && top && i < branch_units(t, b); i++) {
		snprintf(unit, sizeof(unit), "%s%u", b->unit, i);
		r = list_file(name, unit, DT_DIR, fn, arg);
	}
	return r;
}
