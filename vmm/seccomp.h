/* SPDX-License-Identifier: MIT */
/*
 * umm's own seccomp filter: once a guest runs, the process can make no system call of the host
 * that vmm/seccomp.def does not list, in no thread. Whatever a guest brings umm to do by an
 * error in it, it is none of the others.
 *
 * Beside the list: threads can be made, but neither processes nor namespaces; signals can be
 * sent to ourselves only, nor by descriptors to others; device nodes cannot be made. Nothing hot
 * has its arguments looked at, so that the kernel decides by number from a bitmap.
 */
#ifndef VMM_SECCOMP_H
#define VMM_SECCOMP_H

#include <umm/types.h>

#include "vmm/errmsg.h"

enum seccomp_mode {
	SECCOMP_DEFAULT, /* on; off in builds with sanitizers, which make calls of their own */
	SECCOMP_OFF,
	SECCOMP_ON,  /* another call ends the process with a message that names it */
	SECCOMP_LOG, /* another call goes to the host's audit log, and on */
};

/* "off", "on", "log": 0; else -EINVAL. */
int seccomp_mode_parse(const char *text, enum seccomp_mode *mode);

/*
 * Filter all threads that there are and will be. There is no way back. 0, or -errno with the
 * reason.
 */
int seccomp_start(enum seccomp_mode mode, struct errmsg *e) UMM_MUST_CHECK;

#endif
