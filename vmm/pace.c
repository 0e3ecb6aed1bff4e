/* SPDX-License-Identifier: MIT */
#include "vmm/pace.h"

#define NS_PER_SECOND 1000000000ull
/* No piece is larger; the engine's own limits are below it anyway. */
#define PIECE_MAX 4096u
/*
 * A fault of the host's own, for a table or leaf that was flushed and for a page, with
 * shadow paging; where there is none, both are less, and the rests longer than needed.
 * Found by what GUPS over 128 leaves lost to each flush, on a busy machine.
 */
#define NS_A_TABLE 45000u
#define NS_A_FOLIO 1000u
#define REST_MAX   500000000u

void pacer_start(struct pacer *p, uint64_t rate, uint64_t now_ns)
{
	*p = (struct pacer){ .rate = rate, .next_ns = now_ns };
}

unsigned int pacer_piece(const struct pacer *p)
{
	uint64_t bytes = p->rate / (NS_PER_SECOND / PACE_PIECE_NS);
	uint64_t frames = bytes >> UMM_PAGE_SHIFT;

	if (!p->rate)
		return 0;
	return frames > PIECE_MAX ? PIECE_MAX : frames ? (unsigned int)frames : 1;
}

uint64_t pacer_wait(struct pacer *p, uint64_t bytes, uint64_t now_ns)
{
	uint64_t done = bytes - p->bytes;

	if (!p->rate)
		return 0;
	p->bytes = bytes;
	p->next_ns += (uint64_t)((double)done * (double)NS_PER_SECOND / (double)p->rate);
	if (p->next_ns + PACE_LATE_NS < now_ns)
		p->next_ns = now_ns - PACE_LATE_NS;
	return p->next_ns > now_ns ? p->next_ns - now_ns : 0;
}

uint64_t pace_gentle_rest(const struct pace_cost *c)
{
	uint64_t tables = c->guest_frames / UMM_PTRS_PER_TABLE + 1;
	uint64_t cost = c->ns + c->folios * NS_A_FOLIO + c->flushes * tables * NS_A_TABLE;
	unsigned int percent = c->percent ? c->percent : PACE_GENTLE_PERCENT;
	uint64_t rest = cost * (100 - percent) / percent;

	return rest < REST_MAX ? rest : REST_MAX;
}
