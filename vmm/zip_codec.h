/* SPDX-License-Identifier: MIT */
/*
 * Compressing single pages: LZ4 or Zstandard.
 *
 * The libraries' working memory is in contexts, of which each thread needs one while it
 * works. They come from a pool; there is one at least, so that who finds no memory for
 * another waits and goes on.
 */
#ifndef VMM_ZIP_CODEC_H
#define VMM_ZIP_CODEC_H

#include <pthread.h>
#include <umm/types.h>

/* What does not get smaller than this is not worth unpacking again. */
#define ZIP_MAX_LEN (UMM_PAGE_SIZE - UMM_PAGE_SIZE / 8)

struct zip_context;

struct zip_codec {
	bool zstd;
	int level; /* zstd */
	pthread_mutex_t lock;
	pthread_cond_t returned;
	struct zip_context *idle;
};

/* 0 or -ENOMEM. */
int zip_codec_init(struct zip_codec *c, bool zstd, int level) UMM_MUST_CHECK;
void zip_codec_destroy(struct zip_codec *c);

struct zip_context *zip_context_get(struct zip_codec *c);
void zip_context_put(struct zip_codec *c, struct zip_context *x);

/* Length at *out, which is valid until the next call; 0: longer than ZIP_MAX_LEN. */
unsigned int zip_pack(const struct zip_codec *c, struct zip_context *x, const void *page,
		      const void **out);
/* 0, or -EIO: that was no packed page. */
int zip_unpack(const struct zip_codec *c, struct zip_context *x, const void *packed,
	       unsigned int len, void *page) UMM_MUST_CHECK;

#endif
