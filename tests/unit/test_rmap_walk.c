/* SPDX-License-Identifier: MIT */
/* The walk itself: whom it visits, when it stops, what it locks. Rows 1 to 10. */
#include "tests/unit/walks.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* More areas than a walk takes at a time (rmap/walk_ahead.h). */
#define CHILDREN 20

/* One page, stored to by the parent, shared with CHILDREN children. */
struct family {
	struct fake_host *h;
	struct mm *mm[CHILDREN + 1];
	gva_t addr;
	struct folio *folio;
};

static void family_open(struct family *f)
{
	f->h = unit_open();
	f->mm[0] = unit_mm(f->h);
	f->addr = unit_map(f->mm[0], 1, PROT_RW, MAP_ANON_PRIVATE);
	unit_put(f->h, f->mm[0], f->addr, 42);
	for (int i = 1; i <= CHILDREN; i++)
		f->mm[i] = unit_fork(f->mm[0]);
	f->folio = unit_folio(f->h, f->mm[0], f->addr);
}

static void family_close(struct family *f)
{
	unit_check(f->h);
	for (int i = 0; i <= CHILDREN; i++)
		mm_put(f->mm[i]);
	unit_close(f->h);
}

static void test_row1_invalid_vma(void)
{
	static struct walk_log log;
	struct family f;

	family_open(&f);
	walk_init(&log);
	log.invalid = unit_vma(f.mm[2], f.addr);
	rmap_walk(f.folio, &log.rwc);
	CU_ASSERT_EQUAL(log.nr, CHILDREN);
	CU_ASSERT_FALSE(walk_saw(&log, log.invalid));
	CU_ASSERT_TRUE(walk_saw(&log, unit_vma(f.mm[0], f.addr)));
	family_close(&f);
}

static void test_row2_rmap_one_stops(void)
{
	static struct walk_log log;
	struct family f;

	family_open(&f);
	for (unsigned int stop = 1; stop <= CHILDREN; stop++) {
		walk_init(&log);
		log.stop_after = stop;
		rmap_walk(f.folio, &log.rwc);
		CU_ASSERT_EQUAL(log.nr, stop);
	}
	family_close(&f);
}

static unsigned int done_calls, done_at;

static bool done_counts(struct folio *f)
{
	(void)f;
	return ++done_calls == done_at;
}

static void test_row3_done_stops(void)
{
	static struct walk_log log;
	struct family f;

	family_open(&f);
	for (done_at = 1; done_at <= CHILDREN; done_at++) {
		done_calls = 0;
		walk_init(&log);
		log.rwc.done = done_counts;
		rmap_walk(f.folio, &log.rwc);
		CU_ASSERT_EQUAL(log.nr, done_at);
		CU_ASSERT_EQUAL(done_calls, done_at);
	}
	family_close(&f);
}

/* As reclaim meets it: five areas in the tree, two of them still map the page. */
static void test_row3_unmap_stops_early(void)
{
	struct family f;
	uint64_t visits;

	family_open(&f);
	for (int i = 2; i <= CHILDREN; i++)
		unit_advise(f.mm[i], f.addr, 1, MADV_DONTNEED);
	CU_ASSERT_EQUAL(folio_mapcount(f.folio), 2);
	visits = mm_sys_event(f.h->sys, EV_RMAP_VISITS);
	folio_get(f.folio);
	folio_lock(f.h->sys, f.folio);
	try_to_migrate(f.h->sys, f.folio, 0, NULL);
	visits = mm_sys_event(f.h->sys, EV_RMAP_VISITS) - visits;
	CU_ASSERT_FALSE(folio_mapped(f.folio));
	CU_ASSERT_TRUE(visits >= 2 && visits < CHILDREN + 1);
	remove_migration_ptes(f.h->sys, f.folio, f.folio, false);
	CU_ASSERT_EQUAL(folio_mapcount(f.folio), 2);
	folio_unlock(f.h->sys, f.folio);
	folio_put(f.h->sys, f.folio);
	family_close(&f);
}

