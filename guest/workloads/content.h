/* SPDX-License-Identifier: MIT */
/*
 * What pages hold. "heap" is made as programs' heaps are: pointers into one
 * region, small numbers, text, and a share of noise, so that it compresses as those do (LZ4
 * to a little under a half); "noise" does not compress; "same" is one word repeated.
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

static inline uint64_t content_heap_word(uint64_t *state)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog and on ";
	uint64_t r = wl_random(state), word;

	switch (r & 7) {
	case 0:
	case 1:
		return 0x00007f3a40000000ull + (r >> 8 & 0xffff0);
	case 2:
		return r >> 8 & 0xff;
	case 3:
	case 4:
		return 0;
	case 5:
	case 6:
		memcpy(&word, text + (r >> 8) % (sizeof(text) - sizeof(word)), sizeof(word));
		return word;
	default:
		return r;
	}
}

/* The content of the page with this number; always the same. */
static inline void content_fill(uint64_t *words, uint64_t page, enum content kind)
{
	uint64_t state = wl_mix(page + 1);

	for (unsigned int i = 0; i < CONTENT_WORDS; i++) {
		switch (kind) {
		case CONTENT_HEAP:
			words[i] = content_heap_word(&state);
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
