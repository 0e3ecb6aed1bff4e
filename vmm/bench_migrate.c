/* SPDX-License-Identifier: MIT */
/*
 * umm bench migrate: how fast a guest's memory moves between two nodes, what the
 * time goes into, and what the guest feels of it. Every move is held against
 * bare copies of the same frames, made right behind it in the same guest.
 *
 * On a machine of one NUMA node these are two pools on one node: the figures say
 * what the software costs, nothing about the way between nodes.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vmm/bench_exit.h"
#include "vmm/bench_kernel.h"
#include "vmm/bench_stall.h"
#include "vmm/bench_sweep.h"
#include "vmm/cmd.h"

#define MAX_SHARERS 1024
/* What the sweep over batches moves, here and by the kernel's calls: 64 MiB. */
#define BATCH_PAGES (1 << 14)
#define BATCH_SIZE  "64M"
/* Of the host's free memory, for itself: umm's own, and what others want meanwhile. */
#define ROOM_KEPT (3ul << 30)

struct bench {
	struct bench_report report;
	struct bench_paths paths;
	struct sweep_set sweeps;
	uint64_t repeat;
	const char *only, *plot, *against;
	bool json, quick;
};

/* Parts by name. What is no default takes its time and is asked for. */
static const struct part {
	const char *name;
	bool asked;
} all_parts[] = {
	{ "pages", false }, { "batch", false }, { "threads", false }, { "order", false },
	{ "forks", false }, { "maps", false },  { "dirty", false },   { "gups", false },
	{ "stall", false }, { "size", true },   { "pace", true },     { "movers", true },
};

/* Is @name, of @len characters, one of the words of @list, which commas part? */
static bool list_has(const char *list, const char *name, size_t len)
{
	while (list) {
		if (strcspn(list, ",") == len && !strncmp(list, name, len))
			return true;
		list = strchr(list, ',');
		list = list ? list + 1 : NULL;
	}
	return false;
}

static bool wanted(const struct bench *b, const char *what)
{
	for (unsigned int i = 0; i < sizeof(all_parts) / sizeof(all_parts[0]) && !b->only; i++)
		if (!strcmp(all_parts[i].name, what))
			return !all_parts[i].asked;
	return list_has(b->only, what, strlen(what));
}

/* ---- shapes ------------------------------------------------------------- */

struct shape {
	const char *mem, *thp, *size;
	uint64_t forks, maps, dirty;
};

static int shape_start(struct bench *b, const struct shape *s, struct bench_moved *g,
		       struct errmsg *e)
{
	char forks[24], maps[24], dirty[24];
	char *options[] = { "--nodes", "2",
			    "--mem",   (char *)(uintptr_t)s->mem,
			    "--thp",   (char *)(uintptr_t)s->thp,
			    NULL };
	char *argv[] = { "hold",    "--size",  (char *)(uintptr_t)s->size,
			 "--forks", forks,     "--maps",
			 maps,      "--dirty", dirty,
			 NULL };

	snprintf(forks, sizeof(forks), "%" PRIu64, s->forks);
	snprintf(maps, sizeof(maps), "%" PRIu64, s->maps);
	snprintf(dirty, sizeof(dirty), "%" PRIu64, s->dirty);
	return bench_moved_start(g, &b->paths, options, argv, e);
}

static int measure(struct bench *b, struct bench_moved *g, const char *sweep, uint64_t x,
		   const struct sweep_way *way, struct errmsg *e)
{
	fprintf(stderr, "umm bench: migrate, %s %" PRIu64 "\n", sweep, x);
	return sweep_measure(sweep_add(&b->sweeps, sweep, x), g, way, true, b->report.repeat, e);
}

/* One guest for one point. */
static int measure_shape(struct bench *b, const struct shape *s, const char *sweep, uint64_t x,
			 const struct sweep_way *way, struct errmsg *e)
{
	struct bench_moved g;
	int rc = shape_start(b, s, &g, e);

	if (rc)
		return rc;
	rc = measure(b, &g, sweep, x, way, e);
	bench_moved_stop(&g);
	return rc;
}

/* ---- sweeps ------------------------------------------------------------- */

static uint64_t most_pages(const struct bench *b)
{
	return b->quick ? 1ul << 16 : 1ul << 18;
}

