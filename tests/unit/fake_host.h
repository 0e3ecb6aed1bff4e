/* SPDX-License-Identifier: MIT */
/*
 * A host for the memory manager that is made of plain memory, and that watches.
 *
 * It stands behind struct mm_host_ops in the unit and model tests: frames, page
 * tables and swap slots are stored for real, and so are the translations that
 * vCPUs cache. A simulated vCPU walks the real page tables as a processor does
 * (fake_mmu.c), sets A and D with atomics, and keeps using what it has cached
 * until it is zapped. So whoever changes an entry and forgets the zap, reuses a
 * frame too early, or clears D under a cached dirty translation is caught:
 *
 *   at once		a frame is cleared, copied to, discarded or read into while a
 *			translation of it is cached; an access goes to a free frame
 *   when asked		fake_check(): a cached translation is wider than its entry
 *
 * A breach is a "violation": counted, and the first is told in words. Nothing
 * aborts, so that a test that provokes one can look at it.
 *
 * All functions may be called from any thread.
 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include <pthread.h>
#include <umm/mm.h>
#include <umm/reclaim.h>

#define FAKE_MAX_VCPUS 8
#define FAKE_MAX_NODES 4
#define FAKE_TLB_SLOTS 512
#define FAKE_PDE_SLOTS 64

enum fake_op {
	FAKE_ALLOC,
	FAKE_COPY,
	FAKE_CLEAR,
	FAKE_POPULATE,
	FAKE_DISCARD,
	FAKE_SWAP_IO,
	FAKE_FILE_READ,
	FAKE_FILE_WRITE,
	FAKE_NR_FAILING, /* the ones above may fail, those below never do */
	FAKE_ZAP = FAKE_NR_FAILING,
	FAKE_FLUSH,
	FAKE_FREE,
	FAKE_SWAP_CALL, /* a call of swap_io(); FAKE_SWAP_IO is one transfer of it */
	FAKE_NR_OPS,
	FAKE_ANY = FAKE_NR_OPS, /* for fake_fail_nth(): any that may fail */
};

struct fake_config {
	unsigned int nr_nodes;    /* 1..FAKE_MAX_NODES */
	uint64_t frames_per_node; /* multiple of 512 */
	uint64_t nr_tables;
	uint64_t swap_slots; /* 0: no swap */
	bool shadow_paging;
	bool helper;     /* another thread does what it is given, at once */
	bool concurrent; /* several threads: no checks that only a quiet system can pass */
	unsigned int max_anon_order; /* all orders up to it are always used; 9: leaves too */
	unsigned int fault_around;
	unsigned int copy_around;
};

/* One cached translation. */
struct fake_tlb_entry {
	pfn_t root;
	uint64_t page; /* gva >> 12 (of a 2 MiB one: its first page) */
	pfn_t pfn;
	uint32_t nr; /* 1 or 512; 0: empty */
	bool writable, dirty, executable;
};

/*
 * What a host with shadow paging keeps of a level-2 entry until tables are flushed:
 * a pointer to a leaf table; or of a 2 MiB leaf, the frames it was for.
 */
struct fake_pde_entry {
	pfn_t root;
	uint64_t region; /* gva >> 21 */
	pfn_t table;     /* of a leaf: its first frame */
	bool leaf;
	bool valid;
};

struct fake_vcpu {
	pthread_mutex_t lock;
	struct fake_tlb_entry tlb[FAKE_TLB_SLOTS];
	struct fake_pde_entry pde[FAKE_PDE_SLOTS];
};

struct fake_swap {
	uint8_t *bytes;
	uint8_t *written; /* one a slot */
	uint64_t nr_slots;
	uint64_t full_from; /* writes to slots from here on fail with -ENOSPC; 0: none does */
	bool no_room;       /* what swap_room() says */
	bool doubtful;      /* what swap_doubtful() says */
};

struct fake_host {
	struct fake_config config;
	pthread_t helper;
	uint64_t helped;  /* jobs that the helper was given */
	bool helper_busy; /* a  until helper_end() */
	bool helper_late;
	struct mm_sys *sys; /* set by fake_boot() */
	pfn_t node_base[FAKE_MAX_NODES];
	uint8_t *node_mem[FAKE_MAX_NODES];
	pfn_t table_base;
	uint8_t *table_mem;
	struct fake_swap swap;
	struct fake_swap other; /* as large; fake_swap_other() switches it on */
	struct fake_vcpu vcpus[FAKE_MAX_VCPUS];

	uint64_t calls[FAKE_NR_OPS]; /* a */
	uint64_t frames_zapped;      /* a */
	uint64_t populated[2];       /* a  frames; [1]: in the stead of others */
	int64_t bytes_alive;         /* a  what alloc gave out */
	int64_t fail_countdown;      /* a  < 0: no failure wanted */
	enum fake_op fail_op;
	bool fail_on;              /* from then on fail every such call, not only one */
	uint64_t failures;         /* a  failures that were injected */
	uint64_t violations;       /* a */
	char first_violation[200]; /* written by the first */

