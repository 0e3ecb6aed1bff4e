/* SPDX-License-Identifier: MIT */
/*
 * Processes and tasks, for the files of guest/ that make, run and end them.
 *
 * A task is a guest thread: one host thread with one vCPU. A proc is a thread
 * group: what has a pid, a parent and a wait status. It outlives its tasks as a
 * zombie until its parent has asked for it.
 *
 * What guards a field is told by a letter:
 *   c  fixed before the object is published
 *   g  guest->lock (tasks_lock)
 *   s  only the task's own thread, no lock; s,g: written by it under guest->lock
 *   a  atomic
 */
#ifndef GUEST_TASK_H
#define GUEST_TASK_H

#include <sys/resource.h>
#include <time.h>

#include "guest/guest.h"
#include "guest/sysctl_kept.h"

#define CPU_MASK_WORDS 16  /* 1024 processors */
#define PID_FIRST      100 /* the first process; its parent is "1", which is not there */
#define PID_MAX        4194304
#define PID_BUCKETS    1024
#define PID_OUTSIDE    1 /* parent and session of the first process */

/* ---- signals ---------------------------------------------------------- */

#define SIGSET_BIT(sig) (1ull << ((sig)-1))

/* The kernel's struct sigaction for x86-64, as rt_sigaction() passes it. */
struct guest_sigaction {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	guest_sigset_t mask;
};

struct sighand {
	uint32_t refs;                             /* g */
	struct guest_sigaction action[GUEST_NSIG]; /* g  by signo - 1 */
};

/* A set of pending signals; those with information are also in the queue. */
struct sig_pending {
	guest_sigset_t set;
	struct list_head queue; /* struct sig_item */
	uint32_t nr;            /* items in it */
};

struct sig_item {
	struct list_head link;
	siginfo_t info; /* the host's layout is the guest's */
};

/* The kernel's stack_t. */
struct guest_stack {
	uint64_t sp;
	int32_t flags;
	int32_t pad;
	uint64_t size;
};

/* ---- processes -------------------------------------------------------- */

struct itimer {
	uint64_t expires_ns; /* on its own clock; 0: off */
	uint64_t interval_ns;
};

struct proc_times {
	uint64_t utime_us, stime_us;
	uint64_t minflt, nvcsw;
};

/* Who it acts as: real, effective, saved, and for files. */
struct proc_creds {
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	/* Sets of capabilities, bit n for number n. */
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
};

/* Supplementary groups, as Linux sorts them. Never changed once they are in a process. */
struct creds_groups {
	uint32_t refs; /* a */
	uint32_t nr;
	gid_t gid[];
};

struct proc {
	struct guest *g;           /* c */
	int32_t pid;               /* c */
	int32_t pgid, sid;         /* g */
	struct ctty *tty;          /* g, a  controlling terminal, with a reference */
	int32_t tty_old_pgrp;      /* g  of a leader: in front when its terminal hung up */
	struct list_head all;      /* g  guest->procs */
	struct list_head hash;     /* g  guest->proc_hash */
	struct proc *parent;       /* g  NULL: outside of the guest */
	int32_t ppid;              /* a  its number; written under g by proc_set_parent() */
	struct list_head children; /* g  by sibling */
	struct list_head sibling;  /* g */
	struct list_head tasks;    /* g  by task->link; first is the oldest */
	uint32_t nr_tasks;         /* g  tasks that have not yet left */
	struct task *leader;       /* g  the task with tid == pid; NULL: it ended */

	struct sighand *sighand;    /* g */
	struct sig_pending pending; /* g  sent to the process */
	int exit_signal;            /* g  to the parent at the end; 0: none */

	bool group_exit;        /* g, a  every task must end */
	bool zombie;            /* g  all tasks ended */
	int status;             /* g  wait status, once group_exit or zombie */
	struct task *exec_task; /* g  the others must end, it waits for that */

	int stop_signal;     /* g  not 0: every task must stop */
	uint32_t nr_stopped; /* g  tasks that have */
	bool stop_reported;  /* g  the stop is complete: parent was told */
	bool stop_waitable;  /* g  wait4(WUNTRACED) has not told it yet */
	bool cont_waitable;  /* g  the same for WCONTINUED */

