/* SPDX-License-Identifier: MIT */
/*
 * How well policies know the working set: a program uses a quarter of its memory,
 * all of it long ago stored to, and the policy says how much it saw used.
 *
 *	damon	samples a frame of each region by the clock: the share of the samples that
 *		were used, of each region's frames. What was stored to at the start counts
 *		until it was asked once, so it gets time for some samples a frame
 *	mglru	puts what page-table walks and reclaim found used into young generations,
 *		which only happens under pressure: a little is reclaimed again and again,
 *		and what is in the two youngest then is what was used
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/bench_reclaim.h"
#include "vmm/ctl_client.h"

#define HOT_PERCENT  25.0
#define PAGES_TO_MIB (1.0 / 256)
/* damon is asked when it took so many samples for each page, or after so long. */
#define SAMPLES_EACH 4u
#define WATCH_MS     30000
#define LOOK_MS      500
/* mglru: reclaim in so many steps, a pause after each, of this part of the memory. */
#define STEPS     8u
#define STEP_MS   300
#define STEP_PART 32u

/* Sums over the nodes of two of the policy's facts. */
static int ask(struct ctl_client *c, const char *const names[2], double out[2], struct errmsg *e)
{
	json_t *r = NULL, *node;
	size_t i;
	int rc = ctl_client_call(c, json_pack("{s:s}", "op", "policy"), &r, e);

	out[0] = out[1] = 0;
	json_array_foreach(json_object_get(r, "nodes"), i, node)
	{
		json_t *facts = json_object_get(node, "facts");

		for (unsigned int k = 0; k < 2; k++)
			out[k] += json_number_value(json_object_get(facts, names[k]));
	}
	json_decref(r);
	return rc;
}

static void pause_ms(long ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

static int estimate_damon(struct ctl_client *c, uint64_t bytes, double *estimate, struct errmsg *e)
{
	static const char *const names[2] = { "frames_used", "samples" };
	double facts[2] = { 0, 0 }, enough = (double)bytes / UMM_PAGE_SIZE * SAMPLES_EACH;
	int rc = 0;

	for (int ms = 0; ms < WATCH_MS && !rc && facts[1] < enough && !reclaim_stopped();
	     ms += LOOK_MS) {
		pause_ms(LOOK_MS);
		rc = ask(c, names, facts, e);
	}
	*estimate = facts[0];
	return rc;
}

static int estimate_mglru(struct ctl_client *c, uint64_t bytes, double *estimate, struct errmsg *e)
{
	static const char *const names[2] = { "youngest", "second" };
	double facts[2] = { 0, 0 };
	json_t *r = NULL;
	int rc = 0;

	for (unsigned int i = 0; i < STEPS && !rc && !reclaim_stopped(); i++) {
		rc = ctl_client_call(c,
				     json_pack("{s:s, s:I}", "op", "reclaim", "bytes",
					       (json_int_t)(bytes / STEP_PART)),
				     &r, e);
		json_decref(r);
		r = NULL;
		pause_ms(STEP_MS);
	}
	if (!rc)
		rc = ask(c, names, facts, e);
	*estimate = facts[0] + facts[1];
	return rc;
}

static const struct estimator {
	const char *policy;
	int (*estimate)(struct ctl_client *c, uint64_t bytes, double *estimate, struct errmsg *e);
} estimators[] = { { "damon", estimate_damon }, { "mglru", estimate_mglru } };

static int watch(struct reclaim_bench *b, const struct estimator *est, uint64_t bytes,
		 double *estimate, struct errmsg *e)
{
	char mem[32], size[32], name[64];
	char *options[] = {
		"--mem", "", "--thp", "never", "--swap", "lz4:1G", "--policy", "", NULL
	};
	char *argv[] = { "pattern", "--pattern", "set",           "--dense", "--size",
			 size,      "--ops",     "2000000000000", NULL };
	struct bench_start start = { .side = BENCH_UMM,
				     .name = name,
				     .options = options,
				     .argv = argv,
				     .in_fd = -1,
				     .out_fd = -1,
				     .err_fd = -1 };
	struct ctl_client client;
	pid_t pid;
	int rc;

	options[1] = mem;
	options[7] = (char *)(uintptr_t)est->policy;
	snprintf(name, sizeof(name), "bench-%d-set", (int)getpid());
	snprintf(mem, sizeof(mem), "%lu", bytes + bytes / 4 + (32ul << 20));
	snprintf(size, sizeof(size), "%lu", bytes);
	rc = bench_spawn(&b->paths, &start, &pid, e);
	if (rc)
		return rc;
	/* It needs that to store to all of its memory. */
	pause_ms(1000);
	rc = ctl_client_open(&client, name, e);
	if (!rc) {
		rc = est->estimate(&client, bytes, estimate, e);
		ctl_client_close(&client);
	}
	kill(pid, SIGKILL);
	bench_wait(pid, NULL);
	return rc;
}

static void measure(struct reclaim_bench *b, const struct estimator *est, uint64_t bytes)
{
	struct samples estimates = { .nr = 0 }, truth = { .nr = 0 };
	double estimate = 0;
	struct errmsg e;
	char name[48];

	snprintf(name, sizeof(name), "working set as %s sees it", est->policy);
	for (unsigned int i = 0; i < b->repeat && i < 3 && !reclaim_stopped(); i++) {
		if (watch(b, est, bytes, &estimate, &e)) {
			report_add_failed(&b->report, name, &e);
			return;
		}
		samples_add(&estimates, estimate * PAGES_TO_MIB);
		samples_add(&truth, (double)(bytes >> 20) * HOT_PERCENT / 100);
	}
	reclaim_row(b, name, "MiB", &estimates, "the truth", &truth);
}

void bench_reclaim_working_set(struct reclaim_bench *b)
{
	uint64_t bytes = 1ul << 20;

	/* The program rounds down to a power of two. */
	while (bytes * 2 <= b->bulk_bytes / 2)
		bytes *= 2;
	reclaim_say("the working set");
	for (unsigned int i = 0; i < sizeof(estimators) / sizeof(estimators[0]); i++)
		measure(b, &estimators[i], bytes);
}
