/* SPDX-License-Identifier: MIT */
/*
 * One virtual machine and all that the host gives it: KVM, guest RAM on the
 * host's NUMA nodes, vCPUs, swap files. What the rest of vmm/ uses.
 *
 * A `struct host` is made once and lives until the last vCPU has been put back
 * and the memory manager is gone. Every function may be called from any thread
 * unless it says otherwise; none needs a lock of the caller.
 *
 * A VM has two memories (vmm/layout.h): RAM, one contiguous range of guest
 * frames cut into one piece per guest node; and the system region, which holds
 * GDT, IDT, TSSes, entry stubs, and a pool of frames for page tables. Programs
 * never see the second.
 */
#ifndef VMM_HOST_H
#define VMM_HOST_H

#include <umm/host_ops.h>
#include <umm/types.h>

#include "guest/vcpu.h"
#include "vmm/errmsg.h"
#include "vmm/node_wish.h"
#include "vmm/swap_spec.h"

struct guest_cpu;
struct holes;
struct host;

/* One figure of a swap area, for reports. */
struct swap_figure {
	const char *name; /* a C word */
	uint64_t value;
};

#define SWAP_FIGURES_MAX 24

struct host_config {
	unsigned int nr_nodes; /* guest NUMA nodes, 1 to UMM_MAX_NODES */
	uint64_t mem_bytes;    /* all RAM; each node gets an equal share, */
			       /* rounded up to 2 MiB */
	unsigned int nr_cpus;  /* of the guest; 0: one */
	/* One a node, or NULL; with sizes, their sum is in mem_bytes. */
	const struct node_wish *wishes;
	bool no_hugepages; /* do not ask the host for huge pages */
	/* Where frames go whose host memory is taken while they stay taken; NULL: none is. */
	const struct swap_spec *holes;
};

/*
 * Make a VM: open KVM, reserve and bind memory, probe what this host does.
 * Returns 0, or -errno with a sentence for the user in @e. Installs the
 * process's handler for VCPU_KICK_SIGNAL.
 */
int host_create(const struct host_config *cfg, struct host **out, struct errmsg *e) UMM_MUST_CHECK;

/* All vCPUs must have been put; swap areas are closed. NULL is allowed. */
void host_destroy(struct host *host);

/* The two seams. Their `ctx` is the struct host. */
const struct mm_host_ops *host_mm_ops(void);
const struct vcpu_ops *host_vcpu_ops(void);

/* One guest node's RAM: frames [base, base + nr), at hva in this process. */
struct host_node {
	pfn_t base;
	uint64_t nr;
	void *hva;
	int host_node; /* the host NUMA node it is bound to */
};

/* The guest's processors: nr_cpus of them. */
const struct guest_cpu *host_cpus_get(const struct host *host);
unsigned int host_nr_nodes(const struct host *host);
const struct host_node *host_node_get(const struct host *host, unsigned int node);

/* Where RAM frame @pfn lies in this process; NULL when it is not RAM. */
void *host_frame_hva(const struct host *host, pfn_t pfn);

/*
 * The host NUMA node of the memory that is behind a RAM frame now, asked of
 * the kernel (move_pages); -ENOENT when nothing is behind it.
 */
int host_frame_node(const struct host *host, pfn_t pfn);
/*
 * The same of @nr frames, at most HOST_NODES_BATCH, with one call: adds to how many
 * are on each host node, [0, UMM_MAX_NODES), and on none.
 */
#define HOST_NODES_BATCH 256
void host_count_nodes(const struct host *host, const pfn_t *pfns, unsigned int nr,
		      uint64_t *on_host, uint64_t *absent);

/* The pool of frames for page tables; reads as zero at first. */
struct host_tables {
	pfn_t base;
	uint64_t nr;
	void *hva;
};

const struct host_tables *host_tables_get(const struct host *host);

/*
 * Fill entry 511 of a new root table (512 entries, in the table pool): the
 * entry stubs and descriptor tables, the same non-leaf tables for every root.
 * Nothing else of the root is touched.
 */
void host_install_kernel_half(const struct host *host, uint64_t *pml4);

