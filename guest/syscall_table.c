/* SPDX-License-Identifier: MIT */
/* The system-call table: number -> function, name, how to print it. */
#include "guest/syscalls.h"

const struct syscall_entry syscall_table[SYSCALL_MAX] = {
#define SYSCALL(nr, name, format) [nr] = { #name, sys_##name, format },
#include "guest/syscalls_process.def"
#include "guest/syscalls_file.def"
#undef SYSCALL
#define SYSCALL_NAME(nr, name) [nr] = { #name, NULL, "xxxxxx" },
#include "guest/syscalls_missing.def"
#undef SYSCALL_NAME
};
