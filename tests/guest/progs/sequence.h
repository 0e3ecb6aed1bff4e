/* SPDX-License-Identifier: MIT */
/*
 * What the programs with restartable sequences share: the area of a thread, and the
 * frame of a sequence in assembly. Its operands are [area] and [cs], the offset of the
 * field of that name.
 *
 *	SEQUENCE_BEGIN		label 2 comes next: the first instruction
 *	...			the last one is the store that counts
 *	SEQUENCE_END		label 3: jumps to 6. Label 4 comes next: what an abort does
 *	6:
 */
#ifndef UMM_TESTS_SEQUENCE_H
#define UMM_TESTS_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/rseq.h>

#define SIGNATURE 0x53053053u /* the C library's, too */

/* As of Linux 6.3. */
struct area {
	uint32_t cpu_id_start, cpu_id;
	uint64_t cs;
	uint32_t flags, node_id, mm_cid, rest;
} __attribute__((aligned(32)));

#define SEQUENCE_BEGIN                  \
	"	.pushsection .data, \"aw\"\n" \
	"	.balign 32\n"                 \
	"1:	.long 0, 0\n"               \
	"	.quad 2f, 3f - 2f, 4f\n"      \
	"	.popsection\n"                \
	"	lea	1b(%%rip), %%rax\n"       \
	"	mov	%%rax, %c[cs](%[area])\n" \
	"2:"

/* The signature stands before where an abort goes, as an instruction that is never run. */
#define SEQUENCE_END                \
	"3:	jmp	6f\n"               \
	"	.byte	0x0f, 0xb9, 0x3d\n" \
	"	.long	0x53053053\n"       \
	"4:"

/* What the C library has registered for the thread. */
static inline struct area *area_of_libc(void)
{
	return (struct area *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

#endif
