/* SPDX-License-Identifier: MIT */
/*
 * /sys/kernel/mm/ksm: figures of the guest's merging, and settings that act. Names and
 * errors are Linux's (Documentation/admin-guide/mm/ksm.rst). use_zero_pages cannot be
 * set, as there is no shared zero page.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umm/ksm.h>

#include "guest/procfs.h"

static struct mm_sys *sys_of(struct task *t)
{
	return guest_config(task_guest(t))->sys;
}

/* ---- settings ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	enum ksm_knob knob;
} knobs[] = {
	{ "run", KSM_RUN },
	{ "pages_to_scan", KSM_PAGES_TO_SCAN },
	{ "sleep_millisecs", KSM_SLEEP_MILLISECS },
	{ "max_page_sharing", KSM_MAX_PAGE_SHARING },
	{ "merge_across_nodes", KSM_MERGE_ACROSS_NODES },
};

static enum ksm_knob knob_of(const char *name)
{
	size_t i = 0;

	while (i < sizeof(knobs) / sizeof(*knobs) - 1 && strcmp(knobs[i].name, name))
		i++;
	return knobs[i].knob;
}

static int show_knob(struct task *t, const struct proc_name *n, FILE *out)
{
	fprintf(out, "%" PRIu64 "\n", ksm_get(sys_of(t), knob_of(n->leaf)));
	return 0;
}

/* As kstrtouint() takes it: a number alone, perhaps with a newline. */
static int parse_value(const char *text, uint64_t *value)
{
	char *end;

	if (*text == '+')
		text++;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoul(text, &end, 0);
	if (errno || *value > UINT32_MAX)
		return -ERANGE;
	if (*end == '\n')
		end++;
	return *end ? -EINVAL : 0;
}

static int store_knob(struct task *t, const struct proc_name *n, const char *text)
{
	uint64_t value;
	int r = parse_value(text, &value);

	return r ? r : ksm_set(sys_of(t), knob_of(n->leaf), value);
}

static int show_zero(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("0\n", out);
	return 0;
}

static int store_zero(struct task *t, const struct proc_name *n, const char *text)
{
	uint64_t value;
	int r = parse_value(text, &value);

	(void)t;
	(void)n;
	return r ? r : value ? -EINVAL : 0;
}

/* ---- figures ---------------------------------------------------------------------------- */

static int show_stat(struct task *t, const struct proc_name *n, FILE *out)
{
	struct ksm_stats s;
	const struct {
		const char *name;
		const uint64_t *value;
	} figures[] = {
		{ "pages_shared", &s.pages_shared },
		{ "pages_sharing", &s.pages_sharing },
		{ "pages_unshared", &s.pages_unshared },
		{ "pages_volatile", &s.pages_volatile },
		{ "pages_scanned", &s.pages_scanned },
		{ "full_scans", &s.full_scans },
		{ "stable_node_dups", &s.stable_node_dups },
	};
	size_t i;

	ksm_get_stats(sys_of(t), &s);
	for (i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		if (!strcmp(figures[i].name, n->leaf))
			fprintf(out, "%" PRIu64 "\n", *figures[i].value);
	return 0;
}

static int show_profit(struct task *t, const struct proc_name *n, FILE *out)
{
	struct ksm_stats s;

	(void)n;
	ksm_get_stats(sys_of(t), &s);
	fprintf(out, "%" PRId64 "\n", s.general_profit);
	return 0;
}

/* ---- the folder ---------------------------------------------------------------------------- */

const struct proc_file sysfs_ksm_files[] = {
	{ "full_scans", show_stat, 0444, false, NULL },
	{ "general_profit", show_profit, 0444, false, NULL },
	{ "ksm_zero_pages", show_zero, 0444, false, NULL },
	{ "max_page_sharing", show_knob, 0644, true, store_knob },
	{ "merge_across_nodes", show_knob, 0644, true, store_knob },
	{ "pages_scanned", show_stat, 0444, false, NULL },
	{ "pages_shared", show_stat, 0444, false, NULL },
	{ "pages_sharing", show_stat, 0444, false, NULL },
	{ "pages_to_scan", show_knob, 0644, true, store_knob },
	{ "pages_unshared", show_stat, 0444, false, NULL },
	{ "pages_volatile", show_stat, 0444, false, NULL },
	{ "run", show_knob, 0644, true, store_knob },
	{ "sleep_millisecs", show_knob, 0644, true, store_knob },
	{ "stable_node_dups", show_stat, 0444, false, NULL },
	{ "use_zero_pages", show_zero, 0644, true, store_zero },
	{ NULL, NULL, 0, false, NULL },
};
