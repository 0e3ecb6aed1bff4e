/* SPDX-License-Identifier: MIT */
/*
 * Everything at once: guest threads that fault and store while others migrate,
 * reclaim, walk, fork, move and unmap. Run under ThreadSanitizer too.
 *
 * What must hold: no increment of a counter is lost (law 3), no access goes to
 * a free frame (law 2: the fake host looks), the validator is content.
 */
#include <umm/placement.h>

#include "tests/unit/util.h"

#include <sched.h>
#include <time.h>

#define VCPUS 3
#define PAGES 48
/* How long the guests of one scene run. */
#define SCENE_MS 600

/* One running world; the disturbers stop when the guests are done. */
struct arena {
	struct fake_host *h;
	struct mm *mm;
	struct mm *hog; /* locks memory, so that little is left; or NULL */
	gva_t addr;
	uint64_t pages;
	bool stop;         /* a */
	uint64_t failures; /* a  what a thread may not assert itself */
};

struct guest {
	struct arena *a;
	unsigned int vcpu;
	uint64_t added;
	pthread_t thread;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool running(struct arena *a)
{
	return !__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE);
}

static void note_failure(struct arena *a)
{
	__atomic_fetch_add(&a->failures, 1, __ATOMIC_RELAXED);
}

/* Add to random counters; each page has one for each vCPU and one for all. */
static void *guest_count(void *arg)
{
	struct guest *g = arg;
	uint64_t state = g->vcpu + 1, end = now_ms() + SCENE_MS;

	while (now_ms() < end) {
		gva_t page = page_at(g->a->addr, unit_random(&state, g->a->pages));
		gva_t own = gva_add(page, 64 * (1 + g->vcpu));

		if (fake_add(g->a->h, g->a->mm, g->vcpu, own, 1) != FAULT_DONE ||
		    fake_add(g->a->h, g->a->mm, g->vcpu, page, 1) != FAULT_DONE)
			note_failure(g->a);
		/* The disturbers are what this is about: let them run. */
		if (++g->added % 32 == 0)
			sched_yield();
	}
	return NULL;
}

static struct arena arena_open(bool shadow, unsigned int order)
{
	struct fake_config config = unit_config();
	struct arena a = { 0 };

	config.concurrent = true;
	config.helper = true;
	config.shadow_paging = shadow;
	config.frames_per_node = 1024;
	config.max_anon_order = order;
	config.fault_around = order ? 1u << order : 1;
	config.copy_around = order ? 8 : 1;
	a.h = unit_open_with(&config);
	a.mm = unit_mm(a.h);
	a.pages = PAGES;
	a.addr = unit_map_at(a.mm, 0x10000000, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	return a;
}

/* One node, of which most is locked: what the guests use fits in half at a time. */
static struct arena arena_open_short(void)
{
	struct fake_config config = unit_config();
	struct arena a = { 0 };
	gva_t locked;