	bool has_execed;                           /* g  setpgid() by the parent is over */
	bool subreaper;                            /* g */
	bool dumpable, no_new_privs, thp_disabled; /* a */
	uint8_t mce_kill;                          /* a  PR_MCE_KILL_* + 1; 0: the default */
	uint32_t personality;                      /* a */
	uint32_t membarriers;                      /* a  MEMBARRIER_CMD_REGISTER_* it has made */
	int pdeath_signal;                         /* g */
	int nice;                                  /* g */
	int oom_score_adj, oom_adj_min;            /* g  the latter: the lowest without privilege */
	struct proc_creds creds;                   /* g  as last changed by a thread of it */
	struct creds_groups *groups;               /* g  the same; NULL: none */
	char comm[16];                             /* g  of the first thread */
	struct gfile *exe;                         /* g  the program */
	struct rlimit rlim[RLIM_NLIMITS];          /* g */
	struct itimer itimer[3];                   /* g  ITIMER_REAL, VIRTUAL, PROF */
	struct list_head timers;                   /* g  of timer_create() */
	int32_t next_timer;                        /* g  number of the next one */
	int exit_fd;                               /* g  eventfd behind pidfds, -1: none yet */
	uint64_t start_ns;                         /* c  CLOCK_BOOTTIME */
	struct proc_times dead_tasks;              /* g  of tasks that ended */
	struct proc_times dead_children;           /* g  of children waited for */
	uint64_t max_rss, children_max_rss;        /* g  pages */
};

/* ---- tasks ------------------------------------------------------------ */

/* Which processor of the guest a task is (guest/seats.c). */
struct task_seat {
	int number;            /* the lock of seats, and the task's own: -1 none; it may be lost */
	uint32_t cid;          /* the same: lowest number of its memory that no other seat has */
	bool changed;          /* the same: the program was not told yet of this seat */
	bool waiting;          /* the lock of seats: in the queue */
	struct list_head link; /* the same */
};

/* Restartable sequences (guest/rseq.c): the area in which the program wants to be told. */
struct task_rseq {
	uint64_t at; /* gva, 0: not registered */
	uint32_t len, signature;
	uint64_t fences; /* seat_fences() that its sequences have felt */
};

/* A system call interrupted without a handler goes on here (restart_syscall). */
struct restart_block {
	int64_t (*fn)(struct task *t, const uint64_t args[6]);
	uint64_t args[6];
};

struct task {
	/*
	 * Something must be looked at before guest code runs on, and no sleep
	 * may begin. guest/stubs/blocking.S reads it: keep it first.
	 */
	uint32_t work;         /* a  set under guest->lock */
	uint32_t wake_seq;     /* a  changed by every task_wake() */
	struct guest *g;       /* c */
	struct proc *proc;     /* c */
	int32_t tid;           /* g  changes when exec makes it the leader */
	struct list_head link; /* g  proc->tasks */
	struct list_head hash; /* g  guest->task_hash */
	pthread_t thread;      /* c */

	struct vcpu *vcpu;          /* c  set by the thread before it is published */
	const struct vcpu_ops *ops; /* c */
	struct mm *mm;              /* s,g  one user reference */
	struct files *files;        /* s,g */
	struct fs *fs;              /* s,g */

	guest_sigset_t blocked;      /* s,g */
	guest_sigset_t saved_mask;   /* s  when restore_mask */
	bool restore_mask;           /* s */
	guest_sigset_t waiting_for;  /* s,g  rt_sigtimedwait() */
	struct sig_pending pending;  /* g  sent to this task */
	struct guest_stack altstack; /* s */

	bool leaving;             /* s  the task ends before guest code runs again */
	int exit_status;          /* s  wait status given to exit() */
	bool stopped;             /* g */
	bool sleeping;            /* a  in a wait of ours, for ps */
	bool waiting_child;       /* g  in wait4() or waitid() */
	char comm[16];            /* g */
	uint64_t clear_child_tid; /* s  gva, 0: none */
	uint64_t robust_list;     /* s  gva, 0: none */
	struct task_rseq rseq;    /* s */
	struct task_seat seat;
	struct vfork_wait *vfork; /* g  of the parent in vfork(); NULL: none */

