/* SPDX-License-Identifier: MIT */
/*
 * A program runs in a guest of two nodes for some seconds, alternately left alone
 * and with all of its memory moved to and fro for ever: at the pace that `umm migrate`
 * has by default, which rests between pieces while the guest runs, and without rests
 * in each of the two ways; or at paces that cost the guest more and more of its time; or
 * by one thread and by two.
 * Its own clock says how fast it was, or how long it stood still, and from when to
 * when: the speed of moving that stands beside it is of that stretch (bench_moves.h).
 */
#include "vmm/bench_stall.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/bench_moves.h"
#include "vmm/vm.h"

/*
 * Seconds that a program is timed, and that it waits before: for moves there and back,
 * and the first of those that count.
 */
#define SECONDS       5u
#define SECONDS_QUICK 2u
#define DELAY_TEXT    "2"

struct way {
	const char *name;
	const char *mode;     /* NULL: not moved */
	unsigned int percent; /* of the guest's time; 0 with rests: the default */
	unsigned int threads; /* 0: as umm chooses */
	bool rests;
};

/* The first is what the others are held against. */
#define MAX_WAYS 8
/* Of usual_ways[], when in a hurry. */
#define QUICK_WAYS 3

static const struct way usual_ways[] = {
	{ .name = "undisturbed" },
	{ .name = "default pace", .mode = "auto", .rests = true },
	{ .name = "no rests, stop", .mode = "stop" },
	{ .name = "no rests, optimistic", .mode = "optimistic" },
};

static const struct way paces[] = {
	{ .name = "undisturbed" },
	{ .name = "pace 5%", .mode = "auto", .rests = true, .percent = 5 },
	{ .name = "pace 10%", .mode = "auto", .rests = true, .percent = 10 },
	{ .name = "pace 15%", .mode = "auto", .rests = true, .percent = 15 },
	{ .name = "pace 20%", .mode = "auto", .rests = true, .percent = 20 },
	{ .name = "pace 30%", .mode = "auto", .rests = true, .percent = 30 },
	{ .name = "pace 50%", .mode = "auto", .rests = true, .percent = 50 },
};

static const struct way movers[] = {
	{ .name = "undisturbed" },
	{ .name = "default pace, one thread", .mode = "auto", .rests = true, .threads = 1 },
	{ .name = "default pace, two", .mode = "auto", .rests = true, .threads = 2 },
	{ .name = "default pace, as chosen", .mode = "auto", .rests = true },
	{ .name = "no rests, one thread", .mode = "auto", .threads = 1 },
	{ .name = "no rests, two", .mode = "auto", .threads = 2 },
	{ .name = "no rests, as chosen", .mode = "auto" },
};

/* By enum bench_stall_ways. */
static const struct {
	const struct way *ways;
	unsigned int nr;
} all_ways[] = {
	{ usual_ways, sizeof(usual_ways) / sizeof(usual_ways[0]) },
	{ paces, sizeof(paces) / sizeof(paces[0]) },
	{ movers, sizeof(movers) / sizeof(movers[0]) },
};

static const struct way warm_up = { .name = "warming up", .mode = "stop" };

/* What one way did to a program. */
struct felt {
	struct samples figures[4]; /* the program's own */
	struct samples mb_s;       /* moved meanwhile */
};

static bool ended_soon(const struct bench_moved *g)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (unsigned int i = 0; i < 500 && bench_moved_alive(g); i++)
		nanosleep(&pause, NULL);
	return !bench_moved_alive(g);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)total;
	bench_moves_progress(arg, vm_now_ns(), done * UMM_PAGE_SIZE);
}

static int move_once(struct bench_moved *g, const struct way *way, struct bench_moves *moves,
		     struct errmsg *e)
{
	json_t *how = json_pack("{s:s}", "mode", way->mode);
	json_t *result = NULL;
	uint64_t moved;
	int rc;

