/* SPDX-License-Identifier: MIT */
/* Random calls that change areas: mmap, munmap, mprotect, mremap, brk. */
#include "tests/model/model.h"

static int random_prot(struct model *m)
{
	static const int prots[] = {
		PROT_RW, PROT_RW, PROT_RW, PROT_RW, PROT_READ, PROT_NONE, PROT_RW | PROT_EXEC
	};

	return prots[model_random(m, ARRAY_LEN(prots))];
}

/* A random range inside the window. */
static void random_range(struct model *m, uint32_t *first, uint32_t *nr)
{
	*first = (uint32_t)model_random(m, MODEL_WINDOW);
	*nr = 1 + (uint32_t)model_random(m, model_random(m, 3) ? 12 : 48);
	if (*first + *nr > MODEL_WINDOW)
		*nr = MODEL_WINDOW - *first;
}

void op_map(struct model *m)
{
	struct cell like = { .kind = CELL_ANON, .prot = random_prot(m) };
	struct mm_map_request req = { .prot = like.prot, .flags = MAP_FIXED };
	int who = model_pick(m), err;
	uint32_t first, nr;
	gva_t out;

	random_range(m, &first, &nr);
	req.addr = cell_address(first);
	req.len = (uint64_t)nr << cell_shift;
	switch (model_random(m, 6)) {
	case 0: /* shared anonymous */
		like.kind = CELL_SHARED;
		like.obj = object_alloc(m, nr);
		if (like.obj < 0)
			return;
		req.flags |= MAP_ANON_SHARED;
		break;
	case 1:
	case 2: /* a file */
		like.kind = model_random(m, 2) ? CELL_SHARED : CELL_PRIVATE;
		like.obj = (int)model_random(m, MODEL_FILES);
		like.obj_page = (uint32_t)model_random(
			m, MODEL_OBJ_MAX - nr < 24 ? MODEL_OBJ_MAX - nr + 1 : 24);
		req.flags |= like.kind == CELL_SHARED ? MAP_SHARED : MAP_PRIVATE;
		req.mapping = m->obj[like.obj].f.mapping;
		req.offset = (uint64_t)like.obj_page << cell_shift;
		break;
	default:
		req.flags |= MAP_ANON_PRIVATE;
	}
	model_log(m, "%d: mmap page %u + %u, prot %d, kind %d, object %d page %u", who, first, nr,
		  req.prot, like.kind, like.obj, like.obj_page);
	err = mm_mmap(m->p[who].mm, &req, &out);
	if (err || out.v != req.addr.v) {
		model_fail(m, "mmap: %d", err);
		return;
	}
	cells_map(m, who, first, nr, &like);
}

void op_unmap(struct model *m)
{
	int who = model_pick(m), err;
	uint32_t first, nr;

	random_range(m, &first, &nr);
	model_log(m, "%d: munmap page %u + %u", who, first, nr);
	err = mm_munmap(m->p[who].mm, cell_address(first), (uint64_t)nr << cell_shift);
	if (err)
		model_fail(m, "munmap: %d", err);
	else
		cells_clear(m, who, first, nr);
}

/* Goes as far as pages are mapped, then it is -ENOMEM. */
void op_protect(struct model *m)
{
	int who = model_pick(m), prot = random_prot(m), err, want = 0;
	struct cell *c = m->p[who].cells;
	uint32_t first, nr;

	random_range(m, &first, &nr);
	model_log(m, "%d: mprotect page %u + %u, prot %d", who, first, nr, prot);
	err = mm_mprotect(m->p[who].mm, cell_address(first), (uint64_t)nr << cell_shift, prot);
	for (uint32_t i = first; i < first + nr && !want; i++) {
		if (c[i].kind == CELL_NONE)
			want = -ENOMEM;
		else
			c[i].prot = prot;
	}
	if (err != want)
		model_fail(m, "mprotect: %d, should be %d", err, want);
}

/* ---- mremap ------------------------------------------------------------------- */

struct move {
	int who;
	uint32_t from, old_nr, to, new_nr;
	bool keep; /* MREMAP_DONTUNMAP */
};

