/* SPDX-License-Identifier: MIT */
/*
 * umm bench launch: the figures that say whether a guest is worth having, each
 * beside the same work done natively in the same run, sides interleaved (ABAB)
 * so that the machine's other work falls on both. Ratios are what counts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bench_exit.h"
#include "vmm/bench_move.h"
#include "vmm/bench_proc.h"
#include "vmm/bench_report.h"
#include "vmm/cmd.h"
#include "vmm/size.h"

#define EXIT_ROUNDS 20000

/* A program run on both sides; its figure is its wall time or what it prints. */
struct compared {
	const char *group, *name, *unit, *other;
	enum bench_side side; /* the other side */
	char *argv[8];
	char *other_argv[8]; /* empty: the same */
	bool fresh_memory;   /* what it measures is memory just got from the host */
	const char *prefix;  /* the figure is the number behind it on stderr; NULL: wall ms */
	enum bench_target target;
	double limit;
};

static const struct compared programs[] = {
	{ .group = "true",
	  .name = "umm run -- /bin/true",
	  .unit = "ms",
	  .other = "native",
	  .argv = { "/bin/true" },
	  .target = TARGET_VALUE_MAX,
	  .limit = 25 },
	{ .group = "spin",
	  .name = "CPU-bound",
	  .unit = "s",
	  .other = "native",
	  .argv = { "spin", "--work", "300000000" },
	  .prefix = "spin: ",
	  .target = TARGET_RATIO_MAX,
	  .limit = 1 / 0.99 },
	{ .group = "gups",
	  .name = "GUPS 512 MiB",
	  .unit = "GUPS",
	  .other = "native",
	  .argv = { "gups", "--size", "512M", "--updates", "33554432" },
	  .prefix = "gups: ",
	  .target = TARGET_RATIO_MIN,
	  .limit = 0.95 },
	{ .group = "gups",
	  .name = "GUPS 1 GiB, 2 MiB folios",
	  .unit = "GUPS",
	  .other = "native THP",
	  .argv = { "gups", "--size", "1G", "--updates", "33554432" },
	  .other_argv = { "gups", "--size", "1G", "--updates", "33554432", "--huge" },
	  .prefix = "gups: ",
	  .target = TARGET_RATIO_MIN,
	  .limit = 0.95 },
	{ .group = "touch",
	  .name = "first touch 1 GiB",
	  .unit = "ns/page",
	  .other = "native 4 KiB",
	  .side = BENCH_NATIVE_SMALL,
	  .argv = { "touch", "--size", "1G" },
	  .fresh_memory = true,
	  .prefix = "touch: ",
	  .target = TARGET_RATIO_MAX,
	  .limit = 1.0 },
	{ .group = "touch",
	  .name = "first touch 1 GiB",
	  .unit = "ns/page",
	  .other = "native 2 MiB",
	  .argv = { "touch", "--size", "1G" },
	  .other_argv = { "touch", "--size", "1G", "--huge" },
	  .fresh_memory = true,
	  .prefix = "touch: " },
};

struct launch {
	struct bench_report report;
	struct bench_paths paths;
	uint64_t repeat;
	const char *only;
	bool json;
};

static bool wanted(const struct launch *l, const char *group)
{
	return !l->only || !strcmp(l->only, group);
}

static void say(const char *what)
{
	fprintf(stderr, "umm bench: %s\n", what);
}

/* ---- programs ----------------------------------------------------------- */

static int figure_of(const struct compared *c, const struct bench_run *run, double *out,
		     struct errmsg *e)
{
	const char *p = c->prefix ? strstr(run->err, c->prefix) : NULL;

	*out = c->prefix ? (p ? strtod(p + strlen(c->prefix), NULL) : 0) : run->wall_ns / 1e6;
	if (*out <= 0)
		return errmsg_set(e, -EPROTO, "%s printed no figure", c->argv[0]);
	return 0;
}

/*
 * A virtual machine may have given memory that was free for a while back to its
 * own host, and pays for getting it again with many times the cost of a first
 * touch. So before a run that measures first touch, on whichever side, as much
 * memory is touched natively and freed: in 4 KiB pages and then in 2 MiB pages,
 * since the kernel keeps small and large free blocks apart.
 */
static int warm_memory(struct launch *l, const struct compared *c, struct errmsg *e)
{
	char *small[] = { "touch", "--size", "1G", NULL };
	char *huge[] = { "touch", "--size", "1G", "--huge", NULL };
	struct bench_run run;
	int rc;

	if (!c->fresh_memory)
		return 0;
	rc = bench_run_program(&l->paths, BENCH_NATIVE_SMALL, small, false, &run, e);
	if (!rc)
		rc = bench_run_program(&l->paths, BENCH_NATIVE, huge, false, &run, e);
	return rc;
}

static int sample_side(struct launch *l, const struct compared *c, enum bench_side side,
		       struct samples *to, struct errmsg *e)
{
	char *const *argv = side != BENCH_UMM && c->other_argv[0] ? c->other_argv : c->argv;
	struct bench_run run;
	double figure;
	int rc;

	rc = warm_memory(l, c, e);
	if (!rc)
		rc = bench_run_program(&l->paths, side, argv, false, &run, e);
	if (!rc)
		rc = figure_of(c, &run, &figure, e);
	if (!rc)
		samples_add(to, figure);
	return rc;
}

