/* SPDX-License-Identifier: MIT */
/*
 * Files of /proc and /sys that are no text: numbers or bytes made for the range that is
 * read, or taken from what is written, at the file's position; nothing is kept.
 *
 *	guest/proc_io.c		names, open, read, write, seek: the same for all
 *	guest/proc_memory.c	/proc/PID/{pagemap,clear_refs,mem}
 *	guest/proc_scan.c	the ioctl PAGEMAP_SCAN
 *	guest/proc_pages.c	/proc/{kpageflags,kpagecount}, /sys/kernel/mm/page_idle/bitmap
 *
 * What is told of a process is told of the memory that it had when the file was opened:
 * an address space is named by its serial number (umm/mm.h), looked up for each call and
 * held by a reference meanwhile. Once it is gone the file is at its end, as on Linux.
 */
#ifndef GUEST_PROC_IO_H
#define GUEST_PROC_IO_H

#include "guest/procfs.h"

/* One open file. */
struct proc_io_file {
	const struct proc_io *ops;
	uint64_t serial; /* of the memory; 0: about no process */
	bool pfns;       /* who opened it may know frame numbers */
};

/* One call. */
struct proc_io_call {
	const struct proc_io_file *file;
	struct mm_sys *sys;
	struct mm *mm; /* with a reference; NULL: about no process */
	uint64_t pos;
};

#define PROC_IO_CHUNK 4096u

struct proc_io {
	uint64_t unit; /* positions and lengths are multiples of it, or EINVAL */
	bool of_process;
	bool one_chunk; /* no call does more than PROC_IO_CHUNK bytes */
	bool any_seek;  /* SEEK_END too; else EINVAL */
	bool any_pos;   /* what reaches past the largest position is no EINVAL */
	/*
	 * Up to PROC_IO_CHUNK bytes at call->pos. Bytes done, 0 at the end, -errno; less than
	 * asked ends the call. A write of nothing comes here too. NULL: EINVAL. No lock is held,
	 * and none may be kept.
	 */
	int64_t (*read)(const struct proc_io_call *c, void *buf, size_t len);
	int64_t (*write)(const struct proc_io_call *c, const void *buf, size_t len);
	/* NULL: ENOTTY. call->mm may be NULL, for a process whose memory is gone. */
	int64_t (*ioctl)(struct task *t, const struct proc_io_call *c, unsigned int request,
			 uint64_t arg);
};

struct proc_io_name {
	const char *name;
	mode_t mode;
	const struct proc_io *io;
};
/* Each ends with a NULL name. */
extern const struct proc_io_name procfs_pid_io[], procfs_system_io[];

/* Finds @leaf: 0, or -ENOENT. */
int proc_io_find(const struct proc_io_name *names, const char *leaf,
		 struct proc_name *n) UMM_MUST_CHECK;
/* For gfile->io of a file that is opened. -EACCES: not this caller's to look at; -ESRCH. */
int proc_io_open(struct task *t, const struct proc_name *n,
		 struct proc_io_file **out) UMM_MUST_CHECK;
/* @pos < 0: the descriptor's own. Bytes or -errno. */
int64_t proc_io_read(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos);
int64_t proc_io_write(struct task *t, struct gfile *g, const struct guest_iov *iov, int64_t pos);
int64_t proc_io_seek(struct gfile *g, int64_t offset, int whence);
int64_t proc_io_ioctl(struct task *t, struct gfile *g, unsigned int request, uint64_t arg);

/* PAGEMAP_SCAN, proc_io.ioctl of /proc/PID/pagemap. */
int64_t pagemap_ioctl(struct task *t, const struct proc_io_call *c, unsigned int request,
		      uint64_t arg);

#endif
