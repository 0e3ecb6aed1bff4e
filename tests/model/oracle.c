/* SPDX-License-Identifier: MIT */
/* The oracle: what each page of each process is. Plain arrays, plain loops. */
#include "tests/model/model.h"

unsigned int cell_shift = UMM_PAGE_SHIFT;
uint64_t cell_seen;

gva_t cell_address(uint32_t page)
{
	if (page < MODEL_WINDOW)
		return gva_add(gva_make(WINDOW_BASE), (uint64_t)page << cell_shift);
	return gva_add(gva_make(BRK_BASE), (uint64_t)(page - MODEL_WINDOW) << cell_shift);
}

enum fault_result cell_expect(const struct model *m, const struct cell *c, bool write)
{
	if (c->kind == CELL_NONE)
		return FAULT_MAPERR;
	if (write ? !(c->prot & PROT_WRITE) : !c->prot)
		return FAULT_ACCERR;
	if (c->kind != CELL_ANON && !c->own && c->obj_page >= m->obj[c->obj].pages)
		return FAULT_BUS;
	return FAULT_DONE;
}

const uint64_t *cell_words(const struct model *m, const struct cell *c)
{
	if (c->kind == CELL_ANON || c->own)
		return c->w;
	return m->obj[c->obj].w[c->obj_page];
}

void cells_clear(struct model *m, int who, uint32_t first, uint32_t nr)
{
	memset(&m->p[who].cells[first], 0, nr * sizeof(struct cell));
}

void cells_map(struct model *m, int who, uint32_t first, uint32_t nr, const struct cell *like)
{
	for (uint32_t i = 0; i < nr; i++) {
		struct cell *c = &m->p[who].cells[first + i];

		*c = *like;
		c->obj_page += c->kind == CELL_ANON ? 0 : i;
		c->gen = m->next_gen++;
	}
}

static bool object_named(const struct model *m, int obj)
{
	for (int i = 0; i < MODEL_MMS; i++)
		for (uint32_t p = 0; m->p[i].mm && p < MODEL_CELLS; p++) {
			const struct cell *c = &m->p[i].cells[p];

			if (c->kind > CELL_ANON && c->obj == obj)
				return true;
		}
	return false;
}

void objects_collect(struct model *m)
{
	for (int i = MODEL_FILES; i < MODEL_OBJECTS; i++)
		if (m->obj[i].used && !object_named(m, i))
			m->obj[i].used = false;
}

int object_alloc(struct model *m, uint64_t pages)
{
	objects_collect(m);
	for (int i = MODEL_FILES; i < MODEL_OBJECTS; i++)
		if (!m->obj[i].used) {
			memset(&m->obj[i], 0, sizeof(m->obj[i]));
			m->obj[i].used = true;
			m->obj[i].pages = pages;
			return i;
		}
	return -1;
}

/* Cut: private copies of what lies past the end go as well. */
void object_truncate(struct model *m, int obj, uint64_t pages)
{
	struct object *o = &m->obj[obj];

	for (uint64_t i = pages; i < o->pages; i++)
		o->w[i][0] = o->w[i][1] = 0;
	o->pages = pages;
	for (int i = 0; i < MODEL_MMS; i++)
		for (uint32_t p = 0; p < MODEL_CELLS; p++) {
			struct cell *c = &m->p[i].cells[p];

			if (c->kind <= CELL_ANON || c->obj != obj || c->obj_page < pages)
				continue;
			c->own = c->early = false;
			c->gen = m->next_gen++;
		}
}