struct contended {
	struct family *f;
	struct folio *folio;
	bool contended;
	unsigned int calls;
	int referenced;
};

static void *walk_trying(void *arg)
{
	static struct walk_log log;
	struct contended *c = arg;

	walk_init(&log);
	log.rwc.try_lock = true;
	if (!folio_test_anon(c->folio))
		folio_lock(c->f->h->sys, c->folio);
	rmap_walk(c->folio, &log.rwc);
	c->contended = log.rwc.contended;
	c->calls = log.nr;
	if (folio_test_anon(c->folio))
		c->referenced = folio_referenced(c->f->h->sys, c->folio, false, &(uint64_t){ 0 });
	else
		folio_unlock(c->f->h->sys, c->folio);
	return NULL;
}

static void test_row4_contended_anon(void)
{
	struct family f;
	struct contended c = { .f = &f };
	struct anon_vma *av;

	family_open(&f);
	c.folio = f.folio;
	av = unit_vma(f.mm[0], f.addr)->anon_vma;
	anon_vma_lock_write(av);
	unit_in_thread(walk_trying, &c);
	anon_vma_unlock_write(av);
	CU_ASSERT_TRUE(c.contended);
	CU_ASSERT_EQUAL(c.calls, 0);
	CU_ASSERT_EQUAL(c.referenced, -1);
	unit_in_thread(walk_trying, &c);
	CU_ASSERT_FALSE(c.contended);
	CU_ASSERT_EQUAL(c.calls, CHILDREN + 1);
	CU_ASSERT_TRUE(c.referenced >= 0);
	family_close(&f);
}

/* A file folio, mapped by mm[0]; with a reference, unlocked. */
static struct folio *map_file_page(struct family *f, struct unit_file *file, gva_t *addr)
{
	struct folio *folio;

	*file = unit_file(f->h, 4 * UMM_PAGE_SIZE);
	*addr = unit_map_file(f->mm[0], file->mapping, 0, 4, PROT_RW, MAP_SHARED);
	CU_ASSERT_EQUAL(unit_get(f->h, f->mm[0], page_at(*addr, 1)), fake_file_word(1, 0));
	folio = unit_folio(f->h, f->mm[0], page_at(*addr, 1));
	folio_get(folio);
	return folio;
}

static void test_row4_contended_file(void)
{
	struct family f;
	struct contended c = { .f = &f };
	struct unit_file file;
	gva_t addr;

	family_open(&f);
	c.folio = map_file_page(&f, &file, &addr);
	umm_write_lock(&file.mapping->i_mmap_lock);
	unit_in_thread(walk_trying, &c);
	umm_write_unlock(&file.mapping->i_mmap_lock);
	CU_ASSERT_TRUE(c.contended);
	CU_ASSERT_EQUAL(c.calls, 0);
	unit_in_thread(walk_trying, &c);
	CU_ASSERT_FALSE(c.contended);
	CU_ASSERT_EQUAL(c.calls, 1);
	folio_put(f.h->sys, c.folio);
	unit_unmap(f.mm[0], addr, 4);
	unit_file_close(&file);
	family_close(&f);
}

static void test_row5_locked_walk(void)
{
	static struct walk_log log;
	struct family f;
	struct anon_vma *av;
	uintptr_t mapping;

	family_open(&f);
	av = unit_vma(f.mm[0], f.addr)->anon_vma;
	anon_vma_lock_write(av);
	walk_init(&log);
	rmap_walk_locked(f.folio, &log.rwc);
	anon_vma_unlock_write(av);
	CU_ASSERT_EQUAL(log.nr, CHILDREN + 1);

	mapping = f.folio->mapping;
	f.folio->mapping |= FOLIO_MAPPING_KSM;
	walk_init(&log);
	rmap_walk_locked(f.folio, &log.rwc);
	f.folio->mapping = mapping;
	CU_ASSERT_EQUAL(log.nr, 0);
	family_close(&f);
}

