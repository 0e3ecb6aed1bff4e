/* SPDX-License-Identifier: MIT */
/*
 * How well a sampling policy knows the working set: a program uses a quarter of
 * its memory, all of it long ago stored to, and the policy says how much it saw used.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/bench_reclaim.h"
#include "vmm/ctl_client.h"

#define POLICY       "damon"
#define WATCH_S      4
#define HOT_PERCENT  25.0
#define PAGES_TO_MIB (1.0 / 256)

static int ask(const char *name, double *estimate, struct errmsg *e)
{
	struct ctl_client client;
	json_t *r = NULL, *node;
	size_t i;
	int rc = ctl_client_open(&client, name, e);

	if (rc)
		return rc;
	rc = ctl_client_call(&client, json_pack("{s:s}", "op", "policy"), &r, e);
	*estimate = 0;
	json_array_foreach(json_object_get(r, "nodes"), i, node) *estimate +=
		json_number_value(json_object_get(json_object_get(node, "facts"), "frames_hit"));
	json_decref(r);
	ctl_client_close(&client);
	return rc;
}

static int watch(struct reclaim_bench *b, uint64_t bytes, double *estimate, struct errmsg *e)
{
	const struct timespec pause = { .tv_sec = WATCH_S };
	char mem[32], size[32], name[64];
	char *options[] = { "--mem", mem, "--thp", "never", "--policy", POLICY, NULL };
	char *argv[] = { "pattern", "--pattern", "set",           "--dense", "--size",
			 size,      "--ops",     "2000000000000", NULL };
	struct bench_start start = { .side = BENCH_UMM,
				     .name = name,
				     .options = options,
				     .argv = argv,
				     .in_fd = -1,
				     .out_fd = -1,
				     .err_fd = -1 };
	pid_t pid;
	int rc;

	snprintf(name, sizeof(name), "bench-%d-set", (int)getpid());
	snprintf(mem, sizeof(mem), "%lu", bytes + bytes / 4 + (32ul << 20));
	snprintf(size, sizeof(size), "%lu", bytes);
	rc = bench_spawn(&b->paths, &start, &pid, e);
	if (rc)
		return rc;
	nanosleep(&pause, NULL);
	rc = ask(name, estimate, e);
	kill(pid, SIGKILL);
	bench_wait(pid, NULL);
	return rc;
}

void bench_reclaim_working_set(struct reclaim_bench *b)
{
	static const char name[] = "working set as " POLICY " sees it";
	struct samples estimates = { .nr = 0 }, truth = { .nr = 0 };
	uint64_t bytes = 1ul << 20;
	double estimate = 0;
	struct errmsg e;

	/* The program rounds down to a power of two. */
	while (bytes * 2 <= b->bulk_bytes / 2)
		bytes *= 2;
	reclaim_say("the working set");
	for (unsigned int i = 0; i < b->repeat && i < 3 && !reclaim_stopped(); i++) {
		if (watch(b, bytes, &estimate, &e)) {
			reclaim_row_fail(b, name, &e);
			return;
		}
		samples_add(&estimates, estimate * PAGES_TO_MIB);
		samples_add(&truth, (double)(bytes >> 20) * HOT_PERCENT / 100);
	}
	reclaim_row(b, name, "MiB", &estimates, "the truth", &truth);
}
