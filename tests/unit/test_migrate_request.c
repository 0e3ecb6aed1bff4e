/* SPDX-License-Identifier: MIT */
/* Requests to migrate: what they mean, and that each frame has exactly one fate. */
#include "tests/unit/util.h"

#define PAGES 16

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	int from, to;
};

static struct setup open_with(const struct fake_config *config)
{
	struct setup s = { .h = unit_open_with(config) };

	s.mm = unit_mm(s.h);
	if (config->max_anon_order)
		s.addr = unit_map_large(s.h, s.mm, PAGES, config->max_anon_order, 1);
	else
		s.addr = unit_map_filled(s.h, s.mm, PAGES, 1);
	s.from = unit_node(s.h, s.mm, s.addr);
	s.to = !s.from;
	return s;
}

static struct setup open_filled(void)
{
	struct fake_config config = unit_config();

	return open_with(&config);
}

static void close_setup(struct setup *s)
{
	CU_ASSERT_EQUAL(unit_verify(s->h, s->mm, s->addr, PAGES, 1), 0);
	unit_end(s->h, s->mm);
}

/* Every request goes through here: the sum must be right whatever happens. */
static struct migrate_result run(struct setup *s, const struct migrate_request *req)
{
	struct migrate_result r;

	CU_ASSERT_EQUAL(mm_migrate(s->h->sys, req, &r), 0);
	CU_ASSERT_EQUAL(r.total, r.moved + r.would_move + r.already_there + r.shared + r.pinned +
					 r.busy + r.no_memory + r.failed + r.left + r.gone);
	unit_check(s->h);
	return r;
}

static unsigned int pages_on(struct setup *s, int node)
{
	unsigned int nr = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		nr += unit_node(s->h, s->mm, page_at(s->addr, i)) == node;
	return nr;
}

static pfn_t pfn_of(struct setup *s, uint64_t page)
{
	return pte_pfn(unit_pte(s->h, s->mm, page_at(s->addr, page)));
}

/* ---- what a request means ------------------------------------------------------------ */

static void test_whole_guest(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = s.to, .mm = s.mm, .end = page_at(s.addr, 4) };
	struct migrate_result r;

	req.start = s.addr;
	CU_ASSERT_EQUAL(run(&s, &req).moved, 4);
	req = (struct migrate_request){ .to = s.to };
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.total, PAGES);
	CU_ASSERT_EQUAL(r.moved, PAGES - 4);
	CU_ASSERT_EQUAL(r.already_there, 4);
	/* Only from a node that has nothing: nothing qualifies. */
	req.from_mask = 1ul << s.from;
	CU_ASSERT_EQUAL(run(&s, &req).total, 0);
	close_setup(&s);
}

/* Batches by two threads, of which one comes too late now and then. */
static void test_two_movers(void)
{
	struct fake_config config = unit_config();
	struct migrate_request req = { .batch = 16, .threads = 2 };
	struct setup s;
	gva_t more;

	config.helper = config.concurrent = true;
	s = open_with(&config);
	more = unit_map_filled(s.h, s.mm, 300, 7);
	for (unsigned int i = 0; i < 4; i++) {
		struct mm_pin_vec vec[1];
		struct migrate_result r;
		unsigned int nr;
		size_t bytes;

		req.to = i % 2 ? s.from : s.to;
		/* A page that stays, whoever has it in his share. */
		CU_ASSERT_EQUAL_FATAL(
			mm_pin(s.mm, page_at(more, 100 + i), 8, false, vec, 1, &nr, &bytes), 0);
		r = run(&s, &req);
		CU_ASSERT_EQUAL(r.total, PAGES + 300);
		CU_ASSERT_EQUAL(r.moved + r.already_there, PAGES + 299);
		CU_ASSERT_EQUAL(r.pinned, 1);
		mm_unpin(s.mm, vec, nr, false);
	}
	CU_ASSERT_TRUE(s.h->helped > 8);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, more, 300, 7), 0);
	close_setup(&s);
}

