/* SPDX-License-Identifier: MIT */
/*
 * The program that probes run in the guest, and its address space: code at
 * PROBE_GVA, one word in the page above it. The page tables are frames of the
 * table pool that are never given to the memory manager, so KVM may hold
 * shadows of them for as long as it likes.
 */
#ifndef VMM_PROBE_H
#define VMM_PROBE_H

#include "vmm/host_priv.h"

#define PROBE_GVA 0x400000ull
#define NR_WORDS  2u

enum probe_frame {
	FRAME_ROOT,
	FRAME_PDPT,
	FRAME_PD,
	FRAME_PT,
	FRAME_PT_OTHER,
	FRAME_CODE,
	FRAME_WORDS, /* NR_WORDS of them; the first word of number i is i + 1 */
	NR_PROBE_FRAMES = FRAME_WORDS + NR_WORDS
};

struct probe {
	struct host *host;
	struct vcpu *v;
	struct trap trap;
};

uint64_t *probe_frame_hva(const struct probe *p, unsigned int frame);
gpa_t probe_frame_gpa(const struct probe *p, unsigned int frame);

/* Let @table (FRAME_PT or FRAME_PT_OTHER) map the word to the frame at @gpa. */
void probe_word_map(struct probe *p, enum probe_frame table, gpa_t gpa);
/* Let the directory point to @table. */
void probe_table_set(struct probe *p, enum probe_frame table);
/* Run the program from its start, or (@again) without its first, slow part. */
void probe_program_run(struct probe *p, bool again);
/* Run it again; returns the number of the frame that it sees, or -errno. */
int probe_word_read(struct probe *p, const char *step, struct errmsg *e);

/* Take a vCPU into the address space, and give it back. */
int probe_begin(struct probe *p, struct host *host, struct errmsg *e) UMM_MUST_CHECK;
void probe_end(struct probe *p);

#endif
