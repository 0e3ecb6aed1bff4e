/* SPDX-License-Identifier: MIT */
/*
 * How many neighbours a swap-in reads along.
 *
 * Neighbours were written together, so reading them costs little time; but what is
 * not wanted takes the place of what is. So an area remembers where a few readers
 * are (several threads, or several arrays in one area):
 *
 *	a fault behind a window, or a little further	it is a stream: twice as many,
 *							from the fault on
 *	a fault near a window				as many, the block it is in
 *	anywhere else					a new reader: as many as new
 *							readers begin with, which is
 *							halved each time, down to one,
 *							and doubled with each stream
 *
 * A program that goes through memory in order soon reads SWAP_READ_MAX pages an exit;
 * one that jumps about reads what it touches and nothing else. Once windows are that large
 * the next two are read ahead (rmap/swap_ahead.c). What is kept are hints,
 * raced by threads on purpose: a wrong one costs a page too many or few.
 */
#include "rmap/vma.h"

#define START_MAX 8u
/* A device is kept busy by two windows under way while a third is used. */
#define AHEAD_MAX (2ull * SWAP_READ_MAX)

static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/* The reader that page @at is near to; NULL. */
static struct swap_stream *find(struct vma *vma, uint64_t at)
{
	for (unsigned int i = 0; i < SWAP_STREAMS; i++) {
		struct swap_stream *s = &vma->swap_streams[i];
		uint64_t next = __atomic_load_n(&s->next, __ATOMIC_RELAXED);
		uint32_t pages = load(&s->pages);

		if (pages && at + 2 * pages >= next && at < next + pages)
			return s;
	}
	return NULL;
}

static struct swap_stream *new_reader(struct vma *vma)
{
	unsigned int turn = __atomic_fetch_add(&vma->swap_turn, 1, __ATOMIC_RELAXED);
	struct swap_stream *s = &vma->swap_streams[turn % SWAP_STREAMS];
	uint32_t pages = load(&vma->swap_start);

	pages = pages ? pages : START_MAX;
	store(&vma->swap_start, pages > 1 ? pages / 2 : 1);
	store(&s->pages, pages);
	__atomic_store_n(&s->asked, 0, __ATOMIC_RELAXED);
	return s;
}

static void grow(struct vma *vma, struct swap_stream *s)
{
	uint32_t pages = load(&s->pages), start = load(&vma->swap_start);

	if (pages < SWAP_READ_MAX)
		store(&s->pages, pages * 2);
	if (start && start < START_MAX)
		store(&vma->swap_start, start * 2);
}

/* What the guest allows a swap-in (page-cluster). */
static uint64_t pages_most(const struct vma *vma)
{
	uint64_t power = sysctl_value(vma->mm->sys, SYSCTL_PAGE_CLUSTER);

	return 1ul << power < SWAP_READ_MAX ? 1ul << power : SWAP_READ_MAX;
}

void swap_window_choose(struct vma *vma, gva_t addr, gva_t *start, gva_t *end)
{
	uint64_t at = addr.v >> UMM_PAGE_SHIFT, first, last, pages, most, vf = vma_flags(vma);
	gva_t table = gva_make(addr.v & UMM_PMD_MASK);
	struct swap_stream *s = find(vma, at);
	bool ahead = s && at >= __atomic_load_n(&s->next, __ATOMIC_RELAXED);

	if (!s)
		s = new_reader(vma);
	else if (ahead)
		grow(vma, s);
	pages = load(&s->pages);
	if (vf & VM_RAND_READ)
		pages = 1;
	else if (vf & VM_SEQ_READ)
		pages = SWAP_READ_MAX;
	most = pages_most(vma);
	pages = pages < most ? pages : most;
	first = ahead ? at : at & ~(pages - 1);
	last = first + pages;
	__atomic_store_n(&s->next, last, __ATOMIC_RELAXED);
	*start = gva_make(first << UMM_PAGE_SHIFT);
	*end = gva_make(last << UMM_PAGE_SHIFT);
	if (start->v < vma->start.v)
		*start = vma->start;
	if (start->v < table.v)
		*start = table;
	*end = gva_min(*end, gva_min(vma->end, gva_add(table, UMM_PMD_SIZE)));
}

bool swap_window_ahead(struct vma *vma, gva_t addr, gva_t *start, gva_t *end)
{
	uint64_t next, asked, at = addr.v >> UMM_PAGE_SHIFT;
	struct swap_stream *s = find(vma, at);

	if (!s || load(&s->pages) < SWAP_READ_MAX || (vma_flags(vma) & VM_RAND_READ) ||
	    pages_most(vma) < SWAP_READ_MAX)
		return false;
	next = __atomic_load_n(&s->next, __ATOMIC_RELAXED);
	asked = __atomic_load_n(&s->asked, __ATOMIC_RELAXED);
	if (asked < next || asked > next + AHEAD_MAX)
		asked = next;
	*start = gva_make(asked << UMM_PAGE_SHIFT);
	*end = gva_make((asked + SWAP_READ_MAX) << UMM_PAGE_SHIFT);
	*end = gva_min(table_end(*start, *end), vma->end);
	if (asked + SWAP_READ_MAX > next + AHEAD_MAX || start->v >= vma->end.v)
		return false;
	__atomic_store_n(&s->asked, end->v >> UMM_PAGE_SHIFT, __ATOMIC_RELAXED);
	return true;
}
