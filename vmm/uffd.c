/* SPDX-License-Identifier: MIT */
#include "vmm/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/compat.h"

#define UFFD_DEVICE "/dev/userfaultfd"

/*
 * KVM touches guest memory in kernel mode, so a user-mode-only descriptor will
 * not do. The system call wants CAP_SYS_PTRACE or the sysctl; the device wants
 * the right to open a file.
 */
static int descriptor_open(struct errmsg *e)
{
	int dev, fd, err;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	err = errno;
	dev = open(UFFD_DEVICE, O_RDWR | O_CLOEXEC);
	if (dev >= 0) {
		fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			err = errno;
		close(dev);
		if (fd >= 0)
			return fd;
	}
	if (err == ENOSYS)
		return errmsg_set(e, -err,
				  "this kernel is built without userfaultfd "
				  "(CONFIG_USERFAULTFD)");
	return errmsg_set(e, -err,
			  "userfaultfd is refused: %s: run as root or with "
			  "CAP_SYS_PTRACE, or set vm.unprivileged_userfaultfd=1, or give your "
			  "user access to " UFFD_DEVICE,
			  strerror(err));
}

/* The handshake is done once for each descriptor, so asking takes its own. */
static int features_ask(uint64_t *features, struct errmsg *e)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = descriptor_open(e);

	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api)) {
		int err = errno;

		close(fd);
		return errmsg_set(e, -err, "UFFDIO_API: %s", strerror(err));
	}
	*features = api.features;
	close(fd);
	return 0;
}

int uffd_open(int *out, uint64_t *features, struct errmsg *e)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	int fd, rc;

	rc = features_ask(features, e);
	if (rc)
		return rc;
	if (!(*features & UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		return errmsg_set(e, -ENOTSUP,
				  "this kernel's userfaultfd cannot write-protect "
				  "(CONFIG_HAVE_ARCH_USERFAULTFD_WP, Linux 5.7)");
	fd = descriptor_open(e);
	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api)) {
		rc = errno;
		close(fd);
		return errmsg_set(e, -rc, "UFFDIO_API: %s", strerror(rc));
	}
	*out = fd;
	return 0;
}

int uffd_register(int fd, void *hva, size_t len, bool missing, struct errmsg *e)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)hva, .len = len },
		.mode = UFFDIO_REGISTER_MODE_WP | (missing ? UFFDIO_REGISTER_MODE_MISSING : 0),
	};

	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		return errmsg_set(e, -errno,
				  "cannot register %zu MiB of guest memory with "
				  "userfaultfd: %s",
				  len >> 20, strerror(errno));
	return 0;
}

int uffd_protect(int fd, void *hva, size_t len, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)hva, .len = len },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	/* EAGAIN: the host's memory map was changing under the call. */
	while (ioctl(fd, UFFDIO_WRITEPROTECT, &wp))
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	return 0;
}

int uffd_copy(int fd, void *hva, const void *from, size_t len, uint64_t *done)
{
	*done = 0;
	while (*done < len) {
		struct uffdio_copy copy = {
			.dst = (uintptr_t)hva + *done,
			.src = (uintptr_t)from + *done,
			.len = len - *done,
		};
		int rc = ioctl(fd, UFFDIO_COPY, &copy) ? -errno : 0;

		if (copy.copy > 0)
			*done += (uint64_t)copy.copy;
		/* EAGAIN: the host's memory map was changing, or only a part was done. */
		if (rc && rc != -EAGAIN && rc != -EINTR)
			return rc;
	}
	return 0;
}

void uffd_wake(int fd, void *hva, size_t len)
{
	struct uffdio_range range = { .start = (uintptr_t)hva, .len = len };

	(void)!ioctl(fd, UFFDIO_WAKE, &range);
}
