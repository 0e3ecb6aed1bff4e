/* SPDX-License-Identifier: MIT */
/* Soft-dirty, pagemap and clear_refs. RMAP row 58, and what Linux's soft-dirty.rst promises. */
#include <umm/pagemap.h>
#include "tests/unit/util.h"

#define PAGES 16u

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t a;
};

static struct setup open_area(int flags)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.a = unit_map(s.mm, PAGES, PROT_RW, flags);
	return s;
}

static struct setup open_filled(int flags)
{
	struct setup s = open_area(flags);

	unit_fill(s.h, s.mm, s.a, PAGES, 1);
	return s;
}

static uint64_t pagemap_at(struct mm *mm, gva_t addr)
{
	uint64_t e = 0;

	mm_pagemap(mm, addr, 1, true, &e);
	return e;
}

static bool has(struct mm *mm, gva_t addr, uint64_t bit)
{
	return pagemap_at(mm, addr) & bit;
}

static bool is_dirty(struct setup *s, unsigned int page)
{
	return pagemap_at(s->mm, page_at(s->a, page)) & PM_SOFT_DIRTY;
}

static unsigned int dirty_pages(struct mm *mm, gva_t a, unsigned int nr)
{
	uint64_t map[PAGES];
	unsigned int dirty = 0;

	mm_pagemap(mm, a, nr, false, map);
	for (unsigned int i = 0; i < nr; i++)
		dirty += (map[i] & PM_SOFT_DIRTY) != 0;
	return dirty;
}

static void clear_soft_dirty(struct setup *s)
{
	CU_ASSERT_EQUAL(mm_clear_refs(s->mm, CLEAR_REFS_SOFT_DIRTY), 0);
	unit_check(s->h);
	CU_ASSERT_EQUAL(dirty_pages(s->mm, s->a, PAGES), 0);
}

static void store(struct setup *s, unsigned int page)
{
	unit_put(s->h, s->mm, page_at(s->a, page), 7);
}

static void test_new_area(void)
{
	struct setup s = open_area(MAP_ANON_PRIVATE);

	/* As a whole, touched or not; and nothing where no area is. */
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), PAGES);
	CU_ASSERT_EQUAL(pagemap_at(s.mm, page_at(s.a, PAGES)), 0);
	CU_ASSERT_EQUAL(pagemap_at(s.mm, s.a), PM_SOFT_DIRTY);
	CU_ASSERT_TRUE(unit_vma(s.mm, s.a)->flags & VM_SOFTDIRTY);
	clear_soft_dirty(&s);
	CU_ASSERT_FALSE(unit_vma(s.mm, s.a)->flags & VM_SOFTDIRTY);
	CU_ASSERT_EQUAL(pagemap_at(s.mm, s.a), 0);
	/* One that joins it makes all of it new. */
	unit_map_at(s.mm, page_at(s.a, PAGES).v, 1, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED);
	CU_ASSERT_EQUAL(unit_vma(s.mm, s.a)->end.v, page_at(s.a, PAGES + 1).v);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), PAGES);
	unit_end(s.h, s.mm);
}

static void only_the_stored(int flags)
{
	struct setup s = open_filled(flags);

	clear_soft_dirty(&s);
	for (unsigned int i = 0; i < PAGES; i++)
		unit_get(s.h, s.mm, page_at(s.a, i));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 0);
	store(&s, 3);
	CU_ASSERT_TRUE(is_dirty(&s, 3));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	clear_soft_dirty(&s);
	/* A kept translation does not hide the second. */
	store(&s, 3);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	unit_end(s.h, s.mm);
}

static void test_only_the_stored(void)
{
	only_the_stored(MAP_ANON_PRIVATE);
	only_the_stored(MAP_ANON_SHARED);
}

