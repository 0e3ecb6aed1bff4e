/* SPDX-License-Identifier: MIT */
/* Random accesses, fork, exit and pins. */
#include "tests/model/model.h"

#define LAST_WORD (UMM_PAGE_SIZE - 8)

int model_pick(struct model *m)
{
	int who;

	do
		who = (int)model_random(m, MODEL_MMS);
	while (!m->p[who].mm);
	return who;
}

int model_free_slot(struct model *m)
{
	for (int i = 0; i < MODEL_MMS; i++)
		if (!m->p[i].mm)
			return i;
	return -1;
}

static uint64_t frames_total(const struct model *m)
{
	return m->h->config.nr_nodes * m->h->config.frames_per_node;
}

/* Out of memory is an answer only when nothing could be reclaimed either. */
static void check_memory_is_short(struct model *m)
{
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX,
		.node = -1,
		.ignore_references = true,
	};
	const struct mm_sys *sys = m->h->sys;
	uint64_t tables = sys->nr_table_fresh + sys->nr_table_free + sys->nr_table_quarantine;
	struct reclaim_result r;

	/*
	 * It may be page tables that are short; those cannot be reclaimed. A fork needs
	 * five, and one a leaf.
	 */
	if (tables < (cell_shift > UMM_PAGE_SHIFT ? 32 : 8))
		return;
	if (frames_nr_free(m->h->sys) > 64 + frames_total(m) / 64)
		model_fail(m, "out of memory with %lu frames and %lu tables free",
			   frames_nr_free(m->h->sys), tables);
	else if (mm_reclaim(m->h->sys, &req, &r) || r.freed > 16)
		model_fail(
			m,
			"out of memory, and %lu frames could be reclaimed (%lu written, %lu swapped, %lu zero, %lu scanned)",
			r.freed, r.written, r.swapped, r.zero, r.scanned);
}

/* Somebody must die: the one that frees most. The last one is born again, empty. */
void model_out_of_memory(struct model *m)
{
	uint64_t worst = 0, bad;
	int victim = -1, alive = 0;

	m->ooms++;
	check_memory_is_short(m);
	for (int i = 0; i < MODEL_MMS; i++) {
		if (!m->p[i].mm)
			continue;
		alive++;
		bad = mm_badness(m->p[i].mm);
		if (victim < 0 || bad > worst) {
			worst = bad;
			victim = i;
		}
	}
	model_log(m, "%d: killed, out of memory", victim);
	model_exit(m, victim);
	if (alive == 1 && !model_create(m, victim))
		model_fail(m, "no memory for a new process");
}

/* Two words of a page; each access must give what the oracle says. */
static bool access_word(struct model *m, int who, uint32_t page, int word, bool write,
			uint64_t *value)
{
	const struct cell *c = &m->p[who].cells[page];
	gva_t at = gva_add(cell_address(page), cell_seen + (word ? LAST_WORD : 0));
	enum fault_result want = cell_expect(m, c, write), got;
	unsigned int vcpu = (unsigned int)who % 4;

	if (write)
		got = fake_store(m->h, m->p[who].mm, vcpu, at, *value);
	else
		got = fake_load(m->h, m->p[who].mm, vcpu, at, value);
	if (got == FAULT_OOM && want == FAULT_DONE) {
		model_out_of_memory(m);
		return false;
	}
	if (got != want)
		model_fail(m, "%d: %s of page %u: fault result %d, should be %d", who,
			   write ? "store" : "load", page, got, want);
	return got == FAULT_DONE && want == FAULT_DONE;
}

