/* SPDX-License-Identifier: MIT */
#include "vmm/progress.h"

#include <stdio.h>
#include <string.h>

#define BAR 30

void progress_show(void *arg, uint64_t done, uint64_t total)
{
	static const char full[BAR + 1] = "==============================";
	struct progress *p = arg;
	double part = total ? (double)done / (double)total : 0;
	int filled;

	if (!p->on_terminal)
		return;
	if (part > 1)
		part = 1;
	filled = (int)(part * BAR);
	fprintf(stderr, "\r%s [%.*s%*s] %3.0f%%  %lu of %lu frames", p->what, filled, full,
		BAR - filled, "", part * 100, done, total);
	fflush(stderr);
	p->shown = true;
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
