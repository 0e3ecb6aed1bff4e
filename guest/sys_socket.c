/* SPDX-License-Identifier: MIT */
/* Sockets: making and connecting them, their options and addresses. */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest/fs.h"
#include "guest/host_dir.h"
#include "guest/socket.h"
#include "guest/syscalls.h"

#define OPTION_MAX 4096

int task_socket(struct task *t, uint64_t fd, struct gfile **out)
{
	int r = task_gfile_io(t, fd, out);

	if (!r && (*out)->type != S_IFSOCK) {
		gfile_put(*out);
		r = -ENOTSOCK;
	}
	return r;
}

int64_t sock_interrupted(const struct gfile *g, int64_t r, int option)
{
	struct timeval limit = { 0 };
	socklen_t len = sizeof(limit);

	if (r != -EINTR)
		return r;
	if (g->type == S_IFSOCK && !getsockopt(g->host_fd, SOL_SOCKET, option, &limit, &len) &&
	    (limit.tv_sec || limit.tv_usec))
		return r;
	return -ERESTARTSYS_;
}

/* ---- addresses ------------------------------------------------------------------ */

/* The name of a Unix socket that is a file's; the others begin with a zero byte. */
static bool is_file_name(const struct sock_address *a)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;

	return a->sa.ss_family == AF_UNIX && a->len > offsetof(struct sockaddr_un, sun_path) &&
	       un->sun_path[0];
}

/* A relative name is seen from the guest's directory: that of this thread from now on. */
static int unix_name_from_cwd(struct task *t, struct sock_address *a)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;

	if (un->sun_path[0] == '/')
		return 0;
	a->cwd = fs_cwd(task_fs(t));
	return host_dir_enter(a->cwd->fd);
}

int sock_address_load(struct task *t, uint64_t user, uint64_t len, struct sock_address *a)
{
	int r = 0;

	memset(a, 0, sizeof(*a));
	if (len > sizeof(a->sa))
		return -EINVAL;
	if (len && copy_from_user(t, &a->sa, user, len))
		return -EFAULT;
	a->len = (socklen_t)len;
	/* Whose socket it is that has a name, one cannot know before. */
	if (is_file_name(a) && guest_config(task_guest(t))->no_net)
		r = -EACCES;
	else if (is_file_name(a))
		r = unix_name_from_cwd(t, a);
	if (r)
		sock_address_release(a);
	return r;
}

void sock_address_release(struct sock_address *a)
{
	fs_dir_put(a->cwd);
	a->cwd = NULL;
}

int sock_address_store(struct task *t, const struct sockaddr_storage *sa, socklen_t len,
		       uint64_t user, uint64_t user_len)
{
	int32_t room;

	if (copy_from_user(t, &room, user_len, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if ((socklen_t)room > len)
		room = (int32_t)len;
	if (room && copy_to_user(t, user, sa, (size_t)room))
		return -EFAULT;
	return copy_to_user(t, user_len, &len, sizeof(len)) ? -EFAULT : 0;
}

/* ---- making ---------------------------------------------------------------------- */

/*
 * Without a network there are only families whose sockets end in the guest's own network
 * namespace; vsock, Bluetooth and the like know none.
 */
static bool family_allowed(struct task *t, uint64_t family)
{
	return !guest_config(task_guest(t))->no_net || (int)family == AF_UNIX ||
	       (int)family == AF_INET || (int)family == AF_INET6 || (int)family == AF_NETLINK;
}

int64_t sys_socket(struct task *t, const uint64_t a[6])
{
	int fd;

	if (!family_allowed(t, a[0]))
		return -EAFNOSUPPORT;
	fd = socket((int)a[0], (int)a[1] | SOCK_CLOEXEC, (int)a[2]);

	return fd < 0 ? -errno : files_install_host(t, fd, a[1] & SOCK_CLOEXEC);
}

int64_t sys_socketpair(struct task *t, const uint64_t a[6])
{
	int fds[2];

	if (!family_allowed(t, a[0]))
		return -EAFNOSUPPORT;
	if (socketpair((int)a[0], (int)a[1] | SOCK_CLOEXEC, (int)a[2], fds))
		return -errno;
	return files_install_host_pair(t, fds, a[1] & SOCK_CLOEXEC, a[3]);
}

/* bind() of a Unix name makes a file: with the guest's umask. */
static void mask_unix_name(struct task *t, const struct sock_address *addr)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->sa;

	if (is_file_name(addr))
		fchmodat(AT_FDCWD, un->sun_path, 0777 & ~fs_umask(task_fs(t)), 0);
}

int64_t sys_bind(struct task *t, const uint64_t a[6])
{
	struct sock_address addr;
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = sock_address_load(t, a[1], (unsigned int)a[2], &addr);
	if (!r) {
		r = bind(g->host_fd, (struct sockaddr *)&addr.sa, addr.len) ? -errno : 0;
		if (!r)
			mask_unix_name(t, &addr);
		sock_address_release(&addr);
	}
	gfile_put(g);
	return r;
}

int64_t sys_connect(struct task *t, const uint64_t a[6])
{
	struct sock_address addr;
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = sock_address_load(t, a[1], (unsigned int)a[2], &addr);
	if (!r) {
		r = host_syscall_blocking(t, SYS_connect, (uint64_t)g->host_fd, (uint64_t)&addr.sa,
					  addr.len, 0, 0, 0);
		sock_address_release(&addr);
	}
	r = sock_interrupted(g, r, SO_SNDTIMEO);
	gfile_put(g);
	return r;
}

int64_t sys_listen(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = listen(g->host_fd, (int)a[1]) ? -errno : 0;
	gfile_put(g);
	return r;
}

int64_t sys_accept4(struct task *t, const uint64_t a[6])
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct gfile *g, *fresh;
	int64_t r;
	int fd;

	if (a[3] & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	r = task_socket(t, a[0], &g);
	if (r)
		return r;
	fd = files_reserve(t, 0);
	if (fd < 0) {
		gfile_put(g);
		return fd;
	}
	r = host_syscall_blocking(t, SYS_accept4, (uint64_t)g->host_fd, (uint64_t)&sa,
				  (uint64_t)&len, a[3] | SOCK_CLOEXEC, 0, 0);
	r = sock_interrupted(g, r, SO_RCVTIMEO);
	gfile_put(g);
	if (r >= 0)
		r = gfile_create(guest_filemaps(task_guest(t)), (int)r, -1, &fresh);
	if (!r && a[1]) {
		r = sock_address_store(t, &sa, len, a[1], a[2]);
		if (r)
			gfile_put(fresh);
	}
	if (r) {
		files_unreserve(task_files(t), fd);
		return r;
	}
	files_publish(task_files(t), fd, fresh, a[3] & SOCK_CLOEXEC);
	return fd;
}

int64_t sys_accept(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = { a[0], a[1], a[2], 0 };

	return sys_accept4(t, b);
}

int64_t sys_shutdown(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = shutdown(g->host_fd, (int)a[1]) ? -errno : 0;
	gfile_put(g);
	return r;
}

/* ---- names ------------------------------------------------------------------------ */

static int64_t socket_name(struct task *t, const uint64_t a[6],
			   int (*ask)(int fd, struct sockaddr *sa, socklen_t *len))
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	r = ask(g->host_fd, (struct sockaddr *)&sa, &len) ? -errno : 0;
	gfile_put(g);
	return r ? r : sock_address_store(t, &sa, len, a[1], a[2]);
}

