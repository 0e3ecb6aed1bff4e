/* SPDX-License-Identifier: MIT */
/* Reclaim policies by name, or from a shared object. */
#ifndef VMM_POLICY_LOAD_H
#define VMM_POLICY_LOAD_H

#include <umm/reclaim_policy.h>

#include "vmm/errmsg.h"

/* Longest name or path that is taken. */
#define POLICY_TEXT_MAX 1023

/*
 * The policy that @text names: one that is compiled in or, where there is a slash
 * in it, that of a shared object, which then stays loaded. -EINVAL, -ENOENT,
 * -ENOEXEC with a sentence.
 */
int policy_load(const char *text, const struct reclaim_policy **out,
		struct errmsg *e) UMM_MUST_CHECK;

/*
 * For another process, which may have another working directory: @text with its path
 * made absolute; names are checked to exist, paths to be a file that can be read.
 */
int policy_text_resolve(const char *text, char out[POLICY_TEXT_MAX + 1],
			struct errmsg *e) UMM_MUST_CHECK;

#endif