static void test_shared_file(void)
{
	struct setup s = open_area(MAP_ANON_PRIVATE);
	struct unit_file file = unit_file(s.h, PAGES * UMM_PAGE_SIZE);
	gva_t anon = s.a;

	s.a = unit_map_file(s.mm, file.mapping, 0, PAGES, PROT_RW, MAP_SHARED);
	unit_fill(s.h, s.mm, s.a, PAGES, 1);
	clear_soft_dirty(&s);
	unit_get(s.h, s.mm, s.a);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 0);
	store(&s, 5);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	CU_ASSERT_TRUE(has(s.mm, s.a, PM_FILE));
	unit_unmap(s.mm, s.a, PAGES);
	unit_file_close(&file);
	s.a = anon;
	unit_end(s.h, s.mm);
}

/* A private file page: the copy is noted, and it alone though stores copy neighbours. */
static void test_private_file(void)
{
	struct fake_config config = unit_config();
	struct setup s;
	struct unit_file file;

	config.copy_around = 8;
	config.fault_around = 16;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	file = unit_file(s.h, PAGES * UMM_PAGE_SIZE);
	s.a = unit_map_file(s.mm, file.mapping, 0, PAGES, PROT_RW, MAP_PRIVATE);
	clear_soft_dirty(&s);
	unit_get(s.h, s.mm, s.a);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 0);
	store(&s, 5);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	CU_ASSERT_FALSE(has(s.mm, page_at(s.a, 5), PM_FILE));
	unit_unmap(s.mm, s.a, PAGES);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* Pages first touched after the clearing: a window, whose pages a load or one store fills. */
static void test_windows(void)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.fault_around = 16;
	config.max_anon_order = 4;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.a = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	clear_soft_dirty(&s);
	store(&s, 2);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	unit_get(s.h, s.mm, page_at(s.a, 9));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	for (unsigned int i = 0; i < PAGES; i++) {
		store(&s, i);
		CU_ASSERT_TRUE(is_dirty(&s, i));
	}
	unit_end(s.h, s.mm);
}

static void test_swap(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);

	clear_soft_dirty(&s);
	store(&s, 1);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, s.a, PAGES).freed, PAGES);
	CU_ASSERT_TRUE(has(s.mm, s.a, PM_SWAP));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	CU_ASSERT_TRUE(is_dirty(&s, 1));
	/* Read back: as it was. Stored to: noted, though it comes back exclusive. */
	unit_get(s.h, s.mm, page_at(s.a, 1));
	unit_get(s.h, s.mm, page_at(s.a, 2));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	store(&s, 2);
	store(&s, 3);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 3);
	/* Cleared while it is away. */
	unit_reclaim(s.h, s.mm, s.a, PAGES);
	CU_ASSERT_TRUE(unit_swapped(s.h, s.mm, page_at(s.a, 3)));
	clear_soft_dirty(&s);
	unit_get(s.h, s.mm, page_at(s.a, 3));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 0);
	store(&s, 3);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	unit_end(s.h, s.mm);
}

static void test_migration(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);

	clear_soft_dirty(&s);
	store(&s, 1);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, 1).moved, PAGES);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	store(&s, 2);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 2);
	unit_end(s.h, s.mm);
}

/* The test's own thread holds a folio lock. */
static void *clear_in_thread(void *arg)
{
	struct setup *s = arg;

	CU_ASSERT_TRUE(has(s->mm, s->a, PM_SWAP));
	CU_ASSERT_EQUAL(mm_clear_refs(s->mm, CLEAR_REFS_SOFT_DIRTY), 0);
	return NULL;
}

/* Cleared in the middle of a move: the page must not come back writable unnoticed. */
static void test_migration_window(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);
	struct folio *f = unit_folio(s.h, s.mm, s.a);
	struct zap_batch zap;

	zap_batch_init(&zap, s.h->sys);
	folio_get(f);
	folio_lock(s.h->sys, f);
	try_to_migrate(s.h->sys, f, TTU_BATCH_FLUSH, &zap);
	CU_ASSERT_TRUE(unit_migrating(s.h, s.mm, s.a));
	unit_in_thread(clear_in_thread, &s);
	/* Nobody can go on storing through what was cached before the move. */
	CU_ASSERT_FALSE(fake_cached(s.h, folio_pfn(s.h->sys, f), 1));
	remove_migration_ptes(s.h->sys, f, f, false);
	folio_unlock(s.h->sys, f);
	folio_put(s.h->sys, f);
	zap_batch_destroy(&zap);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 0);
	store(&s, 0);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	unit_end(s.h, s.mm);
}

