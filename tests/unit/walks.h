/* SPDX-License-Identifier: MIT */
/*
 * Rmap walks that write down what they were shown, for the tests of the walk
 * and of those who use it.
 */
#ifndef TESTS_WALKS_H
#define TESTS_WALKS_H

#include "tests/unit/util.h"

#define WALK_MAX 1024

struct walk_log {
	struct rmap_walk_control rwc;
	unsigned int nr; /* calls of rmap_one */
	struct vma *vma[WALK_MAX];
	gva_t addr[WALK_MAX];
	unsigned int stop_after;   /* rmap_one says false at this call; 0: never */
	const struct vma *invalid; /* invalid_vma says true for this one */
};

/* A log whose rwc is ready for rmap_walk(): visits everything. */
void walk_init(struct walk_log *log);
/* One full walk as a user would do it (files: the folio is locked for it). */
void walk_folio(struct fake_host *h, struct folio *f, struct walk_log *log);
bool walk_saw(const struct walk_log *log, const struct vma *vma);

/* All entries of one area that page_vma_mapped_walk() yields for the folio. */
struct pvmw_log {
	unsigned int nr;
	gva_t addr[WALK_MAX];
	uint64_t entry[WALK_MAX];
	unsigned int huge; /* how many of them were 2 MiB leaves */
};
void pvmw_collect(struct folio *f, struct vma *vma, unsigned int flags, struct pvmw_log *log);

/*
 * By brute force over all areas of all @mms: those that the trees must yield
 * for the folio. Returns how many, out[] has room for WALK_MAX.
 */
unsigned int walk_expect(struct folio *f, struct mm *const *mms, unsigned int nr_mms,
			 struct vma **out);
/* Asserts that a walk of the folio visits exactly those, with the right addresses. */
void walk_check(struct fake_host *h, struct folio *f, struct mm *const *mms, unsigned int nr_mms);

#endif
