/* SPDX-License-Identifier: MIT */
/*
 * umm bench abi: what the way between a program and its system costs, beside the same
 * work done natively in the same run, sides interleaved; and with it how many exits one
 * operation takes, which is what can be changed here: the cost of an exit is the host's.
 *
 * Exits are counted in two runs of different length, so that those of the program's start
 * and end, and of umm's, fall out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bench_exit.h"
#include "vmm/bench_proc.h"
#include "vmm/bench_report.h"
#include "vmm/cmd.h"

#define EXIT_ROUNDS 20000

/* A redis of its own on a socket of its own. */
#define REDIS                                                                                      \
	"d=$(mktemp -d); redis-server --port 0 --unixsocket $d/s --save '' --dir $d >/dev/null & " \
	"while ! redis-cli -s $d/s ping >/dev/null 2>&1; do sleep 0.02; done; "                    \
	"redis-benchmark -s $d/s -t get,set -c 8 --csv "
#define REDIS_END " >&2; redis-cli -s $d/s shutdown nosave; wait; rm -rf $d"

/* As much as a file of a middling project: it is compiled, assembled and linked. */
#define GCC                                                                                     \
	"d=$(mktemp -d); awk 'BEGIN { print \"#include <stdio.h>\"; for (i = 0; i < 300; i++) " \
	"printf \"int f%d(int x) { int i, s = 0; for (i = 0; i < x; i++) s += i * %d ^ x; "     \
	"return s; }\\n\", i, i; print \"int main(void) { return f1(0); }\" }' >$d/a.c && "     \
	"s=$(date +%s%N) && gcc -O2 -o $d/a $d/a.c && e=$(date +%s%N) && "                      \
	"echo \"gcc: $(((e - s) / 1000000))\" >&2; r=$?; rm -rf $d; exit $r"

struct trip {
	const char *group, *name, *unit;
	const char *prefix; /* of the figure, on stderr */
	char *argv[8];
	uint64_t count, few; /* operations of a run, and of the short one; 0: told in argv */
	const char *needs;   /* a program that must be there */
};

static const struct trip trips[] = {
	{ "call",
	  "system call (getppid)",
	  "us",
	  "trip: ",
	  { "trip", "--what", "call" },
	  30000,
	  1000,
	  NULL },
	{ "fault",
	  "page fault, anonymous",
	  "us",
	  "trip: ",
	  { "trip", "--what", "fault" },
	  4000,
	  400,
	  NULL },
	{ "spawn",
	  "fork, exec and wait",
	  "us",
	  "trip: ",
	  { "trip", "--what", "spawn" },
	  60,
	  10,
	  NULL },
	{ "switch",
	  "context switch by pipe",
	  "us",
	  "trip: ",
	  { "trip", "--what", "switch" },
	  4000,
	  400,
	  NULL },
	{ "redis",
	  "redis SET",
	  "1/s",
	  "\"SET\",\"",
	  { "/bin/sh", "-c", REDIS "-n 3000" REDIS_END },
	  0,
	  0,
	  "redis-benchmark" },
	{ "redis",
	  "redis GET",
	  "1/s",
	  "\"GET\",\"",
	  { "/bin/sh", "-c", REDIS "-n 3000" REDIS_END },
	  0,
	  0,
	  "redis-benchmark" },
	{ "redis",
	  "redis SET, pipeline of 16",
	  "1/s",
	  "\"SET\",\"",
	  { "/bin/sh", "-c", REDIS "-n 20000 -P 16" REDIS_END },
	  0,
	  0,
	  "redis-benchmark" },
	{ "redis",
	  "redis GET, pipeline of 16",
	  "1/s",
	  "\"GET\",\"",
	  { "/bin/sh", "-c", REDIS "-n 20000 -P 16" REDIS_END },
	  0,
	  0,
	  "redis-benchmark" },
	{ "gcc", "gcc -O2, 300 functions", "ms", "gcc: ", { "/bin/sh", "-c", GCC }, 0, 0, "gcc" },
};

struct abi {
	struct bench_report report;
	struct bench_paths paths;
	uint64_t repeat;
	const char *only;
	bool json;
};

static bool program_exists(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	return !system(command);
}

/* @count 0: as the trip has it. */
static int run_once(const struct abi *b, const struct trip *t, enum bench_side side, uint64_t count,
		    bool verbose, struct bench_run *run, struct errmsg *e)
{
	char *argv[sizeof(t->argv) / sizeof(t->argv[0]) + 2], text[24];
	unsigned int n;

	for (n = 0; t->argv[n]; n++)
		argv[n] = t->argv[n];
	if (count) {
		snprintf(text, sizeof(text), "%lu", count);
		argv[n++] = "--count";
		argv[n++] = text;
	}
	argv[n] = NULL;
	return bench_run_program(&b->paths, side, argv, verbose, run, e);
}

static int sample(const struct abi *b, const struct trip *t, enum bench_side side,
		  struct samples *to, struct errmsg *e)
{
	struct bench_run run;
	const char *p;
	double figure;
	int rc = run_once(b, t, side, t->count, false, &run, e);