void model_check_page(struct model *m, int who, uint32_t page)
{
	struct cell *c = &m->p[who].cells[page];
	const uint64_t *want = cell_words(m, c);
	uint64_t got[2];

	for (int i = 0; i < 2; i++)
		if (!access_word(m, who, page, i, false, &got[i]))
			return;
	if (c->lazy && !got[0] && !got[1]) {
		/* Dropped: zero from now on. */
		c->lazy = false;
		c->w[0] = c->w[1] = 0;
		return;
	}
	if (c->early && (!c->own || got[0] == want[0])) {
		/* Copied before the file changed, if it was; what it holds now it keeps. */
		if (got[0] != want[0] || got[1] != want[1])
			c->own = true;
		memcpy(c->w, got, sizeof(got));
		return;
	}
	if (got[0] != want[0] || got[1] != want[1])
		model_fail(m, "%d: page %u holds %#lx, %#lx; should hold %#lx, %#lx", who, page,
			   got[0], got[1], want[0], want[1]);
}

void op_load(struct model *m)
{
	int who = model_pick(m);
	uint32_t page = (uint32_t)model_random(m, MODEL_CELLS);

	model_log(m, "%d: load page %u", who, page);
	model_check_page(m, who, page);
}

/* A store to a private page may copy its neighbours as well, where copy_around is on. */
static void note_copy_around(struct model *m, int who, uint32_t page)
{
	struct cell *first = &m->p[who].cells[page & ~7u];

	for (uint32_t i = 0; i < 8; i++)
		first[i].early |= first[i].kind == CELL_PRIVATE && m->h->config.copy_around > 1;
}

static void note_store(struct model *m, int who, uint32_t page, int word, uint64_t value)
{
	struct cell *c = &m->p[who].cells[page];
	uint64_t *w = c->w;

	if (c->kind == CELL_SHARED) {
		w = m->obj[c->obj].w[c->obj_page];
	} else if (c->kind == CELL_PRIVATE && !c->own) {
		memcpy(c->w, m->obj[c->obj].w[c->obj_page], sizeof(c->w));
		c->own = true;
		c->gen = m->next_gen++;
	}
	if (c->kind == CELL_PRIVATE)
		note_copy_around(m, who, page);
	w[word] = value;
	/* The first word keeps the page; the second may still be what it was, or zero. */
	if (word)
		c->lazy = false;
}

/* The words of page after page are @step apart. */
static void store_words(struct model *m, int who, uint32_t first, uint32_t nr, uint64_t value,
			uint64_t step)
{
	model_log(m, "%d: store %#lx to page %u + %u", who, value, first, nr);
	for (uint32_t p = first; p < first + nr && p < MODEL_CELLS; p++, value += step) {
		for (int i = 0; i < 2; i++) {
			uint64_t v = value + (uint64_t)i;

			if (!access_word(m, who, p, i, true, &v))
				break;
			note_store(m, who, p, i, v);
		}
		if (m->failed || !m->p[who].mm)
			return;
	}
}

void model_store(struct model *m, int who, uint32_t first, uint32_t nr)
{
	m->next_value += 256;
	store_words(m, who, first, nr, m->next_value - 256, 2);
}

void model_store_equal(struct model *m, int who, uint32_t first, uint32_t nr)
{
	store_words(m, who, first, nr, 16 * model_random(m, 3), 0);
}

void op_store(struct model *m)
{
	int who = model_pick(m);
	uint32_t first = (uint32_t)model_random(m, MODEL_CELLS);
	uint32_t nr = 1 + (uint32_t)model_random(m, model_random(m, 3) ? 3 : 64);

	model_store(m, who, first, nr);
}

/* ---- fork and exit --------------------------------------------------------------- */

void op_fork(struct model *m)
{
	int who = model_pick(m), slot = model_free_slot(m), err;

	if (slot < 0)
		return;
	model_log(m, "%d: fork -> %d", who, slot);
	err = mm_fork(m->p[who].mm, &m->p[slot].mm);
	if (err == -ENOMEM) {
		m->p[slot].mm = NULL;
		model_out_of_memory(m);
		return;
	}
	if (err) {
		m->p[slot].mm = NULL;
		model_fail(m, "fork: %d", err);
		return;
	}
	m->p[slot].mm->id = slot;
	m->p[slot].brk_pages = m->p[who].brk_pages;
	memcpy(m->p[slot].cells, m->p[who].cells, sizeof(m->p[slot].cells));
	for (uint32_t p = 0; p < MODEL_CELLS; p++)
		m->p[slot].cells[p].gen = m->next_gen++;
}

