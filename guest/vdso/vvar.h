/* SPDX-License-Identifier: MIT */
/*
 * The page by which the host tells programs the time, and what processor they are
 * on. Every process sees it, read-only, at one address. At counter reading C the monotonic clock says
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

#define VVAR_CPUS      512
#define VVAR_AUX_CPU   0xfffu      /* Linux keeps the processor's number in these bits of TSC_AUX */
#define VVAR_AUX_MAGIC 0x756d6d67u /* getcpu's third argument: this above what TSC_AUX was */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

/* The guest's processor, as its number + 1 (0: ask the host), and its node. */
struct vvar_cpu {
	uint16_t number, node;
};

/* TSC_AUX is what RDTSCP gives; whether that is the host's own: guest/cpus.c. */
struct vvar {
	uint32_t seq;
	uint64_t tsc;
	uint64_t mono_ns;
	uint64_t rate;
	uint64_t real_offset;
	uint32_t has_aux;               /* the processor knows RDTSCP */
	uint32_t cpus_known;            /* last: cpu[] is filled in */
	struct vvar_cpu cpu[VVAR_CPUS]; /* by the host's number */
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
