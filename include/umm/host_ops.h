/* SPDX-License-Identifier: MIT */
/*
 * The seam: everything that the memory manager asks of its host.
 *
 * A VMM fills this with KVM, userfaultfd and io_uring; unit tests fill it with
 * a fake that checks the contracts below and can fail the Nth call of any.
 *
 * Every function may be called from any thread, with or without locks of the
 * memory manager held as each says; none may call back into the manager.
 * Functions that return int return 0 or -errno.
 */
#ifndef UMM_HOST_OPS_H
#define UMM_HOST_OPS_H

#include <umm/types.h>

/* A run of guest frames [pfn, pfn + nr). */
struct frame_range {
	pfn_t pfn;
	uint32_t nr;
};

/*
 * One swap transfer of @nr pages between consecutive slots of one swap area
 * and the frames [pfn, pfn + nr). The manager owns the struct; the host sets
 * @error (0 or -errno) before swap_io() returns.
 */
struct swap_io {
	void *area;    /* what swap_on() was given */
	uint64_t slot; /* first slot, in pages */
	pfn_t pfn;
	uint32_t nr;
	bool write;
	int error;
};

/*
 * One of several copies that are asked for together. The host sets @error
 * (0 or -errno) before copy_runs() returns.
 */
struct frame_copy {
	pfn_t dst, src;
	uint32_t nr;
	int error;
};

/*
 * Frames whose host memory is to go while they stay taken and their entries stay as they
 * are. The manager sets the first three, the host the rest.
 */
struct frame_hole {
	pfn_t pfn;
	uint32_t nr;
	bool keep; /* set between hole_protect() and hole_write(): leave them after all */
	uint32_t punched, zero; /* frames that have none now; of these all zero, not written */
	uint32_t stayed;        /* that had some and have it still: used meanwhile, or an error */
	int error;
};

struct mm_thread;

struct mm_host_ops {
	/*
	 * Memory for the manager's own objects, zeroed, aligned to 64 bytes
	 * when @size >= 64. NULL when there is none. Locks may be held.
	 */
	void *(*alloc)(void *ctx, size_t size);
	void (*free)(void *ctx, void *p, size_t size);

	/* Copy @nr frames; source and destination do not overlap. */
	int (*copy_frames)(void *ctx, pfn_t dst, pfn_t src, uint32_t nr);

	/*
	 * Do all @nr copies, in any order, with as many threads as help; what
	 * was copied is seen by all vCPUs after it returns. No frame is in two
	 * of them. Returns 0 if all went well, else the first error. Called
	 * without locks other than folio locks.
	 */
	int (*copy_runs)(void *ctx, struct frame_copy *copies, unsigned int nr);

	/* Fill @nr frames with zero bytes. */
	int (*clear_frames)(void *ctx, pfn_t pfn, uint32_t nr);

	/*
	 * Make sure that host memory stands behind the frames, so that the
	 * next touch of them does not fault in the host one by one. Frames
	 * that were discarded (or never used) read as zero afterwards; others
	 * keep their bytes. -ENOMEM when the host has no memory to give. With
	 * @in_stead they take the place of frames that are about to be free: a
	 * host that lets memory grow only slowly need not hold the caller up.
	 */
	int (*populate_frames)(void *ctx, pfn_t pfn, uint32_t nr, bool in_stead);

	/*
	 * Drop every vCPU's cached translation of the given frames. Page-table
	 * entries changed by the caller before this call are what every vCPU
	 * acts on after it returns; stores through an older, wider translation
	 * have all landed by then. Ranges are sorted and disjoint. Never
	 * fails: a host that cannot zap must not run guests.
	 * Locks up to and including page-table locks may be held.
	 */
	void (*zap_frames)(void *ctx, const struct frame_range *ranges, unsigned int nr);

	/*
	 * Drop every vCPU's cached *non-leaf* and 2 MiB translations: after a
	 * change to such an entry and before a table frame is used again.
	 */
	void (*flush_tables)(void *ctx);

	/*
	 * Give the host memory behind the frames back to the host. No entry
	 * maps them and they were zapped. They read as zero afterwards.
	 */
	int (*discard_frames)(void *ctx, pfn_t pfn, uint32_t nr);

	/*
	 * Do all @nr transfers and wait for them. Returns 0 if all went well,
	 * else the first error; each swap_io has its own. Called without locks
	 * other than folio locks.
	 */
	int (*swap_io)(void *ctx, struct swap_io *ios, unsigned int nr);

