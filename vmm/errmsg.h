/* SPDX-License-Identifier: MIT */
/*
 * How vmm/ tells people what went wrong: a function that can fail for a reason
 * worth a sentence takes a `struct errmsg *`, fills it and returns -errno.
 * Only main() prints it and only main() exits. A null pointer is allowed.
 *
 * A message says what failed, where, and what to do about it.
 */
#ifndef VMM_ERRMSG_H
#define VMM_ERRMSG_H

#include <stdarg.h>
#include <stdio.h>

struct errmsg {
	char text[512];
};

/* Fill @e and return @err, so that `return errmsg_set(...)` reads well. */
static inline int errmsg_set(struct errmsg *e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static inline int errmsg_set(struct errmsg *e, int err, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
	}
	return err;
}

#endif
