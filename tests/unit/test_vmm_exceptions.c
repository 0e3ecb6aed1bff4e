/* SPDX-License-Identifier: MIT */
/*
 * What a program does wrong arrives as the right trap, with the registers of
 * the instruction that did it, and the vCPU goes on afterwards.
 */
#include <CUnit/Basic.h>

#include "tests/unit/kvm_guest.h"

#define CODE_GVA  0x400000ull
#define DATA_GVA  0x600000ull
#define STACK_TOP 0x801000ull

static struct kvm_guest guest;
static gpa_t root;
static struct vcpu *vcpu;

/* Each ends with a system call, so that the program can be seen to go on. */
GUEST_CODE(code_de, "xor %ecx,%ecx; mov $1,%eax; xor %edx,%edx; div %ecx; 1: syscall; jmp 1b");
GUEST_CODE(code_ud, "ud2; 1: syscall; jmp 1b");
GUEST_CODE(code_bp, "int3; 1: syscall; jmp 1b");
GUEST_CODE(code_hlt, "hlt; 1: syscall; jmp 1b");
GUEST_CODE(code_out, "out %al,$0x0e; 1: syscall; jmp 1b");
GUEST_CODE(code_outl, "out %eax,$0x80; 1: syscall; jmp 1b");
GUEST_CODE(code_in, "in $0x60,%al; 1: syscall; jmp 1b");
GUEST_CODE(code_cli, "cli; 1: syscall; jmp 1b");
GUEST_CODE(code_int80, "int $0x80; 1: syscall; jmp 1b");
GUEST_CODE(code_int14, "int $14; 1: syscall; jmp 1b");
GUEST_CODE(code_rdmsr, "mov $0xc0000082,%ecx; rdmsr; 1: syscall; jmp 1b");
GUEST_CODE(code_movcr, "mov %cr3,%rax; 1: syscall; jmp 1b");
GUEST_CODE(code_lgdt, "lgdt (%rsp); 1: syscall; jmp 1b");
GUEST_CODE(code_noncanonical, "mov $0x8000000000000000,%rax; mov (%rax),%rbx; 1: syscall; jmp 1b");
GUEST_CODE(code_badseg, "mov $0x1238,%eax; mov %eax,%ds; 1: syscall; jmp 1b");
GUEST_CODE(code_compat, "push $0x23; push $0x400000; lretq; 1: syscall; jmp 1b");
GUEST_CODE(code_step, "pushf; orl $0x100,(%rsp); popf; nop; 1: syscall; jmp 1b");
GUEST_CODE(code_xm, "push $0x1d80; ldmxcsr (%rsp); xorps %xmm0,%xmm0; mov $0x3f800000,%eax; "
		    "movd %eax,%xmm1; divss %xmm0,%xmm1; 1: syscall; jmp 1b");
GUEST_CODE(code_ac, "pushf; orl $0x40000,(%rsp); popf; mov $0x600001,%edi; mov (%rdi),%eax; "
		    "1: syscall; jmp 1b");

struct bad_program {
	const char *name, *code, *end;
	uint32_t vector;
	uint64_t error;
	unsigned int offset; /* of the RIP reported */
	unsigned int length; /* of the instruction to step over, 0: reported behind it */
};

/* #AC and #XM: emulated processors may not raise them; the program then goes on. */
static bool vector_optional(uint32_t vector)
{
	return vector == 17 || vector == 19;
}

#define PROGRAM(n, vec, err, off, len)                           \
	{                                                        \
#n, code_##n, code_##n##_end, vec, err, off, len \
	}

static const struct bad_program programs[] = {
	PROGRAM(de, 0, 0, 9, 2),           PROGRAM(ud, 6, 0, 0, 2),
	PROGRAM(bp, 3, 0, 1, 0),           PROGRAM(hlt, 13, 0, 0, 1),
	PROGRAM(out, 13, 0, 0, 2),         PROGRAM(outl, 13, 0, 0, 2),
	PROGRAM(in, 13, 0, 0, 2),          PROGRAM(cli, 13, 0, 0, 1),
	PROGRAM(rdmsr, 13, 0, 5, 2),       PROGRAM(movcr, 13, 0, 0, 3),
	PROGRAM(lgdt, 13, 0, 0, 4),        PROGRAM(noncanonical, 13, 0, 10, 3),
	PROGRAM(badseg, 13, 0x1238, 5, 2), PROGRAM(step, 1, 0, 10, 0),
	PROGRAM(xm, 19, 0, 21, 4),         PROGRAM(ac, 17, 0, 14, 2),
};

/* The same page for every program: what it maps changes, as after an exec. */
static void program_load(const struct bad_program *program)
{
	pfn_t pfn = gpa_to_pfn(gpa_make(*guest_entry(&guest, root, CODE_GVA) & UMM_PAGE_MASK));

	memcpy(host_frame_hva(guest.host, pfn), program->code,
	       (size_t)(program->end - program->code));
	guest_jump(&guest, vcpu, CODE_GVA);
	guest.vcpus->regs(vcpu)->rsp = STACK_TOP - 64;
	guest.vcpus->regs(vcpu)->rflags = 0x202;
}

