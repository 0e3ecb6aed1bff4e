/* SPDX-License-Identifier: MIT */
/*
 * What a beacon page looks like: the guest program (shapes.c) keeps counting in
 * each of its pages, the observer (live_nodes.c) tells by the count which host
 * page is the one in use and which is a copy left behind.
 */
#ifndef LAB_BEACON_H
#define LAB_BEACON_H

#include <stdint.h>

#define BEACON_MAGIC     0x6265616330e5a17dull
#define BEACON_PAGE_SIZE 4096ul
#define BEACON_MAX_PAGES 16384ul /* of one kind */

/* Whose memory it is, and how it is mapped. */
enum beacon_kind {
	BEACON_PARENT, /* private to the first process */
	BEACON_CHILD,  /* private to its child */
	BEACON_FILE,   /* a shared file: the parent counts, the child reads */
	BEACON_SHM,    /* shared anonymous memory: the child counts, the parent reads */
	BEACON_KINDS
};

#define BEACON_NAMES                             \
	{                                        \
		"parent", "child", "file", "shm" \
	}

struct beacon {
	uint64_t magic;
	uint32_t kind;
	uint32_t index; /* which page of its kind this is */
	uint64_t count; /* grows for ever while the page is in use */
};

#endif
