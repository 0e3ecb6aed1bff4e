/* SPDX-License-Identifier: MIT */
/*
 * A guest is found by the file NAME.sock in a directory that only its user can
 * enter. The file outlives a guest that was killed; whoever meets such a file
 * removes it. Making and removing are done under a lock on the directory, so
 * that nobody removes the file that another has just made in its place.
 */
#include "vmm/names.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SUFFIX         ".sock"
#define SOCKET_BACKLOG 16

static bool name_char_ok(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-' || c == '+';
}

int guest_name_check(const char *name, struct errmsg *e)
{
	const char *p;

	if (!*name)
		return errmsg_set(e, -EINVAL, "a guest's name cannot be empty");
	if (strlen(name) > GUEST_NAME_MAX)
		return errmsg_set(e, -EINVAL, "'%.20s...' is longer than %d characters", name,
				  GUEST_NAME_MAX);
	if (*name == '.' || *name == '-')
		return errmsg_set(e, -EINVAL, "'%s' must not start with '%c'", name, *name);
	for (p = name; *p; p++)
		if (!name_char_ok(*p))
			return errmsg_set(
				e, -EINVAL,
				"'%s' may hold only letters, digits and '.', '_', '-', '+'", name);
	return 0;
}

void guest_name_from_program(const char *program, char name[GUEST_NAME_MAX + 1])
{
	const char *base = strrchr(program, '/');
	char *p;

	base = base ? base + 1 : program;
	/* Leaves room for "-PID", should the name be taken. */
	snprintf(name, GUEST_NAME_MAX + 1, "%.48s", *base ? base : "guest");
	for (p = name; *p; p++)
		if (!name_char_ok(*p) || (p == name && (*p == '.' || *p == '-')))
			*p = '_';
}

/* ---- the directory ------------------------------------------------------ */

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static void runtime_dir_path(char path[PATH_MAX])
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	unsigned int uid = geteuid();
	char run[64];

	snprintf(run, sizeof(run), "/run/user/%u", uid);
	if (xdg && *xdg == '/' && strlen(xdg) < PATH_MAX - 8 && is_directory(xdg))
		snprintf(path, PATH_MAX, "%s/umm", xdg);
	else if (is_directory(run) && !access(run, W_OK))
		snprintf(path, PATH_MAX, "%s/umm", run);
	else
		snprintf(path, PATH_MAX, "/tmp/umm-%u", uid);
}