/* Whichever of the host's calls fails, and whoever of the two makes it. */
static void test_two_movers_and_failures(void)
{
	static const enum fake_op ops[] = { FAKE_ALLOC, FAKE_COPY, FAKE_POPULATE };
	struct fake_config config = unit_config();
	struct migrate_request req = { .batch = 16, .threads = 2, .tries = 1 };
	struct setup s;
	gva_t more;

	config.helper = config.concurrent = true;
	s = open_with(&config);
	more = unit_map_filled(s.h, s.mm, 200, 9);
	for (unsigned int i = 0; i < 45; i++) {
		struct migrate_result r;
		int err;

		req.to = i % 2 ? s.from : s.to;
		req.give_back = true;
		if (i % 5 < 4)
			fake_fail_nth(s.h, ops[i % 3], 1 + i / 3);
		else
			fake_fail_from(s.h, ops[i % 3], 1 + i / 3);
		err = mm_migrate(s.h->sys, &req, &r);
		fake_fail_nth(s.h, FAKE_ANY, 0);
		CU_ASSERT_TRUE(!err || (err == -ENOMEM && i % 3 == 0));
		if (!err) {
			CU_ASSERT_EQUAL(r.total, PAGES + 200);
			CU_ASSERT_EQUAL(r.moved + r.already_there + r.failed + r.no_memory + r.busy,
					r.total);
		}
		unit_check(s.h);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, more, 200, 9), 0);
	}
	CU_ASSERT_TRUE(s.h->failures > 10);
	CU_ASSERT_TRUE(s.h->helped > 20);
	close_setup(&s);
}

static void test_list_of_addresses(void)
{
	struct setup s = open_filled();
	uint64_t pages[6] = { page_at(s.addr, 9).v, page_at(s.addr, 2).v,
			      page_at(s.addr, 9).v, 0x10000,
			      UMM_TASK_SIZE,        page_at(s.addr, 5).v + 17 };
	struct migrate_request req = { .to = s.to, .mm = s.mm, .pages = pages, .nr_pages = 6 };
	struct migrate_result r = run(&s, &req);

	CU_ASSERT_EQUAL(r.total, 3);
	CU_ASSERT_EQUAL(r.moved, 3);
	CU_ASSERT_EQUAL(r.absent, 2);
	CU_ASSERT_EQUAL(pages_on(&s, s.to), 3);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, 9)), s.to);
	close_setup(&s);
}

static void test_list_of_frames(void)
{
	struct setup s = open_filled();
	uint64_t pages[4] = { pfn_of(&s, 3).v, UINT64_MAX >> 12, s.h->node_base[s.to].v,
			      pfn_of(&s, 4).v };
	struct migrate_request req = { .to = s.to, .pages = pages, .nr_pages = 4 };
	struct migrate_result r = run(&s, &req);

	CU_ASSERT_EQUAL(r.moved, 2);
	CU_ASSERT_EQUAL(r.absent, 2); /* no such frame, and a free one */
	CU_ASSERT_EQUAL(pages_on(&s, s.to), 2);
	close_setup(&s);
}

/* The same object mapped twice by one process: its folios count once. */
static void test_mapped_twice(void)
{
	struct setup s = open_filled();
	struct unit_file file = unit_file(s.h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	gva_t b = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	struct migrate_request req = { .to = s.to, .mm = s.mm, .move_shared = true };
	uint64_t copies = fake_calls(s.h, FAKE_COPY);

	unit_fill(s.h, s.mm, a, 4, 3);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, b, 4, 3), 0);
	CU_ASSERT_EQUAL(run(&s, &req).total, PAGES + 4);
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_COPY) - copies <= PAGES + 4);
	for (uint64_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(b, i)), s.to);
		CU_ASSERT_PTR_EQUAL(unit_folio(s.h, s.mm, page_at(a, i)),
				    unit_folio(s.h, s.mm, page_at(b, i)));
	}
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, b, 4, 3), 0);
	unit_unmap(s.mm, a, 4);
	unit_unmap(s.mm, b, 4);
	unit_file_close(&file);
	close_setup(&s);
}

static void touch_none(struct setup *s, uint64_t page)
{
	struct frame_range r = { pfn_of(s, page), 1 };
	uint64_t *pte = fake_entry_slot(s->h, s->mm->root, page_at(s->addr, page));

	fake_mmu_zap(s->h, &r, 1);
	__atomic_fetch_and(pte, ~PTE_ACCESSED, __ATOMIC_ACQ_REL);
}

