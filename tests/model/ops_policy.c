/* SPDX-License-Identifier: MIT */
/*
 * Random calls that change where pages are, and little of what they hold:
 * madvise, mlock, reclaim, migration, writing back; and files that shrink.
 */
#include <umm/placement.h>

#include "tests/model/model.h"

/* A random part of one real area; false: the pick hit a hole. */
static bool random_area_part(struct model *m, int *who, uint32_t *first, uint32_t *nr,
			     uint64_t *flags)
{
	uint32_t page = (uint32_t)model_random(m, MODEL_CELLS);
	struct vma *vma;

	*who = model_pick(m);
	vma = unit_vma(m->p[*who].mm, cell_address(page));
	if (!vma)
		return false;
	*first = page;
	*nr = 1 + (uint32_t)model_random(m, (vma->end.v - cell_address(page).v) >> cell_shift);
	*flags = vma_flags(vma);
	return true;
}

static void advise_cell(struct model *m, struct cell *c, int advice)
{
	if (advice == MADV_DONTNEED) {
		c->own = c->early = c->lazy = false;
		c->w[0] = c->w[1] = 0;
		c->gen = m->next_gen++;
	} else if (advice == MADV_FREE) {
		c->lazy = true;
		c->gen = m->next_gen++;
	}
}

void op_advise(struct model *m)
{
	static const int advices[] = { MADV_DONTNEED, MADV_DONTNEED, MADV_FREE,    MADV_FREE,
				       MADV_COLD,     MADV_PAGEOUT,  MADV_PAGEOUT, MADV_WILLNEED };
	int advice = advices[model_random(m, ARRAY_LEN(advices))], who, err, want = 0;
	uint32_t first, nr;
	uint64_t flags;

	if (!random_area_part(m, &who, &first, &nr, &flags))
		return;
	model_log(m, "%d: madvise page %u + %u, advice %d", who, first, nr, advice);
	err = mm_madvise(m->p[who].mm, cell_address(first), (uint64_t)nr << cell_shift, advice);
	if (advice != MADV_WILLNEED && (flags & VM_LOCKED))
		want = -EINVAL;
	if (advice == MADV_FREE && m->p[who].cells[first].kind != CELL_ANON)
		want = -EINVAL;
	if (err != want) {
		model_fail(m, "madvise: %d, should be %d", err, want);
		return;
	}
	for (uint32_t i = first; !want && i < first + nr; i++)
		advise_cell(m, &m->p[who].cells[i], advice);
	/* What makes MADV_FREE hard: pages taken back before reclaim comes for them. */
	if (!want && advice == MADV_FREE && model_random(m, 2)) {
		model_store(m, who, first, 1 + (uint32_t)model_random(m, nr));
		if (!m->failed && model_random(m, 2))
			op_reclaim(m);
	}
}

/*
 * Locks anonymous and shared areas only: what a lock does to a private file page
 * (a copy at once) depends on more than the oracle knows.
 */
void op_lock(struct model *m)
{
	bool lock = model_random(m, 2);
	uint32_t first, nr;
	uint64_t flags;
	int who, err;

	if (!random_area_part(m, &who, &first, &nr, &flags))
		return;
	if (m->p[who].cells[first].kind == CELL_PRIVATE)
		return;
	if (nr > 16)
		nr = 16;
	model_log(m, "%d: %s page %u + %u", who, lock ? "mlock" : "munlock", first, nr);
	if (lock)
		err = mm_mlock(m->p[who].mm, cell_address(first), (uint64_t)nr << cell_shift, 0);
	else
		err = mm_munlock(m->p[who].mm, cell_address(first), (uint64_t)nr << cell_shift);
	/* Locking faults the pages in, which may fail for want of access or memory. */
	if (err && !(lock && (err == -ENOMEM || err == -EAGAIN)))
		model_fail(m, "%s: %d", lock ? "mlock" : "munlock", err);
}

void op_reclaim(struct model *m)
{
	struct reclaim_request req = {
		.nr_frames = model_random(m, 3) ? model_random(m, 64) : UINT64_MAX,
		.node = -1,
		.ignore_references = model_random(m, 2),
		.discard = model_random(m, 2),
	};
	struct reclaim_result r;
	int err;

	if (model_random(m, 2))
		req.mm = m->p[model_pick(m)].mm;
	model_log(m, "reclaim %lu of mm %d%s%s", req.nr_frames, req.mm ? req.mm->id : -1,
		  req.ignore_references ? ", used ones too" : "", req.discard ? ", discard" : "");
	err = mm_reclaim(m->h->sys, &req, &r);
	if (err)
		model_fail(m, "reclaim: %d", err);
}

/* Another reclaim policy, or some time for the one there is: what it ages, it may lose. */
void op_reclaim_policy(struct model *m)
{
	unsigned int nr = 0;
	int err;

	if (model_random(m, 2)) {
		model_log(m, "tick of reclaim policy %s", mm_policy_get(m->h->sys)->name);
		for (int i = 0; i < 12; i++)
			mm_policy_tick(m->h->sys, m->now += 100000000ul);
		return;
	}
	while (reclaim_policy_get(nr))
		nr++;
	nr = (unsigned int)model_random(m, nr);
	model_log(m, "reclaim policy %s", reclaim_policy_get(nr)->name);
	err = mm_policy_set(m->h->sys, reclaim_policy_get(nr));
	if (err && err != -ENOMEM)
		model_fail(m, "reclaim policy: %d", err);
}

