/* SPDX-License-Identifier: MIT */
/*
 * What pages hold. "heap" is made as programs' heaps are: objects with pointers
 * to their neighbours, small numbers, text and some noise, so that it compresses as
 * those do (LZ4 to a third); "noise" does not compress; "same" is one word repeated.
 */
#ifndef UMM_WORKLOADS_CONTENT_H
#define UMM_WORKLOADS_CONTENT_H

#include "common.h"

#define CONTENT_WORDS (WL_PAGE / sizeof(uint64_t))

enum content { CONTENT_HEAP, CONTENT_NOISE, CONTENT_SAME };

static inline int content_parse(const char *name, enum content *to)
{
	static const char *const names[] = { "heap", "noise", "same" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]))
			continue;
		*to = (enum content)i;
		return 0;
	}
	fprintf(stderr, "--content: '%s' is none of heap, noise, same\n", name);
	return -EINVAL;
}

/* Objects of 64 bytes, most of them of one kind a page, linked to neighbours. */
static inline void content_heap_object(uint64_t *to, uint64_t number, uint64_t *state)
{
	static const char text[] = "name=value; path=/usr/share/doc; count=0000; ";
	uint64_t r = wl_random(state);
	uint64_t at = 0x00007f3a40000000ull + number * 64;

	to[0] = 0x0000555555600000ull + (r & 3) * 0x140; /* what kind it is */
	to[1] = 1 + (r >> 2 & 1);                        /* references */
	to[2] = at + 64;                                 /* the next one */
	to[3] = at - 64 * (1 + (r >> 3 & 7));
	memcpy(&to[4], text + (r >> 8 & 15), 16);
	to[6] = r >> 16 & 0xff;                     /* a length */
	to[7] = r & 1 << 13 ? wl_random(state) : 0; /* a hash, in a half of them */
}

/* The content of the page with this number; always the same. */
static inline void content_fill(uint64_t *words, uint64_t page, enum content kind)
{
	uint64_t state = wl_mix(page + 1);

	for (unsigned int i = 0; i < CONTENT_WORDS; i++) {
		switch (kind) {
		case CONTENT_HEAP:
			if (!(i % 8))
				content_heap_object(words + i, page * 64 + i / 8, &state);
			break;
		case CONTENT_NOISE:
			words[i] = wl_random(&state);
			break;
		case CONTENT_SAME:
			words[i] = 0x0101010101010101ull * (page & 0xff);
			break;
		}
	}
}

#endif
