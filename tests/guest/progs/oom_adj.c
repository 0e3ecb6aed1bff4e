/* SPDX-License-Identifier: MIT */
/* /proc/PID/oom_score_adj, oom_adj and oom_score: what they take, tell and hand on. */
#include <sys/wait.h>

#include "progs.h"

static long tell(const char *file)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	if (!file_get(path, text, sizeof(text)))
		printf("%s cannot be read\n", file);
	return strtol(text, NULL, 10);
}

static void put(const char *file, const char *text)
{
	const char *answer = "taken";
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	if (!file_put(path, text))
		answer = strerrorname_np(errno);
	printf("%s to %s: %s, oom_score_adj %ld, oom_adj %ld\n", text, file, answer,
	       tell("oom_score_adj"), tell("oom_adj"));
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
	char path[64], text[32];
	siginfo_t info;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(0);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	snprintf(path, sizeof(path), "/proc/%d/oom_score", pid);
	file_get(path, text, sizeof(text));
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
