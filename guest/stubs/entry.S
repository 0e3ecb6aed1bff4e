/* SPDX-License-Identifier: MIT */
/*
 * Entry stubs, see entry_stubs.h. Data for the host: never executed by umm
 * itself, so it stays out of .text.
 *
 * None of them touches memory other than the doorbell: at level 0 the stack
 * pointer is still the program's after SYSCALL.
 */
#include "guest/stubs/entry_stubs.h"

	.section .rodata, "a"
	.balign 16

/*
 * Exceptions: one OUT to the port that has the vector's number. The host takes
 * everything from the exception frame and resumes the program itself, so what
 * follows the OUT never runs; should it, it leaves the guest again.
 */
	.globl entry_exception_stubs, entry_exception_stubs_end
entry_exception_stubs:
	.set vector, 0
	.rept 256
	.balign ENTRY_EXCEPTION_STRIDE
1:	.byte 0xe6, vector	/* out %al, $vector */
	jmp 1b
	.set vector, vector + 1
	.endr
entry_exception_stubs_end:

/*
 * SYSCALL on a host that leaves the processor at level 3: the exit must be an
 * instruction that level 3 may run. The host resumes at RCX itself; the jump
 * is the same thing, for the case that the host changed nothing.
 */
	.balign 16
	.globl entry_syscall_user, entry_syscall_user_rung, entry_syscall_user_end
entry_syscall_user:
	movl %eax, ENTRY_DOORBELL_GVA
entry_syscall_user_rung:
	jmp *%rcx
entry_syscall_user_end:

/*
 * SYSCALL on hardware: level 0, on the program's stack, interrupts and the
 * trap flag masked. A 4-byte OUT, where exceptions use 1 byte.
 */
	.balign 16
	.globl entry_syscall_kernel, entry_syscall_kernel_return, entry_syscall_kernel_end
entry_syscall_kernel:
	outl %eax, $ENTRY_SYSCALL_PORT
entry_syscall_kernel_return:
	sysretq
entry_syscall_kernel_end:

	.section .note.GNU-stack, "", @progbits
