/* SPDX-License-Identifier: MIT */
/*
 * The folders that tell about the guest: /proc and a part of /sys.
 *
 * A file is text made at the moment it is opened (and again when it is read from
 * the start), kept in a memfd, so that reading, seeking and sendfile need nothing
 * special. Names are canonical: absolute, normalised, with "self" and
 * "thread-self" replaced by numbers, e.g. "/proc/100/task/101/stat".
 *
 *	guest/procfs.c		the tree: which names there are, open, stat, readlink
 *	guest/procfs_path.c	from any name to a canonical one, or to the host's
 *	guest/procfs_dir.c	what a folder lists
 *	guest/procfs_rights.c	who may open what of another process
 *	guest/procfs_pid.c	status, stat, statm, cmdline, ... of a process
 *	guest/procfs_maps.c	maps, smaps, smaps_rollup, numa_maps
 *	guest/procfs_system.c	meminfo, stat, cpuinfo, ...
 *	guest/procfs_zone.c	zoneinfo
 *	guest/procfs_oom.c	oom_score_adj, oom_adj, oom_score
 *	guest/procfs_sysctl.c	/proc/sys/vm: what the memory manager has of it
 *	guest/procfs_sysctl_kept.c	... and what it has not
 *	guest/procfs_mqueue.c	sys/fs/mqueue
 *	guest/proc_io.h		what is no text: pagemap, mem, kpageflags, ...
 *	guest/sysfs.c		/sys/devices/system/{cpu,node}: the tree
 *	guest/sysfs_node.c	what stands in its files
 *	guest/sysfs_ksm.c	what stands in /sys/kernel/mm/ksm
 *	guest/sysfs_thp.c	what stands in /sys/kernel/mm/transparent_hugepage
 *	guest/sysfs_mempolicy.c	/sys/kernel/mm/mempolicy: the tree, and what stands in it
 */
#ifndef GUEST_PROCFS_H
#define GUEST_PROCFS_H

#include <dirent.h>

#include "guest/path.h"

/* What a name stands for. */
enum proc_type { PROC_NONE, PROC_DIR, PROC_FILE, PROC_LINK };

struct proc_name;
/* Write the file's text. 0 or -errno (-ESRCH: the process has gone). */
typedef int proc_show(struct task *t, const struct proc_name *n, FILE *out);

/* A write of all of @text. 0 or -errno. */
typedef int proc_store(struct task *t, const struct proc_name *n, const char *text);

/* A parsed canonical name. */
struct proc_name {
	enum proc_type type;
	mode_t mode;      /* permission bits */
	int32_t pid;      /* the process, 0: not about one */
	int32_t tid;      /* the thread: of a task/ name, else the pid */
	int number;       /* descriptor of fd/N, node of nodeN, cpu of cpuN; -1 */
	const char *leaf; /* last part, inside the string parsed */
	proc_show *show;  /* PROC_FILE */
	bool writable;    /* writes are taken, and have no effect without a store */
	bool traced;      /* only for who may trace the process, whatever the mode says */
	proc_store *store;
	const struct proc_io *io; /* no text: guest/proc_io.h, which has show and store its own way */
};

/* 0, or -ENOENT if the guest has no such file. */
int procfs_parse(struct task *t, const char *name, struct proc_name *out) UMM_MUST_CHECK;

/*
 * What absolute, normalised @name means. 0: @p is done (kind, host_dir, name);
 * 1: p->name is another absolute name, look at that; or -errno.
 */
int procfs_translate(struct task *t, const char *name, unsigned int flags,
		     struct gpath *p) UMM_MUST_CHECK;

int procfs_open(struct task *t, const char *name, int flags, struct gfile **out) UMM_MUST_CHECK;
/* What was written, as one text of at most a page. Bytes taken, or -errno. */
struct guest_iov;
int64_t procfs_write(struct task *t, struct gfile *g, const struct guest_iov *iov);
/* Read from the start again: the text as it is now. */
int procfs_refresh(struct task *t, struct gfile *g) UMM_MUST_CHECK;
int procfs_stat(struct task *t, const char *name, struct stat *st) UMM_MUST_CHECK;
/* Length of the link's text (not terminated), cut to @size, or -errno. */
ssize_t procfs_readlink(struct task *t, const char *name, char *buf, size_t size);
int procfs_access(struct task *t, const char *name, int mode) UMM_MUST_CHECK;

/*
 * Calls @fn for each entry of folder @name but "." and ".."; stops at non-zero
 * and returns that.
 */
typedef int proc_entry_fn(const char *name, unsigned char d_type, uint64_t ino, void *arg);
int procfs_list(struct task *t, const char *name, proc_entry_fn *fn, void *arg);
uint64_t procfs_inode(const char *name);

/* ---- guest/procfs_rights.c ------------------------------------------------ */