/* What the cells become; the manager has moved already. */
static void move_cells(struct model *m, const struct move *v)
{
	struct cell *c = m->p[v->who].cells, moved[MODEL_WINDOW];
	uint32_t common = v->old_nr < v->new_nr ? v->old_nr : v->new_nr;
	struct cell last = c[v->from + v->old_nr - 1];

	memcpy(moved, &c[v->from], v->old_nr * sizeof(*c));
	if (v->keep) {
		for (uint32_t i = v->from; i < v->from + v->old_nr; i++) {
			c[i].own = c[i].lazy = false;
			c[i].w[0] = c[i].w[1] = 0;
			c[i].gen = m->next_gen++;
		}
	} else {
		cells_clear(m, v->who, v->from, v->old_nr);
	}
	memcpy(&c[v->to], moved, common * sizeof(*c));
	for (uint32_t i = 0; i < common; i++)
		c[v->to + i].gen = m->next_gen++;
	if (v->new_nr > v->old_nr) {
		struct cell like = { .kind = last.kind,
				     .prot = last.prot,
				     .obj = last.obj,
				     .obj_page = last.obj_page + 1 };

		cells_map(m, v->who, v->to + v->old_nr, v->new_nr - v->old_nr, &like);
	}
}

/* The object has room in the oracle for that many pages. */
static bool object_fits(const struct model *m, const struct move *v)
{
	const struct cell *c = &m->p[v->who].cells[v->from];

	return c->kind == CELL_ANON || c->obj_page + v->new_nr <= MODEL_OBJ_MAX;
}

/* A random part of one area to a random other place; NONE if there is no such. */
static bool choose_move(struct model *m, struct move *v)
{
	uint32_t page = (uint32_t)model_random(m, MODEL_WINDOW), end;
	struct vma *vma;

	v->who = model_pick(m);
	vma = unit_vma(m->p[v->who].mm, cell_address(page));
	if (!vma || vma->start.v < WINDOW_BASE)
		return false;
	end = (uint32_t)((vma->end.v - WINDOW_BASE) >> cell_shift);
	v->from = page;
	v->old_nr = 1 + (uint32_t)model_random(m, end - page);
	v->new_nr = v->old_nr;
	v->keep = !model_random(m, 4);
	if (!v->keep && !model_random(m, 3))
		v->new_nr = 1 + (uint32_t)model_random(m, 16);
	if (v->new_nr > MODEL_WINDOW)
		return false;
	v->to = (uint32_t)model_random(m, MODEL_WINDOW - v->new_nr + 1);
	return (v->to >= v->from + v->old_nr || v->to + v->new_nr <= v->from) && object_fits(m, v);
}

void op_remap(struct model *m)
{
	struct move v;
	gva_t out;
	int err;

	if (!choose_move(m, &v))
		return;
	model_log(m, "%d: mremap page %u + %u to %u + %u%s", v.who, v.from, v.old_nr, v.to,
		  v.new_nr, v.keep ? ", old kept" : "");
	err = mm_mremap(m->p[v.who].mm, cell_address(v.from), (uint64_t)v.old_nr << cell_shift,
			(uint64_t)v.new_nr << cell_shift,
			MREMAP_MAYMOVE | MREMAP_FIXED | (v.keep ? MREMAP_DONTUNMAP : 0),
			cell_address(v.to), &out);
	if (err || out.v != cell_address(v.to).v)
		model_fail(m, "mremap: %d", err);
	else
		move_cells(m, &v);
}

void op_brk(struct model *m)
{
	int who = model_pick(m);
	uint64_t old = m->p[who].brk_pages, want = model_random(m, MODEL_BRK + 1);
	gva_t now;

	model_log(m, "%d: brk %lu -> %lu pages", who, old, want);
	now = mm_brk(m->p[who].mm, gva_add(gva_make(BRK_BASE), want << cell_shift));
	if (now.v != gva_add(gva_make(BRK_BASE), want << cell_shift).v) {
		model_fail(m, "brk: %#lx", now.v);
		return;
	}
	if (want < old)
		cells_clear(m, who, MODEL_WINDOW + (uint32_t)want, (uint32_t)(old - want));
	else
		cells_map(m, who, MODEL_WINDOW + (uint32_t)old, (uint32_t)(want - old),
			  &(struct cell){ .kind = CELL_ANON, .prot = PROT_RW });
	m->p[who].brk_pages = want;
}
