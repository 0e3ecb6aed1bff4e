/* SPDX-License-Identifier: MIT */
/* What is told of frames by number: kpageflags, kpagecount, page idle tracking. Rows 41, 43. */
#include <linux/kernel-page-flags.h>
#include <umm/pagemap.h>
#include "tests/unit/util.h"

#define FLAG(f)   (1ul << KPF_##f)
#define ANON_PAGE (FLAG(UPTODATE) | FLAG(LRU) | FLAG(MMAP) | FLAG(ANON) | FLAG(SWAPBACKED))

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t a;
	pfn_t pfn;
};

static struct setup open_page(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.a = unit_map_filled(s.h, s.mm, 64, 1);
	s.pfn = folio_pfn(s.h->sys, unit_folio(s.h, s.mm, s.a));
	return s;
}

static void test_flags(void)
{
	struct setup s = open_page();
	uint64_t mask = ANON_PAGE | FLAG(BUDDY) | FLAG(NOPAGE) | FLAG(KSM) | FLAG(COMPOUND_HEAD) |
			FLAG(COMPOUND_TAIL) | FLAG(THP) | FLAG(HWPOISON) | FLAG(LOCKED);
	pfn_t end = mm_sys_end_pfn(s.h->sys);

	CU_ASSERT_EQUAL(mm_page_flags(s.h->sys, s.pfn) & mask, ANON_PAGE);
	CU_ASSERT_EQUAL(mm_page_count(s.h->sys, s.pfn), 1);
	CU_ASSERT_EQUAL(mm_page_flags(s.h->sys, end), FLAG(NOPAGE));
	CU_ASSERT_EQUAL(mm_page_count(s.h->sys, end), 0);
	CU_ASSERT_EQUAL(mm_page_flags(s.h->sys, pfn_make(~0ul)), FLAG(NOPAGE));
	CU_ASSERT_EQUAL(mm_page_flags(s.h->sys, pfn_make(end.v - 1)), FLAG(BUDDY));
	unit_unmap(s.mm, s.a, 1);
	CU_ASSERT_EQUAL(mm_page_flags(s.h->sys, s.pfn), FLAG(BUDDY));
	CU_ASSERT_EQUAL(mm_page_count(s.h->sys, s.pfn), 0);
	unit_end(s.h, s.mm);
}

static void test_count(void)
{
	struct setup s = open_page();
	struct mm *child = unit_fork(s.mm);

	CU_ASSERT_EQUAL(mm_page_count(s.h->sys, s.pfn), 2);
	unit_put(s.h, child, s.a, 2);
	CU_ASSERT_EQUAL(mm_page_count(s.h->sys, s.pfn), 1);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_large(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;

	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.a = unit_map_large(s.h, s.mm, 16, 4, 1);
	s.pfn = folio_pfn(s.h->sys, unit_folio(s.h, s.mm, s.a));
	for (unsigned int i = 0; i < 16; i++) {
		uint64_t u = mm_page_flags(s.h->sys, pfn_add(s.pfn, i));

		CU_ASSERT_TRUE((u & ANON_PAGE) == ANON_PAGE && (u & FLAG(THP)));
		CU_ASSERT_EQUAL((u & FLAG(COMPOUND_HEAD)) != 0, i == 0);
		CU_ASSERT_EQUAL((u & FLAG(COMPOUND_TAIL)) != 0, i != 0);
		CU_ASSERT_EQUAL(mm_page_count(s.h->sys, pfn_add(s.pfn, i)), 1);
	}
	/* One of its pages goes: that page alone is mapped no more. */
	unit_unmap(s.mm, page_at(s.a, 3), 1);
	CU_ASSERT_EQUAL(mm_page_count(s.h->sys, pfn_add(s.pfn, 3)), 0);
	CU_ASSERT_FALSE(mm_page_flags(s.h->sys, pfn_add(s.pfn, 3)) & FLAG(MMAP));
	CU_ASSERT_EQUAL(mm_page_count(s.h->sys, s.pfn), 1);
	unit_end(s.h, s.mm);
}

static bool idle(struct setup *s, pfn_t pfn)
{
	uint64_t word = 0;

	mm_page_idle_read(s->h->sys, pfn_make(pfn.v & ~63ul), &word, 1);
	return word >> (pfn.v % 64) & 1;
}

static void mark_all(struct setup *s)
{
	uint64_t words[8];

	memset(words, 0xff, sizeof(words));
	for (uint64_t pfn = 0; pfn < mm_sys_end_pfn(s->h->sys).v; pfn += 512)
		mm_page_idle_mark(s->h->sys, pfn_make(pfn), words, 8);
}

/* A vCPU that knows the page is seen all the same: marking zaps, with one call a row of words. */
static void test_idle(void)
{
	struct setup s = open_page();
	pfn_t other = folio_pfn(s.h->sys, unit_folio(s.h, s.mm, page_at(s.a, 9)));
	uint64_t zaps;

	CU_ASSERT_FALSE(idle(&s, s.pfn));
	mark_all(&s);
	CU_ASSERT_TRUE(idle(&s, s.pfn) && idle(&s, other));
	CU_ASSERT_TRUE(mm_page_flags(s.h->sys, s.pfn) & FLAG(IDLE));
	unit_get(s.h, s.mm, s.a);
	CU_ASSERT_FALSE(idle(&s, s.pfn));
	CU_ASSERT_TRUE(idle(&s, other));
	/* Reclaim is not blinded by it. */
	CU_ASSERT_TRUE(folio_test(unit_folio(s.h, s.mm, s.a), PG_young));
	zaps = fake_calls(s.h, FAKE_ZAP);
	CU_ASSERT_TRUE(idle(&s, other));
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_ZAP), zaps);
	mark_all(&s);
	CU_ASSERT_TRUE(idle(&s, s.pfn));
	/* Free frames, and those between and behind the nodes, are nobody's. */
	CU_ASSERT_FALSE(idle(&s, pfn_make(mm_sys_end_pfn(s.h->sys).v - 1)));
	CU_ASSERT_FALSE(idle(&s, mm_sys_end_pfn(s.h->sys)));
	unit_end(s.h, s.mm);
}

/* What any process does with it counts. */
static void test_idle_sharers(void)
{
	struct setup s = open_page();
	struct mm *child = unit_fork(s.mm);

	mark_all(&s);
	unit_get(s.h, child, s.a);
	CU_ASSERT_FALSE(idle(&s, s.pfn));
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* A large folio is told of at its first frame. */
static void test_idle_large(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;

	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.a = unit_map_large(s.h, s.mm, 16, 4, 1);
	s.pfn = folio_pfn(s.h->sys, unit_folio(s.h, s.mm, s.a));
	mark_all(&s);
	CU_ASSERT_TRUE(idle(&s, s.pfn));
	CU_ASSERT_FALSE(idle(&s, pfn_add(s.pfn, 1)));
	unit_get(s.h, s.mm, page_at(s.a, 15));
	CU_ASSERT_FALSE(idle(&s, s.pfn));
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "flags of used, free and missing frames", test_flags },
		{ "how many entries map a frame", test_count },
		{ "frames of a large folio", test_large },
		{ "row 41: idle until it is used", test_idle },
		{ "row 41: idle until any sharer uses it", test_idle_sharers },
		{ "row 41: a large folio, at its first frame", test_idle_large },
	};

	return unit_run("page flags", tests, ARRAY_LEN(tests), argc, argv);
}
