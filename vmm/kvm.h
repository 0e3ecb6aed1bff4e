/* SPDX-License-Identifier: MIT */
/*
 * KVM file descriptors and checked ioctls. Each wrapper takes the struct that
 * its ioctl wants, so a wrong one does not compile. All return 0 (or a value
 * that the comment names) or -errno.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

struct kvm {
	int dev_fd;
	int vm_fd;
	size_t run_size; /* of the mapping of a vCPU's struct kvm_run */
	unsigned int max_vcpus;
	unsigned int max_slots;
	uint64_t max_gpa;         /* one past the highest guest physical address */
	struct kvm_cpuid2 *cpuid; /* what KVM supports; owned */
};

#define KVM_CPUID_ENTRIES 256

/* Open /dev/kvm, check what umm needs of it, create an empty VM. */
int kvm_open(struct kvm *kvm, struct errmsg *e) UMM_MUST_CHECK;
void kvm_close(struct kvm *kvm);

/* The value of a capability of the VM; 0 when it has none. */
int kvm_cap(const struct kvm *kvm, int cap);

/* Entry of the supported CPUID, or NULL. */
struct kvm_cpuid_entry2 *kvm_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
					uint32_t index);

/* Set (size > 0) or delete (size 0) a memory slot. */
int kvm_slot_set(const struct kvm *kvm, unsigned int slot, gpa_t gpa, uint64_t size, void *hva);

int kvm_vcpu_create(const struct kvm *kvm, unsigned int id); /* returns the fd */
int kvm_vcpu_set_cpuid(int fd, const struct kvm_cpuid2 *cpuid);
int kvm_vcpu_get_sregs(int fd, struct kvm_sregs *sregs);
int kvm_vcpu_set_sregs(int fd, const struct kvm_sregs *sregs);
int kvm_vcpu_set_msrs(int fd, const struct kvm_msrs *msrs); /* returns how many were set */
int kvm_vcpu_set_xcrs(int fd, const struct kvm_xcrs *xcrs);
int kvm_vcpu_get_xsave(int fd, struct kvm_xsave *xsave);
int kvm_vcpu_set_xsave(int fd, const struct kvm_xsave *xsave);
int kvm_vcpu_get_events(int fd, struct kvm_vcpu_events *events);
int kvm_vcpu_set_events(int fd, const struct kvm_vcpu_events *events);
int kvm_vcpu_set_attr(int fd, const struct kvm_device_attr *attr);
int kvm_vcpu_run(int fd);

#endif
