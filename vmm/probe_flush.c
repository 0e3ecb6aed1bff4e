/* SPDX-License-Identifier: MIT */
/*
 * Which way of flushing tables works here? Tried at the first flush: the probe
 * program's directory is pointed to another table, which maps another word, and
 * the tables are flushed with one primitive after the other until the program
 * sees the other word.
 */
#include <errno.h>

#include "vmm/probe.h"

/* Called by zap.c with the flush lock held. */
int probe_flush(struct host *host)
{
	static const enum probe_frame tables[NR_WORDS] = { FRAME_PT, FRAME_PT_OTHER };
	struct probe p;
	int rc = probe_begin(&p, host, NULL);
	unsigned int now = 0;

	/* All vCPUs are taken: go on with what has always worked, and ask again. */
	if (rc)
		return -EAGAIN;
	for (unsigned int i = 0; i < NR_WORDS; i++)
		probe_word_map(&p, tables[i], probe_frame_gpa(&p, FRAME_WORDS + i));
	rc = -ENOTSUP;
	for (enum flush_primitive f = FLUSH_DUMMY_SLOT; f < FLUSH_NR && rc == -ENOTSUP; f++) {
		host->zapper.flush = f;
		/* See what is there before, whatever it is, so that it can be stale. */
		if (probe_word_read(&p, "flush", NULL) < 0)
			break;
		now = !now;
		probe_table_set(&p, tables[now]);
		if (!zap_flush_once(&host->zapper) &&
		    probe_word_read(&p, "flush", NULL) == (int)now)
			rc = 0;
	}
	host->kind.flush = flush_primitive_name(host->zapper.flush);
	probe_end(&p);
	return rc;
}