	/* What current_thread() and current_node() answer, whoever asks. */
	struct mm_thread *thread;
	int node; /* a */

	/* Called at the start of an operation, in the manager's thread. */
	void (*hook)(struct fake_host *h, enum fake_op op, void *arg);
	void *hook_arg;
};

extern const struct mm_host_ops fake_host_ops; /* fake_ops.c */

/* A second area, of this priority (the first has 0). 0 or -errno. */
int fake_swap_other(struct fake_host *h, int priority);

/* A host, and a system on it, with its swap area switched on. NULL: no memory. */
struct fake_host *fake_boot(const struct fake_config *config);
/*
 * Destroy both. Returns the number of things found wrong: frames not free,
 * objects or manager memory alive, violations. Tells each on stderr.
 */
unsigned int fake_shutdown(struct fake_host *h);

/* Fail the @nth (1: the next) call of @op, once. @nth 0: none any more. */
void fake_fail_nth(struct fake_host *h, enum fake_op op, uint64_t nth);
/* Fail the @nth call of @op and all that follow, until fake_fail_nth(h, op, 0). */
void fake_fail_from(struct fake_host *h, enum fake_op op, uint64_t nth);
/* True if this call is the one to fail. For the files of the fake host. */
bool fake_should_fail(struct fake_host *h, enum fake_op op);
void fake_violation(struct fake_host *h, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
uint64_t fake_calls(const struct fake_host *h, enum fake_op op);

/* The node that holds all of [pfn, pfn + nr), or -1; are they all page tables? */
int fake_node_of(const struct fake_host *h, pfn_t pfn, uint64_t nr);
bool fake_in_tables(const struct fake_host *h, pfn_t pfn, uint64_t nr);
/* Host view of any frame, of nodes or tables; NULL if there is none. */
void *fake_hva(const struct fake_host *h, pfn_t pfn);

/* ---- the simulated vCPU (fake_mmu.c) ----------------------------------- */

enum fake_access { FAKE_LOAD, FAKE_STORE, FAKE_FETCH };

/*
 * One access of an aligned 64-bit word by vCPU @vcpu running @mm, faulting as
 * often as needed. FAULT_DONE, or what the fault handler said.
 */
enum fault_result fake_load(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
			    uint64_t *value);
enum fault_result fake_store(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
			     uint64_t value);
enum fault_result fake_fetch(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr);
/* Add to the word atomically: what racing counters of several vCPUs need. */
enum fault_result fake_add(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
			   uint64_t n);

/* Would the access go through without a fault? Changes nothing. */
bool fake_would_fault(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
		      enum fake_access kind);
/* The leaf entry (4 KiB or 2 MiB) for @addr as the tables have it; 0 if none. */
uint64_t fake_entry(const struct fake_host *h, pfn_t root, gva_t addr, bool *huge);
/* Where the 4 KiB entry is stored, NULL without a leaf table. */
uint64_t *fake_entry_slot(const struct fake_host *h, pfn_t root, gva_t addr);

/*
 * Compare all cached translations with the tables. To be called while nothing
 * runs. Returns the number of violations so far.
 */
uint64_t fake_check(struct fake_host *h);
/* Is a translation of one of these frames cached by any vCPU? */
bool fake_cached(struct fake_host *h, pfn_t pfn, uint32_t nr);
void fake_mmu_zap(struct fake_host *h, const struct frame_range *ranges, unsigned int nr);
void fake_mmu_flush_tables(struct fake_host *h);
/* Violation if the frames are about to be overwritten while a vCPU may use them. */
void fake_mmu_check_reuse(struct fake_host *h, pfn_t pfn, uint32_t nr, const char *what);
/* Violation if a stale writable translation could still store to what is copied. */
void fake_mmu_check_source(struct fake_host *h, pfn_t pfn, uint32_t nr, const char *what);

/* ---- files (fake_file.c) ------------------------------------------------ */

struct fake_file {
	struct fake_host *host;
	uint8_t *bytes;
	uint64_t size, capacity;
	bool released;
	uint64_t reads, writes, syncs; /* a */
};

extern const struct mapping_ops fake_file_ops;

/* A file of @size bytes; page p is filled with fake_file_word(p, i). */
struct fake_file *fake_file_create(struct fake_host *h, uint64_t size);
/* What the file's 64-bit word @i of page @page holds at first. Never 0. */
uint64_t fake_file_word(uint64_t page, uint64_t i);
uint64_t fake_file_read(const struct fake_file *f, uint64_t page, uint64_t i);
void fake_file_destroy(struct fake_file *f);

#endif
