/* SPDX-License-Identifier: MIT */
#include "vmm/backend_zip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- the coldest first --------------------------------------------------------- */

static enum zip_lru lru_of(uint8_t kind)
{
	return (kind & SLOT_KIND) == SLOT_PLAIN ? ZIP_LRU_PLAIN : ZIP_LRU_PACKED;
}

/* lru_lock held. */
static void lru_unlink(struct backend_zip *z, enum zip_lru l, uint32_t id)
{
	struct zip_link *k = &z->links[id];

	*(k->prev == ZIP_END ? &z->head[l] : &z->links[k->prev].next) = k->next;
	*(k->next == ZIP_END ? &z->tail[l] : &z->links[k->next].prev) = k->prev;
	k->next = 0;
}

/* lru_lock held. */
static void lru_append(struct backend_zip *z, enum zip_lru l, uint32_t id)
{
	z->links[id] = (struct zip_link){ .prev = z->tail[l], .next = ZIP_END };
	*(z->tail[l] == ZIP_END ? &z->head[l] : &z->links[z->tail[l]].next) = id;
	z->tail[l] = id;
}

void zip_lru_add(struct backend_zip *z, uint32_t slot, uint8_t kind)
{
	pthread_mutex_lock(&z->lru_lock);
	if (!z->links[slot + 1].next)
		lru_append(z, lru_of(kind), slot + 1);
	pthread_mutex_unlock(&z->lru_lock);
}

/* @append: it was used; else it is gone. */
static void lru_move(struct backend_zip *z, uint32_t slot, uint8_t kind, bool append)
{
	enum zip_lru l = lru_of(kind);

	pthread_mutex_lock(&z->lru_lock);
	if (z->links[slot + 1].next) {
		lru_unlink(z, l, slot + 1);
		if (append)
			lru_append(z, l, slot + 1);
	}
	pthread_mutex_unlock(&z->lru_lock);
}

bool zip_lru_take(struct backend_zip *z, uint32_t *slot)
{
	uint32_t id = ZIP_END;

	pthread_mutex_lock(&z->lru_lock);
	for (unsigned int l = 0; l < ZIP_LRU_NR && id == ZIP_END; l++) {
		id = z->head[l];
		if (id != ZIP_END)
			lru_unlink(z, (enum zip_lru)l, id);
	}
	pthread_mutex_unlock(&z->lru_lock);
	*slot = id - 1;
	return id != ZIP_END;
}

/* ---- slots; locked -------------------------------------------------------------- */

static void count_kind(struct backend_zip *z, uint8_t kind, int64_t delta)
{
	atomic_fetch_add_explicit(&z->nr[kind], (uint64_t)delta, memory_order_relaxed);
}

void zip_slot_clear(struct backend_zip *z, uint64_t slot)
{
	uint8_t kind = z->kind[slot] & SLOT_KIND;

	if (kind == SLOT_PACKED || kind == SLOT_PLAIN) {
		lru_move(z, (uint32_t)slot, kind, false);
		zpool_free(&z->pool, z->value[slot]);
	} else if (kind == SLOT_FILE) {
		zip_file_page_free(z, z->value[slot]);
	}
	if (kind != SLOT_EMPTY)
		count_kind(z, kind, -1);
	z->kind[slot] = SLOT_EMPTY;
}

void zip_slot_set(struct backend_zip *z, uint64_t slot, uint8_t kind, uint64_t value)
{
	z->kind[slot] = kind;
	z->value[slot] = value;
	count_kind(z, kind, 1);
}

int zip_slot_unpack(struct backend_zip *z, struct zip_context *x, uint64_t slot, void *page)
{
	unsigned int len;
	const void *data = zpool_at(&z->pool, z->value[slot], &len);

	if ((z->kind[slot] & SLOT_KIND) == SLOT_PACKED)
		return zip_unpack(&z->codec, x, data, len, page);
	memcpy(page, data, UMM_PAGE_SIZE);
	return 0;
}

/* ---- writing --------------------------------------------------------------------- */

static bool page_is_same(const uint64_t *w)
{
	for (unsigned int i = 1; i < UMM_PAGE_SIZE / sizeof(*w); i++)
		if (w[i] != w[0])
			return false;
	return true;
}

