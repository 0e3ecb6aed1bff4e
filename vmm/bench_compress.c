/* SPDX-License-Identifier: MIT */
#include "vmm/bench_compress.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "guest/workloads/content.h"
#include "vmm/vm.h"

#define ZSTD_LEVEL 3
#define ROOM       (UMM_PAGE_SIZE + 512)

struct presser {
	bool zstd;
	ZSTD_CCtx *out;
	ZSTD_DCtx *in;
};

/* Bytes that the page takes, 0 for an error. */
static size_t press(const struct presser *p, const char *page, char *to)
{
	size_t n;

	if (!p->zstd)
		return (size_t)LZ4_compress_default(page, to, UMM_PAGE_SIZE, ROOM);
	n = ZSTD_compressCCtx(p->out, to, ROOM, page, UMM_PAGE_SIZE, ZSTD_LEVEL);
	return ZSTD_isError(n) ? 0 : n;
}

static bool unpress(const struct presser *p, const char *from, size_t len, char *page)
{
	if (!p->zstd)
		return LZ4_decompress_safe(from, page, (int)len, UMM_PAGE_SIZE) ==
		       (int)UMM_PAGE_SIZE;
	return ZSTD_decompressDCtx(p->in, page, UMM_PAGE_SIZE, from, len) == UMM_PAGE_SIZE;
}

static int measure(const struct presser *p, char *pages, char *room, uint64_t nr,
		   struct compress_limit *out)
{
	uint64_t taken = 0, start = vm_now_ns(), ns;
	char back[UMM_PAGE_SIZE];
	size_t len = 0;

	for (uint64_t i = 0; i < nr; i++) {
		len = press(p, pages + i * UMM_PAGE_SIZE, room);
		if (!len)
			return -EIO;
		taken += len;
	}
	ns = vm_now_ns() - start;
	out->out_gb_s = (double)(nr * UMM_PAGE_SIZE) / (double)(ns ? ns : 1);
	out->ratio = (double)(nr * UMM_PAGE_SIZE) / (double)taken;
	start = vm_now_ns();
	for (uint64_t i = 0; i < nr; i++)
		if (!unpress(p, room, len, back))
			return -EIO;
	out->in_us = (double)(vm_now_ns() - start) / 1e3 / (double)nr;
	return memcmp(back, pages + (nr - 1) * UMM_PAGE_SIZE, UMM_PAGE_SIZE) ? -EIO : 0;
}

int compress_limit(bool zstd, uint64_t pages, struct compress_limit *out)
{
	struct presser p = { .zstd = zstd, .out = ZSTD_createCCtx(), .in = ZSTD_createDCtx() };
	char *memory = malloc(pages * UMM_PAGE_SIZE), *room = malloc(ROOM);
	int rc = -ENOMEM;

	if (memory && room && p.out && p.in) {
		for (uint64_t i = 0; i < pages; i++)
			content_fill((uint64_t *)(void *)(memory + i * UMM_PAGE_SIZE), i,
				     CONTENT_HEAP);
		rc = measure(&p, memory, room, pages, out);
	}
	free(memory);
	free(room);
	ZSTD_freeCCtx(p.out);
	ZSTD_freeDCtx(p.in);
	return rc;
}