/* May the caller look into the process? 0, -EACCES; -ENOENT: it has gone. */
int procfs_may_trace(struct task *t, int32_t pid) UMM_MUST_CHECK;
/* The user and the group of what is told of a process; else root's. */
void procfs_owner(struct task *t, const struct proc_name *n, uid_t *uid, gid_t *gid);
/* As open() and access() ask: 0, -EACCES, -ENOENT. */
int procfs_may_open(struct task *t, const struct proc_name *n, int flags) UMM_MUST_CHECK;
int procfs_may_access(struct task *t, const struct proc_name *n, int mode) UMM_MUST_CHECK;

/* ---- tables of the parts -------------------------------------------------- */

#define PROC_TRACED 010000

struct proc_file {
	const char *name;
	proc_show *show;
	mode_t mode; /* permission bits, and PROC_TRACED: proc_name.traced */
	bool writable;
	proc_store *store; /* NULL: as proc_name says */
};
/* Tables of them end with a NULL name. 0 or -ENOENT. */
int proc_file_find(const struct proc_file *files, const char *leaf, struct proc_name *out);
int proc_files_list(const char *dir, const struct proc_file *files, proc_entry_fn *fn, void *arg);
extern const struct proc_file procfs_pid_files[];
extern const struct proc_file procfs_system_files[];
/* The same for sys/vm, the name below /proc; guest/procfs_sysctl.c. */
int procfs_sysctl_parse(const char *name, struct proc_name *out);
int procfs_sysctl_list(const char *dir, proc_entry_fn *fn, void *arg);
/* An absolute name of that folder: what is not ours is not there. */
bool procfs_sysctl_owns(const char *name);
/* The same for the part of guest/procfs_sysctl_kept.c; @leaf: below sys/vm. */
int procfs_sysctl_kept_parse(const char *leaf, struct proc_name *out);
int procfs_sysctl_kept_list(const char *dir, proc_entry_fn *fn, void *arg);
/* The number that @text begins with; -EINVAL. */
int procfs_parse_signed(const char *text, int64_t *value) UMM_MUST_CHECK;

proc_show procfs_show_maps, procfs_show_smaps, procfs_show_smaps_rollup, procfs_show_numa_maps;
proc_show procfs_show_zoneinfo;
proc_show procfs_show_oom_score, procfs_show_oom_score_adj, procfs_show_oom_adj;
proc_store procfs_store_oom_score_adj, procfs_store_oom_adj;
/* /proc/sys/fs/mqueue, by the name below /proc: 0 or -ENOENT. */
int procfs_mqueue_parse(const char *name, struct proc_name *n);

/* /sys: the part below the two folders; -ENOENT. */
int sysfs_parse(struct task *t, const char *name, struct proc_name *out);
int sysfs_list(struct task *t, const char *name, proc_entry_fn *fn, void *arg);
/*
 * A name that goes through a link between a node and its processors: where the
 * link leads, and what comes behind it ("" or "/...").
 */
bool sysfs_follow(struct task *t, const char *name, char target[64], const char **below);
ssize_t sysfs_readlink(struct task *t, const char *name, char *out, size_t size);
/* A node or processor that the guest has not; the host's is not to be seen. */
bool sysfs_hides(struct task *t, const char *name);
/* Folders of files. */
#define SYSFS_KSM_DIR "/sys/kernel/mm/ksm"
#define SYSFS_THP_DIR "/sys/kernel/mm/transparent_hugepage"
extern const struct proc_file sysfs_ksm_files[], sysfs_thp_files[];
/* The same as sysfs_parse() and _list() for this folder; @rest is what follows its name. */
#define SYSFS_MEMPOLICY_DIR "/sys/kernel/mm/mempolicy"
int sysfs_mempolicy_parse(struct task *t, const char *rest, struct proc_name *out);
int sysfs_mempolicy_list(struct task *t, const char *rest, proc_entry_fn *fn, void *arg);
/* And for /sys/kernel/mm/page_idle, in guest/proc_pages.c. */
#define SYSFS_PAGE_IDLE_DIR "/sys/kernel/mm/page_idle"
int sysfs_page_idle_parse(const char *rest, struct proc_name *out);
int sysfs_page_idle_list(proc_entry_fn *fn, void *arg);
extern const struct proc_file sysfs_cpu_files[], sysfs_one_cpu_files[];
extern const struct proc_file sysfs_node_files[], sysfs_one_node_files[];

/*
 * The host descriptor under an open folder of ours, or -errno: only to hold a number.
 * It must not be the host's /proc, from which names would lead on, and which a program
 * could send through a socket and get back as an ordinary folder.
 */
int procfs_dir_fd(void) UMM_MUST_CHECK;
/* Is the host's /proc/@leaf to be seen in the guest? Not for numbers and links. */
bool procfs_shows(struct task *t, const char *leaf);
/* Lines of a file of the host's /proc, copied as they are. */
int procfs_copy_host(const char *name, FILE *out);
/* CPUs that the guest is told it has. */
unsigned int procfs_nr_cpus(struct task *t);

#endif
