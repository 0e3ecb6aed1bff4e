/* SPDX-License-Identifier: MIT */
/*
 * Filling holes.
 *
 * What an event means, its frame's state says, not what the kernel calls it: it may be old,
 * and told several times.
 *
 *	GONE		read the slot, fill, wake
 *	COMING		nothing: who reads it wakes all
 *	LOST		nothing: the owner sees to it
 *	LEAVING		it stays; if it was a store: unprotect, which wakes
 *	HERE		unprotect, or a fresh zero page, whichever it lacks
 *
 * A frame's content comes back by UFFDIO_COPY under the lock, together with its state: a
 * frame that was dropped meanwhile is not filled with what its last owner stored.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "vmm/compat.h"
#include "vmm/holes.h"
#include "vmm/uffd.h"

/* A device that has hiccups is given a moment. */
#define READ_TRIES    3
#define READ_PAUSE_NS 2000000

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ul + (uint64_t)t.tv_nsec;
}

/* ---- one hole ------------------------------------------------------------------------ */

/* lock held. Buffers are kept while a slot is read, no longer; so there is one soon. */
static unsigned int buffer_get(struct holes *h)
{
	unsigned int i;

	while (!h->in_free)
		pthread_cond_wait(&h->changed, &h->lock);
	i = (unsigned int)__builtin_ctz(h->in_free);
	h->in_free &= ~(1u << i);
	return i;
}

static int slot_read(struct holes *h, uint32_t slot, unsigned int buffer)
{
	struct swap_io io = {
		.area = h->area,
		.slot = slot,
		.pfn = pfn_make(HOLE_OUT_PAGES + buffer),
		.nr = 1,
	};
	int errors = 0;

	for (;;) {
		holes_transfer(h, &io, 1);
		if (!io.error || ++errors == READ_TRIES)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = READ_PAUSE_NS }, NULL);
	}
	if (errors) {
		pthread_mutex_lock(&h->lock);
		h->counts.read_errors += (unsigned int)errors;
		pthread_mutex_unlock(&h->lock);
	}
	return io.error;
}

/* lock held; the content is in @from. */
static int fill_frame(struct holes *h, const struct hole_ticket *t, const void *from)
{
	uint64_t done;

	return uffd_copy(h->cfg.uffd, hole_hva(h, t->frame), from, UMM_PAGE_SIZE, &done);
}

/*
 * lock held, and dropped meanwhile. 0: it is filled, or was dropped; else it is as it was,
 * or (@may_lose) LOST.
 */
static int hole_read_in(struct holes *h, const struct hole_ticket *t, bool may_lose)
{
	const void *from = h->zeroes;
	unsigned int buffer = 0;
	int rc = 0;

	if (t->slot != HOLE_ZERO) {
		buffer = buffer_get(h);
		from = h->buffers.ram + ((uint64_t)(HOLE_OUT_PAGES + buffer) << UMM_PAGE_SHIFT);
		pthread_mutex_unlock(&h->lock);
		rc = slot_read(h, t->slot, buffer);
		pthread_mutex_lock(&h->lock);
	}
	if (!hole_is_coming(&h->table, t)) {
		/* Free, or another's: who waited for the old one looks again. */
		holes_slot_put(h, t->slot);
		holes_wake(h, t->frame);
		rc = 0;
	} else {
		rc = rc ? rc : fill_frame(h, t, from);
		if (rc) {
			hole_came_not(&h->table, t, may_lose);
		} else {
			hole_came(&h->table, t);
			holes_slot_put(h, t->slot);
			h->counts.in++;
			h->counts.in_zero += t->slot == HOLE_ZERO;
		}
	}
	if (t->slot != HOLE_ZERO)
		h->in_free |= 1u << buffer;
	pthread_cond_broadcast(&h->changed);
	return rc;
}

/* ---- without an event ------------------------------------------------------------------ */

/* lock held. One frame, by whoever wants to touch it, so that an error can be told. */
static int fill_one(struct holes *h, uint64_t frame)
{
	struct hole_ticket t;
	int rc;

	while (hole_state(&h->table, frame) == HOLE_COMING)
		pthread_cond_wait(&h->changed, &h->lock);
	if (!hole_come(&h->table, frame, &t))
		return 0;
	rc = hole_read_in(h, &t, false);
	h->counts.in_asked += !rc;
	return rc;
}

