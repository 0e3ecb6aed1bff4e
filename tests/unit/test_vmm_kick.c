/* SPDX-License-Identifier: MIT */
/*
 * Kicks: none is lost, wherever it falls, and none disturbs the program. Who keeps vCPUs out,
 * and who looks whether they are in.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/kvm_guest.h"
#include "tests/unit/util.h"

#define CODE_GVA 0x400000ull
#define HOLE_GVA 0x10000000ull

static struct kvm_guest guest;
static gpa_t root;
static struct vcpu *vcpu;

GUEST_CODE(code_spin, "1: jmp 1b");
GUEST_CODE(code_calls, "1: syscall; jmp 1b");
GUEST_CODE(code_fault, "mov (%rbx),%rbx; syscall");

static void load(const char *code, const char *end)
{
	pfn_t pfn = gpa_to_pfn(gpa_make(*guest_entry(&guest, root, CODE_GVA) & UMM_PAGE_MASK));

	memcpy(host_frame_hva(guest.host, pfn), code, (size_t)(end - code));
	guest_jump(&guest, vcpu, CODE_GVA);
}

struct kicker {
	struct vcpu *v;
	_Atomic unsigned int told; /* kicks that run() reported */
	_Atomic bool stop;
	unsigned int lost;
};

/* Kick, and wait for the report; a minute without one is a lost kick. */
static void *kicker_main(void *arg)
{
	struct kicker *k = arg;

	for (unsigned int i = 0; i < 300 && !k->lost; i++) {
		unsigned int told = atomic_load(&k->told);
		struct timespec begin, now;

		guest.vcpus->kick(k->v);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		while (atomic_load(&k->told) == told) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (now.tv_sec - begin.tv_sec > 60) {
				k->lost++;
				break;
			}
		}
	}
	atomic_store(&k->stop, true);
	guest.vcpus->kick(k->v);
	return NULL;
}

/*
 * The program does nothing but spin, make calls, or fault: kicks fall into
 * guest code, stubs, and the host's part. Each must be told, and the program's
 * registers stay what they were.
 */
static void kick_storm(const char *code, const char *end, enum trap_kind other)
{
	struct kicker k = { .v = vcpu };
	struct guest_regs *regs = guest.vcpus->regs(vcpu);
	unsigned int wrong = 0;
	pthread_t thread;
	struct trap trap;

	load(code, end);
	regs->rbx = HOLE_GVA;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, kicker_main, &k), 0);
	while (!atomic_load(&k.stop)) {
		guest.vcpus->run(vcpu, &trap);
		if (trap.kind == TRAP_KICK)
			atomic_fetch_add(&k.told, 1);
		else if (trap.kind != other)
			wrong++;
		if (regs->rip < CODE_GVA || regs->rip > CODE_GVA + 16 || regs->rbx != HOLE_GVA)
			wrong++;
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(k.lost, 0);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_kicks(void)
{
	kick_storm(code_spin, code_spin_end, TRAP_KICK);
	kick_storm(code_calls, code_calls_end, TRAP_SYSCALL);
	kick_storm(code_fault, code_fault_end, TRAP_FAULT);
}

static _Atomic int hooks;

static void hook(void *ucontext)
{
	if (ucontext)
		atomic_fetch_add(&hooks, 1);
}

/* A blocking host call of the owner ends with EINTR, and the hook is called. */
static void *sleeper_kick(void *arg)
{
	unit_await_sleep(*(pid_t *)arg);
	guest.vcpus->kick(vcpu);
	return NULL;
}

static void test_kick_blocking_call(void)
{
	pid_t self = gettid();
	pthread_t thread;
	struct trap trap;

	host_set_kick_hook(hook);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, sleeper_kick, &self), 0);
	CU_ASSERT_EQUAL(usleep(100000000), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(atomic_load(&hooks), 1);
	host_set_kick_hook(NULL);
	/* And the next run tells of it, though it never entered the guest. */
	load(code_spin, code_spin_end);
	guest.vcpus->run(vcpu, &trap);
	CU_ASSERT_EQUAL(trap.kind, TRAP_KICK);
}

struct runner {
	_Atomic unsigned long calls;
	_Atomic bool stop;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	struct trap trap;

	kick_enter(vcpu);
	while (!atomic_load(&r->stop)) {
		guest.vcpus->run(vcpu, &trap);
		atomic_fetch_add(&r->calls, trap.kind == TRAP_SYSCALL);
	}
	kick_leave(vcpu);
	return NULL;
}

/* Out of two pauses, nested or not, vCPUs come when both are over. */
static void test_two_pauses(void)
{
	struct runner r = { .calls = 0 };
	unsigned long before;
	pthread_t thread;

	load(code_calls, code_calls_end);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, runner_main, &r), 0);
	while (atomic_load(&r.calls) < 10)
		usleep(100);
	CU_ASSERT_TRUE(host_try_pause(guest.host));
	CU_ASSERT_TRUE(host_try_pause(guest.host));
	host_resume(guest.host);
	before = atomic_load(&r.calls);
	usleep(20000);
	/* It may have come out with a call that is counted only now. */
	CU_ASSERT_TRUE(atomic_load(&r.calls) <= before + 1);
	host_resume(guest.host);
	before = atomic_load(&r.calls);
	for (int i = 0; i < 600000 && atomic_load(&r.calls) < before + 10; i++)
		usleep(100);
	CU_ASSERT_TRUE(atomic_load(&r.calls) >= before + 10);
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
}

/* Another thread helps a migration only with a processor that no running vCPU has. */
static void test_spare_processor(void)
{
	struct copier *c = &guest.host->copier;
	unsigned int cpus = c->cpus;
	struct runner r = { .calls = 0 };
	pthread_t thread;

	c->cpus = 2;
	CU_ASSERT_TRUE(copier_wants_helper(c));
	load(code_spin, code_spin_end);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, runner_main, &r), 0);
	while (!atomic_load(&vcpu->in_guest))
		usleep(100);
	CU_ASSERT_FALSE(copier_wants_helper(c));
	c->cpus = 3;
	CU_ASSERT_TRUE(copier_wants_helper(c));
	c->cpus = 2;
	atomic_store(&r.stop, true);
	guest.vcpus->kick(vcpu);
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(copier_wants_helper(c));
	c->cpus = cpus;
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	guest_init(&guest, 1);
	root = guest_root(&guest);
	guest_map(&guest, root, CODE_GVA, guest_frame(&guest), PTE_RO);
	guest_entry(&guest, root, HOLE_GVA);
	vcpu = guest_vcpu(&guest, root, CODE_GVA);

	CU_initialize_registry();
	suite = CU_add_suite("kick", NULL, NULL);
	CU_add_test(suite, "no kick is lost", test_kicks);
	CU_add_test(suite, "kick ends a blocking call", test_kick_blocking_call);
	CU_add_test(suite, "two pauses at a time", test_two_pauses);
	CU_add_test(suite, "no second mover beside a running vCPU", test_spare_processor);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	guest.vcpus->put(guest.host, vcpu);
	host_destroy(guest.host);
	return failures ? 1 : 0;
}
