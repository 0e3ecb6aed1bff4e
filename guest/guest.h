/* SPDX-License-Identifier: MIT */
/*
 * The guest as its programs see it: processes, tasks, and the system-call
 * table. One `struct guest` a VM; no global state.
 *
 * Locks of guest/, taken before any lock of the memory manager (in this order):
 *	guest->tasks_lock	process tree, pid table, waits, exits, signals
 *	  futex bucket		waiters of one hash (two: lower address first)
 *	  cttys->lock		list of terminals; nothing is taken inside
 *	  in_flight->lock	descriptors in messages; nothing is taken inside
 *	  ipc->lock		System V IPC
 *	    files->lock		descriptor table
 *	      fs->lock		working directory, umask
 * None is held while a host system call may block, nor across vcpu run; before all of them,
 * and across the host's write, comes filemap_write_lock() of one mapped file. Signals
 * share the tree's lock: sending one means walking the tree anyway, and leaving
 * the guest for it costs a hundred times what the lock does.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <umm/mm.h>
#include <umm/reclaim.h>

#include "guest/vcpu.h"

struct guest_swap_ops;
struct vvar;
struct guest;
struct proc;
struct task;
struct files;
struct fs;
struct sighand;

#define GUEST_NSIG 64
typedef uint64_t guest_sigset_t; /* bit (signo - 1) */

/* One processor of the guest: the host's that it stands for, and its guest node. */
struct guest_cpu {
	int16_t host, node;
};

/* Swap in compressed memory: what it takes of the host, and the pages in it. */
struct guest_compressed {
	uint64_t memory_bytes, pages;
};

/* What the VMM tells the guest side, and the hooks it gives. */
struct guest_config {
	struct mm_sys *sys;
	const struct vcpu_ops *vcpu_ops;
	void *vcpu_ctx;
	unsigned int nr_cpus; /* how many the guest is told it has */
	/* nr_cpus of them, the VMM's own; NULL: all on node 0, bound to nothing. */
	const struct guest_cpu *cpus;
	uint64_t mem_bytes; /* for /proc/meminfo */
	FILE *strace;       /* NULL: no --strace */
	/* Calls @hook(ucontext) inside the kick signal's handler. */
	void (*set_kick_hook)(void (*hook)(void *ucontext));
	/*
	 * Where the VMM sees the page that programs see at VVAR_GVA (guest/vdso/vvar.h).
	 * NULL: their counter is not the host's, so there is no vDSO.
	 */
	struct vvar *vvar;
	/* Problems of the machine itself (a vCPU that cannot go on); may be NULL. */
	void (*report)(const char *text);
	/*
	 * What its programs see as / is a tree of its own, or read-only: umm run --root,
	 * --ro. guest_spawn() must be called by a thread that lives there.
	 */
	bool own_root;
	/* No way to the network, nor to sockets of others (vmm/confine.h). */
	bool no_net;
	/* Physical host node behind a frame (move_pages query), -errno. May be NULL. */
	int (*frame_node)(void *ctx, pfn_t pfn);
	/* For Zswap and Zswapped of /proc/meminfo. May be NULL. */
	void (*compressed)(void *ctx, struct guest_compressed *out);
	/* For swapon() and swapoff(): guest/swap_ops.h. */
	const struct guest_swap_ops *swap;
	void *swap_ctx;
};

/* ---- the guest as the VMM drives it (guest/guest.c) -------------------- */

/* Nothing runs yet. @config is copied. */
int guest_create(const struct guest_config *config, struct guest **out) UMM_MUST_CHECK;
/* All processes must have ended (guest_wait() returned, or nothing was spawned). */
void guest_destroy(struct guest *g);
/*
 * Start the first process: @path as execve() takes it (no search in PATH),
 * working directory, descriptors 0 to 2 and credentials are the caller's.
 * On failure -errno, and a sentence in @err.
 */
int guest_spawn(struct guest *g, const char *path, char *const argv[], char *const envp[],
		char *err, size_t err_size) UMM_MUST_CHECK;
/*
 * Wait for the first process to end; what then still runs is killed, as a
 * container's processes are when its init ends. Returns the first process's
 * wait status (WIFEXITED and friends) when the last task is gone.
 */
int guest_wait(struct guest *g);
/* Kill every process, as SIGKILL does. */
void guest_kill(struct guest *g);
/* A signal from outside: to the foreground group (SIGINT, SIGQUIT, SIGTSTP,
 * SIGWINCH), else to the first process. Not async-signal-safe. */
