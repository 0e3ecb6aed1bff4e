/* SPDX-License-Identifier: MIT */
/*
 * Every reclaim policy behind the manager's own calls: no folio is lost or had by two,
 * whatever is added, isolated, put back, freed and switched; known orders of eviction;
 * refaults; walks and look-around.
 */
#include "tests/unit/util.h"

#define FOLIOS 200u

/* ---- conformance ------------------------------------------------------------------ */

struct pool {
	struct fake_host *h;
	struct folio *all[FOLIOS];
	bool isolated[FOLIOS];
	uint64_t state;
};

static const struct reclaim_policy *policy_at(unsigned int i)
{
	unsigned int nr = 0;

	while (reclaim_policy_get(nr))
		nr++;
	return reclaim_policy_get(i % nr);
}

static uint64_t frames_listed(struct pool *p)
{
	return mm_policy_listed(p->h->sys, 0) + mm_policy_listed(p->h->sys, 1);
}

static uint64_t frames_in_use(const struct pool *p)
{
	uint64_t nr = 0;

	for (unsigned int i = 0; i < FOLIOS; i++)
		nr += p->all[i] && !p->isolated[i] ? folio_nr(p->all[i]) : 0;
	return nr;
}

static int index_of(const struct pool *p, const struct folio *f)
{
	for (unsigned int i = 0; i < FOLIOS; i++) {
		if (p->all[i] == f)
			return (int)i;
	}
	return -1;
}

static void pool_add(struct pool *p, unsigned int i)
{
	unsigned int order = unit_random(&p->state, 8) ? 0 : 2;

	p->all[i] = folio_alloc(p->h->sys, (int)unit_random(&p->state, 2), order, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p->all[i]);
	if (unit_random(&p->state, 2))
		lru_add_many(p->h->sys, &p->all[i], 1);
	else
		lru_add(p->h->sys, p->all[i], unit_random(&p->state, 2));
}

static void pool_isolate(struct pool *p)
{
	struct list_head out;
	uint64_t taken;

	list_init(&out);
	lru_isolate(p->h->sys, (int)unit_random(&p->state, 2), 1 + unit_random(&p->state, 20), &out,
		    &taken);
	while (!list_empty(&out)) {
		struct folio *f = list_first_entry(&out, struct folio, lru);
		int i = index_of(p, f);

		list_del(&f->lru);
		taken -= folio_nr(f);
		CU_ASSERT_TRUE_FATAL(i >= 0);
		CU_ASSERT_FALSE(p->isolated[i]);
		CU_ASSERT_FALSE(folio_test(f, PG_lru));
		CU_ASSERT_FALSE(lru_isolate_folio(p->h->sys, f));
		p->isolated[i] = true;
	}
	CU_ASSERT_EQUAL(taken, 0);
}

static void pool_put_back(struct pool *p, unsigned int i)
{
	struct folio *f = p->all[i];

	p->isolated[i] = false;
	switch (unit_random(&p->state, 4)) {
	case 0:
		lru_putback(p->h->sys, f, true);
		break;
	case 1:
		lru_putback(p->h->sys, f, false);
		break;
	case 2:
		lru_putback_list(p->h->sys, &f, 1);
		break;
	default:
		lru_deactivate(p->h->sys, f);
		folio_put(p->h->sys, f);
	}
}

static void pool_step(struct pool *p)
{
	unsigned int i = (unsigned int)unit_random(&p->state, FOLIOS);
	struct folio *f = p->all[i];

	if (!f) {
		pool_add(p, i);
	} else if (p->isolated[i]) {
		pool_put_back(p, i);
	} else if (unit_random(&p->state, 2)) {
		CU_ASSERT_TRUE(folio_test(f, PG_lru));
		p->all[i] = NULL;
		folio_put(p->h->sys, f);
	} else if (unit_random(&p->state, 2)) {
		p->isolated[i] = lru_isolate_folio(p->h->sys, f);
		CU_ASSERT_TRUE(p->isolated[i]);
	} else {
		pool_isolate(p);
	}
}

static void pool_drop(struct pool *p)
{
	for (unsigned int i = 0; i < FOLIOS; i++) {
		if (p->all[i] && p->isolated[i])
			pool_put_back(p, i);
		if (p->all[i])
			folio_put(p->h->sys, p->all[i]);
	}
	CU_ASSERT_EQUAL(frames_listed(p), 0);
}