bool model_create(struct model *m, int who)
{
	struct mm *mm;

	if (mm_create(m->h->sys, &mm))
		return false;
	mm->id = who;
	mm->start_brk = mm->brk = gva_make(BRK_BASE);
	m->p[who].mm = mm;
	return true;
}

void model_exit(struct model *m, int who)
{
	mm_put(m->p[who].mm);
	m->p[who].mm = NULL;
	m->p[who].brk_pages = 0;
	cells_clear(m, who, 0, MODEL_CELLS);
}

void op_exit(struct model *m)
{
	int who = model_pick(m), alive = 0;

	for (int i = 0; i < MODEL_MMS; i++)
		alive += m->p[i].mm != NULL;
	if (alive < 2 || model_random(m, 2))
		return;
	model_log(m, "%d: exit", who);
	model_exit(m, who);
}

/* ---- pins -------------------------------------------------------------------------- */

void op_pin(struct model *m)
{
	int who = model_pick(m), err;
	uint32_t page = (uint32_t)model_random(m, MODEL_CELLS);
	struct cell *c = &m->p[who].cells[page];
	uint64_t value = m->next_value++;
	struct pin *pin = NULL;
	unsigned int nr = 0;
	size_t bytes = 0;

	for (int i = 0; i < MODEL_PINS && !pin; i++)
		if (m->pins[i].who < 0)
			pin = &m->pins[i];
	if (!pin)
		return;
	model_log(m, "%d: pin page %u, host stores %#lx", who, page, value);
	err = mm_pin(m->p[who].mm, gva_add(cell_address(page), cell_seen), UMM_PAGE_SIZE, true,
		     &pin->vec, 1, &nr, &bytes);
	if (err == -EFAULT && cell_expect(m, c, true) != FAULT_DONE)
		return;
	if (err == -ENOMEM || (err == -EFAULT && frames_nr_free(m->h->sys) < 64))
		return;
	if (err || nr != 1 || bytes != UMM_PAGE_SIZE || cell_expect(m, c, true) != FAULT_DONE) {
		model_fail(m, "pin: %d, %u pieces, %zu bytes", err, nr, bytes);
		return;
	}
	*(uint64_t *)pin->vec.hva = value;
	note_store(m, who, page, 0, value);
	pin->who = who;
	pin->page = page;
	pin->gen = c->gen;
	pin->mm = mm_get(m->p[who].mm);
}

/* The page is still the pinned one, and the host sees what the guest stored since. */
static void check_pin(struct model *m, const struct pin *pin)
{
	const struct cell *c = &m->p[pin->who].cells[pin->page];
	const uint64_t *words = pin->vec.hva, *want;

	if (m->p[pin->who].mm != pin->mm || c->kind == CELL_NONE || c->gen != pin->gen)
		return;
	want = cell_words(m, c);
	if (words[0] != want[0] && !c->lazy)
		model_fail(m, "%d: pinned page %u holds %#lx, should hold %#lx", pin->who,
			   pin->page, words[0], want[0]);
}

void op_unpin(struct model *m)
{
	struct pin *pin = &m->pins[model_random(m, MODEL_PINS)];

	if (pin->who < 0)
		return;
	model_log(m, "%d: unpin page %u", pin->who, pin->page);
	check_pin(m, pin);
	mm_unpin(pin->mm, &pin->vec, 1, true);
	mm_put(pin->mm);
	pin->who = -1;
}

void model_check_all(struct model *m)
{
	model_log(m, "check all pages");
	for (int i = 0; i < MODEL_MMS; i++)
		for (uint32_t p = 0; p < MODEL_CELLS && m->p[i].mm && !m->failed; p++)
			model_check_page(m, i, p);
	for (int i = 0; i < MODEL_PINS; i++)
		if (m->pins[i].who >= 0)
			check_pin(m, &m->pins[i]);
}
