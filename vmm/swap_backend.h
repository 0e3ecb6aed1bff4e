/* SPDX-License-Identifier: MIT */
/*
 * What a swap back end is: somewhere to put pages, behind a few calls.
 *
 *	the manager's seam (swap_io, swap_free)
 *	  -> vmm/swap_areas.c    finds the area, checks ranges, counts
 *	    -> backend_file.c    a file or block device, by io_uring
 *	       backend_ram.c     a plain copy in memory
 *	       backend_null.c    nothing: for measuring what the rest costs
 *	       backend_zip.c     compressed memory
 *	       backend_nbd.c     a remote machine that speaks NBD
 *
 * Laws that every back end keeps:
 * - What was written without an error is read back byte for byte until the slot is
 *   freed, or the read is an error. Wrong bytes are never handed out.
 * - An error belongs to the transfer it happened to and to no other, and leaves the
 *   area usable. A write that failed may have changed the slots it named.
 * - run() and freed() may be called from any number of threads at once. The manager
 *   never has two calls at a time that name the same slot, but two reads.
 */
#ifndef VMM_SWAP_BACKEND_H
#define VMM_SWAP_BACKEND_H

#include <umm/host_ops.h>

#include "vmm/errmsg.h"
#include "vmm/host.h"
#include "vmm/memory.h"
#include "vmm/swap_spec.h"
#include "vmm/swapio.h"

struct swap_backend;

/* What back ends share; lives longer than any of them. */
struct swap_env {
	const struct memory *memory;
	struct swap_engine *engine;
};

struct swap_backend_ops {
	const char *kind; /* as the specification of an area spells it */
	/*
	 * Open what @spec asks for. The back end fills in nr_slots and, for people,
	 * name. 0, or -errno with a sentence for the user in @e.
	 */
	int (*open)(const struct swap_env *env, const struct swap_spec *spec,
		    struct swap_backend **out, struct errmsg *e);
	/*
	 * Do @nr transfers and wait for them; each gets its own error. All are of this
	 * area, within it, and name guest RAM. May sleep.
	 */
	void (*run)(struct swap_backend *b, struct swap_io *ios, unsigned int nr);
	/*
	 * The same in two steps (swap_start and swap_finish of umm/host_ops.h). May be NULL,
	 * both; start answers NULL where these cannot be done so.
	 */
	void *(*start)(struct swap_backend *b, struct swap_io *ios, unsigned int nr);
	void (*finish)(struct swap_backend *b, void *started, struct swap_io *ios, unsigned int nr);
	/*
	 * Nobody needs the content of these slots any more. Called with a spin-like
	 * lock of the manager held: must neither sleep nor do I/O. May be NULL.
	 */
	void (*freed)(struct swap_backend *b, uint64_t slot, uint32_t nr);
	/*
	 * Is there room for some MiB more? As freed(): must be quick. NULL: only a write
	 * can tell.
	 */
	bool (*room)(struct swap_backend *b);
	/* May what was written to these slots be gone without an error? NULL: no. Quick. */
	bool (*doubtful)(struct swap_backend *b, uint64_t slot, uint32_t nr);
	/* Up to SWAP_FIGURES_MAX figures beyond the common ones; how many. May be NULL. */
	unsigned int (*figures)(struct swap_backend *b, struct swap_figure *out);
	/* Compressed memory: add what it takes, and the pages in it. Else NULL. */
	void (*compressed)(struct swap_backend *b, uint64_t *memory_bytes, uint64_t *pages);
	/* No call is under way and none will come. */
	void (*close)(struct swap_backend *b);
};

/* The head of each back end's own struct. */
struct swap_backend {
	const struct swap_backend_ops *ops;
	struct swap_env env;
	uint64_t nr_slots;
	int priority;
	char name[128]; /* which file, which server */
	/* vmm/swap_areas.c: pages moved without an error, transfers with one. */
	_Atomic uint64_t pages_read, pages_written, errors;
	struct swap_backend *next;
};

extern const struct swap_backend_ops backend_file_ops, backend_lz4_ops, backend_zstd_ops;
extern const struct swap_backend_ops backend_ram_ops, backend_null_ops, backend_nbd_ops;

/* The frames of a transfer, as bytes of this process. */
static inline uint8_t *swap_io_bytes(const struct swap_backend *b, const struct swap_io *io)
{
	return memory_hva(b->env.memory, io->pfn, io->nr);
}

#endif
