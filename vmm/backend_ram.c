/* SPDX-License-Identifier: MIT */
/*
 * Swap in plain memory of the host: what copying alone costs, and how fast swap could
 * be if devices were.
 *
 * Memory goes back to the host by chunks of 256 KiB, when the last slot of one is free:
 * freed() is called with a lock of the manager held and has no time for less. A chunk is
 * locked while its slots change hands, not while pages are copied out.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/swap_backend.h"

#define CHUNK   64u /* slots; bits of a word */
#define STRIPES 64u

struct backend_ram {
	struct swap_backend base;
	uint8_t *bytes;
	uint64_t *stored; /* bit a slot, a word a chunk; guarded by its stripe */
	pthread_mutex_t stripe[STRIPES];
	_Atomic uint64_t pages; /* that hold something */
};

static uint64_t ram_len(const struct backend_ram *r)
{
	return r->base.nr_slots << UMM_PAGE_SHIFT;
}

static int ram_open(const struct swap_env *env, const struct swap_spec *spec,
		    struct swap_backend **out, struct errmsg *e)
{
	struct backend_ram *r = calloc(1, sizeof(*r));

	(void)env;
	if (!r)
		return errmsg_set(e, -ENOMEM, "out of memory");
	r->base.nr_slots = spec->bytes >> UMM_PAGE_SHIFT;
	r->stored = calloc((r->base.nr_slots + CHUNK - 1) / CHUNK, sizeof(*r->stored));
	r->bytes = mmap(NULL, ram_len(r), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!r->stored || r->bytes == MAP_FAILED) {
		free(r->stored);
		free(r);
		return errmsg_set(e, -ENOMEM, "swap ram: no room for %lu MiB of addresses",
				  spec->bytes >> 20);
	}
	for (unsigned int i = 0; i < STRIPES; i++)
		pthread_mutex_init(&r->stripe[i], NULL);
	*out = &r->base;
	return 0;
}

static pthread_mutex_t *chunk_lock(struct backend_ram *r, uint64_t chunk)
{
	pthread_mutex_t *lock = &r->stripe[chunk % STRIPES];

	pthread_mutex_lock(lock);
	return lock;
}

/* The bits of [slot, slot + *nr) in the chunk of @slot; *nr: how many those are. */
static uint64_t chunk_mask(uint64_t slot, uint32_t left, uint32_t *nr)
{
	uint32_t room = CHUNK - (uint32_t)(slot % CHUNK);

	*nr = left < room ? left : room;
	return ~0ull >> (CHUNK - *nr) << slot % CHUNK;
}

/* Marked first: from then on the chunk stays, and the copy needs no lock. */
static void mark_stored(struct backend_ram *r, uint64_t slot, uint32_t left)
{
	uint32_t nr;

	for (; left; slot += nr, left -= nr) {
		uint64_t mask = chunk_mask(slot, left, &nr), *word = &r->stored[slot / CHUNK];
		pthread_mutex_t *lock = chunk_lock(r, slot / CHUNK);

		atomic_fetch_add_explicit(&r->pages, nr - __builtin_popcountll(*word & mask),
					  memory_order_relaxed);
		*word |= mask;
		pthread_mutex_unlock(lock);
	}
}

static void ram_freed(struct swap_backend *b, uint64_t slot, uint32_t left)
{
	struct backend_ram *r = (struct backend_ram *)b;
	uint32_t nr;

	for (; left; slot += nr, left -= nr) {
		uint64_t chunk = slot / CHUNK, *word = &r->stored[chunk];
		uint64_t mask = chunk_mask(slot, left, &nr);
		pthread_mutex_t *lock = chunk_lock(r, chunk);
		uint64_t gone = *word & mask;

		*word &= ~mask;
		atomic_fetch_sub_explicit(&r->pages, __builtin_popcountll(gone),
					  memory_order_relaxed);
		if (gone && !*word)
			madvise(r->bytes + (chunk * CHUNK << UMM_PAGE_SHIFT),
				chunk * CHUNK + CHUNK <= b->nr_slots
					? (size_t)CHUNK << UMM_PAGE_SHIFT
					: (b->nr_slots - chunk * CHUNK) << UMM_PAGE_SHIFT,
				MADV_DONTNEED);
		pthread_mutex_unlock(lock);
	}
}

static void ram_run(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	struct backend_ram *r = (struct backend_ram *)b;

	for (unsigned int i = 0; i < nr; i++) {
		uint8_t *at = r->bytes + (ios[i].slot << UMM_PAGE_SHIFT);
		size_t len = (size_t)ios[i].nr << UMM_PAGE_SHIFT;

		if (ios[i].write) {
			mark_stored(r, ios[i].slot, ios[i].nr);
			memcpy(at, swap_io_bytes(b, &ios[i]), len);
		} else {
			memcpy(swap_io_bytes(b, &ios[i]), at, len);
		}
		ios[i].error = 0;
	}
}

static unsigned int ram_figures(struct swap_backend *b, struct swap_figure *out)
{
	struct backend_ram *r = (struct backend_ram *)b;

	out[0] = (struct swap_figure){ "memory_bytes",
				       atomic_load_explicit(&r->pages, memory_order_relaxed)
					       << UMM_PAGE_SHIFT };
	return 1;
}

static void ram_close(struct swap_backend *b)
{
	struct backend_ram *r = (struct backend_ram *)b;

	for (unsigned int i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&r->stripe[i]);
	munmap(r->bytes, ram_len(r));
	free(r->stored);
	free(r);
}

const struct swap_backend_ops backend_ram_ops = {
	.kind = "ram",
	.open = ram_open,
	.run = ram_run,
	.freed = ram_freed,
	.figures = ram_figures,
	.close = ram_close,
};
