/* SPDX-License-Identifier: MIT */
/*
 * One script of everything that the manager does, run again and again: each run
 * fails another of the host's calls, until a run has no call left to fail. A
 * second round fails all calls from the Nth on, up to the end of the script.
 *
 * A step may fail, then it has changed nothing; what the guest stored is there
 * at the end; the validator is content after each step; everything is free
 * after exit, which must not need memory.
 */
#include "tests/unit/util.h"

#define ANON  12
#define FILEP 6
#define SHM   4
#define WHO   2

struct script {
	struct fake_host *h;
	struct unit_file file;
	struct mm *mm[WHO];
	gva_t anon[WHO], filep, shm;    /* v 0: not mapped */
	uint64_t anon_value[WHO][ANON]; /* what each page holds at word 0 */
	uint64_t file_value[FILEP], shm_value[SHM];
	bool unmapped[WHO][ANON];
	bool failed; /* the failure has happened: check more */
	uint64_t next_value;
};

/* After the failure, look after each step; before it, the other runs have looked. */
static void step_done(struct script *s)
{
	int64_t countdown = s->h->fail_countdown;

	if (s->failed || !s->h->failures)
		return;
	s->failed = true;
	/* The validator itself needs memory. */
	s->h->fail_countdown = -1;
	unit_check(s->h);
	s->h->fail_countdown = countdown;
}

static void store(struct script *s, int who, gva_t at, uint64_t *shadow)
{
	enum fault_result r = fake_store(s->h, s->mm[who], (unsigned int)who, at, s->next_value);

	if (r == FAULT_DONE)
		*shadow = s->next_value;
	else
		CU_ASSERT_TRUE((r == FAULT_OOM || r == FAULT_BUS) && s->h->failures > 0);
	s->next_value++;
	step_done(s);
}

static gva_t map(struct script *s, uint64_t pages, int flags, struct address_space *m)
{
	struct mm_map_request req = {
		.len = pages << UMM_PAGE_SHIFT, .prot = PROT_RW, .flags = flags, .mapping = m
	};
	gva_t out = { 0 };
	int err = mm_mmap(s->mm[0], &req, &out);

	CU_ASSERT_TRUE(!err || (err == -ENOMEM && s->h->failures));
	step_done(s);
	return err ? gva_make(0) : out;
}

static void expect_error(struct script *s, int err, int may)
{
	CU_ASSERT_TRUE(!err || (s->h->failures && (err == may || err == -ENOMEM)));
	step_done(s);
}

static bool script_setup(struct script *s)
{
	for (uint64_t i = 0; i < FILEP; i++)
		s->file_value[i] = fake_file_word(i, 0);
	if (mm_create(s->h->sys, &s->mm[0])) {
		CU_ASSERT_TRUE(s->h->failures > 0);
		s->mm[0] = NULL;
		step_done(s);
		return false;
	}
	s->anon[0] = map(s, ANON, MAP_ANON_PRIVATE, NULL);
	s->filep = map(s, FILEP, MAP_SHARED, s->file.mapping);
	s->shm = map(s, SHM, MAP_ANON_SHARED, NULL);
	for (uint64_t i = 0; s->anon[0].v && i < ANON; i++)
		store(s, 0, page_at(s->anon[0], i), &s->anon_value[0][i]);
	for (uint64_t i = 0; s->filep.v && i < FILEP; i += 2)
		store(s, 0, page_at(s->filep, i), &s->file_value[i]);
	for (uint64_t i = 0; s->shm.v && i < SHM; i++)
		store(s, 0, page_at(s->shm, i), &s->shm_value[i]);
	return s->anon[0].v;
}

static void script_fork(struct script *s)
{
	int err = mm_fork(s->mm[0], &s->mm[1]);

	expect_error(s, err, -ENOMEM);
	if (err) {
		s->mm[1] = NULL;
		return;
	}
	s->anon[1] = s->anon[0];
	memcpy(s->anon_value[1], s->anon_value[0], sizeof(s->anon_value[1]));
	for (uint64_t i = 0; i < ANON; i += 3)
		store(s, 1, page_at(s->anon[1], i), &s->anon_value[1][i]);
	for (uint64_t i = 1; i < ANON; i += 4)
		store(s, 0, page_at(s->anon[0], i), &s->anon_value[0][i]);
	if (s->shm.v)
		store(s, 1, page_at(s->shm, 1), &s->shm_value[1]);
}

static void script_areas(struct script *s)
{
	gva_t to = gva_make(0x550000000000), out;
	int err;

	err = mm_mremap(s->mm[0], s->anon[0], ANON << UMM_PAGE_SHIFT, ANON << UMM_PAGE_SHIFT,
			MREMAP_MAYMOVE | MREMAP_FIXED, to, &out);
	expect_error(s, err, -ENOMEM);
	if (!err)
		s->anon[0] = out;
	err = mm_mprotect(s->mm[0], page_at(s->anon[0], 3), 4 * UMM_PAGE_SIZE, PROT_READ);
	expect_error(s, err, -ENOMEM);
	do
		err = mm_mprotect(s->mm[0], s->anon[0], ANON << UMM_PAGE_SHIFT, PROT_RW);
	while (err && !s->h->fail_on && s->h->fail_countdown > 0);
	expect_error(s, err, -ENOMEM);
	store(s, 0, page_at(s->anon[0], 8), &s->anon_value[0][8]);
}

static void script_swap(struct script *s)
{
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX, .node = -1, .ignore_references = true, .discard = true
	};
	struct reclaim_result result;

	expect_error(s, mm_reclaim(s->h->sys, &req, &result), -EIO);
	for (uint64_t i = 0; i < ANON; i += 2)
		store(s, 0, page_at(s->anon[0], i), &s->anon_value[0][i]);
	if (s->shm.v)
		store(s, 0, page_at(s->shm, 2), &s->shm_value[2]);
}

