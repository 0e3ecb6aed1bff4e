/* SPDX-License-Identifier: MIT */
/* The vDSO (guest/vdso/) as it is mapped into processes. */
	.section .rodata
	.globl vdso_image, vdso_image_end
	.balign 16
vdso_image:
	.incbin "vdso.so"
vdso_image_end:

	.section .note.GNU-stack, "", @progbits
