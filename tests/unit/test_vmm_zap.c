/* SPDX-License-Identifier: MIT */
/*
 * The laws of zapping, under running vCPUs: after zap_frames() no vCPU uses an
 * old translation of the frame, after flush_tables() none uses an old table.
 * Every primitive is tried, not only the one that this host would choose.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/unit/kvm_guest.h"

#define CODE_GVA       0x400000ull
#define OTHER_CODE_GVA 0x401000ull
#define SHARED_GVA     0x600000ull
#define COUNTERS_GVA   0x40000000ull
#define WORD_GVA       0x50000000ull

#define NR_COUNTERS 64u
#define NR_SPARE    16u
#define NR_RUNNERS  2u
#define POISON      0xdeadbeefdeadbeefull

static struct kvm_guest guest;
static gpa_t root;

/* Add 1 to the word at RDI in each of RCX pages, until the word at R8 says stop; RDX rounds. */
GUEST_CODE(code_count,
	   "1: incq (%rdi); add $4096,%rdi; dec %ecx; jnz 1b; mov %rbx,%rdi; mov $64,%ecx; "
	   "inc %rdx; cmpq $0,(%r8); je 1b; syscall");
/* For ever: copy the word at RDI to RSI, and count at RSI + 8. */
GUEST_CODE(code_watch, "1: mov (%rdi),%rax; mov %rax,(%rsi); incq 8(%rsi); jmp 1b");

struct runner {
	unsigned int id;
	uint64_t rounds; /* out: how often each counter was counted up */
	uint64_t faults;
	enum trap_kind end;
	pthread_t thread;
};

/* A fault is served by waiting until the mover has put the entry back. */
static void *runner_main(void *arg)
{
	struct runner *r = arg;
	struct vcpu *v = guest_vcpu(&guest, root, CODE_GVA);
	struct guest_regs *regs = guest.vcpus->regs(v);
	struct trap trap;

	regs->rdi = regs->rbx = COUNTERS_GVA + r->id * 8;
	regs->rcx = NR_COUNTERS;
	regs->r8 = SHARED_GVA;
	for (;;) {
		uint64_t *entry;

		guest_run(&guest, v, &trap);
		if (trap.kind != TRAP_FAULT)
			break;
		r->faults++;
		entry = guest_entry(&guest, root, trap.address.v);
		while (!(__atomic_load_n(entry, __ATOMIC_SEQ_CST) & PTE_P))
			sched_yield();
	}
	r->end = trap.kind;
	r->rounds = regs->rdx;
	guest.vcpus->put(guest.host, v);
	return NULL;
}

struct mover {
	pfn_t frame[NR_COUNTERS];
	pfn_t spare[NR_SPARE];
	unsigned int seed;
	uint64_t moves, stale;
};

static uint64_t *frame_words(pfn_t pfn)
{
	return host_frame_hva(guest.host, pfn);
}

static void poison(pfn_t pfn)
{
	for (unsigned int i = 0; i < 512; i++)
		frame_words(pfn)[i] = POISON;
}

