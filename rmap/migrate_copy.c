/* SPDX-License-Identifier: MIT */
/*
 * Copying a batch: neighbours whose targets are neighbours too are one run, and
 * runs go to the host many at a time, which may share them out among threads.
 * With a deadline they go in slices that take a part of the window each.
 */
#include "rmap/migrate.h"

#define SLICE_NS 500000ul
/* While it is not known how fast this host copies. */
#define FIRST_SLICE 4u

struct copying {
	struct migration *m;
	bool (*wanted)(const struct migrate_item *it);
	unsigned int at;     /* next item */
	unsigned int offset; /* frames of it that are done */
};

static bool follows(const struct frame_copy *run, pfn_t src, pfn_t dst)
{
	return run->src.v + run->nr == src.v && run->dst.v + run->nr == dst.v;
}

static unsigned int slice_frames(const struct migration *m, uint64_t deadline)
{
	uint64_t frames;

	if (!deadline)
		return UINT32_MAX;
	if (!m->ns_copy_frame)
		return FIRST_SLICE;
	frames = SLICE_NS / m->ns_copy_frame;
	return frames ? (unsigned int)frames : 1;
}

/* Runs of up to @max frames into m->copies; returns the frames. */
static unsigned int fill_slice(struct copying *c, unsigned int max, unsigned int *nr)
{
	struct migration *m = c->m;
	unsigned int frames = 0;

	*nr = 0;
	while (c->at < m->nr && frames < max && *nr < MIGRATE_BATCH) {
		struct migrate_item *it = &m->items[c->at];
		unsigned int part = it->nr - c->offset;
		pfn_t src, dst;

		if (!c->wanted(it)) {
			c->at++;
			continue;
		}
		part = part < max - frames ? part : max - frames;
		src = pfn_add(it->src_pfn, c->offset);
		dst = pfn_add(it->dst_pfn, c->offset);
		if (*nr && follows(&m->copies[*nr - 1], src, dst))
			m->copies[*nr - 1].nr += part;
		else
			m->copies[(*nr)++] =
				(struct frame_copy){ .dst = dst, .src = src, .nr = part };
		frames += part;
		c->offset += part;
		if (c->offset == it->nr) {
			c->at++;
			c->offset = 0;
		}
	}
	return frames;
}

static bool overlap(const struct frame_copy *run, pfn_t pfn, unsigned int nr)
{
	return run->src.v < pfn.v + nr && pfn.v < run->src.v + run->nr;
}

/* Items [from, to] had part in a copy of @nr runs of which some failed. */
static void mark_failed(struct migration *m, unsigned int from, unsigned int to, unsigned int nr)
{
	for (unsigned int i = from; i <= to && i < m->nr; i++) {
		struct migrate_item *it = &m->items[i];
		for (unsigned int k = 0; k < nr; k++)
			it->failed |= m->copies[k].error &&
				      overlap(&m->copies[k], it->src_pfn, it->nr);
	}
}

static void learn_speed(struct migration *m, uint64_t ns, unsigned int frames)
{
	uint64_t now = ns / frames + 1;

	m->ns_copy_frame = m->ns_copy_frame ? (3 * m->ns_copy_frame + now) / 4 : now;
}

static void give_up(struct copying *c)
{
	struct migration *m = c->m;

	for (unsigned int i = c->at; i < m->nr; i++) {
		struct migrate_item *it = &m->items[i];

		if (c->wanted(it) && it->tries < MIGRATE_TRIES)
			it->step = MIGRATE_LATE;
	}
}

void migrate_copy(struct migration *m, bool (*wanted)(const struct migrate_item *it),
		  uint64_t deadline)
{
	struct copying c = { .m = m, .wanted = wanted };
	unsigned int frames, first, nr;
	uint64_t start = migrate_now_ns(), before = start, after;

	for (;;) {
		first = c.at;
		frames = fill_slice(&c, slice_frames(m, deadline), &nr);
		if (!frames)
			break;
		if (m->sys->ops->copy_runs(m->sys->ctx, m->copies, nr))
			mark_failed(m, first, c.at, nr);
		after = migrate_now_ns();
		learn_speed(m, after - before, frames);
		before = after;
		if (deadline && after > deadline) {
			/* LATE ones are wanted no more; a folio half done starts again. */
			give_up(&c);
			c.offset = c.at < m->nr && m->items[c.at].step == MIGRATE_LATE ? 0
										       : c.offset;
			deadline = 0;
		}
	}
	m->res->ns_copy += before - start;
}