/* An object for the page, once. Slot locked and empty. */
static int store_object(struct backend_zip *z, uint64_t slot, const void *data, unsigned int len,
			bool packed)
{
	uint8_t kind = packed ? SLOT_PACKED : SLOT_PLAIN;
	unsigned int had;
	uint64_t handle;
	int rc = zpool_alloc(&z->pool, (uint32_t)slot, len, &handle);

	if (rc)
		return rc;
	memcpy(zpool_at(&z->pool, handle, &had), data, len);
	zip_slot_set(z, slot, kind, handle);
	zip_lru_add(z, (uint32_t)slot, kind);
	return 0;
}

static int write_page(struct backend_zip *z, struct zip_context *x, uint64_t slot, const void *page)
{
	const void *data = page;
	unsigned int len;
	int rc;

	if (page_is_same(page)) {
		slot_lock(z, slot);
		zip_slot_clear(z, slot);
		zip_slot_set(z, slot, SLOT_SAME, *(const uint64_t *)page);
		slot_unlock(z, slot);
		return 0;
	}
	len = zip_pack(&z->codec, x, page, &data);
	for (;;) {
		slot_lock(z, slot);
		zip_slot_clear(z, slot);
		rc = store_object(z, slot, len ? data : page, len ? len : UMM_PAGE_SIZE, len);
		slot_unlock(z, slot);
		if (rc != -ENOSPC)
			return rc;
		if (zip_compact(z))
			continue;
		rc = zip_writeback(z, x);
		if (rc < 0)
			return rc;
	}
}

static void write_one(struct backend_zip *z, struct zip_context *x, struct swap_io *io)
{
	const uint8_t *bytes = swap_io_bytes(&z->base, io);

	io->error = 0;
	for (uint32_t i = 0; i < io->nr && !io->error; i++)
		io->error = write_page(z, x, io->slot + i, bytes + i * UMM_PAGE_SIZE);
	zip_keeper_ask(z);
}

/* ---- reading --------------------------------------------------------------------- */

#define FILE_READS 64u

/* Pages that are in the file, read together. */
struct file_reads {
	struct file_io io[FILE_READS];
	struct swap_io *of[FILE_READS];
	unsigned int nr;
};

static void file_reads_run(struct backend_zip *z, struct file_reads *r)
{
	(void)!swap_engine_run(z->base.env.engine, r->io, r->nr);
	for (unsigned int i = 0; i < r->nr; i++)
		if (r->io[i].error)
			r->of[i]->error = r->io[i].error;
	r->nr = 0;
}

static void file_reads_add(struct backend_zip *z, struct file_reads *r, struct swap_io *io,
			   uint64_t page, void *buf)
{
	struct file_io *last = r->nr ? &r->io[r->nr - 1] : NULL;

	if (last && r->of[r->nr - 1] == io && last->offset + last->len == page << UMM_PAGE_SHIFT &&
	    (uint8_t *)last->buf + last->len == buf) {
		last->len += UMM_PAGE_SIZE;
		return;
	}
	if (r->nr == FILE_READS)
		file_reads_run(z, r);
	r->of[r->nr] = io;
	r->io[r->nr++] = (struct file_io){
		.fd = z->file.fd, .buf = buf, .offset = page << UMM_PAGE_SHIFT, .len = UMM_PAGE_SIZE
	};
}

static void fill_words(uint64_t *page, uint64_t word)
{
	for (unsigned int i = 0; i < UMM_PAGE_SIZE / sizeof(word); i++)
		page[i] = word;
}

/* The page of a slot; true: it is in the file, at *value. */
static bool read_page(struct backend_zip *z, struct zip_context *x, uint64_t slot, void *page,
		      uint64_t *value, int *error)
{
	uint8_t kind;

	slot_lock(z, slot);
	kind = z->kind[slot] & SLOT_KIND;
	*value = z->value[slot];
	if (kind == SLOT_SAME) {
		fill_words(page, *value);
	} else if (kind == SLOT_PACKED || kind == SLOT_PLAIN) {
		*error = zip_slot_unpack(z, x, slot, page);
		lru_move(z, (uint32_t)slot, kind, true);
	} else if (kind == SLOT_EMPTY) {
		*error = -EIO; /* it was never written */
	}
	slot_unlock(z, slot);
	return kind == SLOT_FILE;
}

