/* SPDX-License-Identifier: MIT */
/*
 * Physical limits, to be measured in the same run as what is held against them:
 * the swap device under io_uring alone, memory alone, a compressor alone.
 */
#ifndef VMM_BENCH_LIMIT_H
#define VMM_BENCH_LIMIT_H

#include <umm/types.h>

#include "vmm/errmsg.h"

/* A file on the same file system as the swap files, written to its end once. */
struct limit_file {
	int fd;
	uint64_t bytes;
	bool direct; /* false: this file system has no O_DIRECT, and the page cache is measured */
	void *buffer;
};

int limit_file_open(struct limit_file *f, const char *dir, uint64_t bytes,
		    struct errmsg *e) UMM_MUST_CHECK;
void limit_file_close(struct limit_file *f);

/* All of it once, 32 transfers of @block bytes in flight: bytes a nanosecond, which is GB/s. */
int limit_file_stream(struct limit_file *f, bool write, uint32_t block, double *gb_s,
		      struct errmsg *e) UMM_MUST_CHECK;
/*
 * Single pages at random places, one after the other: the median in us. The caller sleeps for
 * each, or with @look keeps its processor busy with looking for the answer.
 */
int limit_file_latency(struct limit_file *f, bool look, unsigned int reads, double *p50_us,
		       struct errmsg *e) UMM_MUST_CHECK;
/* Copying between two buffers of so many bytes, GB/s; 0: no memory. */
double limit_memcpy(uint64_t bytes);

#endif
