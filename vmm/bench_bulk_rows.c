/* SPDX-License-Identifier: MIT */
#include "vmm/bench_bulk.h"

static void name_of(const struct bulk *k, const char *what, char name[48])
{
	snprintf(name, 48, "%s: %s", k->backend, what);
}

struct bench_row *bulk_row(struct bulk *k, const char *what, const char *unit,
			   const struct samples *umm, const char *other,
			   const struct samples *samples)
{
	char name[48];

	name_of(k, what, name);
	if (!umm->nr || (samples && !samples->nr))
		return NULL;
	return reclaim_row(k->b, name, unit, umm, other, samples);
}

static void target(struct bench_row *row, enum bench_target kind, double limit)
{
	if (!row)
		return;
	row->target = kind;
	row->limit = limit;
}

static void rows_out(struct bulk *k)
{
	struct bench_row *row;
	const char *kernel = bulk_is(k, "file") ? "MADV_PAGEOUT, freed" : "zram MADV_PAGEOUT";
	struct samples us = k->umm.freed;

	row = bulk_row(k, "freed", "GB/s", &k->umm.freed,
		       bulk_is(k, "file")  ? "io_uring limit"
		       : bulk_is(k, "ram") ? "memcpy limit"
					   : "compressor's limit",
		       &k->write);
	if (row && k->ratio > 0)
		snprintf(row->note, sizeof(row->note), "alone it stores %.2f bytes in one",
			 k->ratio);
	if (bulk_is(k, "file"))
		target(row, TARGET_RATIO_MIN, 0.8);
	row = bulk_row(k, "freed", "GB/s", &k->umm.freed, kernel, &k->kernel.freed);
	target(row, TARGET_RATIO_MIN, bulk_is(k, "file") ? 2.0 : 1.5);
	if (row && k->kernel.first.nr)
		snprintf(row->note, sizeof(row->note),
			 "the call alone: %.2f GB/s, before the pass that frees",
			 samples_median(&k->kernel.first));
	for (unsigned int i = 0; i < us.nr; i++)
		us.v[i] = (double)UMM_PAGE_SIZE / 1e3 / us.v[i];
	row = bulk_row(k, "unmapped, stored, freed", "us/page", &us, "", NULL);
	if (bulk_is(k, "null"))
		target(row, TARGET_VALUE_MAX, 0.6);
	if (bulk_is(k, "lz4"))
		target(row, TARGET_VALUE_MAX, 6.0);
	bulk_row(k, "processor time", "s/GiB", &k->umm.cpu, k->kernel.cpu.nr ? kernel : "",
		 k->kernel.cpu.nr ? &k->kernel.cpu : NULL);
}

static void rows_in(struct bulk *k)
{
	const struct samples *none = NULL;
	struct bench_row *row;

	if (bulk_is(k, "file")) {
		row = bulk_row(k, "swap-in p50", "us", &k->umm.in_p50, "device + exit + 5 us",
			       &k->wanted_in);
		target(row, TARGET_RATIO_MAX, 1.0);
		if (row)
			snprintf(row->note, sizeof(row->note),
				 "a read alone: %.0f us looked for, %.0f us slept for",
				 samples_median(&k->looking), samples_median(&k->asleep));
	}
	if (bulk_is(k, "lz4") || bulk_is(k, "zstd"))
		target(bulk_row(k, "swap-in p50", "us", &k->umm.in_p50, "decompress + exit",
				&k->wanted_in),
		       TARGET_RATIO_MAX, 1.0);
	bulk_row(k, "swap-in p50", "us", &k->umm.in_p50, k->has_kernel ? "kernel" : "",
		 k->has_kernel ? &k->kernel.in_p50 : none);
	bulk_row(k, "swap-in p99", "us", &k->umm.in_p99, k->has_kernel ? "kernel" : "",
		 k->has_kernel ? &k->kernel.in_p99 : none);
	bulk_row(k, "swap-in p99.9", "us", &k->umm.in_p999, k->has_kernel ? "kernel" : "",
		 k->has_kernel ? &k->kernel.in_p999 : none);
	row = bulk_row(k, "sequential swap-in", "GB/s", &k->umm.in_seq,
		       bulk_is(k, "file") ? "io_uring limit" : "",
		       bulk_is(k, "file") ? &k->read : none);
	if (bulk_is(k, "file")) {
		double share = 0.75 * samples_median(&k->read);

		target(row, TARGET_VALUE_MIN, share < 0.7 ? share : 0.7);
	}
	if (k->has_kernel)
		bulk_row(k, "sequential swap-in", "GB/s", &k->umm.in_seq, "kernel",
			 &k->kernel.in_seq);
}

static void keep_histogram(struct bulk *k, const char *side, json_t *histogram)
{
	char name[80];

	snprintf(name, sizeof(name), "%s, %s", k->backend, side);
	if (histogram)
		json_array_append_new(k->b->latency, json_pack("{s:s, s:O}", "name", name,
							       "histogram", histogram));
}

static void row_stored(struct bulk *k)
{
	struct samples zram = { .nr = 0 };
	uint64_t stored, taken;

	if (k->has_kernel && k->swap.zram >= 0 &&
	    !kernel_swap_compressed(&k->swap, &stored, &taken) && taken)
		samples_add(&zram, (double)stored / (double)taken);
	bulk_row(k, "stored in one byte", "bytes", &k->umm.stored, zram.nr ? "zram" : "",
		 zram.nr ? &zram : NULL);
}

void bulk_report(struct bulk *k)
{
	char name[48];

	rows_out(k);
	rows_in(k);
	row_stored(k);
	keep_histogram(k, "umm", k->umm.histogram);
	keep_histogram(k, "kernel", k->kernel.histogram);
	keep_histogram(k, "hole", k->hole.histogram);
	if (k->b->holes)
		bulk_hole_report(k);
	if (!k->kernel.freed.nr &&
	    (bulk_is(k, "file") || bulk_is(k, "lz4") || bulk_is(k, "zstd"))) {
		name_of(k, "kernel", name);
		reclaim_row_skip(k->b, name, k->why_not);
	}
}
