/* SPDX-License-Identifier: MIT */
/*
 * The program that the start-up probes run in the guest (vmm/probe.c), again
 * and again: RBX = the time-stamp counter, RSI = the word at RDI, system call.
 */
	.section .rodata, "a"
	.balign 16
	.globl entry_probe, entry_probe_end
entry_probe:
	rdtsc
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, %rbx
	movq (%rdi), %rsi
	syscall
	jmp entry_probe
entry_probe_end:

	.section .note.GNU-stack, "", @progbits
