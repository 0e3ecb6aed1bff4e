/* SPDX-License-Identifier: MIT */
/* Shared by the parts of the validator. */
#ifndef RMAP_VALIDATE_H
#define RMAP_VALIDATE_H

#include "rmap/internal.h"
#include "rmap/swap.h"

/* What a full scan of all page tables found. */
struct validation {
	struct mm_sys *sys;
	struct mm_validate_report *report;
	uint32_t *mapped[UMM_MAX_NODES]; /* per node and frame: 4 KiB entries that map it */
	uint32_t *leaves[UMM_MAX_NODES]; /* per node and 2 MiB: leaves that map it */
	uint32_t *slots[SWP_MAX_AREAS];  /* per area and slot: entries that name it */
	struct mm **mms;
	unsigned int nr_mms;
	struct address_space **mappings; /* with a reference each */
	unsigned int nr_mappings;
};

/* Counts an error; the first is told in the report. */
void validation_error(struct validation *v, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
uint32_t *validation_count(struct validation *v, const struct folio *frame);
uint32_t *validation_leaves(struct validation *v, const struct folio *frame);

/* validate_tables.c: forward. */
void validate_tables(struct validation *v, struct mm *mm);
/* validate_folios.c: reverse, counts, free lists, swap slots, page caches. */
void validate_mapping(struct validation *v, struct address_space *m);
void validate_node(struct validation *v, struct mm_node *n);
void validate_swap(struct validation *v);

#endif
