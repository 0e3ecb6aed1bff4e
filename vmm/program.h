/* SPDX-License-Identifier: MIT */
/* Finding the program to run as a shell does, and saying why it cannot run. */
#ifndef VMM_PROGRAM_H
#define VMM_PROGRAM_H

#include <limits.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

/*
 * A name without '/' is looked for in PATH. 0 with the path; -ENOENT, -EACCES
 * or -EISDIR with a sentence.
 */
int program_find(const char *name, char path[PATH_MAX], struct errmsg *e) UMM_MUST_CHECK;

/* The exit status that a shell has for a program that could not be started. */
int program_exit_status(int err);

/* ... and for one that ended, from its wait status: N, or 128 + signal. */
int program_wait_status(int status);

#endif
