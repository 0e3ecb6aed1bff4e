/* SPDX-License-Identifier: MIT */
/*
 * Restartable sequences.
 *
 *	rseq				what the call refuses, what it tells, what aborts
 *	rseq count THREADS SECONDS|FILE	counters of each processor, changed by sequences without
 *					a locked instruction: none may lose an increment; until
 *					the time is over or FILE is there
 *
 * While they count, the threads are sent signals, bind themselves to processors and let go
 * of them, touch pages for the first time and make calls.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "progs.h"
#include "sequence.h"

#define MAX_CPUS    1024
#define MAX_THREADS 64
#define SEQUENCE_US 2 /* about: long, so that most switches are amid one */
#define UNREGISTER  1

struct sequence {
	uint32_t version, flags;
	uint64_t start, length, abort;
} __attribute__((aligned(32)));

static long rseq(void *area, unsigned long len, int flags, uint32_t signature)
{
	return syscall(SYS_rseq, area, len, flags, signature);
}

/* If the C library has registered the thread (as its maker was), its area makes room for ours. */
static void without_libc(void)
{
	volatile struct area *area = area_of_libc();

	if (__rseq_size && (int32_t)area->cpu_id >= 0 &&
	    rseq((void *)area, 32, UNREGISTER, SIGNATURE)) {
		perror("the C library's rseq");
		exit(2);
	}
}

/* ---- what is refused -------------------------------------------------------------- */

static struct area areas[4];

static void show_fields(const char *what, const volatile struct area *a)
{
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	if (a->cpu_id == ~0u)
		printf("%s: not registered, start %u node %u cid %u\n", what, a->cpu_id_start,
		       a->node_id, a->mm_cid);
	else
		printf("%s: %s, %s, cid %s, cs %s\n", what,
		       a->cpu_id_start == a->cpu_id ? "the same twice" : "two processors",
		       CPU_ISSET(a->cpu_id, &set) ? "allowed" : "not allowed",
		       a->mm_cid < (unsigned int)CPU_COUNT(&set) ? "low" : "high",
		       a->cs ? "set" : "clear");
}

static void refusals(void)
{
	struct area *a = &areas[1];

	printf("-- refusals\n");
	SHOW(rseq(a, 32, UNREGISTER, SIGNATURE));
	SHOW(rseq(NULL, 32, UNREGISTER, 0));
	SHOW(rseq(a, 31, 0, SIGNATURE));
	SHOW(rseq(a, 28, 0, SIGNATURE));
	SHOW(rseq(a, 0, 0, SIGNATURE));
	SHOW(rseq((char *)a + 8, 32, 0, SIGNATURE));
	SHOW(rseq((char *)a + 16, 64, 0, SIGNATURE));
	SHOW(rseq(a, 32, 2, SIGNATURE));
	SHOW(rseq(a, 32, 3, SIGNATURE));
	SHOW(rseq(a, 32, -1, SIGNATURE));
	SHOW(rseq((void *)0xffff888000000000, 32, 0, SIGNATURE));
	SHOW(rseq((void *)0x8000000000000000, 32, 0, SIGNATURE));
	SHOW(rseq((void *)-32, 32, 0, SIGNATURE));
	SHOW(rseq(a, 32, 0, SIGNATURE));
	show_fields("registered", a);
	SHOW(rseq(a, 32, 0, SIGNATURE));
	SHOW(rseq(a, 32, 0, SIGNATURE + 1));
	SHOW(rseq(a, 64, 0, SIGNATURE));
	SHOW(rseq(a + 1, 32, 0, SIGNATURE));
	SHOW(rseq(a, 32, UNREGISTER, SIGNATURE + 1));
	SHOW(rseq(a, 64, UNREGISTER, SIGNATURE));
	SHOW(rseq(a + 1, 32, UNREGISTER, SIGNATURE));
	SHOW(rseq(a, 32, UNREGISTER | 2, SIGNATURE));
	show_fields("still", a);
	SHOW(rseq(a, 32, UNREGISTER, SIGNATURE));
	show_fields("no longer", a);
	SHOW(rseq(a, 32, UNREGISTER, SIGNATURE));
	SHOW(rseq(a, 64, 0, 0));
	show_fields("longer", a);
	SHOW(rseq(a, 64, UNREGISTER, 0));
}

/* ---- what is told --------------------------------------------------------------------- */

static bool told_right(const volatile struct area *a)
{
	unsigned int cpu, node;

	if (syscall(SYS_getcpu, &cpu, &node, NULL))
		return false;
	return a->cpu_id == cpu && a->cpu_id_start == cpu && a->node_id == node;
}

