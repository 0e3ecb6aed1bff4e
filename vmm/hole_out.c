/* SPDX-License-Identifier: MIT */
/*
 * Making holes.
 *
 * Between protecting and punching a frame is LEAVING. Whoever stores to it meets the
 * protection, whoever zaps it says so before: both make it HERE again, and what is HERE at
 * the end is not punched. What was copied to the buffer is therefore what the frame holds
 * when it is punched. Punching and that look are one step under the lock, and so are a
 * server's look and what it does.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/frames.h"
#include "vmm/holes.h"
#include "vmm/uffd.h"

/* Pages: several writes in flight are faster than one as large as all of them. */
#define WRITE_PIECE 64u

/* ---- protect ------------------------------------------------------------------------ */

static uint32_t leave_all(struct holes *h, const struct frame_hole *v)
{
	uint64_t first = hole_frame_of(h, v->pfn);
	uint32_t leaving = 0;

	for (uint64_t i = first; i < first + v->nr; i++)
		leaving += hole_leave(&h->table, i);
	return leaving;
}

/* Neighbours by one call. */
static unsigned int run_length(const struct frame_hole *v, unsigned int nr, uint32_t *frames)
{
	unsigned int n = 1;

	*frames = v->nr;
	while (n < nr && v[n].pfn.v == v->pfn.v + *frames)
		*frames += v[n++].nr;
	return n;
}

int holes_protect(struct holes *h, struct frame_hole *v, unsigned int nr)
{
	uint32_t frames;
	unsigned int n;
	int rc = 0;

	pthread_mutex_lock(&h->lock);
	for (unsigned int i = 0; i < nr; i++) {
		v[i].keep = false;
		v[i].punched = v[i].zero = 0;
		v[i].error = 0;
		v[i].stayed = leave_all(h, &v[i]);
	}
	pthread_mutex_unlock(&h->lock);
	for (unsigned int i = 0; i < nr && !rc; i += n) {
		n = run_length(&v[i], nr - i, &frames);
		rc = uffd_protect(h->cfg.uffd, hole_hva(h, hole_frame_of(h, v[i].pfn)),
				  (uint64_t)frames << UMM_PAGE_SHIFT, true);
	}
	for (unsigned int i = 0; rc && i < nr; i++)
		(void)!holes_unprotect(h, v[i].pfn, v[i].nr);
	return rc;
}

/* ---- write -------------------------------------------------------------------------- */

/* Some frames on their way out, with buffers of the same number but for zero pages. */
struct leaving {
	unsigned int nr;
	uint64_t frame[HOLE_OUT_PAGES];
	struct frame_hole *of[HOLE_OUT_PAGES];
	uint32_t slot[HOLE_OUT_PAGES];
	int io[HOLE_OUT_PAGES]; /* its transfer; -1: none */
	bool ok[HOLE_OUT_PAGES];
	struct swap_io ios[HOLE_OUT_PAGES];
	unsigned int nr_ios, nr_buffers;
};

static bool is_zero(const uint8_t *page)
{
	const uint64_t *w = (const uint64_t *)page;

	for (unsigned int i = 0; i < UMM_PAGE_SIZE / sizeof(*w); i++)
		if (w[i])
			return false;
	return true;
}

static void add_io(struct holes *h, struct leaving *l, unsigned int i)
{
	struct swap_io *last = l->nr_ios ? &l->ios[l->nr_ios - 1] : NULL;

	if (last && last->slot + last->nr == l->slot[i] && last->nr < WRITE_PIECE)
		last->nr++;
	else
		l->ios[l->nr_ios++] = (struct swap_io){
			.area = h->area,
			.slot = l->slot[i],
			.pfn = pfn_make(l->nr_buffers),
			.nr = 1,
			.write = true,
		};
	l->io[i] = (int)l->nr_ios - 1;
	l->nr_buffers++;
}

