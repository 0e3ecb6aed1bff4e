/* SPDX-License-Identifier: MIT */
/* Row 83: map counts against a count of all entries of all tables. Row 92: splits. */
#include "tests/unit/walks.h"

#define NR_MMS 4
#define PAGES  64
#define BASE   0x10000000ul

static uint64_t random_state;

/* How many present entries of all mms map the frame: brute force, addresses known. */
static int32_t count_entries(struct fake_host *h, struct mm *const *mms, pfn_t pfn)
{
	int32_t n = 0;

	for (int i = 0; i < NR_MMS; i++)
		for (uint64_t p = 0; mms[i] && p < PAGES; p++) {
			uint64_t e = unit_pte(h, mms[i], page_at(gva_make(BASE), p));

			n += pte_present(e) && pte_pfn(e).v == pfn.v;
		}
	return n;
}

static void check_folio(struct fake_host *h, struct mm *const *mms, struct folio *f)
{
	int32_t total = 0, frames = 0;

	for (unsigned int i = 0; i < folio_nr(f); i++) {
		int32_t n = count_entries(h, mms, folio_pfn(h->sys, f + i));

		CU_ASSERT_EQUAL(f[i].mapcount, n);
		total += n;
		frames += n > 0;
	}
	CU_ASSERT_EQUAL(folio_mapcount(f), total);
	if (f->order) {
		CU_ASSERT_EQUAL(f[1].large.nr_frames_mapped, frames);
		CU_ASSERT_EQUAL(f[1].large.entire_mapcount, 0);
	}
}

static void check_all(struct fake_host *h, struct mm *const *mms)
{
	for (int i = 0; i < NR_MMS; i++)
		for (uint64_t p = 0; mms[i] && p < PAGES; p++) {
			struct folio *f = unit_frame(h, mms[i], page_at(gva_make(BASE), p));

			if (f)
				check_folio(h, mms, folio_head(f));
		}
}

static void random_step(struct fake_host *h, struct mm **mms)
{
	int who = (int)unit_random(&random_state, NR_MMS),
	    other = (int)unit_random(&random_state, NR_MMS);
	uint64_t page = unit_random(&random_state, PAGES), nr = 1 + unit_random(&random_state, 8);
	gva_t at = page_at(gva_make(BASE), page);

	if (page + nr > PAGES)
		nr = PAGES - page;
	if (!mms[who])
		return;
	switch (unit_random(&random_state, 8)) {
	case 0:
		if (!mms[other])
			mms[other] = unit_fork(mms[who]);
		break;
	case 1:
		if (who && unit_random(&random_state, 2)) {
			mm_put(mms[who]);
			mms[who] = NULL;
		}
		break;
	case 2:
		unit_advise(mms[who], at, nr, MADV_DONTNEED);
		break;
	case 3:
		unit_reclaim(h, mms[who], at, nr);
		break;
	case 4:
		unit_migrate(h, mms[who], (int)unit_random(&random_state, 2));
		break;
	default:
		unit_put(h, mms[who], at, random_state);
	}
}

static void run_random(unsigned int order)
{
	struct fake_config config = unit_config();

	config.max_anon_order = order;
	config.fault_around = 1u << order;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct fake_host *h = unit_open_with(&config);
		struct mm *mms[NR_MMS] = { unit_mm(h) };

		random_state = seed * 104729;
		unit_map_large(h, mms[0], PAGES, order, 1);
		for (int step = 0; step < 80; step++) {
			random_step(h, mms);
			if (step % 4 == 0)
				check_all(h, mms);
			if (step % 16 == 0)
				unit_check(h);
		}
		unit_check(h);
		for (int i = 0; i < NR_MMS; i++)
			if (mms[i])
				mm_put(mms[i]);
		unit_close(h);
	}
}

static void test_row83_small(void)
{
	run_random(0);
}

static void test_row83_large(void)
{
	run_random(3);
}

