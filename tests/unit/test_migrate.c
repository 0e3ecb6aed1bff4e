/* SPDX-License-Identifier: MIT */
/* Migration: entries, content, failures, and what happens meanwhile. Rows 69 to 82. */
#include "tests/unit/walks.h"

#define PAGES 8

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	int from;
};

static struct setup open_filled(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, PAGES, 1);
	s.from = unit_node(s.h, s.mm, s.addr);
	return s;
}

static uint64_t flags_of(struct setup *s, struct mm *mm, gva_t at)
{
	return unit_pte(s->h, mm, at) & ~PTE_PFN_MASK;
}

static void drop_cached(struct setup *s, gva_t at)
{
	struct frame_range r = { pte_pfn(unit_pte(s->h, s->mm, at)), 1 };

	fake_mmu_zap(s->h, &r, 1);
}

/* Write-protected, shared, exclusive: each comes back as it was. */
static void test_row69_permissions(void)
{
	struct setup s = open_filled();
	uint64_t before[PAGES], copies;
	struct mm *child;

	child = unit_fork(s.mm);
	unit_fill(s.h, s.mm, s.addr, 4, 1);
	unit_protect(s.mm, page_at(s.addr, 1), 1, PROT_READ);
	unit_protect(s.mm, page_at(s.addr, 2), 1, PROT_READ | PROT_EXEC);
	unit_protect(s.mm, page_at(s.addr, 3), 1, PROT_NONE);
	for (uint64_t i = 0; i < PAGES; i++)
		before[i] = flags_of(&s, s.mm, page_at(s.addr, i));
	CU_ASSERT_TRUE(before[0] & PTE_WRITE);
	CU_ASSERT_FALSE(before[1] & PTE_WRITE);
	CU_ASSERT_FALSE(before[5] & PTE_WRITE);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, PAGES);
	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t volatile_bits = PTE_ACCESSED;

		CU_ASSERT_EQUAL(flags_of(&s, s.mm, page_at(s.addr, i)) & ~volatile_bits,
				before[i] & ~volatile_bits);
		CU_ASSERT_EQUAL(folio_test(unit_frame(s.h, s.mm, page_at(s.addr, i)),
					   PG_anon_exclusive),
				i < 4);
	}
	/* Exclusive: written in place. Shared: copied first. */
	copies = fake_calls(s.h, FAKE_COPY);
	unit_put(s.h, s.mm, s.addr, 2);
	unit_protect(s.mm, page_at(s.addr, 1), 1, PROT_RW);
	unit_put(s.h, s.mm, page_at(s.addr, 1), 2);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_COPY), copies);
	unit_put(s.h, s.mm, page_at(s.addr, 5), 2);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_COPY), copies + 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

/* mprotect to read-only while the entry was a write migration entry is in row 72. */
static void test_row70_accessed_and_dirty(void)
{
	struct setup s = open_filled();
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	uint64_t *pte;

	unit_get(s.h, s.mm, a);
	unit_put(s.h, s.mm, page_at(a, 1), 5);
	drop_cached(&s, s.addr);
	drop_cached(&s, page_at(s.addr, 1));
	pte = fake_entry_slot(s.h, s.mm->root, s.addr);
	__atomic_fetch_and(pte, ~PTE_ACCESSED, __ATOMIC_ACQ_REL);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).failed, 0);
	CU_ASSERT_FALSE(flags_of(&s, s.mm, s.addr) & PTE_ACCESSED);
	CU_ASSERT_TRUE(flags_of(&s, s.mm, s.addr) & PTE_DIRTY);
	CU_ASSERT_TRUE(flags_of(&s, s.mm, page_at(s.addr, 1)) & PTE_ACCESSED);
	/* A clean file page stays clean, a dirty one is still known to be dirty. */
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, a), !s.from);
	CU_ASSERT_FALSE(flags_of(&s, s.mm, a) & PTE_DIRTY);
	CU_ASSERT_FALSE(folio_test(unit_folio(s.h, s.mm, a), PG_dirty));
	CU_ASSERT_TRUE((flags_of(&s, s.mm, page_at(a, 1)) & PTE_DIRTY) ||
		       folio_test(unit_folio(s.h, s.mm, page_at(a, 1)), PG_dirty));
	CU_ASSERT_EQUAL(mm_msync(s.mm, a, 4 * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(file.file->writes, 1);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 1, 0), 5);
	unit_unmap(s.mm, a, 4);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

