/* SPDX-License-Identifier: MIT */
/*
 * model [--seed N] [--steps N] [--seconds N]
 *
 * Runs of random operations against the oracle (model.h). Without --seed: seeds
 * 1 to 20, then on with others until the time is over (UMM_TEST_SECONDS, or 20).
 * A run that fails tells its seed and step and the last operations; the same
 * seed does the same again.
 */
#include "tests/model/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_STEPS 400
#define FIXED_SEEDS   20

uint64_t model_random(struct model *m, uint64_t below)
{
	uint64_t z = m->random += 0x9e3779b97f4a7c15ul;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
	return (z ^ (z >> 31)) % below;
}

void model_log(struct model *m, const char *format, ...)
{
	char *line = m->log[m->nr_log++ % MODEL_LOG];
	int n = snprintf(line, sizeof(m->log[0]), "%5lu  ", m->step);
	va_list ap;

	va_start(ap, format);
	vsnprintf(line + n, sizeof(m->log[0]) - (size_t)n, format, ap);
	va_end(ap);
}

void model_fail(struct model *m, const char *format, ...)
{
	uint64_t first = m->nr_log > MODEL_LOG ? m->nr_log - MODEL_LOG : 0;
	va_list ap;

	if (m->failed)
		return;
	m->failed = true;
	printf("model: seed %lu, step %lu: ", m->seed, m->step);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\nthe last operations:\n");
	for (uint64_t i = first; i < m->nr_log; i++)
		printf("%s\n", m->log[i % MODEL_LOG]);
}

/* ---- one run -------------------------------------------------------------------- */

/* Small memories of several shapes, by the seed. */
static struct fake_config random_config(struct model *m)
{
	static const unsigned int orders[] = { 0, 0, 2, 4 }, around[] = { 1, 16, 0 };
	static const uint64_t slots[] = { 0, 96, 400, 1024 };
	bool large = model_random(m, 3) == 0;
	unsigned int scale;

	/* One seed in four has cells of 64 pages. */
	cell_shift = m->seed % 4 == 3 ? UMM_PAGE_SHIFT + 6 : UMM_PAGE_SHIFT;
	scale = 1u << (cell_shift - UMM_PAGE_SHIFT);
	cell_seen = model_random(m, scale) << UMM_PAGE_SHIFT;
	return (struct fake_config){
		.nr_nodes = 1 + (unsigned int)model_random(m, 3),
		.frames_per_node = (large ? 2048 : 512) * (scale > 1 ? 16 : 1),
		.nr_tables = (model_random(m, 3) ? 128 : 48) + (scale > 1 ? 400 : 0),
		.swap_slots = slots[model_random(m, ARRAY_LEN(slots))] * scale,
		.shadow_paging = model_random(m, 2),
		.max_anon_order = scale > 1 ? UMM_PMD_ORDER
					    : orders[model_random(m, ARRAY_LEN(orders))],
		.fault_around = around[model_random(m, ARRAY_LEN(around))],
		.copy_around = model_random(m, 2) ? 8 : 1,
	};
}

/* A file whose pages start with the words that the oracle has for them. */
static bool open_file(struct model *m, int obj)
{
	struct object *o = &m->obj[obj];
	uint64_t size;

	*o = (struct object){ .used = true, .pages = 8 + model_random(m, MODEL_OBJ_MAX - 8) };
	o->f.file = fake_file_create(m->h, MODEL_OBJ_MAX << cell_shift);
	if (!o->f.file)
		return false;
	size = o->pages << cell_shift;
	memset(o->f.file->bytes + size, 0, o->f.file->size - size);
	o->f.file->size = size;
	for (uint64_t p = 0; p < o->pages; p++)
		for (int i = 0; i < 2; i++)
			o->w[p][i] = fake_file_read(o->f.file, cell_file_page(p), i ? 511 : 0);
	return !mapping_create(m->h->sys, &fake_file_ops, o->f.file, 0, &o->f.mapping);
}

/*
 * A process that locks most of the memory: the frames of a node cannot be fewer
 * than 512, and what the others use must not fit into what is left.
 */
static bool open_hog(struct model *m)
{
	uint64_t total = m->h->config.nr_nodes * m->h->config.frames_per_node;
	uint64_t left = (90 + model_random(m, 120)) << (cell_shift - UMM_PAGE_SHIFT);
	uint64_t pages = left < total ? total - left : total / 2;
	struct mm_map_request req = {
		.len = pages << UMM_PAGE_SHIFT,
		.prot = PROT_RW,
		.flags = MAP_ANON_PRIVATE | MAP_NORESERVE,
	};
	gva_t at;

	if (model_random(m, 3) == 0)
		return true;
	if (mm_create(m->h->sys, &m->hog))
		return false;
	m->hog->id = 99;
	model_log(m, "a hog locks %lu pages", pages);
	return !mm_mmap(m->hog, &req, &at) && !mm_mlock(m->hog, at, req.len, 0);
}

static bool model_open(struct model *m)
{
	struct fake_config config = random_config(m);

	m->next_value = 0x1000000;
	m->next_gen = 1;
	m->now = 1ul << 62; /* later than it is, so that a tick is never short of time */
	for (int i = 0; i < MODEL_PINS; i++)
		m->pins[i].who = -1;
	m->h = fake_boot(&config);
	if (!m->h || !model_create(m, 0))
		return false;
	model_log(m,
		  "%u nodes of %lu frames, %lu slots, %lu tables, order %u, around %u, copy %u%s",
		  config.nr_nodes, config.frames_per_node, config.swap_slots, config.nr_tables,
		  config.max_anon_order, config.fault_around, config.copy_around,
		  config.shadow_paging ? ", shadow paging" : "");
	return open_hog(m) && open_file(m, 0) && open_file(m, 1);
}