static int sweep_pages(struct bench *b, struct bench_moved *g, struct errmsg *e)
{
	int rc = 0;

	for (uint64_t n = 1; n <= most_pages(b) && !rc; n *= b->quick ? 16 : 4) {
		const struct sweep_way way = { .pages = n, .threads = 1 };

		rc = measure(b, g, "pages", n, &way, e);
	}
	/* What the cost is compared with at the end. */
	if (!rc && !sweep_find(&b->sweeps, "pages", 1 << 14))
		rc = measure(b, g, "pages", 1 << 14,
			     &(struct sweep_way){ .pages = 1 << 14, .threads = 1 }, e);
	return rc;
}

static int sweep_batch(struct bench *b, struct bench_moved *g, struct errmsg *e)
{
	int rc = 0;

	for (unsigned int n = 1; n <= 512 && !rc; n *= b->quick ? 8 : 2) {
		const struct sweep_way way = { .pages = BATCH_PAGES, .threads = 1, .batch = n };

		rc = measure(b, g, "batch", n, &way, e);
	}
	return rc;
}

/* Both kinds in turns, as the machine's other work falls on both then. */
static int sweep_threads(struct bench *b, struct bench_moved *g, struct errmsg *e)
{
	struct sweep_point *points[2];
	int rc = 0;

	fprintf(stderr, "umm bench: migrate, threads\n");
	for (unsigned int i = 0; i < 2; i++)
		points[i] = sweep_add(&b->sweeps, "threads", i + 1);
	for (unsigned int i = 0; i < 2 * b->report.repeat && !rc; i++) {
		const struct sweep_way way = { .pages = 1 << 16, .threads = i % 2 + 1 };

		rc = sweep_measure(points[i % 2], g, &way, !i, 1, e);
	}
	return rc;
}

/* Three that share a guest of folios of one frame. */
static int small_folios(struct bench *b, struct errmsg *e)
{
	struct shape shape = { .mem = "512M", .thp = "never", .size = BATCH_SIZE };
	struct bench_moved g;
	int rc;

	if (!wanted(b, "pages") && !wanted(b, "batch") && !wanted(b, "threads"))
		return 0;
	if (wanted(b, "pages") || wanted(b, "threads")) {
		shape.mem = b->quick ? "1G" : "3G";
		shape.size = b->quick ? "256M" : "1G";
	}
	rc = shape_start(b, &shape, &g, e);
	if (rc)
		return rc;
	if (wanted(b, "pages"))
		rc = sweep_pages(b, &g, e);
	if (!rc && wanted(b, "batch"))
		rc = sweep_batch(b, &g, e);
	if (!rc && wanted(b, "threads"))
		rc = sweep_threads(b, &g, e);
	bench_moved_stop(&g);
	return rc;
}

static int sweep_order(struct bench *b, struct errmsg *e)
{
	static const struct {
		uint64_t order;
		const char *thp;
	} sizes[] = { { 0, "never" },
		      { 2, "16K-2M:never,16K:always" },
		      { 4, "16K-2M:never,64K:always" },
		      { 6, "16K-2M:never,256K:always" },
		      { 9, "16K-2M:never,2M:always" } };
	const struct sweep_way way = { .pages = 1 << 14, .threads = 1 };
	int rc = 0;

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && !rc; i++) {
		const struct shape shape = { .mem = "512M", .thp = sizes[i].thp, .size = "64M" };

		rc = measure_shape(b, &shape, "order", sizes[i].order, &way, e);
	}
	return rc;
}

static int sweep_sharers(struct bench *b, bool file, struct errmsg *e)
{
	const struct sweep_way way = { .pages = 256, .threads = 1, .walk = true };
	int rc = 0;

	for (uint64_t n = 1; n <= MAX_SHARERS && !rc; n *= b->quick ? 32 : 4) {
		/* A thousand processes need page tables; these grow with the memory. */
		const struct shape shape = { .mem = "4G",
					     .thp = "never",
					     .size = "1M",
					     .forks = file ? 0 : n - 1,
					     .maps = file ? n : 0 };

		rc = measure_shape(b, &shape, file ? "maps" : "forks", n, &way, e);
	}
	return rc;
}

