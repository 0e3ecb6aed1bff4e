/* SPDX-License-Identifier: MIT */
/*
 * Placement that acts by itself: memory moves to the node whose processors use
 * it (balancing), and between fast and slow nodes by how hot it is (tiering).
 *
 * The manager is the mechanism: it sets hints and catches the faults on them,
 * samples A bits, moves folios, counts. A policy only answers questions, one
 * file and a struct of a few functions each (rmap/placement_*.c;
 * docs/placement.md tells how to write one). At most one policy of each kind is
 * on in a system; it can be changed while the guest runs.
 *
 * A hint is a page-table entry without its present bit in an area that allows
 * access: the next access faults, and tells which node's processor wants the
 * page. Units: sizes in pages where not said otherwise, times in nanoseconds
 * of CLOCK_MONOTONIC.
 */
#ifndef UMM_PLACEMENT_H
#define UMM_PLACEMENT_H

#include <umm/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a policy sees ------------------------------------------------------- */

/* The manager's state for one kind of policy. */
struct placement;

#define PLACEMENT_STAY (-1)

/* One folio that is asked about. Nothing of it may be kept. */
struct placement_page {
	pfn_t pfn;          /* of the folio's first frame */
	unsigned int order; /* 2^order frames */
	int node;           /* where it is */
	int mapcount;       /* entries that map any part of it */
	bool anon;          /* private memory; else file or shared memory */
	bool write;         /* hint faults: the access was a store */
	bool accessed;      /* samples: used since the last sample */
	int cpu_node;       /* hint faults: where the thread ran */
	uint64_t latency;   /* hint faults: ns from setting the hint to the access */
	/*
	 * The policy's own word for this folio: 0 at first, and again for another
	 * folio in the same frame; it moves along with the folio. Two threads may
	 * write it at the same time, and then one of them wins.
	 */
	uint32_t *note;
	/* Hint faults of the process by node, this pass and, halved, those before. */
	const uint32_t *touched;
};

/* What the last window of a process brought. */
struct scan_report {
	uint64_t resident;    /* pages of the process in memory */
	uint64_t hints;       /* set in the last window */
	uint64_t faults;      /* on hints, since the last window */
	uint64_t pass_faults; /* in the last whole pass over the process ... */
	uint64_t pass_local;  /* ... of pages that were on the node that wanted them */
	uint64_t delay;       /* ns between windows until now; 0: the process is new */
	bool pass_done;       /* the window was the last of its pass */
};

/* The next window. */
struct scan_window {
	uint64_t pages; /* to pass over */
	/* Pages that one fault speaks for: a power of two up to 512. */
	uint32_t block;
	/* Hint at every page of a block (its first use shows), or at one of them. */
	bool every_page;
	uint64_t delay; /* ns to wait after it */
};

/*
 * A policy. Functions that are NULL are not asked. They may be called by several
 * threads at once, hint_fault and scan_page with a page-table lock held: no
 * waiting, no calls but those of the next section.
 */
struct placement_policy {
	const char *name;
	const char *summary; /* one line, for --help and lists */
	enum placement_kind kind;
	size_t state_size; /* bytes of placement_state(), zero when first switched on */

	/* How to go on scanning a process. Without it no hints are set. */
	void (*scan_window)(struct placement *p, const struct scan_report *last,
			    struct scan_window *next);
	/* May this page get a hint? NULL: every one of the kind's pages. */
	bool (*scan_page)(struct placement *p, const struct placement_page *page);
	/* A page with a hint was touched: the node to move it to, or PLACEMENT_STAY. */
	int (*hint_fault)(struct placement *p, const struct placement_page *page);

	/* Tiering only. A page of a slow node was sampled: where to, or STAY. */
	int (*sampled)(struct placement *p, const struct placement_page *page);
	/* Reclaim finds this page of a fast node cold: where to, or STAY (it is swapped). */
	int (*demotion_target)(struct placement *p, const struct placement_page *page);

	/* About ten times a second. */
	void (*tick)(struct placement *p, uint64_t now);
};

/* ---- what a policy may call --------------------------------------------------- */

void *placement_state(struct placement *p);
bool placement_node_is_slow(struct placement *p, int node);
/* The nearest fast, or slow, node to @node (itself if it is one); STAY if there is none. */
int placement_nearest_fast(struct placement *p, int node);
int placement_nearest_slow(struct placement *p, int node);
/*
 * Take @frames out of the kind's budget of promoted memory: false if the second's
 * share is used up.
 */
bool placement_rate_take(struct placement *p, uint64_t frames);
/* The budget in frames a second, 0: no limit. */
uint64_t placement_rate(struct placement *p);
/*
 * A window as Linux adapts it: faster while most faults are remote, slower while
 * most are local, and never so fast that the faults, at @fault_cost ns each,
 * would take more than one part in PLACEMENT_FAULT_SHARE of a processor.
 */
#define PLACEMENT_FAULT_SHARE 100
void placement_adaptive_window(const struct scan_report *last, struct scan_window *next,
			       uint64_t fault_cost);

/* ---- the system ----------------------------------------------------------------- */

/* The policies there are, by number; NULL past the last. */
const struct placement_policy *placement_policy_get(unsigned int i);
/* NULL: there is none of that name and kind. */
const struct placement_policy *placement_policy_find(enum placement_kind kind, const char *name);
/* "balance", "tier". */
const char *placement_kind_name(enum placement_kind kind);

/*
 * Switch to policy @name of @kind, NULL: off. When no policy wants hints any
 * more, all hints are taken back before this returns. -ENOENT: no such policy;
 * -ENODEV: one node only, or tiering without a slow node; -ENOMEM.
 */
int mm_placement_set(struct mm_sys *sys, enum placement_kind kind, const char *name) UMM_MUST_CHECK;
/*
 * Which nodes are slow, a bit a node. -EINVAL: one that does not exist, or no
 * node would be left; -EBUSY: tiering is on.
 */
int mm_placement_set_slow_nodes(struct mm_sys *sys, uint64_t nodes) UMM_MUST_CHECK;
uint64_t mm_placement_slow_nodes(const struct mm_sys *sys);
/* Frames a second that a kind of policy may promote; 0: no limit. */
void mm_placement_set_rate(struct mm_sys *sys, enum placement_kind kind, uint64_t frames);

/*
 * Do what is due: scan, sample, demote. To be called by a thread of the host,
 * again after the ns that it returns; holds no lock of the manager when called.
 */
uint64_t mm_placement_tick(struct mm_sys *sys, uint64_t now);

/* Frames, except for the faults. "stay" tells why what was tried did not move. */
struct placement_counters {
	uint64_t scanned;       /* entries that got a hint, or pages sampled */
	uint64_t faults, local; /* hint faults; of pages where they should be */
	uint64_t tried, moved;  /* of what a hint fault or a sample decided */
	uint64_t pinned, no_memory, busy, failed, rate_limited;
	uint64_t ping_pong;         /* moved back within PLACEMENT_PING_PONG_NS */
	uint64_t promoted, demoted; /* tiering: to a fast node, to a slow one */
};

#define PLACEMENT_PING_PONG_NS 30000000000ul

struct placement_info {
	const struct placement_policy *policy; /* NULL: off */
	struct placement_counters count;       /* since the system was made */
};
void mm_placement_get(struct mm_sys *sys, enum placement_kind kind, struct placement_info *out);
/* Hint entries in all page tables now (looks at every one: for tests and reports). */
uint64_t mm_placement_count_hints(struct mm_sys *sys);

#ifdef __cplusplus
}
#endif

#endif