static void compare_program(struct launch *l, const struct compared *c)
{
	struct bench_row *row = report_add(&l->report, c->name, c->unit, c->other);
	struct samples warm_up = { .nr = 0 };
	struct bench_run counted;
	struct errmsg e;
	uint64_t i;
	int rc;

	row->target = c->target;
	row->limit = c->limit;
	/* Memory that is new to a virtual host costs it milliseconds a page: once, unmeasured. */
	rc = sample_side(l, c, c->side, &warm_up, &e);
	if (!rc)
		rc = sample_side(l, c, BENCH_UMM, &warm_up, &e);
	for (i = 0; i < l->repeat && !rc; i++) {
		rc = sample_side(l, c, c->side, &row->other_samples, &e);
		if (!rc)
			rc = sample_side(l, c, BENCH_UMM, &row->umm_samples, &e);
	}
	if (!rc)
		rc = bench_run_program(&l->paths, BENCH_UMM, c->argv, true, &counted, &e);
	if (rc)
		row_fail(row, &e);
	else
		row->exits = counted.exits;
}

/* ---- system calls ------------------------------------------------------- */

static int measure_exit(struct launch *l, struct exit_costs *costs, struct errmsg *e)
{
	const struct host_config cfg = { .nr_nodes = 1, .mem_bytes = 16ul << 20 };
	struct host *host;
	int rc;

	rc = host_create(&cfg, &host, e);
	if (rc)
		return rc;
	report_set_host(&l->report, host);
	rc = bench_exit_measure(host, EXIT_ROUNDS, costs, e);
	host_destroy(host);
	return rc;
}

static void getppid_rows(struct launch *l)
{
	static const struct compared c = { .argv = { "getppid", "--calls", "30000" },
					   .prefix = "getppid: " };
	struct bench_row *row = report_add(&l->report, "getppid", "ns", "bare exit");
	struct bench_row *entry = report_add(&l->report, "getppid", "ns", "bare SYSCALL");
	struct bench_row *native = report_add(&l->report, "getppid", "ns", "native");
	struct exit_costs costs;
	struct bench_run counted;
	struct errmsg e;
	uint64_t i;
	int rc = 0;

	row->target = TARGET_RATIO_MAX;
	row->limit = 1.3;
	snprintf(row->note, sizeof(row->note),
		 "the bare exit is a store to an address without memory, KVM_RUN again at once");
	snprintf(entry->note, sizeof(entry->note),
		 "a SYSCALL instruction through the entry stub, KVM_RUN again at once");
	for (i = 0; i < l->repeat && !rc; i++) {
		rc = measure_exit(l, &costs, &e);
		if (!rc)
			rc = sample_side(l, &c, BENCH_UMM, &row->umm_samples, &e);
		if (!rc)
			rc = sample_side(l, &c, BENCH_NATIVE, &native->other_samples, &e);
		if (rc)
			break;
		samples_add(&row->other_samples, costs.store_ns);
		samples_add(&entry->other_samples, costs.syscall_ns);
	}
	entry->umm_samples = native->umm_samples = row->umm_samples;
	if (!rc)
		rc = bench_run_program(&l->paths, BENCH_UMM, c.argv, true, &counted, &e);
	if (rc)
		row_fail(row, &e);
	else
		row->exits = counted.exits;
}

/* ---- all ---------------------------------------------------------------- */

static void run_groups(struct launch *l)
{
	struct bench_row *row;
	struct errmsg e;
	unsigned int i;

	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (!wanted(l, programs[i].group))
			continue;
		say(programs[i].name);
		compare_program(l, &programs[i]);
	}
	if (wanted(l, "getppid")) {
		say("getppid");
		getppid_rows(l);
	}
	if (wanted(l, "move")) {
		say("migrate and reclaim 512 MiB");
		if (bench_move(&l->report, &l->paths, (unsigned int)l->repeat, &e)) {
			row = report_add(&l->report, "migrate, reclaim", "", "");
			row_fail(row, &e);
		}
	}
}

static int run_launch(struct launch *l)
{
	struct exit_costs costs;
	struct errmsg e;
	int status;

	/* Also says at once, and in words, when there can be no guest here. */
	if (bench_paths_find(&l->paths, &e) || measure_exit(l, &costs, &e))
		return cmd_failed("bench launch", l->json, &e);
	l->report.repeat = (unsigned int)l->repeat;
	run_groups(l);
	status = l->json ? report_print_json(&l->report) : report_print(&l->report);
	return report_end(&l->report, status);
}

static bool group_exists(const char *group)
{
	static const char *const groups[] = { "true", "spin", "gups", "touch", "getppid", "move" };
	unsigned int i;

	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(groups[i], group))
			return true;
	return false;
}

int bench_launch(char **argv)
{
	static struct launch l;
	const struct arg_option options[] = {
		BENCH_OPTION_REPEAT(&l.repeat, "runs of each side, 1 to 100 (default: 5)"),
		{ .name = "only",
		  .kind = ARG_TEXT,
		  .to = &l.only,
		  .value = "WHAT",
		  .help = "true, spin, gups, touch, getppid or move" },
		CMD_OPTION_JSON(&l.json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "bench launch",
		.synopsis = "[--repeat N] [--only WHAT] [--json]",
		.summary =
			"Measure start-up, computing, random access, first touch, system calls,\n"
			"migration and reclaim in a guest beside the same work done natively, sides\n"
			"interleaved, and hold the medians against their targets. Takes minutes.\n"
			"Exit status 1 if something did not run; missing a target is no failure.\n",
		.options = options,
	};
	struct arg_operands args;
	enum args_result r;

	l.repeat = 5;
	r = args_parse(&cmd, argv, &args);
	if (r == ARGS_OK)
		r = bench_check_repeat(&cmd, l.repeat, 1);
	if (r == ARGS_OK && l.only && !group_exists(l.only))
		r = args_usage_error(&cmd, "--only: there is no '%s'", l.only);
	return r == ARGS_OK ? run_launch(&l) : cmd_args_status(r);
}
