/* SPDX-License-Identifier: MIT */
/*
 * A program runs in a guest of two nodes for some seconds, alternately left alone
 * and with all of its memory moved to and fro without a pause, in each of the two
 * ways. Its own clock says how fast it was, or how long it stood still.
 */
#include "vmm/bench_stall.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Seconds, long enough for a move there and back while the program waits. */
#define DELAY "3"

struct way {
	const char *name;
	const char *mode; /* NULL: not moved */
};

enum { ALONE, STOPPED, OPTIMISTIC, NR_WAYS };

static const struct way ways[NR_WAYS] = {
	[ALONE] = { "undisturbed", NULL },
	[STOPPED] = { "stop", "stop" },
	[OPTIMISTIC] = { "optimistic", "optimistic" },
};

static bool ended_soon(const struct bench_moved *g)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (unsigned int i = 0; i < 500 && bench_moved_alive(g); i++)
		nanosleep(&pause, NULL);
	return !bench_moved_alive(g);
}

static int move_once(struct bench_moved *g, const char *mode, uint64_t *moved, struct errmsg *e)
{
	json_t *result = NULL;
	int rc = bench_moved_migrate(g, json_pack("{s:s}", "mode", mode), &result, e);

	*moved += (uint64_t)json_integer_value(json_object_get(result, "moved"));
	json_decref(result);
	return rc;
}

/* Until the program ends. *moved: pages. */
static int move_on(struct bench_moved *g, const char *mode, uint64_t *moved, struct errmsg *e)
{
	while (bench_moved_alive(g)) {
		struct errmsg why;
		int rc = move_once(g, mode, moved, &why);

		/* The guest's end may be what cut the request short. */
		if (rc && !ended_soon(g)) {
			*e = why;
			return rc;
		}
	}
	return 0;
}

static int run_once(const struct bench_paths *paths, char *const *argv, const struct way *way,
		    char *out, size_t size, uint64_t *moved, struct errmsg *e)
{
	char *options[] = { "--nodes", "2", "--mem", "2G", NULL };
	struct bench_moved g;
	uint64_t warm = 0;
	int rc = bench_moved_start(&g, paths, options, argv, e);

	if (rc)
		return rc;
	/* The host must first give the second node its memory. */
	rc = move_once(&g, "stop", &warm, e);
	if (!rc)
		rc = move_once(&g, "stop", &warm, e);
	if (!rc && way->mode)
		rc = move_on(&g, way->mode, moved, e);
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

/* ---- GUPS --------------------------------------------------------------- */

static int gups_rows(struct bench_report *r, const struct bench_paths *paths, char *seconds,
		     struct errmsg *e)
{
	char *argv[] = { "gups", "--size", "256M", "--seconds", seconds, "--delay", DELAY, NULL };
	struct samples s[NR_WAYS] = { 0 };
	uint64_t moved[NR_WAYS] = { 0 };
	int rc = 0;

	for (unsigned int i = 0; i < r->repeat && !rc; i++) {
		for (unsigned int w = 0; w < NR_WAYS && !rc; w++) {
			char out[2048];

			rc = run_once(paths, argv, &ways[w], out, sizeof(out), &moved[w], e);
			if (!rc)
				rc = figure(out, "gups: ", &s[w], e);
		}
	}
	for (unsigned int w = STOPPED; w < NR_WAYS; w++) {
		struct bench_row *row = report_add(r, "", "GUPS", ways[ALONE].name);

		snprintf(row->name, sizeof(row->name), "GUPS moved continuously, %s", ways[w].name);
		row->umm_samples = s[w];
		row->other_samples = s[ALONE];
		row->target = w == STOPPED ? TARGET_RATIO_MIN : TARGET_NONE;
		row->limit = 0.8;
		snprintf(row->note, sizeof(row->note), "%lu pages moved in %u runs of %s s",
			 moved[w], s[w].nr, seconds);
	}
	return rc;
}

/* ---- gaps --------------------------------------------------------------- */

static int stall_rows(struct bench_report *r, const struct bench_paths *paths, char *seconds,
		      struct errmsg *e)
{
	static const char *const marks[] = { "p50 ", "p99 ", "p99.9 ", "max " };
	static struct samples s[NR_WAYS][4];
	char *argv[] = { "stall", "--size", "256M", "--seconds", seconds, "--delay", DELAY, NULL };
	uint64_t moved[NR_WAYS] = { 0 };
	int rc = 0;

	memset(s, 0, sizeof(s));
	for (unsigned int i = 0; i < r->repeat && !rc; i++) {
		for (unsigned int w = 0; w < NR_WAYS && !rc; w++) {
			char out[2048];

			rc = run_once(paths, argv, &ways[w], out, sizeof(out), &moved[w], e);
			for (unsigned int k = 0; k < 4 && !rc; k++)
				rc = figure(out, marks[k], &s[w][k], e);
		}
	}
	for (unsigned int w = STOPPED; w < NR_WAYS; w++) {
		for (unsigned int k = 0; k < 4; k++) {
			struct bench_row *row = report_add(r, "", "us", ways[ALONE].name);

			snprintf(row->name, sizeof(row->name), "stall %s, %s", marks[k],
				 ways[w].name);
			row->umm_samples = s[w][k];
			row->other_samples = s[ALONE][k];
			row->target = k == 2 && w == STOPPED ? TARGET_VALUE_MAX : TARGET_NONE;
			row->limit = 5000;
		}
	}
	return rc;
}

int bench_stall(struct bench_report *r, const struct bench_paths *paths, unsigned int seconds,
		bool gups, bool stall, struct errmsg *e)
{
	char text[16];
	int rc = 0;

	snprintf(text, sizeof(text), "%u", seconds);
	if (gups)
		rc = gups_rows(r, paths, text, e);
	if (!rc && stall)
		rc = stall_rows(r, paths, text, e);
	return rc;
}
