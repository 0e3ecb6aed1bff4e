/* SPDX-License-Identifier: MIT */
/* Configuration files of guests, in libconfig's syntax: key = value; */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include "vmm/run_options.h"

/*
 * Set in @o what the file @path sets, leaving the rest. An unknown key, a wrong
 * type or a value out of range is an error that names file and line. 0 or
 * -errno.
 */
int config_load(const char *path, struct run_options *o, struct errmsg *e) UMM_MUST_CHECK;

#endif
