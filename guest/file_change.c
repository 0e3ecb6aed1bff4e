/* SPDX-License-Identifier: MIT */
/* Coherence of host files with mappings of them; guest/file_change.h tells how. */
#include "guest/file_change.h"
#include "guest/filemap.h"

int file_cache_before_read(const struct gfile *g, uint64_t off, uint64_t len)
{
	struct address_space *cache = gfile_cache(g);
	int r;

	if (!cache)
		return 0;
	r = mapping_flush(cache, off, len);
	mapping_put(cache);
	return r;
}

int file_change_begin(const struct gfile *g, uint64_t off, uint64_t len, struct file_change *c)
{
	int r;

	c->cache = gfile_cache(g);
	if (!c->cache)
		return 0;
	r = mapping_flush(c->cache, off, len);
	if (r)
		mapping_put(c->cache);
	else
		mapping_hold(c->cache, &c->hold, off, len);
	return r;
}

/* The file looks as we left it, and is anybody's again. */
static void release(struct file_change *c)
{
	filemap_restamp(c->cache);
	mapping_unhold(c->cache, &c->hold);
	mapping_put(c->cache);
}

void file_change_end(struct file_change *c, uint64_t off, uint64_t len)
{
	if (!c->cache)
		return;
	/* A page that cannot be read again must not be seen with the old bytes. */
	if (mapping_refresh(c->cache, off, len))
		mapping_invalidate(c->cache);
	release(c);
}

void file_cut_begin(struct address_space *cache, uint64_t size, struct file_change *c)
{
	c->cache = cache;
	if (cache)
		mapping_hold(cache, &c->hold, size, UINT64_MAX - size);
}

void file_cut_end(struct file_change *c, bool done)
{
	if (!c->cache)
		return;
	if (done)
		mapping_truncate(c->cache, c->hold.start);
	release(c);
}