	if (rc)
		return rc;
	p = strstr(run.err, t->prefix);
	figure = p ? strtod(p + strlen(t->prefix), NULL) : 0;
	if (figure <= 0)
		return errmsg_set(e, -EPROTO, "%s printed no figure", t->argv[0]);
	samples_add(to, figure);
	return 0;
}

static int count_exits(const struct abi *b, const struct trip *t, struct bench_row *row,
		       struct errmsg *e)
{
	struct bench_run all, few = { .exits = 0 };
	int rc = run_once(b, t, BENCH_UMM, t->count, true, &all, e);

	if (!rc && t->few)
		rc = run_once(b, t, BENCH_UMM, t->few, true, &few, e);
	if (rc)
		return rc;
	row->exits = all.exits;
	if (t->few)
		snprintf(row->note, sizeof(row->note), "%.2f exits each",
			 (double)(all.exits - few.exits) / (double)(t->count - t->few));
	return 0;
}

static void compare(struct abi *b, const struct trip *t)
{
	struct bench_row *row = report_add(&b->report, t->name, t->unit, "native");
	struct errmsg e;
	uint64_t i;
	int rc = 0;

	if (t->needs && !program_exists(t->needs)) {
		row->skipped = true;
		snprintf(row->note, sizeof(row->note), "%s is not installed", t->needs);
		return;
	}
	for (i = 0; i < b->repeat && !rc; i++) {
		rc = sample(b, t, BENCH_NATIVE, &row->other_samples, &e);
		if (!rc)
			rc = sample(b, t, BENCH_UMM, &row->umm_samples, &e);
	}
	if (!rc)
		rc = count_exits(b, t, row, &e);
	if (rc)
		row_fail(row, &e);
}

/* What an exit costs here, with nothing done outside; says also what kind of host this is. */
static int measure_exits(struct abi *b, struct errmsg *e)
{
	const struct host_config cfg = { .nr_nodes = 1, .mem_bytes = 16ul << 20 };
	struct bench_row *row;
	struct exit_costs costs;
	struct host *host;
	int rc = host_create(&cfg, &host, e);

	if (rc)
		return rc;
	report_set_host(&b->report, host);
	rc = bench_exit_measure(host, EXIT_ROUNDS, &costs, e);
	host_destroy(host);
	if (rc)
		return rc;
	row = report_add(&b->report, "an exit of this host", "us", "bare SYSCALL");
	samples_add(&row->umm_samples, costs.store_ns / 1000);
	samples_add(&row->other_samples, costs.syscall_ns / 1000);
	snprintf(row->note, sizeof(row->note),
		 "a store to an address without memory, KVM_RUN again at once; beside it SYSCALL");
	return 0;
}

static int run_abi(struct abi *b)
{
	struct errmsg e;
	unsigned int i;
	int status;

	if (bench_paths_find(&b->paths, &e) || measure_exits(b, &e))
		return cmd_failed("bench abi", b->json, &e);
	b->report.repeat = (unsigned int)b->repeat;
	for (i = 0; i < sizeof(trips) / sizeof(trips[0]); i++) {
		if (b->only && strcmp(b->only, trips[i].group))
			continue;
		fprintf(stderr, "umm bench: %s\n", trips[i].name);
		compare(b, &trips[i]);
	}
	status = b->json ? report_print_json(&b->report) : report_print(&b->report);
	return report_end(&b->report, status);
}

static bool group_exists(const char *group)
{
	unsigned int i;

	for (i = 0; i < sizeof(trips) / sizeof(trips[0]); i++)
		if (!strcmp(trips[i].group, group))
			return true;
	return false;
}

int bench_abi(char **argv)
{
	static struct abi b;
	const struct arg_option options[] = {
		BENCH_OPTION_REPEAT(&b.repeat, "runs of each side, 1 to 100 (default: 3)"),
		{ .name = "only",
		  .kind = ARG_TEXT,
		  .to = &b.only,
		  .value = "WHAT",
		  .help = "call, fault, spawn, switch, redis or gcc" },
		CMD_OPTION_JSON(&b.json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "bench abi",
		.synopsis = "[--repeat N] [--only WHAT] [--json]",
		.summary =
			"Measure system calls, page faults, new processes, context switches, redis and\n"
			"gcc in a guest beside the same natively, sides interleaved, with the number of\n"
			"exits of one run; and what an exit costs on this host. Takes minutes. Times are\n"
			"better when smaller, redis' requests a second when larger.\n"
			"Exit status 1 if something did not run.\n",
		.options = options,
	};
	struct arg_operands args;
	enum args_result r;

	b.repeat = 3;
	r = args_parse(&cmd, argv, &args);
	if (r == ARGS_OK)
		r = bench_check_repeat(&cmd, b.repeat, 1);
	if (r == ARGS_OK && b.only && !group_exists(b.only))
		r = args_usage_error(&cmd, "--only: there is no '%s'", b.only);
	return r == ARGS_OK ? run_abi(&b) : cmd_args_status(r);
}
