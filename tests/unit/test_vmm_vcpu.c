/* SPDX-License-Identifier: MIT */
/*
 * The vCPU seam: registers of all kinds survive system calls and faults, roots
 * switch, vCPUs are reused clean.
 */
#include <CUnit/Basic.h>

#include "tests/unit/kvm_guest.h"

#define CODE_GVA 0x400000ull
#define DATA_GVA 0x600000ull
#define HOLE_GVA 0x10000000ull

static struct kvm_guest guest;
static gpa_t root;
static struct vcpu *vcpu;

GUEST_CODE(code_calls, "1: syscall; jmp 1b");
GUEST_CODE(code_fault, "mov (%rbx),%rbx; syscall");
GUEST_CODE(code_segments, "mov $0x2b,%eax; mov %eax,%ds; mov %eax,%es; syscall");
GUEST_CODE(code_which, "mov %ds,%eax; mov %es,%ebx; mov %fs,%ebp; mov %gs,%edx; syscall");
GUEST_CODE(code_ldt, "mov $7,%eax; mov %eax,%es; syscall");
GUEST_CODE(code_call_hlt, "syscall; hlt; syscall");
GUEST_CODE(code_fsgs, "mov %fs:0,%rax; mov %gs:8,%rdx; syscall");
GUEST_CODE(code_wrfs, "wrfsbase %rdi; wrgsbase %rsi; syscall");
GUEST_CODE(code_vector, "movdqu (%rdi),%xmm3; syscall; movdqu %xmm3,16(%rdi); syscall");
GUEST_CODE(code_avx,
	   "vmovdqu (%rdi),%ymm5; syscall; mov (%rbx),%eax; vmovdqu %ymm5,32(%rdi); syscall");
GUEST_CODE(code_control, "stmxcsr (%rdi); fnstcw 4(%rdi); movdqu %xmm9,8(%rdi); syscall");
GUEST_CODE(code_word, "mov (%rdi),%rax; syscall");
GUEST_CODE(code_flags, "pushf; pop %rdi; syscall");

static void *load(const char *code, const char *end)
{
	pfn_t pfn = gpa_to_pfn(gpa_make(*guest_entry(&guest, root, CODE_GVA) & UMM_PAGE_MASK));

	memcpy(host_frame_hva(guest.host, pfn), code, (size_t)(end - code));
	guest_jump(&guest, vcpu, CODE_GVA);
	guest.vcpus->regs(vcpu)->rflags = 0x202;
	pfn = gpa_to_pfn(gpa_make(*guest_entry(&guest, root, DATA_GVA) & UMM_PAGE_MASK));
	return host_frame_hva(guest.host, pfn);
}

#define LOAD(name) load(name, name##_end)

static void registers_fill(struct guest_regs *regs, uint64_t seed)
{
	uint64_t *r = (uint64_t *)regs;

	for (unsigned int i = 0; i < 16; i++)
		r[i] = seed * 0x9e3779b97f4a7c15ull + i * 0x0101010101010101ull;
	regs->rflags = 0xad7; /* CF PF AF ZF SF OF, IF off: forced on */
	guest.vcpus->regs_changed(vcpu);
}

/* All sixteen, and the flags, through the system call that comes at once. */
static void test_syscall_registers(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap;

	LOAD(code_calls);
	for (uint64_t seed = 1; seed < 50; seed++) {
		struct guest_regs want;

		registers_fill(regs, seed);
		regs->rip = CODE_GVA;
		want = *regs;
		guest_run(&guest, vcpu, &trap);
		CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
		want.rip = want.rcx = CODE_GVA + 2;
		want.rflags = want.r11 = 0xad7 | 0x200;
		CU_ASSERT_EQUAL(memcmp(regs, &want, offsetof(struct guest_regs, fs_base)), 0);
	}
}

/* Only rax is changed, nobody is told, and the program goes on behind the call. */
static void test_syscall_return(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap;

	LOAD(code_calls);
	registers_fill(regs, 7);
	guest_run(&guest, vcpu, &trap);
	for (uint64_t i = 0; i < 50; i++) {
		struct guest_regs want = *regs;

		want.rax = regs->rax = i * 3;
		guest_run(&guest, vcpu, &trap);
		CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
		CU_ASSERT_EQUAL(memcmp(regs, &want, offsetof(struct guest_regs, fs_base)), 0);
	}
}

