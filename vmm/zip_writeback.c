/* SPDX-License-Identifier: MIT */
/*
 * The coldest pages of compressed memory, to a file.
 *
 * A cluster of up to 64 of them is unpacked, written by as few transfers as the file's
 * free pages allow, and only then does their memory go: what could not be written is
 * where it was. The file is filled from one end to the other and around, a word of its
 * bitmap (256 KiB) at a time, so that pages that went together lie together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/backend_zip.h"

#define CLUSTER  64u           /* pages; bits of a word */
#define RETRY_NS 1000000000ull /* after an error */
#define ROOM     1024u         /* pages that several reclaimers may have under way */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t nr_words(const struct backend_zip *z)
{
	return (z->file.nr_slots + CLUSTER - 1) / CLUSTER;
}

int zip_writeback_open(struct backend_zip *z, const struct swap_spec *spec, struct errmsg *e)
{
	uint64_t past;
	int rc;

	if (!spec->has_writeback)
		return 0;
	rc = swap_engine_check(z->base.env.engine, e);
	if (!rc)
		rc = swapfile_open(&z->file, spec->writeback, spec->writeback_bytes, e);
	if (rc)
		return rc;
	z->has_file = true;
	z->used = calloc(nr_words(z), sizeof(*z->used));
	z->bounce = aligned_alloc(UMM_PAGE_SIZE, CLUSTER * UMM_PAGE_SIZE);
	if (!z->used || !z->bounce) {
		zip_writeback_close(z);
		return errmsg_set(e, -ENOMEM, "out of memory");
	}
	/* What is past the end of the file is never free. */
	past = nr_words(z) * CLUSTER - z->file.nr_slots;
	if (past)
		z->used[nr_words(z) - 1] = ~0ull << (CLUSTER - past);
	return 0;
}

void zip_writeback_close(struct backend_zip *z)
{
	if (!z->has_file)
		return;
	swapfile_close(&z->file);
	free(z->used);
	free(z->bounce);
	z->has_file = false;
}

bool zip_writeback_room(const struct backend_zip *z)
{
	return z->has_file && now_ns() >= atomic_load(&z->retry_at) &&
	       atomic_load(&z->nr[SLOT_FILE]) + ROOM <= z->file.nr_slots;
}

void zip_file_page_free(struct backend_zip *z, uint64_t page)
{
	atomic_fetch_and_explicit(&z->used[page / CLUSTER], ~(1ull << page % CLUSTER),
				  memory_order_release);
}

/* A word of the bitmap with free pages, better one that is all free. False: none. */
static bool word_find(struct backend_zip *z, uint64_t *word)
{
	uint64_t n = nr_words(z);

	for (int any = 0; any < 2; any++) {
		for (uint64_t i = 0; i < n; i++) {
			uint64_t w = (z->next + i) % n;
			uint64_t used = atomic_load_explicit(&z->used[w], memory_order_acquire);

			if (used && (!any || used == ~0ull))
				continue;
			z->next = w + 1;
			*word = w;
			return true;
		}
	}
	return false;
}

/* A cluster on its way. */
struct cluster {
	uint64_t first; /* page of the file that bit 0 stands for */
	uint64_t mask;  /* pages that are written */
	uint64_t stale; /* of these: another page of the cluster is newer */
	uint32_t slot[CLUSTER];
	int error[CLUSTER];
};

/* Unpack a slot into page @bit of the bounce buffer and mark it. False: it changed. */
static bool slot_leave(struct backend_zip *z, struct zip_context *x, uint32_t slot,
		       unsigned int bit)
{
	bool left = false;

	slot_lock(z, slot);
	if (z->kind[slot] == SLOT_PACKED || z->kind[slot] == SLOT_PLAIN) {
		left = !zip_slot_unpack(z, x, slot, z->bounce + bit * UMM_PAGE_SIZE);
		if (left)
			z->kind[slot] |= SLOT_LEAVING;
	}
	slot_unlock(z, slot);
	return left;
}

/*
 * A slot that was stored to again after it left is on a list again, and may be taken once
 * more: its mark would then vouch for the older copy, too.
 */
