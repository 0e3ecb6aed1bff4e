/* SPDX-License-Identifier: MIT */
/*
 * The program that the start-up probes run in the guest (vmm/probe.c). First,
 * once: R8 = XCR0 as programs see it, 0 if they may not use XSAVE. Then, again
 * and again: RBX = the time-stamp counter, RSI = the word at RDI, system call.
 */
#define CPUID_1_ECX_OSXSAVE	27
	.section .rodata, "a"
	.balign 16
	.globl entry_probe, entry_probe_again, entry_probe_end
entry_probe:
	xorl %r8d, %r8d
	movl $1, %eax
	xorl %ecx, %ecx
	cpuid
	btl $CPUID_1_ECX_OSXSAVE, %ecx
	jnc entry_probe_again
	xorl %ecx, %ecx
	xgetbv
	movl %eax, %r8d
entry_probe_again:
	rdtsc
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, %rbx
	movq (%rdi), %rsi
	syscall
	jmp entry_probe_again
entry_probe_end:

	.section .note.GNU-stack, "", @progbits
