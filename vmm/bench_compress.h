/* SPDX-License-Identifier: MIT */
/* What the compressors cost alone, on pages of the content that the workloads have. */
#ifndef VMM_BENCH_COMPRESS_H
#define VMM_BENCH_COMPRESS_H

#include <umm/types.h>

struct compress_limit {
	double out_gb_s; /* pages in, one core, each on its own */
	double in_us;    /* one page back */
	double ratio;    /* bytes stored in one byte */
};

/* @zstd: Zstandard at its default level, else LZ4. -ENOMEM, -EIO. */
int compress_limit(bool zstd, uint64_t pages, struct compress_limit *out) UMM_MUST_CHECK;

#endif
