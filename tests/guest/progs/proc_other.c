/* SPDX-License-Identifier: MIT */
/*
 * What /proc tells one process of another, line by line, where the two differ in all that can be
 * set: an answer that is the asker's own, or umm's, differs from the native one. Begins as root.
 */
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "progs.h"

static pid_t target, thread_id;
static int tell[2];
static bool is_zombie;

/* Lines that count what a run happened to do, or tell of the machine and not of the process. */
static bool is_ours(const char *line)
{
	static const char *const others[] = {
		"Vm",           "Rss",          "Hugetlb",   "Seccomp",      "Speculation",
		"Cpus_allowed", "Mems_allowed", "voluntary", "nonvoluntary", "x86_",
		"THP",          "Core",         "untag",
	};

	/* umm lets go of a zombie's signals when it ends, Linux when somebody has waited for it. */
	if (is_zombie && (!strncmp(line, "ShdPnd", 6) || !strncmp(line, "SigBlk", 6)))
		return false;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (!strncmp(line, others[i], strlen(others[i])))
			return false;
	return true;
}

/* Numbers of processes are told by role. */
static const char *role_of(long id)
{
	return id == getpid()    ? "asker"
	       : id == target    ? "target"
	       : id == thread_id ? "thread"
				 : "?";
}

static bool tells_ids(const char *line)
{
	static const char *const keys[] = { "Tgid", "Pid", "PPid", "NS" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (!strncmp(line, keys[i], strlen(keys[i])))
			return true;
	return false;
}

static void show_lines(const char *leaf)
{
	char name[64], line[512];
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/%s", target, leaf);
	leaf = strncmp(leaf, "task/", 5) ? leaf : "thread's status";
	file = fopen(name, "r");
	if (!file)
		printf("%s: %s\n", leaf, strerrorname_np(errno));
	while (file && fgets(line, sizeof(line), file)) {
		if (!is_ours(line))
			continue;
		if (tells_ids(line))
			printf("%s: %.*s %s\n", leaf, (int)strcspn(line, ":"), line,
			       role_of(strtol(strchr(line, ':') + 1, NULL, 10)));
		else if (!strncmp(line, "SigQ", 4)) /* all of the user's, and the limit */
			printf("%s: SigQ of %s", leaf, strchr(line, '/') + 1);
		else
			printf("%s: %s", leaf, line);
	}
	if (file)
		fclose(file);
}

/* The fields of stat that are settings; which, is told in proc(5) counting from 1. */
static void show_stat(const char *leaf)
{
	static const int fields[] = { 3, 7, 18, 19, 20, 31, 32, 33, 34, 52 };
	char name[64], text[2048], *field;
	int nr = 2;

	snprintf(name, sizeof(name), "/proc/%d/%s", target, leaf);
	leaf = strncmp(leaf, "task/", 5) ? leaf : "thread's stat";
	if (!file_get(name, text, sizeof(text)) || !strrchr(text, ')')) {
		printf("%s: nothing\n", leaf);
		return;
	}
	*strchr(text, '\n') = 0;
	for (field = strtok(strrchr(text, ')') + 1, " "); field; field = strtok(NULL, " ")) {
		nr++;
		for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
			if (fields[i] == nr && !(is_zombie && nr == 32))
				printf("%s: field %d is %s\n", leaf, nr, field);
	}
}

static void *other_thread(void *arg)
{
	sigset_t set;

	(void)arg;
	prctl(PR_SET_NAME, "second");
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGUSR2);
	thread_id = gettid();
	if (write(tell[1], &thread_id, sizeof(thread_id)) != sizeof(thread_id))
		_exit(1);
	for (;;)
		pause();
}

static void caught(int number)
{
	(void)number;
}

