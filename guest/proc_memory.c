/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/pagemap, clear_refs and mem: the memory of a process, from outside. Errors
 * and ends are those of Linux (fs/proc/task_mmu.c, fs/proc/base.c). Who may trace the
 * process may open them. Frame numbers are the guest's, and told to its root alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <umm/pagemap.h>

#include "guest/proc_io.h"

#define PAGEMAP_ENTRY 8u

static int64_t pagemap_read(const struct proc_io_call *c, void *buf, size_t len)
{
	uint64_t page = c->pos / PAGEMAP_ENTRY, nr = len / PAGEMAP_ENTRY;
	const uint64_t pages = UMM_TASK_SIZE >> UMM_PAGE_SHIFT;
	uint64_t entries[PROC_IO_CHUNK / PAGEMAP_ENTRY];

	if (page >= pages)
		return 0;
	nr = nr < pages - page ? nr : pages - page;
	mm_pagemap(c->mm, gva_make(page << UMM_PAGE_SHIFT), nr, c->file->pfns, entries);
	memcpy(buf, entries, nr * PAGEMAP_ENTRY);
	return (int64_t)(nr * PAGEMAP_ENTRY);
}

/* No more of it than this is looked at. */
#define CLEAR_REFS_TEXT 12u

static int64_t clear_refs_write(const struct proc_io_call *c, const void *buf, size_t len)
{
	char text[CLEAR_REFS_TEXT + 1];
	size_t n = len < CLEAR_REFS_TEXT ? len : CLEAR_REFS_TEXT;
	char *start, *end;
	long what;
	int r;

	memcpy(text, buf, n);
	text[n] = '\0';
	start = text + strspn(text, " \t\n\v\f\r");
	what = strtol(start, &end, 10);
	if (end == start || end[strspn(end, " \t\n\v\f\r")])
		return -EINVAL;
	if (what < INT32_MIN || what > INT32_MAX)
		return -ERANGE;
	r = mm_clear_refs(c->mm, (int)what);
	return r ? r : (int64_t)len;
}

static int64_t mem_read(const struct proc_io_call *c, void *buf, size_t len)
{
	size_t done;
	int r = mm_peek_guest(c->mm, buf, gva_make(c->pos), len, &done);

	return r && !done ? -EIO : (int64_t)done;
}

static int64_t mem_write(const struct proc_io_call *c, const void *buf, size_t len)
{
	size_t done;
	int r = mm_poke_guest(c->mm, gva_make(c->pos), buf, len, &done);

	return r && !done ? -EIO : (int64_t)done;
}

static const struct proc_io pagemap = {
	.unit = PAGEMAP_ENTRY,
	.of_process = true,
	.read = pagemap_read,
	.ioctl = pagemap_ioctl,
};

static const struct proc_io clear_refs = {
	.unit = 1,
	.of_process = true,
	.write = clear_refs_write,
};

static const struct proc_io mem = {
	.unit = 1,
	.any_pos = true,
	.of_process = true,
	.read = mem_read,
	.write = mem_write,
};

/* The comments are the notes of docs/linux-abi.md. */
const struct proc_io_name procfs_pid_io[] = {
	/* 1 to 5 act; what lost its references is zapped, so that the next use is seen at once */
	{ "clear_refs", 0200, &clear_refs },
	/* who may trace the process; through copy-on-write and protection, as ptrace */
	{ "mem", 0600, &mem },
	/*
	 * frames of the guest, swap entries, bits 55, 56, 61 to 63; bits 57 and 58 are never set.
	 * A page that was only read has a frame of its own, where Linux maps its zero page;
	 * bits are of the process's pages only, those of files that were reclaimed are lost,
	 * as on Linux. ioctl PAGEMAP_SCAN (6.7) is there, but nothing can be write-protected by
	 * it, as there is no userfaultfd: what may have been written is all that has tables
	 */
	{ "pagemap", 0400, &pagemap },
	{ NULL, 0, NULL },
};
