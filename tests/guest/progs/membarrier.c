/* SPDX-License-Identifier: MIT */
/*
 * membarrier: what each command refuses and registers, and that the barrier of restartable
 * sequences ends those that had begun. That the others are barriers shows in no test: a
 * system call lasts longer than a store can wait to be seen.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <time.h>

#include "progs.h"
#include "sequence.h"

/* Newer than some headers. */
#define EXPEDITED_RSEQ    (1 << 7)
#define REGISTER_RSEQ     (1 << 8)
#define GET_REGISTRATIONS (1 << 9)
#define FLAG_CPU          1
#define WORKERS           3
#define ROUNDS            200

static long membarrier(int cmd, unsigned int flags, int cpu)
{
	return syscall(SYS_membarrier, cmd, flags, cpu);
}

/* ---- the call -------------------------------------------------------------------------------- */

static void show_registrations(void)
{
	SHOW(membarrier(GET_REGISTRATIONS, 0, 0));
}

static void test_calls(char **argv)
{
	pid_t pid;

	/* A kernel that keeps processors free of interrupts has no GLOBAL. */
	printf("offered: %#lx\n", membarrier(0, 0, 0) | MEMBARRIER_CMD_GLOBAL);
	show_registrations();
	for (int bit = 0; bit < 31; bit++) {
		printf("command %#x: ", 1u << bit);
		SHOW(membarrier((int)(1u << bit), 0, 0));
		if (bit == 1 || bit == 3 || bit == 5 || bit == 7)
			show_registrations();
	}
	for (unsigned int flags = 1; flags < 4; flags++)
		for (int bit = 0; bit < 10; bit++) {
			printf("command %#x, flags %#x: ", 1u << bit, flags);
			SHOW(membarrier(1 << bit, flags, 0));
		}
	SHOW(membarrier(0, 1, 0));
	SHOW(membarrier(3, 0, 0));
	SHOW(membarrier(-1, 0, 0));
	SHOW(membarrier(EXPEDITED_RSEQ, FLAG_CPU, 100000));
	SHOW(membarrier(EXPEDITED_RSEQ, FLAG_CPU, -1));
	SHOW(membarrier(EXPEDITED_RSEQ, FLAG_CPU, 0));
	SHOW(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 7));
	show_registrations();
	pid = fork_flushed();
	if (!pid) {
		show_registrations();
		SHOW(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
		fflush(stdout);
		execl("/proc/self/exe", argv[0], "fresh", NULL);
		_exit(9);
	}
	show_child("a child, and the program that it becomes", pid);
}

static void fresh(void)
{
	show_registrations();
	SHOW(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	SHOW(membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
}

/* ---- a barrier for sequences -------------------------------------------------------------------- */

static struct {
	uint64_t closed __attribute__((aligned(64)));
	uint64_t count[WORKERS] __attribute__((aligned(64)));
	uint64_t at[WORKERS][8]; /* a line each */
} gate;

static volatile bool over;

/* Unless the gate is closed: one more, in a sequence. The store is its last instruction. */
static void count_one(struct area *area, uint64_t *counter)
{
	__asm__ volatile(SEQUENCE_BEGIN "	cmpq	$0, %[closed]\n"
					"	jne	6f\n"
					"	mov	(%[counter]), %%rcx\n"
					"	mov	$2000, %%edx\n"
					"5:	dec	%%edx\n"
					"	jnz	5b\n"
					"	inc	%%rcx\n"
					"	mov	%%rcx, (%[counter])\n" SEQUENCE_END
					"	nop\n"
					"6:\n"
			 :
			 : [area] "r"(area), [counter] "r"(counter), [closed] "m"(gate.closed),
			   [cs] "i"(offsetof(struct area, cs))
			 : "rax", "rcx", "rdx", "memory", "cc");
}

static void *count_on(void *arg)
{
	struct area *area = area_of_libc();
	uint64_t *counter = arg;

	while (!over)
		count_one(area, counter);
	return arg;
}

/* While the gate is closed, and after the barrier, nobody may count. */
static void test_sequences(void)
{
	const struct timespec moment = { 0, 50000 };
	pthread_t threads[WORKERS];
	uint64_t before, total = 0;
	long late = 0, i;
	int w;

	over = false;
	for (w = 0; w < WORKERS; w++)
		if (pthread_create(&threads[w], NULL, count_on, gate.at[w]))
			exit(2);
	for (i = 0; i < ROUNDS; i++) {
		__atomic_store_n(&gate.closed, 1, __ATOMIC_SEQ_CST);
		if (membarrier(EXPEDITED_RSEQ, 0, 0))
			late++;
		for (w = 0; w < WORKERS; w++) {
			before = __atomic_load_n(gate.at[w], __ATOMIC_SEQ_CST);
			gate.count[w] = before;
		}
		nanosleep(&moment, NULL);
		for (w = 0; w < WORKERS; w++)
			late += __atomic_load_n(gate.at[w], __ATOMIC_SEQ_CST) != gate.count[w];
		__atomic_store_n(&gate.closed, 0, __ATOMIC_SEQ_CST);
		nanosleep(&moment, NULL);
	}
	over = true;
	for (w = 0; w < WORKERS; w++) {
		pthread_join(threads[w], NULL);
		total += gate.at[w][0];
	}
	printf("sequences: %ld ended late, %s\n", late, total ? "they count" : "none counts");
}

int main(int argc, char **argv)
{
	if (argc == 2) {
		fresh();
		return 0;
	}
	test_calls(argv);
	if (!__rseq_size) {
		printf("the C library uses no restartable sequences\n");
		return 2;
	}
	test_sequences();
	return 0;
}
