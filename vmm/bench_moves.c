/* SPDX-License-Identifier: MIT */
#include "vmm/bench_moves.h"

/* When there is no place left the last point moves on: then "evenly" is coarser. */
static void add_point(struct bench_moves *m, uint64_t now_ns, uint64_t bytes)
{
	unsigned int i = m->nr < BENCH_MOVES_MAX ? m->nr++ : BENCH_MOVES_MAX - 1;

	m->at[i].ns = now_ns;
	m->at[i].bytes = bytes;
}

void bench_moves_begin(struct bench_moves *m, uint64_t now_ns)
{
	m->first = m->nr;
	add_point(m, now_ns, m->bytes);
}

void bench_moves_progress(struct bench_moves *m, uint64_t now_ns, uint64_t bytes)
{
	add_point(m, now_ns, m->bytes + bytes);
}

void bench_moves_end(struct bench_moves *m, uint64_t now_ns, uint64_t bytes)
{
	m->bytes += bytes;
	/* Progress counts what was looked at, which may be more than what moved. */
	for (unsigned int i = m->first; i < m->nr; i++)
		if (m->at[i].bytes > m->bytes)
			m->at[i].bytes = m->bytes;
	add_point(m, now_ns, m->bytes);
}

static uint64_t moved_by(const struct bench_moves *m, uint64_t ns)
{
	unsigned int i = 0;

	while (i < m->nr && m->at[i].ns <= ns)
		i++;
	if (!i)
		return 0;
	if (i == m->nr)
		return m->at[i - 1].bytes;
	return m->at[i - 1].bytes +
	       (uint64_t)((double)(m->at[i].bytes - m->at[i - 1].bytes) *
			  (double)(ns - m->at[i - 1].ns) / (double)(m->at[i].ns - m->at[i - 1].ns));
}

uint64_t bench_moves_between(const struct bench_moves *m, uint64_t from, uint64_t to)
{
	return moved_by(m, to) - moved_by(m, from);
}
