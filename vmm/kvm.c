/* SPDX-License-Identifier: MIT */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/layout.h"

#define KVM_DEVICE "/dev/kvm"

static int result(int rc)
{
	return rc < 0 ? -errno : rc;
}

static int device_open(struct errmsg *e)
{
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return errmsg_set(e, -errno,
				  KVM_DEVICE
				  ": %s: this kernel offers no KVM; load its "
				  "module (kvm_intel or kvm_amd), or enable virtualisation in the "
				  "firmware or the surrounding virtual machine",
				  strerror(errno));
	case EACCES:
	case EPERM:
		return errmsg_set(e, -errno,
				  KVM_DEVICE ": %s: add yourself to the group that owns "
					     "it (usually kvm) or run as root",
				  strerror(errno));
	default:
		return errmsg_set(e, -errno, "cannot open " KVM_DEVICE ": %s", strerror(errno));
	}
}

int kvm_cap(const struct kvm *kvm, int cap)
{
	int rc = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, cap);

	return rc < 0 ? 0 : rc;
}

static int check_caps(struct kvm *kvm, struct errmsg *e)
{
	static const struct {
		int cap;
		int bits; /* that must be there; 0: anything but 0 will do */
		const char *name;
	} needed[] = {
		{ KVM_CAP_USER_MEMORY, 0, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_IMMEDIATE_EXIT, 0, "KVM_CAP_IMMEDIATE_EXIT" },
		{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS, "KVM_CAP_SYNC_REGS" },
		{ KVM_CAP_SYNC_MMU, 0, "KVM_CAP_SYNC_MMU" },
		{ KVM_CAP_XSAVE, 0, "KVM_CAP_XSAVE" },
		{ KVM_CAP_XCRS, 0, "KVM_CAP_XCRS" },
		{ KVM_CAP_VCPU_EVENTS, 0, "KVM_CAP_VCPU_EVENTS" },
		{ KVM_CAP_EXT_CPUID, 0, "KVM_CAP_EXT_CPUID" },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		int have = kvm_cap(kvm, needed[i].cap);

		if (!have || (have & needed[i].bits) != needed[i].bits)
			return errmsg_set(e, -ENOTSUP,
					  "this kernel's KVM lacks %s; umm needs "
					  "Linux 5.15 or newer",
					  needed[i].name);
	}
	return 0;
}

static int read_limits(struct kvm *kvm, struct errmsg *e)
{
	struct kvm_cpuid_entry2 *leaf;
	unsigned int bits = 36;
	int size = ioctl(kvm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < (int)sizeof(struct kvm_run))
		return errmsg_set(e, -ENOTSUP, "KVM_GET_VCPU_MMAP_SIZE: unusable answer %d", size);
	kvm->run_size = (size_t)size;
	kvm->max_vcpus = (unsigned int)kvm_cap(kvm, KVM_CAP_MAX_VCPUS);
	if (!kvm->max_vcpus)
		kvm->max_vcpus = 4; /* what the KVM API promises without the capability */
	if (kvm->max_vcpus > LAYOUT_MAX_VCPUS)
		kvm->max_vcpus = LAYOUT_MAX_VCPUS;
	kvm->max_slots = (unsigned int)kvm_cap(kvm, KVM_CAP_NR_MEMSLOTS);

	kvm->cpuid = calloc(1, sizeof(*kvm->cpuid) +
				       KVM_CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2));
	if (!kvm->cpuid)
		return errmsg_set(e, -ENOMEM, "out of memory");
	kvm->cpuid->nent = KVM_CPUID_ENTRIES;
	if (ioctl(kvm->dev_fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid))
		return errmsg_set(e, -errno, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	leaf = kvm_cpuid_find(kvm->cpuid, 0x80000008, 0);
	if (leaf)
		bits = leaf->eax & 0xff;
	kvm->max_gpa = 1ull << (bits > 51 ? 51 : bits);
	return 0;
}

