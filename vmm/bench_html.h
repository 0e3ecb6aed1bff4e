/* SPDX-License-Identifier: MIT */
/* Parts of the report of umm bench reclaim. */
#ifndef VMM_BENCH_HTML_H
#define VMM_BENCH_HTML_H

#include <stdio.h>

#include "vmm/bench_reclaim.h"

/* Text with what HTML wants escaped. */
void html_text(FILE *f, const char *text);
/* The pictures, with their headings. Without gnuplot it says so in their place, and 0. */
int html_plots(FILE *f, const struct reclaim_bench *b, const json_t *all,
	       struct errmsg *e) UMM_MUST_CHECK;

#endif