static void test_fork(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);
	struct mm *child;

	clear_soft_dirty(&s);
	store(&s, 1);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(dirty_pages(child, s.a, PAGES), 1);
	CU_ASSERT_FALSE(has(s.mm, s.a, PM_MMAP_EXCLUSIVE));
	/* Copies and pages taken over by their last user are noted alike. */
	unit_put(s.h, child, page_at(s.a, 4), 9);
	CU_ASSERT_EQUAL(dirty_pages(child, s.a, PAGES), 2);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	mm_put(child);
	store(&s, 4);
	store(&s, 5);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 3);
	CU_ASSERT_TRUE(has(s.mm, s.a, PM_MMAP_EXCLUSIVE));
	unit_end(s.h, s.mm);
}

/* A large folio that its last user takes over by one store: the others wait for theirs. */
static void test_take_over_large(void)
{
	struct fake_config config = unit_config();
	struct setup s;
	struct mm *child;

	config.fault_around = 16;
	config.max_anon_order = 4;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.a = unit_map_large(s.h, s.mm, PAGES, 4, 1);
	clear_soft_dirty(&s);
	child = unit_fork(s.mm);
	mm_put(child);
	store(&s, 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	store(&s, 1);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 2);
	unit_end(s.h, s.mm);
}

static void test_mremap(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);

	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, s.a, 1).freed, 1);
	clear_soft_dirty(&s);
	unit_unmap(s.mm, page_at(s.a, 2), 1);
	/* What moved counts as written, as its place is new. */
	s.a = unit_remap(s.mm, s.a, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED, page_at(s.a, 4 * PAGES));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, 2), 2);
	unit_end(s.h, s.mm);
}

static void test_mprotect(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);

	clear_soft_dirty(&s);
	store(&s, 1);
	unit_protect(s.mm, s.a, PAGES, PROT_READ);
	unit_protect(s.mm, s.a, PAGES, PROT_RW);
	unit_check(s.h);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	store(&s, 2);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 2);
	/* Nobody may touch it: cleared all the same, and then not writable at once. */
	unit_protect(s.mm, s.a, PAGES, PROT_NONE);
	clear_soft_dirty(&s);
	unit_protect(s.mm, s.a, PAGES, PROT_RW);
	store(&s, 2);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	unit_end(s.h, s.mm);
}

static void test_host_access(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);
	struct mm_pin_vec pin;
	unsigned int nr;
	uint64_t v = 5;
	size_t bytes;

	clear_soft_dirty(&s);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, &v, s.a, sizeof(v), NULL), 0);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 0);
	CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, s.a, &v, sizeof(v), NULL), 0);
	CU_ASSERT_EQUAL(mm_poke_guest(s.mm, page_at(s.a, 1), &v, sizeof(v), NULL), 0);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 2);
	/* While it is pinned the host stores at any time. */
	CU_ASSERT_EQUAL(mm_pin(s.mm, page_at(s.a, 2), 8, true, &pin, 1, &nr, &bytes), 0);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, CLEAR_REFS_SOFT_DIRTY), 0);
	CU_ASSERT_TRUE(is_dirty(&s, 2));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	mm_unpin(s.mm, &pin, nr, true);
	clear_soft_dirty(&s);
	unit_end(s.h, s.mm);
}

static struct setup open_leaf(void)
{
	struct fake_config config = unit_config();
	struct setup s;

	config.max_anon_order = UMM_PMD_ORDER;
	config.shadow_paging = true;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.a = unit_map_at(s.mm, 1ul << 30, UMM_PTRS_PER_TABLE, PROT_RW,
			  MAP_ANON_PRIVATE | MAP_FIXED);
	return s;
}