/* As sigreturn does: every register at once, RCX and R11 too, at any address. */
static void test_full_load(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct guest_regs want;
	struct trap trap;

	LOAD(code_calls);
	guest_run(&guest, vcpu, &trap);
	LOAD(code_fault);
	registers_fill(regs, 99);
	regs->rbx = HOLE_GVA;
	want = *regs;
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_FAULT);
	CU_ASSERT_EQUAL(trap.address.v, HOLE_GVA);
	want.rip = CODE_GVA;
	want.rflags = 0xad7 | 0x200;
	CU_ASSERT_EQUAL(regs->rflags & ~0x10000ull, want.rflags); /* RF is the processor's */
	want.rflags = regs->rflags;
	CU_ASSERT_EQUAL(memcmp(regs, &want, offsetof(struct guest_regs, fs_base)), 0);
}

/*
 * Where the stack pointer leads nowhere, a host may emulate SYSCALL instead of
 * running it. The program must come back at its own level all the same: a
 * privileged instruction tells.
 */
static void test_syscall_wild_stack(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap;

	LOAD(code_call_hlt);
	regs->rsp = 0x9e3779b97f4a7c15ull;
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	CU_ASSERT_EQUAL(regs->rsp, 0x9e3779b97f4a7c15ull);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_EXCEPTION);
	CU_ASSERT_EQUAL(trap.vector, 13);
	CU_ASSERT_EQUAL(regs->rip, CODE_GVA + 2);
}

/* A fault that is served is invisible: no call, no change of any register. */
static void test_fault_resume(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	pfn_t pfn = guest_frame(&guest);
	struct guest_regs want;
	struct trap trap;

	LOAD(code_fault);
	registers_fill(regs, 3);
	regs->rbx = HOLE_GVA + 16;
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_FAULT);
	want = *regs;
	((uint64_t *)host_frame_hva(guest.host, pfn))[2] = 0x5555;
	guest_map(&guest, root, HOLE_GVA, pfn, PTE_RO);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	want.rbx = 0x5555;
	want.rip = want.rcx = regs->rip;
	want.rflags = want.r11 = regs->rflags;
	CU_ASSERT_EQUAL(memcmp(regs, &want, offsetof(struct guest_regs, fs_base)), 0);
	guest_map(&guest, root, HOLE_GVA, pfn, 0);
	guest.mm->zap_frames(guest.host, &(struct frame_range){ pfn, 1 }, 1);
}

/* What a program must not have: interrupts off, I/O privilege, and so on. */
static void test_flags_sanitised(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap;

	LOAD(code_flags);
	regs->rsp = DATA_GVA + UMM_PAGE_SIZE;
	regs->rflags = ~0x10100ull; /* all but TF and RF */
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	CU_ASSERT_EQUAL(regs->rdi & 0x200, 0x200);
	CU_ASSERT_EQUAL(regs->rdi & (3 << 12 | 1 << 14 | 1 << 17 | 1 << 19 | 1 << 20), 0);
}

static void test_segment_bases(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	uint64_t *data = LOAD(code_fsgs);
	struct trap trap;

	data[0] = 11;
	data[65] = 22;
	regs->fs_base = DATA_GVA;
	regs->gs_base = DATA_GVA + 512;
	guest.vcpus->segs_changed(vcpu);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	CU_ASSERT_EQUAL(regs->rax, 11);
	CU_ASSERT_EQUAL(regs->rdx, 22);

	LOAD(code_wrfs);
	regs->rdi = DATA_GVA + 64;
	regs->rsi = 0x7f0012345678;
	guest_run(&guest, vcpu, &trap);
	if (trap.kind == TRAP_EXCEPTION) {
		printf("  (no WRFSBASE for programs here) ");
		return;
	}
	CU_ASSERT_EQUAL(regs->fs_base, DATA_GVA + 64);
	CU_ASSERT_EQUAL(regs->gs_base, 0x7f0012345678);
}

static void test_sse_intact(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	uint8_t *data = LOAD(code_vector);
	struct trap trap;

	for (int i = 0; i < 16; i++)
		data[i] = (uint8_t)(i * 7 + 1);
	regs->rdi = DATA_GVA;
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(memcmp(data, data + 16, 16), 0);
}

