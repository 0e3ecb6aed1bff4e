/* SPDX-License-Identifier: MIT */
#include "vmm/pace.h"

#define NS_PER_SECOND 1000000000ull
/* No piece is larger; the engine's own limits are below it anyway. */
#define PIECE_MAX 4096u

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