static uint64_t older_copies(const struct cluster *c, uint32_t slot)
{
	uint64_t older = 0;

	for (uint64_t left = c->mask; left; left &= left - 1) {
		unsigned int bit = (unsigned int)__builtin_ctzll(left);

		if (c->slot[bit] == slot)
			older |= 1ull << bit;
	}
	return older;
}

/* The coldest slots into the free pages of the word. */
static void cluster_fill(struct backend_zip *z, struct zip_context *x, uint64_t word,
			 struct cluster *c)
{
	uint64_t free = ~atomic_load_explicit(&z->used[word], memory_order_acquire);
	uint32_t slot;

	c->first = word * CLUSTER;
	c->mask = c->stale = 0;
	while (free && zip_lru_take(z, &slot)) {
		unsigned int bit = (unsigned int)__builtin_ctzll(free);

		if (!slot_leave(z, x, slot, bit))
			continue;
		c->stale |= older_copies(c, slot);
		c->slot[bit] = slot;
		c->mask |= 1ull << bit;
		free &= free - 1;
	}
	atomic_fetch_or_explicit(&z->used[word], c->mask, memory_order_relaxed);
}

/* Each run of pages is a transfer. */
static int cluster_write(struct backend_zip *z, struct cluster *c)
{
	struct file_io ios[CLUSTER];
	unsigned int nr = 0, at[CLUSTER], n;
	uint64_t left = c->mask;
	int rc;

	while (left) {
		unsigned int bit = (unsigned int)__builtin_ctzll(left);

		n = bit;
		while (n < CLUSTER && left >> n & 1)
			left &= ~(1ull << n++);
		at[nr] = bit;
		ios[nr++] = (struct file_io){
			.fd = z->file.fd,
			.write = true,
			.buf = z->bounce + bit * UMM_PAGE_SIZE,
			.offset = (c->first + bit) << UMM_PAGE_SHIFT,
			.len = (uint64_t)(n - bit) << UMM_PAGE_SHIFT,
		};
	}
	rc = swap_engine_run(z->base.env.engine, ios, nr);
	for (unsigned int i = 0; i < nr; i++)
		for (n = 0; n < ios[i].len >> UMM_PAGE_SHIFT; n++)
			c->error[at[i] + n] = ios[i].error;
	return rc;
}

/* It is in the file now, unless it changed meanwhile or could not be written. */
static bool slot_commit(struct backend_zip *z, const struct cluster *c, unsigned int bit)
{
	uint32_t slot = c->slot[bit];
	bool leaving, done;

	slot_lock(z, slot);
	leaving = (z->kind[slot] & SLOT_LEAVING) && !(c->stale >> bit & 1);
	done = leaving && !c->error[bit];
	if (done) {
		zip_slot_clear(z, slot);
		zip_slot_set(z, slot, SLOT_FILE, c->first + bit);
	} else if (leaving) {
		z->kind[slot] &= SLOT_KIND;
		zip_lru_add(z, slot, z->kind[slot]);
	}
	slot_unlock(z, slot);
	if (!done)
		zip_file_page_free(z, c->first + bit);
	return done;
}

/* writeback_lock held. */
static int writeback_locked(struct backend_zip *z, struct zip_context *x)
{
	struct cluster c;
	uint64_t word;
	int rc, done = 0;

	if (now_ns() < atomic_load(&z->retry_at) || !word_find(z, &word))
		return -ENOSPC;
	cluster_fill(z, x, word, &c);
	if (!c.mask)
		return -ENOSPC;
	rc = cluster_write(z, &c);
	for (unsigned int bit = 0; bit < CLUSTER; bit++)
		if (c.mask >> bit & 1)
			done += slot_commit(z, &c, bit);
	atomic_fetch_add_explicit(&z->written_back, (uint64_t)done, memory_order_relaxed);
	if (rc) {
		atomic_fetch_add_explicit(&z->writeback_errors, 1, memory_order_relaxed);
		atomic_store(&z->retry_at, now_ns() + RETRY_NS);
	}
	return rc ? rc : done ? done : 1; /* what changed meanwhile gave up its memory too */
}

int zip_writeback(struct backend_zip *z, struct zip_context *x)
{
	int rc;

	if (!z->has_file)
		return -ENOSPC;
	pthread_mutex_lock(&z->writeback_lock);
	rc = writeback_locked(z, x);
	pthread_mutex_unlock(&z->writeback_lock);
	return rc;
}