/* out_lock held. Reading a frame may wait for a server; no other lock is held. */
static void copy_and_place(struct holes *h, struct leaving *l)
{
	l->nr_ios = l->nr_buffers = 0;
	for (unsigned int i = 0; i < l->nr; i++) {
		uint8_t *buffer = h->buffers.ram + ((uint64_t)l->nr_buffers << UMM_PAGE_SHIFT);
		int rc;

		memcpy(buffer, hole_hva(h, l->frame[i]), UMM_PAGE_SIZE);
		l->slot[i] = HOLE_ZERO;
		l->io[i] = -1;
		l->ok[i] = true;
		if (is_zero(buffer))
			continue;
		pthread_mutex_lock(&h->lock);
		rc = hole_slot_take(&h->table, &l->slot[i]);
		pthread_mutex_unlock(&h->lock);
		if (rc) {
			l->ok[i] = false;
			l->slot[i] = HOLE_ZERO;
			l->of[i]->error = rc;
			continue;
		}
		add_io(h, l, i);
	}
}

/* lock held: written, and neither stored to nor zapped. */
static bool may_punch(struct holes *h, const struct leaving *l, unsigned int i)
{
	return l->ok[i] && hole_state(&h->table, l->frame[i]) == HOLE_LEAVING;
}

/* lock held. Neighbours from the @i-th on, which may all be punched, by one call. */
static unsigned int punch_run(struct holes *h, struct leaving *l, unsigned int i)
{
	unsigned int n = 1;
	int rc;

	while (i + n < l->nr && l->frame[i + n] == l->frame[i] + n && may_punch(h, l, i + n))
		n++;
	rc = frames_discard(h->cfg.memory, pfn_make(h->table.base + l->frame[i]), n);
	for (unsigned int k = i; k < i + n; k++) {
		if (rc) {
			l->ok[k] = false;
			l->of[k]->error = rc;
			continue;
		}
		hole_gone(&h->table, l->frame[k], l->slot[k]);
		h->counts.out++;
		h->counts.out_zero += l->slot[k] == HOLE_ZERO;
		l->of[k]->punched++;
		l->of[k]->zero += l->slot[k] == HOLE_ZERO;
		l->of[k]->stayed--;
	}
	return n;
}

static void finish(struct holes *h, struct leaving *l)
{
	for (unsigned int i = 0; i < l->nr; i++) {
		int rc = l->io[i] < 0 ? 0 : l->ios[l->io[i]].error;

		if (!rc)
			continue;
		l->ok[i] = false;
		l->of[i]->error = rc;
	}
	pthread_mutex_lock(&h->lock);
	for (unsigned int i = 0; i < l->nr; i++)
		h->counts.write_errors += l->io[i] >= 0 && l->ios[l->io[i]].error;
	for (unsigned int i = 0, n; i < l->nr; i += n)
		n = may_punch(h, l, i) ? punch_run(h, l, i) : 1;
	for (unsigned int i = 0; i < l->nr; i++) {
		if (hole_state(&h->table, l->frame[i]) == HOLE_GONE && l->ok[i])
			continue;
		h->counts.stayed += hole_state(&h->table, l->frame[i]) != HOLE_LEAVING;
		holes_slot_put(h, l->slot[i]);
	}
	pthread_mutex_unlock(&h->lock);
	for (unsigned int i = 0; i < l->nr; i++)
		if (!l->ok[i])
			(void)!holes_unprotect(h, pfn_make(h->table.base + l->frame[i]), 1);
	l->nr = 0;
}

static void write_some(struct holes *h, struct leaving *l)
{
	copy_and_place(h, l);
	holes_transfer(h, l->ios, l->nr_ios);
	finish(h, l);
}

static bool is_leaving(struct holes *h, uint64_t frame)
{
	bool yes;

	pthread_mutex_lock(&h->lock);
	yes = hole_state(&h->table, frame) == HOLE_LEAVING;
	pthread_mutex_unlock(&h->lock);
	return yes;
}

void holes_write(struct holes *h, struct frame_hole *v, unsigned int nr)
{
	static struct leaving l; /* out_lock */

	pthread_mutex_lock(&h->out_lock);
	l.nr = 0;
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t first = hole_frame_of(h, v[i].pfn);

		if (v[i].keep) {
			(void)!holes_unprotect(h, v[i].pfn, v[i].nr);
			continue;
		}
		for (uint64_t f = first; f < first + v[i].nr; f++) {
			if (!is_leaving(h, f))
				continue;
			l.frame[l.nr] = f;
			l.of[l.nr++] = &v[i];
			if (l.nr == HOLE_OUT_PAGES)
				write_some(h, &l);
		}
	}
	write_some(h, &l);
	pthread_mutex_unlock(&h->out_lock);
}
