/* SPDX-License-Identifier: MIT */
/*
 * What a vCPU is before its first run: CPUID, control registers, segments, MSRs. Numbers are from the Intel SDM vol. 3 and 4 and the
 * AMD APM vol. 2.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/compat.h"
#include "vmm/vcpu.h"

#define CR0_PE         (1ull << 0)
#define CR0_MP         (1ull << 1)
#define CR0_ET         (1ull << 4)
#define CR0_NE         (1ull << 5)
#define CR0_WP         (1ull << 16)
#define CR0_AM         (1ull << 18)
#define CR0_PG         (1ull << 31)
#define CR4_PAE        (1ull << 5)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_FSGSBASE   (1ull << 16)
#define CR4_OSXSAVE    (1ull << 18)
#define EFER_SCE       (1ull << 0)
#define EFER_LME       (1ull << 8)
#define EFER_LMA       (1ull << 10)
#define EFER_NXE       (1ull << 11)

#define MSR_STAR    0xc0000081u
#define MSR_LSTAR   0xc0000082u
#define MSR_CSTAR   0xc0000083u
#define MSR_SFMASK  0xc0000084u
#define MSR_TSC_AUX 0xc0000103u

/* Cleared by SYSCALL: TF, IF, DF, IOPL, NT, AC. */
#define SFMASK_VALUE (1ull << 8 | 1ull << 9 | 1ull << 10 | 3ull << 12 | 1ull << 14 | 1ull << 18)

/* x87, SSE, AVX, AVX-512: what an XSAVE image of GUEST_XSAVE_SIZE is sure to hold. */
#define XCR0_CARRIED 0xe7ull
#define XCR0_X87_SSE 0x3ull

#define XSAVE_LEGACY_SIZE 512u
#define XSAVE_HEADER_SIZE 64u

#define BIT(n) (1u << (n))

void vcpu_user_segments(struct kvm_sregs *sregs)
{
	sregs->cs = (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = SEL_USER_CS,
		.type = 11,
		.present = 1,
		.dpl = 3,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	sregs->ss = (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = SEL_USER_SS,
		.type = 3,
		.present = 1,
		.dpl = 3,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

/* Linux gives programs null selectors here; the bases are what counts. */
void vcpu_data_segments(struct kvm_sregs *sregs)
{
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.type = 3,
		.present = 1,
		.dpl = 3,
		.db = 1,
		.s = 1,
		.g = 1,
	};

	sregs->ds = sregs->es = sregs->fs = sregs->gs = data;
	/* No local descriptors: a selector that asks for one is a #GP. */
	sregs->ldt = (struct kvm_segment){ .type = 2, .unusable = 1 };
}

static bool cpuid_has_xsave(const struct vcpu_pool *pool)
{
	const struct kvm_cpuid_entry2 *leaf = kvm_cpuid_find(pool->kvm->cpuid, 1, 0);

	return leaf && (leaf->ecx & BIT(26));
}

static bool cpuid_has_fsgsbase(const struct vcpu_pool *pool)
{
	const struct kvm_cpuid_entry2 *leaf = kvm_cpuid_find(pool->kvm->cpuid, 7, 0);

	return leaf && (leaf->ebx & BIT(0));
}

static int state_sregs(struct vcpu *v)
{
	struct kvm_sregs sregs;
	int rc = kvm_vcpu_get_sregs(v->fd, &sregs);

	if (rc)
		return rc;
	vcpu_user_segments(&sregs);
	vcpu_data_segments(&sregs);
	sregs.gdt = (struct kvm_dtable){ .base = KERNEL_PAGE_GVA(KERNEL_PAGE_GDT),
					 .limit = SEL_TSS - 1 };
	sregs.idt = (struct kvm_dtable){ .base = KERNEL_PAGE_GVA(KERNEL_PAGE_IDT),
					 .limit = 256 * 16 - 1 };
	sregs.tr = (struct kvm_segment){
		.base = KERNEL_PAGE_GVA(KERNEL_PAGE_VCPU0 + v->id) + VCPU_PAGE_TSS,
		.limit = 103,
		.selector = SEL_TSS,
		.type = 11,
		.present = 1,
	};
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (cpuid_has_xsave(v->pool))
		sregs.cr4 |= CR4_OSXSAVE;
	if (cpuid_has_fsgsbase(v->pool))
		sregs.cr4 |= CR4_FSGSBASE;
	sregs.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	sregs.cr3 = 0;
	v->run->s.regs.sregs = sregs;
	return kvm_vcpu_set_sregs(v->fd, &sregs);
}

/* Size of a standard-format image of @xcr0's components. */
static unsigned int xsave_size(struct kvm_cpuid2 *cpuid, uint64_t xcr0)
{
	unsigned int size = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;

	for (unsigned int i = 2; i < 63; i++) {
		struct kvm_cpuid_entry2 *leaf = kvm_cpuid_find(cpuid, 0xd, i);

		if ((xcr0 >> i & 1) && leaf && leaf->ebx + leaf->eax > size)
			size = leaf->ebx + leaf->eax;
	}
	return size;
}

/* Features that need a kernel, or state that we do not carry. */
static void cpuid_hide(struct kvm_cpuid2 *cpuid, uint64_t xcr0, unsigned int size)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case 1:
			/* MONITOR, VMX, PCID, TSC-deadline */
			e->ecx &= ~(BIT(3) | BIT(5) | BIT(17) | BIT(24));
			break;
		case 7:
			if (e->index)
				break;
			e->ebx &= ~(BIT(2) | BIT(14));                  /* SGX, MPX */
			e->ecx &= ~(BIT(3) | BIT(4) | BIT(5) | BIT(7)); /* PKU, WAITPKG, SHSTK */
			/* UINTR, IBT, AMX */
			e->edx &= ~(BIT(5) | BIT(20) | BIT(22) | BIT(24) | BIT(25));
			break;
		case 0xd:
			if (e->index == 0) {
				e->eax = (uint32_t)xcr0;
				e->edx = 0;
				e->ecx = size;
			} else if (e->index == 1) {
				e->eax &= ~BIT(3); /* XSAVES */
				e->ecx = e->edx = 0;
			} else if (!(xcr0 >> e->index & 1)) {
				e->eax = e->ebx = e->ecx = e->edx = 0;
			}
			break;
		case 0x80000001:
			e->ecx &= ~BIT(2); /* SVM */
			break;
		case 0x40000000:
		case 0x40000001:
			/* KVM's paravirtual interfaces are for kernels. */
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		}
	}
}

