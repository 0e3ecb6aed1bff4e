/* SPDX-License-Identifier: MIT */
/*
 * A host system call that a kick cannot miss; guest/blocking.c tells how.
 *
 *	int64_t blocking_syscall(const uint32_t *work, long nr, const uint64_t args[6]);
 *
 * Between blocking_begin and blocking_end the call has not been made: the kick
 * hook may send the thread to blocking_cancel from anywhere there. At
 * blocking_end it has been made, and its result counts.
 */
	.text
	.globl blocking_syscall, blocking_begin, blocking_end, blocking_cancel
	.hidden blocking_syscall, blocking_begin, blocking_end, blocking_cancel
	.type blocking_syscall, @function
blocking_syscall:
	.cfi_startproc
	movq %rdi, %r11
	movq %rsi, %rax
	movq %rdx, %rcx
	movq 0(%rcx), %rdi
	movq 8(%rcx), %rsi
	movq 16(%rcx), %rdx
	movq 24(%rcx), %r10
	movq 32(%rcx), %r8
	movq 40(%rcx), %r9
blocking_begin:
	cmpl $0, (%r11)
	jne blocking_cancel
	syscall
blocking_end:
	ret
blocking_cancel:
	movq $-4, %rax		/* -EINTR */
	ret
	.cfi_endproc
	.size blocking_syscall, . - blocking_syscall

	.section .note.GNU-stack, "", @progbits