/*
 * The page that programs see at VVAR_GVA (guest/vdso/vvar.h). NULL where a vDSO
 * cannot tell the time: the guest's counter is not the host's, or the host's
 * own clocks do not stand on that counter.
 */
void *host_vvar(const struct host *host);

/* What the probes found: for -v, --json and benchmark headers. */
struct host_kind {
	const char *paging; /* "shadow" or "nested" */
	bool nested_paging; /* the processor walks guest tables itself */
	int syscall_cpl;    /* level at which SYSCALL arrives: 0 or 3 */
	const char *zap;    /* zap primitive: "uffd-wp-clear", ... */
	const char *flush;  /* "dummy-slot" or "slot-cycle" */
	bool tsc_is_host;   /* RDTSC in the guest reads the host's counter */
	unsigned int nr_host_nodes;
	bool simulated_nodes; /* several guest nodes share a host node */
	bool hugepages;       /* the host backs RAM with huge pages if it can */
	uint64_t xcr0;
	unsigned int max_vcpus;
	uint64_t uffd_features;
	uint64_t setup_us; /* what host_create() took in all ... */
	uint64_t probe_us; /* ... and the probes of it */
};

const struct host_kind *host_kind_get(const struct host *host);

/* Several lines of text, newline at the end. Returns its length as snprintf. */
int host_describe(const struct host *host, char *buf, size_t size);

/* Copies of migrations by one thread, by two, or (0) by as many as are faster. */
void host_set_copy_threads(struct host *host, unsigned int threads);

/* Event counts since host_create(), summed over all vCPUs. */
struct host_counters {
	uint64_t exits; /* KVM_RUN returns */
	uint64_t exits_syscall;
	uint64_t exits_fault;
	uint64_t exits_other;
	uint64_t zap_calls;  /* zap_frames() */
	uint64_t zap_ranges; /* host calls made for them */
	uint64_t zap_frames; /* frames covered */
	uint64_t in_guest;   /* vCPUs that run just now */
	uint64_t table_flushes;
	uint64_t discarded;    /* frames */
	uint64_t populated;    /* frames */
	uint64_t swap_read;    /* bytes */
	uint64_t swap_written; /* bytes */
};

void host_counters_read(struct host *host, struct host_counters *out);

/*
 * Open a swap area as @spec says (vmm/swap_spec.h). @area is what struct swap_io
 * wants; @nr_slots its size in pages. Several may be open. Closing is for areas that
 * the manager does not know, or no longer.
 */
int host_swap_open(struct host *host, const struct swap_spec *spec, void **area, uint64_t *nr_slots,
		   struct errmsg *e) UMM_MUST_CHECK;
void host_swap_close(struct host *host, void *area);

/* What became of an area; valid while it is open. */
struct swap_report {
	const char *kind, *name;
	int priority;
	uint64_t slots, pages_read, pages_written, errors;
	unsigned int nr; /* figures of its kind */
	struct swap_figure figures[SWAP_FIGURES_MAX];
};

void host_swap_report(struct host *host, void *area, struct swap_report *out);
/* All areas of compressed memory: the memory that they take, and the pages in it. */
void host_swap_compressed(struct host *host, uint64_t *memory_bytes, uint64_t *pages);

/* vmm/holes.h; NULL: there are none. */
struct holes *host_holes(const struct host *host);
/* Frames that have host memory, by our own books: no call of the host's. */
uint64_t host_resident_frames(struct host *host);
/* Who wants new memory beyond so many frames (0: any) waits a while for others to go. */
void host_set_resident_limit(struct host *host, uint64_t frames);
/*
 * Keep all vCPUs out of the guest, also those that wait for a hole; false: one does not
 * come out (kernels before 6.2). Tables can be flushed meanwhile, which otherwise waits
 * for vCPUs that wait. Resume follows in any case.
 */
bool host_try_pause(struct host *host) UMM_MUST_CHECK;
void host_resume(struct host *host);
/* What their area says. */
void host_holes_report(struct host *host, struct swap_report *out);

/*
 * Run @hook inside the handler of VCPU_KICK_SIGNAL, in the thread that got it,
 * with the handler's ucontext_t. It must be async-signal-safe; NULL removes
 * it. There is one hook for the process.
 */
void host_set_kick_hook(void (*hook)(void *ucontext));

#endif
