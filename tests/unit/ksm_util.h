/* SPDX-License-Identifier: MIT */
/* What the tests of KSM share. */
#ifndef TESTS_KSM_UTIL_H
#define TESTS_KSM_UTIL_H

#include <umm/ksm.h>

#include "rmap/ksm.h"
#include "tests/unit/util.h"

#define KSM_WORD 0x5eedul

struct ksm_stats ksm_stats_of(struct fake_host *h);
/* Enough rounds for pages that do not change to meet; all laws are looked at after each. */
void ksm_merge_all(struct fake_host *h);
/* A private area of mergeable pages, each holding @word. */
gva_t ksm_map_equal(struct fake_host *h, struct mm *mm, uint64_t pages, uint64_t word);
/* Pages that do not hold @word. */
uint64_t ksm_count_wrong(struct fake_host *h, struct mm *mm, gva_t at, uint64_t pages,
			 uint64_t word);
bool ksm_is_merged(struct fake_host *h, struct mm *mm, gva_t at);

#endif