static void random_operation(struct model *m)
{
	static void (*const ops[])(struct model *) = {
		op_map,    op_map,        op_map,      op_unmap,   op_protect,       op_protect,
		op_remap,  op_remap,      op_brk,      op_store,   op_store,         op_store,
		op_store,  op_store,      op_store,    op_load,    op_load,          op_load,
		op_fork,   op_fork,       op_exit,     op_pin,     op_unpin,         op_advise,
		op_advise, op_lock,       op_reclaim,  op_reclaim, op_migrate,       op_migrate,
		op_sync,   op_write_file, op_truncate, op_place,   op_place,         op_place,
		op_merge,  op_merge,      op_merge,    op_merge,   op_reclaim_policy
	};

	ops[model_random(m, ARRAY_LEN(ops))](m);
}

static void check_laws(struct model *m)
{
	struct mm_validate_report report;
	int err = mm_validate(m->h->sys, &report);

	if (err)
		model_fail(m, "mm_validate: %d: %s", err, report.first);
	if (fake_check(m->h))
		model_fail(m, "fake host: %s", m->h->first_violation);
}

static void model_close(struct model *m)
{
	for (int i = 0; i < MODEL_PINS; i++)
		if (m->pins[i].who >= 0) {
			mm_unpin(m->pins[i].mm, &m->pins[i].vec, 1, true);
			mm_put(m->pins[i].mm);
		}
	for (int i = 0; i < MODEL_MMS; i++)
		if (m->p[i].mm)
			model_exit(m, i);
	if (m->hog)
		mm_put(m->hog);
	for (int i = 0; i < MODEL_FILES; i++)
		mapping_put(m->obj[i].f.mapping);
	if (fake_shutdown(m->h))
		model_fail(m, "not everything was given back");
	for (int i = 0; i < MODEL_FILES; i++)
		fake_file_destroy(m->obj[i].f.file);
}

/* What was done at all, over all seeds: a run that swaps nothing proves little. */
static void show_events(const struct model *m)
{
	static const enum mm_event events[] = { EV_FAULT,
						EV_FAULT_COW,
						EV_PGSWAPOUT,
						EV_PGSWAPIN,
						EV_MIGRATE_OK,
						EV_PGFILE_READ,
						EV_PGFILE_WRITE,
						EV_DIRECT_RECLAIM,
						EV_NUMA_HINT_FAULTS,
						EV_NUMA_PAGES_MIGRATED,
						EV_PGPROMOTE_SUCCESS,
						EV_PGDEMOTE_KSWAPD,
						EV_THP_FAULT_ALLOC,
						EV_THP_SPLIT_PMD,
						EV_KSM_MERGE,
						EV_KSM_COW,
						EV_KSM_SWPIN_COPY };

	printf("seed %lu:", m->seed);
	for (unsigned int i = 0; i < ARRAY_LEN(events); i++)
		printf(" %s %lu", mm_event_name(events[i]), mm_sys_event(m->h->sys, events[i]));
	printf(" oom %lu\n", m->ooms);
}

/* True if all went well. After a failure the system is left as it is. */
static bool run_seed(uint64_t seed, uint64_t steps)
{
	struct model *m = calloc(1, sizeof(*m));
	bool ok;

	if (!m)
		return false;
	m->seed = m->random = seed;
	if (!model_open(m))
		model_fail(m, "cannot be set up");
	for (m->step = 1; m->step <= steps && !m->failed; m->step++) {
		random_operation(m);
		if (!m->failed && m->step % 40 == 0)
			model_check_all(m);
		if (!m->failed)
			check_laws(m);
	}
	if (!m->failed)
		model_check_all(m);
	if (!m->failed) {
		show_events(m);
		model_close(m);
	}
	ok = !m->failed;
	if (ok)
		free(m);
	return ok;
}

/* ---- options ----------------------------------------------------------------------- */

struct options {
	uint64_t seed, steps, seconds;
	bool one_seed;
};

static bool parse_options(int argc, char **argv, struct options *o)
{
	const char *seconds = getenv("UMM_TEST_SECONDS");

	*o = (struct options){ .steps = DEFAULT_STEPS,
			       .seconds = seconds ? strtoul(seconds, NULL, 0) : 20 };
	for (int i = 1; i < argc; i += 2) {
		uint64_t value = i + 1 < argc ? strtoul(argv[i + 1], NULL, 0) : 0;

		if (i + 1 == argc)
			return false;
		if (!strcmp(argv[i], "--seed")) {
			o->seed = value;
			o->one_seed = true;
		} else if (!strcmp(argv[i], "--steps")) {
			o->steps = value;
		} else if (!strcmp(argv[i], "--seconds")) {
			o->seconds = value;
		} else {
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	uint64_t passed = 0, seed;
	time_t end = time(NULL);
	struct options o;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!parse_options(argc, argv, &o)) {
		fprintf(stderr, "usage: model [--seed N] [--steps N] [--seconds N]\n");
		return 2;
	}
	if (o.one_seed)
		return run_seed(o.seed, o.steps) ? 0 : 1;
	end += (time_t)o.seconds;
	for (seed = 1; seed <= FIXED_SEEDS || time(NULL) < end; seed++) {
		/* After the fixed ones: new ones each time, so that soaking goes on. */
		uint64_t s = seed <= FIXED_SEEDS ? seed : (uint64_t)time(NULL) * 1000 + seed;

		if (!run_seed(s, o.steps)) {
			printf("to see it again: model --seed %lu --steps %lu\n", s, o.steps);
			printf("# subtests: %lu passed, 1 failed, 0 skipped\n", passed);
			return 1;
		}
		passed++;
	}
	printf("# subtests: %lu passed, 0 failed, 0 skipped\n", passed);
	return 0;
}
