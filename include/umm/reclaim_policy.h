/* SPDX-License-Identifier: MIT */
/*
 * Which folios reclaim takes first: the interface that policies stand behind.
 *
 * The manager is the mechanism: it finds A bits through the reverse mapping,
 * unmaps, zaps, writes and frees. A policy keeps the folios of a node in an order
 * and names the next victim. One file and one struct of functions each
 * (rmap/policy_*.c; docs/policies.md tells how to write one), compiled in or
 * loaded from a shared object, which needs this header and no symbol of the host.
 *
 *	add ---> the policy's lists ---> victim, remove ---> used?  yes: add, POLICY_USED
 *	 ^                                                   no:  evicted
 *	 '------------------ refault, with the distance <-----------'
 *
 * There is one struct policy_node a node; nothing is shared between nodes. Sizes
 * are frames, times ns of CLOCK_MONOTONIC, and a simulator replaying a trace may
 * stand where the manager does (then both count references).
 *
 * Who holds what:
 *   L  called with the node's lru_lock held: short, no waiting, no host calls but
 *      alloc and free
 *   U  called with no lock; host calls allowed; one of these at a time in a system
 *   P  called with a page-table lock held, not the lru_lock, by several threads at
 *      once: may read the state and change the folio's note, both by atomics
 */
#ifndef UMM_RECLAIM_POLICY_H
#define UMM_RECLAIM_POLICY_H

#include <umm/folio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a struct of this file, or struct folio, does. */
#define RECLAIM_POLICY_ABI 1u
/* A shared object exports: const struct reclaim_policy umm_reclaim_policy. */
#define RECLAIM_POLICY_SYMBOL   "umm_reclaim_policy"
#define RECLAIM_POLICY_NAME_MAX 31

/* Why a folio is handed to add(). */
enum policy_event {
	POLICY_NEW,   /* new in memory */
	POLICY_BACK,  /* was taken off for some work (migration, busy, pinned): as it was */
	POLICY_USED,  /* a victim that was used after all; also new and surely wanted */
	POLICY_COLD,  /* its owner says that it is not needed soon */
	POLICY_MOVED, /* from the policy before, its next victim first: order is age */
};

struct policy_node;

/* What a policy may call. */
struct policy_host {
	/* Zeroed, NULL: no memory. */
	void *(*alloc)(struct policy_node *n, size_t size);
	void (*free)(struct policy_node *n, void *p, size_t size);
	/* U  The node's lru_lock. */
	void (*lock)(struct policy_node *n);
	void (*unlock)(struct policy_node *n);
	/*
	 * U  Was the folio of this frame (by number in the node) used since it was last
	 * asked about? From now on it counts as unused. false too if there is none.
	 */
	bool (*sample)(struct policy_node *n, uint64_t frame);
	/*
	 * U  Look at all page tables of all processes: accessed() is called for each
	 * folio of the node that was used, which counts as unused from then on. Frames
	 * that were used.
	 */
	uint64_t (*walk)(struct policy_node *n);
};

/* One policy at work on one node. */
struct policy_node {
	const struct reclaim_policy *policy;
	const struct policy_host *host;
	void *owner;          /* the host's */
	void *state;          /* policy->state_size bytes, zero before init() */
	struct folio *frames; /* by number in the node */
	uint64_t nr_frames;
	uint64_t listed; /* L  frames that the policy has now */
	uint64_t random; /* L  state of policy_random() */
	int id;          /* of the node */
	uint32_t mark;   /* flags by which policy_has() knows its folios */
};

/* Victims are taken unseen: nobody looks whether they were used. */
#define POLICY_BLIND (1u << 0)
/*
 * A used folio's neighbours in the page table are looked at too: accessed() is
 * called for each that was used.
 */
#define POLICY_LOOKS_AROUND (1u << 1)

/* Functions that are NULL are not called; add, remove, victim and skip must be there. */
struct reclaim_policy {
	uint32_t abi;  /* RECLAIM_POLICY_ABI */
	uint32_t size; /* sizeof(struct reclaim_policy) */
	const char *name;
	const char *summary; /* one line, for lists */
	uint64_t flags;      /* POLICY_* */
	size_t state_size;

	/* U  0 or -ENOMEM; and the end, when all folios are gone. */
	int (*init)(struct policy_node *n);
	void (*exit)(struct policy_node *n);