static void test_row5_locked_walk_file(void)
{
	static struct walk_log log;
	struct family f;
	struct unit_file file;
	struct folio *folio;
	gva_t addr;

	family_open(&f);
	folio = map_file_page(&f, &file, &addr);
	folio_lock(f.h->sys, folio);
	umm_write_lock(&file.mapping->i_mmap_lock);
	walk_init(&log);
	rmap_walk_locked(folio, &log.rwc);
	umm_write_unlock(&file.mapping->i_mmap_lock);
	folio_unlock(f.h->sys, folio);
	CU_ASSERT_EQUAL(log.nr, 1);
	folio_put(f.h->sys, folio);
	unit_unmap(f.mm[0], addr, 4);
	unit_file_close(&file);
	family_close(&f);
}

struct locker {
	struct folio *folio;
	struct anon_vma *got;
};

static void *lock_anon(void *arg)
{
	struct locker *l = arg;

	l->got = folio_lock_anon_vma_read(l->folio, NULL);
	if (l->got)
		anon_vma_unlock_read(l->got);
	return NULL;
}

/* The folio moves to another anon_vma while a walker waits for the first one's lock. */
static void test_row6_mapping_rechecked(void)
{
	struct family f;
	struct mm *other;
	struct anon_vma *first, *second;
	struct locker l;
	pthread_t thread;
	uintptr_t mapping;
	gva_t b;

	family_open(&f);
	other = unit_mm(f.h);
	b = unit_map(other, 1, PROT_RW, MAP_ANON_PRIVATE);
	unit_put(f.h, other, b, 1);
	first = unit_vma(f.mm[0], f.addr)->anon_vma;
	second = unit_vma(other, b)->anon_vma;
	l.folio = f.folio;
	mapping = f.folio->mapping;

	anon_vma_lock_write(first);
	pthread_create(&thread, NULL, lock_anon, &l);
	unit_sleep_ms(50);
	__atomic_store_n(&f.folio->mapping, (uintptr_t)second | FOLIO_MAPPING_ANON,
			 __ATOMIC_RELEASE);
	anon_vma_unlock_write(first);
	pthread_join(thread, NULL);
	CU_ASSERT_PTR_EQUAL(l.got, second);
	f.folio->mapping = mapping;
	mm_put(other);
	family_close(&f);
}

/* The last mapping goes while a walker waits: nothing to walk any more. */
static void test_row6_unmapped_meanwhile(void)
{
	struct family f;
	struct anon_vma *av;
	struct locker l;
	pthread_t thread;
	int32_t mapcount;

	family_open(&f);
	av = unit_vma(f.mm[0], f.addr)->anon_vma;
	l.folio = f.folio;
	mapcount = f.folio->total_mapcount;
	anon_vma_lock_write(av);
	pthread_create(&thread, NULL, lock_anon, &l);
	unit_sleep_ms(50);
	__atomic_store_n(&f.folio->total_mapcount, 0, __ATOMIC_RELEASE);
	anon_vma_unlock_write(av);
	pthread_join(thread, NULL);
	CU_ASSERT_PTR_NULL(l.got);
	f.folio->total_mapcount = mapcount;
	family_close(&f);
}

static void test_row7_unmapped(void)
{
	static struct walk_log log;
	uint64_t visits, vm_flags = 0;
	struct family f;

	family_open(&f);
	folio_get(f.folio);
	for (int i = 0; i <= CHILDREN; i++)
		unit_advise(f.mm[i], f.addr, 1, MADV_DONTNEED);
	CU_ASSERT_FALSE(folio_mapped(f.folio));
	walk_init(&log);
	log.rwc.anon_lock = folio_lock_anon_vma_read;
	rmap_walk(f.folio, &log.rwc);
	CU_ASSERT_EQUAL(log.nr, 0);
	visits = mm_sys_event(f.h->sys, EV_RMAP_VISITS);
	CU_ASSERT_EQUAL(folio_referenced(f.h->sys, f.folio, false, &vm_flags), 0);
	page_idle_clear_pte_refs(f.h->sys, f.folio);
	folio_lock(f.h->sys, f.folio);
	try_to_migrate(f.h->sys, f.folio, 0, NULL);
	folio_unlock(f.h->sys, f.folio);
	CU_ASSERT_EQUAL(mm_sys_event(f.h->sys, EV_RMAP_VISITS), visits);
	CU_ASSERT_PTR_NULL(folio_lock_anon_vma_read(f.folio, NULL));
	CU_ASSERT_PTR_NULL(folio_get_anon_vma(f.folio));
	folio_put(f.h->sys, f.folio);
	family_close(&f);
}

