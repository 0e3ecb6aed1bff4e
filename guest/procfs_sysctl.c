/* SPDX-License-Identifier: MIT */
/*
 * /proc/sys/vm: what of it the memory manager has. What it has not is kept for the guest
 * (guest/procfs_sysctl_kept.c); nothing there is the host's. Numbers are taken and refused as
 * Linux does it (kernel/sysctl.c: one number in any base, space around it).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <umm/reclaim.h>
#include <umm/sysctl.h>

#include "guest/procfs.h"
#include "guest/task.h"

static struct mm_sys *sys_of(struct task *t)
{
	return guest_config(task_guest(t))->sys;
}

/* The number that @text begins with. */
static int parse_number(const char *text, uint64_t *value)
{
	char *end;

	text += strspn(text, " \t\n\v\f\r");
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoul(text, &end, 0);
	return errno || (*end && !strchr(" \t\n", *end)) ? -EINVAL : 0;
}

int procfs_parse_signed(const char *text, int64_t *value)
{
	uint64_t size;
	bool below;
	int r;

	text += strspn(text, " \t\n\v\f\r");
	below = *text == '-';
	r = parse_number(text + below, &size);
	if (r || size > INT64_MAX)
		return -EINVAL;
	*value = below ? -(int64_t)size : (int64_t)size;
	return 0;
}

/* ---- settings of the memory manager -------------------------------------------------------- */

static enum vm_setting setting_of(const char *name)
{
	static const char *const names[SYSCTL_NR] = {
		[SYSCTL_OVERCOMMIT_MEMORY] = "overcommit_memory",
		[SYSCTL_OVERCOMMIT_RATIO] = "overcommit_ratio",
		[SYSCTL_OVERCOMMIT_KBYTES] = "overcommit_kbytes",
		[SYSCTL_USER_RESERVE_KBYTES] = "user_reserve_kbytes",
		[SYSCTL_MAX_MAP_COUNT] = "max_map_count",
		[SYSCTL_MMAP_MIN_ADDR] = "mmap_min_addr",
		[SYSCTL_MIN_FREE_KBYTES] = "min_free_kbytes",
		[SYSCTL_SWAPPINESS] = "swappiness",
		[SYSCTL_PAGE_CLUSTER] = "page-cluster",
	};
	unsigned int i = 0;

	while (i < SYSCTL_NR - 1 && strcmp(names[i], name))
		i++;
	return (enum vm_setting)i;
}

static int show_setting(struct task *t, const struct proc_name *n, FILE *out)
{
	fprintf(out, "%" PRIu64 "\n", mm_sysctl_get(sys_of(t), setting_of(n->leaf)));
	return 0;
}

static int store_setting(struct task *t, const struct proc_name *n, const char *text)
{
	uint64_t value;
	int r = parse_number(text, &value);

	return r ? r : mm_sysctl_set(sys_of(t), setting_of(n->leaf), value);
}

static int show_watermark_scale(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)n;
	fprintf(out, "%u\n", mm_sys_watermark_scale(sys_of(t)));
	return 0;
}

static int store_watermark_scale(struct task *t, const struct proc_name *n, const char *text)
{
	uint64_t scale;
	int r = parse_number(text, &scale);

	(void)n;
	if (r)
		return r;
	return mm_sys_set_watermark_scale(sys_of(t), scale > UINT_MAX ? 0 : (unsigned int)scale);
}

/* ---- what does something when it is written ------------------------------------------------ */

static int show_nothing(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("0\n", out);
	return 0;
}

/* 1 and 3: pages of files; 2: what the kernel keeps of names, of which there is none here. */
static int store_drop_caches(struct task *t, const struct proc_name *n, const char *text)
{
	uint64_t what;
	int r = parse_number(text, &what);

	(void)n;
	if (r || what < 1 || what > 4)
		return -EINVAL;
	if (what & 1)
		(void)mm_drop_caches(sys_of(t));
	return 0;
}

