/* SPDX-License-Identifier: MIT */
/* The swap areas of one host: opened by specification, found by the manager's calls. */
#ifndef VMM_SWAP_AREAS_H
#define VMM_SWAP_AREAS_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/swap_backend.h"

struct swap_areas {
	struct swap_env env;
	struct swap_engine engine;
	pthread_mutex_t lock; /* guards the list */
	struct swap_backend *first;
	_Atomic uint64_t bytes_read, bytes_written; /* of closed areas too */
};

void swap_areas_init(struct swap_areas *areas, const struct memory *memory);
/* Closes what is open. */
void swap_areas_destroy(struct swap_areas *areas);

/* 0, or -errno with the reason; the area is what struct swap_io wants. */
int swap_areas_open(struct swap_areas *areas, const struct swap_spec *spec,
		    struct swap_backend **out, struct errmsg *e) UMM_MUST_CHECK;
/* The manager no longer knows the area. */
void swap_areas_close(struct swap_areas *areas, struct swap_backend *b);

/* The seam's swap_io(), swap_free(), swap_room() and swap_doubtful(). */
int swap_areas_run(struct swap_areas *areas, struct swap_io *ios, unsigned int nr);
/* In two steps, if all are of one area that can: else NULL, and nothing has begun. */
void *swap_areas_start(struct swap_io *ios, unsigned int nr);
void swap_areas_finish(struct swap_areas *areas, void *started, struct swap_io *ios,
		       unsigned int nr);
void swap_areas_freed(struct swap_backend *b, uint64_t slot, uint32_t nr);
bool swap_areas_room(struct swap_backend *b);
bool swap_areas_doubtful(struct swap_backend *b, uint64_t slot, uint32_t nr);

/* Over all areas of compressed memory: what they take of memory, and how many pages are in it. */
void swap_areas_compressed(struct swap_areas *areas, uint64_t *memory_bytes, uint64_t *pages);
void swap_areas_report(struct swap_backend *b, struct swap_report *out);

#endif
