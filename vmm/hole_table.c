/* SPDX-License-Identifier: MIT */
#include "vmm/hole_table.h"

#include <errno.h>
#include <stdlib.h>

#define WORD_BITS 64u

int hole_table_init(struct hole_table *t, pfn_t base, uint64_t nr, uint64_t nr_slots)
{
	*t = (struct hole_table){ .base = base.v, .nr = nr, .nr_slots = nr_slots };
	if (nr_slots >= HOLE_ZERO)
		return -E2BIG;
	t->frames = calloc(nr, sizeof(*t->frames));
	t->taken = calloc(nr_slots / WORD_BITS + 1, sizeof(*t->taken));
	if (t->frames && t->taken)
		return 0;
	hole_table_destroy(t);
	return -ENOMEM;
}

void hole_table_destroy(struct hole_table *t)
{
	free(t->frames);
	free(t->taken);
	t->frames = NULL;
	t->taken = NULL;
}

/* ---- slots ---------------------------------------------------------------------- */

static uint64_t *word_of(struct hole_table *t, uint64_t slot)
{
	return &t->taken[slot / WORD_BITS];
}

int hole_slot_take(struct hole_table *t, uint32_t *slot)
{
	uint64_t s = t->next;

	if (t->used == t->nr_slots)
		return -ENOSPC;
	/* There is one, so this ends; whole words that are full are passed over. */
	for (;;) {
		if (s >= t->nr_slots)
			s = 0;
		if (s % WORD_BITS == 0 && *word_of(t, s) == UINT64_MAX)
			s += WORD_BITS;
		else if (*word_of(t, s) & (1ull << s % WORD_BITS))
			s++;
		else
			break;
	}
	*word_of(t, s) |= 1ull << s % WORD_BITS;
	t->used++;
	t->next = s + 1;
	*slot = (uint32_t)s;
	return 0;
}

void hole_slot_put(struct hole_table *t, uint32_t slot)
{
	if (slot == HOLE_ZERO)
		return;
	*word_of(t, slot) &= ~(1ull << slot % WORD_BITS);
	t->used--;
}

/* ---- frames --------------------------------------------------------------------- */

bool hole_leave(struct hole_table *t, uint64_t frame)
{
	if (hole_state(t, frame) != HOLE_HERE)
		return false;
	t->frames[frame].state = HOLE_LEAVING;
	return true;
}

void hole_stay(struct hole_table *t, uint64_t frame)
{
	if (hole_state(t, frame) == HOLE_LEAVING)
		t->frames[frame].state = HOLE_HERE;
}

void hole_gone(struct hole_table *t, uint64_t frame, uint32_t slot)
{
	t->frames[frame].state = HOLE_GONE;
	t->frames[frame].slot = slot;
	t->gone++;
}

bool hole_come(struct hole_table *t, uint64_t frame, struct hole_ticket *ticket)
{
	struct hole_frame *f = &t->frames[frame];

	if (f->state != HOLE_GONE && f->state != HOLE_LOST)
		return false;
	t->lost -= f->state == HOLE_LOST;
	f->state = HOLE_COMING;
	*ticket = (struct hole_ticket){ .frame = frame, .slot = f->slot, .turn = f->turn };
	return true;
}

bool hole_is_coming(const struct hole_table *t, const struct hole_ticket *ticket)
{
	const struct hole_frame *f = &t->frames[ticket->frame];

	return f->state == HOLE_COMING && f->turn == ticket->turn;
}

void hole_came(struct hole_table *t, const struct hole_ticket *ticket)
{
	t->frames[ticket->frame].state = HOLE_HERE;
	t->gone--;
}

void hole_came_not(struct hole_table *t, const struct hole_ticket *ticket, bool lost)
{
	t->frames[ticket->frame].state = lost ? HOLE_LOST : HOLE_GONE;
	t->lost += lost;
}

uint32_t hole_drop(struct hole_table *t, uint64_t frame)
{
	struct hole_frame *f = &t->frames[frame];
	enum hole_state was = (enum hole_state)f->state;

	f->state = HOLE_HERE;
	if (was == HOLE_HERE || was == HOLE_LEAVING)
		return HOLE_ZERO;
	t->gone--;
	t->lost -= was == HOLE_LOST;
	if (was != HOLE_COMING)
		return f->slot;
	f->turn++;
	return HOLE_ZERO;
}
