/* SPDX-License-Identifier: MIT */
/*
 * KSM against everything at once: guests that store, and look at what they stored, while
 * the scanner merges their pages and others fork, exit, move, unmap, migrate, reclaim,
 * and take merged pages apart. Run under ThreadSanitizer too.
 */
#include <time.h>

#include "tests/unit/ksm_util.h"

#define GUESTS   3u
#define PAGES    24u /* of one guest */
#define SCENE_MS 2500u

struct scene {
	struct fake_host *h;
	struct mm *mm[2]; /* guest g runs in mm[g % 2] */
	gva_t at[2];      /* GUESTS * PAGES pages each, of which a guest uses its own */
	bool stop;        /* a */
	uint64_t wrong;   /* a */
};

struct guest {
	struct scene *s;
	unsigned int nr;
	uint64_t words[PAGES];
};

static void note(struct scene *s, bool wrong)
{
	if (wrong)
		__atomic_fetch_add(&s->wrong, 1, __ATOMIC_RELAXED);
}

static bool running(struct scene *s)
{
	return !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE);
}

static gva_t page_of_guest(const struct guest *g, uint64_t page)
{
	return page_at(g->s->at[g->nr % 2], g->nr * PAGES + page);
}

/* Four values: pages are equal to others most of the time. */
static void *run_guest(void *arg)
{
	struct guest *g = arg;
	struct scene *s = g->s;
	struct mm *mm = s->mm[g->nr % 2];
	uint64_t random = g->nr + 1, value;

	while (running(s)) {
		uint64_t page = unit_random(&random, PAGES);

		note(s, fake_load(s->h, mm, g->nr, page_of_guest(g, page), &value) != FAULT_DONE ||
				value != g->words[page]);
		if (unit_random(&random, 4))
			continue;
		g->words[page] = unit_random(&random, 4);
		note(s, fake_store(s->h, mm, g->nr, page_of_guest(g, page), g->words[page]) !=
				FAULT_DONE);
	}
	for (uint64_t page = 0; page < PAGES; page++)
		note(s, fake_load(s->h, mm, g->nr, page_of_guest(g, page), &value) != FAULT_DONE ||
				value != g->words[page]);
	return NULL;
}

static void *run_scanner(void *arg)
{
	struct scene *s = arg;
	struct ksm_stats stats;

	for (uint64_t i = 0; running(s); i++) {
		ksm_scan(s->h->sys, i % 7 ? UINT64_MAX : 5);
		ksm_get_stats(s->h->sys, &stats);
	}
	return NULL;
}

/* A child looks at all, stores here and there, and has a grandchild that outlives it. */
static void *run_forks(void *arg)
{
	struct scene *s = arg;
	uint64_t random = 7, value;

	for (unsigned int i = 0; running(s); i++) {
		struct mm *child, *grandchild = NULL;

		if (mm_fork(s->mm[i % 2], &child))
			continue;
		for (unsigned int p = 0; p < GUESTS * PAGES; p++) {
			gva_t at = page_at(s->at[i % 2], p);

			if (!unit_random(&random, 3))
				note(s, fake_store(s->h, child, GUESTS, at, 9) != FAULT_DONE);
			if (p == PAGES && mm_fork(child, &grandchild))
				grandchild = NULL;
		}
		mm_put(child);
		for (unsigned int p = 0; grandchild && p < GUESTS * PAGES; p++)
			note(s, fake_load(s->h, grandchild, GUESTS, page_at(s->at[i % 2], p),
					  &value) != FAULT_DONE);
		if (grandchild)
			mm_put(grandchild);
	}
	return NULL;
}

static void *run_moves(void *arg)
{
	struct scene *s = arg;

	for (int i = 0; running(s); i++) {
		struct migrate_request move = { .to = i % 2 };
		struct reclaim_request out = { .nr_frames = 40,
					       .node = -1,
					       .ignore_references = true };
		struct migrate_result migrated;
		struct reclaim_result reclaimed;

		note(s, mm_migrate(s->h->sys, &move, &migrated));
		if (i % 4 == 0)
			note(s, mm_reclaim(s->h->sys, &out, &reclaimed));
	}
	return NULL;
}

