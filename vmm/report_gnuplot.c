/* SPDX-License-Identifier: MIT */
#include "vmm/report_gnuplot.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int gnuplot_run(const char *script, struct errmsg *e)
{
	char *argv[] = { "gnuplot", (char *)(uintptr_t)script, NULL };
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errmsg_set(e, -errno, "fork: %s", strerror(errno));
	if (!pid) {
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errmsg_set(e, -errno, "waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return errmsg_set(e, -ENOENT,
				  "there is no gnuplot (Debian: apt-get install gnuplot-nox); "
				  "the numbers are beside %s",
				  script);
	return status ? errmsg_set(e, -EIO, "gnuplot %s failed", script) : 0;
}