static void run_pool(const struct reclaim_policy *policy, uint64_t seed, bool switching)
{
	struct pool p = { .h = unit_open(), .state = seed };
	uint64_t now = 0;

	CU_ASSERT_EQUAL_FATAL(mm_policy_set(p.h->sys, policy), 0);
	for (int step = 0; step < 4000; step++) {
		pool_step(&p);
		if (step % 50 == 0)
			mm_policy_tick(p.h->sys, now += 50000000);
		if (switching && step % 97 == 0)
			CU_ASSERT_EQUAL(mm_policy_set(p.h->sys, policy_at((unsigned int)unit_random(
									&p.state, 1000))),
					0);
		if (frames_listed(&p) != frames_in_use(&p)) {
			CU_ASSERT_EQUAL(frames_listed(&p), frames_in_use(&p));
			printf("%s, seed %lu, step %d\n", policy->name, seed, step);
			break;
		}
	}
	pool_drop(&p);
	unit_close(p.h);
}

static void test_conformance(void)
{
	for (unsigned int i = 0; reclaim_policy_get(i); i++)
		run_pool(reclaim_policy_get(i), 11 + i, false);
}

static void test_switching(void)
{
	for (uint64_t seed = 1; seed <= 6; seed++)
		run_pool(policy_at((unsigned int)seed), seed, true);
}

/* Everything that is there can be had as victims, each once. */
static void test_all_are_victims(void)
{
	for (unsigned int k = 0; reclaim_policy_get(k); k++) {
		struct pool p = { .h = unit_open(), .state = k };
		unsigned int found = 0;

		CU_ASSERT_EQUAL_FATAL(mm_policy_set(p.h->sys, reclaim_policy_get(k)), 0);
		for (unsigned int i = 0; i < FOLIOS; i++)
			pool_add(&p, i);
		for (int i = 0; i < 2000 && frames_listed(&p); i++)
			pool_isolate(&p);
		for (unsigned int i = 0; i < FOLIOS; i++)
			found += p.isolated[i];
		CU_ASSERT_EQUAL(found, FOLIOS);
		if (found != FOLIOS)
			printf("%s: %u\n", reclaim_policy_get(k)->name, found);
		pool_drop(&p);
		unit_close(p.h);
	}
}

/* The old policy's order of eviction is the new one's. */
static void test_order_survives(void)
{
	struct fake_host *h = unit_open();
	struct folio *f[16];
	struct list_head out;
	uint64_t taken;

	list_init(&out);
	for (int i = 0; i < 16; i++) {
		f[i] = folio_alloc(h->sys, 0, 0, 0);
		lru_add(h->sys, f[i], false);
	}
	for (unsigned int i = 0; reclaim_policy_get(i); i++) {
		if (strcmp(reclaim_policy_get(i)->name, "random"))
			CU_ASSERT_EQUAL(mm_policy_set(h->sys, reclaim_policy_get(i)), 0);
	}
	CU_ASSERT_EQUAL(mm_policy_set(h->sys, reclaim_policy_find("fifo")), 0);
	lru_isolate(h->sys, 0, 16, &out, &taken);
	CU_ASSERT_EQUAL(taken, 16);
	for (int i = 0; i < 16; i++) {
		CU_ASSERT_PTR_EQUAL(list_first_entry(&out, struct folio, lru), f[i]);
		list_del(&f[i]->lru);
		folio_put_many(h->sys, f[i], 2);
	}
	unit_close(h);
}

static void test_check(void)
{
	struct reclaim_policy p = policy_fifo;
	struct fake_host *h = unit_open();

	p.abi++;
	CU_ASSERT_EQUAL(mm_policy_set(h->sys, &p), -ENOEXEC);
	p = policy_fifo;
	p.size--;
	CU_ASSERT_EQUAL(mm_policy_set(h->sys, &p), -ENOEXEC);
	p = policy_fifo;
	p.victim = NULL;
	CU_ASSERT_EQUAL(mm_policy_set(h->sys, &p), -EINVAL);
	p = policy_fifo;
	p.name = "";
	CU_ASSERT_EQUAL(mm_policy_set(h->sys, &p), -EINVAL);
	CU_ASSERT_PTR_EQUAL(mm_policy_get(h->sys), &policy_active_inactive);
	fake_fail_nth(h, FAKE_ALLOC, 2);
	CU_ASSERT_EQUAL(mm_policy_set(h->sys, &policy_mglru), -ENOMEM);
	CU_ASSERT_PTR_EQUAL(mm_policy_get(h->sys), &policy_active_inactive);
	unit_close(h);
}

