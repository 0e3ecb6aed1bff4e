/* SPDX-License-Identifier: MIT */
/*
 * The page by which the host tells programs the time. Every process sees it,
 * read-only, at one address. At counter reading C the monotonic clock says
 *
 *	mono_ns + (C - tsc) * rate / 2^VVAR_RATE_SHIFT		[ns]
 *
 * and the real-time clock real_offset more. @seq is odd while the host changes
 * these (guest/vdso_clock.c); @rate is 0 while it has nothing to say.
 */
#ifndef GUEST_VDSO_VVAR_H
#define GUEST_VDSO_VVAR_H

/* In the kernel half (vmm/layout.h), but readable by programs. */
#define VVAR_GVA   0xffffffffc0006000
#define VVAR_RANGE "ffffffffc0006000-ffffffffc0007000" /* as in /proc/PID/maps */

#define VVAR_RATE_SHIFT 48

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

struct vvar {
	uint32_t seq;
	uint64_t tsc;
	uint64_t mono_ns;
	uint64_t rate;
	uint64_t real_offset;
};

/*
 * The counter now: later than all loads before this call, earlier than those
 * after it, as the sequence count needs. Its writer has a fence of its own.
 */
static inline uint64_t vvar_counter(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* A processor whose counter is a little behind sees the beginning of the line. */
static inline uint64_t vvar_line(uint64_t tsc, uint64_t mono_ns, uint64_t rate, uint64_t counter)
{
	int64_t passed = (int64_t)(counter - tsc);

	if (passed < 0)
		passed = 0;
	return mono_ns + (uint64_t)((unsigned __int128)(uint64_t)passed * rate >> VVAR_RATE_SHIFT);
}
#endif

#endif