	/* L  The folio is the policy's from now on: it may use f->lru and the note. */
	void (*add)(struct policy_node *n, struct folio *f, enum policy_event why);
	/* L  It no longer is: f->lru must be off all lists. */
	void (*remove)(struct policy_node *n, struct folio *f);
	/*
	 * L  Instead of add(): a folio that was evicted is back. @distance: about how many
	 * frames of the node were evicted since it was. True: the policy holds it for hot
	 * now (for statistics).
	 */
	bool (*refault)(struct policy_node *n, struct folio *f, uint64_t distance);
	/* L  About @nr frames are wanted now: time to sort. */
	void (*prepare)(struct policy_node *n, uint64_t nr);
	/*
	 * L  The folio to go next. It stays on its lists: remove() follows, or skip()
	 * if it cannot be had now, and then another must be named next. NULL only if
	 * the policy has none.
	 */
	struct folio *(*victim)(struct policy_node *n);
	void (*skip)(struct policy_node *n, struct folio *f);

	/* P  The folio was used; its A bits are clear again. */
	void (*accessed)(struct policy_node *n, struct folio *f);

	/* U  What is due at @now; returns in how many ns it wants to be called again. */
	uint64_t (*tick)(struct policy_node *n, uint64_t now);

	/* L  Tell names and values of what is worth knowing. */
	void (*describe)(struct policy_node *n,
			 void (*tell)(void *arg, const char *name, uint64_t value), void *arg);
};

/* ---- helpers for policies --------------------------------------------------- */

/*
 * The policy's own 8 bits of a folio: 0 at first, kept while the folio is off the
 * lists, taken along by migration, 0 again for the next policy. a
 */
#define POLICY_NOTE_SHIFT 24
#define POLICY_NOTE_MASK  (0xffu << POLICY_NOTE_SHIFT)

static inline unsigned int policy_note(const struct folio *f)
{
	return folio_flags(f) >> POLICY_NOTE_SHIFT;
}

static inline void policy_note_set(struct folio *f, unsigned int note)
{
	uint32_t was = folio_flags(f), now;

	do {
		now = (was & ~POLICY_NOTE_MASK) | note << POLICY_NOTE_SHIFT;
	} while (now != was && !__atomic_compare_exchange_n(&f->flags, &was, now, true,
							    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

/* L  Is this descriptor a folio of the policy's? For those who look by frame number. */
static inline bool policy_has(const struct policy_node *n, const struct folio *f)
{
	return (folio_flags(f) & ((1u << PG_lru) | (1u << PG_epoch))) == n->mark;
}

/* L  splitmix64: good enough to choose by. */
static inline uint64_t policy_random(struct policy_node *n)
{
	uint64_t x = n->random += 0x9e3779b97f4a7c15ul;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
	return x ^ (x >> 31);
}

/* ---- the system ---------------------------------------------------------------- */

/* The policies compiled in, by number; NULL past the last. The first is the default. */
const struct reclaim_policy *reclaim_policy_get(unsigned int i);
/* NULL: none of that name is compiled in. */
const struct reclaim_policy *reclaim_policy_find(const char *name);
/*
 * Is a struct from elsewhere usable? 0; -ENOEXEC: made for another ABI; -EINVAL: no
 * name, or a function missing that must be there.
 */
int reclaim_policy_check(const struct reclaim_policy *policy) UMM_MUST_CHECK;

struct mm_sys;

/*
 * Switch all nodes to @policy, which must stay there as long as the system. The
 * guest runs on; folios are handed over a few at a time, none is lost. What
 * reclaim_policy_check() says; -ENOMEM, and then nothing has changed.
 */
int mm_policy_set(struct mm_sys *sys, const struct reclaim_policy *policy) UMM_MUST_CHECK;
const struct reclaim_policy *mm_policy_get(struct mm_sys *sys);
/* Frames that are with the policy on @node, and what it tells about itself. */
uint64_t mm_policy_listed(struct mm_sys *sys, int node);
void mm_policy_describe(struct mm_sys *sys, int node,
			void (*tell)(void *arg, const char *name, uint64_t value), void *arg);
/*
 * Do what is due for the policy. To be called by a thread of the host, with no
 * lock of the manager, again after the ns that it returns; UINT64_MAX: not before the
 * policy is switched.
 */
uint64_t mm_policy_tick(struct mm_sys *sys, uint64_t now);

#ifdef __cplusplus
}
#endif

#endif