/* ---- in the middle of a migration ----------------------------------------------------- */

/*
 * A hook on the copy of the first folio: at that point all of them are migration
 * entries. @act runs in a thread of its own, as another guest thread would.
 */
struct middle {
	struct setup *s;
	void *(*act)(void *);
	bool wait; /* for the end of act() before the copy goes on */
	bool fired, saw_entries, finished;
	bool ready; /* a  set by act(): the copy may go on */
	pthread_t thread;
	struct mm *child;
	enum fault_result result;
	uint64_t value;
	int err;
};

static void in_the_middle(struct fake_host *h, enum fake_op op, void *arg)
{
	struct middle *m = arg;
	struct timespec deadline;

	if (op != FAKE_COPY || __atomic_exchange_n(&m->fired, true, __ATOMIC_ACQ_REL))
		return;
	m->saw_entries = unit_migrating(h, m->s->mm, m->s->addr);
	pthread_create(&m->thread, NULL, m->act, m);
	if (!m->wait) {
		for (int i = 0; i < 60000 && !mm_sys_event(h->sys, EV_FAULT_WAIT_MIGRATION) &&
				!__atomic_load_n(&m->ready, __ATOMIC_ACQUIRE);
		     i++)
			unit_sleep_ms(1);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	m->finished = !pthread_timedjoin_np(m->thread, NULL, &deadline);
}

static void migrate_with(struct setup *s, struct middle *m)
{
	m->s = s;
	s->h->hook_arg = m;
	s->h->hook = in_the_middle;
	s->h->config.concurrent = true;
	unit_migrate(s->h, s->mm, !s->from);
	s->h->hook = NULL;
	CU_ASSERT_TRUE(m->fired);
	CU_ASSERT_TRUE(m->saw_entries);
	if (m->wait)
		CU_ASSERT_TRUE(m->finished);
	if (m->fired && !m->finished)
		pthread_join(m->thread, NULL);
	unit_check(s->h);
}

static void *act_store(void *arg)
{
	struct middle *m = arg;

	m->result = fake_store(m->s->h, m->s->mm, 1, m->s->addr, 12345);
	return NULL;
}

static void test_row71_fault_waits(void)
{
	struct setup s = open_filled();
	struct middle m = { .act = act_store };

	migrate_with(&s, &m);
	CU_ASSERT_EQUAL(m.result, FAULT_DONE);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_FAULT_WAIT_MIGRATION) > 0);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, s.addr), !s.from);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 12345);
	/* Only the page that was stored to differs. */
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 1);
	unit_end(s.h, s.mm);
}

static void *act_fork(void *arg)
{
	struct middle *m = arg;

	m->err = mm_fork(m->s->mm, &m->child);
	return NULL;
}

static void test_row72_fork(void)
{
	struct setup s = open_filled();
	struct middle m = { .act = act_fork, .wait = true };

	migrate_with(&s, &m);
	CU_ASSERT_EQUAL_FATAL(m.err, 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		CU_ASSERT_FALSE(flags_of(&s, s.mm, page_at(s.addr, i)) & PTE_WRITE);
		CU_ASSERT_EQUAL(unit_node(s.h, m.child, page_at(s.addr, i)), !s.from);
	}
	CU_ASSERT_EQUAL(folio_mapcount(unit_folio(s.h, s.mm, s.addr)), 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, m.child, s.addr, PAGES, 1), 0);
	unit_fill(s.h, s.mm, s.addr, PAGES, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, m.child, s.addr, PAGES, 1), 0);
	mm_put(m.child);
	unit_end(s.h, s.mm);
}

