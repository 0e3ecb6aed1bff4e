/* SPDX-License-Identifier: MIT */
/* Helpers of the tests of KSM; see ksm_util.h. */
#include "tests/unit/ksm_util.h"

struct ksm_stats ksm_stats_of(struct fake_host *h)
{
	struct ksm_stats s;

	ksm_get_stats(h->sys, &s);
	return s;
}

void ksm_merge_all(struct fake_host *h)
{
	for (int i = 0; i < 4; i++) {
		ksm_scan(h->sys, UINT64_MAX);
		unit_check(h);
	}
}

gva_t ksm_map_equal(struct fake_host *h, struct mm *mm, uint64_t pages, uint64_t word)
{
	gva_t at = unit_map(mm, pages, PROT_RW, MAP_ANON_PRIVATE);

	unit_advise(mm, at, pages, MADV_MERGEABLE);
	for (uint64_t i = 0; i < pages; i++)
		unit_put(h, mm, page_at(at, i), word);
	return at;
}

uint64_t ksm_count_wrong(struct fake_host *h, struct mm *mm, gva_t at, uint64_t pages,
			 uint64_t word)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < pages; i++)
		wrong += unit_get(h, mm, page_at(at, i)) != word;
	return wrong;
}

bool ksm_is_merged(struct fake_host *h, struct mm *mm, gva_t at)
{
	return unit_mapped(h, mm, at) && folio_test_ksm(unit_folio(h, mm, at));
}
