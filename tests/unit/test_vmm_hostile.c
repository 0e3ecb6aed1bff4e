/* SPDX-License-Identifier: MIT */
/*
 * Programs of random bytes, with random registers, on a page of code, data and
 * stack: whatever they do is a trap of theirs. The vCPU never fails, is never
 * left at level 0, and still runs a good program afterwards.
 *
 * UMM_SEED repeats a run, UMM_TEST_SECONDS makes it longer.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/kvm_guest.h"

#define PAGE_GVA  0x400000ull
#define GOOD_GVA  0x600000ull
#define MAX_TRAPS 20u

static struct kvm_guest guest;
static struct vcpu *vcpu;
static uint64_t seed, state;
static _Atomic bool stop;
static unsigned int kinds[TRAP_ERROR + 1];

GUEST_CODE(code_good, "mov $0x1234567,%eax; mov %eax,%ebx; mov %cs,%ecx; mov %ecx,%edx; syscall");

/* xorshift64 */
static uint64_t random_next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Opcodes worth more than chance would give them: they enter and leave things. */
static const char *const spice[] = {
	"\x0f\x05",
	"\x0f\x34",
	"\x0f\x35",
	"\x0f\x07",
	"\x48\x0f\x07",
	"\xcd\x80",
	"\xcc",
	"\xf1",
	"\xcf",
	"\x48\xcf",
	"\xcb",
	"\x0f\x01\xc1",
	"\x0f\x01\xd9",
	"\x0f\x01\xf8",
	"\x0f\x01\xd1",
	"\x0f\x30",
	"\x0f\x32",
	"\x0f\xa2",
	"\xf4",
	"\xfa",
	"\xfb",
	"\xe6\x0e",
	"\xe7\x80",
	"\x6e",
	"\x0f\x22\xd8",
	"\x0f\x23\xf8",
	"\x0f\x06",
	"\x0f\x0b",
	"\x9d",
	"\x8e\xd8",
	"\x8e\xd0",
	"\x8e\xe8",
	"\x0f\xc7\xf8",
	"\x0f\xae\x00",
	"\x0f\x00\xd8",
	"\x0f\x01\x10",
	"\x89\x04\x25\x00\x50\x00\xc0",
	"\x8b\x04\x25\x00\x50\x00\xc0",
	"\xff\x24\x25\x00\x40\x00\xc0",
	"\x48\xc7\xc4\x00\x40\x00\xc0",
	"\xc7\xf8\x00\x00\x00\x00",
	"\xf3\x90",
	"\x62\xf1\x7c\x48\x28",
};

static void page_fill(uint8_t *page)
{
	for (unsigned int i = 0; i < UMM_PAGE_SIZE; i += 8) {
		uint64_t r = random_next();

		memcpy(page + i, &r, 8);
	}
	for (unsigned int i = 0; i < 256; i++) {
		const char *s = spice[random_next() % (sizeof(spice) / sizeof(spice[0]))];
		size_t len = strlen(s);

		/* A zero byte inside an entry cuts it short: random bytes follow. */
		memcpy(page + random_next() % (UMM_PAGE_SIZE - 16), s, len);
	}
}

static uint64_t random_value(void)
{
	switch (random_next() % 6) {
	case 0:
		return PAGE_GVA + random_next() % UMM_PAGE_SIZE;
	case 1:
		return KERNEL_GVA + random_next() % (8 * UMM_PAGE_SIZE);
	case 2:
		return random_next() % 300;
	case 3:
		return 0xc0000080ull + random_next() % 8; /* MSR numbers */
	case 4:
		return 0x8000000000000000ull >> random_next() % 64;
	default:
		return random_next();
	}
}

static void registers_fill(struct guest_regs *regs)
{
	uint64_t *r = (uint64_t *)regs;

	for (unsigned int i = 0; i < 16; i++)
		r[i] = random_value();
	regs->rip = PAGE_GVA + random_next() % UMM_PAGE_SIZE;
	regs->rflags = random_next() & ~0x100ull;
	guest.vcpus->regs_changed(vcpu);
	if (random_next() % 8 == 0) {
		regs->fs_base = random_value() & 0x7fffffffffff;
		guest.vcpus->segs_changed(vcpu);
	}
}

