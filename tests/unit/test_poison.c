/* SPDX-License-Identifier: MIT */
/* Memory failure: every mapper is found, and meets what Linux's would. */
#include <umm/poison.h>

#include "tests/unit/ksm_util.h"

#define MAX 16u

struct failure {
	struct poison_mapper mappers[MAX];
	struct poison_result result;
	pfn_t pfn;
};

static struct failure poison(struct fake_host *h, struct mm *mm, gva_t at)
{
	struct failure f = { .pfn = folio_pfn(h->sys, unit_frame(h, mm, at)) };

	CU_ASSERT_EQUAL(mm_poison(h->sys, f.pfn, f.mappers, MAX, &f.result), 0);
	CU_ASSERT_EQUAL(mm_sys_poisoned(h->sys), 1);
	unit_check(h);
	CU_ASSERT_EQUAL(mm_poison(h->sys, f.pfn, f.mappers, 0, &(struct poison_result){ 0 }),
			-EHWPOISON);
	return f;
}

static void heal(struct fake_host *h, const struct failure *f)
{
	CU_ASSERT_EQUAL(mm_unpoison(h->sys, f->pfn), 0);
	CU_ASSERT_EQUAL(mm_unpoison(h->sys, f->pfn), -EINVAL);
}

static bool told_of(const struct failure *f, const struct mm *mm, gva_t at)
{
	for (unsigned int i = 0; i < f->result.nr_mappers && i < MAX; i++)
		if (f->mappers[i].mm_id == mm->id && f->mappers[i].addr.v == at.v)
			return true;
	return false;
}

static enum fault_result load(struct fake_host *h, struct mm *mm, gva_t at)
{
	uint64_t value;

	return fake_load(h, mm, 0, at, &value);
}

