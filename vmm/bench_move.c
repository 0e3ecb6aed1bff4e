/* SPDX-License-Identifier: MIT */
/*
 * One guest of two nodes runs the checker over 512 MiB. Its memory is moved to
 * and fro, first while it is stopped, then while it runs; then it is reclaimed
 * while stopped, and comes back by the checker's own faults. The checker's
 * verdict at the end counts as well: figures of a guest that lost a store are
 * worth nothing.
 */
#include "vmm/bench_move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm/ctl_client.h"
#include "vmm/vm.h"

#define MOVE_BYTES (512ul << 20)
#define MOVE_PAGES (MOVE_BYTES >> UMM_PAGE_SHIFT)
#define WAIT_NS    180000000000ull
/* Pages that the checker touches all the time count as back with fewer than all. */
#define BACK_PAGES (MOVE_PAGES - MOVE_PAGES / 50)

struct mover {
	struct bench_report *report;
	unsigned int repeat;
	struct bench_guest guest;
	struct ctl_client client;
	int node; /* where the memory is */
};

static void sleep_ms(long ms)
{
	const struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- asking the guest --------------------------------------------------- */

static int connect_guest(struct mover *m, struct errmsg *e)
{
	uint64_t end = vm_now_ns() + 10000000000ull;
	int rc;

	do {
		rc = ctl_client_open(&m->client, m->guest.name, e);
		if (rc)
			sleep_ms(20);
	} while (rc == -ENOENT && vm_now_ns() < end);
	return rc;
}

static uint64_t resident_pages(const json_t *stat)
{
	uint64_t pages = 0;
	json_t *node;
	size_t i;

	json_array_foreach(json_object_get(stat, "numa"), i, node)
		pages += (uint64_t)json_integer_value(json_object_get(node, "anon"));
	return pages;
}

static bool all_stopped(const json_t *stat)
{
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(stat, "processes"), i,
			   p) if (strcmp(json_string_value(json_object_get(p, "state")),
					 "T")) return false;
	return true;
}

/* Until so many pages are in memory and, with @stopped, all processes stand still. */
static int wait_until(struct mover *m, uint64_t pages, bool stopped, struct errmsg *e)
{
	uint64_t end = vm_now_ns() + WAIT_NS;
	bool reached;
	json_t *stat;
	int rc;

	while (vm_now_ns() < end) {
		rc = ctl_client_call(&m->client, json_pack("{s:s}", "op", "stat"), &stat, e);
		if (rc)
			return rc;
		reached = resident_pages(stat) >= pages && (!stopped || all_stopped(stat));
		json_decref(stat);
		if (reached)
			return 0;
		sleep_ms(50);
	}
	return errmsg_set(e, -ETIMEDOUT, "the guest did not get its memory back in time");
}

static int send_signal(struct mover *m, int sig, struct errmsg *e)
{
	json_t *result;
	int rc = ctl_client_call(&m->client, json_pack("{s:s, s:i}", "op", "kill", "signal", sig),
				 &result, e);

	json_decref(result);
	return rc;
}

static int stop_guest(struct mover *m, struct errmsg *e)
{
	int rc = send_signal(m, SIGSTOP, e);

	return rc ? rc : wait_until(m, 0, true, e);
}

/* ---- the other sides ---------------------------------------------------- */

static char *touched_memory(char fill)
{
	char *p =
		mmap(NULL, MOVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, MOVE_BYTES, MADV_HUGEPAGE);
	memset(p, fill, MOVE_BYTES);
	return p;
}

/* us a page of plain memcpy() between two touched buffers. */
static void time_memcpy(struct samples *out, unsigned int repeat)
{
	char *a = touched_memory(1), *b = touched_memory(2);
	uint64_t start;

	for (; a && b && repeat; repeat--) {
		start = vm_now_ns();
		memcpy(b, a, MOVE_BYTES);
		/* The copy must have happened: the compiler may not drop it. */
		__asm__ volatile("" ::"r"(b) : "memory");
		samples_add(out, (double)(vm_now_ns() - start) / 1e3 / MOVE_PAGES);
	}
	if (a)
		munmap(a, MOVE_BYTES);
	if (b)
		munmap(b, MOVE_BYTES);
}

static bool host_has_swap(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[256];
	int lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		fclose(f);
	return lines > 1;
}

/* us a page of the kernel's own MADV_PAGEOUT. */
static void time_pageout(struct samples *out, unsigned int repeat)
{
	uint64_t start;
	char *p;

	for (; repeat; repeat--) {
		p = touched_memory(3);
		if (!p)
			return;
		start = vm_now_ns();
		if (!madvise(p, MOVE_BYTES, MADV_PAGEOUT))
			samples_add(out, (double)(vm_now_ns() - start) / 1e3 / MOVE_PAGES);
		munmap(p, MOVE_BYTES);
	}
}

/* ---- moving ------------------------------------------------------------- */

static double us_per_page(const json_t *result, const char *what)
{
	double pages = (double)json_integer_value(json_object_get(result, what));
	double ns = (double)json_integer_value(json_object_get(result, "ns_total"));

	return pages > 0 ? ns / 1e3 / pages : 0;
}

static void note_split(struct bench_row *row, const json_t *r)
{
	double us = samples_median(&row->umm_samples);
	double moved = (double)json_integer_value(json_object_get(r, "moved")) * 1e3;

	if (moved <= 0 || us <= 0)
		return;
	snprintf(
		row->note, sizeof(row->note),
		"%.2f GB/s; last run: %lld of %lld pages; us/page: new frames %.2f, unmap %.2f, zap %.2f, copy "
		"%.2f, restore %.2f",
		(double)UMM_PAGE_SIZE / 1e3 / us, json_integer_value(json_object_get(r, "moved")),
		json_integer_value(json_object_get(r, "total")),
		(double)json_integer_value(json_object_get(r, "ns_alloc")) / moved,
		(double)json_integer_value(json_object_get(r, "ns_unmap")) / moved,
		(double)json_integer_value(json_object_get(r, "ns_zap")) / moved,
		(double)json_integer_value(json_object_get(r, "ns_copy")) / moved,
		(double)json_integer_value(json_object_get(r, "ns_restore")) / moved);
}

