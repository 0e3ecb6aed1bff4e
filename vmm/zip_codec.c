/* SPDX-License-Identifier: MIT */
#include "vmm/zip_codec.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <zstd.h>

struct zip_context {
	struct zip_context *next;
	void *lz4;
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
	uint8_t out[ZIP_MAX_LEN];
};

static void context_free(struct zip_context *x)
{
	free(x->lz4);
	ZSTD_freeCCtx(x->pack);
	ZSTD_freeDCtx(x->unpack);
	free(x);
}

static struct zip_context *context_new(const struct zip_codec *c)
{
	struct zip_context *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	if (c->zstd) {
		x->pack = ZSTD_createCCtx();
		x->unpack = ZSTD_createDCtx();
	} else {
		x->lz4 = malloc((size_t)LZ4_sizeofState());
	}
	if (c->zstd ? x->pack && x->unpack : !!x->lz4)
		return x;
	context_free(x);
	return NULL;
}

int zip_codec_init(struct zip_codec *c, bool zstd, int level)
{
	c->zstd = zstd;
	c->level = level;
	c->idle = context_new(c);
	if (!c->idle)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->returned, NULL);
	return 0;
}

void zip_codec_destroy(struct zip_codec *c)
{
	while (c->idle) {
		struct zip_context *x = c->idle;

		c->idle = x->next;
		context_free(x);
	}
	pthread_cond_destroy(&c->returned);
	pthread_mutex_destroy(&c->lock);
}

struct zip_context *zip_context_get(struct zip_codec *c)
{
	struct zip_context *x;

	pthread_mutex_lock(&c->lock);
	while (!c->idle) {
		pthread_mutex_unlock(&c->lock);
		x = context_new(c);
		if (x)
			return x;
		pthread_mutex_lock(&c->lock);
		if (!c->idle)
			pthread_cond_wait(&c->returned, &c->lock);
	}
	x = c->idle;
	c->idle = x->next;
	pthread_mutex_unlock(&c->lock);
	return x;
}

void zip_context_put(struct zip_codec *c, struct zip_context *x)
{
	pthread_mutex_lock(&c->lock);
	x->next = c->idle;
	c->idle = x;
	pthread_cond_signal(&c->returned);
	pthread_mutex_unlock(&c->lock);
}

unsigned int zip_pack(const struct zip_codec *c, struct zip_context *x, const void *page,
		      const void **out)
{
	size_t len;

	*out = x->out;
	if (!c->zstd)
		return (unsigned int)LZ4_compress_fast_extState(x->lz4, page, (char *)x->out,
								UMM_PAGE_SIZE, ZIP_MAX_LEN, 1);
	len = ZSTD_compressCCtx(x->pack, x->out, ZIP_MAX_LEN, page, UMM_PAGE_SIZE, c->level);
	return ZSTD_isError(len) ? 0 : (unsigned int)len;
}

int zip_unpack(const struct zip_codec *c, struct zip_context *x, const void *packed,
	       unsigned int len, void *page)
{
	size_t got;

	if (c->zstd)
		got = ZSTD_decompressDCtx(x->unpack, page, UMM_PAGE_SIZE, packed, len);
	else
		got = (size_t)LZ4_decompress_safe(packed, page, (int)len, UMM_PAGE_SIZE);
	return got == UMM_PAGE_SIZE ? 0 : -EIO;
}