void guest_signal(struct guest *g, int sig);
/*
 * The page at @addr of process @pid is lost. True if the process wanted to know at once
 * and was told (SIGBUS, BUS_MCEERR_AO); others learn it when they touch the page.
 */
bool guest_memory_failure(struct guest *g, int32_t pid, gva_t addr);

/* One process, told to ps, /proc and the like. */
struct proc_info {
	int32_t pid, ppid, pgid, sid;
	char state;    /* R running, S sleeping, T stopped, Z zombie */
	char comm[16]; /* of the first thread */
	uint32_t nr_tasks;
	int tty_device;   /* of its controlling terminal, as in /proc/PID/stat; 0: none */
	int32_t tty_pgrp; /* in front there; -1: none */
	struct mm *mm;    /* NULL: zombie. Borrowed: mm_get() to keep it */
	uint64_t utime_us, stime_us, cutime_us, cstime_us;
	uint64_t start_ns; /* CLOCK_BOOTTIME */
	int nice;
	guest_sigset_t pending, shared_pending, blocked, ignored, caught;
};
/* Calls @fn for each process, by pid, under tasks_lock; stops at non-zero. */
int guest_for_each_proc(struct guest *g, int (*fn)(const struct proc_info *p, void *arg),
			void *arg);
/* The same for one process: -ESRCH if there is none. */
int guest_with_proc(struct guest *g, int32_t pid, int (*fn)(const struct proc_info *p, void *arg),
		    void *arg);
/* Up to @max thread ids of @pid; returns how many there are, -ESRCH. */
int guest_proc_tids(struct guest *g, int32_t pid, int32_t *tids, unsigned int max);
/* The descriptor table of @pid's first thread, with a reference; NULL: none. */
struct files *guest_proc_files(struct guest *g, int32_t pid);
struct fs *guest_proc_fs(struct guest *g, int32_t pid);
/* The place of its program, with a reference; NULL for who has ended. */
struct gfile *guest_proc_exe(struct guest *g, int32_t pid);
const struct guest_config *guest_config(const struct guest *g);
/* Nobody in the guest has an answer to ^Z: no shell does job control, no program catches it. */
bool guest_stops_by_default(struct guest *g);
/*
 * Stop umm with all that is in it, for the shell that it was started by. As by Linux, not if no
 * shell could continue it.
 */
void guest_stop_vmm(void);

/*
 * For the memory manager's questions about the calling thread: NULL and node 0
 * on the VMM's own threads.
 */
/* The guest node of processor @cpu, which must be below nr_cpus. */
int guest_cpu_node(const struct guest *g, unsigned int cpu);
/* Let programs look for their processor themselves, where there is a vDSO. */
void guest_cpus_show(const struct guest *g);
struct mm_thread *guest_current_thread(void);
int guest_current_node(void);

struct guest_counters {
	uint64_t syscalls, unknown_syscalls, faults, exceptions, kicks, signals, forks, execs;
	uint64_t oom_kills;
};
void guest_counters_read(const struct guest *g, struct guest_counters *out);

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

/*
 * Indexed by x86-64 system-call number; fn == NULL: ENOSYS. Those that Linux has
 * and the guest has not are named in guest/syscalls_missing.def.
 */
#define SYSCALL_MAX 512
extern const struct syscall_entry syscall_table[SYSCALL_MAX];

/*
 * Each family file defines its calls as
 *	int64_t sys_NAME(struct task *t, const uint64_t a[6]);
 * One line in guest/syscalls_file.def or guest/syscalls_process.def declares it
 * (guest/syscalls.h) and puts it into the table (guest/syscall_table.c).
 */

/* Internal results, never seen by the guest: restart the call after a signal. */
#define ERESTARTSYS_    512 /* restart if the handler has SA_RESTART, else EINTR */
#define ERESTARTNOINTR_ 513 /* always restart */
#define ERESTARTNOHAND_ 514 /* restart only if no handler ran, else EINTR */
#define ERESTARTBLOCK_  516 /* as NOHAND, but through restart_syscall */

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
/*
 * True if the access to @addr, with these FAULT_FLAG_*, failed for want of memory and may be
 * repeated: after an out-of-memory kill, or at once where others have freed some since. The caller
 * counts in @tries, from 0, how often that was so in a row. May sleep.
 */
bool user_retry_after_oom(struct task *t, gva_t addr, unsigned int fault_flags,
			  unsigned int *tries);

