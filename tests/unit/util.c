/* SPDX-License-Identifier: MIT */
/* Helpers of the unit tests; see util.h. */
#include "tests/unit/util.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- suites ------------------------------------------------------------------ */

int unit_run(const char *suite, const struct unit_test *tests, unsigned int nr, int argc,
	     char **argv)
{
	CU_pSuite s;
	unsigned int failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	s = CU_add_suite(suite, NULL, NULL);
	for (unsigned int i = 0; s && i < nr; i++)
		if (argc < 2 || strstr(tests[i].name, argv[1]))
			CU_add_test(s, tests[i].name, tests[i].run);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	setvbuf(stdout, NULL, _IOLBF, 0);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures() + !CU_get_number_of_tests_run();
	CU_cleanup_registry();
	return failures ? 1 : 0;
}

/* ---- the system under test ---------------------------------------------------- */

struct fake_config unit_config(void)
{
	return (struct fake_config){
		.nr_nodes = 2,
		.frames_per_node = 4096,
		.nr_tables = 512,
		.swap_slots = 4096,
		.fault_around = 1,
	};
}

struct fake_config unit_config_large(void)
{
	struct fake_config config = unit_config();

	config.max_anon_order = 4;
	config.fault_around = 16;
	return config;
}

struct fake_host *unit_open_with(const struct fake_config *config)
{
	struct fake_host *h = fake_boot(config);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	return h;
}

struct fake_host *unit_open(void)
{
	struct fake_config config = unit_config();

	return unit_open_with(&config);
}

void unit_check(struct fake_host *h)
{
	struct mm_validate_report report;
	int err = mm_validate(h->sys, &report);

	CU_ASSERT_EQUAL(err, 0);
	if (err)
		fprintf(stderr, "mm_validate: %s (%lu errors)\n", report.first, report.errors);
	CU_ASSERT_EQUAL(fake_check(h), 0);
}

void unit_close(struct fake_host *h)
{
	/* What was promised went with whom it was promised to. */
	CU_ASSERT_EQUAL(h->sys->committed, 0);
	CU_ASSERT_EQUAL(fake_shutdown(h), 0);
}

void unit_end(struct fake_host *h, struct mm *mm)
{
	unit_check(h);
	mm_put(mm);
	unit_close(h);
}

struct mm *unit_mm(struct fake_host *h)
{
	static int32_t next_id = 1;
	struct mm *mm = NULL;

	CU_ASSERT_EQUAL_FATAL(mm_create(h->sys, &mm), 0);
	mm->id = next_id++;
	return mm;
}

struct mm *unit_fork(struct mm *parent)
{
	struct mm *mm = NULL;

	CU_ASSERT_EQUAL_FATAL(mm_fork(parent, &mm), 0);
	mm->id = parent->id + 1000;
	return mm;
}

/* ---- mappings ------------------------------------------------------------------- */

static gva_t map_request(struct mm *mm, const struct mm_map_request *req)
{
	gva_t addr = { 0 };

	CU_ASSERT_EQUAL_FATAL(mm_mmap(mm, req, &addr), 0);
	return addr;
}

gva_t unit_map(struct mm *mm, uint64_t pages, int prot, int flags)
{
	struct mm_map_request req = {
		.len = pages << UMM_PAGE_SHIFT,
		.prot = prot,
		.flags = flags,
	};

	return map_request(mm, &req);
}

gva_t unit_map_filled(struct fake_host *h, struct mm *mm, uint64_t pages, uint64_t key)
{
	gva_t addr = unit_map(mm, pages, PROT_RW, MAP_ANON_PRIVATE);

	unit_fill(h, mm, addr, pages, key);
	return addr;
}

gva_t unit_map_at(struct mm *mm, uint64_t addr, uint64_t pages, int prot, int flags)
{
	struct mm_map_request req = {
		.addr = gva_make(addr),
		.len = pages << UMM_PAGE_SHIFT,
		.prot = prot,
		.flags = flags | MAP_FIXED,
	};

	return map_request(mm, &req);
}