static void test_percent_takes_the_coldest(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = s.to, .percent = 25 };
	struct migrate_result r;

	for (uint64_t i = 0; i < PAGES; i += 4)
		touch_none(&s, i + 2);
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.total, PAGES);
	CU_ASSERT_EQUAL(r.moved, PAGES / 4);
	CU_ASSERT_EQUAL(r.left, PAGES - PAGES / 4);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)),
				i % 4 == 2 ? s.to : s.from);
	/* Looking changed nothing that reclaim wants to know. */
	CU_ASSERT_TRUE(unit_pte(s.h, s.mm, s.addr) & PTE_ACCESSED);
	close_setup(&s);
}

/* On the active list: warmer than anything that is not. */
static void test_percent_spares_the_active(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = s.to, .percent = 50, .mm = s.mm };

	for (uint64_t i = 0; i < PAGES / 2; i++) {
		folio_set(unit_folio(s.h, s.mm, page_at(s.addr, i)), PG_active);
		touch_none(&s, i);
	}
	CU_ASSERT_EQUAL(run(&s, &req).moved, PAGES / 2);
	for (uint64_t i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(s.addr, i)),
				i < PAGES / 2 ? s.from : s.to);
	for (uint64_t i = 0; i < PAGES / 2; i++)
		folio_clear(unit_folio(s.h, s.mm, page_at(s.addr, i)), PG_active);
	close_setup(&s);
}

static void test_dry_run_tells_what_would_be(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = s.to, .mm = s.mm, .dry_run = true };
	struct mm *child = unit_fork(s.mm);
	struct mm_pin_vec vec[1];
	struct migrate_result r, dry;
	unsigned int nr;
	size_t bytes;

	unit_fill(s.h, s.mm, s.addr, 6, 1);
	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, s.addr, 8, false, vec, 1, &nr, &bytes), 0);
	dry = run(&s, &req);
	CU_ASSERT_EQUAL(dry.moved, 0);
	CU_ASSERT_EQUAL(dry.would_move, 5);
	CU_ASSERT_EQUAL(dry.pinned, 1);
	CU_ASSERT_EQUAL(dry.shared, PAGES - 6);
	CU_ASSERT_EQUAL(pages_on(&s, s.from), PAGES);
	req.dry_run = false;
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.moved, dry.would_move);
	CU_ASSERT_EQUAL(r.pinned, dry.pinned);
	CU_ASSERT_EQUAL(r.shared, dry.shared);
	mm_unpin(s.mm, vec, nr, false);
	mm_put(child);
	close_setup(&s);
}

/* ---- one move for all who map it ------------------------------------------------------- */

struct shared {
	struct setup s;
	struct mm *child;
	struct unit_file file;
	gva_t of_file, of_shm;
};

/* PAGES pages shared by fork, 4 of a file and 4 of shared memory, all in two processes. */
static struct shared open_shared(void)
{
	struct shared x = { .s = open_filled() };
	struct setup *s = &x.s;