#define SMALLEST_MIB 64u
#define LARGEST_MIB  8192u

/* What the host can give to a guest of two nodes, each as large as what is moved. */
static uint64_t room_for_size(void)
{
	uint64_t pages = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	return pages > ROOM_KEPT ? (pages - ROOM_KEPT) / 2 : 0;
}

/* All of the guest is moved, and the guest grows. */
static int sweep_size(struct bench *b, struct errmsg *e)
{
	const struct sweep_way way = { .threads = 1 };
	uint64_t mib, room = room_for_size() >> 20;
	int rc = 0;

	for (mib = SMALLEST_MIB; mib <= LARGEST_MIB && mib <= room && !rc;
	     mib *= b->quick ? 4 : 2) {
		char size[24], mem[24];
		const struct shape shape = { .mem = mem, .thp = "never", .size = size };

		snprintf(size, sizeof(size), "%" PRIu64 "M", mib);
		snprintf(mem, sizeof(mem), "%" PRIu64 "M", 2 * mib + mib / 4 + 64);
		rc = measure_shape(b, &shape, "size", mib, &way, e);
	}
	if (mib <= LARGEST_MIB)
		fprintf(stderr, "umm bench: size: the host has room for %" PRIu64 "M\n", room);
	return rc;
}

static int sweep_dirty(struct bench *b, struct errmsg *e)
{
	static const char *const modes[] = { "stop", "optimistic" };
	int rc = 0;

	for (unsigned int m = 0; m < 2 && !rc; m++) {
		const struct sweep_way way = { .pages = 1 << 14, .threads = 1, .mode = modes[m] };

		for (uint64_t rate = 0; rate <= 1000000 && !rc; rate = rate ? rate * 10 : 1000) {
			const struct shape shape = {
				.mem = "512M", .thp = "never", .size = "64M", .dirty = rate
			};

			if (b->quick && rate != 0 && rate != 100000)
				continue;
			rc = measure_shape(b, &shape, m ? "dirty-optimistic" : "dirty-stop", rate,
					   &way, e);
		}
	}
	return rc;
}

/* ---- targets ------------------------------------------------------------ */

static struct bench_row *row_of(struct bench *b, const char *name, const char *unit,
				const char *other, const struct samples *umm,
				const struct samples *samples, enum bench_target target,
				double limit)
{
	struct bench_row *row = report_add(&b->report, name, unit, other);

	row->umm_samples = *umm;
	if (samples)
		row->other_samples = *samples;
	row->target = target;
	row->limit = limit;
	return row;
}

static struct samples scaled(const struct samples *s, double by)
{
	struct samples out = *s;

	for (unsigned int i = 0; i < out.nr; i++)
		out.v[i] *= by;
	return out;
}

static void size_row(struct bench *b)
{
	const struct sweep_point *small = sweep_find(&b->sweeps, "size", SMALLEST_MIB);
	const struct sweep_point *large = NULL;

	for (uint64_t mib = LARGEST_MIB; mib > SMALLEST_MIB && !large; mib /= 2)
		large = sweep_find(&b->sweeps, "size", mib);
	if (small && large)
		row_of(b, "a page of the largest guest", "us/page", "64 MiB", &large->umm,
		       &small->umm, TARGET_RATIO_MAX, 1.1);
}