/* Move one page as migration does, and at once use its old frame otherwise. */
static void move_one(struct mover *m)
{
	unsigned int page, slot;
	struct frame_range old;
	uint64_t *entry;
	pfn_t new;

	m->seed = m->seed * 1103515245 + 12345;
	page = (m->seed >> 16) % NR_COUNTERS;
	slot = (m->seed >> 8) % NR_SPARE;
	old = (struct frame_range){ m->frame[page], 1 };
	new = m->spare[slot];
	entry = guest_entry(&guest, root, COUNTERS_GVA + page * UMM_PAGE_SIZE);
	__atomic_exchange_n(entry, 0, __ATOMIC_SEQ_CST);
	guest.mm->zap_frames(guest.host, &old, 1);
	for (unsigned int i = 0; i < 512; i++)
		m->stale += frame_words(new)[i] != POISON;
	CU_ASSERT_EQUAL(guest.mm->copy_frames(guest.host, new, old.pfn, 1), 0);
	poison(old.pfn);
	__atomic_store_n(entry, pfn_to_gpa(new).v | PTE_RW, __ATOMIC_SEQ_CST);
	m->frame[page] = new;
	m->spare[slot] = old.pfn;
	m->moves++;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void mover_start(struct mover *m)
{
	memset(m, 0, sizeof(*m));
	for (unsigned int i = 0; i < NR_COUNTERS; i++) {
		m->frame[i] = guest_frame(&guest);
		memset(frame_words(m->frame[i]), 0, UMM_PAGE_SIZE);
		guest_map(&guest, root, COUNTERS_GVA + i * UMM_PAGE_SIZE, m->frame[i], PTE_RW);
	}
	for (unsigned int i = 0; i < NR_SPARE; i++) {
		m->spare[i] = guest_frame(&guest);
		poison(m->spare[i]);
	}
	guest.mm->flush_tables(guest.host);
}

/* For two seconds, or @max moves if that is less. */
static void migrate_under(enum zap_primitive zap, enum flush_primitive flush, uint64_t max)
{
	static struct mover m;
	struct runner runners[NR_RUNNERS];
	pfn_t shared = guest_frame(&guest);
	uint64_t lost = 0, faults = 0;
	double end;

	guest.host->zapper.primitive = zap;
	guest.host->zapper.flush = flush;
	guest_map(&guest, root, SHARED_GVA, shared, PTE_RW);
	mover_start(&m);
	for (unsigned int i = 0; i < NR_RUNNERS; i++) {
		runners[i] = (struct runner){ .id = i };
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]), 0);
	}
	end = seconds() + 2;
	while (m.moves < max && seconds() < end)
		move_one(&m);
	__atomic_store_n(frame_words(shared), 1, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < NR_RUNNERS; i++) {
		pthread_join(runners[i].thread, NULL);
		CU_ASSERT_EQUAL(runners[i].end, TRAP_SYSCALL);
		faults += runners[i].faults;
	}
	for (unsigned int i = 0; i < NR_COUNTERS; i++)
		for (unsigned int j = 0; j < NR_RUNNERS; j++)
			lost += frame_words(m.frame[i])[j] != runners[j].rounds;
	printf("  (%s, %s: %llu moves, %llu faults, %llu rounds) ", zap_primitive_name(zap),
	       flush_primitive_name(flush), (unsigned long long)m.moves, (unsigned long long)faults,
	       (unsigned long long)runners[0].rounds);
	CU_ASSERT_EQUAL(lost, 0);
	CU_ASSERT_EQUAL(m.stale, 0);
	CU_ASSERT_TRUE(m.moves > 10);
	guest_map(&guest, root, SHARED_GVA, shared, 0);
	guest.mm->flush_tables(guest.host);
}

static void test_migrate_clear(void)
{
	migrate_under(guest.host->zapper.primitive, guest.host->zapper.flush, 50000);
}

static void test_migrate_toggle(void)
{
	migrate_under(ZAP_UFFD_TOGGLE, FLUSH_DUMMY_SLOT, 20000);
}

static void test_migrate_flush(void)
{
	migrate_under(ZAP_FLUSH, FLUSH_DUMMY_SLOT, 3000);
}

static void test_migrate_slot_cycle(void)
{
	migrate_under(ZAP_FLUSH, FLUSH_SLOT_CYCLE, 500);
}

struct watcher {
	struct vcpu *_Atomic v;
	_Atomic bool stop;
	unsigned int wrong;
};

static void *watcher_main(void *arg)
{
	struct watcher *w = arg;
	struct trap trap;
	struct vcpu *v = guest_vcpu(&guest, root, OTHER_CODE_GVA);
	struct guest_regs *regs = guest.vcpus->regs(v);

	regs->rdi = WORD_GVA;
	regs->rsi = SHARED_GVA;
	atomic_store(&w->v, v);
	while (!atomic_load(&w->stop)) {
		guest.vcpus->run(v, &trap);
		w->wrong += trap.kind != TRAP_KICK;
		if (w->wrong)
			break;
	}
	guest.vcpus->put(guest.host, v);
	return NULL;
}

/* Wait until the watcher has been round twice more; false: it never was. */
static bool watcher_turns(volatile uint64_t *shared)
{
	uint64_t count = shared[1];
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		if (shared[1] - count > 2)
			return true;
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 60);
	return false;
}

