/* SPDX-License-Identifier: MIT */
/*
 * The functions behind the system calls: sys_NAME() for each line of the two
 * lists. Returns what the guest finds in rax: >= 0 or -errno.
 */
#ifndef GUEST_SYSCALLS_H
#define GUEST_SYSCALLS_H

#include "guest/guest.h"

#define SYSCALL(nr, name, format) int64_t sys_##name(struct task *t, const uint64_t a[6]);
#include "guest/syscalls_process.def"
#include "guest/syscalls_file.def"
#undef SYSCALL

#endif