	/* The system call in progress; nr is -1 when no restart is possible. */
	int64_t syscall_nr;           /* s */
	bool regs_replaced;           /* s  the call set all registers itself */
	struct restart_block restart; /* s */
	uint64_t oom_ends;            /* s  guest->nr_ends at the last oom_kill() */
	uint64_t trap_error, trap_vector, trap_address; /* s  for signal frames */
	uint64_t nr_faults;                             /* a */
	int policy;                        /* g  SCHED_* as asked for, without effect */
	uint64_t affinity[CPU_MASK_WORDS]; /* g, a  as asked for; all zero: never */
	struct mm_thread placement;        /* s  memory policy; others look with its lock */

	/* Start of a new thread (guest/fork.c). */
	struct guest_regs start_regs; /* c */
	uint8_t *start_xsave;         /* c  malloc'ed, NULL: a fresh program's */
	uint32_t start_gate;          /* a  GATE_* */
	int start_error;              /* before GATE_READY or GATE_GONE */
};

/* The task that the calling host thread runs; NULL on the VMM's own threads. */
extern __thread struct task *current_task __attribute__((tls_model("initial-exec")));

struct guest {
	struct guest_config cfg;                 /* c */
	pthread_mutex_t lock;                    /* tasks_lock */
	pthread_cond_t changed;                  /* with lock: a task or process ended */
	struct list_head procs;                  /* g */
	struct list_head proc_hash[PID_BUCKETS]; /* g */
	struct list_head task_hash[PID_BUCKETS]; /* g */
	int32_t next_pid;                        /* g */
	uint32_t nr_threads;                     /* g  host threads of tasks */
	struct proc *first;                      /* g  NULL once it has ended */
	int first_status;                        /* g */
	bool shutdown;                           /* g  no new tasks */
	uint64_t nr_ends;                        /* g  processes that have ended */
	struct cttys *cttys;                     /* c  guest/ctty.h */
	struct in_flight *in_flight;             /* c  guest/in_flight.h */
	struct futex_table *futexes;             /* c */
	struct filemaps *filemaps;               /* c */
	struct address_space *vdso;              /* c  NULL: there is none */
	struct vdso_clock *vdso_clock;           /* c */
	struct itimer_service *itimers;          /* c */
	struct list_head signalfds;              /* g */
	struct ipc *ipc;                         /* c  guest/ipc.h */
	struct seats *seats;                     /* c */
	struct sysctls_kept sysctls;             /* a  guest/sysctl_kept.h */
	uint64_t caps_withheld;                  /* c  of root, by umm's own confinement */
	struct guest_counters counters;          /* a */
};

static inline void guest_lock(struct guest *g)
{
	pthread_mutex_lock(&g->lock);
}

static inline void guest_unlock(struct guest *g)
{
	pthread_mutex_unlock(&g->lock);
}

