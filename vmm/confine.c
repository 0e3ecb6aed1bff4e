/* SPDX-License-Identifier: MIT */
#include "vmm/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/host_dir.h"

bool confine_files(const struct run_options *o)
{
	return o->root[0] || o->ro || o->tmp;
}

bool confine_wanted(const struct run_options *o)
{
	return confine_files(o) || o->no_net;
}

/* ---- capabilities --------------------------------------------------------- */

#define CAP_BIT(cap) (1ull << (cap))

/* What is about files and processes of the guest; the others are about the machine. */
#define CAPS_KEPT                                                                        \
	(CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) | \
	 CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_NET_BIND_SERVICE) |     \
	 CAP_BIT(CAP_NET_RAW) | CAP_BIT(CAP_IPC_LOCK) | CAP_BIT(CAP_SYS_NICE) |          \
	 CAP_BIT(CAP_SYS_RESOURCE) | CAP_BIT(CAP_LEASE) | CAP_BIT(CAP_SETUID) |          \
	 CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETPCAP))

/* Effective, permitted and inheritable sets of the calling thread, 32 bits at a time. */
static int caps_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, data) ? -errno : 0;
}

static bool caps_have(unsigned int cap)
{
	struct __user_cap_data_struct data[2];

	return !caps_get(data) && (data[cap / 32].effective >> cap % 32 & 1);
}

static int caps_drop(struct errmsg *e)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int rc = caps_get(data);

	for (unsigned int i = 0; i < 2; i++) {
		uint32_t kept = (uint32_t)(CAPS_KEPT >> 32 * i);

		data[i].effective &= kept;
		data[i].permitted &= kept;
		data[i].inheritable &= kept;
	}
	if (!rc && syscall(SYS_capset, &header, data))
		rc = -errno;
	return rc ? errmsg_set(e, rc, "cannot drop capabilities: %s", strerror(-rc)) : 0;
}

/* ---- the user namespace ------------------------------------------------------ */

static int write_proc(const char *name, const char *text)
{
	int fd = host_proc_open(name, O_WRONLY), rc = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		rc = -errno;
	close(fd);
	return rc;
}

/* Ours, with the same numbers for user and group; all others are nobody's. */
static int enter_user_namespace(struct errmsg *e)
{
	char uid[64], gid[64];
	int rc;

	snprintf(uid, sizeof(uid), "%u %u 1", geteuid(), geteuid());
	snprintf(gid, sizeof(gid), "%u %u 1", getegid(), getegid());
	rc = unshare(CLONE_NEWUSER) ? -errno : 0;
	if (!rc)
		rc = write_proc("self/uid_map", uid);
	if (!rc)
		rc = write_proc("self/setgroups", "deny");
	if (!rc)
		rc = write_proc("self/gid_map", gid);
	return rc ? errmsg_set(e, rc,
			       "--root, --ro, --tmp and --no-net need root (CAP_SYS_ADMIN), or a "
			       "host that lets users make namespaces: %s",
			       strerror(-rc))
		  : 0;
}

int confine_prepare(const struct run_options *o, struct errmsg *e)
{
	if (!confine_wanted(o))
		return 0;
	if (host_proc_fd() < 0)
		return errmsg_set(e, -ENOENT, "there is no /proc, which confinement needs");
	return caps_have(CAP_SYS_ADMIN) ? 0 : enter_user_namespace(e);
}

/* ---- the network --------------------------------------------------------------- */

/* A new network has a loopback that is down. */
static int loopback_up(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	req.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &req))
		rc = -errno;
	close(fd);
	return rc;
}

int confine_enter(const struct run_options *o, struct errmsg *e)
{
	int flags = (confine_files(o) ? CLONE_NEWNS : 0) | (o->no_net ? CLONE_NEWNET : 0), rc;

	if (unshare(flags))
		return errmsg_set(e, -errno, "the host refuses namespaces: %s", strerror(errno));
	rc = o->no_net ? loopback_up() : 0;
	/* A host without IPv4 has no such loopback. */
	if (rc && rc != -EAFNOSUPPORT)
		return errmsg_set(e, rc, "no loopback in the guest's network: %s", strerror(-rc));
	rc = confine_files(o) ? confine_mounts(o, e) : 0;
	return rc ? rc : caps_drop(e);
}