/* ---- in a running system -------------------------------------------------------------- */

#define PAGES 64u

struct scene {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
};

static struct scene scene_open(const char *policy)
{
	struct scene s = { .h = unit_open() };

	CU_ASSERT_EQUAL_FATAL(mm_policy_set(s.h->sys, reclaim_policy_find(policy)), 0);
	s.mm = unit_mm(s.h);
	s.addr = unit_map_filled(s.h, s.mm, PAGES, 1);
	return s;
}

static void scene_close(struct scene *s)
{
	CU_ASSERT_EQUAL(unit_verify(s->h, s->mm, s->addr, PAGES, 1), 0);
	unit_end(s->h, s->mm);
}

static struct reclaim_result reclaim(struct scene *s, uint64_t nr)
{
	struct reclaim_request req = { .nr_frames = nr, .node = -1 };
	struct reclaim_result r;

	CU_ASSERT_EQUAL(mm_reclaim(s->h->sys, &req, &r), 0);
	return r;
}

static uint64_t event(const struct scene *s, enum mm_event ev)
{
	return mm_sys_event(s->h->sys, ev);
}

/* All A bits taken, and the policy's lists in the order of the pages. */
static void forget_use(struct scene *s)
{
	for (uint64_t i = 0; i < PAGES; i++) {
		struct folio *f = unit_folio(s->h, s->mm, page_at(s->addr, i));
		uint64_t vm_flags;

		folio_referenced(s->h->sys, f, false, &vm_flags);
		CU_ASSERT_TRUE(lru_isolate_folio(s->h->sys, f));
		lru_putback(s->h->sys, f, false);
	}
}

/* Zap what cleared A bits left behind, as reclaim would, and use pages [from, to). */
static void use(struct scene *s, uint64_t from, uint64_t to)
{
	fake_mmu_zap(s->h, &(struct frame_range){ .pfn = s->h->node_base[0], .nr = 4096 }, 1);
	for (uint64_t i = from; i < to; i++)
		unit_get(s->h, s->mm, page_at(s->addr, i));
}

static uint64_t in_memory(struct scene *s, uint64_t from, uint64_t to)
{
	uint64_t nr = 0;

	for (uint64_t i = from; i < to; i++)
		nr += unit_mapped(s->h, s->mm, page_at(s->addr, i));
	return nr;
}

/* Used pages stay, but for the blind. */
static void test_used_pages_stay(void)
{
	for (unsigned int i = 0; reclaim_policy_get(i); i++) {
		const struct reclaim_policy *p = reclaim_policy_get(i);
		struct scene s = scene_open(p->name);

		forget_use(&s);
		use(&s, 0, PAGES / 2);
		CU_ASSERT_EQUAL(reclaim(&s, PAGES / 2).freed, PAGES / 2);
		if (!(p->flags & POLICY_BLIND))
			CU_ASSERT_EQUAL(in_memory(&s, 0, PAGES / 2), PAGES / 2);
		if (!strcmp(p->name, "fifo"))
			CU_ASSERT_EQUAL(in_memory(&s, 0, PAGES / 2), 0);
		scene_close(&s);
	}
}

