/* SPDX-License-Identifier: MIT */
/* Changing who one is, and what one may do then. Needs to begin as root. */
#include <grp.h>
#include <pthread.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "progs.h"

#define OTHER 4242

static void show_ids(const char *what)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	getresuid(&r, &e, &s);
	getresgid(&rg, &eg, &sg);
	printf("%s: uid %u %u %u gid %u %u %u, %d groups\n", what, r, e, s, rg, eg, sg,
	       getgroups(0, NULL));
}

static void show_status(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4) ||
		    !strncmp(line, "Cap", 3))
			fputs(line, stdout);
	if (f)
		fclose(f);
}

/* Its own files, when it has become somebody else: they are root's then. */
static void show_dumpable(const char *what)
{
	static const char *const names[] = { "environ", "maps",    "status",        "fd",
					     "exe",     "pagemap", "oom_score_adj", "fdinfo" };
	char path[64];
	int fd;

	SHOW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	printf("%s may read", what);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", names[i]);
		fd = open(path, O_RDONLY);
		printf(" %s: %s,", names[i], fd < 0 ? strerrorname_np(errno) : "yes");
		close(fd);
	}
	printf("\n");
}

static void child_dumpable(void)
{
	int death = 99;

	SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
	SHOW(setgroups(0, NULL));
	SHOW(setresuid(-1, -1, -1));
	show_dumpable("unchanged");
	SHOW(setresuid(OTHER, -1, -1));
	show_dumpable("real only");
	SHOW(setresuid(-1, OTHER, -1));
	show_dumpable("effective");
	SHOW(prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0));
	printf("told of the parent's death by %d\n", death);
	SHOW(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	show_dumpable("as it likes");
	SHOW(setresuid(-1, 0, -1));
	SHOW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	SHOW(setresgid(-1, OTHER, -1));
	SHOW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	syscall(SYS_setfsuid, OTHER);
	SHOW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0));
	child_exit(0);
}

static void *in_thread(void *arg)
{
	(void)arg;
	show_ids("in another thread");
	return NULL;
}

static void child_drops(void)
{
	gid_t groups[2] = { OTHER + 1, OTHER + 2 };
	char line[4];
	pthread_t thread;
	int fd;

	SHOW(setgroups(2, groups));
	SHOW(setgid(OTHER));
	SHOW(setuid(OTHER));
	show_ids("dropped");
	show_status();
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	SHOW(setuid(0));
	SHOW(setgroups(2, groups));
	SHOW(open("secret", O_RDONLY));
	SHOW(access("secret", R_OK));
	fd = open("open.to.all", O_RDWR | O_CREAT, 0644);
	printf("new file: %s\n", fd < 0 ? strerrorname_np(errno) : "made");
	fd = open("common/mine", O_RDWR | O_CREAT, 0644);
	printf("in the common folder: %s\n", fd < 0 ? strerrorname_np(errno) : "made");
	SHOW(kill(getppid(), SIGUSR1));
	SHOW(kill(getpid(), 0));
	SHOW(process_vm_readv(getppid(), &(struct iovec){ line, 4 }, 1, &(struct iovec){ line, 4 },
			      1, 0));
	SHOW(chown("common/mine", 0, 0));
	/* Memory goes on to be had. */
	memset(malloc(1 << 22), 1, 1 << 22);
	child_exit(0);
}

static void child_effective(void)
{
	SHOW(seteuid(OTHER));
	show_ids("effective only");
	SHOW(open("secret", O_RDONLY));
	SHOW(seteuid(0));
	SHOW(open("secret", O_RDONLY) >= 0);
	SHOW(setresuid(1, 2, 3));
	SHOW(setresuid(-1, 3, -1));
	show_ids("three");
	child_exit(0);
}

static void child_capabilities(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	SHOW(syscall(SYS_capget, &h, d));
	d[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
	SHOW(syscall(SYS_capset, &h, d));
	show_status();
	SHOW(chmod("common/theirs", 0));
	SHOW(open("common/theirs", O_RDONLY));
	h.pid = getppid();
	SHOW(syscall(SYS_capset, &h, d));
	SHOW(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_READ, 200, 0, 0, 0));
	h.pid = 0;
	d[0].inheritable |= 1u << CAP_KILL;
	SHOW(syscall(SYS_capset, &h, d));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	show_status();
	child_exit(0);
}

/* It is capabilities that count, not who one is. */
static void child_keeps(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	gid_t groups[2] = { OTHER + 1, OTHER + 2 };
	char line[4];
	struct iovec here = { line, 4 };

	SHOW(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	SHOW(setresuid(OTHER, OTHER, OTHER));
	SHOW(setgroups(2, groups));
	SHOW(kill(getppid(), 0));
	SHOW(syscall(SYS_capget, &h, d));
	d[0].effective = 1u << CAP_SETGID | 1u << CAP_KILL | 1u << CAP_SYS_PTRACE;
	SHOW(syscall(SYS_capset, &h, d));
	SHOW(setgroups(2, groups));
	SHOW(setgroups(1 << 20, groups));
	SHOW(kill(getppid(), 0));
	SHOW(process_vm_readv(getppid(), &here, 1, &here, 1, 0));
	show_ids("kept");
	child_exit(0);
}

/* Nothing kept outlives exec but what is ambient. */
static void child_keeps_exec(char **argv, bool ambient)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	char *again[] = { argv[0], "show", NULL };

	SHOW(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	SHOW(setresuid(OTHER, OTHER, OTHER));
	SHOW(syscall(SYS_capget, &h, d));
	d[0].effective = d[0].permitted;
	d[1].effective = d[1].permitted;
	d[0].inheritable |= 1u << CAP_IPC_LOCK;
	SHOW(syscall(SYS_capset, &h, d));
	if (ambient)
		SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_IPC_LOCK, 0, 0));
	show_status();
	fflush(stdout);
	execv("/proc/self/exe", again);
	perror("execv");
	_exit(9);
}

/* Nor does being root help who gave them up. */
static void child_gives_up(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };
	gid_t group = OTHER;

	SHOW(syscall(SYS_capset, &h, d));
	SHOW(setgroups(1, &group));
	SHOW(setgroups(1 << 20, &group));
	SHOW(kill(getppid(), 0));
	child_exit(0);
}

static void child_exec(char **argv)
{
	char *again[] = { argv[0], "show", NULL };

	SHOW(setresuid(OTHER, 0, OTHER));
	fflush(stdout);
	execv("/proc/self/exe", again);
	perror("execv");
	_exit(9);
}

int main(int argc, char **argv)
{
	pid_t pid;
	int i;

	if (argc > 1) {
		show_ids("after exec");
		show_status();
		SHOW(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
		return 0;
	}
	umask(022);
	close(open("secret", O_RDWR | O_CREAT, 0600));
	mkdir("common", 0777);
	chmod("common", 0777);
	close(open("common/theirs", O_RDWR | O_CREAT, 0600));
	chown("common/theirs", OTHER, OTHER);
	chmod(".", 0755);
	for (i = 0; i < 9; i++) {
		pid = fork_flushed();
		if (!pid && i == 0)
			child_drops();
		if (!pid && i == 1)
			child_effective();
		if (!pid && i == 2)
			child_capabilities();
		if (!pid && i == 3)
			child_keeps();
		if (!pid && i == 4)
			child_gives_up();
		if (!pid && i < 7 && i > 4)
			child_keeps_exec(argv, i == 6);
		if (!pid && i == 7)
			child_dumpable();
		if (!pid)
			child_exec(argv);
		show_child("child", pid);
	}
	show_ids("at the end");
	return 0;
}