static inline void counter_add(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static inline bool task_has_work(const struct task *t)
{
	return __atomic_load_n(&t->work, __ATOMIC_ACQUIRE);
}

/* ---- guest/proc.c: the tree and the pid tables; guest->lock held -------- */

struct proc *proc_find(struct guest *g, int32_t pid);
struct task *task_find(struct guest *g, int32_t tid);
bool pgrp_exists(struct guest *g, int32_t pgid, int32_t sid);
/* No member has a parent outside of the group but inside of its session. */
bool pgrp_is_orphaned(struct guest *g, int32_t pgid);
int32_t pid_alloc(struct guest *g);
struct proc *proc_alloc(struct guest *g);
void proc_publish(struct proc *p, struct proc *parent);
/* @parent NULL: outside of the guest. Unlinks it from its old one. */
void proc_set_parent(struct proc *p, struct proc *parent);
void proc_free(struct proc *p);
struct task *task_alloc(struct proc *p);
void task_publish(struct task *t);
void task_unpublish(struct task *t);
void task_set_tid(struct task *t, int32_t tid);
/* @name ends with a zero within 16 bytes. */
void task_set_comm(struct task *t, const char *name);
void task_free(struct task *t);
/* Times of the process so far, its running tasks included. */
void proc_times(struct proc *p, struct proc_times *out);
struct sighand *sighand_alloc(void);
void sighand_put(struct sighand *h);

/* ---- guest/sleep.c: sleeping and waking -------------------------------- */

/*
 * Sleep until task_wake(), a kick, or @deadline (NULL: none; absolute, on
 * @clock: CLOCK_MONOTONIC or CLOCK_REALTIME). @seq is t->wake_seq from before
 * the caller looked whether it has to sleep: a wake since then ends it at once.
 * 0 or -ETIMEDOUT; 0 also without reason, so the caller looks again.
 */
int task_sleep(struct task *t, uint32_t seq, clockid_t clock, const struct timespec *deadline);
static inline uint32_t task_sleep_begin(struct task *t)
{
	return __atomic_load_n(&t->wake_seq, __ATOMIC_ACQUIRE);
}
void task_wake(struct task *t);
/*
 * A sleep that only a kill ends early: lock held, dropped while asleep. The
 * caller looped over its condition and calls task_recalc_work() in the end.
 * False: the task must leave.
 */
bool task_sleep_killable(struct task *t);
/* The process ends, or another thread of it has called exec. Lock held. */
bool task_must_leave(const struct task *t);
/* The same for who does not hold the lock. */
bool task_is_killed(struct task *t);
/* Set work and get the task out of the guest, or out of a blocking call. */
void task_interrupt(struct task *t);
/* A short sleep, of which nobody is told: until @deadline_ns of CLOCK_MONOTONIC at the latest. */
void task_doze(struct task *t, uint32_t seq, uint64_t deadline_ns);
/* Plain futex wait on a host word, not interruptible. */
void host_word_wait(uint32_t *word, uint32_t value);
void host_word_wake(uint32_t *word);

/* ---- guest/blocking.c -------------------------------------------------- */

void blocking_kick_hook(void *ucontext);

/* ---- guest/loop.c ------------------------------------------------------ */

/* The body of a task's thread between start and end. */
void task_loop(struct task *t);
struct guest_regs *task_regs(struct task *t);

/* ---- guest/fork.c: making tasks ---------------------------------------- */

enum { GATE_CLOSED, GATE_READY, GATE_OPEN, GATE_CANCELLED, GATE_GONE };
/* Make the task's host thread and vCPU; it waits until task_go(). */
int task_start_thread(struct task *t);
void task_go(struct task *t);
/* Instead of task_go(): the thread ends, the task stays the caller's. */
void task_cancel(struct task *t);

/* A parent in vfork(): waits until its child no longer uses its memory. */
struct vfork_wait {
	struct task *parent;
	bool done; /* g */
};

/* ---- guest/cpus.c ------------------------------------------------------ */

/* Did it ever ask for certain processors; and may it run on this one? */
bool task_is_bound(const struct task *t);
bool task_may_use_cpu(const struct task *t, unsigned int cpu);
/* The processor that the calling thread, which is @t's, runs on. */
unsigned int task_cpu(const struct task *t);
/* guest->lock held: its affinity was set, its host thread follows. */
void task_bind(struct task *t);
/* The current task's vDSO read @aux where Linux keeps the processor's number. */
void task_saw_aux(const struct task *t, uint32_t aux);

/* ---- guest/seats.c ------------------------------------------------------ */

int seats_create(unsigned int nr_cpus, struct seats **out) UMM_MUST_CHECK;
void seats_destroy(struct seats *s);
/*
 * Before guest code runs: the calling task @t is in a seat, and seat.changed tells if the
 * program has to hear of that. Waits for one; false: there is work to look at first.
 */
bool seat_enter(struct task *t);
/* The task is out of the guest again; it keeps its seat until somebody else needs it. */
void seat_leave(struct task *t);
/* It is about to sleep, or yields: who waits for a seat may have it at once. */
void seat_rest(struct task *t);
/* It needs a seat no longer. */
void seat_release(struct task *t);
/*
 * All restartable sequences of @t's memory that have begun are over, or will be aborted
 * before guest code runs on; those in seat @only, if it is not negative. Others' may be, too.
 */
void seats_fence(struct task *t, int only);
/* How many fences there were: after seat_enter() a new number aborts the sequence. */
uint64_t seat_fences(const struct task *t);
/* The affinity of @t, which is in no danger of ending, was changed by another task. */
void seat_rebind(struct task *t);

/* What the program is told of it, by the auxiliary vector: bytes used, and how aligned. */
#define RSEQ_FEATURE_SIZE 28
#define RSEQ_ALIGN        32

/* ---- guest/rseq.c --------------------------------------------------------- */

/*
 * Around guest code, for tasks that are registered; others pass. False: do not run it,
 * look for work first.
 */
bool rseq_enter(struct task *t);
void rseq_leave(struct task *t);
/* A handler is about to run: a sequence is aborted. -EFAULT or -EINVAL: SIGSEGV is due. */
int rseq_signal(struct task *t);
/* The child of a fork goes on with its parent's area; a new program has none. */
void rseq_inherit(struct task *child, const struct task *parent);
void rseq_forget(struct task *t);

/* ---- guest/pidfd.c ----------------------------------------------------- */

/* A new descriptor that tells the end of @pid, @flags 0 or O_NONBLOCK: its number or -errno. */
int pidfd_install(struct task *t, int32_t pid, int flags);
/* Lock held: the process ended. */
void pidfd_notify(struct proc *p);

/* ---- guest/creds.c ----------------------------------------------------- */

/* Note in the process what the calling thread acts as. Takes the lock. */
void creds_note(struct task *t);
/* The first process, whose task this is, acts as the caller. */
void creds_first(struct task *t);
/* exec: the saved ids become the effective ones. */
void creds_exec(struct task *t);
/* NULL stays NULL. */
struct creds_groups *creds_groups_get(struct creds_groups *groups);
void creds_groups_put(struct creds_groups *groups);
/* Has the calling thread this capability (CAP_*)? */
bool creds_capable(int cap);
/* Does it get @want (4 to read, 2 to write, 1 to run) of what has this mode and owner? */
bool creds_allowed(mode_t mode, uid_t uid, gid_t gid, mode_t want);
/* What open() with these flags wants; an access mode of 3: all. */
mode_t creds_wanted(int flags);
/* Lock held: may the calling task @t send @sig to @p? */
bool creds_may_signal(const struct task *t, const struct proc *p, int sig);
/* Lock held: may it look into and change the memory and files of @p? */
bool creds_may_trace(const struct task *t, const struct proc *p);
/* Lock held: may it ask for and set the resource limits of @p? */
bool creds_may_limit(const struct task *t, const struct proc *p);
/* Lock held: may it set the priority and the processors of @p? */
bool creds_may_schedule(const struct task *t, const struct proc *p);

/* ---- guest/rusage.c ---------------------------------------------------- */

/* The most frames that it has had mapped, as far as is known. */
uint64_t mm_max_rss(const struct mm *mm);
void proc_times_add(struct proc_times *sum, const struct proc_times *add);
void rusage_fill(struct rusage *ru, const struct proc_times *times, uint64_t rss_pages);

/* ---- guest/exit.c ------------------------------------------------------ */

/* The last act of a task's thread; frees @t. */
void task_exit(struct task *t);
/* guest->lock held: every task of @p must end, with this wait status. */
void proc_kill(struct proc *p, int status);
/* guest->lock held: a zombie disappears. */
void proc_reap(struct proc *p);
/* Let go of the parent in vfork(). Takes the lock. */
void task_vfork_done(struct task *t);
/* What a task leaves behind in its memory: robust futexes, the cleared tid. */
void task_release_memory(struct task *t);

/* ---- guest/signal.c: guest->lock held --------------------------------- */

void sig_pending_init(struct sig_pending *p);
void sig_pending_flush(struct sig_pending *p, guest_sigset_t which);
/*
 * Send to a process (@t NULL) or a task. Returns 0 or -EAGAIN (queue full).
 * @info NULL: from the kernel (SI_KERNEL).
 */
int signal_send(struct proc *p, struct task *t, int sig, const siginfo_t *info);
/* Lock held: signals and timers that count for @p's user. */
uint64_t signals_queued(const struct proc *p);
/* Lock held: does RLIMIT_SIGPENDING leave room for one more signal or timer of @p's user? */
bool signal_room(struct proc *p);
/* To each process of a group; how many there were. */
unsigned int signal_send_pgrp(struct guest *g, int32_t pgid, int sig, const siginfo_t *info);
/* Compute t->work anew: after the mask or pending signals changed. */
void task_recalc_work(struct task *t);
/* Take the next signal in @allowed; 0: none. */
int signal_dequeue(struct task *t, guest_sigset_t allowed, siginfo_t *info);
bool signal_is_ignored(const struct sighand *h, int sig);
/* What a signal does when there is no handler. */
enum signal_default { SIGDFL_TERM, SIGDFL_CORE, SIGDFL_IGNORE, SIGDFL_STOP, SIGDFL_CONT };
enum signal_default signal_default_action(int sig);
/* SIGCHLD to the parent, and wake its waits. @code: CLD_*. */
void notify_parent(struct proc *p, int code, int value);
void siginfo_from_task(siginfo_t *info, int sig, int code, struct task *t);

/* Without the lock: deliver what is pending; called before guest code runs. */
void task_do_work(struct task *t);
/* Another task takes over what this one will not: it leaves or blocks @set. */
void signal_retarget(struct task *t, guest_sigset_t set);
/* A complete stop of the process is told to its parent, once. */
void signal_check_stop(struct proc *p);
/* Change the mask of the calling task; takes the lock. */
void task_set_blocked(struct task *t, guest_sigset_t set);
/* Force a signal that ends the process if it cannot be handled. Takes the lock. */
void task_force_signal(struct task *t, const siginfo_t *info);

/* ---- guest/sigframe.c -------------------------------------------------- */

/* Put a frame on the stack and enter the handler: 0 or -EFAULT. */
int sigframe_setup(struct task *t, int sig, const struct guest_sigaction *act,
		   const siginfo_t *info, guest_sigset_t mask);
/* Undo it: 0, or -EFAULT for a frame that is not one. */
int sigframe_restore(struct task *t, guest_sigset_t *mask);

/* ---- guest/futex_queue.c ----------------------------------------------- */

struct futex_table *futex_table_create(void);
void futex_table_destroy(struct futex_table *ft);
/* Wake up to @nr waiters of a word; also used at exit. Number woken, -errno. */
int futex_wake(struct task *t, uint64_t addr, bool shared, int nr, uint32_t bits);
/* guest/robust.c: walk the robust list of an ending task. */
void futex_exit_robust(struct task *t);

/* ---- guest/itimer.c ---------------------------------------------------- */

struct itimer_service *itimer_service_create(struct guest *g);
void itimer_service_destroy(struct itimer_service *s);
/* guest->lock held: look again, as something was set. 0 or -EAGAIN. */
int itimer_service_poke(struct itimer_service *s);

uint64_t clock_ns(clockid_t clock);
/* guest/sys_time.c; lock held: processor time of one task, 0 before it begins. */
uint64_t task_cpu_ns(struct task *t);
/*
 * guest/posix_timer.c; guest->lock held. Fire what is due: nanoseconds until it
 * is worth another look. And: all timers of the process go.
 */
uint64_t posix_timers_check(struct proc *p);
unsigned int posix_timers_count(const struct proc *p);
void posix_timers_drop(struct proc *p);
/* The moment @delay from now, clipped so that it cannot overflow. */
struct timespec timespec_after(clockid_t clock, const struct timespec *delay);

/* ---- guest/exec.c, guest/exec_load.c ------------------------------------ */

struct exec_image;
/* Without a task: for the first process. */
int exec_prepare_first(struct guest *g, const char *path, char *const argv[], char *const envp[],
		       struct exec_image **out);
/* Give the new program to a task that has not started yet. */
void exec_install_first(struct task *t, struct exec_image *im);
void exec_image_free(struct exec_image *im);

/* ---- guest/oom.c ------------------------------------------------------- */

/* Called where a fault says FAULT_OOM, without locks. Returns to try again. */
void oom_kill(struct task *t);

/* Range of proc->oom_score_adj. */
#define OOM_SCORE_ADJ_MIN (-1000)
#define OOM_SCORE_ADJ_MAX 1000
/* All memory and swap of the guest. */
uint64_t oom_all_frames(const struct guest *g);
/*
 * Lock held. Frames, with oom_score_adj as thousandths of @all; INT64_MIN: only if there is
 * nobody else, or it has no memory.
 */
int64_t oom_score(struct proc *p, uint64_t all);

#endif