static int ask_sockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getsockname(fd, sa, len);
}

static int ask_peername(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getpeername(fd, sa, len);
}

int64_t sys_getsockname(struct task *t, const uint64_t a[6])
{
	return socket_name(t, a, ask_sockname);
}

int64_t sys_getpeername(struct task *t, const uint64_t a[6])
{
	return socket_name(t, a, ask_peername);
}

/* ---- options ----------------------------------------------------------------------- */

/* Newer than the headers we build with. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif

/*
 * Only options whose value is plain data may reach the host: where the value
 * holds a pointer or a descriptor, the host would take it for one of the VMM's.
 */
static bool option_is_plain(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		/* Descriptors for processes: all of the guest's are one to the host. */
		if (name == SO_PASSPIDFD || name == SO_PEERPIDFD)
			return false;
		return name != SO_ATTACH_FILTER && name != SO_ATTACH_BPF &&
		       name != SO_ATTACH_REUSEPORT_CBPF && name != SO_ATTACH_REUSEPORT_EBPF;
	case IPPROTO_IP:
	case IPPROTO_IPV6:
		return name < 64; /* from there on: netfilter's tables */
	case IPPROTO_TCP:
		return name != 35; /* TCP_ZEROCOPY_RECEIVE */
	case IPPROTO_UDP:
	case SOL_NETLINK:
		return true;
	default:
		return false;
	}
}

int64_t sys_setsockopt(struct task *t, const uint64_t a[6])
{
	char value[OPTION_MAX];
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	if ((int)a[4] < 0 || a[4] > sizeof(value))
		r = -EINVAL;
	else if (!option_is_plain((int)a[1], (int)a[2]))
		r = -ENOPROTOOPT;
	else if (a[4] && copy_from_user(t, value, a[3], a[4]))
		r = -EFAULT;
	else if (setsockopt(g->host_fd, (int)a[1], (int)a[2], value, (socklen_t)a[4]))
		r = -errno;
	gfile_put(g);
	return r;
}

/*
 * SO_PEERCRED in @value, of @len bytes: the host tells of its own processes. One that the guest does
 * not see is 0, as in a pid namespace; so is one of the guest that is not known to have made the pair.
 */
static void translate_peer(const struct gfile *g, char *value, socklen_t len)
{
	int32_t pid;

	if (len < sizeof(pid))
		return;
	memcpy(&pid, value, sizeof(pid));
	pid = pid == getpid() ? g->pair_pid : 0;
	memcpy(value, &pid, sizeof(pid));
}

int64_t sys_getsockopt(struct task *t, const uint64_t a[6])
{
	char value[OPTION_MAX];
	socklen_t len;
	struct gfile *g;
	int64_t r = task_socket(t, a[0], &g);

	if (r)
		return r;
	if (copy_from_user(t, &len, a[4], sizeof(len)))
		r = -EFAULT;
	else if ((int)len < 0)
		r = -EINVAL;
	else if (!option_is_plain((int)a[1], (int)a[2]))
		r = -ENOPROTOOPT;
	if (r)
		goto out;
	len = len < sizeof(value) ? len : sizeof(value);
	if (getsockopt(g->host_fd, (int)a[1], (int)a[2], value, &len))
		r = -errno;
	if (!r && (int)a[1] == SOL_SOCKET && (int)a[2] == SO_PEERCRED)
		translate_peer(g, value, len);
	if (!r && (copy_to_user(t, a[3], value, len) || copy_to_user(t, a[4], &len, sizeof(len))))
		r = -EFAULT;
out:
	gfile_put(g);
	return r;
}