void op_migrate(struct model *m)
{
	struct migrate_request req = {
		.to = (int)model_random(m, m->h->config.nr_nodes),
		.move_shared = model_random(m, 2),
		.mode = (enum migrate_mode)model_random(m, 3),
		.batch = (unsigned int)model_random(m, 3) * 7,
	};
	struct migrate_result r;
	int err;

	if (model_random(m, 3))
		req.mm = m->p[model_pick(m)].mm;
	model_log(m, "migrate mm %d to node %d", req.mm ? req.mm->id : -1, req.to);
	err = mm_migrate(m->h->sys, &req, &r);
	if (err)
		model_fail(m, "migrate: %d", err);
	if (r.failed)
		model_fail(m, "migrate: %lu frames failed", r.failed);
}

/* Another policy; -ENODEV is right where there is but one node. */
static void switch_placement(struct model *m)
{
	static const char *const names[][3] = { { "two-fault", "majority", NULL },
						{ "recency", "sampling", NULL } };
	enum placement_kind kind = (enum placement_kind)model_random(m, 2);
	const char *name = names[kind][model_random(m, 3)];
	bool can = m->h->config.nr_nodes > 1;
	int err;

	/* -EBUSY: tiering is on already. */
	if (can && kind == PLACEMENT_TIER)
		(void)!mm_placement_set_slow_nodes(m->h->sys, 1ul << (m->h->config.nr_nodes - 1));
	model_log(m, "placement: %s %s", placement_kind_name(kind), name ? name : "off");
	err = mm_placement_set(m->h->sys, kind, name);
	if (err != (can || !name ? 0 : -ENODEV))
		model_fail(m, "placement: %d", err);
}

/* What the host's thread does, and vCPUs that run on another node afterwards. */
void op_place(struct model *m)
{
	if (!model_random(m, 4)) {
		switch_placement(m);
		return;
	}
	m->h->node = (int)model_random(m, m->h->config.nr_nodes);
	m->now += 300ul * 1000000000ul;
	model_log(m, "placement: tick; vCPUs on node %d", m->h->node);
	mm_placement_tick(m->h->sys, m->now);
}

/* The file must hold what was stored through shared mappings. */
static void check_file(struct model *m, int obj)
{
	const struct object *o = &m->obj[obj];

	for (uint64_t p = 0; p < o->pages; p++)
		for (int i = 0; i < 2; i++) {
			uint64_t got = fake_file_read(o->f.file, cell_file_page(p), i ? 511 : 0);

			if (got != o->w[p][i]) {
				model_fail(m, "file %d page %lu holds %#lx, should hold %#lx", obj,
					   p, got, o->w[p][i]);
				return;
			}
		}
}

void op_sync(struct model *m)
{
	int obj = (int)model_random(m, MODEL_FILES);
	int err;

	model_log(m, "write file %d back", obj);
	err = mapping_flush(m->obj[obj].f.mapping, 0, MODEL_OBJ_MAX << cell_shift);
	if (err)
		model_fail(m, "mapping_flush: %d", err);
	else
		check_file(m, obj);
}

/* As write() does it: what is dirty first, then the file, then what is cached. */
void op_write_file(struct model *m)
{
	int obj = (int)model_random(m, MODEL_FILES);
	struct object *o = &m->obj[obj];
	uint64_t page = model_random(m, MODEL_OBJ_MAX), value = m->next_value;
	uint64_t at = (page << cell_shift) + cell_seen;
	int err;

	if (page >= o->pages)
		return;
	m->next_value += 2;
	model_log(m, "write %#lx to file %d page %lu", value, obj, page);
	err = mapping_flush(o->f.mapping, at, UMM_PAGE_SIZE);
	for (int i = 0; i < 2 && !err; i++) {
		o->w[page][i] = value + (uint64_t)i;
		memcpy(o->f.file->bytes + at + (i ? UMM_PAGE_SIZE - 8 : 0), &o->w[page][i], 8);
	}
	if (!err)
		err = mapping_refresh(o->f.mapping, at, UMM_PAGE_SIZE);
	if (err)
		model_fail(m, "flush or refresh: %d", err);
}

/* As ftruncate() does it: the file first, then what is cached and mapped. */
void op_truncate(struct model *m)
{
	int obj = (int)model_random(m, MODEL_FILES);
	uint64_t pages = model_random(m, MODEL_OBJ_MAX + 1);
	struct object *o = &m->obj[obj];
	struct fake_file *file = o->f.file;
	uint64_t size = pages << cell_shift, old = file->size;

	model_log(m, "truncate file %d from %lu to %lu pages", obj, o->pages, pages);
	file->size = size;
	if (size < old) {
		mapping_truncate(o->f.mapping, size);
		memset(file->bytes + size, 0, old - size);
	}
	object_truncate(m, obj, pages);
}
