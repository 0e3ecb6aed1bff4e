/* SPDX-License-Identifier: MIT */
/*
 * Telling an NBD server which pages nobody needs, so that it may give up their memory.
 *
 * Freed slots are bits in a map. When a connection has nothing else to do, or many are
 * free, it takes a run of them out of the map and trims it, one run at a time. A slot
 * that is used again is taken out of the map by its writer, who waits if the trim that is
 * under way is about to hit it.
 */
#include <errno.h>

#include "vmm/backend_nbd.h"

#define TRIM_WORDS 128u /* at most 32 MiB at once */

void nbd_trim_freed(struct backend_nbd *n, uint64_t slot, uint32_t nr)
{
	if (!n->can_trim)
		return;
	for (uint32_t i = 0; i < nr; i++)
		atomic_fetch_or_explicit(&n->freed[(slot + i) / 64], 1ull << (slot + i) % 64,
					 memory_order_relaxed);
	atomic_fetch_add_explicit(&n->nr_freed, nr, memory_order_relaxed);
}

void nbd_trim_forget(struct backend_nbd *n, uint64_t slot, uint32_t nr)
{
	if (!n->can_trim)
		return;
	pthread_mutex_lock(&n->lock);
	for (uint32_t i = 0; i < nr; i++)
		atomic_fetch_and_explicit(&n->freed[(slot + i) / 64], ~(1ull << (slot + i) % 64),
					  memory_order_relaxed);
	while (n->trim_nr && slot < n->trim_first + n->trim_nr && n->trim_first < slot + nr)
		pthread_cond_wait(&n->trimmed, &n->lock);
	pthread_mutex_unlock(&n->lock);
}

/* The first run of free slots at or after word @w, taken out of the map. */
static bool run_take(struct backend_nbd *n, uint64_t w, uint64_t words)
{
	uint64_t bits = atomic_load_explicit(&n->freed[w], memory_order_relaxed), mask;
	unsigned int first, nr;

	if (!bits)
		return false;
	first = (unsigned int)__builtin_ctzll(bits);
	nr = bits >> first == ~0ull >> first ? 64 - first
					     : (unsigned int)__builtin_ctzll(~(bits >> first));
	mask = ~0ull >> (64 - nr) << first;
	atomic_fetch_and_explicit(&n->freed[w], ~mask, memory_order_relaxed);
	n->trim_first = w * 64 + first;
	n->trim_nr = nr;
	/* On through words that are all free. */
	for (uint64_t i = 1; first + nr == 64 && i < TRIM_WORDS && w + i < words; i++) {
		uint64_t all = ~0ull;

		if (!atomic_compare_exchange_strong(&n->freed[w + i], &all, 0))
			break;
		n->trim_nr += 64;
	}
	return true;
}

struct nbd_request *nbd_trim_take(struct backend_nbd *n, bool idle)
{
	uint64_t words = (n->base.nr_slots + 63) / 64;
	uint64_t freed = atomic_load_explicit(&n->nr_freed, memory_order_relaxed);

	if (!n->can_trim || n->trim_nr || !freed || (!idle && freed < n->base.nr_slots / 8))
		return NULL;
	for (uint64_t i = 0; i < words; i++) {
		uint64_t w = (n->trim_next + i) % words;

		if (!run_take(n, w, words))
			continue;
		n->trim_next = w;
		n->trim_request = (struct nbd_request){
			.offset = n->trim_first << UMM_PAGE_SHIFT,
			.len = n->trim_nr << UMM_PAGE_SHIFT,
		};
		return &n->trim_request;
	}
	/* Used again, all of them. */
	atomic_store_explicit(&n->nr_freed, 0, memory_order_relaxed);
	return NULL;
}

void nbd_trim_end(struct backend_nbd *n, int error)
{
	if (!error)
		atomic_fetch_add_explicit(&n->trimmed_pages, n->trim_nr, memory_order_relaxed);
	n->trim_nr = 0;
	pthread_cond_broadcast(&n->trimmed);
}
