/* SPDX-License-Identifier: MIT */
/*
 * Mechanisms: a program that rests is paged out whole, then touches its memory
 * again. Bytes count when they were given back, not when they were written. Each
 * round takes, in turns: the device's or compressor's own limit, a guest, and a native process
 * in a memory cgroup under the kernel's swap of the same kind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bench_bulk.h"
#include "vmm/bench_compress.h"

#define GIB (1ul << 30)

/* ---- one side's round ---------------------------------------------------------- */

static double number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

/* What the guest's areas say about what they hold now. */
static void note_compression(struct bench_paged *p, struct side *s)
{
	struct errmsg ignored;
	json_t *stat, *a;
	size_t i;

	if (paged_control(p, json_pack("{s:s}", "op", "stat"), &stat, &ignored))
		return;
	json_array_foreach(json_object_get(json_object_get(stat, "swap"), "areas"), i, a)
	{
		if (number(a, "ratio_percent") > 0)
			samples_add(&s->stored, number(a, "ratio_percent") / 100);
	}
	json_decref(stat);
}

static int page_out(struct bench_paged *p, struct side *s, struct errmsg *e)
{
	struct paged_out out;
	int rc = paged_ask(p, "fill", NULL, e);

	if (!rc)
		rc = paged_out(p, &out, e);
	if (rc)
		return rc;
	samples_add(&s->freed, (double)out.freed / out.ns);
	if (out.first_ns > 0)
		samples_add(&s->first, (double)out.freed / out.first_ns);
	if (p->connected)
		note_compression(p, s);
	samples_add(&s->cpu, out.cpu_ns / 1e9 / ((double)out.freed / (double)GIB));
	return 0;
}

static int page_in_sequential(struct bench_paged *p, struct side *s, struct errmsg *e)
{
	json_t *r;
	int rc = paged_ask(p, "sequential", &r, e);

	if (rc)
		return rc;
	samples_add(&s->in_seq, number(r, "pages") * (double)UMM_PAGE_SIZE / number(r, "ns"));
	json_decref(r);
	return 0;
}

static int page_in_random(struct bench_paged *p, struct side *s, bool quick, struct errmsg *e)
{
	json_t *r, *q;
	int rc = paged_ask(p, quick ? "random 500" : "random 2000", &r, e);

	if (rc)
		return rc;
	q = json_object_get(r, "slow_ns");
	if (number(r, "slow") > 0) {
		samples_add(&s->in_p50, json_number_value(json_array_get(q, 0)) / 1e3);
		samples_add(&s->in_p99, json_number_value(json_array_get(q, 2)) / 1e3);
		samples_add(&s->in_p999, json_number_value(json_array_get(q, 3)) / 1e3);
	}
	json_decref(s->histogram);
	s->histogram = json_incref(json_object_get(r, "histogram"));
	json_decref(r);
	return 0;
}

/* "null" keeps nothing, so nothing may be read again. */
static int round_of(struct bulk *k, struct bench_paged *p, struct side *s, struct errmsg *e)
{
	int rc = page_out(p, s, e);

	if (rc || bulk_is(k, "null"))
		return rc;
	rc = page_in_sequential(p, s, e);
	if (!rc)
		rc = page_out(p, s, e);
	if (!rc)
		rc = page_in_random(p, s, k->b->quick, e);
	return rc;
}

/* ---- limits --------------------------------------------------------------------- */

static int compressor_alone(struct bulk *k, struct errmsg *e)
{
	struct compress_limit c;
	int rc = compress_limit(bulk_is(k, "zstd"), 4096, &c);

	if (rc)
		return errmsg_set(e, rc, "%s alone: %s", k->backend, strerror(-rc));
	samples_add(&k->write, c.out_gb_s);
	samples_add(&k->wanted_in, c.in_us + k->b->exit_us);
	k->ratio = c.ratio;
	return 0;
}

/* The device is as fast as the better way of waiting for it. */
static int round_of_reads(struct bulk *k, struct errmsg *e)
{
	unsigned int reads = k->b->quick ? 300 : 1000;
	double asleep, looking;
	int rc = limit_file_latency(&k->file, false, reads, &asleep, e);

	if (!rc)
		rc = limit_file_latency(&k->file, true, reads, &looking, e);
	if (rc)
		return rc;
	samples_add(&k->asleep, asleep);
	samples_add(&k->looking, looking);
	samples_add(&k->wanted_in, (looking < asleep ? looking : asleep) + k->b->exit_us + 5);
	return 0;
}

static int round_of_limits(struct bulk *k, struct errmsg *e)
{
	static const uint32_t blocks[] = { 64 << 10, 256 << 10, 1 << 20 };
	double v, best = 0;
	int rc = 0;

	if (bulk_is(k, "ram"))
		samples_add(&k->write, limit_memcpy(k->b->bulk_bytes / 2));
	if (bulk_is(k, "lz4") || bulk_is(k, "zstd"))
		return compressor_alone(k, e);
	if (!bulk_is(k, "file"))
		return 0;
	for (unsigned int i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && !rc; i++) {
		rc = limit_file_stream(&k->file, true, blocks[i], &v, e);
		best = v > best ? v : best;
	}
	if (!rc)
		samples_add(&k->write, best);
	if (!rc)
		rc = limit_file_stream(&k->file, false, 256 << 10, &v, e);
	if (!rc)
		samples_add(&k->read, v);
	return rc ? rc : round_of_reads(k, e);
}

