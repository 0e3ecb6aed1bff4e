/* SPDX-License-Identifier: MIT */
#include "vmm/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/cmd.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* 0 if @path can be executed. */
static int program_check(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return access(path, X_OK) ? -errno : 0;
}

static int program_search(const char *name, char path[PATH_MAX])
{
	const char *dir = getenv("PATH");
	int rc, denied = 0;
	size_t len;

	if (!dir)
		dir = DEFAULT_PATH;
	for (;; dir += len + 1) {
		len = strcspn(dir, ":");
		/* An empty part of PATH is the working directory. */
		if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)len, dir, len ? "/" : "./", name) <
		    PATH_MAX) {
			rc = program_check(path);
			if (!rc)
				return 0;
			if (rc == -EACCES)
				denied = rc;
		}
		if (!dir[len])
			return denied ? denied : -ENOENT;
	}
}

int program_find(const char *name, char path[PATH_MAX], struct errmsg *e)
{
	int rc;

	if (!strchr(name, '/')) {
		rc = *name ? program_search(name, path) : -ENOENT;
		if (rc == -ENOENT)
			return errmsg_set(e, rc, "%s: command not found",
					  *name ? name : "'' (an empty name)");
	} else if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) {
		rc = -ENAMETOOLONG;
	} else {
		rc = program_check(path);
	}
	if (rc)
		errmsg_set(e, rc, "%s: %s", name, strerror(-rc));
	return rc;
}

int program_exit_status(int err)
{
	return err == -ENOENT || err == -ENOTDIR ? CMD_NOT_FOUND : CMD_NOT_EXECUTABLE;
}

int program_wait_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