int vcpu_state_limits(struct vcpu_pool *pool)
{
	struct kvm_cpuid2 *cpuid = pool->kvm->cpuid;
	struct kvm_cpuid_entry2 *xstate = kvm_cpuid_find(cpuid, 0xd, 0);
	unsigned int size;

	/*
	 * KVM carries what leaf 0xd tells, also where it hides XSAVE itself and
	 * programs see it all the same. The probe finds out what they see.
	 */
	if (xstate)
		pool->xcr0 = ((uint64_t)xstate->edx << 32 | xstate->eax) & XCR0_CARRIED;
	size = xsave_size(cpuid, pool->xcr0);
	if (size > GUEST_XSAVE_SIZE)
		return -ENOTSUP;
	pool->xsave_size = size;
	cpuid_hide(cpuid, pool->xcr0, size);
	return 0;
}

static int state_cpuid(struct vcpu *v)
{
	size_t size =
		sizeof(struct kvm_cpuid2) + KVM_CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *cpuid = malloc(size);
	int rc;

	if (!cpuid)
		return -EAGAIN;
	memcpy(cpuid, v->pool->kvm->cpuid, size);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0x00ffffff) | v->id << 24;
		else if (e->function == 0xb || e->function == 0x1f)
			e->edx = v->id;
		else if (e->function == 0x8000001e)
			e->eax = v->id;
	}
	rc = kvm_vcpu_set_cpuid(v->fd, cpuid);
	free(cpuid);
	return rc;
}

static int state_xcr0(struct vcpu *v)
{
	struct kvm_xcrs xcrs = {
		.nr_xcrs = 1,
		.xcrs[0] = { .xcr = 0, .value = v->pool->xcr0 },
	};

	return cpuid_has_xsave(v->pool) ? kvm_vcpu_set_xcrs(v->fd, &xcrs) : 0;
}

int vcpu_state_set_entry(struct vcpu *v)
{
	enum kernel_page page = v->pool->syscall_cpl ? KERNEL_PAGE_SYSCALL_CPL3
						     : KERNEL_PAGE_SYSCALL_CPL0;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[5];
	} msrs = {
		.entries = {
			{ .index = MSR_STAR, .data = (uint64_t)SEL_KERNEL_CS << 32 |
						     (uint64_t)(SEL_USER_SS - 8) << 48 },
			{ .index = MSR_LSTAR, .data = KERNEL_PAGE_GVA(page) },
			{ .index = MSR_CSTAR, .data = KERNEL_PAGE_GVA(page) },
			{ .index = MSR_SFMASK, .data = SFMASK_VALUE },
			{ .index = MSR_TSC_AUX, .data = v->id },
		},
	};
	int rc;

	msrs.head.nmsrs = 5;
	rc = kvm_vcpu_set_msrs(v->fd, &msrs.head);
	if (rc < 0)
		return rc;
	return rc >= 4 ? 0 : -EIO; /* RDTSCP is a luxury, the others are not */
}

/* With offset 0 the guest's RDTSC is the host's, and a vDSO can tell the time. */
static void state_tsc(struct vcpu *v)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	if (kvm_vcpu_set_attr(v->fd, &attr))
		v->pool->tsc_is_host = false;
}

int vcpu_state_init(struct vcpu *v)
{
	int rc = state_cpuid(v);

	if (!rc)
		rc = state_sregs(v);
	if (!rc)
		rc = state_xcr0(v);
	if (!rc)
		rc = vcpu_state_set_entry(v);
	if (rc)
		return rc;
	state_tsc(v);
	v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return 0;
}
