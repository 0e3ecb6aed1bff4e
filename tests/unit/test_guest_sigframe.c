/* SPDX-License-Identifier: MIT */
/* Signal frames: places on the stack, what is believed of one that comes back. */
#include <stdlib.h>
#include <string.h>

#include "guest/sigframe.h"
#include "tests/unit/util.h"

static void test_offsets(void)
{
	/* As unwinders and language runtimes know them. */
	CU_ASSERT_EQUAL(offsetof(struct sigframe, uc), 8);
	CU_ASSERT_EQUAL(offsetof(struct sigframe_ucontext, mc), 40);
	CU_ASSERT_EQUAL(offsetof(struct sigframe_context, rsp), 120);
	CU_ASSERT_EQUAL(offsetof(struct sigframe_context, rip), 128);
	CU_ASSERT_EQUAL(offsetof(struct sigframe_context, fpstate), 184);
	CU_ASSERT_EQUAL(offsetof(struct sigframe_ucontext, sigmask), 296);
	CU_ASSERT_EQUAL(sizeof(siginfo_t), 128);
}

static void test_place(void)
{
	uint64_t sp;

	for (sp = 0x7fff00000000; sp < 0x7fff00000200; sp += 8) {
		struct sigframe_place at = sigframe_place(sp, 2696);

		CU_ASSERT_EQUAL(at.fpstate % 64, 0);
		CU_ASSERT_EQUAL((at.frame + 8) % 16, 0);
		CU_ASSERT_TRUE(at.fpstate + 2696 + 4 <= sp);
		CU_ASSERT_TRUE(at.frame + sizeof(struct sigframe) <= at.fpstate);
		CU_ASSERT_TRUE(sp - at.frame < 2696 + sizeof(struct sigframe) + 100);
	}
}

static void test_canonical(void)
{
	CU_ASSERT_TRUE(gva_is_canonical(0));
	CU_ASSERT_TRUE(gva_is_canonical((1ull << 47) - 1));
	CU_ASSERT_FALSE(gva_is_canonical(1ull << 47));
	CU_ASSERT_FALSE(gva_is_canonical(0x8000000000000000ull));
	CU_ASSERT_TRUE(gva_is_canonical(0xffff800000000000ull));
	CU_ASSERT_FALSE(gva_is_canonical(0xffff7fffffffffffull));
}

static void test_rflags(void)
{
	/* Interrupts, I/O level, NT and the virtual flags are not the program's. */
	CU_ASSERT_EQUAL(sigframe_fix_rflags(0x202, ~0ull), 0x202 | 0x50dd5);
	CU_ASSERT_EQUAL(sigframe_fix_rflags(0x202, 0), 0x202);
	CU_ASSERT_EQUAL(sigframe_fix_rflags(0xffffffff, 0), 0xffffffff & ~0x50dd5ull);
}

static void fill_image(uint8_t *image, uint32_t xstate_size)
{
	struct sigframe_sw_bytes sw = {
		.magic1 = XSTATE_MAGIC1,
		.extended_size = xstate_size + 4,
		.xfeatures = 7,
		.xstate_size = xstate_size,
	};
	uint32_t magic2 = XSTATE_MAGIC2;

	memset(image, 0x5a, GUEST_XSAVE_SIZE + 64);
	memcpy(image + XSAVE_SW_OFFSET, &sw, sizeof(sw));
	if (xstate_size <= GUEST_XSAVE_SIZE)
		memcpy(image + xstate_size, &magic2, sizeof(magic2));
}

/* What cannot be believed counts as a frame with SSE state only. */
static void check_legacy(const uint8_t *image, int size)
{
	uint64_t features;

	CU_ASSERT_EQUAL(size, XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE);
	memcpy(&features, image + XSAVE_LEGACY_SIZE, sizeof(features));
	CU_ASSERT_EQUAL(features, 3);
	CU_ASSERT_EQUAL(image[XSAVE_LEGACY_SIZE + 8], 0);
}

static void test_xsave(void)
{
	uint8_t image[GUEST_XSAVE_SIZE + 64];

	fill_image(image, 832);
	CU_ASSERT_EQUAL(sigframe_check_xsave(image, 836), 832);
	CU_ASSERT_EQUAL(image[XSAVE_LEGACY_SIZE], 0x5a);
	CU_ASSERT_EQUAL(sigframe_check_xsave(image, 100), -EFAULT);
	/* Cut, without the second magic number, with sizes that lie. */
	check_legacy(image, sigframe_check_xsave(image, 835));
	fill_image(image, 832);
	image[832] ^= 1;
	check_legacy(image, sigframe_check_xsave(image, 836));
	fill_image(image, 100);
	check_legacy(image, sigframe_check_xsave(image, 836));
	fill_image(image, GUEST_XSAVE_SIZE + 1);
	check_legacy(image, sigframe_check_xsave(image, GUEST_XSAVE_SIZE + 5));
	fill_image(image, UINT32_MAX - 1);
	check_legacy(image, sigframe_check_xsave(image, 836));
	fill_image(image, 832);
	image[XSAVE_SW_OFFSET] ^= 1;
	check_legacy(image, sigframe_check_xsave(image, 836));
}

static void test_altstack(void)
{
	struct guest_stack ss = { .sp = 0x10000, .size = 0x2000 }, got;
	struct task *t = calloc(1, sizeof(*t));

	task_get_altstack(t, &got, 0x7000);
	CU_ASSERT_EQUAL(got.flags, SS_DISABLE);
	CU_ASSERT_EQUAL(task_set_altstack(t, &ss, 0x7000), 0);
	CU_ASSERT_FALSE(task_on_altstack(t, 0x10000));
	CU_ASSERT_TRUE(task_on_altstack(t, 0x10008));
	CU_ASSERT_TRUE(task_on_altstack(t, 0x12000));
	CU_ASSERT_FALSE(task_on_altstack(t, 0x12008));
	task_get_altstack(t, &got, 0x11000);
	CU_ASSERT_EQUAL(got.flags, SS_ONSTACK);
	CU_ASSERT_EQUAL(task_set_altstack(t, &ss, 0x11000), -EPERM);
	ss.size = 2047;
	CU_ASSERT_EQUAL(task_set_altstack(t, &ss, 0x7000), -ENOMEM);
	ss.flags = 77;
	CU_ASSERT_EQUAL(task_set_altstack(t, &ss, 0x7000), -EINVAL);
	ss.flags = SS_DISABLE;
	CU_ASSERT_EQUAL(task_set_altstack(t, &ss, 0x7000), 0);
	CU_ASSERT_FALSE(task_on_altstack(t, 0x11000));
	free(t);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "offsets", test_offsets },
		{ "places", test_place },
		{ "canonical addresses", test_canonical },
		{ "flags", test_rflags },
		{ "XSAVE images", test_xsave },
		{ "the alternate stack", test_altstack },
	};

	return unit_run("sigframe", tests, ARRAY_LEN(tests), argc, argv);
}