/* From what the sweeps found; the targets are those of docs/baselines.md. */
static void target_rows(struct bench *b)
{
	const struct sweep_point *p = sweep_find(&b->sweeps, "threads", 1), *q;
	struct samples s;

	if (p) {
		row_of(b, "4 KiB folios, one thread", "us/page", "bare copy", &p->umm, &p->bare,
		       TARGET_RATIO_MAX, 1.3);
		row_of(b, "4 KiB folios, one thread (4 GB/s)", "us/page", "", &p->umm, NULL,
		       TARGET_VALUE_MAX, UMM_PAGE_SIZE / 4e3);
	}
	q = sweep_find(&b->sweeps, "threads", 2);
	if (p && q)
		row_of(b, "4 KiB folios, two threads", "us/page", "one thread", &q->umm, &p->umm,
		       TARGET_NONE, 0);
	p = sweep_find(&b->sweeps, "order", 4);
	if (p)
		row_of(b, "64 KiB folios, one thread", "us/page", "bare copy", &p->umm, &p->bare,
		       TARGET_RATIO_MAX, 1.3);
	p = sweep_find(&b->sweeps, "order", 9);
	if (p) {
		struct samples bare = scaled(&p->bare, 512);

		s = scaled(&p->umm, 512);
		row_of(b, "2 MiB folio", "us", "bare copy", &s, &bare, TARGET_VALUE_MAX, 200);
	}
	p = sweep_find(&b->sweeps, "batch", 512);
	q = sweep_find(&b->sweeps, "move_pages", 512);
	if (p && q)
		row_of(b, "4 KiB folios, batches of 512", "us/page", "move_pages", &p->umm, &q->umm,
		       TARGET_RATIO_MAX, 1.0 / 3);
	q = sweep_find(&b->sweeps, "migrate_pages", 0);
	if (p && q)
		row_of(b, "4 KiB folios, 64 MiB", "us/page", "migrate_pages", &p->umm, &q->umm,
		       TARGET_RATIO_MAX, 1.0 / 3);
	p = sweep_find(&b->sweeps, "pages", most_pages(b));
	q = sweep_find(&b->sweeps, "pages", 1 << 14);
	if (p && q)
		row_of(b, "cost of a page, largest guest", "us/page", "64 MiB", &p->umm, &q->umm,
		       TARGET_RATIO_MAX, 1.1);
	size_row(b);
	p = sweep_find(&b->sweeps, "pages", 1);
	if (p)
		row_of(b, "the first page", "us", "", &p->whole_us, NULL, TARGET_NONE, 0);
	p = sweep_find(&b->sweeps, "forks", MAX_SHARERS);
	if (p)
		row_of(b, "rmap walk, 1024 sharers", "ns/mapping", "", &p->walk_ns, NULL,
		       TARGET_VALUE_MAX, 100);
	p = sweep_find(&b->sweeps, "maps", MAX_SHARERS);
	if (p)
		row_of(b, "rmap walk, file mapped 1024 times", "ns/mapping", "", &p->walk_ns, NULL,
		       TARGET_VALUE_MAX, 100);
}

/* ---- all ---------------------------------------------------------------- */

/* @part: what is asked for; NULL: gups and stall, which are asked for by themselves. */
static void run_guests(struct bench *b, enum bench_stall_ways ways, const char *part)
{
	const struct bench_stall s = {
		.report = &b->report,
		.paths = &b->paths,
		.quick = b->quick,
		.gups = wanted(b, part ? part : "gups"),
		.stall = wanted(b, part ? part : "stall"),
		.ways = ways,
	};
	struct errmsg e;

	if (!s.gups && !s.stall)
		return;
	fprintf(stderr, "umm bench: migrate, running guests\n");
	if (bench_stall(&s, &e))
		report_add_failed(&b->report, "running guests", &e);
}

static void run_all(struct bench *b)
{
	struct errmsg e;

	if (small_folios(b, &e))
		report_add_failed(&b->report, "4 KiB folios", &e);
	if (wanted(b, "order") && sweep_order(b, &e))
		report_add_failed(&b->report, "folio orders", &e);
	if (wanted(b, "forks") && sweep_sharers(b, false, &e))
		report_add_failed(&b->report, "forks", &e);
	if (wanted(b, "maps") && sweep_sharers(b, true, &e))
		report_add_failed(&b->report, "maps", &e);
	if (wanted(b, "size") && sweep_size(b, &e))
		report_add_failed(&b->report, "sizes", &e);
	if (wanted(b, "dirty") && sweep_dirty(b, &e))
		report_add_failed(&b->report, "dirty rates", &e);
	if (b->against && bench_kernel(&b->sweeps, &b->report, BATCH_PAGES, b->quick, &e))
		report_add_failed(&b->report, "the kernel's calls", &e);
	target_rows(b);
	run_guests(b, STALL_USUAL, NULL);
	run_guests(b, STALL_PACES, "pace");
	run_guests(b, STALL_MOVERS, "movers");
}