/* Bound to each processor in turn: that one, at once. */
static void processors(void)
{
	cpu_set_t all, one;
	int cpu, i, wrong = 0;

	printf("-- processors\n");
	sched_getaffinity(0, sizeof(all), &all);
	if (rseq(&areas[0], 32, 0, SIGNATURE))
		exit(2);
	for (i = 0; i < 20; i++) {
		for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &all))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			wrong += areas[0].cpu_id != (unsigned int)cpu || !told_right(&areas[0]);
		}
	}
	sched_setaffinity(0, sizeof(all), &all);
	printf("told wrong: %d\n", wrong);
	SHOW(rseq(&areas[0], 32, UNREGISTER, SIGNATURE));
}

static int in_clone(void *arg)
{
	(void)arg;
	_exit(rseq(&areas[0], 32, UNREGISTER, SIGNATURE) ? errno : 0);
}

static void children(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	char *again[] = { "rseq", "registered", NULL };
	pid_t pid;

	printf("-- children\n");
	SHOW(rseq(&areas[0], 32, 0, SIGNATURE));
	pid = fork_flushed();
	if (!pid) {
		show_fields("forked", &areas[0]);
		SHOW(rseq(&areas[0], 32, 0, SIGNATURE));
		SHOW(rseq(&areas[0], 32, UNREGISTER, SIGNATURE));
		child_exit(0);
	}
	show_child("a fork is registered", pid);
	pid = clone(in_clone, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	show_child("who shares memory is not", pid);
	pid = fork_flushed();
	if (!pid) {
		execv("/proc/self/exe", again);
		_exit(9);
	}
	show_child("a new program", pid);
	SHOW(rseq(&areas[0], 32, UNREGISTER, SIGNATURE));
}

/* ---- sequences ----------------------------------------------------------------------------- */

/*
 * One more in the counter of the processor that `field` of the area names, PAGE bytes a
 * processor; `spin` stretches it. False: aborted. The store is its last instruction.
 */
static bool increment(struct area *area, const uint32_t *field, char *counters, uint32_t spin)
{
	bool done = true;

	__asm__ volatile(SEQUENCE_BEGIN "	mov	(%[field]), %%eax\n"
					"	shl	$12, %%rax\n"
					"	mov	(%[counters], %%rax), %%rcx\n"
					"	mov	%[spin], %%edx\n"
					"5:	dec	%%edx\n"
					"	jnz	5b\n"
					"	inc	%%rcx\n"
					"	mov	%%rcx, (%[counters], %%rax)\n" SEQUENCE_END
					"	movb	$0, %[done]\n"
					"6:\n"
			 : [done] "+m"(done)
			 : [area] "r"(area), [field] "r"(field), [counters] "r"(counters),
			   [spin] "r"(spin), [cs] "i"(offsetof(struct area, cs))
			 : "rax", "rcx", "rdx", "memory", "cc");
	return done;
}

static volatile uint64_t handler_ip;
static volatile sig_atomic_t handled;
static struct sequence forever;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	handler_ip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	handled++;
}

/* Turns round in a sequence until it is aborted. */
static __attribute__((noinline)) void spin_until_aborted(struct area *area)
{
	uint64_t start, end, abort;

	__asm__ volatile("	lea	1f(%%rip), %0\n"
			 "	lea	2f(%%rip), %1\n"
			 "	lea	3f(%%rip), %2\n"
			 : "=r"(start), "=r"(end), "=r"(abort));
	forever.start = start;
	forever.length = end - start;
	forever.abort = abort;
	__asm__ volatile("	mov	%1, (%0)\n"
			 "1:	pause\n"
			 "	jmp	1b\n"
			 "2:	.byte	0x0f, 0xb9, 0x3d\n"
			 "	.long	0x53053053\n"
			 "3:\n"
			 :
			 : "r"(&area->cs), "r"(&forever)
			 : "memory");
}

