/* SPDX-License-Identifier: MIT */
/*
 * /sys/kernel/mm/transparent_hugepage: names and words are Linux's
 * (Documentation/admin-guide/mm/transhuge.rst). `enabled` is about folios of 2 MiB and
 * acts at once; smaller sizes are chosen with `umm run --thp`. Nobody reclaims for a
 * large folio here, and shared memory has none: of the words of `defrag` and
 * `shmem_enabled` only `never` is taken.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guest/procfs.h"

static const char *const modes[] = {
	[THP_NEVER] = "never", [THP_MADVISE] = "madvise", [THP_ALWAYS] = "always"
};

static struct mm_sys *sys_of(struct task *t)
{
	return guest_config(task_guest(t))->sys;
}

static int show_enabled(struct task *t, const struct proc_name *n, FILE *out)
{
	static const char *const lines[] = {
		[THP_NEVER] = "always madvise [never]\n",
		[THP_MADVISE] = "always [madvise] never\n",
		[THP_ALWAYS] = "[always] madvise never\n",
	};

	(void)n;
	fputs(lines[mm_sys_thp(sys_of(t), UMM_PMD_ORDER)], out);
	return 0;
}

/* @text is this word, perhaps with a newline. */
static bool is_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return !strncmp(text, word, len) && (!text[len] || !strcmp(text + len, "\n"));
}

static int store_enabled(struct task *t, const struct proc_name *n, const char *text)
{
	(void)n;
	for (int mode = THP_NEVER; mode <= THP_ALWAYS; mode++) {
		if (is_word(text, modes[mode]))
			return mm_sys_set_thp(sys_of(t), UMM_PMD_ORDER, (enum thp_mode)mode);
	}
	return -EINVAL;
}

static int store_never(struct task *t, const struct proc_name *n, const char *text)
{
	(void)t;
	(void)n;
	return is_word(text, "never") ? 0 : -EINVAL;
}

static int show_defrag(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("always defer defer+madvise madvise [never]\n", out);
	return 0;
}

static int show_shmem_enabled(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("always within_size advise [never] deny force\n", out);
	return 0;
}

static int show_pmd_size(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fprintf(out, "%lu\n", UMM_PMD_SIZE);
	return 0;
}

const struct proc_file sysfs_thp_files[] = {
	{ "defrag", show_defrag, 0644, true, store_never },
	{ "enabled", show_enabled, 0644, true, store_enabled },
	{ "hpage_pmd_size", show_pmd_size, 0444, false, NULL },
	{ "shmem_enabled", show_shmem_enabled, 0644, true, store_never },
	{ NULL, NULL, 0, false, NULL },
};