	x.file = unit_file(s->h, 4 * UMM_PAGE_SIZE);
	x.of_file = unit_map_file(s->mm, x.file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	x.of_shm = unit_map(s->mm, 4, PROT_RW, MAP_ANON_SHARED);
	unit_fill(s->h, s->mm, x.of_file, 4, 2);
	unit_fill(s->h, s->mm, x.of_shm, 4, 3);
	x.child = unit_fork(s->mm);
	return x;
}

static void check_shared(struct shared *x, int node)
{
	const gva_t at[] = { x->s.addr, x->of_file, x->of_shm };
	const uint64_t nr[] = { PAGES, 4, 4 };

	for (unsigned int k = 0; k < 3; k++) {
		CU_ASSERT_EQUAL(unit_verify(x->s.h, x->s.mm, at[k], nr[k], k + 1), 0);
		CU_ASSERT_EQUAL(unit_verify(x->s.h, x->child, at[k], nr[k], k + 1), 0);
		for (uint64_t i = 0; i < nr[k]; i++) {
			struct folio *f = unit_folio(x->s.h, x->s.mm, page_at(at[k], i));

			CU_ASSERT_PTR_EQUAL(unit_folio(x->s.h, x->child, page_at(at[k], i)), f);
			CU_ASSERT_EQUAL(folio_mapcount(f), 2);
			CU_ASSERT_EQUAL(f->node, node);
		}
	}
}

static void close_shared(struct shared *x)
{
	mm_put(x->child);
	unit_unmap(x->s.mm, x->of_file, 4);
	unit_unmap(x->s.mm, x->of_shm, 4);
	unit_file_close(&x->file);
	close_setup(&x->s);
}

static void test_shared_moves_once(void)
{
	struct shared x = open_shared();
	struct migrate_request req = { .to = x.s.to };
	struct migrate_result r;

	check_shared(&x, x.s.from);
	r = run(&x.s, &req);
	CU_ASSERT_EQUAL(r.total, PAGES + 8);
	CU_ASSERT_EQUAL(r.moved, PAGES + 8);
	check_shared(&x, x.s.to);
	close_shared(&x);
}

static void test_shared_restored_when_the_copy_fails(void)
{
	struct shared x = open_shared();
	struct migrate_request req = { .to = x.s.to, .tries = 1 };
	struct migrate_result r;

	fake_fail_from(x.s.h, FAKE_COPY, 1);
	r = run(&x.s, &req);
	fake_fail_nth(x.s.h, FAKE_COPY, 0);
	CU_ASSERT_EQUAL(r.failed, PAGES + 8);
	check_shared(&x, x.s.from);
	CU_ASSERT_EQUAL(run(&x.s, &req).moved, PAGES + 8);
	check_shared(&x, x.s.to);
	close_shared(&x);
}

/* The host has no memory for the new frames. */
static void test_shared_stays_without_host_memory(void)
{
	struct shared x = open_shared();
	struct migrate_request req = { .to = x.s.to, .tries = 1 };
	struct migrate_result r;

	fake_fail_from(x.s.h, FAKE_POPULATE, 1);
	r = run(&x.s, &req);
	fake_fail_nth(x.s.h, FAKE_POPULATE, 0);
	CU_ASSERT_EQUAL(r.no_memory, PAGES + 8);
	check_shared(&x, x.s.from);
	close_shared(&x);
}

static void test_pinned_shared_stays(void)
{
	struct shared x = open_shared();
	struct migrate_request req = { .to = x.s.to, .tries = 2 };
	struct migrate_result r;
	struct mm_pin_vec vec[4];
	unsigned int nr[2];
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(mm_pin(x.child, x.of_file, 8, false, vec, 1, &nr[0], &bytes), 0);
	CU_ASSERT_EQUAL_FATAL(mm_pin(x.child, x.of_shm, 8, false, vec + 1, 1, &nr[1], &bytes), 0);
	r = run(&x.s, &req);
	CU_ASSERT_EQUAL(r.pinned, 2);
	CU_ASSERT_EQUAL(r.moved, PAGES + 6);
	CU_ASSERT_EQUAL(unit_node(x.s.h, x.s.mm, x.of_file), x.s.from);
	CU_ASSERT_EQUAL(unit_node(x.s.h, x.child, x.of_shm), x.s.from);
	mm_unpin(x.child, vec, 1, false);
	mm_unpin(x.child, vec + 1, 1, false);
	CU_ASSERT_EQUAL(run(&x.s, &req).moved, 2);
	check_shared(&x, x.s.to);
	close_shared(&x);
}

/* ---- tries, stops, and no room --------------------------------------------------------- */

struct holder {
	struct setup *s;
	struct folio *held;
	unsigned int calls, drop_at, stop_at;
};

static bool let_go(void *arg, uint64_t done, uint64_t total)
{
	struct holder *x = arg;

	CU_ASSERT_TRUE(done <= total);
	x->calls++;
	if (x->held && x->calls == x->drop_at) {
		folio_put(x->s->h->sys, x->held);
		x->held = NULL;
	}
	return x->calls == x->stop_at;
}

static void test_busy_is_tried_again(void)
{
	struct setup s = open_filled();
	struct holder x = { .s = &s, .drop_at = 3 };
	struct migrate_request req = { .to = s.to, .progress = let_go, .arg = &x };
	struct migrate_result r;

	x.held = unit_folio(s.h, s.mm, s.addr);
	folio_get(x.held);
	req.tries = 1;
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.busy, 1);
	CU_ASSERT_EQUAL(r.moved, PAGES - 1);
	CU_ASSERT_PTR_NOT_NULL(x.held);
	x.calls = 0;
	req.tries = 8;
	r = run(&s, &req);
	CU_ASSERT_PTR_NULL(x.held);
	CU_ASSERT_EQUAL(r.busy, 0);
	CU_ASSERT_EQUAL(r.moved, 1);
	CU_ASSERT_EQUAL(r.already_there, PAGES - 1);
	close_setup(&s);
}