gva_t unit_map_file(struct mm *mm, struct address_space *m, uint64_t first_page, uint64_t pages,
		    int prot, int flags)
{
	struct mm_map_request req = {
		.len = pages << UMM_PAGE_SHIFT,
		.prot = prot,
		.flags = flags,
		.mapping = m,
		.offset = first_page << UMM_PAGE_SHIFT,
	};

	return map_request(mm, &req);
}

void unit_unmap(struct mm *mm, gva_t addr, uint64_t pages)
{
	CU_ASSERT_EQUAL(mm_munmap(mm, addr, pages << UMM_PAGE_SHIFT), 0);
}

void unit_protect(struct mm *mm, gva_t addr, uint64_t pages, int prot)
{
	CU_ASSERT_EQUAL(mm_mprotect(mm, addr, pages << UMM_PAGE_SHIFT, prot), 0);
}

gva_t unit_remap(struct mm *mm, gva_t old, uint64_t old_pages, uint64_t new_pages, int flags,
		 gva_t new_addr)
{
	gva_t out = { 0 };

	CU_ASSERT_EQUAL_FATAL(mm_mremap(mm, old, old_pages << UMM_PAGE_SHIFT,
					new_pages << UMM_PAGE_SHIFT, flags, new_addr, &out),
			      0);
	return out;
}

void unit_advise(struct mm *mm, gva_t addr, uint64_t pages, int advice)
{
	CU_ASSERT_EQUAL(mm_madvise(mm, addr, pages << UMM_PAGE_SHIFT, advice), 0);
}

struct vma *unit_vma(struct mm *mm, gva_t addr)
{
	struct vma *vma;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find_exact(mm, addr);
	umm_read_unlock(&mm->mmap_lock);
	return vma;
}

struct unit_file unit_file(struct fake_host *h, uint64_t size)
{
	struct unit_file f = { .file = fake_file_create(h, size) };

	CU_ASSERT_PTR_NOT_NULL_FATAL(f.file);
	CU_ASSERT_EQUAL_FATAL(mapping_create(h->sys, &fake_file_ops, f.file, 0, &f.mapping), 0);
	return f;
}

void unit_file_close(struct unit_file *f)
{
	mapping_put(f->mapping);
	CU_ASSERT_TRUE(f->file->released);
	fake_file_destroy(f->file);
}

/* ---- memory -------------------------------------------------------------------------- */

void unit_put(struct fake_host *h, struct mm *mm, gva_t addr, uint64_t value)
{
	CU_ASSERT_EQUAL(fake_store(h, mm, 0, addr, value), FAULT_DONE);
}

uint64_t unit_get(struct fake_host *h, struct mm *mm, gva_t addr)
{
	uint64_t value = ~0ul;

	CU_ASSERT_EQUAL(fake_load(h, mm, 0, addr, &value), FAULT_DONE);
	return value;
}

static uint64_t fill_value(uint64_t key, uint64_t page)
{
	return key * 0x9e3779b97f4a7c15ul + page + 1;
}

/* The word of a page that is used moves, so that a page in the wrong place shows. */
static gva_t fill_place(gva_t addr, uint64_t page)
{
	return gva_add(page_at(addr, page), page % 512 * 8);
}

void unit_fill(struct fake_host *h, struct mm *mm, gva_t addr, uint64_t pages, uint64_t key)
{
	for (uint64_t i = 0; i < pages; i++)
		unit_put(h, mm, fill_place(addr, i), fill_value(key, i));
}

uint64_t unit_verify(struct fake_host *h, struct mm *mm, gva_t addr, uint64_t pages, uint64_t key)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < pages; i++) {
		uint64_t value = 0;

		if (fake_load(h, mm, 0, fill_place(addr, i), &value) != FAULT_DONE ||
		    value != fill_value(key, i))
			wrong++;
	}
	return wrong;
}