static void program_check(const struct bad_program *program)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap;

	program_load(program);
	guest_run(&guest, vcpu, &trap);
	if (trap.kind == TRAP_SYSCALL && vector_optional(program->vector)) {
		printf("  (this processor does not raise vector %u) ", program->vector);
		guest.vcpus->xsave_reset(vcpu);
		return;
	}
	if (trap.kind != TRAP_EXCEPTION || trap.vector != program->vector ||
	    trap.error != program->error || regs->rip != CODE_GVA + program->offset)
		printf("  %s: kind %d vector %u error %#llx rip +%#llx %s\n", program->name,
		       trap.kind, trap.vector, (unsigned long long)trap.error,
		       (unsigned long long)(regs->rip - CODE_GVA),
		       trap.message ? trap.message : "");
	CU_ASSERT_EQUAL(trap.kind, TRAP_EXCEPTION);
	CU_ASSERT_EQUAL(trap.vector, program->vector);
	CU_ASSERT_EQUAL(trap.error, program->error);
	CU_ASSERT_EQUAL(regs->rip, CODE_GVA + program->offset);
	/* A handler would step over it; then the program goes on. */
	regs->rip += program->length;
	regs->rflags &= ~0x40100ull;
	guest.vcpus->regs_changed(vcpu);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	guest.vcpus->xsave_reset(vcpu);
}

static void test_vectors(void)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		program_check(&programs[i]);
}

/*
 * A gate that is not for programs. KVM's emulator, which software-virtualising
 * hosts use, does not know INT n and raises #UD instead of #GP; QEMU's gets the
 * vector in the error code wrong.
 */
static void test_int_n(void)
{
	const struct bad_program bad[] = {
		PROGRAM(int80, 13, 0, 0, 2),
		PROGRAM(int14, 13, 0, 0, 2),
	};
	struct trap trap;

	for (int i = 0; i < 2; i++) {
		program_load(&bad[i]);
		guest_run(&guest, vcpu, &trap);
		CU_ASSERT_EQUAL(trap.kind, TRAP_EXCEPTION);
		if (trap.vector != 6) {
			CU_ASSERT_EQUAL(trap.vector, 13);
			CU_ASSERT_TRUE(trap.error & 2);
		}
		CU_ASSERT_EQUAL(guest.vcpus->regs(vcpu)->rip, CODE_GVA);
	}
}

/* There is no 32-bit code segment to go to. */
static void test_no_compat_mode(void)
{
	const struct bad_program program = PROGRAM(compat, 13, 0x20, 7, 0);
	struct trap trap;

	program_load(&program);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_EXCEPTION);
	CU_ASSERT_TRUE(trap.vector == 13 || trap.vector == 11);
}

GUEST_CODE(code_load, "mov (%rdi),%rax; syscall");
GUEST_CODE(code_store, "mov %rax,(%rdi); syscall");
GUEST_CODE(code_call, "jmp *%rdi");

static void fault_check(const char *code, const char *end, uint64_t gva, uint64_t error)
{
	const struct bad_program program = { "fault", code, end, 14, 0, 0, 0 };
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap;

	program_load(&program);
	regs->rdi = gva;
	guest_run(&guest, vcpu, &trap);
	if (trap.kind != TRAP_FAULT || trap.address.v != gva || trap.error != error)
		printf("  fault at %#llx: kind %d vector %u address %#llx error %#llx\n",
		       (unsigned long long)gva, trap.kind, trap.vector,
		       (unsigned long long)trap.address.v, (unsigned long long)trap.error);
	CU_ASSERT_EQUAL(trap.kind, TRAP_FAULT);
	CU_ASSERT_EQUAL(trap.address.v, gva);
	CU_ASSERT_EQUAL(trap.error, error);
}

static void test_page_faults(void)
{
	fault_check(code_load, code_load_end, 0x10000000, PF_USER);
	fault_check(code_store, code_store_end, 0x10000000, PF_USER | PF_WRITE);
	fault_check(code_store, code_store_end, CODE_GVA + 0x800, PF_USER | PF_WRITE | PF_PRESENT);
	fault_check(code_call, code_call_end, 0x10000000, PF_USER | PF_INSTR);
	/* The data page is not executable. */
	fault_check(code_call, code_call_end, DATA_GVA, PF_USER | PF_INSTR | PF_PRESENT);
}