static int runtime_dir_check(int fd, const char *path, struct errmsg *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return errmsg_set(e, -errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return errmsg_set(e, -EPERM,
				  "%s belongs to user %u, not to you; remove it or set "
				  "XDG_RUNTIME_DIR to a directory of yours",
				  path, st.st_uid);
	if (st.st_mode & 077)
		return errmsg_set(e, -EPERM,
				  "%s can be entered by others (mode %03o); chmod 700 it, or "
				  "remove it",
				  path, st.st_mode & 0777);
	return 0;
}

int runtime_dir_open(bool create, struct errmsg *e)
{
	char path[PATH_MAX];
	int fd, rc;

	runtime_dir_path(path);
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return errmsg_set(e, -errno,
				  "cannot make the directory %s for control sockets: %s; set "
				  "XDG_RUNTIME_DIR to a directory of yours",
				  path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errmsg_set(e, -errno, "cannot open the directory %s of control sockets: %s",
				  path, strerror(errno));
	rc = runtime_dir_check(fd, path, e);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The guest's name if @file is a socket's, cut to its length in *len. */
static bool socket_name(const char *file, size_t *len)
{
	size_t n = strlen(file);

	if (n <= strlen(SUFFIX) || strcmp(file + n - strlen(SUFFIX), SUFFIX))
		return false;
	*len = n - strlen(SUFFIX);
	return *len <= GUEST_NAME_MAX;
}

static int list_add(char ***names, unsigned int *nr, const char *name, size_t len)
{
	char **grown = realloc(*names, (*nr + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*names = grown;
	grown[*nr] = strndup(name, len);
	if (!grown[*nr])
		return -ENOMEM;
	(*nr)++;
	return 0;
}

void runtime_names_free(char **names, unsigned int nr)
{
	while (nr)
		free(names[--nr]);
	free(names);
}

int runtime_dir_list(int dirfd, char ***names, unsigned int *nr)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct dirent *d;
	size_t len;
	DIR *dir;

	*names = NULL;
	*nr = 0;
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while (!rc && (d = readdir(dir)))
		if (socket_name(d->d_name, &len))
			rc = list_add(names, nr, d->d_name, len);
	closedir(dir);
	if (rc) {
		runtime_names_free(*names, *nr);
		return rc;
	}
	if (*nr)
		qsort(*names, *nr, sizeof(**names), name_compare);
	return 0;
}

/* ---- sockets ------------------------------------------------------------ */

/*
 * A socket's address holds 107 characters, a runtime directory may be longer:
 * the way through /proc/self/fd is always short.
 */
static void socket_address(int dirfd, const char *name, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s" SUFFIX, dirfd, name);
}

void runtime_socket_remove(int dirfd, const char *name)
{
	char file[GUEST_NAME_MAX + sizeof(SUFFIX)];

	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	unlinkat(dirfd, file, 0);
}

/* A descriptor; -ECONNREFUSED: the file is there and nobody listens. */
static int socket_try_connect(int dirfd, const char *name)
{
	struct sockaddr_un sa;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	socket_address(dirfd, name, &sa);
	do {
		rc = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) ? -errno : 0;
	} while (rc == -EINTR);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

/* Directory lock held. True if the file was a dead guest's, and is gone now. */
static bool remove_if_dead_locked(int dirfd, const char *name)
{
	int fd = socket_try_connect(dirfd, name);

	if (fd >= 0) {
		close(fd);
		return false;
	}
	if (fd != -ECONNREFUSED)
		return false;
	runtime_socket_remove(dirfd, name);
	return true;
}

static int socket_bind_locked(int dirfd, int fd, const char *name)
{
	struct sockaddr_un sa;

	socket_address(dirfd, name, &sa);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		if (errno != EADDRINUSE || !remove_if_dead_locked(dirfd, name))
			return -errno;
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
			return -errno;
	}
	return listen(fd, SOCKET_BACKLOG) ? -errno : 0;
}

int runtime_socket_listen(int dirfd, const char *name, struct errmsg *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return errmsg_set(e, -errno, "cannot make a control socket: %s", strerror(errno));
	/* The file inherits the mode of the socket: there is no moment with another. */
	if (fchmod(fd, 0600) || flock(dirfd, LOCK_EX)) {
		rc = -errno;
		close(fd);
		return errmsg_set(e, rc, "cannot prepare the control socket: %s", strerror(-rc));
	}
	rc = socket_bind_locked(dirfd, fd, name);
	flock(dirfd, LOCK_UN);
	if (!rc)
		return fd;
	close(fd);
	if (rc == -EADDRINUSE)
		return errmsg_set(e, rc, "a guest named '%s' is running; choose another --name",
				  name);
	return errmsg_set(e, rc, "cannot make the control socket of '%s': %s", name, strerror(-rc));
}

int runtime_socket_connect(int dirfd, const char *name, struct errmsg *e)
{
	int fd = socket_try_connect(dirfd, name);

	if (fd >= 0)
		return fd;
	if (fd == -ECONNREFUSED && !flock(dirfd, LOCK_EX)) {
		remove_if_dead_locked(dirfd, name);
		flock(dirfd, LOCK_UN);
		fd = -ENOENT;
	}
	if (fd == -ENOENT)
		return errmsg_set(e, fd, "no running guest is named '%s'", name);
	return errmsg_set(e, fd, "cannot reach guest '%s': %s", name, strerror(-fd));
}
