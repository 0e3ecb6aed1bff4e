/* SPDX-License-Identifier: MIT */
/* A line on a terminal that tells how far long work is; nothing elsewhere. */
#ifndef VMM_PROGRESS_H
#define VMM_PROGRESS_H

#include <umm/types.h>

struct progress {
	const char *what;
	bool on_terminal, shown;
};

/* @arg is a struct progress; a ctl_client's callback. */
void progress_show(void *arg, uint64_t done, uint64_t total);
/* Remove the line. */
void progress_end(struct progress *p);

#endif