/* A running program changes tables under its feet: entries above the leaves. */
static void flush_under(enum flush_primitive flush, unsigned int rounds)
{
	struct watcher w = { 0 };
	pfn_t shared_pfn = guest_frame(&guest), words[2];
	uint64_t *directory;
	gpa_t tables[2];
	pthread_t thread;

	guest.host->zapper.flush = flush;
	guest_map(&guest, root, SHARED_GVA, shared_pfn, PTE_RW);
	guest_entry(&guest, root, WORD_GVA);
	directory = guest_table_hva(&guest, root);
	for (int shift = 39; shift > 21; shift -= 9)
		directory = guest_table_hva(&guest, gpa_make(directory[WORD_GVA >> shift & 511] &
							     UMM_PAGE_MASK));
	for (unsigned int i = 0; i < 2; i++) {
		words[i] = guest_frame(&guest);
		frame_words(words[i])[0] = i + 1;
		tables[i] = guest_table(&guest);
		guest_table_hva(&guest, tables[i])[WORD_GVA >> 12 & 511] = pfn_to_gpa(words[i]).v |
									   PTE_RO;
	}
	directory += WORD_GVA >> 21 & 511;
	__atomic_store_n(directory, tables[0].v | PTE_RW, __ATOMIC_SEQ_CST);
	guest.mm->flush_tables(guest.host);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, watcher_main, &w), 0);
	CU_ASSERT_TRUE(watcher_turns(frame_words(shared_pfn)));
	for (unsigned int i = 1; i <= rounds; i++) {
		__atomic_store_n(directory, tables[i & 1].v | PTE_RW, __ATOMIC_SEQ_CST);
		guest.mm->flush_tables(guest.host);
		if (!watcher_turns(frame_words(shared_pfn))) {
			CU_FAIL("the program does not go on");
			break;
		}
		CU_ASSERT_EQUAL(frame_words(shared_pfn)[0], (i & 1) + 1);
	}
	atomic_store(&w.stop, true);
	guest.vcpus->kick(atomic_load(&w.v));
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(w.wrong, 0);
	guest_map(&guest, root, SHARED_GVA, shared_pfn, 0);
	guest.mm->flush_tables(guest.host);
}

static void test_flush_dummy(void)
{
	flush_under(FLUSH_DUMMY_SLOT, 300);
}

static void test_flush_cycle(void)
{
	flush_under(FLUSH_SLOT_CYCLE, 50);
}

static void *flusher_main(void *arg)
{
	for (int i = 0; i < 200; i++)
		guest.mm->flush_tables(guest.host);
	return arg;
}

/* Several at once: each returns, and only after a flush that began after it. */
static void test_flush_parallel(void)
{
	struct host_counters before, after;
	pthread_t threads[4];

	guest.host->zapper.flush = FLUSH_DUMMY_SLOT;
	host_counters_read(guest.host, &before);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, flusher_main, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	host_counters_read(guest.host, &after);
	CU_ASSERT_TRUE(after.table_flushes - before.table_flushes >= 200);
	CU_ASSERT_TRUE(after.table_flushes - before.table_flushes <= 800);
}

/* Ranges across the border of two nodes, never populated frames among them. */
static void test_zap_ranges(void)
{
	const struct host_node *node = host_node_get(guest.host, 1);
	struct host_counters before, after;
	struct frame_range ranges[3] = {
		{ pfn_make(node->base.v - 100), 50 },
		{ pfn_make(node->base.v - 50), 100 },
		{ pfn_make(node->base.v + 500), 1 },
	};

	guest.host->zapper.primitive = ZAP_UFFD_CLEAR;
	host_counters_read(guest.host, &before);
	guest.mm->zap_frames(guest.host, ranges, 3);
	host_counters_read(guest.host, &after);
	CU_ASSERT_EQUAL(after.zap_frames - before.zap_frames, 151);
	/* The first two are one, cut at the border. */
	CU_ASSERT_EQUAL(after.zap_ranges - before.zap_ranges, 3);
	CU_ASSERT_EQUAL(after.table_flushes, before.table_flushes);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	guest_init(&guest, 2);
	/* Let the host choose before the tests do. */
	guest.mm->flush_tables(guest.host);
	root = guest_root(&guest);
	guest_code(&guest, root, CODE_GVA, code_count, code_count_end);
	guest_code(&guest, root, OTHER_CODE_GVA, code_watch, code_watch_end);
	for (unsigned int i = 0; i < NR_COUNTERS; i++)
		guest_entry(&guest, root, COUNTERS_GVA + i * UMM_PAGE_SIZE);

	CU_initialize_registry();
	suite = CU_add_suite("zap", NULL, NULL);
	CU_add_test(suite, "ranges", test_zap_ranges);
	CU_add_test(suite, "live migration, this host's choice", test_migrate_clear);
	CU_add_test(suite, "live migration, protect and unprotect", test_migrate_toggle);
	CU_add_test(suite, "live migration, flushing all", test_migrate_flush);
	CU_add_test(suite, "live migration, stopping the world", test_migrate_slot_cycle);
	CU_add_test(suite, "tables flushed while running", test_flush_dummy);
	CU_add_test(suite, "tables flushed by stopping the world", test_flush_cycle);
	CU_add_test(suite, "flushes in parallel", test_flush_parallel);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	host_destroy(guest.host);
	return failures ? 1 : 0;
}