/* Who has lost its processor holds folios for long; a call of let_go() is a millisecond. */
static void test_long_held_is_waited_for(void)
{
	struct setup s = open_filled();
	struct holder x = { .s = &s, .drop_at = 250 };
	struct migrate_request req = { .to = s.to, .progress = let_go, .arg = &x };
	struct migrate_result r;

	x.held = unit_folio(s.h, s.mm, s.addr);
	folio_get(x.held);
	r = run(&s, &req);
	CU_ASSERT_PTR_NULL(x.held);
	CU_ASSERT_EQUAL(r.busy, 0);
	CU_ASSERT_EQUAL(r.moved, PAGES);
	if (x.held)
		folio_put(s.h->sys, x.held);
	close_setup(&s);
}

static void test_stop(void)
{
	struct setup s = open_filled();
	struct holder x = { .s = &s, .stop_at = 2 };
	struct migrate_request req = { .to = s.to, .batch = 3, .progress = let_go, .arg = &x };
	struct migrate_result r = run(&s, &req);

	CU_ASSERT_TRUE(r.stopped);
	CU_ASSERT_EQUAL(r.moved, 6);
	CU_ASSERT_EQUAL(r.left, PAGES - 6);
	CU_ASSERT_EQUAL(pages_on(&s, s.to), 6);
	close_setup(&s);
}

static bool unmap_rest(void *arg, uint64_t done, uint64_t total)
{
	struct holder *x = arg;

	(void)done;
	(void)total;
	if (!x->calls++)
		unit_advise(x->s->mm, page_at(x->s->addr, 12), 4, MADV_DONTNEED);
	return false;
}

static void test_gone_before_their_turn(void)
{
	struct setup s = open_filled();
	struct holder x = { .s = &s };
	struct migrate_request req = { .to = s.to, .batch = 4, .progress = unmap_rest, .arg = &x };
	struct migrate_result r = run(&s, &req);

	CU_ASSERT_EQUAL(r.moved, 12);
	CU_ASSERT_EQUAL(r.gone, 4);
	unit_fill(s.h, s.mm, page_at(s.addr, 12), 4, 1);
	unit_put(s.h, s.mm, s.addr, unit_get(s.h, s.mm, s.addr));
	unit_fill(s.h, s.mm, s.addr, PAGES, 1);
	close_setup(&s);
}

/* Takes all frames of a node but @spare single ones, no two of them neighbours. */
struct hoard {
	struct folio *f[4096];
	unsigned int nr;
};

static void hoard_node(struct setup *s, struct hoard *x, int node, unsigned int spare)
{
	struct folio *f;

	while ((f = folio_alloc(s->h->sys, node, 0, ALLOC_THISNODE | ALLOC_NORECLAIM)))
		x->f[x->nr++] = f;
	CU_ASSERT_EQUAL(x->nr, 4096);
	for (unsigned int i = 0; i < spare; i++) {
		folio_put(s->h->sys, x->f[2 * i]);
		x->f[2 * i] = NULL;
	}
}

static void hoard_drop(struct setup *s, struct hoard *x)
{
	while (x->nr--)
		if (x->f[x->nr])
			folio_put(s->h->sys, x->f[x->nr]);
}

static void test_target_runs_full(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = s.to, .mm = s.mm };
	static struct hoard hoard;
	struct migrate_result r;

	hoard = (struct hoard){ .nr = 0 };
	hoard_node(&s, &hoard, s.to, 5);
	req.dry_run = true;
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.would_move, 5);
	CU_ASSERT_EQUAL(r.no_memory, PAGES - 5);
	req.dry_run = false;
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.moved, 5);
	CU_ASSERT_EQUAL(r.no_memory, PAGES - 5);
	CU_ASSERT_EQUAL(pages_on(&s, s.to), 5);
	hoard_drop(&s, &hoard);
	close_setup(&s);
}