static void read_one(struct backend_zip *z, struct zip_context *x, struct swap_io *io,
		     struct file_reads *r)
{
	uint8_t *bytes = swap_io_bytes(&z->base, io);
	uint64_t value;

	io->error = 0;
	for (uint32_t i = 0; i < io->nr; i++) {
		uint8_t *page = bytes + i * UMM_PAGE_SIZE;

		if (read_page(z, x, io->slot + i, page, &value, &io->error))
			file_reads_add(z, r, io, value, page);
	}
}

static void zip_run(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	struct backend_zip *z = (struct backend_zip *)b;
	struct zip_context *x = zip_context_get(&z->codec);
	struct file_reads reads = { .nr = 0 };

	for (unsigned int i = 0; i < nr; i++) {
		if (ios[i].write)
			write_one(z, x, &ios[i]);
		else
			read_one(z, x, &ios[i], &reads);
	}
	if (reads.nr)
		file_reads_run(z, &reads);
	zip_context_put(&z->codec, x);
}

static void zip_freed(struct swap_backend *b, uint64_t slot, uint32_t nr)
{
	struct backend_zip *z = (struct backend_zip *)b;

	for (uint32_t i = 0; i < nr; i++) {
		slot_lock(z, slot + i);
		zip_slot_clear(z, slot + i);
		slot_unlock(z, slot + i);
	}
}

/* What several reclaimers may have under way, uncompressed; less where all is small. */
static uint64_t room_wanted(const struct backend_zip *z)
{
	const uint64_t most = 4ul << 20;

	return z->pool.limit / 8 < most ? z->pool.limit / 8 : most;
}

static bool zip_room(struct swap_backend *b)
{
	struct backend_zip *z = (struct backend_zip *)b;

	return zpool_used(&z->pool) + room_wanted(z) <= z->pool.limit || zip_writeback_room(z);
}

/* ---- figures ----------------------------------------------------------------------- */