int holes_fill(struct holes *h, pfn_t pfn, uint32_t nr)
{
	uint64_t first = hole_frame_of(h, pfn);
	int rc = 0;

	pthread_mutex_lock(&h->lock);
	for (uint64_t i = first; i < first + nr && !rc; i++)
		rc = fill_one(h, i);
	pthread_mutex_unlock(&h->lock);
	return rc ? -EIO : 0;
}

int holes_try_again(struct holes *h, pfn_t pfn)
{
	uint64_t frame = hole_frame_of(h, pfn);
	struct hole_ticket t;
	int rc = 0;

	pthread_mutex_lock(&h->lock);
	if (hole_state(&h->table, frame) == HOLE_LOST && hole_come(&h->table, frame, &t))
		rc = hole_read_in(h, &t, true);
	pthread_mutex_unlock(&h->lock);
	return rc;
}

void holes_give_up(struct holes *h, pfn_t pfn)
{
	uint64_t frame = hole_frame_of(h, pfn);
	uint64_t done;

	pthread_mutex_lock(&h->lock);
	if (hole_state(&h->table, frame) == HOLE_LOST) {
		(void)!uffd_copy(h->cfg.uffd, hole_hva(h, frame), h->zeroes, UMM_PAGE_SIZE, &done);
		holes_slot_put(h, hole_drop(&h->table, frame));
		h->counts.given_up++;
	}
	pthread_mutex_unlock(&h->lock);
	holes_wake(h, frame);
}

/* ---- events ------------------------------------------------------------------------------ */

static void note_latency(struct holes *h, uint64_t ns)
{
	h->counts.faults++;
	h->counts.fault_ns += ns;
	if (ns > h->counts.fault_max_ns)
		h->counts.fault_max_ns = ns;
}

/* lock held, and dropped meanwhile. */
static void tell_loss(struct holes *h)
{
	void (*fn)(void *arg) = h->on_loss;
	void *arg = h->on_loss_arg;

	if (!fn)
		return;
	h->calling++;
	pthread_mutex_unlock(&h->lock);
	fn(arg);
	pthread_mutex_lock(&h->lock);
	h->calling--;
	pthread_cond_broadcast(&h->changed);
}

static void serve(struct holes *h, uint64_t address, bool store)
{
	uint64_t frame = (address - (uintptr_t)h->cfg.memory->ram) >> UMM_PAGE_SHIFT;
	uint64_t start = now_ns();
	struct hole_ticket t;

	pthread_mutex_lock(&h->lock);
	switch (hole_state(&h->table, frame)) {
	case HOLE_GONE:
		(void)!hole_come(&h->table, frame, &t);
		if (hole_read_in(h, &t, true))
			tell_loss(h);
		else
			note_latency(h, now_ns() - start);
		break;
	case HOLE_COMING:
	case HOLE_LOST:
		break;
	case HOLE_LEAVING:
	case HOLE_HERE:
		hole_stay(&h->table, frame);
		if (store) {
			(void)!uffd_protect(h->cfg.uffd, hole_hva(h, frame), UMM_PAGE_SIZE, false);
			break;
		}
		h->counts.fresh++;
		(void)!holes_zero(h, frame, 1);
		break;
	}
	pthread_mutex_unlock(&h->lock);
}

/* One at a time, so that the others are there for other threads. */
static void serve_next(struct holes *h)
{
	struct uffd_msg msg;

	if (read(h->cfg.uffd, &msg, sizeof(msg)) != sizeof(msg))
		return;
	if (msg.event == UFFD_EVENT_PAGEFAULT)
		serve(h, msg.arg.pagefault.address,
		      msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
}

void *holes_server(void *arg)
{
	struct holes *h = arg;
	struct pollfd fds[] = {
		{ .fd = h->cfg.uffd, .events = POLLIN },
		{ .fd = h->stop_fd, .events = POLLIN },
	};

	pthread_setname_np(pthread_self(), "holes");
	while (!fds[1].revents) {
		if (poll(fds, 2, -1) > 0 && fds[0].revents)
			serve_next(h);
	}
	return NULL;
}
