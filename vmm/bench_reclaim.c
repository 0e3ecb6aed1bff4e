/* SPDX-License-Identifier: MIT */
/*
 * umm bench reclaim: how memory is taken from programs and given back to them,
 * beside the physical limit and beside the kernel, all in the same run. First the
 * mechanisms, one back end after the other; then programs that get a share of the
 * memory they want, under each policy and under the kernel's own reclaim.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <umm/reclaim_policy.h>

#include "vmm/bench_exit.h"
#include "vmm/bench_programs.h"
#include "vmm/bench_reclaim.h"
#include "vmm/cmd.h"

#define EXIT_ROUNDS 5000
#define SIZE_MIN    (32ul << 20)

static volatile sig_atomic_t stopped;

void reclaim_say(const char *fmt, ...)
{
	va_list ap;

	fputs("umm bench: reclaim, ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool reclaim_stopped(void)
{
	return stopped;
}

static void note_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

/* ---- rows ------------------------------------------------------------------------ */

void reclaim_row_skip(struct reclaim_bench *b, const char *name, const char *why)
{
	struct bench_row *row = report_add(&b->report, name, "", "");

	row->skipped = true;
	snprintf(row->note, sizeof(row->note), "skipped: %.230s", why);
}

struct bench_row *reclaim_row(struct reclaim_bench *b, const char *name, const char *unit,
			      const struct samples *umm, const char *other,
			      const struct samples *samples)
{
	struct bench_row *row = report_add(&b->report, name, unit, other);

	row->umm_samples = *umm;
	if (samples)
		row->other_samples = *samples;
	return row;
}

/* ---- back ends --------------------------------------------------------------------- */

const char *const reclaim_backends[] = { "file", "lz4", "zstd", "ram", "null", "nbd", NULL };

static const char *area_spec(const struct reclaim_bench *b, const char *backend, uint64_t bytes,
			     const char *file, char *text, size_t size)
{
	uint64_t mib = (bytes >> 20) + 1;

	if (!strcmp(backend, "file"))
		snprintf(text, size, "file:%.3000s/%s:%luM", b->dir, file, mib);
	else if (!strcmp(backend, "nbd"))
		snprintf(text, size, "nbd:nbd+unix:///?socket=%.3000s/nbd.sock", b->dir);
	else
		snprintf(text, size, "%s:%luM", backend, mib);
	for (unsigned int i = 0; reclaim_backends[i]; i++)
		if (!strcmp(reclaim_backends[i], backend))
			return text;
	return NULL;
}

const char *reclaim_swap_spec(const struct reclaim_bench *b, const char *backend, uint64_t bytes,
			      char *text, size_t size)
{
	return area_spec(b, backend, bytes, "umm.swap", text, size);
}

const char *reclaim_holes_spec(const struct reclaim_bench *b, const char *backend, uint64_t bytes,
			       char *text, size_t size)
{
	return area_spec(b, backend, bytes, "umm.holes", text, size);
}

void reclaim_swap_remove(const struct reclaim_bench *b)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.3000s/umm.swap", b->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%.3000s/umm.holes", b->dir);
	unlink(path);
}

/* ---- options ------------------------------------------------------------------------- */

/* "a,b,c" in place; *nr: how many. */
static int split(char *text, const char **list, const char *option, struct errmsg *e)
{
	unsigned int nr = 0;
	char *word, *rest;

	for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		if (nr == RECLAIM_MAX_LIST)
			return errmsg_set(e, -EINVAL, "--%s: more than %d", option,
					  RECLAIM_MAX_LIST);
		list[nr++] = word;
	}
	return nr ? 0 : errmsg_set(e, -EINVAL, "--%s: names nothing", option);
}

static int parse_list(void *to, const char *name, const char *value, struct errmsg *e)
{
	char *copy = strdup(value);

	/* As long as the program lives: lists point into it. */
	return copy ? split(copy, to, name, e) : errmsg_set(e, -ENOMEM, "out of memory");
}

static int parse_ratios(void *to, const char *name, const char *value, struct errmsg *e)
{
	const char *words[RECLAIM_MAX_LIST + 1] = { NULL };
	struct reclaim_bench *b = to;
	int rc = parse_list(words, name, value, e);
	char *end;

	b->nr_ratios = 0;
	for (unsigned int i = 0; !rc && words[i]; i++) {
		double v = strtod(words[i], &end);

		if (end == words[i] || *end || !(v >= 1 && v <= 100))
			return errmsg_set(e, -EINVAL, "'%s' is no percentage from 1 to 100",
					  words[i]);
		b->ratios[b->nr_ratios++] = v;
	}
	return rc;
}