/* Through a system call, a fault, and get and set of the XSAVE image. */
static void test_avx_intact(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	uint8_t *data = LOAD(code_avx);
	uint8_t image[GUEST_XSAVE_SIZE];
	struct trap trap;
	int size;

	if (!(guest.vcpus->xcr0(guest.host) & 4)) {
		printf("  (no AVX for programs here) ");
		return;
	}
	for (int i = 0; i < 32; i++)
		data[i] = (uint8_t)(i * 5 + 3);
	regs->rdi = DATA_GVA;
	regs->rbx = HOLE_GVA;
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	size = guest.vcpus->xsave_get(vcpu, image);
	CU_ASSERT_TRUE(size >= 832);
	/* ymm5: low half at 160 + 5 * 16, high half at 576 + 5 * 16. */
	CU_ASSERT_EQUAL(memcmp(image + 240, data, 16), 0);
	CU_ASSERT_EQUAL(memcmp(image + 656, data + 16, 16), 0);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_FAULT);
	guest.vcpus->xsave_reset(vcpu);
	CU_ASSERT_EQUAL(guest.vcpus->xsave_set(vcpu, image, (size_t)size), 0);
	regs->rbx = DATA_GVA;
	guest.vcpus->regs_changed(vcpu);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	CU_ASSERT_EQUAL(memcmp(data, data + 32, 32), 0);
}

static void control_check(void)
{
	uint32_t *data = LOAD(code_control);
	struct trap trap;

	memset(data, 0xaa, 64);
	guest.vcpus->regs(vcpu)->rdi = DATA_GVA;
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	CU_ASSERT_EQUAL(data[0], 0x1f80);
	CU_ASSERT_EQUAL(data[1] & 0xffff, 0x37f);
	CU_ASSERT_EQUAL(data[2] | data[3] | data[4] | data[5], 0);
}

/* A hostile signal frame: every bit set. */
static void test_xsave_garbage(void)
{
	uint8_t image[GUEST_XSAVE_SIZE];

	memset(image, 0xff, sizeof(image));
	CU_ASSERT_EQUAL(guest.vcpus->xsave_set(vcpu, image, 100), -EINVAL);
	CU_ASSERT_EQUAL(guest.vcpus->xsave_set(vcpu, image, 512), 0);
	CU_ASSERT_EQUAL(guest.vcpus->xsave_set(vcpu, image, sizeof(image)), 0);
	guest.vcpus->xsave_reset(vcpu);
	control_check();
}

/* Whoever gets a vCPU finds nothing of the one before. */
static void test_reuse(void)
{
	uint8_t image[GUEST_XSAVE_SIZE];
	struct vcpu *before = vcpu;
	struct guest_regs *regs;
	int size;

	size = guest.vcpus->xsave_get(vcpu, image);
	memset(image + 160, 0x77, 256);
	image[512] |= 3;
	CU_ASSERT_EQUAL(guest.vcpus->xsave_set(vcpu, image, (size_t)size), 0);
	registers_fill(guest.vcpus->regs(vcpu), 5);
	guest.vcpus->regs(vcpu)->fs_base = 0x1234;
	guest.vcpus->put(guest.host, vcpu);
	vcpu = guest_vcpu(&guest, root, CODE_GVA);
	CU_ASSERT_PTR_EQUAL(vcpu, before);
	regs = guest.vcpus->regs(vcpu);
	CU_ASSERT_EQUAL(regs->rax | regs->rbx | regs->r15 | regs->fs_base | regs->gs_base, 0);
	CU_ASSERT_EQUAL(guest.vcpus->exits(vcpu), 0);
	control_check();
}

/* Selectors are registers too: kept through calls, gone with the program. */
static void test_selectors(void)
{
	struct trap trap;

	LOAD(code_segments);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	LOAD(code_which);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(guest.vcpus->regs(vcpu)->rax, 0x2b);
	CU_ASSERT_EQUAL(guest.vcpus->regs(vcpu)->rbx, 0x2b);
	guest.vcpus->put(guest.host, vcpu);
	vcpu = guest_vcpu(&guest, root, CODE_GVA);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	/* Seen to survive where the host's kernel switches them by itself. */
	CU_ASSERT_TRUE((guest.vcpus->regs(vcpu)->rax & ~0x2bull) == 0);
	CU_ASSERT_EQUAL(guest.vcpus->regs(vcpu)->rbp | guest.vcpus->regs(vcpu)->rdx, 0);
	/* There is no table of local descriptors. */
	LOAD(code_ldt);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_EXCEPTION);
	CU_ASSERT_EQUAL(trap.vector, 13);
}