static int probe(struct bench *b, struct errmsg *e)
{
	const struct host_config cfg = { .nr_nodes = 2, .mem_bytes = 64ul << 20 };
	struct host *host;
	int rc = bench_paths_find(&b->paths, e);

	if (!rc)
		rc = host_create(&cfg, &host, e);
	if (rc)
		return rc;
	report_set_host(&b->report, host);
	host_destroy(host);
	return 0;
}

static int print_all(struct bench *b)
{
	json_t *o;
	int status;

	if (!b->json) {
		if (json_integer_value(json_object_get(b->report.host_json, "nodes")) < 2)
			puts("one NUMA node: these are two pools on one node\n");
		status = sweep_print(&b->sweeps);
		putchar('\n');
		return report_print(&b->report) || status ? CMD_FAILED : CMD_OK;
	}
	o = report_json(&b->report);
	if (o)
		json_object_set_new(o, "sweeps", sweep_json(&b->sweeps));
	status = o ? cmd_print_json(o) : CMD_FAILED;
	json_decref(o);
	return status;
}

static int run_bench(struct bench *b)
{
	struct errmsg e;
	int status;

	if (probe(b, &e))
		return cmd_failed("bench migrate", b->json, &e);
	b->report.repeat = (unsigned int)b->repeat;
	run_all(b);
	status = print_all(b);
	if (b->plot && sweep_plot(&b->sweeps, b->plot, &e))
		status = cmd_failed("bench migrate", false, &e);
	return report_end(&b->report, status);
}

/* The first word of @list that is no part; NULL if all are. */
static const char *unknown_part(const char *list)
{
	for (const char *word = list; word;
	     word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
		bool known = false;

		for (unsigned int i = 0; i < sizeof(all_parts) / sizeof(all_parts[0]); i++)
			known |= list_has(all_parts[i].name, word, strcspn(word, ","));
		if (!known)
			return word;
	}
	return NULL;
}

int bench_migrate(char **argv)
{
	static struct bench b;
	const struct arg_option options[] = {
		BENCH_OPTION_REPEAT(
			&b.repeat,
			"measured moves of each point, 1 to 100 (default: 10, quick: 3)"),
		{ .name = "only",
		  .kind = ARG_TEXT,
		  .to = &b.only,
		  .value = "WHAT",
		  .help = "these parts, separated by commas: pages, batch, threads, order,\n"
			  "forks (sharers by fork), maps (of a file), dirty, gups, stall; and\n"
			  "what runs only when asked for: size (the guest's, up to what the\n"
			  "host has room for), pace (shares of a running guest's time),\n"
			  "movers (one thread or two beside a running guest)" },
		CMD_OPTION_FLAG("quick", &b.quick, "fewer points and runs: about two minutes"),
		{ .name = "against",
		  .kind = ARG_TEXT,
		  .to = &b.against,
		  .value = "kernel",
		  .help = "also move_pages and migrate_pages on as much memory of a process" },
		{ .name = "plot",
		  .kind = ARG_TEXT,
		  .to = &b.plot,
		  .value = "DIR",
		  .help = "draw the sweeps there with gnuplot, as PNG" },
		CMD_OPTION_JSON(&b.json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "bench migrate",
		.synopsis = "[--repeat N] [--only WHAT] [--against kernel] [--quick]\n"
			    "                   [--plot DIR] [--json]",
		.summary =
			"Measure how guest memory moves between two nodes: over the number of pages,\n"
			"the batch, copying threads, folio orders, sharers and rates of stores, each\n"
			"beside the bare copy of the same frames; and what a running guest feels.\n"
			"Exit status 1 if something did not run; missing a target is no failure.\n",
		.options = options,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);

	if (r == ARGS_OK && !b.repeat)
		b.repeat = b.quick ? 3 : 10;
	if (r == ARGS_OK)
		r = bench_check_repeat(&cmd, b.repeat, 1);
	if (r == ARGS_OK && b.only && unknown_part(b.only))
		r = args_usage_error(&cmd, "--only: there is no '%s'", unknown_part(b.only));
	if (r == ARGS_OK && b.against && strcmp(b.against, "kernel"))
		r = args_usage_error(&cmd, "--against: only 'kernel', not '%s'", b.against);
	return r == ARGS_OK ? run_bench(&b) : cmd_args_status(r);
}
