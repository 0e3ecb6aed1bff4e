/* SPDX-License-Identifier: MIT */
/*
 * A program runs in a guest of two nodes for some seconds, alternately left alone
 * and with all of its memory moved to and fro for ever: at the pace that `umm migrate`
 * has by default, which rests between pieces while the guest runs, and without rests
 * in each of the two ways. Its own clock says how fast it was, or how long it stood
 * still.
 */
#include "vmm/bench_stall.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Seconds, long enough for a move there and back while the program waits. */
#define DELAY      3
#define DELAY_TEXT "4"

struct way {
	const char *name;
	const char *mode; /* NULL: not moved */
	bool gentle;
};

enum { ALONE, GENTLE, STOPPED, OPTIMISTIC, NR_WAYS };

static const struct way ways[NR_WAYS] = {
	[ALONE] = { "undisturbed", NULL, false },
	[GENTLE] = { "default pace", "auto", true },
	[STOPPED] = { "no rests, stop", "stop", false },
	[OPTIMISTIC] = { "no rests, optimistic", "optimistic", false },
};

static const struct way warm_up = { "warming up", "stop", false };

static bool ended_soon(const struct bench_moved *g)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (unsigned int i = 0; i < 500 && bench_moved_alive(g); i++)
		nanosleep(&pause, NULL);
	return !bench_moved_alive(g);
}

static int move_once(struct bench_moved *g, const struct way *way, uint64_t *moved,
		     struct errmsg *e)
{
	json_t *how = json_pack("{s:s, s:b}", "mode", way->mode, "gentle", way->gentle);
	json_t *result = NULL;
	int rc = bench_moved_migrate(g, how, &result, e);

	*moved += (uint64_t)json_integer_value(json_object_get(result, "moved"));
	json_decref(result);
	return rc;
}

/* Until the program ends. *moved: pages. */
static int move_on(struct bench_moved *g, const struct way *way, uint64_t *moved, struct errmsg *e)
{
	while (bench_moved_alive(g)) {
		struct errmsg why;
		int rc = move_once(g, way, moved, &why);

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
	const struct timespec second = { .tv_sec = 1 };
	uint64_t warm = 0;
	int rc = bench_moved_start(&g, paths, options, argv, e);

	if (rc)
		return rc;
	/* The host must first give the second node its memory. */
	rc = move_once(&g, &warm_up, &warm, e);
	if (!rc)
		rc = move_once(&g, &warm_up, &warm, e);
	/* The program still waits: what is moved now would be moved at full speed. */
	for (unsigned int i = 0; i < DELAY; i++)
		nanosleep(&second, NULL);
	if (!rc && way->mode)
		rc = move_on(&g, way, moved, e);
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
	char *argv[] = {
		"gups", "--size", "256M", "--seconds", seconds, "--delay", DELAY_TEXT, NULL
	};
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
	for (unsigned int w = GENTLE; w < NR_WAYS; w++) {
		struct bench_row *row = report_add(r, "", "GUPS", ways[ALONE].name);

		snprintf(row->name, sizeof(row->name), "GUPS moved continuously, %s", ways[w].name);
		row->umm_samples = s[w];
		row->other_samples = s[ALONE];
		row->target = w == GENTLE ? TARGET_RATIO_MIN : TARGET_NONE;
		row->limit = 0.8;
		snprintf(row->note, sizeof(row->note),
			 "%lu pages moved in %u runs of %s s: %.0f MB/s", moved[w], s[w].nr,
			 seconds,
			 (double)moved[w] * UMM_PAGE_SIZE / 1e6 /
				 (s[w].nr * strtod(seconds, NULL) + 1e-9));
	}
	return rc;
}

/* ---- gaps --------------------------------------------------------------- */

static int stall_rows(struct bench_report *r, const struct bench_paths *paths, char *seconds,
		      struct errmsg *e)
{
	static const char *const marks[] = { "p50 ", "p99 ", "p99.9 ", "max " };
	static struct samples s[NR_WAYS][4];
	char *argv[] = { "stall", "--size",  "256M",     "--seconds",
			 seconds, "--delay", DELAY_TEXT, NULL };
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
	for (unsigned int w = GENTLE; w < NR_WAYS; w++) {
		for (unsigned int k = 0; k < 4; k++) {
			struct bench_row *row = report_add(r, "", "us", ways[ALONE].name);

			snprintf(row->name, sizeof(row->name), "stall %s, %s", marks[k],
				 ways[w].name);
			row->umm_samples = s[w][k];
			row->other_samples = s[ALONE][k];
			row->target = k == 2 && w == GENTLE ? TARGET_VALUE_MAX : TARGET_NONE;
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
