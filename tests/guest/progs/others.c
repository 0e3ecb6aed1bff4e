/* SPDX-License-Identifier: MIT */
/* What a process may do to another user's, and what /proc shows it of that. Begins as root. */
#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "progs.h"

#define OTHER 4242

static pid_t target;
static char path[128], text[8192];

static const char *of(const char *leaf)
{
	snprintf(path, sizeof(path), "/proc/%d/%s", target, leaf);
	return path;
}

/* Opened, and a byte of it read. */
static void show_read(const char *leaf)
{
	int fd = open(of(leaf), O_RDONLY);

	if (fd < 0)
		printf("%s: %s\n", leaf, strerrorname_np(errno));
	else
		printf("%s: opened, %s\n", leaf, read(fd, text, sizeof(text)) > 0 ? "read" : "-");
	close(fd);
}

static void show_files(void)
{
	static const char *const leaves[] = {
		"environ", "maps", "smaps",     "smaps_rollup", "numa_maps", "pagemap",
		"mem",     "stat", "statm",     "status",       "comm",      "limits",
		"cmdline", "fd/9", "oom_score", "mounts",       "root/tmp",  "cwd/.",
	};
	static const char *const links[] = { "exe", "cwd", "root", "fd/9" };
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(leaves) / sizeof(*leaves); i++)
		show_read(leaves[i]);
	for (i = 0; i < sizeof(links) / sizeof(*links); i++) {
		SHOW(readlink(of(links[i]), text, sizeof(text)) > 0 ? 0 : -1);
		SHOW(stat(of(links[i]), &st));
	}
	SHOW(lstat(of("exe"), &st));
	SHOW(lstat(of("fd/9"), &st));
	SHOW(opendir(of("fd")) ? 0 : -1);
	SHOW(chdir(of("cwd")));
	SHOW(open(of("oom_score_adj"), O_WRONLY) < 0 ? -1 : 0);
	SHOW(open(of("comm"), O_WRONLY) < 0 ? -1 : 0);
	SHOW(open(of("clear_refs"), O_WRONLY) < 0 ? -1 : 0);
	SHOW(open(of("mem"), O_RDWR) < 0 ? -1 : 0);
	SHOW(access(of("oom_score_adj"), R_OK));
	SHOW(access(of("oom_score_adj"), W_OK));
	SHOW(access(of("environ"), R_OK));
	SHOW(access(of("maps"), R_OK));
	if (!stat(of("maps"), &st))
		printf("maps: uid %u gid %u mode %o\n", st.st_uid, st.st_gid, st.st_mode);
	if (!stat(of(""), &st))
		printf("folder: uid %u gid %u mode %o\n", st.st_uid, st.st_gid, st.st_mode);
}

/* What a group that is only one of the caller's may do. */
static void show_ipc(void)
{
	int shm = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0640);
	int msg = msgget(IPC_PRIVATE, IPC_CREAT | 0640);
	int sem = semget(IPC_PRIVATE, 1, IPC_CREAT | 0640);
	struct semid_ds sem_now;
	struct msqid_ds msg_now;
	struct shmid_ds shm_now;
	pid_t pid;

	if (shmctl(shm, IPC_STAT, &shm_now) || msgctl(msg, IPC_STAT, &msg_now) ||
	    semctl(sem, 0, IPC_STAT, &sem_now))
		perror("IPC_STAT");
	shm_now.shm_perm.gid = msg_now.msg_perm.gid = sem_now.sem_perm.gid = OTHER + 7;
	SHOW(shmctl(shm, IPC_SET, &shm_now));
	SHOW(msgctl(msg, IPC_SET, &msg_now));
	SHOW(semctl(sem, 0, IPC_SET, &sem_now));
	pid = fork_flushed();
	if (!pid) {
		gid_t groups[] = { OTHER + 6, OTHER + 7 };

		if (setgroups(2, groups) || setresgid(OTHER, OTHER, OTHER) ||
		    setresuid(OTHER, OTHER, OTHER))
			perror("become");
		SHOW(shmat(shm, NULL, SHM_RDONLY) == (void *)-1 ? -1 : 0);
		SHOW(shmat(shm, NULL, 0) == (void *)-1 ? -1 : 0);
		SHOW(msgrcv(msg, text, 8, 0, IPC_NOWAIT));
		SHOW(msgsnd(msg, &(long[2]){ 1 }, 8, IPC_NOWAIT));
		SHOW(semctl(sem, 0, GETVAL));
		SHOW(semctl(sem, 0, SETVAL, 1));
		child_exit(0);
	}
	show_child("one of its groups", pid);
	SHOW(shmctl(shm, IPC_RMID, NULL));
	SHOW(msgctl(msg, IPC_RMID, NULL));
	SHOW(semctl(sem, 0, IPC_RMID));
}

