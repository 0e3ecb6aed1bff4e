/* SPDX-License-Identifier: MIT */
/*
 * Extended registers as XSAVE images in the standard format, as they lie in
 * signal frames. Images come from programs: nothing in them is believed.
 */
#include <errno.h>
#include <string.h>

#include "vmm/vcpu.h"

#define XSAVE_LEGACY_SIZE   512u
#define XSAVE_HEADER_SIZE   64u
#define XSAVE_FCW_DEFAULT   0x37fu
#define XSAVE_MXCSR_DEFAULT 0x1f80u
#define XSAVE_MXCSR_VALID   0xffffu
#define XSAVE_MXCSR_OFFSET  24u
#define XCR0_X87_SSE        0x3ull

int vcpu_xsave_get(struct vcpu *v, void *image)
{
	struct kvm_xsave xsave __attribute__((aligned(64)));
	int rc = kvm_vcpu_get_xsave(v->fd, &xsave);

	if (rc)
		return rc;
	memcpy(image, &xsave, v->pool->xsave_size);
	return (int)v->pool->xsave_size;
}

/* Drop from the image's header what it has no room for and what it may not hold. */
static void xsave_sanitise(struct vcpu *v, uint8_t *image, size_t size)
{
	uint64_t present = XCR0_X87_SSE;
	uint32_t mxcsr;

	if (size >= XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE)
		memcpy(&present, image + XSAVE_LEGACY_SIZE, sizeof(present));
	present &= v->pool->xcr0 ? v->pool->xcr0 : XCR0_X87_SSE;
	for (unsigned int i = 2; i < 63; i++) {
		struct kvm_cpuid_entry2 *leaf;

		if (!(present >> i & 1))
			continue;
		leaf = kvm_cpuid_find(v->pool->kvm->cpuid, 0xd, i);
		if (!leaf || leaf->ebx + leaf->eax > size)
			present &= ~(1ull << i);
	}
	memset(image + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_SIZE);
	memcpy(image + XSAVE_LEGACY_SIZE, &present, sizeof(present));
	memcpy(&mxcsr, image + XSAVE_MXCSR_OFFSET, sizeof(mxcsr));
	mxcsr &= XSAVE_MXCSR_VALID;
	memcpy(image + XSAVE_MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
}

int vcpu_xsave_set(struct vcpu *v, const void *image, size_t size)
{
	struct kvm_xsave xsave __attribute__((aligned(64)));

	if (size < XSAVE_LEGACY_SIZE)
		return -EINVAL;
	if (size > sizeof(xsave))
		size = sizeof(xsave);
	memset(&xsave, 0, sizeof(xsave));
	memcpy(&xsave, image, size);
	xsave_sanitise(v, (uint8_t *)&xsave, size);
	return kvm_vcpu_set_xsave(v->fd, &xsave);
}

void vcpu_xsave_reset(struct vcpu *v)
{
	uint8_t image[XSAVE_LEGACY_SIZE] = { 0 };
	uint32_t mxcsr = XSAVE_MXCSR_DEFAULT;
	uint16_t fcw = XSAVE_FCW_DEFAULT;

	memcpy(image, &fcw, sizeof(fcw));
	memcpy(image + XSAVE_MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
	/* Cannot fail: the image is of our own making. */
	(void)vcpu_xsave_set(v, image, sizeof(image));
}