/* A partly mapped large folio is split: what is mapped stays, the rest is freed. */
static void test_row92_split(void)
{
	struct fake_config config = unit_config_large();
	struct fake_host *h;
	struct mm *mm;
	struct folio *f;
	uint64_t free_before;
	gva_t a;

	h = unit_open_with(&config);
	free_before = frames_nr_free(h->sys);
	mm = unit_mm(h);
	a = unit_map_large(h, mm, 16, 4, 1);
	unit_advise(mm, page_at(a, 8), 8, MADV_DONTNEED);
	f = unit_folio(h, mm, a);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before - 16);
	CU_ASSERT_TRUE_FATAL(lru_isolate_folio(h->sys, f));
	folio_lock(h->sys, f);
	CU_ASSERT_EQUAL(folio_split(h->sys, f), 0);
	folio_unlock(h->sys, f);
	lru_putback(h->sys, f, false);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before - 8);
	for (uint64_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(unit_folio(h, mm, page_at(a, i))->order, 0);
	CU_ASSERT_EQUAL(unit_verify(h, mm, a, 8, 1), 0);
	unit_end(h, mm);
}

/* Somebody uses the folio: no split, and it is as it was. */
static void test_split_refused(void)
{
	struct fake_config config = unit_config_large();
	struct fake_host *h;
	struct mm *mm;
	struct folio *f;
	gva_t a;

	h = unit_open_with(&config);
	mm = unit_mm(h);
	a = unit_map_large(h, mm, 16, 4, 1);
	f = unit_folio(h, mm, a);
	CU_ASSERT_TRUE_FATAL(lru_isolate_folio(h->sys, f));
	folio_get(f);
	folio_lock(h->sys, f);
	CU_ASSERT_EQUAL(folio_split(h->sys, f), -EAGAIN);
	folio_unlock(h->sys, f);
	folio_put(h->sys, f);
	lru_putback(h->sys, f, false);
	CU_ASSERT_EQUAL(unit_folio(h, mm, a)->order, 4);
	CU_ASSERT_EQUAL(unit_verify(h, mm, a, 16, 1), 0);
	unit_end(h, mm);
}

/* A folio with as many references as it may have: one more is refused, none wraps. */
static void test_row84_limits(void)
{
	struct fake_host *h = unit_open();
	struct unit_file file = unit_file(h, UMM_PAGE_SIZE);
	struct mm *mm = unit_mm(h), *other = unit_mm(h), *child = NULL;
	gva_t a = unit_map(mm, 1, PROT_RW, MAP_ANON_PRIVATE);
	gva_t b = unit_map_file(mm, file.mapping, 0, 1, PROT_RW, MAP_SHARED);
	gva_t c = unit_map_file(other, file.mapping, 0, 1, PROT_RW, MAP_SHARED);
	struct folio *anon, *cached;
	struct mm_pin_vec vec[1];
	uint64_t value;
	unsigned int nr;
	size_t bytes;

	unit_put(h, mm, a, 1);
	unit_put(h, mm, b, 2);
	anon = unit_folio(h, mm, a);
	cached = unit_folio(h, mm, b);
	folio_get_many(anon, FOLIO_REFS_MAX - folio_refcount(anon));
	CU_ASSERT_EQUAL(mm_fork(mm, &child), -ENOMEM);
	CU_ASSERT_EQUAL(mm_pin(mm, a, 8, true, vec, 1, &nr, &bytes), -ENOMEM);
	CU_ASSERT_EQUAL(folio_refcount(anon), FOLIO_REFS_MAX);
	folio_put_many(h->sys, anon, FOLIO_REFS_MAX - 1);
	folio_get_many(cached, FOLIO_REFS_MAX - folio_refcount(cached));
	CU_ASSERT_EQUAL(fake_load(h, other, 1, c, &value), FAULT_OOM);
	CU_ASSERT_EQUAL(folio_refcount(cached), FOLIO_REFS_MAX);
	folio_put_many(h->sys, cached, FOLIO_REFS_MAX - 2);
	CU_ASSERT_EQUAL(unit_get(h, other, c), 2);
	CU_ASSERT_EQUAL(mm_fork(mm, &child), 0);
	unit_check(h);
	mm_put(child);
	mm_put(other);
	mm_put(mm);
	unit_file_close(&file);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 83: random operations, small folios", test_row83_small },
		{ "row 83: random operations, large folios", test_row83_large },
		{ "row 92: a split frees the unmapped part only", test_row92_split },
		{ "a split is refused while somebody uses the folio", test_split_refused },
		{ "row 84: counts refuse, and do not wrap", test_row84_limits },
	};

	return unit_run("mapcount", tests, ARRAY_LEN(tests), argc, argv);
}