/* Settings of the machine: root's to change, and to look into. */
static void show_machine(void)
{
	SHOW(access("/sys/kernel/mm/ksm/run", W_OK));
	SHOW(access("/sys/kernel/mm/transparent_hugepage/enabled", W_OK));
	SHOW(open("/sys/kernel/mm/ksm/run", O_RDWR) < 0 ? -1 : 0);
	SHOW(open("/proc/sys/vm/overcommit_memory", O_WRONLY) < 0 ? -1 : 0);
	SHOW(open("/proc/sys/vm/overcommit_memory", O_RDONLY) < 0 ? -1 : 0);
	SHOW(open("/proc/sys/fs/mqueue/msg_max", O_WRONLY) < 0 ? -1 : 0);
	SHOW(open("/proc/kpageflags", O_RDONLY) < 0 ? -1 : 0);
}

static void show_calls(void)
{
	struct iovec here = { text, 8 }, there = { text, 8 };
	int fd = (int)syscall(SYS_pidfd_open, target, 0), status = 0;
	struct sched_param param = { 0 };
	unsigned long node = 1;
	void *page = text;
	struct rlimit limit;
	void *list;
	size_t size;
	cpu_set_t cpus;

	SHOW(kill(target, 0));
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
	SHOW(prlimit(target, RLIMIT_CORE, NULL, &limit));
	SHOW(prlimit(target, RLIMIT_CORE, &(struct rlimit){ 0, 0 }, NULL));
	SHOW(sched_getaffinity(target, sizeof(cpus), &cpus));
	SHOW(sched_setaffinity(target, sizeof(cpus), &cpus));
	SHOW(sched_getscheduler(target));
	SHOW(sched_setscheduler(target, SCHED_OTHER, &param));
	SHOW(sched_setparam(target, &param));
	SHOW(getpriority(PRIO_PROCESS, (id_t)target));
	SHOW(setpriority(PRIO_PROCESS, (id_t)target, 3));
	SHOW(getpriority(PRIO_PROCESS, (id_t)target));
	SHOW(process_vm_readv(target, &here, 1, &there, 1, 0));
	SHOW(syscall(SYS_move_pages, target, 1, &page, NULL, &status, 0));
	SHOW(syscall(SYS_migrate_pages, target, 64, &node, &node));
	SHOW(syscall(SYS_get_robust_list, target, &list, &size));
	SHOW(syscall(SYS_pidfd_getfd, fd, 9, 0) < 0 ? -1 : 0);
	close(fd);
}

static void become(uid_t uid)
{
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		perror("become");
	/* Else not even its own files below /proc are its own. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void round_of(const char *what, uid_t uid, uid_t target_uid)
{
	int go[2], status;
	char c;
	pid_t pid;

	printf("---- %s\n", what);
	if (pipe(go))
		perror("pipe");
	target = fork_flushed();
	if (!target) {
		if (target_uid)
			become(target_uid);
		if (write(go[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(go[0], &c, 1) != 1)
		perror("target");
	pid = fork_flushed();
	if (!pid) {
		if (uid)
			become(uid);
		show_machine();
		show_files();
		show_calls();
		child_exit(0);
	}
	waitpid(pid, &status, 0);
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	int fd = open("secret.of.root", O_RDWR | O_CREAT, 0600);

	if (fd < 0 || write(fd, "secret", 6) != 6 || dup2(fd, 9) != 9)
		perror("secret.of.root");
	fcntl(9, F_SETFD, FD_CLOEXEC);
	round_of("another user looks at root", OTHER, 0);
	round_of("a user looks at another", OTHER, OTHER + 1);
	round_of("a user looks at a process of its own", OTHER, OTHER);
	round_of("root looks at a user", 0, OTHER);
	show_ipc();
	return 0;
}