static bool is_leaf(struct setup *s)
{
	bool huge = false;

	return fake_entry(s->h, s->mm->root, s->a, &huge) && huge;
}

/* As a whole, as on Linux: one store to a 2 MiB leaf is a store to all of it. */
static void test_leaf(void)
{
	struct setup s = open_leaf();

	store(&s, 0);
	CU_ASSERT_TRUE(is_leaf(&s));
	clear_soft_dirty(&s);
	unit_get(s.h, s.mm, page_at(s.a, 1));
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 0);
	CU_ASSERT_TRUE(has(s.mm, s.a, PM_MMAP_EXCLUSIVE));
	CU_ASSERT_EQUAL(pagemap_at(s.mm, page_at(s.a, 3)) & PM_PFRAME_MASK,
			(pagemap_at(s.mm, s.a) & PM_PFRAME_MASK) + 3);
	store(&s, 5);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), PAGES);
	CU_ASSERT_TRUE(is_leaf(&s));
	/* Split after it was cleared: each page for itself. */
	clear_soft_dirty(&s);
	unit_protect(s.mm, page_at(s.a, 100), 1, PROT_READ);
	store(&s, 5);
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), 1);
	unit_end(s.h, s.mm);
}

static void test_pagemap_fields(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);
	uint64_t e = pagemap_at(s.mm, s.a), map[PAGES + 2];

	CU_ASSERT_EQUAL(e, PM_PRESENT | PM_SOFT_DIRTY | PM_MMAP_EXCLUSIVE |
				   folio_pfn(s.h->sys, unit_folio(s.h, s.mm, s.a)).v);
	mm_pagemap(s.mm, s.a, 1, false, map);
	CU_ASSERT_EQUAL(map[0], PM_PRESENT | PM_SOFT_DIRTY | PM_MMAP_EXCLUSIVE);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, s.a, 1).freed, 1);
	e = pagemap_at(s.mm, s.a);
	CU_ASSERT_EQUAL(e & ~PM_PFRAME_MASK, PM_SWAP | PM_SOFT_DIRTY);
	CU_ASSERT_EQUAL((e & PM_PFRAME_MASK) >> PM_SWAP_SHIFT,
			swp_offset(pte_to_swp(unit_pte(s.h, s.mm, s.a))));
	/* Before, between and behind areas; the middle page goes. */
	unit_unmap(s.mm, page_at(s.a, 4), 1);
	mm_pagemap(s.mm, gva_make(s.a.v - UMM_PAGE_SIZE), PAGES + 2, true, map);
	CU_ASSERT_EQUAL(map[0], 0);
	CU_ASSERT_EQUAL(map[5], 0);
	CU_ASSERT_EQUAL(map[PAGES + 1], 0);
	for (unsigned int i = 1; i <= PAGES; i++)
		CU_ASSERT_EQUAL(map[i], pagemap_at(s.mm, page_at(s.a, i - 1)));
	unit_end(s.h, s.mm);
}

static bool accessed(struct setup *s, gva_t a)
{
	return unit_pte(s->h, s->mm, a) & PTE_ACCESSED;
}

static void test_references(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);
	gva_t shared = unit_map(s.mm, 1, PROT_RW, MAP_ANON_SHARED);

	unit_put(s.h, s.mm, shared, 1);
	folio_set(unit_folio(s.h, s.mm, s.a), PG_young);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, CLEAR_REFS_MAPPED), 0);
	CU_ASSERT_TRUE(accessed(&s, s.a));
	CU_ASSERT_FALSE(accessed(&s, shared));
	/* The next use is seen though the vCPU knew the page. */
	unit_get(s.h, s.mm, shared);
	CU_ASSERT_TRUE(accessed(&s, shared));
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, CLEAR_REFS_ANON), 0);
	CU_ASSERT_FALSE(accessed(&s, s.a));
	CU_ASSERT_FALSE(folio_test(unit_folio(s.h, s.mm, s.a), PG_young));
	CU_ASSERT_TRUE(accessed(&s, shared));
	unit_get(s.h, s.mm, s.a);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, CLEAR_REFS_ALL), 0);
	CU_ASSERT_FALSE(accessed(&s, s.a) || accessed(&s, shared));
	/* None of these looks at who was written. */
	CU_ASSERT_EQUAL(dirty_pages(s.mm, s.a, PAGES), PAGES);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, 0), -EINVAL);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, 6), -EINVAL);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, -1), -EINVAL);
	unit_end(s.h, s.mm);
}