/* The entries come back to the sources, which belong to two processes by now. */
static void test_fork_and_no_copy(void)
{
	struct setup s = open_filled();
	struct middle m = { .act = act_fork, .wait = true };

	fake_fail_from(s.h, FAKE_COPY, 1);
	migrate_with(&s, &m);
	fake_fail_nth(s.h, FAKE_COPY, 0);
	CU_ASSERT_EQUAL_FATAL(m.err, 0);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, s.addr), s.from);
	CU_ASSERT_EQUAL(folio_mapcount(unit_folio(s.h, s.mm, s.addr)), 2);
	unit_fill(s.h, s.mm, s.addr, PAGES, 2);
	CU_ASSERT_EQUAL(unit_verify(s.h, m.child, s.addr, PAGES, 1), 0);
	mm_put(m.child);
	unit_end(s.h, s.mm);
}

static void *act_mremap(void *arg)
{
	struct middle *m = arg;
	gva_t out;

	m->err = mm_mremap(m->s->mm, m->s->addr, PAGES * UMM_PAGE_SIZE, PAGES * UMM_PAGE_SIZE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(0x550000000000), &out);
	return NULL;
}

static void test_row72_mremap(void)
{
	struct setup s = open_filled();
	struct middle m = { .act = act_mremap, .wait = true };

	migrate_with(&s, &m);
	CU_ASSERT_EQUAL(m.err, 0);
	s.addr = gva_make(0x550000000000);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)), !s.from);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static void *act_mprotect(void *arg)
{
	struct middle *m = arg;

	m->err = mm_mprotect(m->s->mm, m->s->addr, PAGES * UMM_PAGE_SIZE, PROT_READ);
	return NULL;
}

static void test_row72_mprotect(void)
{
	struct setup s = open_filled();
	struct middle m = { .act = act_mprotect, .wait = true };

	migrate_with(&s, &m);
	CU_ASSERT_EQUAL(m.err, 0);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_FALSE(flags_of(&s, s.mm, page_at(s.addr, i)) & PTE_WRITE);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, s.addr, 1), FAULT_ACCERR);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static void *act_munmap(void *arg)
{
	struct middle *m = arg;

	m->err = mm_munmap(m->s->mm, m->s->addr, PAGES * UMM_PAGE_SIZE);
	return NULL;
}

static void test_row72_munmap(void)
{
	struct setup s = open_filled();
	struct middle m = { .act = act_munmap, .wait = true };

	migrate_with(&s, &m);
	CU_ASSERT_EQUAL(m.err, 0);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_pte(s.h, s.mm, page_at(s.addr, i)), 0);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), 2 * 4096);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 0);
	unit_end(s.h, s.mm);
}

static void *act_dontneed(void *arg)
{
	struct middle *m = arg;

	m->err = mm_madvise(m->s->mm, m->s->addr, PAGES * UMM_PAGE_SIZE, MADV_DONTNEED);
	return NULL;
}

/*
 * Keeps the rmap lock while the first folio's identity moves to its new frame,
 * and lets the entries be dropped in that moment.
 */
static void *act_dontneed_late(void *arg)
{
	struct middle *m = arg;
	struct anon_vma *av = unit_vma(m->s->mm, m->s->addr)->anon_vma;
	pthread_t thread;

	anon_vma_lock_write(av);
	__atomic_store_n(&m->ready, true, __ATOMIC_RELEASE);
	unit_sleep_ms(50);
	pthread_create(&thread, NULL, act_dontneed, m);
	pthread_join(thread, NULL);
	anon_vma_unlock_write(av);
	return NULL;
}

static void test_row72_dontneed_while_restoring(void)
{
	struct setup s = open_filled();
	struct middle m = { .act = act_dontneed_late };

	migrate_with(&s, &m);
	CU_ASSERT_EQUAL(m.err, 0);
	CU_ASSERT_EQUAL(s.mm->counters[MM_ANONPAGES], 0);
	CU_ASSERT_EQUAL(s.mm->counters[MM_FILEPAGES], 0);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), 2 * 4096);
	unit_end(s.h, s.mm);
}