	if (way->percent)
		json_object_set_new(how, "gentle_percent", json_integer(way->percent));
	else if (way->rests)
		json_object_set_new(how, "gentle", json_true());
	if (way->threads)
		json_object_set_new(how, "copy_threads", json_integer(way->threads));
	g->client.progress = on_progress;
	g->client.arg = moves;
	bench_moves_begin(moves, vm_now_ns());
	rc = bench_moved_migrate(g, how, &result, e);
	moved = (uint64_t)json_integer_value(json_object_get(result, "moved"));
	bench_moves_end(moves, vm_now_ns(), moved * UMM_PAGE_SIZE);
	json_decref(result);
	return rc;
}

/* Until the program ends. */
static int move_on(struct bench_moved *g, const struct way *way, struct bench_moves *moves,
		   struct errmsg *e)
{
	while (bench_moved_alive(g)) {
		struct errmsg why;
		int rc = move_once(g, way, moves, &why);

		/* The guest's end may be what cut the request short. */
		if (rc && !ended_soon(g)) {
			*e = why;
			return rc;
		}
	}
	return 0;
}

/*
 * The host must first give the second node its memory. The program stands still meanwhile,
 * so that on a busy host it is not over before.
 */
static int warm_nodes(struct bench_moved *g, struct bench_moves *moves, struct errmsg *e)
{
	int rc = bench_moved_signal(g, SIGSTOP, e);

	for (unsigned int i = 0; i < 2 && !rc; i++)
		rc = move_once(g, &warm_up, moves, e);
	return rc ? rc : bench_moved_signal(g, SIGCONT, e);
}

static int run_guest(const struct bench_paths *paths, char *const *argv, const struct way *way,
		     char *out, size_t size, struct bench_moves *moves, struct errmsg *e)
{
	char *options[] = { "--nodes", "2", "--mem", "2G", NULL };
	struct bench_moved g;
	int rc = bench_moved_start(&g, paths, options, argv, e);

	if (rc)
		return rc;
	rc = warm_nodes(&g, moves, e);
	if (!rc && way->mode)
		rc = move_on(&g, way, moves, e);
	if (rc)
		bench_moved_stop(&g);
	else
		rc = bench_moved_output(&g, out, size, e);
	return rc;
}

static int figure(const char *out, const char *prefix, struct samples *to, struct errmsg *e)
{
	const char *p = strstr(out, prefix);
	double v = p ? strtod(p + strlen(prefix), NULL) : 0;

	if (v <= 0)
		return errmsg_set(e, -EPROTO, "the program printed no '%s'", prefix);
	samples_add(to, v);
	return 0;
}

/* The speed of moving while the program measured. */
static int count_moves(const char *out, const struct bench_moves *moves, struct samples *mb_s,
		       struct errmsg *e)
{
	const char *p = strstr(out, "timed: from ");
	uint64_t from, ns;

	if (!p || sscanf(p, "timed: from %" SCNu64 " for %" SCNu64, &from, &ns) != 2 || !ns)
		return errmsg_set(e, -EPROTO, "the program did not print what it timed");
	samples_add(mb_s, (double)bench_moves_between(moves, from, from + ns) * 1e3 / (double)ns);
	return 0;
}

/* @marks: what stands before each of the program's figures, NULL at the end. */
static int run_ways(const struct bench_stall *b, char *const *argv, const char *const *marks,
		    const struct way *ways, unsigned int nr, struct felt *felt, struct errmsg *e)
{
	static struct bench_moves moves;
	int rc = 0;

	memset(felt, 0, nr * sizeof(*felt));
	for (unsigned int i = 0; i < b->report->repeat * nr && !rc; i++) {
		unsigned int w = i % nr;
		char out[2048];

		fprintf(stderr, "umm bench: migrate, %s, %s, %u of %u\n", argv[0], ways[w].name,
			i / nr + 1, b->report->repeat);
		moves = (struct bench_moves){ .nr = 0 };
		rc = run_guest(b->paths, argv, &ways[w], out, sizeof(out), &moves, e);
		for (unsigned int k = 0; marks[k] && !rc; k++)
			rc = figure(out, marks[k], &felt[w].figures[k], e);
		if (!rc && ways[w].mode)
			rc = count_moves(out, &moves, &felt[w].mb_s, e);
	}
	return rc;
}