	/*
	 * Optional, both or none. The same in two steps, to do something else meanwhile:
	 * start returns NULL where that cannot be done, and then nothing has begun; else
	 * finish, by the same thread, waits for them, and only after that the errors are
	 * set. @ios must stay where they are until then. Folio locks may be held between.
	 */
	void *(*swap_start)(void *ctx, struct swap_io *ios, unsigned int nr);
	void (*swap_finish)(void *ctx, void *started, struct swap_io *ios, unsigned int nr);

	/*
	 * Optional. Nobody needs the content of the slots [slot, slot + nr) of @area any
	 * more; they may never have been written. No transfer of them is under way, and
	 * the next one will be a write. The swap lock is held: must be quick.
	 */
	void (*swap_free)(void *ctx, void *area, uint64_t slot, uint32_t nr);

	/*
	 * Optional (NULL: yes). Is there room for some MiB more in the area? Slots of an
	 * area that says no are not handed out. One that cannot tell says yes, and its
	 * writes -ENOSPC when it was wrong. The swap lock is held: must be quick.
	 */
	bool (*swap_room)(void *ctx, void *area);

	/*
	 * Optional (NULL: no). May what was written to one of these slots be gone by now, as
	 * its server was lost since? Reclaim then writes a clean page again instead of dropping
	 * what may be the only copy. No lock but the folio's; must be quick.
	 */
	bool (*swap_doubtful)(void *ctx, void *area, uint64_t slot, uint32_t nr);

	/*
	 * Optional, both or none (NULL: never). Another thread that takes a part of long
	 * work: helper_begin() has it call work(arg) soon and returns true, if that is
	 * likely to be faster than one thread; else it returns false. After true,
	 * helper_end(), by the same thread, waits until work() has returned; it returns
	 * false if work() was not even begun, and then it will not be. No lock is held
	 * at either; work() may take what its caller might.
	 */
	bool (*helper_begin)(void *ctx, void (*work)(void *arg), void *arg);
	bool (*helper_end)(void *ctx);

	/*
	 * Holes: optional, all or none; only where the host was asked for them. The content of
	 * frames in use is kept elsewhere and their host memory given back; whoever touches one
	 * then waits until it is there again, which takes no lock of the manager.
	 *
	 * From hole_protect() on stores to the frames are noticed. The caller then sets `keep`
	 * where host I/O may be under way (a pin), and calls hole_write() in any case. What was
	 * stored to or zapped in between stays. -errno: nothing is protected. Locked folios,
	 * and no other lock; the frames are not free meanwhile, and in no other such call.
	 */
	int (*hole_protect)(void *ctx, struct frame_hole *holes, unsigned int nr);
	void (*hole_write)(void *ctx, struct frame_hole *holes, unsigned int nr);
	/* Bring them back before they are touched. -EIO: one cannot be. No spin-like lock. */
	int (*hole_fill)(void *ctx, pfn_t pfn, uint32_t nr);
	/* They are free: nobody wants their content. They read as anything. Any lock. */
	void (*hole_drop)(void *ctx, pfn_t pfn, uint32_t nr);
	/* How many of them are no holes. Any lock. */
	uint32_t (*hole_here)(void *ctx, pfn_t pfn, uint32_t nr);

	/* Distance between two guest nodes, 10 = local (SLIT). */
	unsigned int (*node_distance)(void *ctx, int from, int to);

	/*
	 * Optional (NULL: no thread, node 0). The guest's thread on whose behalf
	 * the calling thread runs, NULL if there is none; and the guest node of
	 * the processor it runs on. Locks may be held.
	 */
	struct mm_thread *(*current_thread)(void *ctx);
	int (*current_node)(void *ctx);

	/*
	 * Sleep while *word == val; may return early or spuriously.
	 * wake: wake @nr sleepers (INT_MAX: all).
	 */
	void (*wait)(void *ctx, const uint32_t *word, uint32_t val);
	void (*wake)(void *ctx, const uint32_t *word, int nr);
};

/*
 * Operations of a file behind an address_space; the manager holds @file as an
 * opaque pointer. Called with the folio locked and no other lock held.
 */
struct mapping_ops {
	/*
	 * Fill [hva, hva + len) from byte @off of the file; what lies past the
	 * end of the file reads as zero.
	 */
	int (*read)(void *file, uint64_t off, void *hva, size_t len);
	/* Write @len bytes at @off; never called past the end of the file. */
	int (*write)(void *file, uint64_t off, const void *hva, size_t len);
	/* Size of the file in bytes now, or -errno. */
	int64_t (*size)(void *file);
	/* Make a hole of whole pages, which reads as zero; the size stays. NULL: EOPNOTSUPP. */
	int (*punch)(void *file, uint64_t off, uint64_t len);
	/* Make written data durable (fsync). */
	int (*sync)(void *file);
	/* The last reference to the address_space is gone. */
	void (*release)(void *file);
};

#endif
