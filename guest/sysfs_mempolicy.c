/* SPDX-License-Identifier: MIT */
/*
 * /sys/kernel/mm/mempolicy/weighted_interleave: nodeN is how many pages in a row weighted
 * interleaving gives that node, 1 to 255, written by whoever may. 0 or an empty line is
 * what Linux takes for "as it was at the beginning": 1, unless the configuration says
 * otherwise, which only the start knows; so it is 1 here (as Linux 6.12 was seen to do).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/procfs.h"

#define WEIGHTS    "/weighted_interleave"
#define WEIGHT_MAX 255
#define UNSET      0

static struct mm_sys *sys_of(struct task *t)
{
	return guest_config(task_guest(t))->sys;
}

static int show_weight(struct task *t, const struct proc_name *n, FILE *out)
{
	fprintf(out, "%u\n", mm_sys_interleave_weight(sys_of(t), n->number));
	return 0;
}

/* A number as the kernel's own files take it: any base, a newline behind it or none. */
static int store_weight(struct task *t, const struct proc_name *n, const char *text)
{
	unsigned long weight = UNSET;
	char *end;

	if (*text && strcmp(text, "\n")) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		weight = strtoul(text, &end, 0);
		if (weight > WEIGHT_MAX || (*end && strcmp(end, "\n")))
			return -EINVAL;
	}
	mm_sys_set_interleave_weight(sys_of(t), n->number, (unsigned int)weight);
	return 0;
}

static int found_dir(struct proc_name *n)
{
	n->type = PROC_DIR;
	n->mode = 0755;
	return 0;
}

int sysfs_mempolicy_parse(struct task *t, const char *rest, struct proc_name *n)
{
	unsigned int node;
	char again[16];

	if (!*rest)
		return found_dir(n);
	if (!path_below(rest, WEIGHTS, &rest))
		return -ENOENT;
	if (!*rest)
		return found_dir(n);
	if (sscanf(rest, "/node%3u", &node) != 1 || node >= mm_sys_nr_nodes(sys_of(t)))
		return -ENOENT;
	/* "node01" and "node1x" are no names. */
	snprintf(again, sizeof(again), "/node%u", node);
	if (strcmp(again, rest))
		return -ENOENT;
	n->type = PROC_FILE;
	n->mode = 0644;
	n->number = (int)node;
	n->show = show_weight;
	n->store = store_weight;
	n->writable = true;
	n->leaf = rest + 1;
	return 0;
}

int sysfs_mempolicy_list(struct task *t, const char *rest, proc_entry_fn *fn, void *arg)
{
	char name[16], full[96];
	int r = 0;

	if (!*rest)
		return fn(&WEIGHTS[1], DT_DIR, procfs_inode(SYSFS_MEMPOLICY_DIR WEIGHTS), arg);
	for (unsigned int i = 0; !r && i < mm_sys_nr_nodes(sys_of(t)); i++) {
		snprintf(name, sizeof(name), "node%u", i);
		snprintf(full, sizeof(full), SYSFS_MEMPOLICY_DIR WEIGHTS "/%s", name);
		r = fn(name, DT_REG, procfs_inode(full), arg);
	}
	return r;
}
