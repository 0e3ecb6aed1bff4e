/* SPDX-License-Identifier: MIT */
/*
 * The few instructions that run in the guest outside of the program: entry
 * stubs. They are linked into umm as data and copied into the VM's system
 * region, where every process sees them at the same high addresses. Included
 * by assembly as well as by C.
 *
 * Addresses are in the top 2 GiB, so that a 32-bit displacement reaches them.
 */
#ifndef GUEST_STUBS_ENTRY_STUBS_H
#define GUEST_STUBS_ENTRY_STUBS_H

/* A store to this page (no memory is behind it) leaves the guest. */
#define ENTRY_DOORBELL_GVA 0xffffffffc0005000

/* Bytes from one exception stub to the next; stub N serves vector N. */
#define ENTRY_EXCEPTION_STRIDE 4

/* Port of the system-call stub for level 0; told from vectors by its width. */
#define ENTRY_SYSCALL_PORT 0x80

#ifndef __ASSEMBLER__
/* Byte images: [start, end). */
extern const char entry_exception_stubs[], entry_exception_stubs_end[];
extern const char entry_syscall_user[], entry_syscall_user_end[];
extern const char entry_syscall_kernel[], entry_syscall_kernel_end[];
extern const char entry_probe[], entry_probe_again[], entry_probe_end[];
/* Inside the images: the instruction after the one that exits. */
extern const char entry_syscall_user_rung[];
extern const char entry_syscall_kernel_return[];
#endif

#endif
