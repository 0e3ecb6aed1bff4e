/* SPDX-License-Identifier: MIT */
/*
 * Requests to migrate: which folios are to move. They are isolated from their
 * LRU lists, about MIGRATE_ISOLATE frames at a time, either by walking the page
 * tables of a process or by passing through the frames of a node; the engine in
 * migrate_batch.c moves them.
 */
#include "rmap/migrate.h"

static bool stopped(struct migration *m, uint64_t done, uint64_t total)
{
	return m->req->progress && m->req->progress(m->req->arg, done, total);
}

static void migrate_mm(struct migration *m)
{
	struct list_head list;
	struct mm_cursor c;
	uint64_t total = 0;

	for (int i = 0; i < MM_NR_COUNTERS; i++) {
		if (i != MM_SWAPENTS)
			total += (uint64_t)__atomic_load_n(&m->req->mm->counters[i],
							   __ATOMIC_RELAXED);
	}
	mm_cursor_init(&c, m->req->mm, m->req->start, m->req->end);
	c.to = m->req->to;
	c.from_mask = m->req->from_mask;
	c.private_only = !m->req->move_shared;
	list_init(&list);
	while (mm_cursor_isolate(&c, &list, MIGRATE_ISOLATE)) {
		umm_read_lock(&m->sys->work_lock);
		migrate_list(m, &list);
		umm_read_unlock(&m->sys->work_lock);
		if (stopped(m, c.seen, total))
			break;
	}
	m->res->total = c.seen;
	m->res->already_there = c.already_there;
	m->res->shared = c.shared;
	m->res->busy += c.busy;
}

/* Isolate what is in use among frames [first, first + nr) of the node. */
static uint64_t isolate_frames(struct migration *m, struct mm_node *n, uint64_t *at,
			       struct list_head *list)
{
	uint64_t taken = 0;

	uint64_t end = __atomic_load_n(&n->fresh, __ATOMIC_ACQUIRE);

	while (*at < end && taken < MIGRATE_ISOLATE) {
		struct folio *f = &n->frames[*at];
		uint32_t flags = folio_flags(f);

		/* Of a free block that is being split or joined only its first frame is passed. */
		if (flags & (1u << PG_buddy)) {
			unsigned int order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);

			*at += order <= UMM_MAX_ORDER ? 1ul << order : 1;
			continue;
		}
		++*at;
		if ((flags & (1u << PG_tail)) || !folio_refcount(f))
			continue;
		if (lru_isolate_folio(m->sys, f)) {
			list_add_tail(&f->lru, list);
			taken += folio_nr(f);
			m->res->total += folio_nr(f);
		}
	}
	return taken;
}

static void migrate_node(struct migration *m, struct mm_node *n, uint64_t *done, uint64_t total)
{
	struct list_head list;

	list_init(&list);
	for (uint64_t at = 0; at < __atomic_load_n(&n->fresh, __ATOMIC_ACQUIRE);) {
		uint64_t first = at;

		umm_read_lock(&m->sys->work_lock);
		if (isolate_frames(m, n, &at, &list))
			migrate_list(m, &list);
		umm_read_unlock(&m->sys->work_lock);
		*done += at - first;
		if (stopped(m, *done, total))
			break;
	}
}

static void migrate_nodes(struct migration *m)
{
	struct mm_sys *sys = m->sys;
	uint64_t mask = m->req->from_mask ? m->req->from_mask : ~0ul, done = 0, total = 0;

	mask &= ~(1ul << m->req->to);
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		total += mask & (1ul << i) ? __atomic_load_n(&sys->nodes[i].fresh, __ATOMIC_ACQUIRE)
					   : 0;
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		if (mask & (1ul << i))
			migrate_node(m, &sys->nodes[i], &done, total);
	}
}

int mm_migrate(struct mm_sys *sys, const struct migrate_request *req, struct migrate_result *out)
{
	struct migration *m;

	if (req->to < 0 || req->to >= (int)sys->nr_nodes)
		return -EINVAL;
	m = migration_start(sys, req, out);
	if (!m)
		return -ENOMEM;
	if (req->mm)
		migrate_mm(m);
	else
		migrate_nodes(m);
	migration_end(m);
	return 0;
}