/* ---- failures --------------------------------------------------------------------------- */

static void test_row73_copy_fails(void)
{
	struct setup s = open_filled();
	uint64_t before[PAGES];
	struct migrate_result r;

	for (uint64_t i = 0; i < PAGES; i++)
		before[i] = unit_pte(s.h, s.mm, page_at(s.addr, i));
	fake_fail_nth(s.h, FAKE_COPY, 1);
	r = unit_migrate(s.h, s.mm, !s.from);
	CU_ASSERT_EQUAL(s.h->failures, 1);
	CU_ASSERT_TRUE(r.failed >= 1);
	CU_ASSERT_EQUAL(r.failed + r.moved, PAGES);
	for (uint64_t i = 0; i < PAGES; i++) {
		gva_t at = page_at(s.addr, i);

		CU_ASSERT_TRUE(unit_mapped(s.h, s.mm, at));
		if (unit_node(s.h, s.mm, at) == s.from)
			CU_ASSERT_EQUAL(unit_pte(s.h, s.mm, at), before[i]);
	}
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_check(s.h);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), 2 * 4096 - PAGES);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, r.failed);
	unit_end(s.h, s.mm);
}

static void test_row73_no_memory(void)
{
	struct setup s = open_filled();
	struct folio *block[8];
	unsigned int nr = 0;
	struct migrate_result r;

	while (nr < 8 && (block[nr] = folio_alloc(s.h->sys, !s.from, UMM_MAX_ORDER,
						  ALLOC_THISNODE | ALLOC_NORECLAIM)))
		nr++;
	CU_ASSERT_EQUAL(nr, 8);
	r = unit_migrate(s.h, s.mm, !s.from);
	CU_ASSERT_EQUAL(r.moved, 0);
	CU_ASSERT_EQUAL(r.no_memory, PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)), s.from);
	while (nr)
		folio_put(s.h->sys, block[--nr]);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, PAGES);
	unit_end(s.h, s.mm);
}

static void test_row73_pinned(void)
{
	struct setup s = open_filled();
	struct mm_pin_vec vec[2];
	struct migrate_result r;
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(
		mm_pin(s.mm, page_at(s.addr, 2), 2 * UMM_PAGE_SIZE, true, vec, 2, &nr, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, 2 * UMM_PAGE_SIZE);
	r = unit_migrate(s.h, s.mm, !s.from);
	CU_ASSERT_EQUAL(r.moved, PAGES - 2);
	CU_ASSERT_EQUAL(r.pinned, 2);
	memset(vec[0].hva, 0x77, 8);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 2)), 0x7777777777777777);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, 2)), s.from);
	mm_unpin(s.mm, vec, nr, true);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, 2);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 2)), 0x7777777777777777);
	unit_end(s.h, s.mm);
}