static void note_speed(struct bench_row *row, const struct felt *felt)
{
	if (felt->mb_s.nr)
		snprintf(row->note, sizeof(row->note),
			 "%.0f MB/s (%.0f-%.0f) were moved while it was timed",
			 samples_median(&felt->mb_s), samples_min(&felt->mb_s),
			 samples_max(&felt->mb_s));
}

static struct bench_row *row_of(struct bench_report *r, const struct felt *felt, unsigned int k,
				const struct felt *alone, const char *unit)
{
	struct bench_row *row = report_add(r, "", unit, "undisturbed");

	row->umm_samples = felt->figures[k];
	row->other_samples = alone->figures[k];
	return row;
}

/* What has the targets: `umm migrate` without options. */
static bool is_default(const struct way *way)
{
	return way->rests && !way->percent && !way->threads;
}

/* ---- GUPS --------------------------------------------------------------- */

static int gups_rows(const struct bench_stall *b, char *seconds, const struct way *ways,
		     unsigned int nr, struct errmsg *e)
{
	static const char *const marks[] = { "gups: ", NULL };
	static struct felt felt[MAX_WAYS];
	char *argv[] = {
		"gups", "--size", "256M", "--seconds", seconds, "--delay", DELAY_TEXT, NULL
	};
	int rc = run_ways(b, argv, marks, ways, nr, felt, e);

	for (unsigned int w = 1; w < nr; w++) {
		struct bench_row *row = row_of(b->report, &felt[w], 0, &felt[0], "GUPS");

		snprintf(row->name, sizeof(row->name), "GUPS, %s", ways[w].name);
		row->target = is_default(&ways[w]) ? TARGET_RATIO_MIN : TARGET_NONE;
		row->limit = 0.8;
		note_speed(row, &felt[w]);
	}
	return rc;
}

/* ---- gaps --------------------------------------------------------------- */

static int stall_rows(const struct bench_stall *b, char *seconds, const struct way *ways,
		      unsigned int nr, struct errmsg *e)
{
	static const char *const marks[] = { "p50 ", "p99 ", "p99.9 ", "max ", NULL };
	static struct felt felt[MAX_WAYS];
	char *argv[] = { "stall", "--size",  "256M",     "--seconds",
			 seconds, "--delay", DELAY_TEXT, NULL };
	int rc = run_ways(b, argv, marks, ways, nr, felt, e);

	for (unsigned int w = 1; w < nr; w++) {
		for (unsigned int k = 0; marks[k]; k++) {
			struct bench_row *row;

			/* A sweep is about the one that has a target. */
			if (b->ways != STALL_USUAL && k != 2)
				continue;
			row = row_of(b->report, &felt[w], k, &felt[0], "us");
			snprintf(row->name, sizeof(row->name), "stall %s, %s", marks[k],
				 ways[w].name);
			row->target = k == 2 && is_default(&ways[w]) ? TARGET_VALUE_MAX
								     : TARGET_NONE;
			row->limit = 5000;
			note_speed(row, &felt[w]);
		}
	}
	return rc;
}

int bench_stall(const struct bench_stall *b, struct errmsg *e)
{
	const struct way *ways = all_ways[b->ways].ways;
	unsigned int nr = all_ways[b->ways].nr;
	char text[16];
	int rc = 0;

	if (b->quick && b->ways == STALL_USUAL)
		nr = QUICK_WAYS;
	snprintf(text, sizeof(text), "%u", b->quick ? SECONDS_QUICK : SECONDS);
	if (b->gups)
		rc = gups_rows(b, text, ways, nr, e);
	if (!rc && b->stall)
		rc = stall_rows(b, text, ways, nr, e);
	return rc;
}
