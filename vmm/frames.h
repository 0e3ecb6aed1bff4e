/* SPDX-License-Identifier: MIT */
/*
 * The host memory behind RAM frames: copy, clear, populate, discard, and the
 * NUMA node it is on. Contracts: include/umm/host_ops.h. -EFAULT when the
 * frames are not RAM.
 */
#ifndef VMM_FRAMES_H
#define VMM_FRAMES_H

#include <umm/types.h>

#include "vmm/memory.h"

int frames_copy(const struct memory *memory, pfn_t dst, pfn_t src, uint32_t nr);
/* The copy of whole pages that frames_copy() is; for benchmarks that need its like. */
void frames_copy_bytes(void *to, const void *from, size_t bytes);

int frames_clear(const struct memory *memory, pfn_t pfn, uint32_t nr);
int frames_populate(const struct memory *memory, pfn_t pfn, uint32_t nr);
int frames_discard(const struct memory *memory, pfn_t pfn, uint32_t nr);
void frames_host_nodes(const struct memory *memory, const pfn_t *pfns, unsigned int nr, int *nodes);

#endif