/* ---- both sides ------------------------------------------------------------------ */

static int start_guest(struct bulk *k, struct errmsg *e)
{
	char spec[PATH_MAX], mem[32];
	char *options[] = { "--mem", mem, "--swap", spec, NULL };
	uint64_t bytes = k->b->bulk_bytes;

	snprintf(mem, sizeof(mem), "%lu", bytes + bytes / 8 + (64ul << 20));
	if (!reclaim_swap_spec(k->b, k->backend, bytes + bytes / 4, spec, sizeof(spec)))
		return errmsg_set(e, -EINVAL, "there is no back end '%s'", k->backend);
	return paged_start(&k->guest, &k->b->paths, options, NULL, bytes, "heap", e);
}

static int start_process(struct bulk *k, struct errmsg *e)
{
	uint64_t bytes = k->b->bulk_bytes;
	int rc;

	if (!k->b->kernel)
		return errmsg_set(e, -ENOTSUP, "not asked for (--against kernel)");
	if (bulk_is(k, "file"))
		rc = kernel_swap_file(&k->swap, k->b->dir, bytes + bytes / 4, e);
	else if (bulk_is(k, "lz4") || bulk_is(k, "zstd"))
		rc = kernel_swap_zram(&k->swap, k->backend, bytes + bytes / 4, e);
	else
		rc = errmsg_set(e, -ENOTSUP, "the kernel has nothing of this kind");
	if (!rc)
		rc = bench_cgroup_create(&k->cgroup, e);
	if (!rc)
		rc = paged_start(&k->process, &k->b->paths, NULL, &k->cgroup, bytes, "heap", e);
	return rc;
}

static void stop_process(struct bulk *k)
{
	paged_stop(&k->process);
	bench_cgroup_destroy(&k->cgroup);
	kernel_swap_off(&k->swap);
	k->has_kernel = false;
}

static int run_rounds(struct bulk *k, struct errmsg *e)
{
	struct errmsg why;
	int rc = 0;

	for (unsigned int i = 0; i < k->b->repeat && !rc; i++) {
		if (reclaim_stopped())
			return errmsg_set(e, -EINTR, "stopped");
		rc = round_of_limits(k, e);
		if (!rc)
			rc = round_of(k, &k->guest, &k->umm, e);
		if (!rc && k->has_holes && round_of(k, &k->holed, &k->hole, &why)) {
			snprintf(k->why_no_holes, sizeof(k->why_no_holes), "%.250s", why.text);
			paged_stop(&k->holed);
			k->has_holes = false;
		}
		if (!rc && k->has_kernel && round_of(k, &k->process, &k->kernel, &why)) {
			snprintf(k->why_not, sizeof(k->why_not), "%.250s", why.text);
			stop_process(k);
		}
	}
	return rc;
}

void bench_reclaim_bulk(struct reclaim_bench *b, const char *backend)
{
	struct bulk *k = calloc(1, sizeof(*k));
	struct errmsg e = { .text = "out of memory" };
	char name[48];
	int rc = k ? 0 : -ENOMEM;

	if (rc)
		goto failed;
	*k = (struct bulk){ .b = b, .backend = backend };
	k->guest.fd = k->process.fd = k->holed.fd = k->file.fd = k->cgroup.procs_fd = -1;
	reclaim_say("paging out and in, %s", backend);
	if (bulk_is(k, "file"))
		rc = limit_file_open(&k->file, b->dir, b->bulk_bytes, &e);
	if (!rc && bulk_is(k, "nbd") &&
	    bench_nbd_start(&k->server, b->dir, b->bulk_bytes + b->bulk_bytes / 4, &e)) {
		reclaim_row_skip(b, "nbd: paging out and in", e.text);
		goto out;
	}
	if (!rc)
		rc = start_guest(k, &e);
	if (rc)
		goto failed;
	k->has_kernel = !start_process(k, &e);
	if (!k->has_kernel) {
		snprintf(k->why_not, sizeof(k->why_not), "%.250s", e.text);
		stop_process(k);
	}
	k->has_holes = b->holes && !bulk_hole_start(k, &e);
	if (b->holes && !k->has_holes)
		snprintf(k->why_no_holes, sizeof(k->why_no_holes), "%.250s", e.text);
	rc = run_rounds(k, &e);
	bulk_report(k);
failed:
	if (rc) {
		snprintf(name, sizeof(name), "%s: paging out and in", backend);
		report_add_failed(&b->report, name, &e);
	}
	if (!k)
		return;
out:
	paged_stop(&k->guest);
	paged_stop(&k->holed);
	bench_nbd_stop(&k->server);
	stop_process(k);
	limit_file_close(&k->file);
	reclaim_swap_remove(b);
	json_decref(k->umm.histogram);
	json_decref(k->kernel.histogram);
	json_decref(k->hole.histogram);
	free(k);
}