/* Different from its parent in all that it can be, then asleep. */
static void be_target(void)
{
	static const gid_t groups[] = { 77, 9, 4321, 12 };
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	pthread_t thread;
	sigset_t set;

	umask(0137);
	prctl(PR_SET_NAME, "the target");
	if (setgroups(4, groups) || dup2(0, 200) != 200 ||
	    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 300, 400 }) ||
	    setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 123, 456 }))
		perror("target");
	setpriority(PRIO_PROCESS, 0, 7);
	setpgid(0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGHUP, SIG_IGN);
	signal(SIGURG, caught);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	if (!file_put("/proc/self/oom_score_adj", "321") ||
	    prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0))
		perror("target");
	if (syscall(SYS_capget, &head, caps))
		perror("capget");
	caps[0].effective &= ~(1u << CAP_NET_RAW);
	caps[0].inheritable = 1u << CAP_CHOWN;
	if (syscall(SYS_capset, &head, caps) || setresgid(5, 6, 7))
		perror("capset");
	if (chdir("/usr") || pthread_create(&thread, NULL, other_thread, NULL))
		perror("chdir, pthread_create");
	for (;;)
		pause();
}

/* Until the thread has @state. */
static void await_state(pid_t thread, char state)
{
	char name[64], text[1024], *end;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/stat", target, thread);
	for (int i = 0; i < 2000; i++) {
		if (!file_get(name, text, sizeof(text)))
			return;
		end = strrchr(text, ')');
		if (end && end[2] == state)
			return;
		usleep(5000);
	}
	printf("no state %c\n", state);
}

static void show_capget(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3,
						 .pid = target };
	struct __user_cap_data_struct caps[2] = { 0 }, own[2] = { 0 };

	SHOW(syscall(SYS_capget, &head, caps));
	head.pid = 0;
	SHOW(syscall(SYS_capget, &head, own));
	printf("effective differs by %x, inheritable %x\n", caps[0].effective ^ own[0].effective,
	       caps[0].inheritable ^ own[0].inheritable);
}

static void show_names(void)
{
	static const char *const links[] = { "cwd", "exe", "root", "fd/200" };
	char name[64], text[512];

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/%d/%s", target, links[i]);
		n = readlink(name, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = 0;
		printf("%s: %s\n", links[i], strrchr(text, '/') ? strrchr(text, '/') : text);
	}
	snprintf(name, sizeof(name), "/proc/%d/comm", target);
	SHOW(file_put(name, "mine") ? 0 : -1);
	show_lines("comm");
}

/* A thread may be named by another of its process: "all" of the name but what does not fit. */
static void show_own_name(void)
{
	char text[64];

	SHOW(file_put("/proc/self/comm", "four") ? 0 : -1);
	prctl(PR_GET_NAME, text);
	printf("named %s\n", text);
	SHOW(file_put("/proc/thread-self/comm", "a name that is too long") ? 0 : -1);
	prctl(PR_GET_NAME, text);
	printf("named %s\n", text);
	SHOW(file_put("/proc/self/comm", "with a line\n") ? 0 : -1);
	SHOW(file_get("/proc/self/comm", text, sizeof(text)) ? 0 : -1);
	printf("comm: %s", text);
}

static void show_all(const char *what)
{
	char task[64];

	printf("---- %s\n", what);
	show_lines("status");
	show_lines("limits");
	show_lines("comm");
	show_lines("oom_score_adj");
	show_stat("stat");
	snprintf(task, sizeof(task), "task/%d/status", thread_id);
	if (!is_zombie) {
		show_lines(task);
		snprintf(task, sizeof(task), "task/%d/stat", thread_id);
		show_stat(task);
	}
	show_capget();
	show_names();
}

int main(void)
{
	int status;

	umask(022);
	if (pipe(tell) || setgroups(1, (gid_t[]){ 3 }))
		perror("set-up");
	target = fork_flushed();
	if (!target)
		be_target();
	if (read(tell[0], &thread_id, sizeof(thread_id)) != sizeof(thread_id))
		perror("target");
	await_state(thread_id, 'S');
	await_state(target, 'S');
	show_all("asleep");
	kill(target, SIGSTOP);
	waitpid(target, &status, WUNTRACED);
	await_state(target, 'T');
	show_lines("status");
	kill(target, SIGKILL);
	waitid(P_PID, (id_t)target, NULL, WEXITED | WNOWAIT);
	is_zombie = true;
	show_all("a zombie");
	SHOW(waitpid(target, &status, 0) == target);
	show_all("gone");
	show_own_name();
	return 0;
}