/* Endless loops are ended by kicks. */
static void *kicker_main(void *arg)
{
	while (!atomic_load(&stop)) {
		usleep(2000);
		guest.vcpus->kick(vcpu);
	}
	return arg;
}

/* One page of bytes; false if the vCPU failed. */
/* What the last random program ended with: told when the good one fails. */
static struct trap last;

static bool program_run(uint8_t *page)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap = { .kind = TRAP_KICK };

	page_fill(page);
	registers_fill(regs);
	for (unsigned int i = 0; i < MAX_TRAPS; i++) {
		guest.vcpus->run(vcpu, &trap);
		kinds[trap.kind]++;
		last = trap;
		if (trap.kind == TRAP_ERROR) {
			printf("  %s\n", trap.message);
			return false;
		}
		if (trap.kind == TRAP_KICK)
			break;
		/* As if a handler had resumed elsewhere, or right there. */
		if (trap.kind != TRAP_SYSCALL)
			registers_fill(regs);
	}
	return true;
}

static bool good_run(void)
{
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	struct trap trap;

	regs->rflags = 0x202;
	guest_jump(&guest, vcpu, GOOD_GVA);
	guest_run(&guest, vcpu, &trap);
	if (trap.kind == TRAP_SYSCALL && regs->rax == 0x1234567 && regs->rbx == 0x1234567 &&
	    regs->rdx == SEL_USER_CS)
		return true;
	printf("  after trap %d, vector %u, address %#llx\n", last.kind, last.vector,
	       (unsigned long long)last.address.v);
	printf("  good program: trap %d, vector %u, error %#llx, address %#llx, rip %#llx, "
	       "flags %#llx\n",
	       trap.kind, trap.vector, (unsigned long long)trap.error,
	       (unsigned long long)trap.address.v, (unsigned long long)regs->rip,
	       (unsigned long long)regs->rflags);
	return false;
}

static void test_random_programs(void)
{
	const char *limit = getenv("UMM_TEST_SECONDS");
	time_t end = time(NULL) + (limit && atoi(limit) > 0 ? atoi(limit) : 3);
	gpa_t root = guest_root(&guest);
	pfn_t pfn = guest_frame(&guest);
	unsigned int rounds = 0;
	bool ok = true;
	pthread_t thread;

	guest_map(&guest, root, PAGE_GVA, pfn, PTE_RW);
	guest_code(&guest, root, GOOD_GVA, code_good, code_good_end);
	vcpu = guest_vcpu(&guest, root, GOOD_GVA);
	CU_ASSERT_TRUE_FATAL(good_run());
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, kicker_main, NULL), 0);
	while (ok && time(NULL) < end) {
		uint64_t at = state;

		ok = program_run(host_frame_hva(guest.host, pfn));
		/* The good program is another task: the vCPU changes hands. */
		if (ok) {
			guest.vcpus->put(guest.host, vcpu);
			CU_ASSERT_PTR_EQUAL_FATAL(guest_vcpu(&guest, root, GOOD_GVA), vcpu);
			ok = good_run();
		}
		if (!ok)
			printf("  seed %#llx, round %u, state %#llx\n", (unsigned long long)seed,
			       rounds, (unsigned long long)at);
		rounds++;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(ok);
	CU_ASSERT_TRUE(kinds[TRAP_FAULT] > 0 && kinds[TRAP_EXCEPTION] > 0);
	printf("  (seed %#llx: %u programs, %u calls, %u faults, %u exceptions, %u kicks) ",
	       (unsigned long long)seed, rounds, kinds[TRAP_SYSCALL], kinds[TRAP_FAULT],
	       kinds[TRAP_EXCEPTION], kinds[TRAP_KICK]);
	guest.vcpus->put(guest.host, vcpu);
}

int main(void)
{
	const char *given = getenv("UMM_SEED");
	unsigned int failures;
	CU_pSuite suite;

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	state = seed ? seed : 1;
	guest_init(&guest, 1);

	CU_initialize_registry();
	suite = CU_add_suite("hostile", NULL, NULL);
	CU_add_test(suite, "programs of random bytes", test_random_programs);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	host_destroy(guest.host);
	return failures ? 1 : 0;
}