/* Restoring migration entries walks a destination that nobody maps yet. */
static void test_row8_walk_of_unmapped_destination(void)
{
	struct family f;
	struct migrate_result r;
	int from, to;

	family_open(&f);
	from = f.folio->node;
	to = !from;
	r = unit_migrate(f.h, f.mm[0], to);
	CU_ASSERT_EQUAL(r.moved, 1);
	for (int i = 0; i <= CHILDREN; i++) {
		CU_ASSERT_EQUAL(unit_node(f.h, f.mm[i], f.addr), to);
		CU_ASSERT_EQUAL(unit_get(f.h, f.mm[i], f.addr), 42);
	}
	CU_ASSERT_EQUAL(folio_mapcount(unit_folio(f.h, f.mm[0], f.addr)), CHILDREN + 1);
	family_close(&f);
}

static void test_row9_truncated_no_walk(void)
{
	static struct walk_log log;
	struct family f;
	struct unit_file file;
	struct folio *folio;
	gva_t addr;

	family_open(&f);
	folio = map_file_page(&f, &file, &addr);
	file.file->size = 0;
	mapping_truncate(file.mapping, 0);
	CU_ASSERT_PTR_NULL(folio_file_mapping(folio));
	folio_lock(f.h->sys, folio);
	walk_init(&log);
	rmap_walk(folio, &log.rwc);
	folio_unlock(f.h->sys, folio);
	CU_ASSERT_EQUAL(log.nr, 0);
	folio_put(f.h->sys, folio);
	unit_unmap(f.mm[0], addr, 4);
	unit_file_close(&file);
	family_close(&f);
}

#ifdef UMM_DEBUG
/* In a process of its own, as the assertion ends it. */
static void test_row9_unlocked_asserts(void)
{
	static struct walk_log log;
	struct family f;
	struct unit_file file;
	struct folio *folio;
	gva_t addr;
	int status = 0;
	pid_t pid;

	family_open(&f);
	folio = map_file_page(&f, &file, &addr);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(3);
		walk_init(&log);
		rmap_walk(folio, &log.rwc);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	folio_put(f.h->sys, folio);
	unit_unmap(f.mm[0], addr, 4);
	unit_file_close(&file);
	family_close(&f);
}
#endif

/* ---- row 10: all overlapping areas, and only those ---------------------------- */

static uint64_t random_state;

/* Cut and change the area at random: pieces go, protections differ. */
static void scatter(struct mm *mm, gva_t addr, uint64_t pages)
{
	for (int i = 0; i < 6; i++) {
		uint64_t first = unit_random(&random_state, pages),
			 nr = 1 + unit_random(&random_state, 6);

		if (first + nr > pages)
			nr = pages - first;
		if (unit_random(&random_state, 2))
			unit_unmap(mm, page_at(addr, first), nr);
		else if (!mm_mprotect(mm, page_at(addr, first), nr << UMM_PAGE_SHIFT, PROT_READ))
			continue;
	}
}

static void check_all_folios(struct fake_host *h, struct mm *const *mms, unsigned int nr_mms,
			     gva_t addr, uint64_t pages)
{
	for (unsigned int m = 0; m < nr_mms; m++)
		for (uint64_t i = 0; i < pages; i++) {
			struct folio *frame = unit_frame(h, mms[m], page_at(addr, i));

			if (frame)
				walk_check(h, folio_head(frame), mms, nr_mms);
		}
}