uint64_t unit_pte(struct fake_host *h, struct mm *mm, gva_t addr)
{
	bool huge;
	uint64_t e = fake_entry(h, mm->root, addr, &huge);

	return huge ? 0 : e;
}

bool unit_mapped(struct fake_host *h, struct mm *mm, gva_t addr)
{
	uint64_t e = unit_pte(h, mm, addr);

	return pte_present(e);
}

struct folio *unit_frame(struct fake_host *h, struct mm *mm, gva_t addr)
{
	return unit_mapped(h, mm, addr) ? sys_frame(h->sys, pte_pfn(unit_pte(h, mm, addr))) : NULL;
}

struct folio *unit_folio(struct fake_host *h, struct mm *mm, gva_t addr)
{
	struct folio *frame = unit_frame(h, mm, addr);

	CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
	return folio_head(frame);
}

int unit_node(struct fake_host *h, struct mm *mm, gva_t addr)
{
	struct folio *frame = unit_frame(h, mm, addr);

	return frame ? frame->node : -1;
}

bool unit_swapped(struct fake_host *h, struct mm *mm, gva_t addr)
{
	uint64_t e = unit_pte(h, mm, addr);

	return pte_is_swap(e) && swp_is_area(pte_to_swp(e));
}

bool unit_migrating(struct fake_host *h, struct mm *mm, gva_t addr)
{
	uint64_t e = unit_pte(h, mm, addr);

	return pte_is_swap(e) && swp_is_migration(pte_to_swp(e));
}

gva_t unit_map_large(struct fake_host *h, struct mm *mm, uint64_t pages, unsigned int order,
		     uint64_t key)
{
	/* The shape of the tests: 2 MiB aligned, with room on both sides. */
	static const uint64_t first = 0x10000000, step = 0x10000000;
	uint64_t addr = first;
	gva_t base;

	while (unit_vma(mm, gva_make(addr)))
		addr += step;
	base = unit_map_at(mm, addr, pages, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(h, mm, base, pages, key);
	for (uint64_t i = 0; i < pages; i += 1ul << order)
		CU_ASSERT_EQUAL(unit_folio(h, mm, page_at(base, i))->order, order);
	return base;
}

/* ---- reclaim and migration -------------------------------------------------------------- */

struct reclaim_result unit_reclaim(struct fake_host *h, struct mm *mm, gva_t start, uint64_t pages)
{
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX,
		.mm = mm,
		.start = start,
		.end = pages ? page_at(start, pages) : gva_make(0),
		.node = -1,
		.ignore_references = true,
	};
	struct reclaim_result out = { 0 };

	CU_ASSERT_EQUAL(mm_reclaim(h->sys, &req, &out), 0);
	return out;
}

struct migrate_result unit_migrate(struct fake_host *h, struct mm *mm, int to)
{
	struct migrate_request req = { .to = to, .mm = mm, .move_shared = true };
	struct migrate_result out = { 0 };

	CU_ASSERT_EQUAL(mm_migrate(h->sys, &req, &out), 0);
	return out;
}

uint64_t unit_random(uint64_t *state, uint64_t below)
{
	*state = *state * 6364136223846793005ul + 1442695040888963407ul;
	return (*state >> 33) % below;
}

/* ---- threads ------------------------------------------------------------------------------- */

void unit_in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fn, arg), 0);
	pthread_join(thread, NULL);
}

void unit_sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

void unit_await_sleep(pid_t tid)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	for (int i = 0; i < 600000; i++) {
		FILE *file = fopen(path, "r");
		const char *end = file && fgets(text, sizeof(text), file) ? strrchr(text, ')')
									  : NULL;

		if (file)
			fclose(file);
		if (end && end[1] == ' ' && end[2] == 'S')
			return;
		usleep(100);
	}
	CU_FAIL("the thread does not come to sleep");
}
