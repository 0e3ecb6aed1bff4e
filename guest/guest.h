/* SPDX-License-Identifier: MIT */
/*
 * The guest as its programs see it: processes, tasks, and the system-call
 * table. One `struct guest` a VM; no global state.
 *
 * Locks of guest/, taken before any lock of the memory manager (in this order):
 *	guest->tasks_lock	process tree, pid table, wait queues, exit
 *	  sighand->lock		dispositions and pending signals
 *	    files->lock		descriptor table
 *	      fs->lock		working directory, umask
 * None is held while a host system call may block, nor across vcpu run.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <umm/mm.h>
#include <umm/reclaim.h>

#include "guest/vcpu.h"

struct guest;
struct proc;
struct task;
struct files;
struct fs;
struct sighand;

#define GUEST_NSIG 64
typedef uint64_t guest_sigset_t; /* bit (signo - 1) */

/* What the VMM tells the guest side, and the hooks it gives. */
struct guest_config {
	struct mm_sys *sys;
	const struct vcpu_ops *vcpu_ops;
	void *vcpu_ctx;
	unsigned int nr_cpus;	/* how many the guest is told it has */
	uint64_t mem_bytes;	/* for /proc/meminfo */
	FILE *strace;		/* NULL: no --strace */
	/* Calls @hook(ucontext) inside the kick signal's handler. */
	void (*set_kick_hook)(void (*hook)(void *ucontext));
	/* Physical host node behind a frame (move_pages query), -errno. May be NULL. */
	int (*frame_node)(void *ctx, pfn_t pfn);
};

/* One system call: how to do it, and how --strace prints it. */
struct syscall_entry {
	const char *name;
	/* Returns the value for rax: >= 0 or -errno. */
	int64_t (*fn)(struct task *t, const uint64_t args[6]);
	/*
	 * One letter an argument: d int, u unsigned, x hex, p pointer, s path or
	 * string, o octal mode, f descriptor, F open flags, P prot, M mmap flags,
	 * A madvise advice, S signal, l long, b buffer (length in the next).
	 */
	const char *format;
};

/* Indexed by x86-64 system-call number; holes have fn == NULL (ENOSYS). */
#define SYSCALL_MAX 512
extern const struct syscall_entry syscall_table[SYSCALL_MAX];

/*
 * Each family file defines its calls as
 *	int64_t sys_NAME(struct task *t, const uint64_t a[6]);
 * declared in guest/syscalls.h; guest/syscall_table.c lists them.
 */

/* Internal results, never seen by the guest: restart the call after a signal. */
#define ERESTARTSYS_      512 /* restart if the handler has SA_RESTART, else EINTR */
#define ERESTARTNOHAND_   514 /* restart only if no handler ran, else EINTR */
#define ERESTARTBLOCK_    516 /* as NOHAND, but through restart_syscall */

/*
 * Host system calls that may block. Ends with -EINTR when a kick for this task
 * comes in before or while it blocks: there is no window in which a kick is
 * lost (guest/blocking.c tells how). Returns the raw result, -errno on failure.
 */
int64_t host_syscall_blocking(struct task *t, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
			      uint64_t a3, uint64_t a4, uint64_t a5);

/* User memory of the calling task. Sizes in bytes; 0 or -EFAULT. */
int copy_from_user(struct task *t, void *dst, uint64_t src, size_t len) UMM_MUST_CHECK;
int copy_to_user(struct task *t, uint64_t dst, const void *src, size_t len) UMM_MUST_CHECK;
/* NUL-terminated path of at most PATH_MAX bytes: 0, -EFAULT, -ENAMETOOLONG. */
int path_from_user(struct task *t, char path[4096], uint64_t src) UMM_MUST_CHECK;

/* The calling process, for files that need only these. */
struct mm *task_mm(struct task *t);
struct files *task_files(struct task *t);
struct fs *task_fs(struct task *t);
struct guest *task_guest(struct task *t);
int32_t task_pid(struct task *t);
int32_t task_tid(struct task *t);
/* True if an unblocked signal or a kill waits for the task. */
bool task_signal_pending(struct task *t);
/* Raise @sig on the calling task, as the kernel does (SIGPIPE, SIGSEGV). */
void task_raise(struct task *t, int sig, int code, gva_t addr);

/* guest/files.c: descriptor tables (reference counted, shared by CLONE_FILES). */
int files_create(struct files **out);
/* The first process: 0, 1, 2 are the VMM's own (dup'ed). */
int files_create_stdio(struct files **out);
int files_fork(struct files *f, struct files **out);
struct files *files_get(struct files *f);
void files_put(struct files *f);
void files_close_on_exec(struct files *f);

/*
 * One open file description. The host descriptor in it belongs to the VMM and
 * has nothing to do with the guest's number for it.
 */
struct gfile;
/* A reference on what guest descriptor @fd names; NULL: EBADF. */
struct gfile *files_lookup(struct files *f, int fd);
struct gfile *gfile_get(struct gfile *g);
void gfile_put(struct gfile *g);
int gfile_host_fd(const struct gfile *g);
/*
 * The page cache of the file, made at the first call; with a reference.
 * -ENODEV: cannot be mapped. @prot_shared: MAP_SHARED and PROT_WRITE wanted
 * (-EACCES when the descriptor does not allow what is asked).
 */
int gfile_mapping(struct gfile *g, struct address_space **out);
/* Open a file for the guest's own needs (exec, ld.so); path seen from @fs. */
int gfile_open(struct task *t, const char *path, int flags, struct gfile **out);
/* Path, device and inode behind an address_space, for /proc/PID/maps. */
const char *mapping_path(const struct address_space *m);
void mapping_identity(const struct address_space *m, uint64_t *dev, uint64_t *ino);

/* guest/fs.c: working directory and umask. */
int fs_create(struct fs **out);
int fs_fork(struct fs *fs, struct fs **out);
struct fs *fs_get(struct fs *fs);
void fs_put(struct fs *fs);

#endif