static bool goes_on(void *arg, uint64_t done, uint64_t total)
{
	struct task *t = arg;

	(void)done;
	(void)total;
	return !task_has_work(t) || !task_is_killed(t);
}

static int store_compact(struct task *t, const struct proc_name *n, const char *text)
{
	struct node_request req = { .tries = 1, .progress = goes_on, .arg = t };
	struct node_compact_result result;
	struct mm_sys *sys = sys_of(t);
	uint64_t value;
	int r = parse_number(text, &value);

	(void)n;
	if (r || value != 1)
		return -EINVAL;
	/* A node that is busy or off is passed by, as what cannot be moved is. */
	for (req.node = 0; req.node < (int)mm_sys_nr_nodes(sys); req.node++)
		(void)!mm_node_compact(sys, &req, &result);
	return 0;
}

/* None can be had, however many are wanted. */
static int store_hugepages(struct task *t, const struct proc_name *n, const char *text)
{
	uint64_t value;

	(void)t;
	(void)n;
	return parse_number(text, &value);
}

/* ---- the files ------------------------------------------------------------------------------- */

/* The comments are the notes of docs/linux-abi.md. */
static const struct proc_file files[] = {
	/* acts: 1 compacts all nodes */
	{ "compact_memory", show_nothing, 0644, true, store_compact },
	/* acts: 1 and 3 drop clean pages of files that nobody maps; 2 has nothing to drop */
	{ "drop_caches", show_nothing, 0644, true, store_drop_caches },
	/* acts */
	{ "max_map_count", show_setting, 0644, true, store_setting },
	/* tells the guest's; acts, but takes no more than a quarter of a node; 0 is the default */
	{ "min_free_kbytes", show_setting, 0644, true, store_setting },
	/* acts */
	{ "mmap_min_addr", show_setting, 0644, true, store_setting },
	/* takes any number and stays 0, as where no memory is left for them */
	{ "nr_hugepages", show_nothing, 0644, true, store_hugepages },
	/* as nr_hugepages */
	{ "nr_hugepages_mempolicy", show_nothing, 0644, true, store_hugepages },
	/* acts; CommitLimit in meminfo */
	{ "overcommit_kbytes", show_setting, 0644, true, store_setting },
	/* acts: 0, 1, 2; Committed_AS in meminfo */
	{ "overcommit_memory", show_setting, 0644, true, store_setting },
	/* acts */
	{ "overcommit_ratio", show_setting, 0644, true, store_setting },
	/* acts: a swap-in reads up to 2 to this power of pages; 6 is the most, and what it is at first */
	{ "page-cluster", show_setting, 0644, true, store_setting },
	/* acts on reclaim that nobody asked for by name: how often a page of either kind that could
	 * go is passed over for one of the other kind; at first 100, where none is */
	{ "swappiness", show_setting, 0644, true, store_setting },
	/* acts in mode 2 */
	{ "user_reserve_kbytes", show_setting, 0644, true, store_setting },
	/* acts */
	{ "watermark_scale_factor", show_watermark_scale, 0644, true, store_watermark_scale },
	{ NULL, NULL, 0, false, NULL },
};

int procfs_sysctl_parse(const char *name, struct proc_name *n)
{
	const char *leaf;

	if (!path_below(name, "sys/vm", &leaf))
		return -ENOENT;
	if (!*leaf) {
		n->type = PROC_DIR;
		n->mode = 0555;
		n->leaf = "vm";
		return 0;
	}
	return proc_file_find(files, leaf + 1, n) ? procfs_sysctl_kept_parse(leaf + 1, n) : 0;
}

bool procfs_sysctl_owns(const char *name)
{
	return path_below(name, "/proc/sys/vm", NULL);
}

int procfs_sysctl_list(const char *dir, proc_entry_fn *fn, void *arg)
{
	int r = proc_files_list(dir, files, fn, arg);

	return r ? r : procfs_sysctl_kept_list(dir, fn, arg);
}
