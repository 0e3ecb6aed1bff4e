/* SPDX-License-Identifier: MIT */
/*
 * The file of a page reference trace: which pages a program used, in order, as the
 * program itself knows it. `umm sim` replays such files.
 *
 *	header		64 bytes, below; numbers little-endian
 *	references	one a byte string: zigzag(page - page before) << 1 | write, seven
 *			bits a byte, the lowest first, bit 7: more follow; the page before
 *			the first is 0
 *
 * Pages count from 0 and are the program's own numbers. A reference to the page that
 * was used just before, not writing more than that, may be left out: no policy sees
 * the difference. The file ends with the last reference.
 */
#ifndef UMM_PAGE_TRACE_H
#define UMM_PAGE_TRACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAGE_TRACE_MAGIC   "UMMTRACE"
#define PAGE_TRACE_VERSION 1u
#define PAGE_TRACE_PAGES   (1u << 30) /* page numbers are below this */
#define PAGE_TRACE_BYTES   5u         /* most bytes of one reference */

struct page_trace_header {
	char magic[8]; /* PAGE_TRACE_MAGIC, no NUL */
	uint32_t version;
	uint32_t page_size; /* bytes, a power of two from 4096 on */
	uint64_t nr_pages;  /* every page number is below */
	uint64_t nr_refs;
	char name[32]; /* of the program, with a NUL */
};

/* A reference as it stands in the file; how many bytes of @out it took. */
static inline unsigned int page_trace_encode(uint32_t last, uint32_t page, int write,
					     uint8_t out[PAGE_TRACE_BYTES])
{
	int64_t delta = (int64_t)page - (int64_t)last;
	uint64_t v = ((uint64_t)(delta < 0 ? -delta * 2 - 1 : delta * 2) << 1) | !!write;
	unsigned int nr = 0;

	do {
		out[nr++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	return nr;
}

#ifdef __cplusplus
}
#endif

#endif