int kvm_open(struct kvm *kvm, struct errmsg *e)
{
	int rc;

	*kvm = (struct kvm){ .dev_fd = -1, .vm_fd = -1 };
	rc = device_open(e);
	if (rc < 0)
		return rc;
	kvm->dev_fd = rc;
	rc = ioctl(kvm->dev_fd, KVM_GET_API_VERSION, 0);
	if (rc != KVM_API_VERSION) {
		rc = errmsg_set(e, -ENOTSUP, KVM_DEVICE ": API version %d, umm speaks %d", rc,
				KVM_API_VERSION);
		goto fail;
	}
	do {
		kvm->vm_fd = ioctl(kvm->dev_fd, KVM_CREATE_VM, 0);
	} while (kvm->vm_fd < 0 && errno == EINTR);
	if (kvm->vm_fd < 0) {
		rc = errmsg_set(e, -errno, "KVM_CREATE_VM: %s%s", strerror(errno),
				errno == EBUSY ? ": another hypervisor holds the processor's "
						 "virtualisation extensions"
					       : "");
		goto fail;
	}
	rc = check_caps(kvm, e);
	if (rc)
		goto fail;
	rc = read_limits(kvm, e);
	if (rc)
		goto fail;
	/* Processors without unrestricted guest mode need it; others ignore it. */
	if (kvm_cap(kvm, KVM_CAP_SET_TSS_ADDR) &&
	    ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_KVM_TSS_GPA)) {
		rc = errmsg_set(e, -errno, "KVM_SET_TSS_ADDR: %s", strerror(errno));
		goto fail;
	}
	return 0;
fail:
	kvm_close(kvm);
	return rc;
}

void kvm_close(struct kvm *kvm)
{
	free(kvm->cpuid);
	kvm->cpuid = NULL;
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->dev_fd >= 0)
		close(kvm->dev_fd);
	kvm->vm_fd = kvm->dev_fd = -1;
}

struct kvm_cpuid_entry2 *kvm_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == function && entry->index == index)
			return entry;
	}
	return NULL;
}

int kvm_slot_set(const struct kvm *kvm, unsigned int slot, gpa_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa.v,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return result(ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region));
}

int kvm_vcpu_create(const struct kvm *kvm, unsigned int id)
{
	int fd = result(ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)id));

	return fd;
}

int kvm_vcpu_set_cpuid(int fd, const struct kvm_cpuid2 *cpuid)
{
	return result(ioctl(fd, KVM_SET_CPUID2, cpuid));
}

int kvm_vcpu_get_sregs(int fd, struct kvm_sregs *sregs)
{
	return result(ioctl(fd, KVM_GET_SREGS, sregs));
}

int kvm_vcpu_set_sregs(int fd, const struct kvm_sregs *sregs)
{
	return result(ioctl(fd, KVM_SET_SREGS, sregs));
}

int kvm_vcpu_set_msrs(int fd, const struct kvm_msrs *msrs)
{
	return result(ioctl(fd, KVM_SET_MSRS, msrs));
}

int kvm_vcpu_set_xcrs(int fd, const struct kvm_xcrs *xcrs)
{
	return result(ioctl(fd, KVM_SET_XCRS, xcrs));
}

int kvm_vcpu_get_xsave(int fd, struct kvm_xsave *xsave)
{
	return result(ioctl(fd, KVM_GET_XSAVE, xsave));
}

int kvm_vcpu_set_xsave(int fd, const struct kvm_xsave *xsave)
{
	return result(ioctl(fd, KVM_SET_XSAVE, xsave));
}

int kvm_vcpu_get_events(int fd, struct kvm_vcpu_events *events)
{
	return result(ioctl(fd, KVM_GET_VCPU_EVENTS, events));
}

int kvm_vcpu_set_events(int fd, const struct kvm_vcpu_events *events)
{
	return result(ioctl(fd, KVM_SET_VCPU_EVENTS, events));
}

int kvm_vcpu_set_attr(int fd, const struct kvm_device_attr *attr)
{
	return result(ioctl(fd, KVM_SET_DEVICE_ATTR, attr));
}

int kvm_vcpu_run(int fd)
{
	return result(ioctl(fd, KVM_RUN, 0));
}