	config.concurrent = true;
	config.nr_nodes = 1;
	config.frames_per_node = 512;
	a.h = unit_open_with(&config);
	a.hog = unit_mm(a.h);
	locked = unit_map(a.hog, 350, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(mm_mlock(a.hog, locked, 350 * UMM_PAGE_SIZE, 0), 0);
	a.mm = unit_mm(a.h);
	a.pages = 300;
	a.addr = unit_map_at(a.mm, 0x10000000, a.pages, PROT_RW, MAP_ANON_PRIVATE);
	return a;
}

/* The sum over all counters is what the guests have added. */
static void arena_close(struct arena *a, const struct guest *guests)
{
	uint64_t all = 0, own[VCPUS] = { 0 }, added = 0;

	for (uint64_t p = 0; guests && p < a->pages; p++) {
		all += unit_get(a->h, a->mm, page_at(a->addr, p));
		for (unsigned int v = 0; v < VCPUS; v++)
			own[v] += unit_get(a->h, a->mm, gva_add(page_at(a->addr, p), 64 * (1 + v)));
	}
	for (unsigned int v = 0; guests && v < VCPUS; v++) {
		CU_ASSERT_EQUAL(own[v], guests[v].added);
		added += guests[v].added;
	}
	CU_ASSERT_EQUAL(all, added);
	CU_ASSERT_EQUAL(a->failures, 0);
	unit_check(a->h);
	mm_put(a->mm);
	if (a->hog)
		mm_put(a->hog);
	unit_close(a->h);
}

/* Guests that count, beside up to six disturbers that run until they are done. */
static void run_beside(struct arena *a, void *(*const *disturb)(void *), unsigned int nr)
{
	struct guest guests[VCPUS];
	pthread_t others[6];

	for (unsigned int v = 0; v < VCPUS; v++) {
		guests[v] = (struct guest){ .a = a, .vcpu = v };
		pthread_create(&guests[v].thread, NULL, guest_count, &guests[v]);
	}
	for (unsigned int i = 0; i < nr; i++)
		pthread_create(&others[i], NULL, disturb[i], a);
	for (unsigned int v = 0; v < VCPUS; v++)
		pthread_join(guests[v].thread, NULL);
	__atomic_store_n(&a->stop, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(others[i], NULL);
	arena_close(a, guests);
}

/* ---- disturbers ------------------------------------------------------------------- */

static void *disturb_migrate(void *arg)
{
	struct arena *a = arg;

	for (int i = 1; running(a); i++) {
		struct migrate_request req = { .to = i % 2,
					       .mm = a->mm,
					       .move_shared = true,
					       .batch = i % 4 < 2 ? 0 : 64,
					       .threads = 2,
					       .mode = (enum migrate_mode)(i % 3) };
		struct migrate_result r;

		if (mm_migrate(a->h->sys, &req, &r))
			note_failure(a);
	}
	return NULL;
}

/* What was used stays every other time, and large folios are split for the rest of them. */
static void *disturb_reclaim(void *arg)
{
	struct arena *a = arg;

	for (unsigned int round = 0; running(a); round++) {
		struct reclaim_request req = {
			.nr_frames = 64, .node = -1, .ignore_references = round % 2, .discard = true
		};
		struct reclaim_result r;

		if (mm_reclaim(a->h->sys, &req, &r))
			note_failure(a);
		unit_sleep_ms(1);
	}
	return NULL;
}

/* rmap walks of whatever is there: queries, idle tracking, references. */
static void *disturb_walk(void *arg)
{
	struct arena *a = arg;
	uint64_t state = 77;

	while (running(a)) {
		pfn_t pfn = pfn_add(a->h->node_base[unit_random(&state, a->h->config.nr_nodes)],
				    unit_random(&state, 256));
		struct rmap_entry entries[8];
		struct frame_info info;
		struct folio *f;
		unsigned int nr;
		uint64_t vm_flags;
		int err = mm_query_frame(a->h->sys, pfn, &info, entries, 8, &nr);

		if (err && err != -EAGAIN)
			note_failure(a);
		f = sys_frame(a->h->sys, pfn);
		if (folio_test(f, PG_tail) || !folio_try_get(f))
			continue;
		if (folio_mapped(f) && folio_test(f, PG_lru)) {
			page_idle_clear_pte_refs(a->h->sys, f);
			folio_referenced(a->h->sys, f, false, &vm_flags);
		}
		folio_put(a->h->sys, f);
	}
	return NULL;
}

/* Fork, read and write in the child, exit. */
static void *disturb_fork(void *arg)
{
	struct arena *a = arg;
	uint64_t state = 99;

	while (running(a)) {
		struct mm *child;
		uint64_t value;

		if (mm_fork(a->mm, &child)) {
			note_failure(a);
			continue;
		}
		for (int i = 0; i < 8; i++) {
			gva_t at = page_at(a->addr, unit_random(&state, a->pages));

			if (fake_load(a->h, child, VCPUS, at, &value) != FAULT_DONE ||
			    fake_store(a->h, child, VCPUS, gva_add(at, 1024), 1) != FAULT_DONE)
				note_failure(a);
		}
		mm_put(child);
		unit_sleep_ms(1);
	}
	return NULL;
}

/* Areas come, are used by two vCPUs, move, and go, in the same process. */
static void *disturb_areas(void *arg)
{
	struct arena *a = arg;
	uint64_t round = 0, value;

	while (running(a)) {
		struct mm_map_request req = { .len = 8 * UMM_PAGE_SIZE,
					      .prot = PROT_RW,
					      .flags = MAP_ANON_PRIVATE };
		gva_t at, to;
		bool ok = !mm_mmap(a->mm, &req, &at);

		for (uint64_t i = 0; ok && i < 8; i++)
			ok = fake_store(a->h, a->mm, VCPUS + 1, page_at(at, i), ++round) ==
			     FAULT_DONE;
		ok = ok && !mm_mremap(a->mm, at, 8 * UMM_PAGE_SIZE, 16 * UMM_PAGE_SIZE,
				      MREMAP_MAYMOVE, gva_make(0), &to);
		for (uint64_t i = 0; ok && i < 8; i++)
			ok = fake_load(a->h, a->mm, VCPUS + 1, page_at(to, i), &value) ==
				     FAULT_DONE &&
			     value == round - 7 + i;
		ok = ok && !mm_mprotect(a->mm, page_at(to, 2), UMM_PAGE_SIZE, PROT_READ);
		ok = ok && !mm_madvise(a->mm, to, UMM_PAGE_SIZE, MADV_DONTNEED);
		ok = ok && !mm_munmap(a->mm, to, 16 * UMM_PAGE_SIZE);
		if (!ok)
			note_failure(a);
	}
	return NULL;
}

static void *disturb_validate(void *arg)
{
	struct arena *a = arg;

	while (running(a)) {
		struct mm_validate_report report;

		if (mm_validate(a->h->sys, &report)) {
			fprintf(stderr, "mm_validate, while running: %s\n", report.first);
			note_failure(a);
		}
		unit_sleep_ms(10);
	}
	return NULL;
}

/* Scans, samples, demotes, and now and then another policy; the vCPUs change nodes. */
static void *disturb_place(void *arg)
{
	static const char *const balance[] = { "two-fault", "majority", NULL };
	static const char *const tier[] = { "recency", "sampling", NULL };
	struct arena *a = arg;
	uint64_t state = 55, now = 1ul << 62;

	if (mm_placement_set_slow_nodes(a->h->sys, 2))
		note_failure(a);
	for (uint64_t round = 0; running(a); round++) {
		if (round % 16 == 0 &&
		    (mm_placement_set(a->h->sys, PLACEMENT_BALANCE,
				      balance[unit_random(&state, 3)]) ||
		     mm_placement_set(a->h->sys, PLACEMENT_TIER, tier[unit_random(&state, 3)])))
			note_failure(a);
		__atomic_store_n(&a->h->node, (int)unit_random(&state, 2), __ATOMIC_RELAXED);
		now += 300ul * 1000000000ul;
		mm_placement_tick(a->h->sys, now);
		sched_yield();
	}
	if (mm_placement_set(a->h->sys, PLACEMENT_BALANCE, NULL) ||
	    mm_placement_set(a->h->sys, PLACEMENT_TIER, NULL) ||
	    mm_placement_count_hints(a->h->sys))
		note_failure(a);
	return NULL;
}

/* Another reclaim policy again and again, with its walks, samples and looks around. */
static void *disturb_policy(void *arg)
{
	struct arena *a = arg;
	uint64_t state = 33, now = 0;
	unsigned int nr = 0;

	while (reclaim_policy_get(nr))
		nr++;
	while (running(a)) {
		unsigned int i = (unsigned int)unit_random(&state, nr);

		if (mm_policy_set(a->h->sys, reclaim_policy_get(i)))
			note_failure(a);
		for (int k = 0; k < 4; k++) {
			struct reclaim_request req = { .nr_frames = 8, .node = -1 };
			struct reclaim_result r;

			if (mm_reclaim(a->h->sys, &req, &r))
				note_failure(a);
			mm_policy_tick(a->h->sys, now += 100000000);
		}
	}
	return NULL;
}

/* ---- scenes ------------------------------------------------------------------------- */

static void test_faults(void)
{
	struct arena a = arena_open(false, 0);

	run_beside(&a, NULL, 0);
}

static void test_migrate(void)
{
	static void *(*const disturb[])(void *) = { disturb_migrate, disturb_walk };
	struct arena a = arena_open(true, 0);

	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void test_reclaim(void)
{
	static void *(*const disturb[])(void *) = { disturb_reclaim, disturb_walk };
	struct arena a = arena_open(false, 0);

	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void test_fork(void)
{
	static void *(*const disturb[])(void *) = { disturb_fork, disturb_walk };
	struct arena a = arena_open(true, 0);

	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void run_everything(bool shadow, unsigned int order)
{
	static void *(*const disturb[])(void *) = { disturb_migrate, disturb_reclaim,
						    disturb_walk,    disturb_fork,
						    disturb_areas,   disturb_validate };
	struct arena a = arena_open(shadow, order);

	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void test_policies(void)
{
	static void *(*const disturb[])(void *) = { disturb_policy,  disturb_reclaim,
						    disturb_fork,    disturb_areas,
						    disturb_migrate, disturb_validate };
	struct arena a = arena_open(true, 0);

	run_beside(&a, disturb, ARRAY_LEN(disturb));
	a = arena_open(false, 3);
	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void test_placement(void)
{
	static void *(*const disturb[])(void *) = { disturb_place, disturb_walk };
	struct arena a = arena_open(true, 0);

	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void run_placement(bool shadow, unsigned int order)
{
	static void *(*const disturb[])(
		void *) = { disturb_place, disturb_reclaim, disturb_fork,
			    disturb_areas, disturb_migrate, disturb_validate };
	struct arena a = arena_open(shadow, order);

	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void test_placement_and_everything(void)
{
	run_placement(true, 0);
	run_placement(false, 3);
}

static void test_short_of_memory(void)
{
	static void *(*const disturb[])(void *) = { disturb_walk, disturb_fork, disturb_validate };
	struct arena a = arena_open_short();

	run_beside(&a, disturb, ARRAY_LEN(disturb));
}

static void test_everything(void)
{
	run_everything(true, 0);
}

static void test_everything_large(void)
{
	run_everything(false, 3);
}

/* ---- row 37: first faults ------------------------------------------------------------ */

struct first_fault {
	struct arena *a;
	pthread_barrier_t *barrier;
	gva_t addr;
	unsigned int vcpu;
};

static void *fault_first(void *arg)
{
	struct first_fault *f = arg;

	for (uint64_t i = 0; i < 64; i++) {
		pthread_barrier_wait(f->barrier);
		if (fake_store(f->a->h, f->a->mm, f->vcpu, page_at(f->addr, i * 8 + f->vcpu),
			       i + 1) != FAULT_DONE)
			note_failure(f->a);
	}
	return NULL;
}

/* Areas without an anon_vma; three threads fault into each at the same moment. */
static void test_row37_first_faults(void)
{
	struct arena a = arena_open(false, 0);
	struct first_fault f[VCPUS];
	pthread_t threads[VCPUS], walker;
	pthread_barrier_t barrier;
	gva_t addr = gva_make(0x40000000);

	/* Alternating protections keep the areas apart. */
	for (uint64_t i = 0; i < 64; i++)
		unit_map_at(a.mm, page_at(addr, i * 8).v, 8, PROT_RW | (i % 2 ? PROT_EXEC : 0),
			    MAP_ANON_PRIVATE);
	pthread_barrier_init(&barrier, NULL, VCPUS);
	pthread_create(&walker, NULL, disturb_walk, &a);
	for (unsigned int v = 0; v < VCPUS; v++) {
		f[v] = (struct first_fault){ &a, &barrier, addr, v };
		pthread_create(&threads[v], NULL, fault_first, &f[v]);
	}
	for (unsigned int v = 0; v < VCPUS; v++)
		pthread_join(threads[v], NULL);
	__atomic_store_n(&a.stop, true, __ATOMIC_RELEASE);
	pthread_join(walker, NULL);
	pthread_barrier_destroy(&barrier);
	for (uint64_t i = 0; i < 64; i++)
		for (unsigned int v = 0; v < VCPUS; v++)
			CU_ASSERT_EQUAL(unit_get(a.h, a.mm, page_at(addr, i * 8 + v)), i + 1);
	arena_close(&a, NULL);
}

/* ---- row 52: mkclean against stores and mremap ------------------------------------------- */

struct file_race {
	struct arena *a;
	struct unit_file *file;
	gva_t places[2];
	gva_t at; /* a  where the mapping is now (.v) */
};

static void *race_store(void *arg)
{
	struct file_race *r = arg;

	for (uint64_t i = 1; i <= 3000; i++) {
		enum fault_result res;

		/* The mapping may just have moved away: look again. */
		do {
			gva_t at = gva_make(__atomic_load_n(&r->at.v, __ATOMIC_ACQUIRE));

			res = fake_store(r->a->h, r->a->mm, 0, at, i);
		} while (res == FAULT_MAPERR);
		if (res != FAULT_DONE)
			note_failure(r->a);
	}
	__atomic_store_n(&r->a->stop, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *race_clean(void *arg)
{
	struct file_race *r = arg;

	while (running(r->a))
		if (mapping_flush(r->file->mapping, 0, UMM_PAGE_SIZE))
			note_failure(r->a);
	return NULL;
}

static void *race_move(void *arg)
{
	struct file_race *r = arg;

	for (int i = 0; running(r->a); i++) {
		gva_t from = r->places[i % 2], to = r->places[(i + 1) % 2], out;

		if (mm_mremap(r->a->mm, from, UMM_PAGE_SIZE, UMM_PAGE_SIZE,
			      MREMAP_MAYMOVE | MREMAP_FIXED, to, &out))
			note_failure(r->a);
		__atomic_store_n(&r->at.v, to.v, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void test_row52_mkclean_mremap(void)
{
	static void *(*const parts[])(void *) = { race_store, race_clean, race_move };
	struct arena a = arena_open(false, 0);
	struct unit_file file = unit_file(a.h, UMM_PAGE_SIZE);
	struct file_race r = { .a = &a, .file = &file };
	pthread_t threads[ARRAY_LEN(parts)];
	gva_t first = unit_map_file(a.mm, file.mapping, 0, 1, PROT_RW, MAP_SHARED);

	r.places[0] = gva_make(0x60000000);
	r.places[1] = gva_make(0x70000000);
	r.at = unit_remap(a.mm, first, 1, 1, MREMAP_MAYMOVE | MREMAP_FIXED, r.places[0]);
	for (unsigned int i = 0; i < ARRAY_LEN(parts); i++)
		pthread_create(&threads[i], NULL, parts[i], &r);
	for (unsigned int i = 0; i < ARRAY_LEN(parts); i++)
		pthread_join(threads[i], NULL);
	/* The last store is in the page, or already in the file; never lost. */
	CU_ASSERT_EQUAL(unit_get(a.h, a.mm, r.at), 3000);
	CU_ASSERT_EQUAL(mapping_flush(file.mapping, 0, UMM_PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), 3000);
	unit_unmap(a.mm, r.at, 1);
	unit_file_close(&file);
	arena_close(&a, NULL);
}

/* ---- row 38: 2 MiB leaves come and go under faults and walks -------------------------------- */

static void *disturb_collapse(void *arg)
{
	struct arena *a = arg;
	gva_t spare = page_at(a->addr, UMM_PTRS_PER_TABLE - 1);

	while (running(a)) {
		int err = mm_collapse(a->mm, a->addr, UMM_PTRS_PER_TABLE, true);

		if (err == -ENOMEM ||
		    (err && err != -EEXIST && err != -EBUSY && err != -EAGAIN && err != -EINVAL))
			note_failure(a);
		/* A page that no guest uses goes: the leaf is split. */
		if (mm_madvise(a->mm, spare, UMM_PAGE_SIZE, MADV_DONTNEED))
			note_failure(a);
	}
	return NULL;
}

static void run_on_leaf(void *(*const *disturb)(void *), unsigned int nr)
{
	struct fake_config config = unit_config();
	struct arena a = { .pages = 100 };

	config.concurrent = true;
	config.shadow_paging = true;
	config.max_anon_order = UMM_PMD_ORDER;
	a.h = unit_open_with(&config);
	a.mm = unit_mm(a.h);
	a.addr = unit_map_at(a.mm, 0x10000000, UMM_PTRS_PER_TABLE, PROT_RW, MAP_ANON_PRIVATE);
	run_beside(&a, disturb, nr);
}

static void test_row38_collapse(void)
{
	static void *(*const disturb[])(void *) = { disturb_collapse, disturb_migrate, disturb_walk,
						    disturb_collapse };

	run_on_leaf(disturb, ARRAY_LEN(disturb));
}

static void test_placement_of_leaves(void)
{
	static void *(*const disturb[])(void *) = { disturb_place, disturb_migrate, disturb_walk,
						    disturb_collapse, disturb_fork };

	run_on_leaf(disturb, ARRAY_LEN(disturb));
}

/* ---- row 86: copy-on-write against MADV_DONTNEED ------------------------------------------- */

struct cow_race {
	struct arena *a;
	gva_t addr;
};

static void *race_poke(void *arg)
{
	struct cow_race *r = arg;
	uint64_t evil = 0xbad;

	for (int i = 0; i < 3000; i++)
		if (mm_poke_guest(r->a->mm, r->addr, &evil, sizeof(evil), NULL))
			note_failure(r->a);
	__atomic_store_n(&r->a->stop, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *race_dontneed(void *arg)
{
	struct cow_race *r = arg;

	while (running(r->a))
		if (mm_madvise(r->a->mm, r->addr, UMM_PAGE_SIZE, MADV_DONTNEED))
			note_failure(r->a);
	return NULL;
}

/* A private mapping, read-only, of a file: whatever races, the file stays as it is. */
static void test_row86_dirty_cow(void)
{
	struct arena a = arena_open(false, 0);
	struct unit_file file = unit_file(a.h, UMM_PAGE_SIZE);
	struct cow_race r = { .a = &a };
	pthread_t threads[2];

	r.addr = unit_map_file(a.mm, file.mapping, 0, 1, PROT_READ, MAP_PRIVATE);
	pthread_create(&threads[0], NULL, race_poke, &r);
	pthread_create(&threads[1], NULL, race_dontneed, &r);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	unit_advise(a.mm, r.addr, 1, MADV_DONTNEED);
	CU_ASSERT_EQUAL(unit_get(a.h, a.mm, r.addr), fake_file_word(0, 0));
	unit_unmap(a.mm, r.addr, 1);
	CU_ASSERT_EQUAL(mapping_flush(file.mapping, 0, UMM_PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 0, 0), fake_file_word(0, 0));
	unit_file_close(&file);
	arena_close(&a, NULL);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "faults of three vCPUs", test_faults },
		{ "stores against migration", test_migrate },
		{ "stores against reclaim", test_reclaim },
		{ "stores against fork and COW", test_fork },
		{ "stores against hints, samples and demotion", test_placement },
		{ "hints and everything else", test_placement_and_everything },
		{ "reclaim policies that change, and everything else", test_policies },
		{ "hints in leaves that come and go", test_placement_of_leaves },
		{ "stores while memory is short", test_short_of_memory },
		{ "row 37: first faults against walkers", test_row37_first_faults },
		{ "row 38: collapse against faults and walks", test_row38_collapse },
		{ "row 52: mkclean against stores and mremap", test_row52_mkclean_mremap },
		{ "row 67, 71, 86: everything at once", test_everything },
		{ "row 67, 71, 86: everything at once, large folios", test_everything_large },
		{ "row 86: a forced write races MADV_DONTNEED", test_row86_dirty_cow },
	};

	return unit_run("threads", tests, ARRAY_LEN(tests), argc, argv);
}
