/* SPDX-License-Identifier: MIT */
/*
 * Memory failure: a frame's content is lost, and the frame is never used again. What
 * becomes of the page is Linux's (mm/memory-failure.c): read again where a good copy is
 * elsewhere, else SIGBUS for whoever touches it.
 */
#ifndef UMM_POISON_H
#define UMM_POISON_H

#include <umm/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

enum poison_outcome {
	POISON_READ_AGAIN, /* clean, of a file or in swap: the next access reads it again */
	POISON_LOST,       /* the entries that mapped it say so: FAULT_HWPOISON */
	POISON_IN_CACHE,   /* dirty, in the swap cache, or shared memory: any access says so */
};

/* Somebody who mapped it, found by the reverse walk before the entries were changed. */
struct poison_mapper {
	int32_t mm_id;
	gva_t addr;
};

struct poison_result {
	enum poison_outcome outcome;
	bool anon, ksm, file;
	unsigned int nr_mappers;
};

/*
 * The frame fails. Fills up to @max mappers; out->nr_mappers is how many there were. A
 * larger folio is split first, so that only its one page is lost. Without locks.
 * 0; -EINVAL: no frame; -ENOENT: nothing uses it; -EHWPOISON: it failed before; -EBUSY:
 * it is in other hands just now, or its folio cannot be split.
 */
int mm_poison(struct mm_sys *sys, pfn_t pfn, struct poison_mapper *mappers, unsigned int max,
	      struct poison_result *out) UMM_MUST_CHECK;
/* For tests: the frame is good again, what was lost stays lost. -EINVAL: it had not failed. */
int mm_unpoison(struct mm_sys *sys, pfn_t pfn) UMM_MUST_CHECK;
/* Frames that have failed. */
uint64_t mm_sys_poisoned(const struct mm_sys *sys);

#ifdef __cplusplus
}
#endif

#endif