/* The stack of an exec in progress is moved about by its maker: left alone, whole. */
static void test_row74_incomplete_stack(void)
{
	struct setup s = open_filled();
	struct vma *vma = unit_vma(s.mm, s.addr);

	vma->flags |= VM_STACK_INCOMPLETE_SETUP;
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		CU_ASSERT_TRUE(unit_mapped(s.h, s.mm, page_at(s.addr, i)));
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)), s.from);
	}
	unit_check(s.h);
	vma->flags &= ~VM_STACK_INCOMPLETE_SETUP;
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, PAGES);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_row75_mlocked(void)
{
	struct setup s = open_filled();
	struct mm_node_info info;

	CU_ASSERT_EQUAL(mm_mlock(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, 0), 0);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, PAGES);
	CU_ASSERT_TRUE(folio_test(unit_folio(s.h, s.mm, s.addr), PG_mlocked));
	mm_sys_node_info(s.h->sys, !s.from, &info);
	CU_ASSERT_EQUAL(info.mlocked, PAGES);
	CU_ASSERT_EQUAL(unit_reclaim(s.h, s.mm, gva_make(0), 0).swapped, 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

/* In memory and on swap at once: read back in, not written since. */
static void test_row78_swap_cache(void)
{
	struct setup s = open_filled();
	struct mm *child = unit_fork(s.mm);

	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_TRUE(folio_test(unit_folio(s.h, s.mm, s.addr), PG_swapcache));
	s.from = unit_node(s.h, s.mm, s.addr);
	CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).moved, PAGES);
	CU_ASSERT_TRUE(folio_test(unit_folio(s.h, s.mm, s.addr), PG_swapcache));
	/* The child finds it through the cache, at its new place. */
	CU_ASSERT_TRUE(unit_swapped(s.h, child, s.addr));
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	CU_ASSERT_PTR_EQUAL(unit_folio(s.h, child, s.addr), unit_folio(s.h, s.mm, s.addr));
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_row81_shared_left(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = !s.from, .mm = s.mm };
	struct mm *child = unit_fork(s.mm);
	struct migrate_result r;

	unit_fill(s.h, s.mm, s.addr, 3, 1);
	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, 3);
	CU_ASSERT_EQUAL(r.shared, PAGES - 3);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)), i < 3 ? !s.from : s.from);
	req.move_shared = true;
	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, PAGES - 3);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, s.addr, PAGES, 1), 0);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_range_and_node_mask(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = !s.from, .mm = s.mm };
	struct migrate_result r;

	req.start = page_at(s.addr, 2);
	req.end = page_at(s.addr, 5);
	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, 3);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)),
				i >= 2 && i < 5 ? !s.from : s.from);
	/* Whole system, by nodes. */
	req = (struct migrate_request){ .to = !s.from, .from_mask = 1ul << s.from };
	CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &req, &r), 0);
	CU_ASSERT_EQUAL(r.moved, PAGES - 3);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	unit_end(s.h, s.mm);
}

static void test_large_and_file(void)
{
	struct fake_config config = unit_config_large();
	struct setup s;
	struct unit_file file;
	gva_t a;

	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_large(s.h, s.mm, 32, 4, 1);
	s.from = unit_node(s.h, s.mm, s.addr);
	file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	unit_put(s.h, s.mm, a, 6);
	for (int round = 0; round < 4; round++) {
		s.from = unit_node(s.h, s.mm, s.addr);
		CU_ASSERT_EQUAL(unit_migrate(s.h, s.mm, !s.from).failed, 0);
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, s.addr), !s.from);
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, a), !s.from);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, 32, 1), 0);
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, a), 6);
		unit_check(s.h);
	}
	unit_unmap(s.mm, a, 4);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row 69: entries come back as they were", test_row69_permissions },
		{ "row 70: A and D are carried", test_row70_accessed_and_dirty },
		{ "row 71: a fault waits and sees the new frame", test_row71_fault_waits },
		{ "row 72: fork in mid-migration", test_row72_fork },
		{ "fork while the copy fails", test_fork_and_no_copy },
		{ "row 72: mremap in mid-migration", test_row72_mremap },
		{ "row 72: mprotect in mid-migration", test_row72_mprotect },
		{ "row 72: munmap in mid-migration", test_row72_munmap },
		{ "row 72: DONTNEED while entries are restored",
		  test_row72_dontneed_while_restoring },
		{ "row 73: the copy fails: source restored", test_row73_copy_fails },
		{ "row 73: no memory: source untouched", test_row73_no_memory },
		{ "row 73: pinned folios stay", test_row73_pinned },
		{ "row 74: the stack of an exec is left alone", test_row74_incomplete_stack },
		{ "row 75: mlocked folios move and stay mlocked", test_row75_mlocked },
		{ "row 78: swap-cache folios move", test_row78_swap_cache },
		{ "row 81: shared folios only if asked for", test_row81_shared_left },
		{ "range and node mask", test_range_and_node_mask },
		{ "large and file folios, back and forth", test_large_and_file },
	};

	return unit_run("migrate", tests, ARRAY_LEN(tests), argc, argv);
}