static void catch_alarm(void)
{
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	/* Again and again: one may come just before who waits for it does. */
	struct itimerval soon = { { .tv_usec = 20000 }, { .tv_usec = 20000 } };

	handled = 0;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

/* A switch may abort it before the signal comes: then it goes round again. */
static void signals(void)
{
	printf("-- a signal amid a sequence\n");
	if (rseq(&areas[0], 32, 0, SIGNATURE))
		exit(2);
	catch_alarm();
	while (!handled)
		spin_until_aborted(&areas[0]);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	printf("the handler saw it %s, cs is %s\n",
	       handler_ip - forever.start < forever.length ? "in the sequence" : "outside",
	       areas[0].cs ? "set" : "clear");
	areas[0].cs = (uint64_t)&forever;
	raise(SIGALRM);
	printf("outside of it, cs is %s after a signal\n", areas[0].cs ? "set" : "clear");
	SHOW(rseq(&areas[0], 32, UNREGISTER, SIGNATURE));
}

/* Each in a child: what does the kernel do about a description that makes no sense? */
static void nonsense(const char *what, uint64_t cs, bool spin)
{
	pid_t pid = fork_flushed();

	if (!pid) {
		if (rseq(&areas[0], 32, 0, SIGNATURE))
			_exit(2);
		catch_alarm();
		areas[0].cs = cs;
		if (spin)
			spin_until_aborted(&areas[0]);
		while (!handled)
			pause();
		child_exit(0);
	}
	show_child(what, pid);
}

static struct sequence described(void)
{
	static const uint32_t signature = SIGNATURE;

	return (struct sequence){ .start = PAGE,
				  .length = 16,
				  .abort = (uint64_t)(&signature + 1) };
}

static void all_nonsense(void)
{
	struct sequence s = described(), good = s;

	printf("-- nonsense\n");
	nonsense("good, elsewhere", (uint64_t)&s, false);
	nonsense("none", 0, false);
	nonsense("kernel address", 0xffff888000000000, false);
	nonsense("non-canonical", 0x8000000000000000, false);
	nonsense("nothing there", PAGE, false);
	s.version = 1;
	nonsense("version 1", (uint64_t)&s, false);
	s = good;
	s.flags = 1;
	nonsense("flags, elsewhere", (uint64_t)&s, false);
	s = good;
	s.abort = (uint64_t)&areas[2] + 4;
	nonsense("no signature", (uint64_t)&s, false);
	s = good;
	s.abort = 2 * PAGE;
	nonsense("no abort address", (uint64_t)&s, false);
	s = good;
	s.start = s.abort - 8;
	nonsense("abort address within", (uint64_t)&s, false);
	s = good;
	s.start = 1ul << 63;
	nonsense("start too high", (uint64_t)&s, false);
	s = good;
	s.length = UINT64_MAX;
	nonsense("length wraps", (uint64_t)&s, false);
	s.length = 1ul << 62;
	nonsense("length too high", (uint64_t)&s, false);
	forever.flags = 1;
	nonsense("flags of the sequence", 0, true);
	forever.flags = 0;
	areas[0].flags = 4;
	nonsense("flags of the area", 0, true);
	areas[0].flags = 0;
}

/* The area itself goes away. */
static void unmapped(void)
{
	struct area *a =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	pid = fork_flushed();
	if (!pid) {
		if (rseq(a, 32, 0, SIGNATURE))
			_exit(2);
		catch_alarm();
		munmap(a, PAGE);
		while (!handled)
			pause();
		child_exit(0);
	}
	show_child("the area is gone", pid);
}

/* Another thread binds this one, which makes no calls, to each processor: it comes there. */
static void *stay_inside(void *arg)
{
	struct area *area = arg;

	without_libc();
	if (rseq(area, 32, 0, SIGNATURE))
		exit(2);
	while (*(volatile uint32_t *)&area->rest == 0)
		;
	if (rseq(area, 32, UNREGISTER, SIGNATURE))
		exit(2);
	return NULL;
}

static void bound_by_another(void)
{
	volatile struct area *area = &areas[3];
	cpu_set_t all, one;
	pthread_t thread;
	int cpu, round;

	printf("-- bound by another\n");
	sched_getaffinity(0, sizeof(all), &all);
	pthread_create(&thread, NULL, stay_inside, (void *)area);
	for (round = 0; round < 5; round++) {
		for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &all))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			pthread_setaffinity_np(thread, sizeof(one), &one);
			while (area->cpu_id != (unsigned int)cpu)
				usleep(100);
		}
	}
	area->rest = 1;
	pthread_join(thread, NULL);
	printf("it came to each\n");
}

/* ---- counting ------------------------------------------------------------------------------- */

static struct counting {
	char *by_cpu, *by_cid; /* a page a processor */
	uint32_t spin;
	volatile bool stop, misplaced;
	cpu_set_t all;
} counting;

struct counter {
	pthread_t thread;
	uint64_t cpu_done, cid_done, aborts;
	unsigned int number;
};

static void on_nothing(int number)
{
	(void)number;
}

/* Things that threads do between sequences, and that move them about. */
static void wander(const volatile struct area *area, unsigned int round, unsigned int number)
{
	cpu_set_t one;
	int cpu;

	if (round % 1024 == 0)
		sched_yield();
	if (round % 2048 == 1)
		usleep(100);
	if (round % 4096 == 2) {
		cpu = (int)((round >> 12) + number) % CPU_SETSIZE;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!CPU_ISSET(cpu, &counting.all))
			cpu = -1;
		if (cpu >= 0 && !sched_setaffinity(0, sizeof(one), &one) &&
		    area->cpu_id != (unsigned int)cpu)
			counting.misplaced = true;
		if (cpu < 0)
			sched_setaffinity(0, sizeof(counting.all), &counting.all);
	}
}