static bool in_list(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

static bool is_program(const char *name)
{
	return !strcmp(name, "none") || bench_program_find(name);
}

static void expand_workloads(struct reclaim_bench *b)
{
	if (!b->workloads[0] || strcmp(b->workloads[0], "all") || b->workloads[1])
		return;
	for (unsigned int i = 0; i < RECLAIM_MAX_LIST && bench_program_nth(i); i++)
		b->workloads[i] = bench_program_nth(i)->name;
}

/* "all" is every policy compiled in; what has a slash is a file of the user's. */
static int expand_policies(struct reclaim_bench *b, struct errmsg *e)
{
	if (b->policies[0] && !strcmp(b->policies[0], "all") && !b->policies[1])
		for (unsigned int i = 0; i < RECLAIM_MAX_LIST && reclaim_policy_get(i); i++)
			b->policies[i] = reclaim_policy_get(i)->name;
	for (unsigned int i = 0; b->policies[i]; i++)
		if (!strchr(b->policies[i], '/') && !reclaim_policy_find(b->policies[i]))
			return errmsg_set(e, -EINVAL, "--policy: there is no '%s'", b->policies[i]);
	return 0;
}

static int check_lists(const struct reclaim_bench *b, const char *const *against, struct errmsg *e)
{
	static const char *const sides[] = { "kernel", "hole", "none", NULL };

	for (unsigned int i = 0; b->backends[i]; i++)
		if (!in_list(b->backends[i], reclaim_backends))
			return errmsg_set(e, -EINVAL, "--backend: there is no '%s'",
					  b->backends[i]);
	if (b->programs_only && in_list("none", b->workloads))
		return errmsg_set(e, -EINVAL, "--programs and --workload none leave nothing to do");
	for (unsigned int i = 0; b->workloads[i]; i++)
		if (!is_program(b->workloads[i]))
			return errmsg_set(e, -EINVAL,
					  "--workload: there is no '%s'; umm(1) lists them",
					  b->workloads[i]);
	for (unsigned int i = 0; against[i]; i++)
		if (!in_list(against[i], sides))
			return errmsg_set(e, -EINVAL, "--against: there is no '%s'", against[i]);
	return 0;
}

static void complete(struct reclaim_bench *b)
{
	static const char *const quick[] = { "file", "lz4", "null", NULL };

	if (!b->repeat)
		b->repeat = b->quick ? 3 : 10;
	if (!b->backends[0])
		memcpy(b->backends, b->quick ? quick : reclaim_backends,
		       b->quick ? sizeof(quick) : sizeof(reclaim_backends));
	if (!b->workloads[0] && b->quick)
		b->workloads[0] = "gups-zipf";
	else if (!b->workloads[0])
		b->workloads[0] = "all";
	expand_workloads(b);
	if (!b->nr_ratios) {
		static const double all[] = { 100, 75, 50, 25, 12.5 }, few[] = { 50, 25 };

		b->nr_ratios = b->quick ? 2 : 5;
		memcpy(b->ratios, b->quick ? few : all, b->nr_ratios * sizeof(double));
	}
	if (!b->bulk_bytes)
		b->bulk_bytes = (b->quick ? 128ul : 512ul) << 20;
}

/* ---- all ------------------------------------------------------------------------------- */

/* Made, and ours as long as we live: files in it have fixed names. */
static int take_dir(const struct reclaim_bench *b, struct errmsg *e)
{
	int fd;

	if (mkdir(b->dir, 0777) && errno != EEXIST)
		return errmsg_set(e, -errno, "--out: cannot make %.300s: %s", b->dir,
				  strerror(errno));
	fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errmsg_set(e, -errno, "--out: %.300s: %s", b->dir, strerror(errno));
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	close(fd);
	return errmsg_set(e, -EBUSY,
			  "--out: another umm bench reclaim is using %.300s; give another folder",
			  b->dir);
}

static int probe(struct reclaim_bench *b, struct errmsg *e)
{
	const struct host_config cfg = { .nr_nodes = 1, .mem_bytes = 16ul << 20 };
	struct exit_costs costs;
	struct host *host;
	int rc = bench_paths_find(&b->paths, e);

	if (!rc)
		rc = take_dir(b, e);
	if (!rc)
		rc = host_create(&cfg, &host, e);
	if (rc)
		return rc;
	report_set_host(&b->report, host);
	rc = bench_exit_measure(host, EXIT_ROUNDS, &costs, e);
	host_destroy(host);
	b->exit_us = costs.store_ns / 1e3;
	return rc;
}

static void run_all(struct reclaim_bench *b)
{
	for (unsigned int i = 0; b->backends[i] && !b->programs_only && !stopped; i++)
		bench_reclaim_bulk(b, b->backends[i]);
	if (in_list("null", b->backends) && !b->programs_only && !stopped)
		bench_reclaim_cost(b);
	if (in_list("set", b->workloads) && !stopped)
		bench_reclaim_working_set(b);
	for (unsigned int i = 0; b->workloads[i] && !stopped; i++)
		if (strcmp(b->workloads[i], "none"))
			bench_reclaim_workload(b, b->workloads[i]);
}

static int tell(struct reclaim_bench *b)
{
	json_t *all = NULL;
	struct errmsg e;
	int rc = bench_reclaim_collect(b, &all, &e), status;

	if (!rc)
		rc = bench_reclaim_html(b, all, &e);
	if (b->json) {
		status = all ? cmd_print_json(all) : CMD_FAILED;
	} else {
		bench_reclaim_print_points(json_object_get(all, "programs"));
		bench_reclaim_print_sims(b);
		status = report_print(&b->report);
		printf("results: %s/report.html, results.json, runs.csv\n", b->dir);
	}
	json_decref(all);
	if (rc)
		return cmd_failed("bench reclaim", false, &e);
	return status;
}

/* What the kernel could not do with its cgroup is a result. */
static bool runs_failed(const struct reclaim_bench *b)
{
	json_t *run;
	size_t i;

	json_array_foreach(b->runs, i, run)
	{
		if (json_object_get(run, "error") &&
		    strcmp(json_string_value(json_object_get(run, "side")), "kernel"))
			return true;
	}
	return false;
}

static int run_bench(struct reclaim_bench *b)
{
	struct sigaction act = { .sa_handler = note_stop }, old_int, old_term;
	struct errmsg e;
	int status = CMD_OK;

	b->report.repeat = b->repeat;
	b->runs = json_array();
	b->latency = json_array();
	b->sims = json_array();
	if (probe(b, &e))
		return cmd_failed("bench reclaim", b->json, &e);
	sigaction(SIGINT, &act, &old_int);
	sigaction(SIGTERM, &act, &old_term);
	run_all(b);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	status = tell(b);
	status = report_end(&b->report, runs_failed(b) ? CMD_FAILED : status);
	json_decref(b->runs);
	json_decref(b->latency);
	json_decref(b->sims);
	return stopped ? CMD_STOPPED : status;
}

int bench_reclaim(char **argv)
{
	static struct reclaim_bench b;
	static const char *against[RECLAIM_MAX_LIST + 1] = { "kernel" };
	const char *dir = "bench-reclaim";
	uint64_t repeat = 0;
	const struct arg_option options[] = {
		CMD_OPTION_CALL(
			"workload", b.workloads, parse_list, "LIST",
			"only these programs (umm(1) lists them); none: only the mechanisms;\n"
			"all: also with --quick"),
		CMD_OPTION_FLAG("programs", &b.programs_only, "only programs, no mechanisms"),
		CMD_OPTION_CALL("policy", b.policies, parse_list, "LIST",
				"reclaim policies of the guests, or all (default: the\n"
				"guest's own)"),
		CMD_OPTION_CALL("backend", b.backends, parse_list, "LIST",
				"back ends to measure: file, lz4, zstd, ram, null, nbd;\n"
				"the first but null and nbd is that of the programs"),
		CMD_OPTION_CALL("ratio", &b, parse_ratios, "LIST",
				"memory of the programs, percent of what they want"),
		CMD_OPTION_CALL("against", against, parse_list, "LIST",
				"kernel (which turns swap on for a while), hole (guests whose\n"
				"memory is taken by holes), both, or none (default: kernel)"),
		BENCH_OPTION_REPEAT(&repeat, "runs of each side, 1 to 100 (default: 10, quick: 3)"),
		{ .name = "size",
		  .kind = ARG_SIZE,
		  .to = &b.bulk_bytes,
		  .value = "SIZE",
		  .help = "memory that is paged out and in; programs get half of it\n"
			  "(default: 512M, quick: 128M)" },
		CMD_OPTION_FLAG("quick", &b.quick, "fewer and smaller: two or three minutes"),
		{ .name = "out",
		  .letter = 'o',
		  .kind = ARG_TEXT,
		  .to = &dir,
		  .value = "DIR",
		  .help = "results, and meanwhile swap files (default: bench-reclaim)" },
		CMD_OPTION_JSON(&b.json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "bench reclaim",
		.synopsis =
			"[--workload LIST] [--programs] [--policy LIST] [--backend LIST]\n"
			"       [--ratio LIST] [--against LIST] [--repeat N] [--size SIZE] [--quick] [--out DIR] [--json]",
		.summary =
			"Measure how memory is paged out and in, per back end, beside the device's own\n"
			"limit and beside the kernel's swap; then run programs with a share of the\n"
			"memory they want. Exit status 1 if something of umm's did not run; missing a\n"
			"target is no failure, and a program that the kernel's side kills for want of\n"
			"memory is a result, told with its reason.\n",
		.options = options,
	};
	struct arg_operands args;
	struct errmsg e;
	enum args_result r = args_parse(&cmd, argv, &args);

	if (r == ARGS_OK)
		r = bench_check_repeat(&cmd, repeat, 0);
	if (r == ARGS_OK && b.bulk_bytes && b.bulk_bytes < SIZE_MIN)
		r = args_usage_error(&cmd, "--size: 32M or more");
	expand_workloads(&b);
	if (r == ARGS_OK && (check_lists(&b, against, &e) || expand_policies(&b, &e)))
		r = args_usage_error(&cmd, "%s", e.text);
	if (r != ARGS_OK)
		return cmd_args_status(r);
	b.repeat = (unsigned int)repeat;
	b.kernel = in_list("kernel", against);
	b.holes = in_list("hole", against);
	snprintf(b.dir, sizeof(b.dir), "%s", dir);
	complete(&b);
	return run_bench(&b);
}