static void test_anon(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child;
	gva_t at = unit_map(a, 2, PROT_RW, MAP_ANON_PRIVATE);
	struct failure f;

	unit_fill(h, a, at, 2, 1);
	child = unit_fork(a);
	f = poison(h, a, at);
	CU_ASSERT_EQUAL(f.result.outcome, POISON_LOST);
	CU_ASSERT_EQUAL(f.result.nr_mappers, 2);
	CU_ASSERT_TRUE(told_of(&f, a, at) && told_of(&f, child, at));
	CU_ASSERT_EQUAL(load(h, a, at), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(fake_store(h, child, 0, at, 1), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(load(h, a, page_at(at, 1)), FAULT_DONE);
	/* A new page there is a good one. */
	unit_advise(a, at, 1, MADV_DONTNEED);
	CU_ASSERT_EQUAL(unit_get(h, a, at), 0);
	mm_put(a);
	mm_put(child);
	heal(h, &f);
	unit_close(h);
}

static void test_file(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h);
	struct unit_file file = unit_file(h, 4 * UMM_PAGE_SIZE);
	gva_t at = unit_map_file(a, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	struct failure f;

	unit_get(h, a, at);
	f = poison(h, a, at);
	CU_ASSERT_EQUAL(f.result.outcome, POISON_READ_AGAIN);
	CU_ASSERT_EQUAL(unit_get(h, a, at), fake_file_word(0, 0));
	CU_ASSERT_NOT_EQUAL(folio_pfn(h->sys, unit_frame(h, a, at)).v, f.pfn.v);
	heal(h, &f);
	unit_put(h, a, page_at(at, 1), 7);
	f = poison(h, a, page_at(at, 1));
	CU_ASSERT_EQUAL(f.result.outcome, POISON_LOST);
	CU_ASSERT_EQUAL(load(h, a, page_at(at, 1)), FAULT_HWPOISON);
	unit_unmap(a, at, 4);
	at = unit_map_file(a, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	/* The file is as it was before the store. */
	CU_ASSERT_EQUAL(unit_get(h, a, page_at(at, 1)), fake_file_word(1, 0));
	heal(h, &f);
	mm_put(a);
	unit_file_close(&file);
	unit_close(h);
}

static void test_shmem(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *child;
	gva_t at = unit_map(a, 2, PROT_RW, MAP_ANON_SHARED);
	struct failure f;

	unit_fill(h, a, at, 2, 1);
	child = unit_fork(a);
	f = poison(h, a, at);
	CU_ASSERT_EQUAL(f.result.outcome, POISON_IN_CACHE);
	CU_ASSERT_EQUAL(load(h, a, at), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(load(h, child, at), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(load(h, child, page_at(at, 1)), FAULT_DONE);
	mm_put(a);
	mm_put(child);
	heal(h, &f);
	unit_close(h);
}

/* In the swap cache: the slot has it, or nobody has. */
static void test_swap_cache(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h);
	gva_t at = unit_map(a, 2, PROT_RW, MAP_ANON_PRIVATE);
	struct failure f;

	unit_fill(h, a, at, 2, 1);
	CU_ASSERT_EQUAL(unit_reclaim(h, a, at, 2).freed, 2);
	CU_ASSERT_EQUAL(unit_verify(h, a, at, 2, 1), 0);
	CU_ASSERT_TRUE(folio_test(unit_folio(h, a, at), PG_swapcache));
	f = poison(h, a, at);
	CU_ASSERT_EQUAL(f.result.outcome, POISON_READ_AGAIN);
	CU_ASSERT_EQUAL(unit_verify(h, a, at, 2, 1), 0);
	heal(h, &f);
	mm_put(a);
	unit_close(h);
}

static void test_merged(void)
{
	struct fake_host *h = unit_open();
	struct mm *a = unit_mm(h), *b = unit_mm(h), *child;
	gva_t at_a = ksm_map_equal(h, a, 2, KSM_WORD), at_b = ksm_map_equal(h, b, 1, KSM_WORD);
	struct failure f;

	ksm_merge_all(h);
	child = unit_fork(a);
	f = poison(h, b, at_b);
	CU_ASSERT_TRUE(f.result.ksm);
	CU_ASSERT_EQUAL(f.result.nr_mappers, 5);
	CU_ASSERT_TRUE(told_of(&f, child, page_at(at_a, 1)) && told_of(&f, b, at_b));
	CU_ASSERT_EQUAL(load(h, a, at_a), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(load(h, child, page_at(at_a, 1)), FAULT_HWPOISON);
	/* Pages of the same content do not join what is gone. */
	at_b = ksm_map_equal(h, b, 3, KSM_WORD);
	ksm_merge_all(h);
	CU_ASSERT_NOT_EQUAL(folio_pfn(h->sys, unit_frame(h, b, at_b)).v, f.pfn.v);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_shared, 1);
	CU_ASSERT_EQUAL(ksm_stats_of(h).pages_sharing, 2);
	mm_put(a);
	mm_put(b);
	mm_put(child);
	heal(h, &f);
	unit_close(h);
}

/* Of a 2 MiB leaf, and of a smaller folio, one page is lost. */
static void poison_large(unsigned int order, uint64_t pages)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct failure f;
	uint64_t entry;
	bool present;
	struct mm *a;
	gva_t at;

	config.max_anon_order = order;
	config.fault_around = 512;
	h = unit_open_with(&config);
	a = unit_mm(h);
	at = unit_map_at(a, 0x10000000, pages, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(h, a, at, pages, 3);
	CU_ASSERT_EQUAL(mm_query_address(a, page_at(at, 5), &f.pfn, &entry, &present), 0);
	CU_ASSERT_EQUAL(mm_poison(h->sys, f.pfn, f.mappers, MAX, &f.result), 0);
	unit_check(h);
	CU_ASSERT_EQUAL(f.result.outcome, POISON_LOST);
	CU_ASSERT_EQUAL(f.result.nr_mappers, 1);
	CU_ASSERT_EQUAL(load(h, a, page_at(at, 5)), FAULT_HWPOISON);
	CU_ASSERT_EQUAL(unit_verify(h, a, at, pages, 3), 1);
	mm_put(a);
	heal(h, &f);
	unit_close(h);
}

static void test_large(void)
{
	poison_large(4, 16);
	poison_large(UMM_PMD_ORDER, 512);
}

static void test_refused(void)
{
	struct fake_host *h = unit_open();
	struct poison_result r;

	CU_ASSERT_EQUAL(mm_poison(h->sys, pfn_make(1), NULL, 0, &r), -EINVAL);
	CU_ASSERT_EQUAL(mm_poison(h->sys, h->node_base[0], NULL, 0, &r), -ENOENT);
	CU_ASSERT_EQUAL(mm_sys_poisoned(h->sys), 0);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 65: anonymous memory, every mapper", test_anon },
		{ "row 65: file pages, clean and dirty", test_file },
		{ "row 65: shared memory stays poisoned", test_shmem },
		{ "row 65: what swap has is read again", test_swap_cache },
		{ "row 65: merged pages", test_merged },
		{ "row 65: one page of a large folio", test_large },
		{ "row 65: what is no page in use", test_refused },
	};

	return unit_run("poison", tests, ARRAY_LEN(tests), argc, argv);
}