static void run_row10(unsigned int order)
{
	struct fake_config config = unit_config();

	config.max_anon_order = order;
	config.fault_around = 1u << order;
	for (random_state = 1; random_state < 16; random_state += 5) {
		uint64_t seed = random_state;
		struct fake_host *h = unit_open_with(&config);
		struct mm *mms[6];
		gva_t addr;

		mms[0] = unit_mm(h);
		addr = unit_map_large(h, mms[0], 64, order, 3);
		for (unsigned int i = 1; i < ARRAY_LEN(mms); i++) {
			mms[i] = unit_fork(mms[unit_random(&random_state, i)]);
			scatter(mms[i], addr, 64);
		}
		scatter(mms[0], addr, 64);
		check_all_folios(h, mms, ARRAY_LEN(mms), addr, 64);
		unit_check(h);
		for (unsigned int i = 0; i < ARRAY_LEN(mms); i++)
			mm_put(mms[i]);
		unit_close(h);
		random_state = seed;
	}
}

static void test_row10_anon(void)
{
	run_row10(0);
}

static void test_row10_anon_large(void)
{
	run_row10(4);
}

static void test_row10_file(void)
{
	struct fake_host *h = unit_open();
	struct unit_file file = unit_file(h, 64 * UMM_PAGE_SIZE);
	struct mm *mms[4];

	random_state = 99;
	for (unsigned int i = 0; i < ARRAY_LEN(mms); i++) {
		mms[i] = unit_mm(h);
		for (int j = 0; j < 8; j++) {
			uint64_t first = unit_random(&random_state, 60),
				 nr = 1 + unit_random(&random_state, 64 - first);
			gva_t a = unit_map_file(mms[i], file.mapping, first, nr, PROT_READ,
						unit_random(&random_state, 2) ? MAP_SHARED
									      : MAP_PRIVATE);

			unit_get(h, mms[i], page_at(a, unit_random(&random_state, nr)));
		}
	}
	for (uint64_t page = 0; page < 64; page++) {
		struct folio *f = pagecache_find(file.mapping, pgoff_make(page));

		if (!f)
			continue;
		walk_check(h, f, mms, ARRAY_LEN(mms));
		folio_put(h->sys, f);
	}
	unit_check(h);
	for (unsigned int i = 0; i < ARRAY_LEN(mms); i++)
		mm_put(mms[i]);
	unit_file_close(&file);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 1: invalid_vma skips", test_row1_invalid_vma },
		{ "row 2: rmap_one false stops", test_row2_rmap_one_stops },
		{ "row 3: done stops", test_row3_done_stops },
		{ "row 3: unmapping stops at the last mapping", test_row3_unmap_stops_early },
		{ "row 4: contended, anonymous", test_row4_contended_anon },
		{ "row 4: contended, file", test_row4_contended_file },
		{ "row 5: rmap_walk_locked, KSM refused", test_row5_locked_walk },
		{ "row 5: rmap_walk_locked, file", test_row5_locked_walk_file },
		{ "row 6: folio->mapping is read again under the lock",
		  test_row6_mapping_rechecked },
		{ "row 6: unmapped while waiting for the lock", test_row6_unmapped_meanwhile },
		{ "row 7: unmapped folio, no callback", test_row7_unmapped },
		{ "row 8: the destination of a migration is walked unmapped",
		  test_row8_walk_of_unmapped_destination },
		{ "row 9: no mapping, no walk", test_row9_truncated_no_walk },
#ifdef UMM_DEBUG
		{ "row 9: an unlocked file folio is refused", test_row9_unlocked_asserts },
#endif
		{ "row 10: exactly the overlapping areas, anonymous", test_row10_anon },
		{ "row 10: exactly the overlapping areas, large folios", test_row10_anon_large },
		{ "row 10: exactly the overlapping areas, file", test_row10_file },
	};

	return unit_run("rmap_walk", tests, ARRAY_LEN(tests), argc, argv);
}