static void test_root_switch(void)
{
	gpa_t other = guest_root(&guest);
	uint64_t *mine = LOAD(code_word), *theirs;
	pfn_t pfn = guest_frame(&guest);
	struct trap trap;

	theirs = host_frame_hva(guest.host, pfn);
	guest_code(&guest, other, CODE_GVA, code_word, code_word_end);
	guest_map(&guest, other, DATA_GVA, pfn, PTE_RW);
	mine[0] = 100;
	theirs[0] = 200;
	for (int i = 0; i < 10; i++) {
		struct guest_regs *regs = guest.vcpus->regs(vcpu);

		guest.vcpus->set_root(vcpu, i & 1 ? other : root);
		guest_jump(&guest, vcpu, CODE_GVA);
		regs->rdi = DATA_GVA;
		guest_run(&guest, vcpu, &trap);
		CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
		CU_ASSERT_EQUAL(regs->rax, i & 1 ? 200 : 100);
	}
	guest.vcpus->set_root(vcpu, root);
}

/* The frame of a root that is gone may be a root again, of quite another program. */
static void test_root_reused(void)
{
	gpa_t other = guest_root(&guest);
	pfn_t pfn[2] = { guest_frame(&guest), guest_frame(&guest) };
	struct trap trap;

	guest_code(&guest, other, CODE_GVA, code_word, code_word_end);
	guest_entry(&guest, other, DATA_GVA);
	for (uint64_t i = 0; i < 20; i++) {
		struct vcpu *v;

		*(uint64_t *)host_frame_hva(guest.host, pfn[i & 1]) = i;
		guest_map(&guest, other, DATA_GVA, pfn[i & 1], PTE_RO);
		v = guest_vcpu(&guest, other, CODE_GVA);
		guest.vcpus->regs(v)->rdi = DATA_GVA;
		guest_run(&guest, v, &trap);
		CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
		CU_ASSERT_EQUAL(guest.vcpus->regs(v)->rax, i);
		guest.vcpus->put(guest.host, v);
		/* What the manager owes: leaves zapped, and on shadow paging a flush. */
		if (!host_kind_get(guest.host)->nested_paging) {
			guest.mm->zap_frames(guest.host, &(struct frame_range){ pfn[i & 1], 1 }, 1);
			guest.mm->flush_tables(guest.host);
		}
	}
}

/* Many at once, each its own; the limit is an error and not an end. */
static void test_many(void)
{
	struct vcpu *v[40];
	struct trap trap;

	LOAD(code_calls);
	for (int i = 0; i < 40; i++) {
		v[i] = guest_vcpu(&guest, root, CODE_GVA);
		guest.vcpus->regs(v[i])->rbp = (uint64_t)i;
	}
	for (int i = 0; i < 40; i++) {
		guest_run(&guest, v[i], &trap);
		CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
		CU_ASSERT_EQUAL(guest.vcpus->regs(v[i])->rbp, (uint64_t)i);
	}
	for (int i = 0; i < 40; i++)
		guest.vcpus->put(guest.host, v[i]);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	guest_init(&guest, 1);
	root = guest_root(&guest);
	guest_map(&guest, root, CODE_GVA, guest_frame(&guest), PTE_RO);
	guest_map(&guest, root, DATA_GVA, guest_frame(&guest), PTE_RW);
	guest_entry(&guest, root, HOLE_GVA);
	vcpu = guest_vcpu(&guest, root, CODE_GVA);

	CU_initialize_registry();
	suite = CU_add_suite("vcpu", NULL, NULL);
	CU_add_test(suite, "fresh extended state", control_check);
	CU_add_test(suite, "registers through a system call", test_syscall_registers);
	CU_add_test(suite, "return from a system call", test_syscall_return);
	CU_add_test(suite, "all registers at once", test_full_load);
	CU_add_test(suite, "system call on a wild stack", test_syscall_wild_stack);
	CU_add_test(suite, "a served fault is invisible", test_fault_resume);
	CU_add_test(suite, "flags are sanitised", test_flags_sanitised);
	CU_add_test(suite, "segment bases", test_segment_bases);
	CU_add_test(suite, "SSE intact", test_sse_intact);
	CU_add_test(suite, "AVX intact", test_avx_intact);
	CU_add_test(suite, "hostile XSAVE image", test_xsave_garbage);
	CU_add_test(suite, "reuse leaks nothing", test_reuse);
	CU_add_test(suite, "selectors", test_selectors);
	CU_add_test(suite, "root switch", test_root_switch);
	CU_add_test(suite, "root used again", test_root_reused);
	CU_add_test(suite, "forty vCPUs", test_many);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	guest.vcpus->put(guest.host, vcpu);
	host_destroy(guest.host);
	return failures ? 1 : 0;
}