/* What the VM needs for itself is out of a program's reach. */
static void test_kernel_half(void)
{
	for (int page = KERNEL_PAGE_GDT; page <= KERNEL_PAGE_SYSCALL_CPL0; page++)
		fault_check(code_load, code_load_end, KERNEL_PAGE_GVA(page), PF_USER | PF_PRESENT);
	fault_check(code_load, code_load_end, KERNEL_PAGE_GVA(KERNEL_PAGE_VCPU0),
		    PF_USER | PF_PRESENT);
	fault_check(code_store, code_store_end, KERNEL_PAGE_GVA(KERNEL_PAGE_VCPU0) + 0xff8,
		    PF_USER | PF_WRITE | PF_PRESENT);
	fault_check(code_store, code_store_end, KERNEL_PAGE_GVA(KERNEL_PAGE_SYSCALL_CPL3),
		    PF_USER | PF_WRITE | PF_PRESENT);
	fault_check(code_load, code_load_end, KERNEL_PAGE_GVA(KERNEL_PAGE_VCPU0 + 600), PF_USER);
	fault_check(code_call, code_call_end, KERNEL_PAGE_GVA(KERNEL_PAGE_EXCEPTIONS) + 14 * 4,
		    PF_USER | PF_INSTR | PF_PRESENT);
}

/* What is behind it is the host's affair; software-virtualising ones tell odd bits. */
static void test_hypervisor_half(void)
{
	const struct bad_program program = PROGRAM(load, 14, 0, 0, 0);
	struct trap trap;

	for (uint64_t i = 0; i < 32; i++) {
		uint64_t gva = 0xffff800000000000ull + (i << 42);

		program_load(&program);
		guest.vcpus->regs(vcpu)->rdi = gva;
		guest_run(&guest, vcpu, &trap);
		CU_ASSERT_EQUAL(trap.kind, TRAP_FAULT);
		CU_ASSERT_EQUAL(trap.address.v, gva);
		CU_ASSERT_TRUE(trap.error & PF_USER);
	}
}

/* A program that rings the doorbell by itself, or listens at it. */
static void test_doorbell(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);

	fault_check(code_store, code_store_end, KERNEL_PAGE_GVA(KERNEL_PAGE_DOORBELL),
		    PF_USER | PF_WRITE);
	regs->rax = 0x1234;
	fault_check(code_load, code_load_end, KERNEL_PAGE_GVA(KERNEL_PAGE_DOORBELL), PF_USER);
	CU_ASSERT_EQUAL(regs->rip, CODE_GVA);
	CU_ASSERT_EQUAL(regs->rax, 0x1234);
}

/* A stack pointer that leads nowhere is the program's affair only. */
static void test_wild_stack(void)
{
	const struct bad_program program = PROGRAM(ud, 6, 0, 0, 2);
	struct trap trap;

	program_load(&program);
	guest.vcpus->regs(vcpu)->rsp = 0xdead0000beef1233ull;
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_EXCEPTION);
	CU_ASSERT_EQUAL(trap.vector, 6);
	CU_ASSERT_EQUAL(guest.vcpus->regs(vcpu)->rsp, 0xdead0000beef1233ull);
	guest_jump(&guest, vcpu, CODE_GVA + 2);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_SYSCALL);
	CU_ASSERT_EQUAL(guest.vcpus->regs(vcpu)->rsp, 0xdead0000beef1233ull);
}

/* Resuming where no address can be is the #GP that the processor would raise. */
static void test_noncanonical_rip(void)
{
	struct trap trap;

	guest_jump(&guest, vcpu, 0x0000800000000000ull);
	guest_run(&guest, vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_EXCEPTION);
	CU_ASSERT_EQUAL(trap.vector, 13);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	guest_init(&guest, 1);
	root = guest_root(&guest);
	guest_map(&guest, root, CODE_GVA, guest_frame(&guest), PTE_RO);
	guest_map(&guest, root, DATA_GVA, guest_frame(&guest), PTE_RW | 1ull << 63);
	guest_map(&guest, root, STACK_TOP - UMM_PAGE_SIZE, guest_frame(&guest), PTE_RW);
	vcpu = guest_vcpu(&guest, root, CODE_GVA);

	CU_initialize_registry();
	suite = CU_add_suite("exceptions", NULL, NULL);
	CU_add_test(suite, "every vector, and on", test_vectors);
	CU_add_test(suite, "INT n", test_int_n);
	CU_add_test(suite, "no compatibility mode", test_no_compat_mode);
	CU_add_test(suite, "page faults", test_page_faults);
	CU_add_test(suite, "kernel half out of reach", test_kernel_half);
	CU_add_test(suite, "the rest of the upper half", test_hypervisor_half);
	if (host_kind_get(guest.host)->syscall_cpl == 3)
		CU_add_test(suite, "doorbell", test_doorbell);
	CU_add_test(suite, "wild stack pointer", test_wild_stack);
	CU_add_test(suite, "non-canonical RIP", test_noncanonical_rip);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	guest.vcpus->put(guest.host, vcpu);
	host_destroy(guest.host);
	return failures ? 1 : 0;
}
