/* SPDX-License-Identifier: MIT */
/*
 * Recording the pages that a workload uses, for `umm sim`: the file's format is in
 * umm/page_trace.h. The workload calls trace_page() where it uses memory; without
 * --trace that is one test of a pointer.
 *
 *	struct trace t;
 *	if (trace_open(&t, path, "gups", base, bytes))	// path may be NULL: no trace
 *		return 1;
 *	... trace_page(&t, &table[i], true); table[i]++; ...
 *	if (trace_close(&t))
 *		return 1;
 *
 * The recorder's own buffers are not part of the trace. Not for several threads.
 */
#ifndef UMM_WORKLOADS_PAGE_TRACE_H
#define UMM_WORKLOADS_PAGE_TRACE_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <umm/page_trace.h>

#define TRACE_PAGE_SHIFT 12

struct trace {
	FILE *file; /* NULL: off */
	const char *path;
	uintptr_t base;
	uint32_t last;
	bool last_write, any;
	struct page_trace_header header;
};

/* Pages of [base, base + bytes) will be recorded. 0, or -1 after a message. */
static inline int trace_open(struct trace *t, const char *path, const char *name, const void *base,
			     uint64_t bytes)
{
	memset(t, 0, sizeof(*t));
	if (!path)
		return 0;
	t->path = path;
	t->base = (uintptr_t)base;
	memcpy(t->header.magic, PAGE_TRACE_MAGIC, sizeof(t->header.magic));
	t->header.version = PAGE_TRACE_VERSION;
	t->header.page_size = 1u << TRACE_PAGE_SHIFT;
	t->header.nr_pages = (bytes + t->header.page_size - 1) >> TRACE_PAGE_SHIFT;
	snprintf(t->header.name, sizeof(t->header.name), "%s", name);
	if (t->header.nr_pages > PAGE_TRACE_PAGES) {
		fprintf(stderr, "%s: --trace: more than %u pages\n", name, PAGE_TRACE_PAGES);
		return -1;
	}
	t->file = fopen(path, "wb");
	if (!t->file || fwrite(&t->header, sizeof(t->header), 1, t->file) != 1) {
		fprintf(stderr, "%s: --trace %s: %s\n", name, path, strerror(errno));
		return -1;
	}
	return 0;
}

static inline void trace_record(struct trace *t, const void *at, bool write)
{
	uint32_t page = (uint32_t)(((uintptr_t)at - t->base) >> TRACE_PAGE_SHIFT);
	uint8_t bytes[PAGE_TRACE_BYTES];

	if (t->any && page == t->last && (t->last_write || !write))
		return;
	/* An error shows at trace_close(). */
	fwrite(bytes, 1, page_trace_encode(t->last, page, write, bytes), t->file);
	t->header.nr_refs++;
	t->last = page;
	t->last_write = write;
	t->any = true;
}

/* The memory at @at is used now. */
static inline void trace_page(struct trace *t, const void *at, bool write)
{
	if (t->file)
		trace_record(t, at, write);
}

/* 0, or -1 after a message: the file is not whole. */
static inline int trace_close(struct trace *t)
{
	bool bad;

	if (!t->file)
		return 0;
	bad = fseek(t->file, 0, SEEK_SET) || fwrite(&t->header, sizeof(t->header), 1, t->file) != 1;
	bad |= ferror(t->file) != 0;
	bad |= fclose(t->file) != 0;
	t->file = NULL;
	if (bad)
		fprintf(stderr, "%s: --trace %s: %s\n", t->header.name, t->path, strerror(errno));
	return bad ? -1 : 0;
}

#endif
