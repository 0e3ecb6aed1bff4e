/* SPDX-License-Identifier: MIT */
/* /proc/PID/oom_score_adj, oom_adj and oom_score: what they take, tell and hand on. */
#include <sys/wait.h>

#include "progs.h"

static long tell(const char *file)
{
	char path[64], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		printf("%s cannot be read: %s\n", file, strerrorname_np(errno));
	close(fd);
	return strtol(text, NULL, 10);
}

static void put(const char *file, const char *text)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	fd = open(path, O_WRONLY);
	errno = 0;
	n = write(fd, text, strlen(text));
	printf("%s to %s: %s, oom_score_adj %ld, oom_adj %ld\n", text, file,
	       n < 0 ? strerrorname_np(errno) : "taken", tell("oom_score_adj"), tell("oom_adj"));
	close(fd);
}

static void test_order(void)
{
	long low, middle, high;

	put("oom_score_adj", "-1000");
	/* That takes a privilege, which even root may lack. */
	if (tell("oom_score_adj") == -1000)
		printf("spared: oom_score %ld\n", tell("oom_score"));
	put("oom_score_adj", "-500");
	low = tell("oom_score");
	put("oom_score_adj", "0");
	middle = tell("oom_score");
	put("oom_score_adj", "1000");
	high = tell("oom_score");
	printf("scores are in order: %d, and in range: %d\n", low < middle && middle < high,
	       low >= 300 && middle >= 600 && high >= 1300 && high <= 2000);
}

static void in_child(const char *value)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		printf("child: oom_score_adj %ld\n", tell("oom_score_adj"));
		put("oom_score_adj", value);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("child: %d\n", status);
}

/* It has no memory any more, but its files are still there. */
static void test_zombie(void)
{
	char path[64], text[32] = "";
	siginfo_t info;
	pid_t pid;
	int fd;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(0);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	snprintf(path, sizeof(path), "/proc/%d/oom_score", pid);
	fd = open(path, O_RDONLY);
	read(fd, text, sizeof(text) - 1);
	close(fd);
	printf("zombie: oom_score %s", text);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	static const char *const wrong[] = { "1001", "-1001", "", "x", "5x", "99999999999999" };
	size_t i;

	put("oom_score_adj", "77");
	put("oom_score_adj", " 78\n");
	put("oom_score_adj", "0x10");
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		put("oom_score_adj", wrong[i]);
	put("oom_adj", "15");
	put("oom_adj", "-17");
	put("oom_adj", "8");
	put("oom_adj", "16");
	put("oom_adj", "-18");
	test_order();
	put("oom_score_adj", "300");
	in_child("-400");
	in_child("100");
	test_zombie();
	return 0;
}
