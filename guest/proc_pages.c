/* SPDX-License-Identifier: MIT */
/*
 * /proc/kpageflags, /proc/kpagecount and /sys/kernel/mm/page_idle/bitmap: the guest's
 * frames by number. Errors and ends are those of Linux (fs/proc/page.c, mm/page_idle.c).
 * What is not a node's frame (page tables, the vDSO's page) has KPF_NOPAGE.
 */
#include <errno.h>
#include <string.h>
#include <umm/pagemap.h>

#include "guest/proc_io.h"

static int64_t read_numbers(const struct proc_io_call *c, void *buf, size_t len,
			    uint64_t (*number)(const struct mm_sys *sys, pfn_t pfn))
{
	uint64_t pfn = c->pos / sizeof(uint64_t), end = mm_sys_end_pfn(c->sys).v, v;
	char *out = buf;

	for (; len && pfn < end; pfn++, out += sizeof(v), len -= sizeof(v)) {
		v = number(c->sys, pfn_make(pfn));
		memcpy(out, &v, sizeof(v));
	}
	return out - (char *)buf;
}

static int64_t flags_read(const struct proc_io_call *c, void *buf, size_t len)
{
	return read_numbers(c, buf, len, mm_page_flags);
}

static int64_t count_read(const struct proc_io_call *c, void *buf, size_t len)
{
	return read_numbers(c, buf, len, mm_page_count);
}

/* Words of the bitmap from call->pos on that have frames, @len bytes at most. */
static size_t idle_words(const struct proc_io_call *c, size_t len)
{
	uint64_t end = mm_sys_end_pfn(c->sys).v / 64, at = c->pos / sizeof(uint64_t);
	size_t nr = len / sizeof(uint64_t);

	if (at >= end)
		return 0;
	return nr < end - at ? nr : end - at;
}

static int64_t idle_read(const struct proc_io_call *c, void *buf, size_t len)
{
	uint64_t words[PROC_IO_CHUNK / sizeof(uint64_t)];
	size_t nr = idle_words(c, len);

	mm_page_idle_read(c->sys, pfn_make(c->pos * 8), words, (unsigned int)nr);
	memcpy(buf, words, nr * sizeof(*words));
	return (int64_t)(nr * sizeof(*words));
}

static int64_t idle_write(const struct proc_io_call *c, const void *buf, size_t len)
{
	uint64_t words[PROC_IO_CHUNK / sizeof(uint64_t)];
	size_t nr = idle_words(c, len);

	if (!nr)
		return len ? -ENXIO : 0;
	memcpy(words, buf, nr * sizeof(*words));
	mm_page_idle_mark(c->sys, pfn_make(c->pos * 8), words, (unsigned int)nr);
	return (int64_t)(nr * sizeof(*words));
}

static const struct proc_io kpageflags = { .unit = 8, .read = flags_read };
static const struct proc_io kpagecount = { .unit = 8, .read = count_read };
static const struct proc_io idle_bitmap = {
	.unit = 8,
	.one_chunk = true,
	.any_seek = true,
	.read = idle_read,
	.write = idle_write,
};

/* The comments are the notes of docs/linux-abi.md. */
const struct proc_io_name procfs_system_io[] = {
	/* frames of the guest's nodes; for root */
	{ "kpagecount", 0400, &kpagecount },
	/* the same; other frames (page tables) are NOPAGE. kpagecgroup is not there */
	{ "kpageflags", 0400, &kpageflags },
	{ NULL, 0, NULL },
};

/* ---- /sys/kernel/mm/page_idle ------------------------------------------------------------- */

static const struct proc_io_name idle_files[] = {
	/* for root; marking zaps, so that with shadow paging the next use is seen */
	{ "bitmap", 0600, &idle_bitmap },
	{ NULL, 0, NULL },
};

int sysfs_page_idle_parse(const char *rest, struct proc_name *n)
{
	if (*rest)
		return proc_io_find(idle_files, rest + 1, n);
	n->type = PROC_DIR;
	n->mode = 0755;
	return 0;
}

int sysfs_page_idle_list(proc_entry_fn *fn, void *arg)
{
	return fn("bitmap", DT_REG, procfs_inode(SYSFS_PAGE_IDLE_DIR "/bitmap"), arg);
}