static uint64_t figure(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static uint64_t table_bytes(const struct backend_zip *z)
{
	return z->base.nr_slots * (sizeof(*z->value) + sizeof(*z->kind) + sizeof(*z->links));
}

static unsigned int zip_figures(struct swap_backend *b, struct swap_figure *out)
{
	struct backend_zip *z = (struct backend_zip *)b;
	uint64_t same = figure(&z->nr[SLOT_SAME]), packed = figure(&z->nr[SLOT_PACKED]);
	uint64_t plain = figure(&z->nr[SLOT_PLAIN]), used = zpool_used(&z->pool);
	uint64_t original = (same + packed + plain) << UMM_PAGE_SHIFT;
	const struct swap_figure all[] = {
		{ "original_bytes", original },
		{ "compressed_bytes", figure(&z->pool.data) },
		{ "memory_bytes", used },
		{ "memory_limit", z->pool.limit },
		{ "ratio_percent", used ? original * 100 / used : 0 },
		{ "same_filled_pages", same },
		{ "compressed_pages", packed },
		{ "incompressible_pages", plain },
		{ "writeback_pages", figure(&z->nr[SLOT_FILE]) },
		{ "written_back", figure(&z->written_back) },
		{ "writeback_errors", figure(&z->writeback_errors) },
		{ "compaction_moved", figure(&z->pool.moved) },
		{ "table_bytes", table_bytes(z) },
	};

	memcpy(out, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

static void zip_compressed(struct swap_backend *b, uint64_t *memory_bytes, uint64_t *pages)
{
	struct backend_zip *z = (struct backend_zip *)b;

	*memory_bytes += zpool_used(&z->pool);
	*pages += figure(&z->nr[SLOT_SAME]) + figure(&z->nr[SLOT_PACKED]) +
		  figure(&z->nr[SLOT_PLAIN]);
}

/* ---- open, close ------------------------------------------------------------------- */

static void *table_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void table_unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

static void tables_free(struct backend_zip *z)
{
	uint64_t nr = z->base.nr_slots;

	table_unmap(z->value, nr * sizeof(*z->value));
	table_unmap(z->kind, nr * sizeof(*z->kind));
	table_unmap(z->links, (nr + 1) * sizeof(*z->links));
}

static int tables_make(struct backend_zip *z)
{
	uint64_t nr = z->base.nr_slots;

	z->value = table_map(nr * sizeof(*z->value));
	z->kind = table_map(nr * sizeof(*z->kind));
	z->links = table_map((nr + 1) * sizeof(*z->links));
	if (!z->value || !z->kind || !z->links) {
		tables_free(z);
		return -ENOMEM;
	}
	for (unsigned int l = 0; l < ZIP_LRU_NR; l++)
		z->head[l] = z->tail[l] = ZIP_END;
	return 0;
}

static void locks_init(struct backend_zip *z)
{
	for (unsigned int i = 0; i < STRIPES; i++)
		pthread_mutex_init(&z->stripe[i].lock, NULL);
	pthread_mutex_init(&z->lru_lock, NULL);
	pthread_mutex_init(&z->writeback_lock, NULL);
	pthread_mutex_init(&z->keeper_lock, NULL);
}

/* With no limit given: as much as pages that do not compress at all would take. */
static uint64_t memory_limit(const struct swap_spec *spec)
{
	return spec->memory ? spec->memory
			    : spec->bytes + spec->bytes / 32 + ZPOOL_CLASSES * ZPOOL_BLOCK;
}

static int parts_make(struct backend_zip *z, const struct swap_spec *spec, struct errmsg *e)
{
	int rc = tables_make(z);

	if (rc)
		goto out;
	rc = zpool_init(&z->pool, memory_limit(spec));
	if (rc)
		goto tables;
	rc = zip_codec_init(&z->codec, spec->kind == SWAP_ZSTD, spec->level);
	if (rc)
		goto pool;
	rc = zip_writeback_open(z, spec, e);
	if (rc)
		goto codec;
	rc = zip_keeper_start(z);
	if (!rc)
		return 0;
	zip_writeback_close(z);
codec:
	zip_codec_destroy(&z->codec);
pool:
	zpool_destroy(&z->pool);
tables:
	tables_free(z);
out:
	if (rc == -ENOMEM)
		errmsg_set(e, rc, "swap: out of memory for compressed swap of %lu MiB",
			   spec->bytes >> 20);
	return rc;
}

static int zip_open(const struct swap_env *env, const struct swap_spec *spec,
		    struct swap_backend **out, struct errmsg *e)
{
	struct backend_zip *z;
	int rc;

	if (spec->bytes >> UMM_PAGE_SHIFT >= ZIP_END - 1)
		return errmsg_set(e, -EINVAL, "swap: compressed swap of 16 TiB or more: make two");
	z = aligned_alloc(64, sizeof(*z));
	if (!z)
		return errmsg_set(e, -ENOMEM, "out of memory");
	memset(z, 0, sizeof(*z));
	z->base.env = *env;
	z->base.nr_slots = spec->bytes >> UMM_PAGE_SHIFT;
	snprintf(z->base.name, sizeof(z->base.name), "%.120s",
		 spec->has_writeback ? spec->writeback : "");
	locks_init(z);
	rc = parts_make(z, spec, e);
	if (rc)
		free(z);
	else
		*out = &z->base;
	return rc;
}

static void zip_close(struct swap_backend *b)
{
	struct backend_zip *z = (struct backend_zip *)b;

	zip_keeper_stop(z);
	zip_writeback_close(z);
	zip_codec_destroy(&z->codec);
	zpool_destroy(&z->pool);
	tables_free(z);
	for (unsigned int i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&z->stripe[i].lock);
	pthread_mutex_destroy(&z->lru_lock);
	pthread_mutex_destroy(&z->writeback_lock);
	pthread_mutex_destroy(&z->keeper_lock);
	free(z);
}

const struct swap_backend_ops backend_lz4_ops = {
	.kind = "lz4",
	.open = zip_open,
	.run = zip_run,
	.freed = zip_freed,
	.room = zip_room,
	.figures = zip_figures,
	.compressed = zip_compressed,
	.close = zip_close,
};

const struct swap_backend_ops backend_zstd_ops = {
	.kind = "zstd",
	.open = zip_open,
	.run = zip_run,
	.freed = zip_freed,
	.room = zip_room,
	.figures = zip_figures,
	.compressed = zip_compressed,
	.close = zip_close,
};