static void test_refaults(void)
{
	struct scene s = scene_open("active_inactive");

	/* Pages 0 to 15 are active, 16 and on are not. */
	forget_use(&s);
	use(&s, 0, 16);
	reclaim(&s, 48);
	CU_ASSERT_EQUAL(in_memory(&s, 0, 16), 16);
	CU_ASSERT_EQUAL(in_memory(&s, 16, PAGES), 0);
	CU_ASSERT_EQUAL(event(&s, EV_WORKINGSET_REFAULT_ANON), 0);
	/* The last to go were evicted at a distance below 16: they compete. */
	unit_get(s.h, s.mm, page_at(s.addr, PAGES - 1));
	CU_ASSERT_TRUE(event(&s, EV_WORKINGSET_REFAULT_ANON) >= 1);
	CU_ASSERT_EQUAL(event(&s, EV_WORKINGSET_ACTIVATE_ANON),
			event(&s, EV_WORKINGSET_REFAULT_ANON));
	CU_ASSERT_TRUE(folio_test(unit_folio(s.h, s.mm, page_at(s.addr, PAGES - 1)), PG_active));
	/* The first to go, longer ago than there are active pages. */
	unit_get(s.h, s.mm, page_at(s.addr, 16));
	CU_ASSERT_TRUE(event(&s, EV_WORKINGSET_REFAULT_ANON) >
		       event(&s, EV_WORKINGSET_ACTIVATE_ANON));
	CU_ASSERT_FALSE(folio_test(unit_folio(s.h, s.mm, page_at(s.addr, 16)), PG_active));
	scene_close(&s);
}

/* Up to @nr victims; how many of them are in [@from, @from + @count) of @all. */
static unsigned int isolate_counted(struct fake_host *h, struct folio **all, unsigned int from,
				    unsigned int count, uint64_t nr, bool put_back)
{
	unsigned int hits = 0;
	struct list_head out;
	uint64_t taken;

	list_init(&out);
	lru_isolate(h->sys, 0, nr, &out, &taken);
	while (!list_empty(&out)) {
		struct folio *f = list_first_entry(&out, struct folio, lru);

		list_del(&f->lru);
		for (unsigned int i = from; i < from + count; i++)
			hits += all[i] == f;
		lru_putback(h->sys, f, put_back);
	}
	return hits;
}