static void script_migrate(struct script *s)
{
	for (int to = 1; to >= 0; to--) {
		struct migrate_request req = { .to = to };
		struct migrate_result result;

		expect_error(s, mm_migrate(s->h->sys, &req, &result), -EIO);
	}
}

static void script_advise(struct script *s)
{
	int err;

	if (s->filep.v)
		expect_error(s, mm_msync(s->mm[0], s->filep, FILEP << UMM_PAGE_SHIFT, MS_SYNC),
			     -EIO);
	err = mm_madvise(s->mm[0], page_at(s->anon[0], 5), UMM_PAGE_SIZE, MADV_DONTNEED);
	expect_error(s, err, -ENOMEM);
	if (!err)
		s->anon_value[0][5] = 0;
	err = mm_munmap(s->mm[0], page_at(s->anon[0], 6), 2 * UMM_PAGE_SIZE);
	expect_error(s, err, -ENOMEM);
	if (!err)
		s->unmapped[0][6] = s->unmapped[0][7] = true;
}

/* The host is well again: all that was stored must be there. */
static void script_verify(struct script *s)
{
	uint64_t value;

	fake_fail_nth(s->h, FAKE_ANY, 0);
	for (int who = 0; who < WHO; who++)
		for (uint64_t i = 0; s->mm[who] && s->anon[who].v && i < ANON; i++) {
			gva_t at = page_at(s->anon[who], i);

			if (s->unmapped[who][i]) {
				CU_ASSERT_EQUAL(fake_load(s->h, s->mm[who], 0, at, &value),
						FAULT_MAPERR);
			} else {
				CU_ASSERT_EQUAL(unit_get(s->h, s->mm[who], at),
						s->anon_value[who][i]);
			}
		}
	for (uint64_t i = 0; s->filep.v && i < FILEP; i++)
		CU_ASSERT_EQUAL(unit_get(s->h, s->mm[0], page_at(s->filep, i)), s->file_value[i]);
	for (uint64_t i = 0; s->shm.v && i < SHM; i++)
		CU_ASSERT_EQUAL(unit_get(s->h, s->mm[0], page_at(s->shm, i)), s->shm_value[i]);
	unit_check(s->h);
}

static void script_body(struct script *s)
{
	if (!script_setup(s))
		return;
	script_fork(s);
	script_areas(s);
	script_swap(s);
	script_migrate(s);
	script_advise(s);
}

/* Exit under failure too: tearing down must not need the host to give anything. */
static void script_exit(struct script *s)
{
	for (int who = WHO - 1; who >= 0; who--)
		if (s->mm[who])
			mm_put(s->mm[who]);
}

static struct fake_config script_config(void)
{
	struct fake_config config = unit_config();

	config.frames_per_node = 512;
	config.nr_tables = 64;
	config.swap_slots = 128;
	config.shadow_paging = true;
	return config;
}

/* Run with the @nth call failing. True if there was an @nth call. */
static bool run_failing(enum fake_op op, uint64_t nth, bool on)
{
	struct fake_config config = script_config();
	struct script s = { .h = unit_open_with(&config), .next_value = 1000 };
	bool fired;

	s.file = unit_file(s.h, FILEP * UMM_PAGE_SIZE);
	(on ? fake_fail_from : fake_fail_nth)(s.h, op, nth);
	script_body(&s);
	fired = s.h->failures;
	script_verify(&s);
	if (on)
		fake_fail_from(s.h, FAKE_ALLOC, 1);
	script_exit(&s);
	fake_fail_nth(s.h, FAKE_ANY, 0);
	mapping_put(s.file.mapping);
	for (uint64_t i = 0; s.filep.v && i < FILEP; i++)
		CU_ASSERT_EQUAL(fake_file_read(s.file.file, i, 0), s.file_value[i]);
	CU_ASSERT_TRUE(s.file.file->released);
	fake_file_destroy(s.file.file);
	unit_close(s.h);
	return fired;
}

static void run_all(enum fake_op op, bool on)
{
	unsigned int failures = CU_get_number_of_failures();
	uint64_t n = 1;

	while (n < 5000 && run_failing(op, n, on)) {
		if (CU_get_number_of_failures() != failures) {
			fprintf(stderr, "with call %lu of operation %d failing%s\n", n, op,
				on ? " and all after it" : "");
			break;
		}
		n++;
	}
	CU_ASSERT_TRUE(n > 1 && n < 5000);
}

static void test_any_once(void)
{
	run_all(FAKE_ANY, false);
}

static void test_any_on(void)
{
	run_all(FAKE_ANY, true);
}

static void test_alloc_on(void)
{
	run_all(FAKE_ALLOC, true);
}

static void test_swap_io_on(void)
{
	run_all(FAKE_SWAP_IO, true);
}

static void test_copy_on(void)
{
	run_all(FAKE_COPY, true);
}

static void test_file_write_on(void)
{
	run_all(FAKE_FILE_WRITE, true);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "the Nth call fails, for all N", test_any_once },
		{ "all calls fail from the Nth on, for all N", test_any_on },
		{ "no memory for objects from the Nth on", test_alloc_on },
		{ "swap fails from the Nth on", test_swap_io_on },
		{ "copies fail from the Nth on", test_copy_on },
		{ "file writes fail from the Nth on", test_file_write_on },
	};

	return unit_run("failure_injection", tests, ARRAY_LEN(tests), argc, argv);
}