/* Areas of a process of its own, equal to the guests', that come, move and go. */
static void *run_areas(void *arg)
{
	struct scene *s = arg;
	gva_t home = gva_make(0x50000000), away = gva_make(0x58000000), at;
	struct mm_map_request req = { .addr = home,
				      .len = 8 * UMM_PAGE_SIZE,
				      .prot = PROT_RW,
				      .flags = MAP_ANON_PRIVATE | MAP_FIXED };
	struct mm *mm;

	if (mm_create(s->h->sys, &mm))
		return NULL;
	for (uint64_t i = 0; running(s); i++) {
		note(s, mm_mmap(mm, &req, &at));
		note(s, mm_madvise(mm, home, req.len, MADV_MERGEABLE));
		for (unsigned int p = 0; p < 8; p++)
			note(s, fake_store(s->h, mm, GUESTS + 1, page_at(home, p), p % 4) !=
					FAULT_DONE);
		unit_sleep_ms(2);
		note(s, mm_mremap(mm, home, req.len, req.len, MREMAP_MAYMOVE | MREMAP_FIXED, away,
				  &at));
		unit_sleep_ms(2);
		note(s, mm_munmap(mm, away, 3 * UMM_PAGE_SIZE));
		if (i % 3 == 0)
			note(s, mm_madvise(s->mm[0], page_at(s->at[0], 5), 30 * UMM_PAGE_SIZE,
					   i % 2 ? MADV_MERGEABLE : MADV_UNMERGEABLE));
		if (i % 50 == 49)
			note(s, ksm_set(s->h->sys, KSM_RUN, KSM_UNMERGE));
	}
	mm_put(mm);
	return NULL;
}

static void *run_looks(void *arg)
{
	struct scene *s = arg;
	struct mm_validate_report report;

	while (running(s)) {
		int err = mm_validate(s->h->sys, &report);

		if (err)
			fprintf(stderr, "validator: %s\n", report.first);
		note(s, err);
		unit_sleep_ms(30);
	}
	return NULL;
}

static void scene_open(struct scene *s)
{
	struct fake_config config = unit_config();

	config.concurrent = true;
	config.frames_per_node = 1024;
	config.swap_slots = 1024;
	config.shadow_paging = true;
	*s = (struct scene){ .h = unit_open_with(&config) };
	CU_ASSERT_EQUAL(ksm_set(s->h->sys, KSM_MAX_PAGE_SHARING, 12), 0);
	for (unsigned int i = 0; i < 2; i++) {
		s->mm[i] = unit_mm(s->h);
		s->at[i] = ksm_map_equal(s->h, s->mm[i], GUESTS * PAGES, 0);
	}
}

static void test_everything(void)
{
	static void *(*const others[])(void *) = { run_scanner, run_forks, run_moves, run_areas,
						   run_looks };
	pthread_t threads[GUESTS + ARRAY_LEN(others)];
	struct guest guests[GUESTS];
	unsigned int nr = 0;
	struct scene s;

	scene_open(&s);
	for (unsigned int i = 0; i < GUESTS; i++) {
		guests[i] = (struct guest){ .s = &s, .nr = i };
		pthread_create(&threads[nr++], NULL, run_guest, &guests[i]);
	}
	for (unsigned int i = 0; i < ARRAY_LEN(others); i++)
		pthread_create(&threads[nr++], NULL, others[i], &s);
	unit_sleep_ms(SCENE_MS);
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	while (nr)
		pthread_join(threads[--nr], NULL);
	CU_ASSERT_EQUAL(s.wrong, 0);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_KSM_MERGE) > 10);
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_KSM_COW) > 0);
	printf("merged %lu, copied %lu, back from swap %lu, migrated %lu ... ",
	       mm_sys_event(s.h->sys, EV_KSM_MERGE), mm_sys_event(s.h->sys, EV_KSM_COW),
	       mm_sys_event(s.h->sys, EV_KSM_SWPIN_COPY), mm_sys_event(s.h->sys, EV_MIGRATE_OK));
	unit_check(s.h);
	mm_put(s.mm[0]);
	mm_put(s.mm[1]);
	unit_close(s.h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "merging against everything at once", test_everything },
	};

	return unit_run("ksm_threads", tests, ARRAY_LEN(tests), argc, argv);
}