static void *count(void *arg)
{
	struct area area = { 0 };
	struct counter *c = arg;
	char *fresh = NULL;

	without_libc();
	if (rseq(&area, 32, 0, SIGNATURE))
		exit(2);
	for (unsigned int round = 0; !counting.stop; round++) {
		while (!increment(&area, &area.cpu_id, counting.by_cpu, counting.spin))
			c->aborts++;
		c->cpu_done++;
		while (!increment(&area, &area.mm_cid, counting.by_cid, counting.spin))
			c->aborts++;
		c->cid_done++;
		if (round % 512 == 0) {
			if (fresh)
				munmap(fresh, 16 * PAGE);
			fresh = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		}
		fresh[round % 16 * PAGE] = 1;
		wander(&area, round, c->number);
	}
	if (rseq(&area, 32, UNREGISTER, SIGNATURE))
		exit(2);
	return NULL;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void measure_spin(void)
{
	uint64_t start = now_us(), us;
	volatile uint32_t i;

	for (i = 0; i < 1000000; i++)
		;
	us = now_us() - start;
	counting.spin = (uint32_t)(1000000 * SEQUENCE_US / (us ? us : 1)) + 1;
}

static uint64_t sum(const char *counters, uint64_t *used)
{
	uint64_t all = 0;

	*used = 0;
	for (int i = 0; i < MAX_CPUS; i++) {
		uint64_t n = *(const uint64_t *)(counters + (size_t)i * PAGE);

		all += n;
		*used += n != 0;
	}
	return all;
}

static int verdict(const char *what, const char *counters, uint64_t done, uint64_t limit)
{
	uint64_t used, found = sum(counters, &used);

	fprintf(stderr, "%s: %" PRIu64 " increments, %" PRIu64 " found, in %" PRIu64 " counters\n",
		what, done, found, used);
	printf("%s: %s, %s\n", what, found == done ? "all there" : "LOST",
	       used && used <= limit ? "in as many counters as may be" : "IN TOO MANY COUNTERS");
	return found != done || !used || used > limit;
}

/* By the clock, or when the file is there. */
static bool is_over(const char *until, uint64_t start)
{
	uint64_t seconds = strtoull(until, NULL, 10);

	return seconds ? now_us() - start >= seconds * 1000000 : !access(until, F_OK);
}

static int count_all(unsigned int threads, const char *until)
{
	static struct counter counters[MAX_THREADS];
	uint64_t start = now_us(), cpu = 0, cid = 0, aborts = 0;
	uint64_t limit = (uint64_t)sysconf(_SC_NPROCESSORS_CONF);
	unsigned int i;
	int wrong;

	if (!threads || threads > MAX_THREADS)
		return 2;
	signal(SIGUSR1, on_nothing);
	sched_getaffinity(0, sizeof(counting.all), &counting.all);
	measure_spin();
	counting.by_cpu = mmap(NULL, 2 * MAX_CPUS * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	counting.by_cid = counting.by_cpu + MAX_CPUS * PAGE;
	for (i = 0; i < threads; i++) {
		counters[i].number = i;
		if (pthread_create(&counters[i].thread, NULL, count, &counters[i]))
			return 2;
	}
	for (i = 0; !is_over(until, start); i++) {
		pthread_kill(counters[i % threads].thread, SIGUSR1);
		usleep(500);
	}
	counting.stop = true;
	for (i = 0; i < threads; i++) {
		pthread_join(counters[i].thread, NULL);
		cpu += counters[i].cpu_done;
		cid += counters[i].cid_done;
		aborts += counters[i].aborts;
	}
	wrong = verdict("by processor", counting.by_cpu, cpu, limit);
	/* The first thread is one, too. */
	threads++;
	wrong |= verdict("by concurrency id", counting.by_cid, cid,
			 limit < threads ? limit : threads);
	fprintf(stderr, "%" PRIu64 " aborted\n", aborts);
	printf("aborted: %s\n", aborts ? "some" : "NONE");
	printf("bound to a processor: %s\n", counting.misplaced ? "AND NOT THERE" : "and there");
	return wrong || !aborts || counting.misplaced;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "count"))
		return count_all((unsigned int)atoi(argv[2]), argv[3]);
	if (argc > 1) {
		printf("the C library's: %u bytes\n", __rseq_size);
		without_libc();
		return 0;
	}
	without_libc();
	refusals();
	processors();
	children();
	signals();
	all_nonsense();
	unmapped();
	bound_by_another();
	return 0;
}
