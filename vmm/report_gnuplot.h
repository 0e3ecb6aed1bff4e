/* SPDX-License-Identifier: MIT */
/* gnuplot, run as a program. */
#ifndef VMM_REPORT_GNUPLOT_H
#define VMM_REPORT_GNUPLOT_H

#include <umm/types.h>

#include "vmm/errmsg.h"

/* Run a script. -ENOENT, with the package's name, where there is no gnuplot. */
int gnuplot_run(const char *script, struct errmsg *e) UMM_MUST_CHECK;

#endif
