/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead of a program that goes through swapped memory in order.
 *
 *	fault of a stream, mapped	-> transfers of the next windows begin, and are queued
 *	a thread of the host's		-> does them: it sleeps while there are none
 *	the stream's next fault		-> finds the pages in the swap cache, waits if it must
 *
 * So the device works while the program does, and while the next exit is on its way.
 * Which pages, rmap/swap_window.c says: at most two windows ahead, and only where
 * windows are full already. Nothing is reclaimed for them.
 *
 * Between the two threads the folios are locked by nobody's thread: whoever waits for
 * them waits for the transfer. Requests are few and reused; if all are out, nothing
 * is read ahead. A request that is out keeps the readers from ending.
 */
#include "rmap/fault_wait.h"

#define REQUESTS 8u

struct request {
	struct request *next;
	swp_entry_t slots[SWAP_READ_MAX];
	struct folio *folios[SWAP_READ_MAX];
	struct swap_read read;
};

struct swap_ahead {
	struct umm_mutex lock; /* LOCK_LEAF: the lists, and the figures below */
	struct request requests[REQUESTS];
	struct request *idle, *first, *last;
	unsigned int out; /* not idle */
	unsigned int readers;
	bool stop;
	uint32_t changes; /* a  readers sleep while it stays */
};

int swap_ahead_init(struct mm_sys *sys)
{
	struct swap_ahead *a = sys_alloc(sys, sizeof(*a));

	if (!a)
		return -ENOMEM;
	umm_mutex_init(&a->lock, LOCK_LEAF);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		a->requests[i].next = a->idle;
		a->idle = &a->requests[i];
	}
	sys->ahead = a;
	return 0;
}

void swap_ahead_destroy(struct mm_sys *sys)
{
	umm_mutex_destroy(&sys->ahead->lock);
	sys_free(sys, sys->ahead, sizeof(*sys->ahead));
}

static void wake_readers(struct mm_sys *sys, int nr)
{
	__atomic_fetch_add(&sys->ahead->changes, 1, __ATOMIC_SEQ_CST);
	sys->ops->wake(sys->ctx, &sys->ahead->changes, nr);
}

/* ---- the faulting thread ---------------------------------------------------- */

static struct request *request_get(struct swap_ahead *a)
{
	struct request *r = NULL;

	umm_mutex_lock(&a->lock);
	if (a->readers && !a->stop && a->idle) {
		r = a->idle;
		a->idle = r->next;
		a->out++;
	}
	umm_mutex_unlock(&a->lock);
	return r;
}

static void request_put(struct mm_sys *sys, struct request *r)
{
	struct swap_ahead *a = sys->ahead;
	bool stop;

	umm_mutex_lock(&a->lock);
	r->next = a->idle;
	a->idle = r;
	a->out--;
	stop = a->stop;
	umm_mutex_unlock(&a->lock);
	if (stop)
		wake_readers(sys, INT32_MAX);
}

/* The fresh folios are locked, by whoever has the request from now on. */
static void request_queue(struct mm_sys *sys, struct request *r)
{
	struct swap_ahead *a = sys->ahead;

	for (unsigned int i = 0; i < r->read.nr; i++) {
		if (r->read.fresh[i])
			lock_rank_pop(LOCK_FOLIO);
	}
	r->next = NULL;
	umm_mutex_lock(&a->lock);
	if (a->first)
		a->last->next = r;
	else
		a->first = r;
	a->last = r;
	umm_mutex_unlock(&a->lock);
	wake_readers(sys, 1);
}

/* mmap_lock held; all in one table. The slots of what is swapped in [start, end). */
static unsigned int collect(struct vma *vma, gva_t start, gva_t end, swp_entry_t *slots,
			    struct place *places)
{
	gva_t at[SWAP_READ_MAX];
	struct umm_mutex *ptl;
	uint64_t *pmd = pmd_find(vma->mm, start, &ptl), *ptep;
	unsigned int nr = 0;

	if (!pmd || !pmd_is_table(pte_read(pmd)))
		return 0;
	ptep = pte_lock(vma->mm, start, &ptl);
	if (!ptep)
		return 0;
	for (; start.v < end.v && nr < SWAP_READ_MAX; start.v += UMM_PAGE_SIZE, ptep++) {
		uint64_t e = pte_read(ptep);

		if (pte_is_swap(e) && swp_is_area(pte_to_swp(e))) {
			slots[nr] = pte_to_swp(e);
			at[nr++] = start;
		}
	}
	umm_mutex_unlock(ptl);
	for (unsigned int i = 0; i < nr; i++)
		places[i] = place_for(vma, at[i], 0);
	return nr;
}

void swap_ahead(struct vma *vma, gva_t addr)
{
	struct mm_sys *sys = vma->mm->sys;
	struct place places[SWAP_READ_MAX];
	gva_t start, end;

	while (swap_window_ahead(vma, addr, &start, &end)) {
		struct request *r = request_get(sys->ahead);
		unsigned int nr;

		if (!r)
			return;
		nr = collect(vma, start, end, r->slots, places);
		swap_read_ahead(&r->read, sys, r->slots, places, nr, r->folios);
		if (r->read.nr_ios) {
			request_queue(sys, r);
			continue;
		}
		swap_read_end(&r->read);
		swap_read_release(sys, r->folios, nr);
		request_put(sys, r);
	}
}

/* ---- the reading thread -------------------------------------------------------- */

static struct request *request_next(struct swap_ahead *a, bool *over)
{
	struct request *r;

	umm_mutex_lock(&a->lock);
	r = a->first;
	if (r)
		a->first = r->next;
	*over = a->stop && !a->out;
	umm_mutex_unlock(&a->lock);
	return r;
}

static void request_do(struct mm_sys *sys, struct request *r)
{
	for (unsigned int i = 0; i < r->read.nr; i++) {
		if (r->read.fresh[i])
			lock_rank_push(LOCK_FOLIO, false);
	}
	swap_read_end(&r->read);
	swap_read_release(sys, r->folios, r->read.nr);
	request_put(sys, r);
}

static void count_reader(struct swap_ahead *a, int delta)
{
	umm_mutex_lock(&a->lock);
	a->readers = (unsigned int)((int)a->readers + delta);
	umm_mutex_unlock(&a->lock);
}

void mm_swap_reader(struct mm_sys *sys)
{
	struct swap_ahead *a = sys->ahead;
	bool over = false;

	count_reader(a, 1);
	while (!over) {
		uint32_t seen = __atomic_load_n(&a->changes, __ATOMIC_SEQ_CST);
		struct request *r = request_next(a, &over);

		if (r)
			request_do(sys, r);
		else if (!over)
			sys->ops->wait(sys->ctx, &a->changes, seen);
	}
	count_reader(a, -1);
}

void mm_swap_readers_stop(struct mm_sys *sys)
{
	umm_mutex_lock(&sys->ahead->lock);
	sys->ahead->stop = true;
	umm_mutex_unlock(&sys->ahead->lock);
	wake_readers(sys, INT32_MAX);
}