/* The calling process, for files that need only these. */
struct mm *task_mm(struct task *t);
struct files *task_files(struct task *t);
struct fs *task_fs(struct task *t);
struct guest *task_guest(struct task *t);
int32_t task_pid(struct task *t);
int32_t task_tid(struct task *t);
int32_t task_pgid(struct task *t);
int32_t task_ppid(struct task *t);
/* Soft limit @resource (RLIMIT_*) of the calling process. */
uint64_t task_rlimit(struct task *t, int resource);
/*
 * Raise @sig on the calling task, as the kernel does. SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL, SIGTRAP and SIGSYS cannot be blocked or ignored then; others can.
 */
void task_raise(struct task *t, int sig, int code, gva_t addr);
/*
 * For calls with a signal mask of their own (ppoll, pselect6, epoll_pwait):
 * block @set until the call is over. If it then returns -EINTR or one of the
 * restart codes, the old mask comes back after the handler ran; otherwise at
 * once. The system-call loop does both.
 */
void task_set_temporary_mask(struct task *t, guest_sigset_t set);

/*
 * Before returning -ERESTARTBLOCK_: how the call goes on if no handler ran (a
 * relative timeout must not start anew).
 */
void task_set_restart(struct task *t, int64_t (*fn)(struct task *t, const uint64_t args[6]),
		      const uint64_t args[6]);

/* guest/strace.c: called only when guest_config.strace is set. */
void strace_enter(struct task *t, uint64_t nr, const uint64_t args[6]);
void strace_leave(struct task *t, uint64_t nr, const uint64_t args[6], int64_t ret);
void strace_signal(struct task *t, int sig, int code, gva_t addr);
void strace_exit(struct task *t, int status);

/*
 * guest/filemap.c: the page caches of host files, by device and inode, one table
 * a guest. Made by guest_create(), destroyed after the last process is gone.
 */
struct filemaps;
int filemaps_create(struct mm_sys *sys, struct filemaps **out);
void filemaps_destroy(struct filemaps *fm);
/* Kept in struct guest by the process half. */
struct filemaps *guest_filemaps(struct guest *g);

/* guest/files.c: descriptor tables (reference counted, shared by CLONE_FILES). */
int files_create(struct files **out);
/*
 * The first process: 0, 1, 2 are the VMM's own (dup'ed), and what else it
 * inherited is moved into the guest.
 */
int files_create_stdio(struct guest *g, struct files **out);
int files_fork(struct files *f, struct files **out);
struct files *files_get(struct files *f);
void files_put(struct files *f);
void files_close_on_exec(struct files *f);
/* True if somebody else holds a reference, too. */
bool files_shared(struct files *f);

/*
 * One open file description. The host descriptor in it belongs to the VMM and
 * has nothing to do with the guest's number for it.
 */
struct gfile;
/* A reference on what guest descriptor @fd names; NULL: EBADF. */
struct gfile *files_lookup(struct files *f, int fd);
struct gfile *gfile_get(struct gfile *g);
void gfile_put(struct gfile *g);
/* A reference on one that may be going; false: it is, and must not be touched. */
bool gfile_try_get(struct gfile *g);
int gfile_host_fd(const struct gfile *g);
/*
 * Put host descriptor @host_fd, which the table owns from now on (closed on
 * failure), at the lowest free number. Returns the guest's number or -errno.
 */
int files_install_host(struct task *t, int host_fd, bool cloexec);
/* The process of a pidfd, 0 if it is none. */
int32_t gfile_pidfd(const struct gfile *g);
/*
 * The page cache of the file, made at the first call; with a reference.
 * -ENODEV: cannot be mapped. @prot_shared: MAP_SHARED and PROT_WRITE wanted
 * (-EACCES when the descriptor does not allow what is asked). 0 with *out NULL:
 * /dev/zero, to be mapped as anonymous memory.
 */
int gfile_mapping(struct gfile *g, struct address_space **out);
/* The O_ flags of the descriptor as F_GETFL has them. */
int gfile_flags(const struct gfile *g);
/*
 * Open a file for the guest's own needs (exec, ld.so); path seen from @t's
 * working directory, or the VMM's when @t is NULL (the first process).
 */
int gfile_open(struct guest *g, struct task *t, const char *path, int flags, struct gfile **out);
/* Host path of the file behind it, "" if it has none; lives as long as @g. */
const char *gfile_path(const struct gfile *g);
/* Path, device and inode behind an address_space, for /proc/PID/maps. */
const char *mapping_path(const struct address_space *m);
void mapping_identity(const struct address_space *m, uint64_t *dev, uint64_t *ino);

/* guest/fs.c: working directory and umask. */
int fs_create(struct fs **out);
int fs_fork(struct fs *fs, struct fs **out);
struct fs *fs_get(struct fs *fs);
void fs_put(struct fs *fs);

#endif