static void test_peak(void)
{
	struct setup s = open_filled(MAP_ANON_PRIVATE);

	unit_unmap(s.mm, s.a, PAGES / 2);
	CU_ASSERT_EQUAL(s.mm->peak_rss, PAGES);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, CLEAR_REFS_PEAK_RSS), 0);
	CU_ASSERT_EQUAL(s.mm->peak_rss, PAGES / 2);
	s.a = page_at(s.a, PAGES / 2);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, s.a, PAGES / 2).freed, PAGES / 2);
	CU_ASSERT_EQUAL(s.mm->peak_rss, PAGES / 2);
	CU_ASSERT_EQUAL(mm_clear_refs(s.mm, CLEAR_REFS_PEAK_RSS), 0);
	CU_ASSERT_EQUAL(s.mm->peak_rss, 0);
	unit_end(s.h, s.mm);
}

/* ---- no store is missed, whatever else is done ------------------------------------------ */

static void random_step(struct setup *s, uint64_t *seed, bool *stored)
{
	unsigned int page = (unsigned int)unit_random(seed, PAGES);
	struct mm *child;

	switch (unit_random(seed, 12)) {
	case 0:
		clear_soft_dirty(s);
		memset(stored, 0, PAGES * sizeof(*stored));
		break;
	case 1:
		unit_reclaim(s->h, s->mm, page_at(s->a, page), 1 + PAGES - page);
		break;
	case 2:
		unit_migrate(s->h, s->mm, (int)unit_random(seed, 2));
		break;
	case 3:
		child = unit_fork(s->mm);
		unit_put(s->h, child, page_at(s->a, page), 3);
		mm_put(child);
		break;
	case 4:
		unit_protect(s->mm, page_at(s->a, page), 1, PROT_READ);
		unit_protect(s->mm, page_at(s->a, page), 1, PROT_RW);
		break;
	case 5:
		unit_get(s->h, s->mm, page_at(s->a, page));
		break;
	default:
		store(s, page);
		stored[page] = true;
	}
}

static void test_random(void)
{
	struct fake_config config = unit_config();
	bool stored[PAGES] = { false };
	uint64_t seed = 20;
	struct setup s;

	config.fault_around = 16;
	config.max_anon_order = 2;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.a = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	for (unsigned int step = 0; step < 3000; step++) {
		random_step(&s, &seed, stored);
		for (unsigned int i = 0; i < PAGES; i++)
			CU_ASSERT_TRUE(!stored[i] || is_dirty(&s, i));
		unit_check(s.h);
	}
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "a new area counts as written", test_new_area },
		{ "only what is stored to", test_only_the_stored },
		{ "shared file", test_shared_file },
		{ "private file, neighbours not copied", test_private_file },
		{ "windows of new pages", test_windows },
		{ "row 58: swap", test_swap },
		{ "row 58: migration", test_migration },
		{ "row 58: cleared while a page moves", test_migration_window },
		{ "row 58: fork", test_fork },
		{ "large folio taken over", test_take_over_large },
		{ "mremap marks what moved", test_mremap },
		{ "mprotect does not widen unnoticed", test_mprotect },
		{ "stores by the host, pins", test_host_access },
		{ "2 MiB leaf", test_leaf },
		{ "pagemap: frames, slots, holes", test_pagemap_fields },
		{ "clear_refs 1 to 3", test_references },
		{ "clear_refs 5", test_peak },
		{ "random: no store is missed", test_random },
	};

	return unit_run("soft dirty", tests, ARRAY_LEN(tests), argc, argv);
}
