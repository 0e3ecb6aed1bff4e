/* SPDX-License-Identifier: MIT */
/*
 * Radix tree from a 64-bit index to a non-zero word (a pointer, or a tagged
 * value). Grows and shrinks as needed, 64 slots a level. The caller locks.
 * Node memory comes from the allocator given at init.
 */
#ifndef UMM_RADIX_H
#define UMM_RADIX_H

#include <umm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mm_host_ops;
struct radix_node;

struct radix {
	struct radix_node *root;
	unsigned int levels;
	uint64_t count; /* non-empty slots */
	const struct mm_host_ops *ops;
	void *ctx;
};

void radix_init(struct radix *r, const struct mm_host_ops *ops, void *ctx);
/* Frees all nodes; what the slots point at is the caller's business. */
void radix_destroy(struct radix *r);

/* 0 if empty. */
uintptr_t radix_get(const struct radix *r, uint64_t index);
/* Stores @value (non-zero). 0 or -ENOMEM; replacing never fails. */
int radix_set(struct radix *r, uint64_t index, uintptr_t value) UMM_MUST_CHECK;
/* Empties the slot and returns what was in it; frees nodes left empty. */
uintptr_t radix_clear(struct radix *r, uint64_t index);
/*
 * The first non-empty slot at or after *index: sets *index to it and returns
 * its value; 0 if there is none.
 */
uintptr_t radix_next(const struct radix *r, uint64_t *index);

#ifdef __cplusplus
}
#endif

#endif