/* However many pages are in use all the time, what is read has a queue before it. */
static void test_inactive_is_kept_long(void)
{
	struct folio *all[FOLIOS];
	struct fake_host *h = unit_open();

	CU_ASSERT_EQUAL_FATAL(mm_policy_set(h->sys, &policy_active_inactive), 0);
	for (unsigned int i = 0; i < FOLIOS; i++) {
		all[i] = folio_alloc(h->sys, 0, 0, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(all[i]);
	}
	for (unsigned int i = 0; i < FOLIOS - 10; i++)
		lru_add(h->sys, all[i], true);
	for (int round = 0; round < 40; round++)
		isolate_counted(h, all, 0, 0, 4, true);
	for (unsigned int i = FOLIOS - 10; i < FOLIOS; i++)
		lru_add(h->sys, all[i], false);
	for (int round = 0; round < 10; round++)
		CU_ASSERT_EQUAL(isolate_counted(h, all, FOLIOS - 10, 10, 4, true), 0);
	for (unsigned int i = 0; i < FOLIOS; i++)
		folio_put(h->sys, all[i]);
	unit_close(h);
}

static void test_file_refaults(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	struct unit_file file = unit_file(h, 4 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(mm, file.mapping, 0, 4, PROT_READ, MAP_SHARED);
	uint64_t before;

	for (uint64_t i = 0; i < 4; i++)
		unit_get(h, mm, page_at(a, i));
	unit_reclaim(h, mm, a, 4);
	before = mm_sys_event(h->sys, EV_WORKINGSET_REFAULT_FILE);
	CU_ASSERT_EQUAL(before, 0);
	CU_ASSERT_EQUAL(unit_get(h, mm, page_at(a, 2)), fake_file_word(2, 0));
	CU_ASSERT_TRUE(mm_sys_event(h->sys, EV_WORKINGSET_REFAULT_FILE) >= 1);
	mm_put(mm);
	unit_file_close(&file);
	unit_close(h);
}

/* One used page found by the rmap brings its used neighbours, which need no walk. */
static void test_look_around(void)
{
	struct scene s = scene_open("mglru");
	uint64_t walks;

	forget_use(&s);
	use(&s, 0, PAGES);
	walks = event(&s, EV_RMAP_WALKS);
	CU_ASSERT_EQUAL(reclaim(&s, 1).freed, 1);
	CU_ASSERT_TRUE(event(&s, EV_POLICY_YOUNG) >= 31);
	CU_ASSERT_TRUE(event(&s, EV_RMAP_WALKS) - walks < PAGES);
	scene_close(&s);
}

/* Under any policy, victims of one batch that stand in one table need few walks. */
static void test_batch_looks_around(void)
{
	struct scene s = scene_open("clock");
	struct list_head out;
	uint64_t walks, taken, vm_flags;
	unsigned int used = 0;
	struct zap_batch zap;

	forget_use(&s);
	use(&s, 0, PAGES);
	list_init(&out);
	zap_batch_init(&zap, s.h->sys);
	lru_isolate(s.h->sys, 0, PAGES, &out, &taken);
	walks = event(&s, EV_RMAP_WALKS);
	umm_read_lock(&s.h->sys->work_lock);
	while (!list_empty(&out)) {
		struct folio *f = list_first_entry(&out, struct folio, lru);

		list_del(&f->lru);
		CU_ASSERT_TRUE(folio_trylock(f));
		used += folio_referenced_around(s.h->sys, f, &vm_flags, &zap) > 0;
		/* Once, not twice. */
		CU_ASSERT_EQUAL(folio_referenced_around(s.h->sys, f, &vm_flags, &zap), 0);
		folio_unlock(s.h->sys, f);
		lru_putback(s.h->sys, f, true);
	}
	umm_read_unlock(&s.h->sys->work_lock);
	zap_batch_destroy(&zap);
	CU_ASSERT_EQUAL(used, taken);
	CU_ASSERT_TRUE(taken >= PAGES / 2);
	/* The second question costs one each; the first, hardly any. */
	CU_ASSERT_TRUE(event(&s, EV_RMAP_WALKS) - walks < taken + taken / 4);
	scene_close(&s);
}

/* The tick's walk over the page tables: what it finds used stays. */
static void test_walk(void)
{
	struct scene s = scene_open("mglru");
	uint64_t young;

	reclaim(&s, 8);
	use(&s, 0, PAGES);
	forget_use(&s);
	use(&s, 32, 48);
	young = event(&s, EV_POLICY_YOUNG);
	for (int i = 0; i < 3; i++)
		mm_policy_tick(s.h->sys, (uint64_t)i * 1000000000);
	CU_ASSERT_EQUAL(event(&s, EV_POLICY_YOUNG) - young, 16);
	reclaim(&s, PAGES / 2);
	CU_ASSERT_EQUAL(in_memory(&s, 32, 48), 16);
	scene_close(&s);
}

/* ---- handing over ------------------------------------------------------------------- */

static unsigned int nr_moved, nr_moved_unlisted;

static void watch_add(struct policy_node *n, struct folio *f, enum policy_event why)
{
	nr_moved += why == POLICY_MOVED;
	nr_moved_unlisted += why == POLICY_MOVED && !folio_test(f, PG_lru);
	policy_fifo.add(n, f, why);
}

/*
 * Who frees a folio looks without the lock whether a policy has it: if it seemed to be with
 * none, it would be free and with the new one.
 */
static void test_always_with_one(void)
{
	struct reclaim_policy watch = policy_fifo;
	struct scene s = scene_open("clock");

	watch.name = "watch";
	watch.add = watch_add;
	nr_moved = nr_moved_unlisted = 0;
	CU_ASSERT_EQUAL(mm_policy_set(s.h->sys, &watch), 0);
	CU_ASSERT_EQUAL(nr_moved, PAGES);
	CU_ASSERT_EQUAL(nr_moved_unlisted, 0);
	CU_ASSERT_EQUAL(mm_policy_set(s.h->sys, &policy_fifo), 0);
	scene_close(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "no policy loses a folio or gives it twice", test_conformance },
		{ "nor does switching at any moment", test_switching },
		{ "all folios can be had", test_all_are_victims },
		{ "the order of eviction survives switching", test_order_survives },
		{ "a folio that changes hands is always with one", test_always_with_one },
		{ "unusable policies are refused, and nothing changes", test_check },
		{ "used pages stay, but for blind policies", test_used_pages_stay },
		{ "refault distances: near ones are active again", test_refaults },
		{ "active_inactive: a queue before what was read", test_inactive_is_kept_long },
		{ "refaults of files", test_file_refaults },
		{ "look-around finds the neighbours of a used page", test_look_around },
		{ "victims of one batch look around for each other", test_batch_looks_around },
		{ "a walk over page tables keeps what is used", test_walk },
	};

	return unit_run("reclaim policy", tests, ARRAY_LEN(tests), argc, argv);
}