/* To the other node and, the next time, back. */
static int migrate_once(struct mover *m, json_t **result, struct errmsg *e)
{
	m->node = !m->node;
	return ctl_client_call(&m->client, json_pack("{s:s, s:i}", "op", "migrate", "to", m->node),
			       result, e);
}

static int time_migrations(struct mover *m, struct bench_row *row, struct errmsg *e)
{
	json_t *result;
	unsigned int i;
	int rc;

	for (i = 0; i < m->repeat; i++) {
		time_memcpy(&row->other_samples, 1);
		rc = migrate_once(m, &result, e);
		if (rc)
			return rc;
		if (us_per_page(result, "moved") > 0)
			samples_add(&row->umm_samples, us_per_page(result, "moved"));
		note_split(row, result);
		json_decref(result);
	}
	return 0;
}

/* Once each way unmeasured: the host must first give the second node its memory. */
static int warm_nodes(struct mover *m, struct errmsg *e)
{
	json_t *result = NULL;
	int rc = migrate_once(m, &result, e);

	json_decref(result);
	if (rc)
		return rc;
	rc = migrate_once(m, &result, e);
	json_decref(result);
	return rc;
}

static int migrate_rows(struct mover *m, struct errmsg *e)
{
	struct bench_row *row =
		report_add(m->report, "migrate 512 MiB, stopped", "us/page", "memcpy");
	int rc;

	row->target = TARGET_RATIO_MAX;
	row->limit = 1.3;
	rc = stop_guest(m, e);
	if (!rc)
		rc = warm_nodes(m, e);
	if (!rc)
		rc = time_migrations(m, row, e);
	if (!rc)
		rc = send_signal(m, SIGCONT, e);
	if (rc)
		return rc;
	row = report_add(m->report, "migrate 512 MiB, running", "us/page", "memcpy");
	return time_migrations(m, row, e);
}

static int time_reclaim(struct mover *m, struct bench_row *row, struct errmsg *e)
{
	json_t *result;
	int rc;

	rc = wait_until(m, BACK_PAGES, false, e);
	if (!rc)
		rc = stop_guest(m, e);
	if (!rc)
		rc = ctl_client_call(&m->client, json_pack("{s:s}", "op", "reclaim"), &result, e);
	if (rc)
		return rc;
	if (us_per_page(result, "freed") > 0)
		samples_add(&row->umm_samples, us_per_page(result, "freed"));
	snprintf(row->note, sizeof(row->note),
		 "%.2f GB/s freed; last run: %lld pages; host memory %lld to %lld MiB",
		 (double)UMM_PAGE_SIZE / 1e3 / samples_median(&row->umm_samples),
		 json_integer_value(json_object_get(result, "freed")),
		 json_integer_value(json_object_get(result, "rss_before_bytes")) >> 20,
		 json_integer_value(json_object_get(result, "rss_after_bytes")) >> 20);
	json_decref(result);
	return send_signal(m, SIGCONT, e);
}

static int reclaim_rows(struct mover *m, struct errmsg *e)
{
	struct bench_row *row =
		report_add(m->report, "reclaim 512 MiB, stopped", "us/page", "MADV_PAGEOUT");
	bool swap = host_has_swap();
	unsigned int i;
	size_t len;
	int rc = 0;

	for (i = 0; i < m->repeat && !rc; i++) {
		if (swap)
			time_pageout(&row->other_samples, 1);
		rc = time_reclaim(m, row, e);
	}
	row->target = swap ? TARGET_RATIO_MAX : TARGET_NONE;
	row->limit = 0.5;
	len = strlen(row->note);
	if (!swap)
		snprintf(row->note + len, sizeof(row->note) - len,
			 "; MADV_PAGEOUT skipped: this host has no swap");
	return rc;
}

/* The checker's verdict: status 1 says that a word was wrong. */
static void verdict_row(struct mover *m)
{
	struct bench_row *row = report_add(m->report, "checker's verdict", "status", "");
	int status = bench_guest_stop(&m->guest);

	samples_add(&row->umm_samples, status);
	row->target = TARGET_VALUE_MAX;
	row->failed = status != 0;
	if (!status)
		snprintf(row->note, sizeof(row->note),
			 "every word was as stored, through all moves");
	else if (status == 1)
		snprintf(row->note, sizeof(row->note), "memory was not what had been stored");
	else
		snprintf(row->note, sizeof(row->note), "the guest did not come to its end");
}

int bench_move(struct bench_report *r, const struct bench_paths *paths, unsigned int repeat,
	       struct errmsg *e)
{
	char *options[] = { "--nodes", "2", "--mem", "2G", "--swap", "1G", NULL };
	char *program[] = { "checker", "--size", "512M", NULL };
	struct mover m = { .report = r, .repeat = repeat };
	int rc;

	rc = bench_guest_start(paths, options, program, &m.guest, e);
	if (rc)
		return rc;
	rc = connect_guest(&m, e);
	if (!rc) {
		rc = wait_until(&m, MOVE_PAGES, false, e);
		if (!rc)
			rc = migrate_rows(&m, e);
		if (!rc)
			rc = reclaim_rows(&m, e);
		ctl_client_close(&m.client);
	}
	verdict_row(&m);
	return rc;
}