/* No block is large enough: the folio is split, and each of its frames counted. */
static void test_large_folio_without_room(void)
{
	struct fake_config config = unit_config_large();
	struct migrate_request req;
	static struct hoard hoard;
	struct migrate_result r;
	struct setup s;

	s = open_with(&config);
	hoard = (struct hoard){ .nr = 0 };
	hoard_node(&s, &hoard, s.to, 5);
	req = (struct migrate_request){ .to = s.to, .mm = s.mm };
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.total, PAGES);
	CU_ASSERT_EQUAL(r.moved, 5);
	CU_ASSERT_EQUAL(r.no_memory, PAGES - 5);
	CU_ASSERT_EQUAL(pages_on(&s, s.to), 5);
	hoard_drop(&s, &hoard);
	CU_ASSERT_EQUAL(run(&s, &req).moved, PAGES - 5);
	close_setup(&s);
}

static void test_give_back(void)
{
	struct setup s = open_filled();
	struct migrate_request req = { .to = s.to };
	struct migrate_result r;
	uint64_t before;

	run(&s, &req);
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_DISCARD), 0);
	req = (struct migrate_request){ .to = s.from, .give_back = true };
	before = fake_calls(s.h, FAKE_DISCARD);
	r = run(&s, &req);
	CU_ASSERT_EQUAL(r.moved, PAGES);
	CU_ASSERT_TRUE(r.discarded >= PAGES);
	CU_ASSERT_TRUE(fake_calls(s.h, FAKE_DISCARD) > before);
	close_setup(&s);
}

static void test_bad_requests(void)
{
	struct setup s = open_filled();
	uint64_t page = s.addr.v;
	struct migrate_request bad[] = {
		{ .to = -1 },
		{ .to = 2 },
		{ .to = s.to, .percent = 101 },
		{ .to = s.to, .mm = s.mm, .pages = &page, .nr_pages = 1, .end = page_at(s.addr, 1) },
	};
	struct migrate_request list = { .to = s.to, .mm = s.mm, .pages = &page };
	struct migrate_result r;

	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(mm_migrate(s.h->sys, &bad[i], &r), -EINVAL);
	/* An empty list means nothing, not everything. */
	CU_ASSERT_EQUAL(run(&s, &list).total, 0);
	for (uint64_t n = 1; n < 8; n++) {
		fake_fail_nth(s.h, FAKE_ALLOC, n);
		if (!mm_migrate(s.h->sys, &list, &r))
			break;
	}
	fake_fail_nth(s.h, FAKE_ALLOC, 0);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "whole guest", test_whole_guest },
		{ "two movers", test_two_movers },
		{ "two movers, and calls of the host that fail", test_two_movers_and_failures },
		{ "a list of addresses", test_list_of_addresses },
		{ "a list of frames", test_list_of_frames },
		{ "mapped twice by one process", test_mapped_twice },
		{ "a share: the coldest first", test_percent_takes_the_coldest },
		{ "a share: the active ones last", test_percent_spares_the_active },
		{ "a dry run tells what would be", test_dry_run_tells_what_would_be },
		{ "shared by fork, file, shm: one move", test_shared_moves_once },
		{ "row 73: the copy fails: restored for all mappers",
		  test_shared_restored_when_the_copy_fails },
		{ "row 73: no host memory: stays for all mappers",
		  test_shared_stays_without_host_memory },
		{ "row 73: pinned by one mapper: stays for all", test_pinned_shared_stays },
		{ "busy folios are tried again", test_busy_is_tried_again },
		{ "what is held for long is waited for", test_long_held_is_waited_for },
		{ "stopped half way", test_stop },
		{ "freed before their turn", test_gone_before_their_turn },
		{ "the target runs full", test_target_runs_full },
		{ "a large folio without room is split", test_large_folio_without_room },
		{ "memory given back to the host", test_give_back },
		{ "bad requests", test_bad_requests },
	};

	return unit_run("migrate requests", tests, ARRAY_LEN(tests), argc, argv);
}
